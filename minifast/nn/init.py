"""Initial weights. Each function fills a tensor in place and returns it: ``torch.nn.init``."""
from math import sqrt
from typing import Any, TypeVar

import numpy as np

from ..autograd import Tensor
from ..autograd.tape import changed
from ..backend import backend_of, generator

T = TypeVar("T", bound=Tensor)
Seed = int | np.random.Generator | None


def fill_(t: T, values: "np.ndarray[Any, Any]") -> T:
    """Copy an array of the same shape from the host into a tensor.

    Parameters
    ----------
    t : Tensor
        The tensor to fill; it keeps its array, type and device.
    values : ndarray
        The numbers.

    Returns
    -------
    Tensor
        ``t``.

    Examples
    --------
    >>> fill_(Tensor(np.zeros(2, np.float32)), np.array([1., 2.]))
    tensor([1., 2.])
    """
    changed.mark([t.data], depth=2)
    t.data[...] = backend_of(t.data).from_host(values.astype(t.dtype))
    return t


def normal_(t: T, mean: float = 0., std: float = 1., seed: Seed = None) -> T:
    """Fill a tensor with normally distributed numbers.

    Parameters
    ----------
    t : Tensor
        The tensor to fill.
    mean, std : float
        Mean and standard deviation.
    seed : int, Generator or None
        Where the numbers come from; see ``minifast.backend.generator``.

    Returns
    -------
    Tensor
        ``t``.

    Examples
    --------
    >>> from minifast import tensor
    >>> normal_(tensor([0., 0.]), seed=0).shape
    (2,)
    """
    return fill_(t, generator(seed).normal(mean, std, t.shape))


def uniform_(t: T, low: float = 0., high: float = 1., seed: Seed = None) -> T:
    """Fill a tensor with uniformly distributed numbers.

    Parameters
    ----------
    t : Tensor
        The tensor to fill.
    low, high : float
        The interval [low, high).
    seed : int, Generator or None
        Where the numbers come from; see ``minifast.backend.generator``.

    Returns
    -------
    Tensor
        ``t``.

    Examples
    --------
    >>> from minifast import tensor
    >>> bool((uniform_(tensor([0., 0.])) < 1).all())
    True
    """
    return fill_(t, generator(seed).uniform(low, high, t.shape))


def trunc_normal_(t: T, mean: float = 0., std: float = 1., seed: Seed = None) -> T:
    """Fill a tensor with normal numbers modulo 2, scaled: fastai v1's initial embeddings.

    A number outside (-2, 2) is replaced by its remainder after division by 2, where a true
    truncation would draw it again. Before scaling, the standard deviation is 0.866.

    Parameters
    ----------
    t : Tensor
        The tensor to fill.
    mean, std : float
        Shift and scale. All numbers lie within 2 ``std`` of ``mean``.
    seed : int, Generator or None
        Where the numbers come from; see ``minifast.backend.generator``.

    Returns
    -------
    Tensor
        ``t``.

    Examples
    --------
    >>> from minifast import tensor
    >>> bool((trunc_normal_(tensor([0.] * 1000), std=.01).abs() < .02).all())
    True
    """
    return fill_(t, np.fmod(generator(seed).normal(size=t.shape), 2) * std + mean)


def fans(t: Tensor) -> tuple[int, int]:
    """Return how many inputs and outputs a unit of this weight has.

    Parameters
    ----------
    t : Tensor
        A weight of shape ``(n_out, n_in, *kernel)``.

    Returns
    -------
    fan_in, fan_out : int
        ``n_in`` and ``n_out``, each times the size of the kernel.

    Raises
    ------
    ValueError
        If the tensor has fewer than two axes.

    Examples
    --------
    >>> from minifast import tensor
    >>> fans(tensor([[1., 2., 3.]]))
    (3, 1)
    """
    if t.ndim < 2:
        raise ValueError(f"a weight of shape {t.shape} has no fan-in; it needs two axes or more")
    kernel = int(np.prod(t.shape[2:]))
    return t.shape[1] * kernel, t.shape[0] * kernel


def kaiming_uniform_(t: T, a: float = 0., seed: Seed = None) -> T:
    """Fill a weight uniformly within +-sqrt(6 / ((1 + a^2) fan_in)).

    Parameters
    ----------
    t : Tensor
        A weight of shape ``(n_out, n_in, *kernel)``.
    a : float
        Slope of the leaky ReLU that follows, for negative numbers.
    seed : int, Generator or None
        Where the numbers come from; see ``minifast.backend.generator``.

    Returns
    -------
    Tensor
        ``t``.

    References
    ----------
    He and others 2015, Delving deep into rectifiers.

    Examples
    --------
    >>> from minifast import tensor
    >>> bool((kaiming_uniform_(tensor([[0., 0., 0.]] * 2)).abs() <= 2 ** .5).all())
    True
    """
    bound = sqrt(6 / ((1 + a * a) * fans(t)[0]))
    return uniform_(t, -bound, bound, seed)


def kaiming_normal_(t: T, a: float = 0., seed: Seed = None) -> T:
    """Fill a weight with normal numbers of variance 2 / ((1 + a^2) fan_in).

    fastai initialises new heads this way.

    Parameters
    ----------
    t : Tensor
        A weight of shape ``(n_out, n_in, *kernel)``.
    a : float
        Slope of the leaky ReLU that follows, for negative numbers.
    seed : int, Generator or None
        Where the numbers come from; see ``minifast.backend.generator``.

    Returns
    -------
    Tensor
        ``t``.

    References
    ----------
    He and others 2015, Delving deep into rectifiers.

    Examples
    --------
    >>> from minifast import tensor
    >>> kaiming_normal_(tensor([[0., 0.]])).shape
    (1, 2)
    """
    return normal_(t, 0, sqrt(2 / ((1 + a * a) * fans(t)[0])), seed)


def xavier_uniform_(t: T, seed: Seed = None) -> T:
    """Fill a weight uniformly within +-sqrt(6 / (fan_in + fan_out)).

    Parameters
    ----------
    t : Tensor
        A weight of shape ``(n_out, n_in, *kernel)``.
    seed : int, Generator or None
        Where the numbers come from; see ``minifast.backend.generator``.

    Returns
    -------
    Tensor
        ``t``.

    References
    ----------
    Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural
    networks.

    Examples
    --------
    >>> from minifast import tensor
    >>> bool((xavier_uniform_(tensor([[0.]])).abs() <= 3 ** .5).all())
    True
    """
    bound = sqrt(6 / sum(fans(t)))
    return uniform_(t, -bound, bound, seed)


def xavier_normal_(t: T, seed: Seed = None) -> T:
    """Fill a weight with normal numbers of variance 2 / (fan_in + fan_out).

    Parameters
    ----------
    t : Tensor
        A weight of shape ``(n_out, n_in, *kernel)``.
    seed : int, Generator or None
        Where the numbers come from; see ``minifast.backend.generator``.

    Returns
    -------
    Tensor
        ``t``.

    References
    ----------
    Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural
    networks.

    Examples
    --------
    >>> from minifast import tensor
    >>> xavier_normal_(tensor([[0., 0.]])).shape
    (1, 2)
    """
    return normal_(t, 0, sqrt(2 / sum(fans(t))), seed)
