"""Devices: a simulated CUDA device for tests, and a report on what this machine offers."""
from ..backend import register_backend as _register_backend
from .fakecuda import BACKEND as _SIMULATED

_register_backend(_SIMULATED)
