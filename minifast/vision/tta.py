"""Test time augmentation: predictions averaged over changed copies of each image."""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..data import ArrayDataset, DataLoader, DatasetType
from ..nn import softmax
from ..train import Learner
from ..train.loop import call_loss
from .augment import TransformedImages
from .transforms import Transform, flip_lr, zoom, zooms_or_flips

Activation = Callable[[Tensor], Tensor]


def tta_only(learn: Learner, ds_type: DatasetType = DatasetType.Valid,
             activ: Activation | None = None, scale: float = 1.35, seed: int = 0
             ) -> Iterator[Tensor]:
    """Yield the predictions for eight changed copies of the images.

    The copies are enlargements of the four corners of each image, once as they are and once
    flipped. The random transforms of the training images are also applied, except for flips and
    zooms.

    Parameters
    ----------
    learn : Learner
        The learner.
    ds_type : DatasetType
        Which images.
    activ : callable, optional
        Applied to the outputs, as in ``get_preds``.
    scale : float
        The enlargement.
    seed : int
        Seed of the random numbers; a second call gives the same predictions.

    Yields
    ------
    Tensor (n, classes)
        Predictions.

    Raises
    ------
    TypeError
        If the images are not those of an ImageDataBunch.

    Notes
    -----
    fastai v1's ``tta_only``. There ``flip_affine`` of the training images still applies.

    Examples
    --------
    >>> from minifast.nn import CrossEntropyFlat, Flatten, Linear, Sequential
    >>> from minifast.vision import ImageDataBunch
    >>> images = np.zeros((8, 4, 4), np.uint8)
    >>> data = ImageDataBunch.from_arrays(images, [0, 1] * 4, valid_pct=.25, bs=2)
    >>> learn = Learner(data, Sequential(Flatten(), Linear(16, 2)), loss_func=CrossEntropyFlat())
    >>> [preds.shape for preds in learn.tta_only()] == [(2, 2)] * 8
    True
    """
    train: Any = learn.data.train_ds
    others = [tfm for tfm in getattr(train, "tfms", []) if not zooms_or_flips(tfm)]
    for i in range(8):
        tfms: list[Transform] = [*others, zoom(scale, row_pct=i & 1, col_pct=i // 2 & 1)]
        with _transformed(learn, ds_type, tfms + [flip_lr()] * (i // 4), [seed, i]):
            preds = learn.get_preds(ds_type, activ=activ)[0]
        yield preds


@contextmanager
def _transformed(learn: Learner, ds_type: DatasetType, tfms: list[Transform], seed: list[int]
                 ) -> Iterator[None]:
    """Replace the data set of a loader by one with these transforms."""
    dl: Any = learn.data.dl(ds_type)
    if not isinstance(dl, DataLoader) or not isinstance(dl.dataset, ArrayDataset) \
            or isinstance(dl.dataset.x, list):
        raise TypeError(f"TTA changes images of an ImageDataBunch, got a {type(dl).__name__} of a "
                        f"{type(learn.data).__name__}")
    before, train = dl.dataset, learn.data.train_ds
    padding_mode = getattr(train, "padding_mode", "reflection")
    stats = getattr(learn.data, "stats", None)
    dl.dataset = TransformedImages(getattr(before, "source", before), tfms,
                                   np.random.default_rng(seed), padding_mode, stats)
    try:
        yield
    finally:
        dl.dataset = before


def TTA(learn: Learner, beta: float | None = .4, scale: float = 1.35,  # noqa: N802
        ds_type: DatasetType = DatasetType.Valid, activ: Activation | None = None,
        with_loss: bool = False, seed: int = 0) -> list[Tensor]:
    """Average the predictions for each image and eight changed copies: test time augmentation.

    The result is beta times the prediction for the image and 1 - beta times the mean of the
    predictions for its copies; see ``tta_only``.

    Parameters
    ----------
    learn : Learner
        The learner.
    beta : float or None
        Weight of the prediction for the image itself. With None, both predictions are returned.
    scale : float
        Enlargement of the copies.
    ds_type : DatasetType
        Which images.
    activ : callable, optional
        Applied to the model's outputs; by default the activation that belongs to the loss.
    with_loss : bool
        Whether to return the loss of each image as well.
    seed : int
        Source of the random numbers of transforms.

    Returns
    -------
    list of Tensor
        Predictions (n, classes), targets (n,), and with ``with_loss`` the losses (n,). With
        ``beta=None``: predictions for images, mean predictions for their copies, targets.

    Raises
    ------
    ValueError
        If ``ds_type`` is ``Train``, whose order is random.

    Notes
    -----
    fastai v1's ``Learner.TTA``. For ``with_loss``, v1 takes the cross entropy of probabilities as
    if they were scores; here it is -log p.

    Examples
    --------
    >>> from minifast.nn import CrossEntropyFlat, Flatten, Linear, Sequential
    >>> from minifast.vision import ImageDataBunch
    >>> images = np.zeros((8, 4, 4), np.uint8)
    >>> data = ImageDataBunch.from_arrays(images, [0, 1] * 4, valid_pct=.25, bs=2)
    >>> learn = Learner(data, Sequential(Flatten(), Linear(16, 2)), loss_func=CrossEntropyFlat())
    >>> preds, y = learn.TTA()
    >>> preds.shape, y.shape
    ((2, 2), (2,))
    """
    if ds_type is DatasetType.Train:
        raise ValueError("TTA averages predictions of the same images, and the order of training "
                         "batches is random; pass ds_type=DatasetType.Fix")
    preds, y = learn.get_preds(ds_type, activ=activ)
    copies = list(tta_only(learn, ds_type, activ, scale, seed))
    with no_grad():
        mean: Tensor = sum(copies[1:], copies[0]) / len(copies)
        if beta is None:
            return [preds, mean, y]
        final = preds * beta + mean * (1 - beta)
        return [final, y, *([_losses(learn.loss_func, final, y)] if with_loss else [])]


def _losses(loss_func: Any, preds: Tensor, y: Tensor) -> Tensor:
    """Return losses of predictions, which are turned back into scores first."""
    activation, of_rows = getattr(loss_func, "activation", None), copy(loss_func)
    of_rows.reduction = "none"
    if activation is softmax:
        preds = preds.clip(1e-30).log()
    elif activation is Tensor.sigmoid:
        preds = (preds / (1 - preds)).log()
    return call_loss(of_rows, preds, y)


for _method in (TTA, tta_only):
    setattr(Learner, _method.__name__, _method)
