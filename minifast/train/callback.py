"""Callbacks: code that runs at the events of training. Metrics are callbacks too."""
import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any
from weakref import ref

from ..autograd import Tensor
from ..backend import Array

EVENTS = ("train_begin", "epoch_begin", "batch_begin", "loss_begin", "backward_begin",
          "backward_end", "step_end", "batch_end", "epoch_end", "train_end")
"""fastai v1's events, in their order."""

Changes = dict[str, Any] | None
"""What a handler returns: new values for entries of the training state."""


class UnknownEventError(TypeError):
    """A callback has an ``on_...`` method that no event calls."""


class Callback:
    """Base class of callbacks; fastai v1's ``Callback``.

    A handler ``on_<event>`` takes the entries of the training state that it names, or all of
    them with ``**kwargs``. It may return a dictionary with new values for some entries. Callbacks
    with a lower ``_order`` run first.

    Raises
    ------
    UnknownEventError
        If a subclass has an ``on_...`` method that is not an event. It would never be called.

    Examples
    --------
    >>> class StopEarly(Callback):
    ...     def on_epoch_end(self, epoch):
    ...         return {"stop_training": epoch == 2}
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

    def on_train_begin(self, *args: Any, **state: Any) -> Changes:
        """Run before the first epoch; can set its ``epoch``, or ``stop_training`` to skip all."""

    def on_epoch_begin(self, *args: Any, **state: Any) -> Changes:
        """Run before the first batch of an epoch."""

    def on_batch_begin(self, *args: Any, **state: Any) -> Changes:
        """Run before a batch; can change ``last_input`` and ``last_target``."""

    def on_loss_begin(self, *args: Any, **state: Any) -> Changes:
        """Run after the forward pass; can change ``last_output``."""

    def on_backward_begin(self, *args: Any, **state: Any) -> Changes:
        """Run after the loss; can change ``last_loss``, or set ``skip_bwd``."""

    def on_backward_end(self, *args: Any, **state: Any) -> Changes:
        """Run after the backward pass; can set ``skip_step``."""

    def on_step_end(self, *args: Any, **state: Any) -> Changes:
        """Run after the optimizer's step; can set ``skip_zero``, then gradients accumulate."""

    def on_batch_end(self, *args: Any, **state: Any) -> Changes:
        """Run after a batch; can set ``stop_epoch`` to skip the remaining batches."""

    def on_epoch_end(self, *args: Any, **state: Any) -> Changes:
        """Run after validation; can set ``stop_training``."""

    def on_train_end(self, *args: Any, **state: Any) -> Changes:
        """Run at the end, also after an error: ``exception`` is the error or False."""

class LearnerCallback(Callback):
    """A callback with access to its learner; fastai v1's ``LearnerCallback``.

    The learner keeps it as an attribute with the name of the class in snake case: the Recorder
    of the last fit is ``learn.recorder``. The callback keeps only a weak reference to the learner,
    so the memory of a deleted learner is freed immediately.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.

    Raises
    ------
    ValueError
        If the learner has another attribute of this name, such as ``learn.save``.

    Examples
    --------
    >>> class ShowLoss(LearnerCallback):
    ...     def on_epoch_end(self, epoch, smooth_loss):
    ...         print(f"epoch {epoch} of {type(self.learn.model).__name__}: {smooth_loss}")
    """

    def __init__(self, learn: Any) -> None:
        name = snake_case(type(self).__name__)
        if not isinstance(vars(learn).get(name, getattr(type(learn), name, self)), Callback):
            raise ValueError(f"a callback of class {type(self).__name__} would replace learn."
                             f"{name}; give the class another name")
        self._learn = ref(learn)
        setattr(learn, name, self)

    @property
    def learn(self) -> Any:
        """The learner that is trained.

        Raises
        ------
        ReferenceError
            If the learner was deleted.
        """
        if (learn := self._learn()) is None:
            raise ReferenceError(f"the learner of this {type(self).__name__} was deleted; keep it "
                                 "in a variable")
        return learn

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_learn": self.learn}  # copies and pickles hold no weak reference

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _learn=ref(state["_learn"]))


def snake_case(name: str) -> str:
    """Return a class name in snake case; v1's ``camel2snake``.

    Parameters
    ----------
    name : str
        The name, such as ``'LRFinder'``.

    Returns
    -------
    str
        The name in lower case, with underscores.

    Examples
    --------
    >>> snake_case("OneCycleScheduler"), snake_case("LRFinder"), snake_case("CSVLogger")
    ('one_cycle_scheduler', 'lr_finder', 'csv_logger')
    """
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()


def listify(x: Any) -> list[Any]:
    """Return the items of a list, tuple or set, no items for None, and else ``x`` alone.

    Parameters
    ----------
    x : object
        None, one item, or several.

    Returns
    -------
    list
        The items.

    Examples
    --------
    >>> listify(None), listify("mae"), listify(("a", "b"))
    ([], ['mae'], ['a', 'b'])
    """
    return [] if x is None else list(x) if isinstance(x, (list, tuple, set)) else [x]


# ---------------------------------------------------------------- metrics


class Metric(Callback):
    """Base class of metrics over a whole epoch: ``add`` batches, then return the ``value``.

    The title of its column is the attribute ``name`` or, without it, the name of the class.
    """

    def reset(self) -> None:
        """Forget the batches of the previous epoch."""
        raise NotImplementedError

    def add(self, pred: Tensor, target: Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        pred : Tensor (bs, ...)
            Outputs of the model.
        target : Tensor (bs, ...)
            Targets.

        Examples
        --------
        >>> class Rows(Metric):
        ...     def reset(self):
        ...         self.n = 0
        ...     def add(self, pred, target):
        ...         self.n += len(pred)
        ...     def value(self):
        ...         return self.n
        >>> rows = Rows()
        >>> rows.reset()
        >>> rows.add([.5, .7], [1, 0])
        >>> rows.value()
        2
        """
        raise NotImplementedError

    def value(self) -> Any:
        """Return the metric over all batches of the epoch."""
        raise NotImplementedError

    def on_epoch_begin(self) -> None:
        self.reset()

    def on_batch_end(self, last_output: Any, last_target: Any) -> None:
        self.add(last_output, last_target)

    def on_epoch_end(self, last_metrics: list[Any]) -> Changes:
        return {"last_metrics": [*last_metrics, self.value()]}


class AverageMetric(Metric):
    """The average of a function of each batch, weighted by rows.

    The average of roots is not the root of an average. For such functions, use
    ``minifast.metrics.EpochMetric``.

    Parameters
    ----------
    func : callable
        Returns a number for predictions and targets.

    Examples
    --------
    >>> from minifast import tensor
    >>> metric = AverageMetric(lambda pred, target: abs(pred - target).mean())
    >>> metric.reset()
    >>> metric.add(tensor([1., 2.]), tensor([0., 0.]))
    >>> metric.value()
    tensor(1.5000)
    """

    def __init__(self, func: Callable[..., Tensor]) -> None:
        inner = getattr(func, "func", func)  # of a partial
        self.func, self.name = func, getattr(inner, "__name__", type(inner).__name__)

    def reset(self) -> None:
        self.total: Any = 0.
        self.rows = 0

    def add(self, pred: Tensor, target: Any) -> None:
        targets = listify(target)
        n = len(targets[0])
        self.total, self.rows = self.total + self.func(pred, *targets) * n, self.rows + n

    def value(self) -> Any:
        return self.total / self.rows


def as_metric(metric: Any) -> Callback:
    """Return a metric made from a function, a class or an object.

    Parameters
    ----------
    metric : callable, Callback or type
        A function of predictions and targets, a callback, or the class of one.

    Returns
    -------
    Callback
        The metric.

    Examples
    --------
    >>> as_metric(max).name
    'max'
    """
    made = metric() if isinstance(metric, type) else metric
    return made if isinstance(made, Callback) else AverageMetric(made)


def metric_name(metric: Callback) -> str:
    """Return the title of a metric's column.

    Parameters
    ----------
    metric : Callback
        The metric.

    Returns
    -------
    str
        The title.

    Examples
    --------
    >>> metric_name(as_metric(max))
    'max'
    """
    return str(getattr(metric, "name", type(metric).__name__))


# ---------------------------------------------------------------- calling the handlers


class CallbackHandler:
    """Keeps the training state and calls the handlers of each event; v1's ``CallbackHandler``.

    Parameters
    ----------
    callbacks : iterable of Callback
        Called in ascending ``_order``.
    metrics : iterable of Callback
        Called before ``callbacks``, at events that ask for it.

    Attributes
    ----------
    state : dict of str to object
        The training state, with fastai v1's keys, ``smoothener`` and ``callbacks``.
    smoothener : SmoothenValue
        The smoothed training loss.

    Examples
    --------
    >>> class Count(Callback):
    ...     n = 0
    ...     def on_batch_end(self):
    ...         self.n += 1
    >>> count = Count()
    >>> on = CallbackHandler([count])
    >>> on("batch_end")
    >>> count.n
    1
    """

    def __init__(self, callbacks: Iterable[Callback], metrics: Sequence[Callback] = ()) -> None:
        ordered = sorted(callbacks, key=lambda callback: callback._order)
        self.smoothener = SmoothenValue(.98)
        self.state: dict[str, Any] = {"epoch": 0, "iteration": 0, "num_batch": 0,
                                      "skip_validate": False, "stop_training": False,
                                      "smoothener": self.smoothener, "callbacks": ordered}
        self._handlers: dict[tuple[str, bool], list[tuple[Any, Any]]] = {}
        for event in EVENTS:
            others = self._handlers[event, False] = _handlers(ordered, event)
            self._handlers[event, True] = _handlers(metrics, event) + others

    def __call__(self, event: str, measure: bool = False, **updates: Any) -> None:
        """Update the state, then call the handlers of an event and apply their changes.

        Parameters
        ----------
        event : str
            One of ``EVENTS``.
        measure : bool
            Whether metrics are called too.
        **updates : object
            New entries of the state.

        Raises
        ------
        ValueError
            If a handler returns a key that the state does not have.
        """
        state = self.state
        state.update(updates)
        for handler, names in self._handlers[event, measure]:
            changes = handler(**state) if names is None else \
                handler(**{name: state[name] for name in names if name in state})
            if changes is not None:
                keys = changes if isinstance(changes, dict) else [str(changes)]
                if unknown := [repr(key) for key in keys if key not in state]:
                    raise ValueError(f"{handler.__qualname__} returned {', '.join(unknown)}, not a "
                                     f"dict of the state; its keys now are {', '.join(state)}")
                state.update(changes)


def handles(callback: Callback, event: str) -> bool:
    """Return whether the class of a callback has a handler of its own for an event.

    Parameters
    ----------
    callback : Callback
        The callback.
    event : str
        One of ``EVENTS``.

    Returns
    -------
    bool
        Whether it has one.

    Examples
    --------
    >>> handles(Callback(), "batch_end")
    False
    """
    name = f"on_{event}"
    return getattr(type(callback), name) is not getattr(Callback, name)


def _handlers(callbacks: Iterable[Callback], event: str) -> list[tuple[Any, Any]]:
    """Return the handlers of an event with the names that each takes."""
    handlers = [getattr(cb, f"on_{event}") for cb in callbacks if handles(cb, event)]
    return [(handler, _names(handler)) for handler in handlers]


def _names(handler: Callable[..., Changes]) -> list[str] | None:
    """Return the names of a handler's arguments, None if it takes any."""
    taken = signature(handler).parameters
    return None if any(p.kind is p.VAR_KEYWORD for p in taken.values()) else list(taken)


class SmoothenValue:
    """An exponentially weighted average with bias correction; fastai v1's ``SmoothenValue``.

    average <- beta average + (1 - beta) value; the smoothed value is average / (1 - beta^n).
    Values stay on their device, so a GPU is not waited for.

    Parameters
    ----------
    beta : float
        Weight of the past, from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> smooth = SmoothenValue(.98)
    >>> [round(float(smooth.add(np.float64(v))), 7) for v in (4, 2, 3, 1)]
    [4.0, 2.989899, 2.9933342, 2.479799]
    """

    def __init__(self, beta: float) -> None:
        self.beta, self.n = beta, 0
        self.average: Array = 0.

    def add(self, value: Array) -> Tensor:
        """Add a value and return the smoothed value.

        Parameters
        ----------
        value : array or number
            The new value.

        Returns
        -------
        Tensor
            The average, without its bias towards 0.

        Examples
        --------
        >>> import numpy as np
        >>> smooth = SmoothenValue(.5)
        >>> smooth.add(np.float32(4)), smooth.add(np.float32(1))
        (tensor(4.), tensor(2.))
        """
        self.n += 1
        self.average = self.average * self.beta + value * (1 - self.beta)
        return Tensor(self.average / (1 - self.beta ** self.n))
