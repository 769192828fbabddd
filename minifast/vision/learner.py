"""Images: a network that somebody trained before, and a new head for one's own classes.

``from minifast.vision import *`` gives a notebook the names that fastai v1's did.
"""
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import ShapeError, Tensor, no_grad
from ..backend import generator
from ..data import DataBunch, DatasetType
from ..nn import (
    BatchNorm,
    BatchNorm1d,
    Flatten,
    Module,
    ReLU,
    Sequential,
    StateDictError,
    bn_drop_lin,
    kaiming_normal_,
)
from ..nn.init import Seed
from ..train import Learner
from ..train.checkpoint import SUFFIX, Arrays, load_arrays, part_state
from ..train.groups import SplitOn
from ..train.loop import evaluating
from .pool import AdaptiveAvgPool2d, AdaptiveConcatPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from .resnet import resnet10, resnet20

Arch = Callable[..., Module]
"""Makes a network: called with ``n_in=`` channels, ``n_out=`` classes and ``seed=``."""
Cut = int | Callable[[Module], Module] | None
POOLS = (AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d)
_ARCHS: dict[Any, tuple[int, int]] = {resnet10: (-3, 4), resnet20: (-3, 5)}
"""Where an architecture's body ends, and where the second of its two layer groups begins."""


# ---------------------------------------------------------------- body


def create_body(arch: Arch, cut: Cut = None, n_in: int = 3, seed: Seed = None) -> Module:
    """A network without its last layers: the children before ``cut``.

    ``cut`` is a number of children as in ``children[:cut]``, or a function from the network to
    its body. Left out, it stands in a table for the residual networks; of others the body ends
    before the last child with a pooling layer. fastai v1's ``create_body``.

    >>> [type(layer).__name__ for layer in create_body(resnet20)]
    ['Conv2d', 'BatchNorm2d', 'ReLU', 'Sequential', 'Sequential', 'Sequential']
    """
    net = arch(n_in=n_in, n_out=2, seed=seed)
    if callable(cut):
        body = cut(net)
        if not isinstance(body, Module):
            raise TypeError(f"cut gives the body, a Module; it gave {type(body).__name__}")
        return body
    children = list(net.children())
    end = cut if cut is not None else _ARCHS[arch][0] if arch in _ARCHS else _last_pool(children)
    if end > len(children) or not children[:end]:
        raise ValueError(f"cut={end} leaves {'nothing' if end <= 0 else 'more than there is'}: "
                         f"this network has {len(children)} children, so cut lies between 1 and "
                         f"{len(children)}, or between {1 - len(children)} and -1")
    return Sequential(*children[:end])


def _last_pool(children: Sequence[Module]) -> int:
    pooling = [i for i, child in enumerate(children)
               if any(isinstance(module, POOLS) for module in child.modules())]
    if not pooling:
        raise ValueError(f"none of the {len(children)} children of this network has a pooling "
                         "layer, before which its body could end; pass cut=")
    return pooling[-1]


def num_features_model(body: Module, n_in: int = 3, size: Sequence[int] = (64, 64)) -> int:
    """How many channels a body gives, found with one blank image of ``size``.

    >>> num_features_model(create_body(resnet10), 3, (8, 8))
    64
    """
    shape = _output_of_blank(body, n_in, size)
    if len(shape) != 4:
        raise ShapeError(f"a body gives images (bs, channels, height, width); this one gave "
                         f"{shape} for an image of {n_in} x {size[0]} x {size[1]}: cut earlier")
    return shape[1]


def _output_of_blank(model: Module, n_in: int, size: Sequence[int]) -> tuple[int, ...]:
    devices = [p.device for p in model.parameters()] or ["cpu"]
    blank = Tensor(np.zeros((1, n_in, *size), np.float32)).to(devices[0])
    with no_grad(), evaluating(model):
        shape: tuple[int, ...] = model(blank).shape
    return shape


# ---------------------------------------------------------------- head


def create_head(nf: int, nc: int, lin_ftrs: Sequence[int] | None = None,
                ps: float | Sequence[float] = .5, concat_pool: bool = True,
                bn_final: bool = False, seed: Seed = None) -> Sequential:
    """Pooling, then batch norm, dropout and Linear with ReLU between: images to ``nc`` scores.

    ``nf`` features come in: twice the body's channels with ``concat_pool``, which takes the
    largest of each channel and its mean. ``lin_ftrs`` are the hidden widths, 512 by default.
    ``ps`` is a dropout for each Linear, or one number: the last has it, the others half.
    fastai v1's ``create_head``.

    >>> [type(layer).__name__ for layer in create_head(128, 10, lin_ftrs=[])]
    ['AdaptiveConcatPool2d', 'Flatten', 'BatchNorm1d', 'Dropout', 'Linear']
    """
    widths = [nf, *([512] if lin_ftrs is None else lin_ftrs), nc]
    hidden, rng = len(widths) - 2, generator(seed)
    drops = [ps / 2] * hidden + [ps] if isinstance(ps, (int, float)) else list(ps)
    if len(drops) != hidden + 1:
        raise ValueError(f"{len(drops)} dropouts {drops} for {hidden + 1} linear layers of widths "
                         f"{widths[1:]}; give one number, or {hidden + 1} of them")
    layers: list[Module] = [AdaptiveConcatPool2d() if concat_pool else AdaptiveAvgPool2d(1),
                            Flatten()]
    for i, p in enumerate(drops):
        layers += bn_drop_lin(widths[i], widths[i + 1], True, p, ReLU() if i < hidden else None,
                              rng)
    return Sequential(*layers, *([BatchNorm1d(nc, momentum=.01)] if bn_final else []))


def apply_init(model: Module, init: Callable[..., Any] = kaiming_normal_, seed: Seed = None
               ) -> None:
    """New weights by ``init(weight, seed=generator)``, biases of 0; batch norm is left alone.

    Frozen layers are left alone as well. fastai v1's ``apply_init``.

    >>> head = create_head(4, 2)
    >>> apply_init(head)
    >>> head[4].bias[:2]
    tensor([0., 0.], grad_fn=<getitem>)
    """
    rng = generator(seed)
    for module in model.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(module, BatchNorm) or weight is None or not weight.requires_grad:
            continue
        init(weight, seed=rng)
        if bias is not None:
            bias.data.fill(0)


# ---------------------------------------------------------------- weights trained before


def load_body(body: Module, file: str | Path) -> None:
    """Give ``body`` the weights and statistics that a checkpoint has for it, all or none.

    The checkpoint is one of a ``cnn_learner``, or of the network that the body was cut from;
    its head does not matter. StateDictError names what is missing or of another shape.
    """
    path = Path(file) if str(file).endswith(SUFFIX) else Path(f"{file}{SUFFIX}")
    weights, _ = part_state(load_arrays(path))
    own = body.state_dict()
    found = max(_body_of_learner(weights), _body_of_network(weights, body),
                key=lambda state: sum(own[k].shape == state[k].shape for k in own.keys() & state))
    misfit = {
        "missing": [k for k in own if k not in found],
        "unexpected": [k for k in found if k not in own],
        "of another shape": [f"{k} {found[k].shape} where the body has {own[k].shape}"
                             for k in own if k in found and own[k].shape != found[k].shape]}
    if any(misfit.values()):
        names = "; ".join(f"{what}: {', '.join(some)}" for what, some in misfit.items() if some)
        raise StateDictError(f"the weights in {path} are of another body: {names}. Use the "
                             "architecture, cut and number of channels that they were trained with")
    body.load_state_dict(found)


def _body_of_learner(weights: Arrays) -> Arrays:
    return {k.removeprefix("0."): v for k, v in weights.items() if k.startswith("0.")}


def _body_of_network(weights: Arrays, body: Module) -> Arrays:
    children = {name for name, _ in body.named_children()}
    return {k: v for k, v in weights.items() if k.partition(".")[0] in children}


# ---------------------------------------------------------------- learner


def cnn_learner(data: DataBunch, base_arch: Arch, cut: Cut = None,
                pretrained: bool | str | Path = False, lin_ftrs: Sequence[int] | None = None,
                ps: float | Sequence[float] = .5, custom_head: Module | None = None,
                split_on: SplitOn | None = None, bn_final: bool = False,
                init: Callable[..., Any] | None = kaiming_normal_, concat_pool: bool = True,
                seed: Seed = None, **learn_kwargs: Any) -> Learner:
    """A learner with the body of ``base_arch`` and a new head, in layer groups.

    ``pretrained`` is a checkpoint that the body's weights come from (``load_body``); all but
    the head is frozen then, until ``learn.unfreeze()``. ``custom_head`` takes the place of
    ``create_head(...)``. The residual networks have three layer groups, others two: body, head.
    ``learn_kwargs`` go to the learner, ``seed`` fixes the initial weights. fastai v1's
    ``cnn_learner``, whose ``pretrained=True`` downloads.
    """
    if pretrained is True:
        raise ValueError("there are no weights to download: pretrained= is the file of a "
                         "checkpoint, such as learn.save('name', return_path=True) gives")
    rng, (n_in, *size) = generator(seed), _image_shape(data)
    body = create_body(base_arch, cut, n_in, rng)
    if pretrained is not False:
        load_body(body, pretrained)
    if custom_head is None:
        nf = num_features_model(body, n_in, size) * (2 if concat_pool else 1)
        head: Module = create_head(nf, int(data.c or 0), lin_ftrs, ps, concat_pool, bn_final, rng)
    else:
        head = custom_head
        _check_head(Sequential(body, head), (n_in, *size), data.c)
    if init is not None:
        apply_init(head, init, rng)
    learn = Learner(data, Sequential(body, head), **learn_kwargs)
    learn.split(_default_split(base_arch) if split_on is None else split_on)
    if pretrained is not False:
        learn.freeze()
    return learn


def _image_shape(data: DataBunch) -> tuple[int, ...]:
    x = data.one_batch(DatasetType.Fix)[0]
    if not isinstance(x, Tensor) or x.ndim != 4:
        found = f"shape {x.shape}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ShapeError(f"cnn_learner needs batches of images (bs, channels, height, width), got "
                         f"{found}; make the data with ImageDataBunch")
    if not data.c:
        raise ValueError("these data do not say how many classes there are; make them with "
                         "ImageDataBunch, or pass c= to DataBunch")
    return x.shape[1:]


def _check_head(model: Module, image_shape: Sequence[int], c: int | None) -> None:
    shape = _output_of_blank(model, image_shape[0], image_shape[1:])
    if shape != (1, c):
        raise ValueError(f"this custom_head is a head for another data.c: for one image it gives "
                         f"{shape}, and data.c={c} classes need (1, {c})")


def _default_split(arch: Arch) -> Callable[[Module], list[Module]]:
    def split(model: Any) -> list[Module]:
        body, head = model[0], model[1]
        half = _ARCHS[arch][1] if arch in _ARCHS else 0
        return [body[half], head] if 0 < half < len(list(body.children())) else [head]
    return split
