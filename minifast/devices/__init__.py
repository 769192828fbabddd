"""Devices: a simulated CUDA device for tests, and a report on what this machine offers."""
from . import fakecuda as fakecuda
