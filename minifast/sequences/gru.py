"""Gated recurrent units (Cho and others 2014), in the form that torch computes."""
from math import sqrt

import numpy as np

from ..autograd import ShapeError, Tensor, apply, ops, stack
from ..backend import generator
from ..nn import Module, Parameter, uniform_
from ..nn.init import Seed


def gru_cell(x: Tensor, h: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor,
             bias_hh: Tensor) -> Tensor:
    """Return the next state of a gated recurrent unit.

    The rows of the weights are three blocks of `width` rows, for the gates r (reset) and z
    (update) and for the candidate n. With the blocks of x @ weight_ih.T + bias_ih called ir, iz,
    in and those of h @ weight_hh.T + bias_hh called hr, hz, hn, the next state is
    (1 - z) * n + z * h, where r = sigmoid(ir + hr), z = sigmoid(iz + hz) and
    n = tanh(in + r * hn).

    Parameters
    ----------
    x : Tensor (bs, n_in)
        The input of this step.
    h : Tensor (bs, width)
        The state before it.
    weight_ih, weight_hh : Tensor (3 * width, n_in) and (3 * width, width)
        The weights of the input and of the state.
    bias_ih, bias_hh : Tensor (3 * width,)
        Their biases.

    Returns
    -------
    Tensor (bs, width)
        The state after this step.

    Examples
    --------
    >>> from minifast import tensor
    >>> w = tensor([[0.]] * 3)  # so that z is 1/2 and n is 0
    >>> gru_cell(tensor([[1.]]), tensor([[8.]]), w, w, w[:, 0], w[:, 0])
    tensor([[4.]])
    """
    n = h.shape[1]
    of_x = apply(ops.linear, x, weight_ih, bias_ih)
    of_h = apply(ops.linear, h, weight_hh, bias_hh)
    gates = (of_x[:, :2 * n] + of_h[:, :2 * n]).sigmoid()
    r, z = gates[:, :n], gates[:, n:]
    candidate = (of_x[:, 2 * n:] + r * of_h[:, 2 * n:]).tanh()
    return candidate + z * (h - candidate)


class GRUCell(Module):
    """One step of a gated recurrent unit: (bs, n_in) and (bs, width) to (bs, width).

    Weights start uniform within +-1 / sqrt(width), as in torch.

    Parameters
    ----------
    n_in, width : int
        Lengths of an input and of a state.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    See Also
    --------
    torch.nn.GRUCell

    Examples
    --------
    >>> from minifast import tensor
    >>> GRUCell(3, 5)(tensor([[1., 2., 3.]])).shape
    (1, 5)
    """

    def __init__(self, n_in: int, width: int, seed: Seed = None) -> None:
        self.n_in, self.width = n_in, width
        add_weights(self, "", n_in, width, seed)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.n_in:
            raise ShapeError(f"a GRU cell of {self.n_in} inputs needs (bs, {self.n_in}), got "
                             f"{x.shape}")
        h = zeros(x, len(x), self.width) if h is None else h
        return gru_cell(x, h, *weights(self, ""))

    def extra_repr(self) -> str:
        return f"{self.n_in}, {self.width}"


class GRU(Module):
    """Gated recurrent units along a sequence: (bs, length, n_in) to (bs, length, width).

    Parameters
    ----------
    n_in, width : int
        Lengths of an input and of a state.
    n_layers : int
        Number of layers; a layer's states are the inputs of the next one.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Raises
    ------
    ValueError
        If there is no layer.

    See Also
    --------
    torch.nn.GRU : With ``batch_first=True``; the weights have the same names.

    Examples
    --------
    >>> states, last = GRU(3, 5, n_layers=2)(Tensor(np.zeros((4, 7, 3), np.float32)))
    >>> states.shape, last.shape
    ((4, 7, 5), (2, 4, 5))
    """

    def __init__(self, n_in: int, width: int, n_layers: int = 1, seed: Seed = None) -> None:
        if n_layers < 1:
            raise ValueError(f"a GRU has at least one layer, got n_layers={n_layers}")
        self.n_in, self.width, self.n_layers = n_in, width, n_layers
        rng = generator(seed)
        for i in range(n_layers):
            add_weights(self, f"_l{i}", width if i else n_in, width, rng)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the last layer's states after each step, and all layers' states at the end.

        Parameters
        ----------
        x : Tensor (bs, length, n_in)
            The inputs.
        h : Tensor (n_layers, bs, width), optional
            The states before the first step; zeros by default.

        Returns
        -------
        states : Tensor (bs, length, width)
            The states of the last layer.
        last : Tensor (n_layers, bs, width)
            The states of each layer after the last step.

        Raises
        ------
        ShapeError
            If the inputs have another shape, or no step.
        """
        if x.ndim != 3 or x.shape[2] != self.n_in or not x.shape[1]:
            raise ShapeError(f"a GRU of {self.n_in} inputs needs (bs, length, {self.n_in}) with a "
                             f"length of at least 1, got {x.shape}")
        h = zeros(x, self.n_layers, len(x), self.width) if h is None else h
        inputs, last = [x[:, t] for t in range(x.shape[1])], []
        for i in range(self.n_layers):
            state, own = h[i], weights(self, f"_l{i}")
            for t, at in enumerate(inputs):
                state = inputs[t] = gru_cell(at, state, *own)
            last.append(state)
        return stack(inputs, 1), stack(last)

    def extra_repr(self) -> str:
        return f"{self.n_in}, {self.width}, n_layers={self.n_layers}"


NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
"""Torch's names of a cell's parameters; those of a layer of a GRU end in ``_l0``, ``_l1``, ..."""


def add_weights(module: Module, ending: str, n_in: int, width: int, seed: Seed) -> None:
    """Give a module the four parameters of a cell, in torch's order.

    Parameters
    ----------
    module : Module
        The module.
    ending : str
        The end of their names.
    n_in, width : int
        Lengths of an input and of a state.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Examples
    --------
    >>> cell = Module()
    >>> add_weights(cell, "_l0", n_in=2, width=3, seed=0)
    >>> cell.weight_ih_l0.shape, cell.bias_hh_l0.shape
    ((9, 2), (9,))
    """
    rng, bound = generator(seed), 1 / sqrt(max(width, 1))
    shapes = ((3 * width, n_in), (3 * width, width), (3 * width,), (3 * width,))
    for name, shape in zip(NAMES, shapes, strict=True):
        empty = Parameter(np.empty(shape, np.float32), no_wd=name.startswith("bias"))
        setattr(module, name + ending, uniform_(empty, -bound, bound, rng))


def weights(module: Module, ending: str) -> list[Tensor]:
    """Return the four parameters that ``add_weights`` has given to a module.

    Parameters
    ----------
    module : Module
        The module.
    ending : str
        The end of their names.

    Returns
    -------
    list of Tensor
        The parameters, in the order of ``gru_cell``.

    Examples
    --------
    >>> [p.shape for p in weights(GRUCell(2, 5), "")]
    [(15, 2), (15, 5), (15,), (15,)]
    """
    return [getattr(module, name + ending) for name in NAMES]


def zeros(like: Tensor, *shape: int) -> Tensor:
    """Return zeros with the type and the device of a tensor.

    Parameters
    ----------
    like : Tensor
        The tensor.
    *shape : int
        The shape of the zeros.

    Returns
    -------
    Tensor
        The zeros.

    Examples
    --------
    >>> from minifast import tensor
    >>> zeros(tensor([1.]), 2)
    tensor([0., 0.])
    """
    return Tensor(np.zeros(shape, like.dtype, like=like.data))
