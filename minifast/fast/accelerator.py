"""accelerate: the only entry point of the fast path.

Within its block, parameters are kept in flat storage, tables of embeddings in stores with deferred
updates, and known layers read them there. When the block ends, for whatever reason, arrays,
classes and optimizer state are ordinary again.
"""
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np

from ..autograd.tape import changed
from ..nn import Embedding, Module, Parameter
from ..optim import Optimizer, steps
from ..optim.steps import State
from ..train.interrupts import Interrupts, interrupts
from ..train.scheduler import Scheduler
from .deferred_table import PATIENCE
from .flat import FlatParameters
from .future import Schedules
from .layers import CLASSES
from .threads import finish

ELEMENTWISE = {steps.weight_decay, steps.l2_reg, steps.momentum, steps.average_grad,
               steps.average_sqr_grad, steps.sgd_step, steps.rms_momentum, steps.adam_step}
"""Steps that may be applied to slices of flat storage instead of whole parameters."""
LARGE = 31 << 20
"""Bytes of a block that makes glibc keep freed memory; see ``keep_memory``."""


class Accelerator:
    """Keeps a model and its optimizer in fast form, and restores the ordinary form.

    Parameters
    ----------
    model : Module
        The model.
    opt : Optimizer
        Its optimizer.
    schedulers : sequence of Scheduler
        The callbacks that set hyper-parameters at every step.
    always : bool
        Defer updates wherever it is possible, not only where it is faster.
    nodes : int, optional
        Quadrature nodes for deferred Adam.
    ctrl_c : Interrupts
        The handler of Ctrl-C.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.fast import accelerate
    >>> from minifast.nn import Embedding
    >>> from minifast.optim import SGD
    >>> layer = Embedding(3, 2, seed=0)
    >>> opt = SGD(layer.parameters(), lr=.1)
    >>> with accelerate(layer, opt):
    ...     type(opt.accelerator).__name__
    'Accelerator'
    """

    def __init__(self, model: Module, opt: Optimizer, schedulers: Iterable[Scheduler],
                 always: bool, nodes: int | None, ctrl_c: Interrupts) -> None:
        self.model, self.opt, self.always, self.nodes = model, opt, always, nodes
        self.ctrl_c = ctrl_c
        self.schedules = Schedules(list(schedulers))
        self.plain: Any = type(opt)
        self.states = opt.state
        self.flats: list[list[tuple[FlatParameters, bool]]] = []
        self.layers: list[Module] = []
        self.frozen: list[Parameter] = []
        self.active, self.taken, self.age, self.wait = False, 0, 0, 0

    def enter(self) -> None:
        """Move parameters into flat storage, and change the classes of layers."""
        for group in self.opt.groups:
            for p in group:
                if (owner := vars(p).get("owner")) is not None:
                    owner.leave()  # another optimizer of the same parameters
        self.active, self.age = True, 0
        try:
            self.trainable = self._flags()
            self.frozen = [p for group in self.opt.groups for p in group if not p.requires_grad]
            weights = {layer.weight for layer in self.model.modules() if type(layer) is Embedding}
            for group in self.opt.groups:
                self.flats.append([])
                for (*_, spared), alike in self._alike(group).items():
                    flat = FlatParameters(alike, self.states, weights, self)
                    self.flats[-1].append((flat, spared))
                    flat.defer(self.opt.steps, self.always, self.nodes)
            self._change_layers()
        except BaseException:
            self.leave()
            raise

    def restart(self) -> None:
        """Leave and enter again, so that later results depend only on weights and state."""
        self.ctrl_c.busy += 1
        try:
            self.leave()
            self.taken = self.wait = 0
            self.enter()
        finally:
            self.ctrl_c.busy -= 1

    def _flags(self) -> list[bool]:
        return [p.requires_grad for group in self.opt.groups for p in group]

    def _alike(self, group: Iterable[Parameter]) -> dict[tuple[Any, ...], list[Parameter]]:
        """The trainable parameters, grouped by what all in one flat storage must share."""
        alike: dict[tuple[Any, ...], list[Parameter]] = {}
        for p in group:
            if p.requires_grad:
                count = self.states[p].count if p in self.states else 0
                spared = p.no_wd and not self.opt.bn_wd
                alike.setdefault((p.device, p.dtype.str, count, spared), []).append(p)
            else:
                self.states.pop(p, None)
        return alike

    def _change_layers(self) -> None:
        for layer in self.model.modules():
            if type(layer) in CLASSES:
                layer.__class__ = CLASSES[type(layer)]
                vars(layer)["owner"] = self
                self.layers.append(layer)

    def leave(self) -> None:
        """Restore ordinary arrays, classes and state. The next step enters again."""
        if not self.active:
            return
        self.ctrl_c.busy += 1
        try:
            self._leave()
        finally:
            self.ctrl_c.busy -= 1

    def _leave(self) -> None:
        finish()
        while self.layers:
            layer = self.layers.pop()
            layer.__class__ = type(layer).__bases__[1]  # Borrowed is the first
            del vars(layer)["owner"]
        for flats in self.flats:
            while flats:  # a call after an error continues where the last one stopped
                flats[-1][0].release(self.states)
                flats.pop()
        self.active, self.flats = False, []
        if self.age < PATIENCE:
            self.wait = PATIENCE

    def step(self) -> None:
        """Make the optimizer's step, in fast form unless the state was read recently.

        After an error, everything is in ordinary arrays, and each weight has its value from before
        or after the step.
        """
        self.ctrl_c.busy += 1
        try:
            self._step()
        except BaseException:
            self.leave()
            raise
        finally:
            self.ctrl_c.busy -= 1

    def _step(self) -> None:
        if self.active and self.trainable != self._flags():
            self.leave()
            self.wait = 0
        if not self.active and self.wait:
            self.wait -= 1
            self.opt.interrupted = False  # the plain step sets it
            self.plain.step(self.opt)
            return
        if not self.active:
            self.enter()
        changed.mark([flat.data for flats in self.flats for flat, _ in flats], depth=3)
        for i, (hypers, flats) in enumerate(zip(self.opt.hypers, self.flats, strict=True)):
            for flat, spared in flats:
                now = {**hypers, "wd": 0.} if spared else hypers
                future = partial(self.schedules.future, i, now, ("wd",) if spared else ())
                flat.step(self.taken, self.opt.steps, now, future)
        self.taken, self.age = self.taken + 1, self.age + 1

    def zero_grad(self) -> None:
        """Forget all gradients."""
        if not self.active:
            self.plain.zero_grad(self.opt)
            return
        for flats in self.flats:
            for flat, _ in flats:
                flat.zero_grad()
        for p in self.frozen:
            p.grad = None


class AcceleratedOptimizer(Optimizer):
    """An optimizer within ``accelerate``; reading its state restores the plain form."""

    accelerator: Accelerator

    def step(self) -> None:
        """Update all trainable parameters from their gradients.

        In a loop without a learner, this raises the KeyboardInterrupt of a Ctrl-C.
        """
        if self.interrupted:
            self.check_complete()
        self.interrupted = True
        self.accelerator.step()
        self.interrupted = False
        if self.accelerator.ctrl_c.depth == 1:
            self.accelerator.ctrl_c.check()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.accelerator.zero_grad()

    def restart(self) -> None:
        """Continue as at the beginning of a fit, with the same bits."""
        self.accelerator.restart()

    @property
    def state(self) -> dict[Parameter, State]:
        """The State of each parameter that was updated."""
        self.accelerator.leave()
        return self.accelerator.states

    @state.setter
    def state(self, state: dict[Parameter, State]) -> None:
        self.accelerator.leave()
        self.accelerator.states = vars(self)["state"] = state

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle as the ordinary optimizer."""
        self.accelerator.leave()
        own = {name: value for name, value in vars(self).items() if name != "accelerator"}
        return object.__new__, (self.accelerator.plain,), own


@cache
def _accelerated(plain: Any) -> type[Optimizer]:
    """The optimizer's class with the methods of AcceleratedOptimizer in front."""
    bases = (AcceleratedOptimizer,) if plain is Optimizer else (AcceleratedOptimizer, plain)
    return type(plain.__name__, bases, {})


def _can_accelerate(opt: Optimizer) -> bool:
    """Whether it steps as Optimizer does, with elementwise steps."""
    return isinstance(opt, Optimizer) and set(opt.steps) <= ELEMENTWISE and all(
        getattr(type(opt), name) is getattr(Optimizer, name)
        for name in ("step", "update", "zero_grad"))


@contextmanager
def accelerate(model: Module, optimizer: Optimizer, callbacks: Iterable[Any] = (),
               always: bool = False, nodes: int | None = None) -> Iterator[None]:
    """Train faster, with the same results, until the end of the ``with`` block.

    Parameters move into flat storage, and an embedding table of which a batch reads few rows is
    updated only at these rows (docs/lazy.md). Reading ``p.data``, ``p.grad`` or the optimizer's
    state gives the true values at any time. An array that is kept across steps may hold other
    numbers in between, so read it again. At the end, also after an error or Ctrl-C, everything is
    in ordinary arrays, in the state of the last complete step. In a loop without a learner, the
    first Ctrl-C takes effect at the end of the next ``step``, a second one at once.

    Optimizers with custom steps, and subclasses with a ``step`` of their own, run unchanged.

    Parameters
    ----------
    model : Module
        The model.
    optimizer : Optimizer
        Its optimizer.
    callbacks : iterable of Callback
        The callbacks of the fit. A Scheduler among them gives the hyper-parameters of the next
        steps, which deferred updates need; without one, they are assumed to be constant.
    always : bool
        Defer updates of embeddings wherever it is possible, not only where it is faster.
    nodes : int, optional
        Quadrature nodes for deferred Adam; None picks the fewest with error below 1e-4, and
        below 1e-9 in float64.

    Examples
    --------
    >>> from minifast import tensor
    >>> from minifast.optim import SGD
    >>> layer = Embedding(3, 2, seed=0)
    >>> opt = SGD(layer.parameters(), lr=.1)
    >>> with accelerate(layer, opt, always=True):
    ...     layer(tensor([1, 1])).sum().backward()
    ...     opt.step()
    >>> type(layer.weight).__name__, layer.weight.grad[1].tolist()
    ('Parameter', [2.0, 2.0])
    """
    if not _can_accelerate(optimizer):
        yield
        return
    keep_memory()
    schedulers = [cb for cb in callbacks if isinstance(cb, Scheduler)]
    fast: Any = optimizer
    with interrupts() as ctrl_c:
        accelerator = Accelerator(model, optimizer, schedulers, always, nodes, ctrl_c)
        fast.accelerator = accelerator
        fast.__class__ = _accelerated(accelerator.plain)
        try:
            accelerator.enter()
            yield
        finally:
            accelerator.leave()
            fast.__class__ = accelerator.plain
            del fast.accelerator


@cache
def keep_memory() -> None:
    """Let the C library keep freed memory, instead of returning it to the system at once.

    A training step makes and frees the same large arrays again and again. glibc returns a large
    block to the system as soon as it is free, and the system clears it before it is used again.
    What counts as large follows the largest block freed so far, up to 32 MiB (mallopt(3),
    M_MMAP_THRESHOLD), so one is freed here; it is never touched, so it costs nothing. Other C
    libraries are not affected.

    Examples
    --------
    >>> keep_memory()
    """
    np.empty(LARGE, np.uint8)
