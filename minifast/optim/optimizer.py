"""Optimizer: a list of small steps, applied to every trainable parameter of each layer group."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from ..autograd import ShapeError, Tensor
from ..autograd.tape import changed
from ..backend import Array, DeviceError, backend_of
from ..nn import Parameter
from . import steps
from .steps import State, Target

Step = Callable[..., None]
Groups = Iterable[Parameter] | Iterable[Iterable[Parameter]]


def one_per_group(name: str, value: Any, n: int) -> list[float]:
    """Return one number for each layer group.

    Parameters
    ----------
    name : str
        What the numbers are, for the error message.
    value : float or sequence of float
        One number for all groups, or one for each.
    n : int
        Number of layer groups.

    Returns
    -------
    list of float
        ``n`` numbers.

    Raises
    ------
    ValueError
        If a sequence has another length than ``n``, or a number is not finite.

    Examples
    --------
    >>> one_per_group("lr", .1, 2)
    [0.1, 0.1]
    """
    values = [float(v) for v in value] if np.ndim(value) else [float(value)] * n
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} values {value} for {n} layer groups; give "
                         f"one number for all, or {n} of them")
    if not all(map(isfinite, values)):
        raise ValueError(f"{name} must be finite, got {value}")
    return values


class Hyper:
    """A hyper-parameter as an attribute: reads the last group's value, sets every group's."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, opt: "Optimizer", owner: type) -> float:
        if self.name not in opt.hypers[-1]:
            raise AttributeError(f"no {self.name}: this optimizer has {', '.join(opt.hypers[-1])}")
        return opt.hypers[-1][self.name]

    def __set__(self, opt: "Optimizer", value: float | Sequence[float]) -> None:
        opt.set_hypers(**{self.name: value})


class InterruptedStepError(RuntimeError):
    """The last step ended in an error: some parameters are updated and others are not."""


class Optimizer:
    """Applies ``steps`` to the trainable parameters of each layer group.

    A parameter that does not require a gradient is left alone, to the bit, and its state is
    forgotten. A parameter without a gradient is updated as if its gradient were zero.

    If a step ends in an error, each weight has its value from before or after that step. The
    optimizer then refuses further steps until you call ``clear`` or ``load_state_dict``, or set
    ``opt.interrupted = False``.

    Parameters
    ----------
    groups : iterable of Parameter, or of iterables of Parameter
        The parameters, or one list of them for each layer group. A parameter that two groups
        share belongs to the first.
    steps : sequence of callable
        Called in order as ``step(p, state, **hypers)`` for each parameter; see ``steps.py``.
    bn_wd : bool
        Whether weight decay applies to parameters marked ``no_wd`` (biases, normalisation).
    **hypers : float or sequence of float
        Hyper-parameters by name: one value for all groups, or one for each.

    Attributes
    ----------
    hypers : list of dict
        The hyper-parameters of each group.
    state : dict
        The State of each parameter that was updated.
    interrupted : bool
        Whether the last step ended in an error.

    Raises
    ------
    ValueError
        If there are no parameters, or a list of values does not fit the number of groups.
    TypeError
        If something in ``groups`` is not a Parameter.

    Notes
    -----
    fastai v2's ``Optimizer``; v1's ``OptimWrapper`` around torch's optimizers.

    Examples
    --------
    >>> w = Parameter(np.ones(2, np.float32))
    >>> opt = SGD([w], lr=.5)
    >>> (w * w).sum().backward(); opt.step(); w.data
    array([0., 0.], dtype=float32)
    """

    lr, mom, wd, beta, eps = Hyper(), Hyper(), Hyper(), Hyper(), Hyper()
    interrupted = False

    def __init__(self, groups: Groups, steps: Sequence[Step], bn_wd: bool = True,
                 **hypers: float | Sequence[float]) -> None:
        self.groups, self.steps, self.bn_wd = _as_groups(groups), list(steps), bn_wd
        self.hypers: list[dict[str, float]] = [{} for _ in self.groups]
        self.set_hypers(**hypers)
        self.state: dict[Parameter, State] = {}

    def __repr__(self) -> str:
        return f"Optimizer({[getattr(s, '__name__', s) for s in self.steps]}, {self.hypers})"

    def set_hypers(self, **values: float | Sequence[float]) -> None:
        """Set hyper-parameters.

        Parameters
        ----------
        **values : float or sequence of float
            By name: one value for all groups, or one for each.

        Raises
        ------
        ValueError
            If a sequence does not fit the number of groups, or a number is not finite; nothing is
            set then.

        Examples
        --------
        >>> opt = SGD([[], []], lr=.1)
        >>> opt.set_hypers(lr=[.01, .1], mom=.8)
        >>> opt.get_hyper("lr"), opt.get_hyper("mom")
        ([0.01, 0.1], [0.8, 0.8])
        """
        n = len(self.groups)
        lists = {name: one_per_group(name, value, n) for name, value in values.items()}
        for i, hypers in enumerate(self.hypers):
            hypers.update({name: of_groups[i] for name, of_groups in lists.items()})

    def get_hyper(self, name: str) -> list[float]:
        """Return a hyper-parameter's value for every group.

        Parameters
        ----------
        name : str
            Such as ``'lr'``, ``'mom'`` or ``'wd'``.

        Returns
        -------
        list of float
            A value for each group.

        Examples
        --------
        >>> SGD([[], []], lr=.1).get_hyper("lr")
        [0.1, 0.1]
        """
        return [hypers[name] for hypers in self.hypers]

    def step(self) -> None:
        """Update all trainable parameters from their gradients.

        Raises
        ------
        InterruptedStepError
            If the previous step ended in an error.
        """
        if self.interrupted:
            self.check_complete()
        self.interrupted = True
        changed.mark([p.data for group in self.groups for p in group if p.requires_grad])
        for group, hypers in zip(self.groups, self.hypers, strict=True):
            for p in group:
                if p.requires_grad:
                    self.update(p, hypers)
                else:
                    self.state.pop(p, None)
        self.interrupted = False

    def check_complete(self) -> None:
        """Check that the last step did not end in an error.

        Raises
        ------
        InterruptedStepError
            If it did.
        """
        if self.interrupted:
            raise InterruptedStepError(
                "the last step of this optimizer ended in an error, so some weights may not be "
                "updated; load a checkpoint, call opt.clear(), or set opt.interrupted = False")

    def update(self, p: Parameter, hypers: Mapping[str, float]) -> None:
        """Apply the steps to one parameter and leave its gradient unchanged.

        If a step fails, the parameter is restored.

        Parameters
        ----------
        p : Parameter
            The parameter.
        hypers : mapping of str to float
            The hyper-parameters of its group.

        Raises
        ------
        ShapeError, DeviceError
            If the parameter's array was replaced by one of another shape, or on another device.

        Examples
        --------
        >>> from minifast.nn import Parameter
        >>> p = Parameter(np.float32([1, 2]))
        >>> p.grad = np.float32([1, 1])
        >>> opt = SGD([[p]], lr=.5)
        >>> opt.update(p, opt.hypers[0])
        >>> p.data
        array([0.5, 1.5], dtype=float32)
        """
        data, grad = p.data, p.grad
        if (state := self.state.get(p)) is None:
            state = self.state[p] = State(p)
        if state.kind != (type(data), data.shape):
            check_replacement(state.device, state.kind[1], data)
        if grad is None:
            p.grad = np.zeros_like(data)
        elif isinstance(grad, Tensor):  # of backward(create_graph=True)
            p.grad = grad.data
        if p.no_wd and not self.bn_wd:
            hypers = {**hypers, "wd": 0.}
        try:
            apply_steps(self.steps, p, state, hypers)
        finally:
            p.grad = grad  # a step may have put another array there

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            for p in group:
                p.grad = None

    def clear(self) -> None:
        """Forget the state of all parameters, such as momentum."""
        self.state, self.interrupted = {}, False

    # ---- state in and out

    def _trainable(self) -> dict[str, Parameter]:
        """The trainable parameters by the prefix of their state: group and place in it."""
        return {f"{i}.{j}": p for i, group in enumerate(self.groups)
                for j, p in enumerate(group) if p.requires_grad}

    def state_dict(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """Return copies of hyper-parameters and state as NumPy arrays.

        Returns
        -------
        dict of str to ndarray
            ``'hyper.<name>'`` (n_groups,), and for each trainable parameter, numbered by group
            and place, ``'<group>.<place>.count'`` and its arrays, such as ``'0.2.average'``.
        """
        state = {f"hyper.{name}": np.array(self.get_hyper(name)) for name in self.hypers[-1]}
        for prefix, p in self._trainable().items():
            own = self.state.get(p, State(p))
            state[f"{prefix}.count"] = np.array(own.count)
            state |= {f"{prefix}.{name}": np.array(backend_of(array).to_host(array))
                      for name, array in own.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` has returned.

        Parameters
        ----------
        state : mapping of str to array
            Hyper-parameters and state.

        Raises
        ------
        ValueError
            See ``check_state_dict``; nothing changes then.

        Examples
        --------
        >>> one, other = SGD([[]], lr=.1), SGD([[]], lr=.2)
        >>> one.load_state_dict(other.state_dict())
        >>> one.get_hyper("lr")
        [0.2]
        """
        arrays = self.check_state_dict(state)
        loaded = {prefix: (p, State(p)) for prefix, p in self._trainable().items()}
        for key, array in arrays.items():
            prefix, _, name = key.rpartition(".")
            if prefix in loaded:
                p, own = loaded[prefix]
                if name == "count":
                    own.count = int(array)
                else:
                    own[name] = backend_of(p.data).from_host(array)
        self.set_hypers(**{name: arrays[f"hyper.{name}"].tolist() for name in self.hypers[-1]})
        self.state, self.interrupted = dict(loaded.values()), False

    def check_state_dict(self, state: Mapping[str, Any]) -> dict[str, "np.ndarray[Any, Any]"]:
        """Return what ``load_state_dict`` would write: copies, in the types of the parameters.

        Parameters
        ----------
        state : mapping of str to array
            Hyper-parameters and state.

        Returns
        -------
        dict of str to ndarray
            The arrays, under the same names.

        Raises
        ------
        ValueError
            If it belongs to other groups or other trainable parameters, if an array does not hold
            real numbers, or if a count is not a non-negative integer.

        Examples
        --------
        >>> opt = SGD([[]], lr=.1)
        >>> opt.check_state_dict(opt.state_dict())["hyper.lr"]
        array([0.1])
        """
        if misfit := self.misfit(state):
            raise ValueError(f"optimizer state does not fit: {misfit}; freeze and split as they "
                             "were, or load with with_opt=False")
        trainable, arrays = self._trainable(), {}
        for key, array in ((key, np.asarray(value)) for key, value in state.items()):
            prefix, _, name = key.rpartition(".")
            is_count = name == "count" and prefix in trainable
            if array.dtype.kind not in "fiub" or (
                    is_count and not (0 <= array < 2 ** 53 and array % 1 == 0)):
                raise ValueError(f"{key} of an optimizer's state cannot be {array} of type "
                                 f"{array.dtype}; load with with_opt=False")
            with np.errstate(over="ignore"):
                arrays[key] = array.astype(np.int64 if is_count else trainable[prefix].dtype
                                           if prefix in trainable else np.float64)
        return arrays

    def misfit(self, state: Mapping[str, Any]) -> str:
        """Return what keeps ``state`` from being loaded; an empty string if nothing does.

        Parameters
        ----------
        state : mapping of str to array
            Hyper-parameters and state.

        Returns
        -------
        str
            The names that do not fit, or an empty string.

        Examples
        --------
        >>> SGD([[]], lr=.1).misfit(SGD([[]], lr=.2).state_dict())
        ''
        """
        trainable = self._trainable()
        shapes: dict[str, tuple[int, ...]] = {
            f"hyper.{name}": (len(self.groups),) for name in self.hypers[-1]}
        shapes |= {f"{prefix}.count": () for prefix in trainable}
        shapes |= {key: trainable[prefix].shape for key in state.keys() - shapes.keys()
                   if (prefix := key.rpartition(".")[0]) in trainable}
        wrong = [key for key in shapes.keys() | state.keys()
                 if key not in shapes or key not in state or np.shape(state[key]) != shapes[key]]
        return f"{', '.join(sorted(wrong))} belong to other layer groups or other trainable " \
               "parameters" if wrong else ""


def apply_steps(steps: Sequence[Step], target: Target, state: Any, hypers: Mapping[str, float]
                ) -> None:
    """Apply all steps to a parameter, or none if one of them fails.

    If a step assigns a new array (``p.data = ...``), it is copied into the parameter's own array.

    Parameters
    ----------
    steps : sequence of callable
        The steps.
    target : Parameter, or anything with arrays ``data`` and ``grad``
        The parameter to update.
    state : dict of str to array
        The optimizer's state of this parameter.
    hypers : mapping of str to float
        The hyper-parameters.

    Raises
    ------
    ShapeError, DeviceError
        If a step assigns an array of another shape or on another device.

    Examples
    --------
    >>> from minifast.nn import Parameter
    >>> from minifast.optim.steps import weight_decay
    >>> p = Parameter(np.float32([1, 2]))
    >>> apply_steps([weight_decay], p, State(p), {"lr": .5, "wd": 1.})
    >>> p.data
    array([0.5, 1. ], dtype=float32)
    """
    data = target.data
    before = data.copy()
    try:
        for step in steps:
            step(target, state, **hypers)
        if target.data is not data:
            check_replacement(backend_of(data).name, data.shape, target.data)
            data[...] = target.data
    except BaseException:
        data[...] = before
        raise
    finally:
        target.data = data


def check_replacement(device: str, shape: tuple[int, ...], data: Array) -> None:
    """Check an array that has replaced the one of a parameter (``p.data = ...``).

    Parameters
    ----------
    device : str
        Where the old array lies.
    shape : tuple of int
        Its shape.
    data : array
        The new array.

    Raises
    ------
    DeviceError
        If it lies on another device.
    ShapeError
        If it has another shape.

    Examples
    --------
    >>> check_replacement("cpu", (2,), np.zeros(2))
    >>> check_replacement("cpu", (2,), np.zeros(3))
    Traceback (most recent call last):
    minifast.autograd.primitive.ShapeError: a parameter's data of shape (2,) was replaced by (3,)...
    """
    if (there := backend_of(data).name) != device:
        raise DeviceError(f"a parameter was moved from {device} to {there} behind the optimizer's "
                          "back; move it with learn.to(device), which takes the optimizer along")
    if data.shape != shape:
        raise ShapeError(f"a parameter's data of shape {shape} was replaced by {data.shape}; "
                         "make a new optimizer for another shape")


def _as_groups(groups: Groups) -> list[list[Parameter]]:
    items: list[Any] = list(groups)
    if not items:
        raise ValueError("an optimizer needs parameters; this list of groups is empty")
    nested = [items] if isinstance(items[0], Tensor) else [list(group) for group in items]
    for p in (p for group in nested for p in group):
        if not isinstance(p, Parameter):
            raise TypeError(f"an optimizer updates Parameters, got {type(p).__name__}: {p!r}; "
                            "use model.parameters(), or wrap the array: Parameter(array)")
    seen: dict[int, Parameter] = {}  # a parameter that two groups share belongs to the first
    return [[seen.setdefault(id(p), p) for p in group if id(p) not in seen] for group in nested]


# ---------------------------------------------------------------- the optimizers

def SGD(groups: Groups, lr: float | Sequence[float] = 1e-3, mom: float = 0.,  # noqa: N802
        wd: float | Sequence[float] = 0., true_wd: bool = True, bn_wd: bool = True) -> Optimizer:
    """Stochastic gradient descent, with momentum; ``torch.optim.SGD``.

    Parameters
    ----------
    groups : iterable of Parameter, or of iterables of Parameter
        The parameters, or one list of them for each layer group.
    lr, mom, wd : float or sequence of float
        Learning rate, momentum and weight decay: one number, or one for each group.
    true_wd : bool
        Whether weight decay is decoupled from the gradient; False is the classic L2 penalty.
    bn_wd : bool
        Whether weight decay applies to biases and normalisation.

    Returns
    -------
    Optimizer
        With the steps weight decay, momentum, SGD's step.

    Examples
    --------
    >>> SGD([Parameter(np.ones(2, np.float32))], lr=.1, mom=.9).mom
    0.9
    """
    return Optimizer(groups, [_decay(true_wd), steps.momentum, steps.sgd_step], bn_wd,
                     lr=lr, mom=mom, wd=wd)


def RMSProp(groups: Groups, lr: float | Sequence[float] = 1e-3, mom: float = 0.,  # noqa: N802
            beta: float = .99, eps: float = 1e-8, wd: float | Sequence[float] = 0.,
            true_wd: bool = True, bn_wd: bool = True) -> Optimizer:
    """The gradient divided by the root of its mean square; ``torch.optim.RMSprop``.

    Parameters
    ----------
    groups : iterable of Parameter, or of iterables of Parameter
        The parameters, or one list of them for each layer group.
    lr, mom : float or sequence of float
        Learning rate and momentum: one number, or one for each group.
    beta : float
        Decay of the mean square, torch's ``alpha``.
    eps : float
        Added to the root.
    wd : float or sequence of float
        Weight decay.
    true_wd : bool
        Whether weight decay is decoupled from the gradient; False is the classic L2 penalty.
    bn_wd : bool
        Whether weight decay applies to biases and normalisation.

    Returns
    -------
    Optimizer
        With the steps weight decay, mean square, momentum, SGD's step.

    Examples
    --------
    >>> RMSProp([Parameter(np.ones(2, np.float32))]).beta
    0.99
    """
    return Optimizer(groups, [_decay(true_wd), steps.average_sqr_grad, steps.rms_momentum,
                              steps.sgd_step], bn_wd, lr=lr, mom=mom, beta=beta, eps=eps, wd=wd)


def Adam(groups: Groups, lr: float | Sequence[float] = 1e-3, mom: float = .9,  # noqa: N802
         beta: float = .99, eps: float = 1e-8, wd: float | Sequence[float] = 0.,
         true_wd: bool = True, bn_wd: bool = True) -> Optimizer:
    """Adam, and with ``true_wd`` AdamW: fastai v1's default optimizer.

    Parameters
    ----------
    groups : iterable of Parameter, or of iterables of Parameter
        The parameters, or one list of them for each layer group.
    lr : float or sequence of float
        Learning rate: one number, or one for each group.
    mom, beta : float
        Decay of the means of the gradient and of its square: torch's two betas. fastai's second
        one is 0.99.
    eps : float
        Added to the root.
    wd : float or sequence of float
        Weight decay: one number, or one for each group.
    true_wd : bool
        Whether weight decay is decoupled from the gradient; False is the classic L2 penalty.
    bn_wd : bool
        Whether weight decay applies to biases and normalisation.

    Returns
    -------
    Optimizer
        With the steps weight decay, mean, mean square, Adam's step.

    Examples
    --------
    >>> Adam([Parameter(np.ones(2, np.float32))]).mom
    0.9
    """
    return Optimizer(groups, [_decay(true_wd), steps.average_grad, steps.average_sqr_grad,
                              steps.adam_step], bn_wd, lr=lr, mom=mom, beta=beta, eps=eps, wd=wd)


def _decay(true_wd: bool) -> Step:
    return steps.weight_decay if true_wd else steps.l2_reg
