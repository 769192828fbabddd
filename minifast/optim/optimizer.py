"""Optimizer: a list of small steps, over layer groups."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import backend_of
from ..nn import Parameter
from .arena import Block
from .hyper import Hyper, Plan, one_per_group
from .steps import (
    adam_step,
    average_grad,
    average_sqr_grad,
    l2_reg,
    momentum,
    rms_momentum,
    sgd_step,
    weight_decay,
)

Step = Callable[..., None]
Groups = Iterable[Parameter] | Iterable[Iterable[Parameter]]


class Optimizer:
    """Runs ``steps`` over the trainable parameters of each layer group.

    ``groups`` is a list of parameters, or one list per layer group. Each group has its own
    value of every hyper-parameter. A parameter that does not require a gradient is left alone,
    to the bit: it lies in no arena, so no step can reach it. ``lazy`` says whether large tables
    are updated only at the rows that were looked up, with the same results (docs/lazy.md); None
    is where it pays. ``nodes`` is how closely, for Adam, and None is closely enough for float32.
    fastai v2's ``Optimizer``, v1's ``OptimWrapper``.

    >>> w = Parameter(np.ones(2, np.float32))
    >>> opt = SGD([w], lr=.5)
    >>> (w * w).sum().backward(); opt.step(); w.data
    array([0., 0.], dtype=float32)
    """

    lr, mom, wd, beta, eps = Hyper(), Hyper(), Hyper(), Hyper(), Hyper()

    def __init__(self, groups: Groups, steps: Sequence[Step], bn_wd: bool = True,
                 lazy: bool | None = None, nodes: int | None = None,
                 **hypers: float | Sequence[float]) -> None:
        self.groups = _as_groups(groups)
        self.steps, self.bn_wd = list(steps), bn_wd
        self.hypers: list[dict[str, float]] = [{} for _ in self.groups]
        self.set_hypers(**hypers)
        self.plan()
        self.arenas: list[Any] = [None] * len(self.groups)
        self.clear()

    def set_hypers(self, **values: float | Sequence[float]) -> None:
        n = len(self.groups)
        lists = {name: one_per_group(name, value, n) for name, value in values.items()}
        for i, hypers in enumerate(self.hypers):
            hypers.update({name: of_groups[i] for name, of_groups in lists.items()})

    def get_hyper(self, name: str) -> list[float]:
        return [hypers[name] for hypers in self.hypers]

    def step(self) -> None:
        for blocks, hypers in zip(self.blocks, self.hypers, strict=True):
            for block in blocks:
                if block.p.requires_grad and block.p.grad is not None:
                    block.start()
                    for step in self.steps:
                        step(block, **hypers)

    def after_step(self, call: Callable[[], None]) -> None: ...
    def settle(self) -> None: ...

    def plan(self, at: int = 0, **schedules: Sequence[Sequence[float]]) -> None:
        self._plan = Plan(schedules, len(self.groups))

    def follow(self, at: int) -> None:
        self._plan.set(self.hypers, at)

    def zero_grad(self) -> None:
        for group in self.groups:
            for p in group:
                p.grad = None

    def clear(self) -> None:
        self.blocks = [[Block(p, self.bn_wd or not p.no_wd) for p in group]
                       for group in self.groups]

    def state_dict(self) -> dict[str, Any]:
        state = {f"hyper.{name}": np.array(self.get_hyper(name)) for name in self.hypers[-1]}
        for i, blocks in enumerate(self.blocks):
            for j, block in enumerate(blocks):
                if block.p.requires_grad:
                    state[f"{i}.{j}.steps"] = np.array([block.steps])
                    state |= {f"{i}.{j}.{k}": np.array(backend_of(v).to_host(v))
                              for k, v in block.state.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if misfit := self.misfit(state):
            raise ValueError(f"optimizer state does not fit: {misfit}")
        self.set_hypers(**{name: np.asarray(state[f"hyper.{name}"]).tolist()
                           for name in self.hypers[-1]})
        for k, v in state.items():
            if k.startswith("hyper."):
                continue
            i, j, name = k.split(".")
            block = self.blocks[int(i)][int(j)]
            if name == "steps":
                block.steps = int(v[0])
            else:
                block[name][...] = backend_of(block.p.data).from_host(np.asarray(v))

    def misfit(self, state: Mapping[str, Any]) -> str:
        mine = {k for k in self.state_dict() if k.endswith("steps")}
        return "other trainable parameters" if mine != {k for k in state if k.endswith("steps")} \
            else ""


def _as_groups(groups: Groups) -> list[list[Parameter]]:
    items: list[Any] = list(groups)
    if not items:
        raise ValueError("an optimizer needs parameters; this list of groups is empty")
    nested = [items] if isinstance(items[0], Tensor) else [list(group) for group in items]
    for p in (p for group in nested for p in group):
        if not isinstance(p, Parameter):
            raise TypeError(f"an optimizer updates Parameters, got {type(p).__name__}: {p!r}; "
                            "use model.parameters(), or wrap the array: Parameter(array)")
    seen: dict[int, Parameter] = {}  # a parameter shared by two groups belongs to the first
    return [[seen.setdefault(id(p), p) for p in group if id(p) not in seen] for group in nested]


# ---------------------------------------------------------------- the optimizers

def SGD(groups: Groups, lr: float | Sequence[float] = 1e-3, mom: float = 0.,  # noqa: N802
        wd: float | Sequence[float] = 0., true_wd: bool = True, bn_wd: bool = True,
        lazy: bool | None = None) -> Optimizer:
    """Stochastic gradient descent, with momentum; ``torch.optim.SGD``.

    ``true_wd`` decouples weight decay from the gradient; False is the classic L2 penalty.

    >>> SGD([Parameter(np.ones(2, np.float32))], lr=.1, mom=.9).mom
    0.9
    """
    return Optimizer(groups, [_decay(true_wd), momentum, sgd_step], bn_wd, lazy, lr=lr, mom=mom,
                     wd=wd)


def RMSProp(groups: Groups, lr: float | Sequence[float] = 1e-3, mom: float = 0.,  # noqa: N802
            beta: float = .99, eps: float = 1e-8, wd: float | Sequence[float] = 0.,
            true_wd: bool = True, bn_wd: bool = True) -> Optimizer:
    """The gradient over the root of its average square; ``torch.optim.RMSprop``.

    >>> RMSProp([Parameter(np.ones(2, np.float32))]).beta
    0.99
    """
    return Optimizer(groups, [_decay(true_wd), average_sqr_grad, rms_momentum, sgd_step], bn_wd,
                     lr=lr, mom=mom, beta=beta, eps=eps, wd=wd)


def Adam(groups: Groups, lr: float | Sequence[float] = 1e-3, mom: float = .9,  # noqa: N802
         beta: float = .99, eps: float = 1e-8, wd: float | Sequence[float] = 0.,
         true_wd: bool = True, bn_wd: bool = True, lazy: bool | None = None,
         nodes: int | None = None) -> Optimizer:
    """Averages of gradient and squared gradient; v1's default optimizer (it says ``AdamW``).

    ``mom`` and ``beta`` are torch's two betas; fastai's second one is 0.99.

    >>> Adam([Parameter(np.ones(2, np.float32))]).mom
    0.9
    """
    return Optimizer(groups, [_decay(true_wd), average_grad, average_sqr_grad, adam_step], bn_wd,
                     lazy, nodes, lr=lr, mom=mom, beta=beta, eps=eps, wd=wd)


def _decay(true_wd: bool) -> Step:
    return weight_decay if true_wd else l2_reg
