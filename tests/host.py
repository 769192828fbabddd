"""Between a test and its device: results brought to the host, inputs put on the device."""
from typing import Any

import numpy as np

from minifast import Tensor, gradcheck
from minifast.autograd import tensor
from minifast.backend import default_device, transfer
from minifast.nn import Module


def host(x: Any) -> np.ndarray:
    """A tensor, an array of any library or a number as a NumPy array; on the CPU the very one."""
    data = x.data if isinstance(x, Tensor) else x
    return transfer(data, "cpu") if hasattr(data, "dtype") else np.asarray(data)


def put(x: Any) -> Any:
    """A NumPy array or a tensor on the device of this run of the test; anything else as it is."""
    if isinstance(x, Tensor):
        return x.to(default_device())
    return transfer(x, default_device()) if isinstance(x, np.ndarray) else x


def assert_same(actual: Any, expected: Any) -> None:
    """Equal to the bit, except on a GPU, whose own functions and products may round otherwise."""
    exact = default_device() != "cuda"
    there, here = host(actual), np.asarray(expected)
    rounding = 0 if exact or here.dtype.kind != "f" else 4 * float(np.finfo(here.dtype).eps)
    np.testing.assert_allclose(there, here, rtol=rounding, atol=0)


def check_layer(layer: Module, x: np.ndarray) -> bool:
    """Finite differences in the input and in every parameter of ``layer``."""
    names = [name for name, _ in layer.named_parameters()]

    def f(x: Tensor, *parameters: Tensor) -> Any:
        for name, p in zip(names, parameters, strict=True):
            setattr(layer, name, p)
        return layer(x)
    before = dict(layer.named_parameters())
    passed = gradcheck(f, tensor(x), *before.values())
    for name, p in before.items():
        setattr(layer, name, p)
    return passed
