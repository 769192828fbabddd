"""Loss functions, and fastai's flattened form of them."""
from collections.abc import Callable
from functools import partial

from ..autograd import ShapeError, Tensor, apply, ops
from .embedding import check_ids


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
    return losses if reduction == "none" else losses.mean() if reduction == "mean" \
        else losses.sum()


def mse_loss(pred: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Mean of (pred - target)^2, both of one shape; torch's ``F.mse_loss``.

    >>> from minifast import tensor
    >>> mse_loss(tensor([1., 2.]), tensor([1., 4.]))
    tensor(2.)
    """
    if pred.shape != target.shape:
        raise ShapeError(f"mse_loss: predictions {pred.shape} and targets {target.shape} differ")
    if reduction == "mean":
        return apply(ops.mean_squared_error, pred, target)
    return _reduce((pred - target) ** 2, reduction)


def cross_entropy(pred: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """-log softmax(pred)[target]: scores (n, classes), classes (n,); torch's ``F.cross_entropy``.

    >>> from minifast import tensor
    >>> cross_entropy(tensor([[0., 0.]]), tensor([1]))
    tensor(0.6931)
    """
    if pred.ndim != 2 or target.shape != pred.shape[:1]:
        raise ShapeError(f"cross_entropy: scores (n, classes) and classes (n,) are needed, "
                         f"got {pred.shape} and {target.shape}")
    check_ids(target.data, pred.shape[1], "scores of {n} classes")
    return _reduce(apply(ops.cross_entropy, pred, target), reduction)


def label_smoothing_cross_entropy(pred: Tensor, target: Tensor, reduction: str = "mean",
                                  eps: float = .1) -> Tensor:
    """Cross entropy with the share ``eps`` of each target spread evenly over all classes.

    (1 - eps) (-log p[target]) + eps/c (sum of -log p) for c classes (Szegedy and others 2016).

    >>> from minifast import tensor
    >>> label_smoothing_cross_entropy(tensor([[0., 0.]]), tensor([1]))
    tensor(0.6931)
    """
    right = cross_entropy(pred, target, "none")
    shifted = pred - pred.detach().max(1, keepdims=True)
    all_classes = shifted.exp().sum(1).log() - shifted.mean(1)  # the mean of -log p
    return _reduce((1 - eps) * right + eps * all_classes, reduction)


def binary_cross_entropy_with_logits(pred: Tensor, target: Tensor,
                                     reduction: str = "mean") -> Tensor:
    """-log p of the right answer where p = sigmoid(pred), target 0 or 1, both of one shape.

    >>> from minifast import tensor
    >>> binary_cross_entropy_with_logits(tensor([0.]), tensor([1.]))
    tensor(0.6931)
    """
    if pred.shape != target.shape:
        raise ShapeError(f"binary cross entropy: scores {pred.shape} and targets {target.shape} "
                         "differ")
    return _reduce(apply(ops.binary_cross_entropy, pred, target), reduction)


LossFunction = Callable[..., Tensor]
Activation = Callable[[Tensor], Tensor]


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) over its sum along ``axis``.

    >>> from minifast import tensor
    >>> softmax(tensor([0., 0.]))
    tensor([0.5000, 0.5000])
    """
    e = (x - x.detach().max(axis, keepdims=True)).exp()
    return e / e.sum(axis, keepdims=True)


class FlattenedLoss:
    """A loss that does not mind extra axes: predictions (bs, 1) meet targets (bs,).

    ``activation`` turns the model's output into predictions (softmax for cross entropy); it is
    what ``Learner.get_preds`` applies. fastai's ``FlattenedLoss``.
    """

    def __init__(self, name: str, func: LossFunction, reduction: str = "mean", is_2d: bool = False,
                 floatify: bool = False, activation: Activation | None = None) -> None:
        self.name, self.func, self.reduction = name, func, reduction
        self.is_2d, self.floatify, self.activation = is_2d, floatify, activation

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        if self.floatify:
            target = target.float()
        if pred.ndim > 1:
            pred = pred.reshape(-1, pred.shape[-1]) if self.is_2d else pred.reshape(-1)
        if target.ndim > 1:
            target = target.reshape(-1)
        return self.func(pred, target, reduction=self.reduction)

    def __repr__(self) -> str:
        return f"FlattenedLoss of {self.name}()"


def MSELossFlat(reduction: str = "mean") -> FlattenedLoss:  # noqa: N802  (fastai's name)
    """Mean squared error of flattened predictions; what rating data use.

    >>> MSELossFlat()
    FlattenedLoss of MSELoss()
    """
    return FlattenedLoss("MSELoss", mse_loss, reduction, floatify=True)


def CrossEntropyFlat(reduction: str = "mean") -> FlattenedLoss:  # noqa: N802
    """Cross entropy of scores (..., classes); what one label per row uses.

    >>> CrossEntropyFlat()
    FlattenedLoss of CrossEntropyLoss()
    """
    return FlattenedLoss("CrossEntropyLoss", cross_entropy, reduction, is_2d=True,
                         activation=softmax)


def BCEWithLogitsFlat(reduction: str = "mean") -> FlattenedLoss:  # noqa: N802
    """Binary cross entropy of flattened scores; what several labels per row use.

    >>> BCEWithLogitsFlat()
    FlattenedLoss of BCEWithLogitsLoss()
    """
    return FlattenedLoss("BCEWithLogitsLoss", binary_cross_entropy_with_logits, reduction,
                         floatify=True, activation=Tensor.sigmoid)


def LabelSmoothingCrossEntropy(eps: float = .1, reduction: str = "mean"  # noqa: N802
                               ) -> FlattenedLoss:
    """Cross entropy that asks for no more certainty than 1 - eps, flattened.

    ``label_smoothing_cross_entropy`` has the formula.

    >>> LabelSmoothingCrossEntropy()
    FlattenedLoss of LabelSmoothingCrossEntropy()
    """
    if not 0 <= eps < 1:
        raise ValueError(f"eps is the share of a target given to all classes, from 0 to below 1, "
                         f"got {eps}")
    return FlattenedLoss("LabelSmoothingCrossEntropy",
                         partial(label_smoothing_cross_entropy, eps=eps), reduction, is_2d=True,
                         activation=softmax)
