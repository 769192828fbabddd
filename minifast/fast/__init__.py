"""The fast path: the same results, sooner. ``accelerate`` is its only entrance."""
from .accelerator import accelerate as accelerate
