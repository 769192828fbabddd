"""The fast path against the plain one, over random sequences of everything a user may do."""
import copy
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host import host

from minifast.callbacks import AccumulateScheduler, GradientClipping
from minifast.collab import EmbeddingDotBias, EmbeddingNN
from minifast.data import ArrayDataset, DataBunch
from minifast.nn import Embedding, Linear, Module, MSELossFlat, Sequential, sigmoid_range
from minifast.optim import SGD, Adam, RMSProp
from minifast.train import Callback, Learner, LearnerCallback

N_USERS, N_ITEMS, N = 60, 45, 96


class OwnModel(Module):
    """A student's model: four embeddings, the product written by hand."""

    def __init__(self, seed: int) -> None:
        self.u, self.i, self.ub, self.ib = (
            Embedding(n, width, seed=seed + k) for k, (n, width) in enumerate(
                [(N_USERS, 5), (N_ITEMS, 5), (N_USERS, 1), (N_ITEMS, 1)]))

    def forward(self, users: Any, items: Any) -> Any:
        dot = (self.u(users) * self.i(items)).sum(1)
        return sigmoid_range(dot + self.ub(users).squeeze(-1) + self.ib(items).squeeze(-1), 0, 5.5)


class TwoLookups(Module):
    """One table that is looked up twice, and read as a matrix besides."""

    def __init__(self, seed: int) -> None:
        self.table, self.out = Embedding(N_USERS, 4, seed=seed), Linear(4, 1, seed=seed)

    def forward(self, users: Any, items: Any) -> Any:
        both = self.table(users) + self.table(items)
        return self.out(both).squeeze(-1) + self.table.weight.sum() * .01


MODELS: dict[str, Callable[[int], Module]] = {
    "dot": lambda seed: EmbeddingDotBias(5, N_USERS, N_ITEMS, (0, 5.5), seed=seed),
    "square": lambda seed: EmbeddingDotBias(5, N_USERS, N_USERS, None, seed=seed),
    "nn": lambda seed: EmbeddingNN([(N_USERS, 4), (N_ITEMS, 3)], [8], y_range=(0, 5.5),
                                   use_bn=bool(seed % 3), seed=seed),  # see ``cases``
    "own": OwnModel, "twice": TwoLookups}
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "Adam": partial(Adam, eps=1e-4), "SGD": SGD, "RMSProp": partial(RMSProp, eps=1e-4),
    "L2": partial(Adam, eps=1e-4)}
"""A gradient that is zero but for rounding, as that of a bias before batch norm, must not matter:
with the default eps of 1e-8 these optimizers would amplify it."""


def data(seed: int, bs: int) -> DataBunch:
    rng = np.random.default_rng(seed)
    x = [rng.integers(0, n, N).astype(np.int32) for n in (N_USERS, N_ITEMS)]
    y = rng.uniform(1, 5, N).astype(np.float32)
    part = [slice(0, 80), slice(80, None)]
    train, valid = (ArrayDataset([c[rows] for c in x], y[rows]) for rows in part)
    return DataBunch.create(train, valid, bs=bs, seed=seed)


# ------------------------------------------------------------------- callbacks that interfere

class ReadWeights(LearnerCallback):
    """Reads weights and gradients every few batches."""

    def __init__(self, learn: Learner, every: int) -> None:
        super().__init__(learn)
        self.every, self.seen = every, []

    def on_backward_end(self, num_batch: int = 0, **state: Any) -> None:
        if num_batch % self.every == 0:
            for p in self.learn.model.parameters():
                self.seen.append(float(host(p.data).sum()))
                if p.requires_grad and p.grad is not None:
                    self.seen.append(float(abs(host(p.grad)).sum()))


class EditWeights(LearnerCallback):
    """Writes into weights, and replaces one, in the middle of an epoch."""

    def on_batch_end(self, num_batch: int = 0, train: bool = True, **state: Any) -> None:
        ps = self.learn.model.parameters()
        if train and num_batch == 2:
            ps[0].data[1] += .25
        if train and num_batch == 4:
            ps[-1].data = ps[-1].data * .5


class ChangeRates(LearnerCallback):
    """Sets a rate that no schedule knows of."""

    def on_batch_begin(self, num_batch: int = 0, train: bool = True, **state: Any) -> None:
        if train and num_batch == 3:
            self.learn.opt.lr = self.learn.opt.lr * .5


class FreezeMidway(LearnerCallback):
    """Freezes a parameter after some batches, and lets it go again."""

    def on_batch_end(self, num_batch: int = 0, train: bool = True, **state: Any) -> None:
        if train:
            self.learn.model.parameters()[0].requires_grad = num_batch not in (2, 3)


class ReadState(LearnerCallback):
    """Copies the optimizer's state, and the whole learner, in the middle of an epoch."""

    def on_batch_end(self, num_batch: int = 0, train: bool = True, **state: Any) -> None:
        if train and num_batch == 3:
            self.state = self.learn.opt.state_dict()
            self.model = copy.deepcopy(self.learn.model)
            assert not any(hasattr(p, "owner") for p in self.model.parameters())


CALLBACKS: list[Callable[[Learner], Callback]] = [
    partial(ReadWeights, every=1), partial(ReadWeights, every=3), EditWeights, ChangeRates,
    FreezeMidway, ReadState, partial(GradientClipping, clip=.05),
    partial(AccumulateScheduler, n_step=2)]


# ---------------------------------------------------------------------------- what may happen

def fit(learn: Learner, rng: np.random.Generator) -> None:
    chosen = rng.permutation(len(CALLBACKS))[:rng.integers(0, 3)]
    callbacks = [CALLBACKS[i](learn) for i in chosen]
    kind, wd = rng.integers(3), float(rng.choice([0., .05]))
    with learn.no_logging():
        if kind == 0:
            learn.fit(int(rng.integers(1, 3)), 1e-2, wd=wd, callbacks=callbacks)
        elif kind == 1:
            learn.fit_one_cycle(1, 2e-2, wd=wd, callbacks=callbacks)
        else:
            learn.fit_fc(1, 1e-2, wd=wd, callbacks=callbacks)
    learn.model.requires_grad_(True)


def freeze(learn: Learner, rng: np.random.Generator) -> None:
    names = [name for name, _ in learn.model.named_parameters()]
    learn.model.requires_grad_(True)
    learn.model.freeze(names[rng.integers(len(names))])


def split(learn: Learner, rng: np.random.Generator) -> None:
    children = list(learn.model.children())
    learn.split([children[1 + rng.integers(len(children) - 1)]])
    learn.freeze() if rng.integers(2) else learn.unfreeze()


def edit(learn: Learner, rng: np.random.Generator) -> None:
    for p in learn.model.parameters():
        p.data[...] = p.data * .9
    first = learn.model.parameters()[0]
    first.data = first.data + first.data * .1


def save_and_load(learn: Learner, rng: np.random.Generator) -> None:
    learn.save("here")
    edit(learn, rng)
    learn.load("here")


def copies(learn: Learner, rng: np.random.Generator) -> None:
    model, opt = pickle.loads(pickle.dumps((learn.model, learn.opt))) if rng.integers(2) \
        else copy.deepcopy((learn.model, learn.opt))
    learn.model, learn.opt = model, opt
    learn.layer_groups = [Sequential(*model.children())]
    if opt is not None and len(opt.groups) > 1:
        learn.opt = None


ACTIONS = [fit, fit, fit, freeze, split, edit, save_and_load, copies]


@pytest.fixture
def deferred_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are deferred too, however many of their rows a batch reads."""
    monkeypatch.setattr("minifast.fast.deferred_updates.SMALLEST", 1)
    monkeypatch.setattr("minifast.fast.deferred_table.SHARE", 1e9)


def learner(seed: int, model: str, optimizer: str, is_fast: bool, dtype: type, path: Path
            ) -> Learner:
    bs = int(np.random.default_rng(seed).choice([4, 8]))
    learn = Learner(data(seed, bs), MODELS[model](seed), OPTIMIZERS[optimizer], MSELossFlat(),
                    wd=.1, path=path / str(is_fast), bn_wd=bool(seed % 2))
    learn.fast, learn.true_wd = is_fast, optimizer != "L2"
    for p in learn.model.parameters():
        p.data = p.data.astype(dtype)
    return learn


def numbers(learn: Learner) -> dict[str, np.ndarray]:
    opt = {} if learn.opt is None else learn.opt.state_dict()
    return {**learn.model.state_dict(), **opt}


def assert_plain(learn: Learner) -> None:
    """Nothing of the fast path is left."""
    for module in learn.model.modules():
        assert not type(module).__module__.startswith("minifast.fast")
        assert "owner" not in vars(module)
    for p in learn.model.parameters():
        assert type(p).__name__ == "Parameter"
        assert set(vars(p)) == {"no_wd"}
        base = getattr(p.data, "base", None)
        assert base is None or getattr(base, "size", p.data.size) == p.data.size
    if learn.opt is not None:
        assert not type(learn.opt).__module__.startswith("minifast.fast")
        assert "accelerator" not in vars(learn.opt)


def cases(n: int) -> Iterator[Any]:
    """Every third case is in float32, without batch norm, which would amplify its rounding."""
    kinds = [(m, o) for m in MODELS for o in OPTIMIZERS]
    for seed in range(n):
        yield (seed, *kinds[seed % len(kinds)], np.float64 if seed % 3 else np.float32)


@pytest.mark.cpu_only("updates are deferred on the CPU only; the next test is for both devices")
@pytest.mark.usefixtures("deferred_early")
@pytest.mark.parametrize(("seed", "model", "optimizer", "dtype"), list(cases(320)))
def test_fast_is_plain(seed: int, model: str, optimizer: str, dtype: type, tmp_path: Path) -> None:
    compare(seed, model, optimizer, dtype, tmp_path)


@pytest.mark.parametrize(("seed", "model", "optimizer", "dtype"), list(cases(360))[320:])
def test_fast_is_plain_on_a_device(seed: int, model: str, optimizer: str, dtype: type,
                                   tmp_path: Path) -> None:
    compare(seed, model, optimizer, dtype, tmp_path)


@pytest.mark.cpu_only("a GPU adds the gradients of a repeated row in any order")
@pytest.mark.parametrize("optimizer", ["RMSProp", "L2"])
@pytest.mark.parametrize("seed", range(6))
def test_the_same_arithmetic_gives_the_same_bits(optimizer: str, seed: int, tmp_path: Path
                                                 ) -> None:
    """No formula defers these optimizers, and nothing fuses this model's lookups."""
    both = [learner(seed, "own", optimizer, is_fast, np.float32, tmp_path)
            for is_fast in (True, False)]
    for learn in both:
        np.random.seed(seed)
        with learn.no_logging():
            learn.fit_one_cycle(2, 1e-2)
    ours, theirs = map(numbers, both)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def compare(seed: int, model: str, optimizer: str, dtype: type, tmp_path: Path) -> None:
    """Float64 agrees to 1e-9, float32 to its rounding, after every action."""
    both = [learner(seed, model, optimizer, is_fast, dtype, tmp_path) for is_fast in (True, False)]
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype is np.float64 \
        else {"rtol": 2e-4, "atol": 2e-5}
    rng = np.random.default_rng(seed)
    for number in range(int(rng.integers(3, 6))):
        action = ACTIONS[rng.integers(len(ACTIONS))] if number else fit
        for learn in both:
            np.random.seed(seed)
            action(learn, np.random.default_rng((seed, number)))
            assert_plain(learn)
        ours, theirs = map(numbers, both)
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], **tolerance,
                                       err_msg=f"{action.__name__} ({number}): {name}")
