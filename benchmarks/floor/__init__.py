"""The same training without a framework: plain functions on NumPy arrays."""
