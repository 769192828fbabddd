"""Callbacks: what can happen at each event of training."""
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .learner import Learner

EVENTS = ("train_begin", "epoch_begin", "batch_begin", "loss_begin", "backward_begin",
          "backward_end", "step_end", "batch_end", "epoch_end", "train_end")
"""The events in their order; the names and the order are fastai v1's."""

Changes = dict[str, Any] | None
"""What a handler may give back: new values for parts of the state."""


class UnknownEventError(TypeError):
    """A callback has an ``on_...`` method that no event calls."""


class Callback:
    """Base of all callbacks; fastai v1's ``Callback``.

    Each handler is given the whole training state by name and takes what it needs; it may give
    back a dictionary of changes to the state (``{"stop_training": True}``). Lower ``_order``
    runs first. A method that starts with ``on_`` and is no event is refused when the class is
    made: it would never be called.

    >>> class Loud(Callback):
    ...     def on_epoch_end(self, epoch, **state):
    ...         print("epoch", epoch)
    """

    _order = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = [f"on_{event}" for event in EVENTS]
        for name in vars(cls):
            if name.startswith("on_") and name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise UnknownEventError(f"{cls.__name__}.{name} is no event, so it would never "
                                        f"run; {hint}The events are {', '.join(known)}")

    def on_train_begin(self, **state: Any) -> Changes:
        """Before the first epoch."""

    def on_epoch_begin(self, **state: Any) -> Changes:
        """Before an epoch's first batch."""

    def on_batch_begin(self, **state: Any) -> Changes:
        """Before a batch: ``last_input`` and ``last_target`` can be changed."""

    def on_loss_begin(self, **state: Any) -> Changes:
        """After the forward pass: ``last_output`` can be changed."""

    def on_backward_begin(self, **state: Any) -> Changes:
        """After the loss: ``last_loss`` can be changed, ``skip_bwd`` skips the backward pass."""

    def on_backward_end(self, **state: Any) -> Changes:
        """When gradients are there; ``skip_step`` skips the optimizer's step."""

    def on_step_end(self, **state: Any) -> Changes:
        """After the step; ``skip_zero`` lets gradients accumulate."""

    def on_batch_end(self, **state: Any) -> Changes:
        """After a batch; ``stop_epoch`` leaves the epoch's loop."""

    def on_epoch_end(self, **state: Any) -> Changes:
        """After validation; ``stop_training`` makes it the last epoch."""

    def on_train_end(self, **state: Any) -> Changes:
        """At the end in any case; ``exception`` is what ended it, or False."""

    def hears(self, event: str) -> bool:
        """Whether ``on_<event>`` is to be called, where this class has one; of the events of a
        batch the handler asks anew when an epoch begins."""
        return getattr(type(self), f"on_{event}") is not getattr(Callback, f"on_{event}")

    def jump_to_epoch(self, epoch: int) -> None:
        """Prepare for a training that goes on at ``epoch``."""


class LearnerCallback(Callback):
    """A callback that knows its learner, and can be found on it by its name in snake case.

    ``learn.recorder`` is the Recorder of the present or last fit; fastai v1's
    ``LearnerCallback``.
    """

    def __init__(self, learn: "Learner") -> None:
        self.learn = learn
        setattr(learn, snake_case(type(self).__name__), self)


def snake_case(name: str) -> str:
    """The attribute under which a learner keeps a callback; v1's ``camel2snake``.

    >>> snake_case("OneCycleScheduler"), snake_case("LRFinder"), snake_case("CSVLogger")
    ('one_cycle_scheduler', 'lr_finder', 'csv_logger')
    """
    apart = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", apart).lower()
