"""CallbackHandler: the training state, and who hears of each event."""
from collections.abc import Callable, Iterable
from typing import Any

from ..autograd import Tensor
from .callback import EVENTS, Callback
from .smooth import SmoothenValue

BATCH_EVENTS = EVENTS[2:8]
"""Those that come at every batch, from ``batch_begin`` to ``batch_end``."""


class CallbackHandler:
    """Calls the callbacks at each event with the state, and takes in what they change.

    Metrics are heard first, and at batches only in validation. The state is a dictionary with
    fastai v1's keys; a callback that gives back another key is told so.
    """

    def __init__(self, callbacks: Iterable[Callback], metrics: Iterable[Callback] = ()) -> None:
        self.callbacks = sorted(callbacks, key=lambda cb: cb._order)
        self.metrics = list(metrics)
        self.smoothener = SmoothenValue(.98)
        self.state: dict[str, Any] = {"epoch": 0, "iteration": 0, "num_batch": 0,
                                      "skip_validate": False}
        self._hear, self._measure = ({event: _listeners(some, event, Callback.hears)
                                      for event in EVENTS}
                                     for some in (self.callbacks, self.metrics))

    def _call(self, event: str, measured: bool = False, **extra: Any) -> None:
        state, hear = self.state, self._hear[event]
        for listener in (*self._measure[event], *hear) if measured else hear:
            changes = listener(**state, **extra) if extra else listener(**state)
            if changes:
                self._take_in(listener, changes)

    def _take_in(self, listener: Callable[..., Any], changes: dict[str, Any]) -> None:
        unknown = [key for key in changes if key not in self.state]
        if unknown:
            raise ValueError(f"{listener.__qualname__} gave back {', '.join(map(repr, unknown))}, "
                             "which the training state does not have; its keys now are "
                             f"{', '.join(self.state)}")
        self.state.update(changes)

    # ---- the events, in order

    def on_train_begin(self, epochs: int, metrics_names: list[str]) -> None:
        """Training begins: ``metrics_names`` are those of the metrics' columns."""
        self.state.update(n_epochs=epochs, metrics=self.metrics)
        self._call("train_begin", measured=True, metrics_names=metrics_names)

    def on_epoch_begin(self) -> None:
        """An epoch begins."""
        self.state.update(num_batch=0, stop_training=False)
        self._call("epoch_begin", measured=True)
        for event in BATCH_EVENTS:
            self._hear[event] = _listeners(self.callbacks, event, lambda cb, name: cb.hears(name))

    def on_batch_begin(self, xb: Any, yb: Any, train: bool = True) -> tuple[Any, Any]:
        """A batch begins; gives back the batch, which callbacks may have changed."""
        state = self.state
        state.update(last_input=xb, last_target=yb, train=train, stop_epoch=False,
                     skip_step=False, skip_zero=False, skip_bwd=False)
        if not train or self._hear["batch_begin"]:
            self._call("batch_begin", measured=not train)
        return state["last_input"], state["last_target"]

    def on_loss_begin(self, output: Any) -> Any:
        """The model has spoken; gives back its output."""
        state = self.state
        state["last_output"] = output
        if self._hear["loss_begin"]:
            self._call("loss_begin")
        return state["last_output"]

    def on_backward_begin(self, loss: Tensor) -> tuple[Tensor, bool]:
        """The loss is known; gives it back, and whether to skip the backward pass."""
        state = self.state
        state["last_loss"], state["smooth_loss"] = loss, self.smoothener.add(loss.data)
        self._call("backward_begin")
        return state["last_loss"], state["skip_bwd"]

    def on_backward_end(self) -> bool:
        """Gradients are there; whether to skip the step."""
        if self._hear["backward_end"]:
            self._call("backward_end")
        return bool(self.state["skip_step"])

    def on_step_end(self) -> bool:
        """The step is done; whether to keep the gradients."""
        if self._hear["step_end"]:
            self._call("step_end")
        return bool(self.state["skip_zero"])

    def on_batch_end(self, loss: Any) -> bool:
        """A batch is done; whether to leave the loop."""
        state = self.state
        state["last_loss"] = loss
        self._call("batch_end", measured=not state["train"])
        if state["train"]:
            state["iteration"] += 1
            state["num_batch"] += 1
        return bool(state["stop_epoch"])

    def on_epoch_end(self, val_loss: Any) -> bool:
        """Validation is done, or was skipped (None); whether training stops."""
        self.state["last_metrics"] = [] if val_loss is None else [val_loss]
        self._call("epoch_end", measured=val_loss is not None)
        self.state["epoch"] += 1
        return bool(self.state["stop_training"])

    def on_train_end(self, exception: BaseException | bool) -> None:
        """Training is over, by ``exception`` or not (False)."""
        self._call("train_end", measured=True, exception=exception)


def _listeners(callbacks: Iterable[Callback], event: str,
               hears: Callable[[Callback, str], bool]) -> list[Callable[..., Any]]:
    """The bound methods of those callbacks that hear an event."""
    return [getattr(cb, f"on_{event}") for cb in callbacks if hears(cb, event)]
