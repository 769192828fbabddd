"""Transfer learning: a trained body, a new head, and a learner for both."""
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import ShapeError, Tensor, no_grad
from ..backend import generator
from ..data import DataBunch, DatasetType
from ..nn import BatchNorm, BatchNorm1d, Flatten, Module, ReLU, Sequential, kaiming_normal_
from ..nn.init import Seed
from ..nn.module import StateDictError
from ..nn.tabular_model import bn_drop_lin, one_dropout_each
from ..train import Learner
from ..train.checkpoint import SUFFIX, Arrays, load_arrays, part_state
from ..train.groups import SplitOn
from ..train.loop import evaluating
from .images import ImageDataBunch
from .pool import AdaptiveAvgPool2d, AdaptiveConcatPool2d, AdaptivePool2d, Pool2d
from .resnet import resnet10, resnet20

Arch = Callable[..., Module]
"""A function ``arch(n_in=channels, n_out=classes, seed=seed)`` that returns a network."""
Cut = int | Callable[[Module], Module] | None
MODEL_META: dict[Any, tuple[int, int]] = {resnet10: (-3, 4), resnet20: (-3, 5)}
"""For each architecture, where its body ends and where the second layer group begins."""


# ---------------------------------------------------------------- body


def create_body(arch: Arch, cut: Cut = None, n_in: int = 3, seed: Seed = None,
                pretrained: bool = False) -> Module:
    """Return a network without its last layers.

    Parameters
    ----------
    arch : callable
        ``arch(n_in=, n_out=, seed=)`` returns the network.
    cut : int or callable, optional
        Keep ``children[:cut]``, or what ``cut(network)`` returns. By default the residual networks
        lose their head, others everything from the last child that pools.
    n_in : int
        Channels of the images.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.
    pretrained : bool
        Must be False; ``load_body`` reads weights of your own.

    Returns
    -------
    Module
        The body.

    Raises
    ------
    ValueError
        If ``cut`` keeps nothing or more than there is, or is needed and not given, or if
        ``pretrained`` is True.
    TypeError
        If the function ``cut`` does not return a Module.

    Notes
    -----
    fastai v1's ``create_body``.

    Examples
    --------
    >>> [type(layer).__name__ for layer in create_body(resnet20)]
    ['Conv2d', 'BatchNorm2d', 'ReLU', 'Sequential', 'Sequential', 'Sequential']
    """
    if pretrained:
        raise ValueError("there are no weights to download; pass pretrained=False, and read your "
                         "own with load_body(body, file)")
    net = arch(n_in=n_in, n_out=2, seed=seed)
    if callable(cut):
        body = cut(net)
        if not isinstance(body, Module):
            raise TypeError(f"cut returns the body, a Module; it returned {type(body).__name__}")
        return body
    children = list(net.children())
    if cut is None:
        cut = MODEL_META[arch][0] if arch in MODEL_META else _last_pool(children)
    if cut > len(children) or not children[:cut]:
        raise ValueError(f"cut={cut} keeps {'nothing' if cut <= 0 else 'more than there is'}: this "
                         f"network has {len(children)} children, so cut is 1 to {len(children)}, "
                         f"or {1 - len(children)} to -1")
    return Sequential(*children[:cut])


def _last_pool(children: Sequence[Module]) -> int:
    pooling = [i for i, child in enumerate(children)
               if any(isinstance(module, (Pool2d, AdaptivePool2d)) for module in child.modules())]
    if not pooling:
        raise ValueError(f"none of the {len(children)} children of this network has a pooling "
                         "layer at which its body could end; pass cut=")
    return pooling[-1]


def num_features_model(body: Module, n_in: int = 3, size: Sequence[int] = (64, 64)) -> int:
    """Return the number of channels of a body's output, found with one blank image.

    Parameters
    ----------
    body : Module
        A model from (bs, n_in, h, w) to (bs, n, h', w').
    n_in : int
        Channels of the image.
    size : (int, int)
        The image's height and width.

    Returns
    -------
    int
        The number of channels.

    Raises
    ------
    ShapeError
        If the output has no height and width.

    Examples
    --------
    >>> num_features_model(create_body(resnet10), 3, (8, 8))
    64
    """
    shape: tuple[int, ...] = _blank_output(body, (n_in, *size))
    if len(shape) != 4:
        raise ShapeError(f"a body returns (bs, channels, height, width); this one returned {shape} "
                         f"for an image of {n_in} x {size[0]} x {size[1]}: cut earlier")
    return shape[1]


def _blank_output(model: Module, image_shape: Sequence[int]) -> Any:
    """Return the shape of a model's output for one blank image (c, h, w)."""
    devices = [p.device for p in model.parameters()] or ["cpu"]
    blank = Tensor(np.zeros((1, *image_shape), np.float32)).to(devices[0])
    with no_grad(), evaluating(model):
        return model(blank).shape


# ---------------------------------------------------------------- head


def create_head(nf: int, nc: int, lin_ftrs: Sequence[int] | None = None,
                ps: float | Sequence[float] = .5, concat_pool: bool = True,
                bn_final: bool = False, seed: Seed = None) -> Sequential:
    """Return pooling and linear layers that turn a body's output into scores (bs, nc).

    Each Linear follows batch norm and dropout; there is a ReLU between them.

    Parameters
    ----------
    nf : int
        Features after pooling: the body's channels, twice as many with ``concat_pool``.
    nc : int
        Classes.
    lin_ftrs : list of int, optional
        Widths of the hidden layers; one of 512 by default.
    ps : float or list of float
        Dropout before each Linear. One number is for the last, the others get half of it.
    concat_pool : bool
        Pool by maximum and mean instead of the mean alone.
    bn_final : bool
        Add batch norm at the end.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.

    Returns
    -------
    Sequential
        The head.

    Raises
    ------
    ValueError
        If there are more or fewer ``ps`` than linear layers.

    Notes
    -----
    fastai v1's ``create_head``.

    Examples
    --------
    >>> [type(layer).__name__ for layer in create_head(128, 10, lin_ftrs=[])]
    ['AdaptiveConcatPool2d', 'Flatten', 'BatchNorm1d', 'Dropout', 'Linear']
    """
    widths = [nf, *([512] if lin_ftrs is None else lin_ftrs), nc]
    hidden, rng = len(widths) - 2, generator(seed)
    each = [ps / 2] * hidden + [ps] if isinstance(ps, (int, float)) else ps
    drops = one_dropout_each(each, hidden + 1, f"linear layers of widths {widths[1:]}")
    layers: list[Module] = [AdaptiveConcatPool2d() if concat_pool else AdaptiveAvgPool2d(1),
                            Flatten()]
    for i, p in enumerate(drops):
        layers += bn_drop_lin(widths[i], widths[i + 1], True, p, ReLU() if i < hidden else None,
                              rng)
    return Sequential(*layers, *([BatchNorm1d(nc, momentum=.01)] if bn_final else []))


def apply_init(model: Module, init: Callable[..., Any] = kaiming_normal_, seed: Seed = None
               ) -> None:
    """Initialise the weights of a model anew, and set its biases to 0.

    Batch norm and frozen layers keep their weights.

    Parameters
    ----------
    model : Module
        The model to change.
    init : callable
        Fills a weight in place: ``init(weight)``, or ``init(weight, seed=generator)`` if it takes
        a seed, as those of minifast do.
    seed : int, numpy.random.Generator or None
        Source of the random numbers.

    Notes
    -----
    fastai v1's ``apply_init``.

    Examples
    --------
    >>> head = create_head(4, 2)
    >>> apply_init(head)
    >>> head[4].bias[:2]
    tensor([0., 0.], grad_fn=<getitem>)
    """
    rng = generator(seed)
    options = {"seed": rng} if "seed" in signature(init).parameters else {}
    for module in model.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(module, BatchNorm) or weight is None or not weight.requires_grad:
            continue
        init(weight, **options)
        if bias is not None:
            bias.data.fill(0)


# ---------------------------------------------------------------- trained weights


def load_body(body: Module, file: str | Path, strict: bool = True) -> None:
    """Load the weights and statistics of a body from a checkpoint; those of its head are ignored.

    Parameters
    ----------
    body : Module
        The body to change.
    file : str or Path
        A checkpoint of a ``cnn_learner``, or of the whole network that the body was cut from.
    strict : bool
        Require a value for every weight, and no others.

    Raises
    ------
    FileNotFoundError
        If there is no such checkpoint.
    StateDictError
        If the weights do not fit. The body is then unchanged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> images, body = np.zeros((4, 8, 8), np.uint8), create_body(resnet10, n_in=1)
    >>> with TemporaryDirectory() as folder:
    ...     data = ImageDataBunch.from_arrays(images, [0, 1] * 2, path=folder, bs=2)
    ...     trained = cnn_learner(data, resnet10)
    ...     load_body(body, trained.save("trained", return_path=True))
    >>> bool((body[0].weight.data == trained.model[0][0].weight.data).all())
    True
    """
    path = Path(file) if str(file).endswith(SUFFIX) else Path(f"{file}{SUFFIX}")
    weights, _ = part_state(load_arrays(path))
    try:
        body.load_state_dict(_body_weights(weights, body), strict)
    except StateDictError as error:
        raise StateDictError(f"{path} holds the weights of another body; use the architecture, cut "
                             f"and number of channels of its training: {error}") from None


def _body_weights(weights: Arrays, body: Module) -> Arrays:
    """Pick a body's weights: child 0 of a learner's model, or the first children of a network."""
    own, children = body.state_dict(), dict(body.named_children())
    of_learner = {k.removeprefix("0."): v for k, v in weights.items() if k.startswith("0.")}
    of_network = {k: v for k, v in weights.items() if k.partition(".")[0] in children}
    return max(of_learner, of_network, key=lambda found: sum(
        own[k].shape == found[k].shape for k in own.keys() & found.keys()))


# ---------------------------------------------------------------- learner


def cnn_learner(data: DataBunch, base_arch: Arch, cut: Cut = None,
                pretrained: bool | str | Path = False, lin_ftrs: Sequence[int] | None = None,
                ps: float | Sequence[float] = .5, custom_head: Module | None = None,
                split_on: SplitOn | None = None, bn_final: bool = False,
                init: Callable[..., Any] | None = kaiming_normal_, concat_pool: bool = True,
                seed: Seed = None, **learn_kwargs: Any) -> Learner:
    """Return a learner whose model is an architecture's body and a new head.

    Parameters
    ----------
    data : DataBunch
        Batches of images (bs, c, h, w) and classes.
    base_arch : callable
        The architecture, as for ``create_body``.
    cut : int or callable, optional
        Where its body ends, as for ``create_body``.
    pretrained : str or Path, optional
        A checkpoint with weights for the body, as for ``load_body``. All layer groups but the
        last are then frozen, until ``learn.unfreeze()``.
    lin_ftrs : list of int, optional
        Widths of the head's hidden layers; one of 512 by default.
    ps : float or list of float
        Dropout of the head's linear layers, as for ``create_head``.
    custom_head : Module, optional
        A head to use instead of ``create_head``'s.
    split_on : Module, list or callable, optional
        Where layer groups begin, as for ``learn.split``. By default the residual networks have
        three groups, others two: body and head.
    bn_final : bool
        Add batch norm at the end of the head.
    init : callable or None
        How to initialise the head, as for ``apply_init``; None keeps its weights.
    concat_pool : bool
        Pool by maximum and mean.
    seed : int, numpy.random.Generator or None
        Source of the initial weights.
    **learn_kwargs
        Arguments of ``Learner``.

    Returns
    -------
    Learner
        The learner.

    Raises
    ------
    ShapeError
        If the batches are not images.
    ValueError
        If the number of classes is unknown or not that of ``custom_head``, or ``pretrained`` is
        True.
    StateDictError
        If the weights of ``pretrained`` do not fit.

    Notes
    -----
    fastai v1's ``cnn_learner``, whose ``pretrained=True`` downloads weights.

    Examples
    --------
    >>> images = np.zeros((4, 8, 8), np.uint8)
    >>> data = ImageDataBunch.from_arrays(images, ["cat", "dog"] * 2, bs=2)
    >>> learn = cnn_learner(data, resnet10, lin_ftrs=[], seed=0)
    >>> learn.model[1][-1], len(learn.layer_groups)
    (Linear(in_features=128, out_features=2, bias=True), 3)
    """
    if pretrained is True:
        raise ValueError("there are no weights to download: pretrained= is the file of a "
                         "checkpoint, such as learn.save('name', return_path=True) returns")
    rng, image_shape = generator(seed), _image_shape(data)
    body = create_body(base_arch, cut, image_shape[0], rng)
    if custom_head is None:
        nf = num_features_model(body, image_shape[0], image_shape[1:]) * (2 if concat_pool else 1)
        head: Module = create_head(nf, int(data.c or 0), lin_ftrs, ps, concat_pool, bn_final, rng)
    else:
        head = custom_head
        shape = _blank_output(Sequential(body, head), image_shape)
        if shape != (1, data.c):
            raise ValueError(f"this custom_head does not fit data.c: for one image it returns "
                             f"{shape}, but data.c={data.c} classes need (1, {data.c})")
    if init is not None:
        apply_init(head, init, rng)
    learn = Learner(data, Sequential(body, head), **learn_kwargs)
    learn.split(_group_starts(base_arch, body, head) if split_on is None else split_on)
    if pretrained is not False:
        load_body(body, pretrained)
        learn.freeze()
    return learn


create_cnn = cnn_learner
"""fastai v1's older name of ``cnn_learner``."""


def _image_shape(data: DataBunch) -> tuple[int, ...]:
    if not data.c:
        raise ValueError("the number of classes of these data is unknown; make them with "
                         "ImageDataBunch, or pass c= to DataBunch")
    if isinstance(data, ImageDataBunch):  # which may be without images
        return data.image_shape
    x = data.one_batch(DatasetType.Fix)[0]
    if not isinstance(x, Tensor) or x.ndim != 4:
        found = f"shape {x.shape}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ShapeError(f"cnn_learner needs batches of images (bs, channels, height, width), got "
                         f"{found}; make the data with ImageDataBunch")
    return x.shape[1:]


def _group_starts(arch: Arch, body: Module, head: Module) -> list[Module]:
    second = list(body.children())[MODEL_META[arch][1]:] if arch in MODEL_META else []
    return [*second[:1], head]


def init(learn: Learner, init: Callable[..., Any]) -> None:
    """Initialise the weights of the model anew; v1's ``learn.init``.

    Parameters
    ----------
    learn : Learner
        The learner.
    init : callable
        As for `apply_init`.

    Examples
    --------
    >>> from minifast.nn import Linear, MSELossFlat
    >>> learn = Learner(DataBunch([]), Linear(2, 1), loss_func=MSELossFlat())
    >>> learn.init(lambda weight: weight.data.fill(1))
    >>> learn.model.weight.data.tolist()
    [[1.0, 1.0]]
    """
    apply_init(learn.model, init)


setattr(Learner, init.__name__, init)
