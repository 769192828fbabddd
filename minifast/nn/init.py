"""Initial weights. Each function fills a tensor in place and returns it (``torch.nn.init``)."""
from math import sqrt
from typing import TypeVar

import numpy as np

from ..autograd import Tensor
from ..backend import backend_of, generator

T = TypeVar("T", bound=Tensor)
Seed = int | np.random.Generator | None


def _fill(t: T, values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> T:
    t.data[...] = backend_of(t.data).from_host(values.astype(t.dtype))
    return t


def normal_(t: T, mean: float = 0., std: float = 1., seed: Seed = None) -> T:
    """Normal numbers.

    >>> from minifast import tensor
    >>> normal_(tensor([0., 0.]), seed=0).shape
    (2,)
    """
    return _fill(t, generator(seed).normal(mean, std, t.shape))


def uniform_(t: T, low: float = 0., high: float = 1., seed: Seed = None) -> T:
    """Uniform numbers in [low, high).

    >>> from minifast import tensor
    >>> bool((uniform_(tensor([0., 0.])) < 1).all())
    True
    """
    return _fill(t, generator(seed).uniform(low, high, t.shape))


def trunc_normal_(t: T, mean: float = 0., std: float = 1., seed: Seed = None) -> T:
    """Normal numbers brought into (-2, 2) by the remainder of a division by 2, then scaled.

    fastai v1's way to initialise embeddings: a number beyond 2 wraps towards 0 (its standard
    deviation becomes 0.866), where a true truncation would draw it anew.

    >>> from minifast import tensor
    >>> bool((trunc_normal_(tensor([0.] * 1000), std=.01).abs() < .02).all())
    True
    """
    return _fill(t, np.fmod(generator(seed).normal(size=t.shape), 2) * std + mean)


def fans(t: Tensor) -> tuple[int, int]:
    """(inputs, outputs) of one unit: a weight has shape (out, in, *kernel).

    >>> from minifast import tensor
    >>> fans(tensor([[1., 2., 3.]]))
    (3, 1)
    """
    if t.ndim < 2:
        raise ValueError(f"a weight of shape {t.shape} has no fan-in; it needs two axes or more")
    kernel = int(np.prod(t.shape[2:]))
    return t.shape[1] * kernel, t.shape[0] * kernel


def kaiming_uniform_(t: T, a: float = 0., seed: Seed = None) -> T:
    """Uniform in +-sqrt(6 / ((1 + a^2) fan_in)), for layers before a ReLU of slope ``a`` (He 2015).

    >>> from minifast import tensor
    >>> bool((kaiming_uniform_(tensor([[0., 0., 0.]] * 2)).abs() <= 2 ** .5).all())
    True
    """
    bound = sqrt(6 / ((1 + a * a) * fans(t)[0]))
    return uniform_(t, -bound, bound, seed)


def kaiming_normal_(t: T, a: float = 0., seed: Seed = None) -> T:
    """Normal of variance 2 / ((1 + a^2) fan_in) (He 2015); what fastai gives new heads.

    >>> from minifast import tensor
    >>> kaiming_normal_(tensor([[0., 0.]])).shape
    (1, 2)
    """
    return normal_(t, 0, sqrt(2 / ((1 + a * a) * fans(t)[0])), seed)


def xavier_uniform_(t: T, seed: Seed = None) -> T:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot 2010).

    >>> from minifast import tensor
    >>> bool((xavier_uniform_(tensor([[0.]])).abs() <= 3 ** .5).all())
    True
    """
    bound = sqrt(6 / sum(fans(t)))
    return uniform_(t, -bound, bound, seed)


def xavier_normal_(t: T, seed: Seed = None) -> T:
    """Normal of variance 2 / (fan_in + fan_out) (Glorot 2010).

    >>> from minifast import tensor
    >>> xavier_normal_(tensor([[0., 0.]])).shape
    (1, 2)
    """
    return normal_(t, 0, sqrt(2 / sum(fans(t))), seed)
