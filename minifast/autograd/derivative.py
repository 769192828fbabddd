"""grad: derivatives as results, instead of in the leaves."""
from collections.abc import Sequence

from .tensor import Operand, Tensor


def grad(loss: Tensor, inputs: Tensor | Sequence[Tensor], create_graph: bool = False,
         gradient: Operand | None = None, retain_graph: bool = False) -> tuple[Tensor, ...]:
    """Return the derivatives of ``loss`` by ``inputs``; no ``grad`` of a leaf changes.

    Parameters
    ----------
    loss : Tensor
        What to differentiate.
    inputs : Tensor or sequence of Tensor
        Leaves, or results of operations, that require a gradient.
    create_graph : bool
        Whether the results can be differentiated again. The graph of ``loss`` is then kept.
    gradient : Tensor or array, optional
        Where the walk starts, of the shape of ``loss``; needed unless there is one element.
    retain_graph : bool
        Whether to keep the graph of ``loss`` for another call.

    Returns
    -------
    tuple of Tensor
        A derivative for each input, in its shape.

    Raises
    ------
    RuntimeError
        If ``loss`` does not depend on an input, or on nothing that requires a gradient.
    ShapeError
        If ``gradient`` has another shape, or is needed and missing.
    ChangedArrayError
        If an array that is needed was changed in place after the forward pass.
    TypeError
        If ``create_graph`` meets an operation whose rule does not run on tensors.

    Notes
    -----
    The counterpart of ``torch.autograd.grad``. Gradients of all leaves are computed, also of
    those that are not asked for.

    Examples
    --------
    >>> import numpy as np
    >>> x = Tensor(np.array([1., 2.]), requires_grad=True)
    >>> first, = grad((x ** 3).sum(), x, create_graph=True)
    >>> grad(first.sum(), x)
    (tensor([ 6., 12.], dtype=float64),)
    """
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    found = loss._walk_back(gradient, retain_graph, create_graph, wanted)
    for i, (x, dx) in enumerate(zip(wanted, found, strict=True)):
        if dx is None:
            raise RuntimeError(f"the tensor does not depend on input {i}, {x.shape}; leave it out. "
                               "For a table in an accelerated fit set learn.fast = False")
    return tuple(dx if create_graph else Tensor(dx.copy()) for dx in found)
