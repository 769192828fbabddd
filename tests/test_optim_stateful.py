"""The optimizer under any order of operations, against formulas in plain NumPy.

The orders are drawn by hypothesis, the same ones in every run. A longer search with other ones is
``MINIFAST_ORDERS=2000 python -m pytest -n 0 tests/test_optim_stateful.py``.
"""
import copy
import os
import pickle
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from minifast import Tensor
from minifast.checkpoints import durable
from minifast.data import DataBunch
from minifast.fast import accelerate
from minifast.nn import Embedding, Linear, Module, MSELossFlat, Parameter
from minifast.optim import SGD, Adam, Optimizer, RMSProp
from minifast.train import Learner

pytestmark = pytest.mark.cpu_only("the formulas are NumPy's")

Array = np.ndarray
Arrays = dict[str, Array]
Hypers = dict[str, float]
PLAIN, FAST = 1e-12, 1e-6
"""How far weights may be from the formulas, as a share of the largest one."""
N_USERS, N_ITEMS, BS = 40, 25, 4
MAKERS: dict[str, Callable[..., Optimizer]] = {"SGD": SGD, "RMSProp": RMSProp, "Adam": Adam}
VALUES = {"lr": [0., 1e-3, .01, .05], "mom": [0., .5, .9, .95], "wd": [0., .01, .3],
          "beta": [.9, .99], "eps": [1e-3, 1e-2]}
EPS: dict[str, dict[str, float]] = {"SGD": {}, "RMSProp": {"eps": 1e-3}, "Adam": {"eps": 1e-3}}
"""With 1e-8 a gradient near zero, divided by its own size, enlarges every rounding."""
ORDERS = int(os.environ.get("MINIFAST_ORDERS", 0))


# ---------------------------------------------------------------- the formulas


def new_state(w: Array) -> dict[str, Any]:
    return {"m": np.zeros_like(w), "v": np.zeros_like(w), "t": 0}


def updated(name: str, true_wd: bool, w: Array, g: Array, state: dict[str, Any], h: Hypers
            ) -> Array:
    """Return the weights after a step, and change the state."""
    if true_wd:
        w = w * (1 - h["lr"] * h["wd"])
    else:
        g = g + h["wd"] * w
    if name == "SGD":
        state["m"] = h["mom"] * state["m"] + g
        return w - h["lr"] * state["m"]
    state["v"] = h["beta"] * state["v"] + (1 - h["beta"]) * g ** 2
    if name == "RMSProp":
        state["m"] = h["mom"] * state["m"] + g / (np.sqrt(state["v"]) + h["eps"])
        return w - h["lr"] * state["m"]
    state["t"] += 1
    state["m"] = h["mom"] * state["m"] + (1 - h["mom"]) * g
    m, v = state["m"] / (1 - h["mom"] ** state["t"]), state["v"] / (1 - h["beta"] ** state["t"])
    return w - h["lr"] * m / (np.sqrt(v) + h["eps"])


class Batch:
    """Users, items and a dense input, and the coefficients of the loss."""

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng(number)
        self.users, self.items = rng.integers(0, N_USERS, BS), rng.integers(0, N_ITEMS, BS)
        self.x, self.of_users, self.of_items, self.of_out = (
            rng.normal(size=(BS, n)) for n in (3, 3, 2, 2))

    def loss(self, net: "Net") -> Tensor:
        """Return a linear function of rows and outputs, and a tenth of the rows' squares."""
        users, items = net.users(Tensor(self.users)), net.items(Tensor(self.items))
        out = net.dense(Tensor(self.x))
        return sum(((rows * Tensor(factor)).sum() for rows, factor in (
            (users, self.of_users), (items, self.of_items), (out, self.of_out))),
            (users * users).sum() * .1)

    def gradients(self, w: Arrays) -> Arrays:
        """Return the derivatives of the loss."""
        users, items = np.zeros_like(w["users.weight"]), np.zeros_like(w["items.weight"])
        np.add.at(users, self.users, self.of_users + .2 * w["users.weight"][self.users])
        np.add.at(items, self.items, self.of_items)
        return {"users.weight": users, "items.weight": items,
                "dense.weight": self.of_out.T @ self.x, "dense.bias": self.of_out.sum(0)}


class Net(Module):
    """Two tables, a dense layer, and a parameter that no batch uses."""

    def __init__(self) -> None:
        self.users, self.items = Embedding(N_USERS, 3, seed=0), Embedding(N_ITEMS, 2, seed=1)
        self.dense, self.idle = Linear(3, 2, seed=2), Parameter(np.ones(2, np.float32))
        for p in self.parameters():
            p.data = p.data.astype(np.float64)


class Formulas:
    """Weights, gradients, flags, groups, hyper-parameters and state, all of them plain values."""

    def __init__(self, name: str, true_wd: bool, bn_wd: bool, net: Net) -> None:
        self.name, self.true_wd, self.bn_wd = name, true_wd, bn_wd
        self.weights: Arrays = {key: array.copy() for key, array in net.state_dict().items()}
        self.grads: Arrays = {}
        self.frozen: set[str] = set()
        self.groups = [list(self.weights)]
        self.hypers: list[Hypers] = [{}]
        self.state: dict[str, dict[str, Any]] = {}

    def step(self) -> None:
        for names, hypers in zip(self.groups, self.hypers, strict=True):
            for key in names:
                if key in self.frozen:
                    self.state.pop(key, None)
                    continue
                w = self.weights[key]
                h = {**hypers, "wd": 0.} if key == "dense.bias" and not self.bn_wd else hypers
                self.weights[key] = updated(
                    self.name, self.true_wd, w, self.grads.get(key, np.zeros_like(w)),
                    self.state.setdefault(key, new_state(w)), h)

    def backward(self, batch: Batch) -> None:
        for key, gradient in batch.gradients(self.weights).items():
            if key not in self.frozen:
                self.grads[key] = self.grads.get(key, 0) + gradient

    def saved(self) -> Any:
        """Return a copy of what an optimizer's state holds."""
        state = {key: value for key, value in self.state.items() if key not in self.frozen}
        return copy.deepcopy((self.groups, self.frozen, self.hypers, state))

    def fits(self, saved: Any) -> bool:
        """Return whether a saved state is of the same groups and trainable parameters."""
        groups, frozen, *_ = saved
        return [[(key, key in frozen) for key in group] for group in groups] == \
            [[(key, key in self.frozen) for key in group] for group in self.groups]

    def load(self, saved: Any) -> None:
        *_, self.hypers, self.state = copy.deepcopy(saved)


# ---------------------------------------------------------------- the operations


def operation(**arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a rule of a method, after which some batches are trained: what it broke then shows."""
    def decorate(method: Callable[..., None]) -> Callable[..., None]:
        def then_train(self: "Orders", n_batches: int = 0, **drawn: Any) -> None:
            method(self, **drawn)
            for _ in range(n_batches if self.can_train() else 0):
                self.backward()
                self.step()
                self.zero_grad()
        then_train.__name__ = method.__name__
        return rule(n_batches=st.sampled_from([0, 1, 1, 4]), **arguments)(then_train)
    return decorate


class Orders(RuleBasedStateMachine):
    """A learner and the formulas; rules do the same to both."""

    name = "SGD"

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.number, self.tolerance = Path(tempfile.mkdtemp()), 0, PLAIN
        self.inside: list[AbstractContextManager[None]] = []
        self.files: list[Any] = []
        self.states: list[Any] = []
        self.left: list[tuple[Any, dict[str, bytes]]] = []

    def teardown(self) -> None:
        if hasattr(self, "learn"):
            self.check()
            while self.inside:
                self.leave()
            self.check_state()
            for net, expected in self.left:
                assert as_bytes(net) == expected
        shutil.rmtree(self.folder)

    @initialize(true_wd=st.booleans(), bn_wd=st.booleans())
    def start(self, true_wd: bool, bn_wd: bool) -> None:
        net = Net()
        self.learn = Learner(DataBunch([]), net, partial(MAKERS[self.name], **EPS[self.name]),
                             loss_func=MSELossFlat(), true_wd=true_wd, bn_wd=bn_wd,
                             path=self.folder)
        self.ours = Formulas(self.name, true_wd, bn_wd, net)
        self.new_opt()

    @property
    def opt(self) -> Optimizer:
        return self.learn.optimizer

    @property
    def parameters(self) -> dict[str, Parameter]:
        return dict(self.learn.model.named_parameters())

    def new_opt(self) -> None:
        """Make an optimizer, as a fit does after freezing."""
        self.learn.opt = self.learn.create_opt(.01, .01)
        names = {id(p): key for key, p in self.parameters.items()}
        self.ours.groups = [[names[id(p)] for p in group] for group in self.opt.groups]
        self.ours.hypers = [dict(hypers) for hypers in self.opt.hypers]
        for hypers in self.ours.hypers:
            assert (hypers["lr"], hypers["wd"]) == (.01, .01)
        self.ours.state = {}
        self.ours.frozen = {key for key, p in self.parameters.items() if not p.requires_grad}

    # ---- training

    def backward(self) -> None:
        batch, self.number = Batch(self.number), self.number + 1
        batch.loss(self.learn.model).backward()  # type: ignore[arg-type]
        self.ours.backward(batch)

    def can_train(self) -> bool:
        """Return whether a batch reads a parameter that is not frozen."""
        return hasattr(self, "learn") and len(self.ours.frozen - {"idle"}) < 4

    @precondition(can_train)
    @operation()
    def add_gradients(self) -> None:
        self.backward()

    def step(self) -> None:
        self.opt.step()
        self.ours.step()

    def zero_grad(self) -> None:
        self.opt.zero_grad()
        self.ours.grads.clear()

    @operation(key=st.sampled_from(["users.weight", "items.weight", "dense.weight", "idle"]),
          in_place=st.booleans())
    def edit(self, key: str, in_place: bool) -> None:
        """Change a weight by hand."""
        p = self.parameters[key]
        if in_place:
            p.data *= .5
        else:
            p.data = p.data * .5
        self.ours.weights[key] = self.ours.weights[key] * .5
        self.note_frozen()

    @operation()
    def step_again(self) -> None:
        """Step with the gradients that are there, or without any."""
        self.step()

    @operation()
    def forget_gradients(self) -> None:
        self.zero_grad()

    # ---- hyper-parameters

    @operation(data=st.data(), name=st.sampled_from(["lr", "lr", "mom", "wd", "beta", "eps"]),
          each=st.booleans())
    def set_hyper(self, data: Any, name: str, each: bool) -> None:
        if name not in self.opt.hypers[0]:
            return
        value = st.sampled_from(VALUES[name])
        n = len(self.ours.groups)
        values = data.draw(st.lists(value, min_size=n, max_size=n)) if each else \
            [data.draw(value)] * n
        setattr(self.opt, name, values if each else values[0])
        for hypers, one in zip(self.ours.hypers, values, strict=True):
            hypers[name] = one

    @operation(value=st.sampled_from([float("nan"), float("inf"), [.1] * 9]))
    def set_wrongly(self, value: Any) -> None:
        with pytest.raises(ValueError, match="lr"):
            self.opt.set_hypers(wd=.5, lr=value)

    # ---- freezing and groups

    @operation(key=st.sampled_from(["users.weight", "items.weight", "dense.weight", "dense.bias",
                               "idle"]))
    def toggle(self, key: str) -> None:
        """Freeze or unfreeze one parameter; the optimizer stays."""
        frozen = key not in self.ours.frozen
        self.parameters[key].requires_grad_(not frozen)
        self.ours.frozen ^= {key}
        self.note_frozen()

    @operation(n=st.integers(0, 3))
    def freeze_to(self, n: int) -> None:
        self.learn.freeze_to(min(n, len(self.learn.layer_groups) - 1))
        self.new_opt()
        self.note_frozen()

    @operation()
    def freeze_or_unfreeze(self) -> None:
        if len(self.learn.layer_groups) > 1 and not self.ours.frozen:
            self.learn.freeze()
        else:
            self.learn.unfreeze()
        self.new_opt()
        self.note_frozen()

    @operation(starts=st.lists(st.sampled_from(["items", "dense"]), unique=True))
    def split(self, starts: list[str]) -> None:
        self.learn.split([getattr(self.learn.model, name) for name in starts])
        self.new_opt()

    def note_frozen(self) -> None:
        """Remember the bytes of frozen parameters."""
        self.bytes = {key: self.parameters[key].data.tobytes() for key in self.ours.frozen}

    @invariant()
    def frozen_parameters_keep_their_bytes(self) -> None:
        for key, expected in getattr(self, "bytes", {}).items():
            assert self.parameters[key].data.tobytes() == expected, key

    # ---- state in and out

    @operation()
    def clear(self) -> None:
        self.opt.clear()
        self.ours.state = {}

    @operation()
    def take_state(self) -> None:
        self.states.append((self.opt.state_dict(), self.ours.saved()))

    @precondition(lambda self: self.states)
    @operation(data=st.data())
    def load_state(self, data: Any) -> None:
        state, saved = data.draw(st.sampled_from(self.states))
        if self.ours.fits(saved):
            self.opt.load_state_dict(state)
            self.ours.load(saved)
        else:
            with pytest.raises(ValueError, match="does not fit"):
                self.opt.load_state_dict(state)

    @operation()
    def save(self) -> None:
        self.learn.save(str(len(self.files)))
        self.files.append((copy.deepcopy(self.ours.weights), self.ours.saved()))

    @precondition(lambda self: self.files)
    @operation(data=st.data(), with_opt=st.booleans())
    def load(self, data: Any, with_opt: bool) -> None:
        number = data.draw(st.integers(0, len(self.files) - 1))
        weights, saved = self.files[number]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self.learn.load(str(number), with_opt=None if with_opt else False)
        self.ours.weights = copy.deepcopy(weights)
        fits = self.ours.fits(saved)
        assert bool(said) == (with_opt and not fits)
        if with_opt and fits:
            self.ours.load(saved)
        self.note_frozen()

    @operation(how=st.sampled_from([copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]))
    def go_on_with_a_copy(self, how: Callable[[Any], Any]) -> None:
        """Leave the learner as it is; it must not change any more."""
        net = self.learn.model
        together = how((net, self.learn.opt, self.learn.layer_groups))
        while self.inside:
            self.leave()
        self.left.append((net, as_bytes(net)))
        self.learn.model, self.learn.opt, self.learn.layer_groups = together

    # ---- the fast path

    @precondition(lambda self: not self.inside)
    @operation(always=st.booleans())
    def enter(self, always: bool) -> None:
        self.tolerance = FAST
        context = accelerate(self.learn.model, self.opt, always=always)
        context.__enter__()
        self.inside.append(context)

    @precondition(lambda self: self.inside)
    @operation()
    def leave(self) -> None:
        self.inside.pop().__exit__(None, None, None)
        assert all(type(p) is Parameter for p in self.parameters.values())

    # ---- checks

    @rule()
    def check(self) -> None:
        for key, p in self.parameters.items():
            assert p.requires_grad == (key not in self.ours.frozen)
            close(p.data, self.ours.weights[key], self.tolerance, key)
            expected = self.ours.grads.get(key)
            assert (p.grad is None) == (expected is None), key
            if expected is not None:
                close(p.grad, expected, self.tolerance, f"{key}.grad")

    @rule()
    def check_state(self) -> None:
        self.check()
        found, names = self.opt.state_dict(), {"average": "m", "square": "v", "count": "t"}
        for name in self.opt.hypers[0]:
            assert found.pop(f"hyper.{name}").tolist() == [h[name] for h in self.ours.hypers]
        for name, array in found.items():
            group, place, kind = name.split(".")
            key = self.ours.groups[int(group)][int(place)]
            state = self.ours.state.get(key) or new_state(self.ours.weights[key])
            close(array, np.asarray(state[names[kind]]), self.tolerance, f"{key} {name}")


def as_bytes(net: Module) -> dict[str, bytes]:
    return {key: array.tobytes() for key, array in net.state_dict().items()}


def close(found: Array, expected: Array, tolerance: float, what: str) -> None:
    scale = max(1e-3, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=what)


@contextmanager
def without_sync() -> Iterator[None]:
    with mock.patch.object(durable, "sync"):
        yield


@pytest.mark.parametrize("name", MAKERS)
def test_any_order_of_operations(name: str) -> None:
    machine = type(f"OrdersOf{name}", (Orders,), {"name": name})
    with without_sync():
        run_state_machine_as_test(machine, settings=settings(
            derandomize=not ORDERS, max_examples=ORDERS or 40, stateful_step_count=30,
            deadline=None, database=None, suppress_health_check=list(HealthCheck)))
