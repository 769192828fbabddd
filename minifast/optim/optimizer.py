"""Optimizer: a list of small steps, over layer groups."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import backend_of
from ..nn import Parameter
from .arena import Arena, Block
from .hyper import Coming, Hyper, Plan, one_per_group
from .planned import KINDS, lazy_stores
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
                 lazy: bool | None = False, nodes: int | None = None,
                 **hypers: float | Sequence[float]) -> None:
        self.groups = _as_groups(groups)
        self.lazy, self.nodes, self.taken = lazy, nodes, 0
        self._after: Callable[[], None] | None = None
        self.plan()
        self.steps, self.bn_wd = list(steps), bn_wd
        if lazy and tuple(steps) not in KINDS:
            raise ValueError("lazy updates are there for SGD and Adam with decoupled decay "
                             "(true_wd=True); leave out lazy=True")
        self.hypers: list[dict[str, float]] = [{} for _ in self.groups]
        self.set_hypers(**hypers)
        self.arenas: list[Arena | None] = [None] * len(self.groups)
        self._trainable: list[list[bool]] = [[] for _ in self.groups]
        self._frozen: list[list[Parameter]] = [[] for _ in self.groups]
        self._look_again()

    def set_hypers(self, **values: float | Sequence[float]) -> None:
        """Set hyper-parameters: one value for every group, or a list with one for each.

        A list of another length is a ValueError, and nothing is set then.
        """
        n = len(self.groups)
        lists = {name: one_per_group(name, value, n) for name, value in values.items()}
        for i, hypers in enumerate(self.hypers):
            hypers.update({name: of_groups[i] for name, of_groups in lists.items()})

    def get_hyper(self, name: str) -> list[float]:
        """The value of every group."""
        return [hypers[name] for hypers in self.hypers]

    def step(self) -> None:
        """Update all trainable parameters from their gradients."""
        for i, hypers in enumerate(self.hypers):
            if (arena := self._arena(i)) is None:
                continue
            if arena.lazy is not None:
                arena.lazy.step(self.taken, hypers, partial(self._coming, i))
            arena.collect()
            if arena.blocks:
                arena.each_block(partial(self._update, hypers))
        self.taken += 1
        if self._after is not None:
            call, self._after = self._after, None
            call()

    def after_step(self, call: Callable[[], None]) -> None:
        """Call this once, when the next step is done; a later call takes its place."""
        self._after = call

    def _update(self, hypers: Mapping[str, float], block: Block) -> None:
        block.start()
        for step in self.steps:
            step(block, **hypers)

    def plan(self, at: int = 0, **schedules: Sequence[Sequence[float]]) -> None:
        """Tell what the hyper-parameters will be: a list of values for each group, or one for all.

        ``lr=[values]`` says that the next step has the rate values[at], the one after it
        values[at + 1]; after the last it stays. What is not told is taken to stay as it is.
        ``follow`` sets the values. For lazy updates nothing but speed depends on the plan: the
        values at each step are those that are set then.
        """
        self._plan, self._zero = Plan(schedules, len(self.groups)), self.taken - at

    def follow(self, at: int) -> None:
        """Set the hyper-parameters to what is planned for step ``at``."""
        self._plan.set(self.hypers, at)

    def _coming(self, i: int) -> Coming:
        """The hyper-parameters of group i from this step on, as planned."""
        return self._plan.coming(self.taken - self._zero, i, self.hypers[i])

    def settle(self) -> None:
        """Let weights, gradients and state stand in the arenas as without lazy updates."""
        for arena in self.arenas:
            if arena is not None:
                arena.settle()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for arena in self.arenas:
            if arena is not None:
                arena.zero_grad()
        for frozen in self._frozen:
            for p in frozen:
                p.grad = None

    def clear(self) -> None:
        """Forget momentum and step counts."""
        for i, arena in enumerate(self.arenas):
            if arena is not None:
                arena.release()
                self.arenas[i] = self._new_arena(arena.parameters)

    def _new_arena(self, parameters: Sequence[Parameter]) -> Arena:
        arena = Arena(parameters, self.bn_wd)
        if self.lazy is not False:
            arena.lazy = lazy_stores(arena, self.steps, self.lazy is True, self.nodes)
        return arena

    def _arena(self, i: int) -> Arena | None:
        """The arena of group i, made anew when other parameters than before are trainable."""
        old, now = self.arenas[i], [p.requires_grad for p in self.groups[i]]
        if now == self._trainable[i]:
            return old
        trainable = [p for p in self.groups[i] if p.requires_grad]
        self.arenas[i] = new = self._new_arena(trainable) if trainable else None
        self._trainable[i] = now
        self._frozen[i] = [p for p in self.groups[i] if not p.requires_grad]
        if old is not None:
            old.release()
            if new is not None:
                new.inherit(old)
        return new

    def _look_again(self) -> None:
        """Bring all arenas up to date with what is trainable now."""
        for i in range(len(self.groups)):
            self._arena(i)

    # ---- state in and out

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the copy has arenas of its own, around its own parameters."""
        return {**self.__dict__, "arenas": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self.arenas, self._trainable = [None] * len(self.groups), [[] for _ in self.groups]
        self.load_state_dict(state["arenas"])

    def state_dict(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """Copies of all state as flat NumPy arrays: ``'<group>.<name>'`` and hyper-parameters."""
        self._look_again()
        self.settle()
        state = {f"hyper.{name}": np.array(self.get_hyper(name)) for name in self.hypers[-1]}
        for i, arena in enumerate(self.arenas):
            if arena is not None:
                state[f"{i}.steps"] = np.array([arena.steps])
                state |= {f"{i}.{name}": np.array(backend_of(whole).to_host(arena.flat(name)))
                          for name, whole in arena.state.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take state back. ValueError, and no change, if it is of other trainable parameters."""
        self.settle()
        if misfit := self.misfit(state):
            raise ValueError(f"optimizer state does not fit: {misfit}; freeze and split as they "
                             "were, or load with with_opt=False")
        self.set_hypers(**{name: np.asarray(state[f"hyper.{name}"]).tolist()
                           for name in self.hypers[-1]})
        for i, arena in enumerate(self.arenas):
            if arena is not None:
                _load_arena(arena, i, state)

    def misfit(self, state: Mapping[str, Any]) -> str:
        """What keeps ``state`` from being loaded; empty if nothing does."""
        self._look_again()
        needed = {f"hyper.{name}": len(self.groups) for name in self.hypers[-1]}
        needed |= {f"{i}.steps": 1 for i, a in enumerate(self.arenas) if a}
        sizes = {str(i): len(a.data) for i, a in enumerate(self.arenas) if a}
        wrong = [k for k in needed if k not in state]
        wrong += [k for k, value in state.items()
                  if np.shape(value) != (needed.get(k, sizes.get(k.partition(".")[0])),)]
        return f"{', '.join(sorted(wrong))} belong to other layer groups or other trainable " \
               "parameters" if wrong else ""


def _load_arena(arena: Arena, i: int, state: Mapping[str, Any]) -> None:
    arena.steps = int(np.asarray(state[f"{i}.steps"])[0])
    for name in list(arena.state):
        arena.state[name].fill(0)
    for key, value in state.items():
        group, _, name = key.partition(".")
        if group == str(i) and name != "steps":
            whole = arena.whole(name)
            arena.load_flat(name, backend_of(whole).from_host(np.asarray(value, whole.dtype)))


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
        lazy: bool | None = False) -> Optimizer:
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
         true_wd: bool = True, bn_wd: bool = True, lazy: bool | None = False,
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
