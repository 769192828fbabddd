"""The fast path: the same results in less time. ``accelerate`` is its only entry point."""
from .accelerator import accelerate as accelerate
