"""Loss functions, and fastai's flattened form of them."""
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ..autograd import ShapeError, Tensor, apply, ops
from .embedding import check_ids


def reduce_losses(losses: Tensor, reduction: str) -> Tensor:
    """Return the mean of the losses, their sum, or the losses themselves.

    Parameters
    ----------
    losses : Tensor
        Losses, of any shape.
    reduction : {'mean', 'sum', 'none'}
        How to combine them.

    Returns
    -------
    Tensor
        One number, or the losses.

    Raises
    ------
    ValueError
        If the reduction is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> losses = Tensor(np.float32([1, 3]))
    >>> reduce_losses(losses, "mean"), reduce_losses(losses, "sum")
    (tensor(2.), tensor(4.))
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
    return losses if reduction == "none" else getattr(losses, reduction)()


def as_floats(x: Tensor) -> Tensor:
    """Convert integers to float32, because the difference of two uint8 would overflow.

    Parameters
    ----------
    x : Tensor
        Numbers of any type.

    Returns
    -------
    Tensor
        ``x`` itself if it holds floats.

    Examples
    --------
    >>> import numpy as np
    >>> as_floats(Tensor(np.array([1, 2], np.uint8)))
    tensor([1., 2.])
    """
    return x if x.data.dtype.kind == "f" else x.float()


def mse_loss(pred: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Return the mean of (pred - target)^2: torch's ``F.mse_loss``.

    Parameters
    ----------
    pred, target : Tensor
        Predictions and targets, of the same shape.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses of all elements.

    Returns
    -------
    Tensor
        One number, or the losses in the shape of ``pred``.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If the reduction is unknown.

    Examples
    --------
    >>> from minifast import tensor
    >>> mse_loss(tensor([1., 2.]), tensor([1., 4.]))
    tensor(2.)
    """
    if pred.shape != target.shape:
        raise ShapeError(f"mse_loss: predictions {pred.shape} and targets {target.shape} differ")
    if reduction == "mean" and pred.data.dtype.kind == "f":
        return apply(ops.mean_squared_error, pred, target)
    return reduce_losses((as_floats(pred) - target) ** 2, reduction)


def cross_entropy(pred: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Return the mean of -log softmax(pred)[target]: torch's ``F.cross_entropy``.

    Parameters
    ----------
    pred : Tensor
        Scores (n, classes).
    target : Tensor
        Classes (n,), whole numbers.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses of all rows.

    Returns
    -------
    Tensor
        One number, or the losses (n,).

    Raises
    ------
    ShapeError
        If the shapes are others.
    TypeError
        If the targets are not whole numbers.
    IndexError
        If a target is not a class. Not checked on a GPU.
    ValueError
        If the reduction is unknown.

    Examples
    --------
    >>> from minifast import tensor
    >>> cross_entropy(tensor([[0., 0.]]), tensor([1]))
    tensor(0.6931)
    """
    if pred.ndim != 2 or target.shape != pred.shape[:1]:
        raise ShapeError(f"cross_entropy: scores (n, classes) and classes (n,) are needed, "
                         f"got {pred.shape} and {target.shape}")
    check_ids(target.data, pred.shape[1], "scores of {n} classes")
    return reduce_losses(apply(ops.cross_entropy, as_floats(pred), target), reduction)


def binary_cross_entropy_with_logits(pred: Tensor, target: Tensor,
                                     reduction: str = "mean") -> Tensor:
    """Return the mean of -log p of the right answer, where sigmoid(pred) is the p of a 1.

    torch's ``F.binary_cross_entropy_with_logits``.

    Parameters
    ----------
    pred, target : Tensor
        Scores, and targets from 0 to 1, of the same shape.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses of all elements.

    Returns
    -------
    Tensor
        One number, or the losses in the shape of ``pred``.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If the reduction is unknown.

    Examples
    --------
    >>> from minifast import tensor
    >>> binary_cross_entropy_with_logits(tensor([0.]), tensor([1.]))
    tensor(0.6931)
    """
    if pred.shape != target.shape:
        raise ShapeError(f"binary cross entropy: scores {pred.shape} and targets {target.shape} "
                         "differ")
    return reduce_losses(apply(ops.binary_cross_entropy, as_floats(pred), target), reduction)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return exp(x) divided by its sum along an axis.

    Parameters
    ----------
    x : Tensor
        Scores, of any shape.
    axis : int
        The axis of the classes.

    Returns
    -------
    Tensor
        Probabilities, of the same shape.

    Examples
    --------
    >>> from minifast import tensor
    >>> softmax(tensor([0., 0.]))
    tensor([0.5000, 0.5000])
    """
    x = as_floats(x)
    e = (x - x.detach().max(axis, keepdims=True)).exp()
    return e / e.sum(axis, keepdims=True)


# ---------------------------------------------------------------- fastai's flattened losses


class FlattenedLoss:
    """A loss that flattens its inputs, so that (bs, 1) fits (bs,): fastai's ``FlattenedLoss``.

    Parameters
    ----------
    name : str
        Shown in the ``repr``.
    func : callable
        The loss function, called with predictions, targets and ``reduction=``.
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses.
    is_2d : bool
        Whether predictions keep their last axis, the classes.
    floatify : bool
        Whether targets are converted to float32.
    activation : callable, optional
        Turns the model's output into predictions, such as softmax for cross entropy.
        ``Learner.get_preds`` applies it.

    Examples
    --------
    >>> from minifast import tensor
    >>> loss = FlattenedLoss("Mine", mse_loss)
    >>> loss, loss(tensor([[1.], [2.]]), tensor([1., 4.]))
    (FlattenedLoss of Mine(), tensor(2.))
    """

    def __init__(self, name: str, func: Callable[..., Tensor], reduction: str = "mean",
                 is_2d: bool = False, floatify: bool = False,
                 activation: Callable[[Tensor], Tensor] | None = None) -> None:
        self.name, self.func, self.reduction = name, func, reduction
        self.is_2d, self.floatify, self.activation = is_2d, floatify, activation

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        if self.floatify:
            target = target.float()
        if pred.data.ndim > 1:
            pred = pred.reshape(-1, pred.shape[-1]) if self.is_2d else pred.reshape(-1)
        if target.data.ndim > 1:
            target = target.reshape(-1)
        return self.func(pred, target, reduction=self.reduction)

    def __repr__(self) -> str:
        return f"FlattenedLoss of {self.name}()"


def MSELossFlat(reduction: str = "mean") -> FlattenedLoss:  # noqa: N802  (fastai's name)
    """Return the mean squared error, flattened: the loss for ratings and other numbers.

    Parameters
    ----------
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses.

    Returns
    -------
    FlattenedLoss
        The loss.

    Examples
    --------
    >>> MSELossFlat()
    FlattenedLoss of MSELoss()
    """
    return FlattenedLoss("MSELoss", mse_loss, reduction, floatify=True)


def CrossEntropyFlat(reduction: str = "mean", **options: Any) -> FlattenedLoss:  # noqa: N802
    """Return the cross entropy of scores (..., classes), flattened: for one label per row.

    Parameters
    ----------
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses.
    **options
        ``axis`` of the classes and ``weight`` of each class, see
        `minifast.layers.cross_entropy_flat`.

    Returns
    -------
    FlattenedLoss
        The loss.

    Examples
    --------
    >>> CrossEntropyFlat()
    FlattenedLoss of CrossEntropyLoss()
    """
    if options:
        return import_module("minifast.layers").cross_entropy_flat(  # type: ignore[no-any-return]
            reduction, **options)
    return FlattenedLoss("CrossEntropyLoss", cross_entropy, reduction, is_2d=True,
                         activation=softmax)


def BCEWithLogitsFlat(reduction: str = "mean") -> FlattenedLoss:  # noqa: N802
    """Return the binary cross entropy of scores, flattened: for several labels per row.

    Parameters
    ----------
    reduction : {'mean', 'sum', 'none'}
        How to combine the losses.

    Returns
    -------
    FlattenedLoss
        The loss.

    Examples
    --------
    >>> BCEWithLogitsFlat()
    FlattenedLoss of BCEWithLogitsLoss()
    """
    return FlattenedLoss("BCEWithLogitsLoss", binary_cross_entropy_with_logits, reduction,
                         floatify=True, activation=Tensor.sigmoid)
