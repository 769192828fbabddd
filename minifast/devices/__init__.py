"""Devices: a simulated one for tests, and a check of what this machine has."""
from ..backend import register_backend as _register_backend
from .fakecuda import BACKEND as _SIMULATED

_register_backend(_SIMULATED)
