"""Train distributed learners and compare them with one process: ``mpiexec -n 2 python ranks.py``.

Each rank trains a learner of each case by itself, with the batch size of all ranks together, and
another one with the others. Rank 0 prints what differs, as JSON.
"""
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch
from zlib import crc32

import numpy as np

from minifast.backend import backend_of
from minifast.callbacks import AccumulateScheduler, CSVLogger, GradientClipping, SaveModelCallback
from minifast.collab import CollabDataBunch, collab_learner
from minifast.data import ArrayDataset, DataBunch, DataLoader, DatasetType
from minifast.datasets import planted_ratings
from minifast.distributed import NCCLCommunicator, world
from minifast.metrics import r2_score
from minifast.nn import (
    BatchNorm1d,
    Dropout,
    Embedding,
    Linear,
    Module,
    MSELossFlat,
    ReLU,
    Sequential,
)
from minifast.optim import SGD
from minifast.train import Learner
from minifast.vision import Flatten, conv_layer

COMM = world()
CASES: dict[str, Callable[[int, Any], Learner]] = {}
"""Makes a learner for a batch size and a type of numbers, and trains it after ``join(learn)``."""


def case(make: Any) -> Any:
    CASES[make.__name__] = make
    return make


def bunch(x: Any, y: Any, bs: int, kind: Any, drop_last: bool = False) -> DataBunch:
    """Rows in batches; the last one is short, and can have fewer rows than there are ranks."""
    as_kind = partial(np.asarray, dtype=kind)
    n = len(y) * 3 // 4
    x = x if x.dtype.kind == "i" else as_kind(x)
    train, valid = (ArrayDataset(x[part], as_kind(y[part]))
                    for part in (slice(n), slice(n, None)))
    return DataBunch(DataLoader(train, bs, True, drop_last, seed=3), DataLoader(valid, bs),
                     path=mkdtemp(), device=DEVICE, loss_func=MSELossFlat()).to(DEVICE)


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def mlp(bs: int, kind: Any, n: int = 101, **kwargs: Any) -> Learner:
    x = numbers(-(-4 * n // 3), 5)  # n training rows
    model = Sequential(Linear(5, 8, bias=False, seed=0), BatchNorm1d(8), ReLU(),
                       Linear(8, 1, seed=1))
    return Learner(bunch(x, x[:, 0] * x[:, 1], bs, kind), wide(model, kind), **kwargs)


def wide(model: Any, kind: Any) -> Any:
    for p in [*model.parameters(), *(b for m in model.modules() for b in vars(m).values()
                                     if type(b).__name__ == "Buffer" and b.data.dtype.kind == "f")]:
        p.data = p.data.astype(kind)
    return model


@case
def notebook(bs: int, kind: Any, join: Any, fast: bool = True, opt_func: Any = None) -> Learner:
    ratings = planted_ratings(120, 90, 1501, seed=0).ratings
    data = CollabDataBunch.from_df(ratings, seed=42, bs=bs, path=mkdtemp(), device=DEVICE)
    learn = collab_learner(data, n_factors=5, y_range=[0, 5.5], wd=.1, seed=0,
                           metrics=[r2_score], **({"opt_func": opt_func} if opt_func else {}))
    learn.fast = fast
    wide(learn.model, kind)
    join(learn)
    learn.fit_one_cycle(2, 5e-3)
    return learn


@case
def notebook_plain(bs: int, kind: Any, join: Any) -> Learner:
    return notebook(bs, kind, join, fast=False)


@case
def notebook_sgd(bs: int, kind: Any, join: Any) -> Learner:
    return notebook(bs, kind, join, opt_func=partial(SGD, mom=.9))


@case
def large_tables(bs: int, kind: Any, join: Any, fast: bool = True) -> Learner:
    ratings = planted_ratings(2000, 1500, 4000, seed=0).ratings
    data = CollabDataBunch.from_df(ratings, seed=42, bs=bs, path=mkdtemp(), device=DEVICE)
    learn = collab_learner(data, n_factors=10, y_range=[0, 5.5], wd=.1, seed=0)
    learn.fast = fast
    wide(learn.model, kind)
    join(learn)
    learn.fit_one_cycle(2, 5e-3)
    return learn


@case
def large_tables_plain(bs: int, kind: Any, join: Any) -> Learner:
    return large_tables(bs, kind, join, fast=False)


class Pairs(Module):
    """Two embeddings of different width, read by one id."""

    def __init__(self) -> None:
        self.a, self.b = Embedding(400, 3, seed=0), Embedding(400, 2, seed=1)
        self.out = Linear(5, 1, seed=2)

    def forward(self, ids: Any) -> Any:
        from minifast import cat
        return self.out(cat([self.a(ids), self.b(ids)], 1))


@case
def own_embeddings(bs: int, kind: Any, join: Any) -> Learner:
    ids = np.random.default_rng(0).integers(0, 400, 301)
    learn = Learner(bunch(ids, numbers(400)[ids], bs, kind), wide(Pairs(), kind))
    join(learn)
    learn.fit_one_cycle(2, 1e-2)
    return learn


@case
def mlp_with_batch_norm(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind, metrics=[r2_score])
    join(learn, sync_bn=True)
    learn.fit_one_cycle(2, 1e-2)
    return learn


@case
def short_last_batch(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind, n=24 * COMM.size + 1)  # the last batch has one row
    learn.model = wide(Sequential(Linear(5, 8, seed=0), ReLU(), Linear(8, 1, seed=1)), kind)
    learn = Learner(learn.data, learn.model)
    join(learn)
    learn.fit_one_cycle(2, 1e-2)
    return learn


@case
def images(bs: int, kind: Any, join: Any) -> Learner:
    x = numbers(90, 2, 6, 6)
    model = Sequential(conv_layer(2, 4), conv_layer(4, 4, stride=2), Flatten(),
                       Linear(36, 1, seed=3))
    for i, p in enumerate(model.parameters()):  # layers of conv_layer have no seed
        p.data = numbers(*p.shape, seed=i).astype(np.float32) * .3
    learn = Learner(bunch(x, x[:, 0, 0, 0], bs, kind), wide(model, kind))
    join(learn, sync_bn=True)
    learn.fit_one_cycle(2, 1e-3)
    return learn


@case
def groups_and_freezing(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind)
    learn.split([learn.model[0], learn.model[3]])
    join(learn, sync_bn=True)
    learn.freeze()
    frozen = learn.model.state_dict()
    learn.fit(1, 1e-2)
    assert all((learn.model.state_dict()[name] == frozen[name]).all()
               for name in ("0.weight",))
    learn.unfreeze()
    learn.fit_one_cycle(1, slice(1e-4, 1e-2))
    return learn


@case
def clipping(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind, opt_func=SGD)
    learn.callback_fns.append(partial(GradientClipping, clip=.05))
    join(learn, sync_bn=True)
    learn.fit(2, .1)
    return learn


@case
def accumulation(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind, opt_func=SGD)
    learn.callback_fns.append(partial(AccumulateScheduler, n_step=2))
    join(learn, sync_bn=True)
    learn.fit(2, .1)
    return learn


@case
def finder(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind)
    join(learn, sync_bn=True)
    learn.lr_find(num_it=12)
    learn.recorder_of_finder = [float(v) for v in learn.recorder.losses]
    learn.fit(1, 1e-3)
    return learn


@case
def saved_and_loaded(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind)
    join(learn, sync_bn=True)
    learn.fit(1, 1e-2)
    learn.path = COMM.from_first(learn.path) if "distributed_trainer" in vars(learn) else learn.path
    learn.save("half")
    learn.fit(1, 1e-2)
    learn.load("half")
    learn.fit(1, 1e-3)
    return learn


@case
def loader_of_ones_own(bs: int, kind: Any, join: Any) -> Learner:
    x = numbers(60, 3).astype(kind)
    joint = 8 * COMM.size  # the ranks share each of its batches
    batches = [(x[i:i + joint], x[i:i + joint, :1]) for i in range(0, 60, joint)]
    data = DataBunch(batches, batches, path=mkdtemp(), device=DEVICE)
    learn = Learner(data, wide(Linear(3, 1, seed=0), kind), loss_func=MSELossFlat())
    join(learn)
    learn.fit(2, 1e-2)
    return learn


@case
def transformed_batches(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind)
    learn.data.add_tfm(lambda batch: (batch[0] * 2, batch[1]))
    join(learn, sync_bn=True)
    learn.fit(2, 1e-2)
    return learn


@case
def predictions(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs, kind)
    join(learn, sync_bn=True)
    learn.fit(1, 1e-2)
    before = learn.model.state_dict()
    preds, _ = learn.get_preds()
    assert len(preds) == len(learn.data.valid_ds)  # all rows, on each rank
    assert all((before[name] == w).all() for name, w in learn.model.state_dict().items())
    return learn


@case
def training_rows(bs: int, kind: Any, join: Any) -> Learner:
    learn = mlp(bs // 2, kind)
    join(learn, sync_bn=True)
    learn.data.batch_size = bs
    learn.fit(1, 1e-2)
    assert len(learn.get_preds(DatasetType.Train)[0]) == 101  # all rows, on each rank
    learn.recorder.losses.append(learn.validate(learn.data.train_dl)[0])
    return learn


class FakeNCCL:
    """What CuPy's NCCLBackend does, for arrays of the simulated device."""

    def all_reduce(self, source: Any, target: Any) -> None:
        assert source.flags.c_contiguous
        assert source.dtype.char in "bBiIlLqQefd"
        backend = backend_of(source)
        target[...] = backend.from_host(COMM.sum(backend.to_host(source).copy()))

    def all_gather(self, source: Any, target: Any, count: int) -> None:
        assert source.flags.c_contiguous
        assert target.flags.c_contiguous
        assert target.size == count * COMM.size
        backend = backend_of(source)
        parts = COMM.gather(backend.to_host(source).reshape(-1)[:count])
        target[...] = backend.from_host(np.concatenate(parts).reshape(target.shape))


def alone(learn: Learner, **kwargs: Any) -> None:
    """Train in one process."""


def together(learn: Learner, **kwargs: Any) -> None:
    """Train on all ranks."""
    nccl = NCCLCommunicator(COMM.comm, group=FakeNCCL()) if DEVICE == "fakecuda" else None
    learn.to_distributed(comm=nccl, **kwargs)


def difference(a: Any, b: Any) -> float:
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def compare(make: Any, bs: int, kind: Any) -> dict[str, float]:
    """Return the largest relative differences of weights, losses and results."""
    one = make(bs * COMM.size, kind, alone)
    all_ranks = make(bs, kind, together)
    weights, expected = all_ranks.model.state_dict(), one.model.state_dict()
    checksum = [crc32(np.ascontiguousarray(w)) for w in weights.values()]
    assert COMM.from_first(checksum) == checksum, "weights of ranks differ"
    losses, expected_losses = (np.array([float(v) for v in learn.recorder.losses])
                               for learn in (all_ranks, one))
    results, expected_results = (np.array([float(v) for v in learn.validate()])
                                 for learn in (all_ranks, one))
    return {"weights": max(difference(weights[name], expected[name]) for name in expected
                           if expected[name].dtype.kind == "f"),
            "losses": difference(losses, expected_losses),
            "results": difference(results, expected_results)}


def masks_of_dropout() -> None:
    """Each rank drops other numbers, and the same ones in the next run."""
    model = Sequential(Dropout(.5, seed=0), Linear(5, 1, seed=0))
    x = np.ones((64 * COMM.size, 5), np.float32)
    learn = Learner(bunch(x, x[:, 0], 16, np.float32), model).to_distributed()
    seen: list[int] = []
    model[0].forward_hooks = (lambda layer, args, y: seen.append(crc32(y.numpy().tobytes())),)
    learn.fit(1, 1e-3)
    of_ranks = COMM.objects(seen[0])
    assert len(set(of_ranks)) == COMM.size, of_ranks


def callbacks_that_write() -> None:
    """Rank 0 alone prints and writes; all ranks load what it has saved."""
    learn = large_tables(16, np.float32, together)
    learn.path = COMM.from_first(learn.path)
    learn.callback_fns += [SaveModelCallback, CSVLogger]
    with redirect_stdout(StringIO()) as printed:
        learn.fit(2, 5e-3)
    assert ("Better model found" in printed.getvalue()) == (COMM.rank == 0)
    COMM.wait()
    assert len(learn.csv_logger.read_logged_file()) == 2
    checksum = crc32(learn.model.state_dict()["u_weight.weight"])
    assert len(set(COMM.objects(checksum))) == 1


def equal_statistics_stay() -> None:
    """Statistics of frozen batch norm do not change when they are averaged."""
    learn = mlp(8, np.float32).to_distributed()
    before = numbers(8).astype(np.float32)
    learn.model[1].running_mean.data = before.copy()
    learn.distributed_trainer.average_statistics()
    assert (learn.model[1].running_mean.data == before).all()


def weights_are_sent_only_if_they_differ() -> None:
    x = numbers(60, 5)
    learn = Learner(bunch(x, x[:, 0], 8, np.float32), Linear(5, 1, seed=0)).to_distributed()
    comm, sent = learn.distributed_trainer.comm, []
    send = comm.from_first
    with patch.object(comm, "from_first", lambda value: [sent.append(value), send(value)][1]):
        counts = []
        for change in (1, 0, 1):
            learn.model.weight.data += change * COMM.rank
            with learn.no_logging():
                learn.fit(1, 1e-3)
            counts.append(sum(isinstance(value, tuple) for value in sent))  # weights, optimizer
    assert counts == [1, 1, 2], counts


def learners_that_share_their_data() -> None:
    results = []
    for distribute in (alone, together):
        data = bunch(numbers(60, 5), numbers(60), 24 // (1 if distribute is alone else COMM.size),
                     np.float32)
        learners = [Learner(data, Linear(5, 1, seed=seed), silent=True) for seed in range(2)]
        for learn in learners:
            distribute(learn)
        for learn in learners * 2:
            learn.fit(1, 1e-2)
        results.append([float(learn.validate()[0]) for learn in learners])
    assert np.allclose(*results, rtol=1e-5), results


def ratings_on_disk() -> None:
    """Each rank has a file of its own, in the order that the seed gives."""
    ratings, weights = planted_ratings(100, 60, 1000, seed=0).ratings, []
    for distribute in (alone, together):
        bs = 24 // (1 if distribute is alone else COMM.size)
        data = CollabDataBunch.from_pieces([ratings], seed=1, bs=bs, in_memory=False,
                                           user_name="userId", item_name="movieId", device=DEVICE)
        learn = collab_learner(data, n_factors=3, seed=0, silent=True)
        distribute(learn)
        learn.fit(1, 1e-2)
        weights.append(learn.model.state_dict()["u_weight.weight"])
    assert difference(weights[1], weights[0]) < 1e-6


if __name__ == "__main__":
    DEVICE = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    KIND = np.dtype(sys.argv[2] if len(sys.argv) > 2 else "float64")
    chosen = sys.argv[3:] or list(CASES)
    found = {name: compare(CASES[name], 8 if name != "large_tables" else 16, KIND)
             for name in chosen}
    masks_of_dropout()
    equal_statistics_stay()
    weights_are_sent_only_if_they_differ()
    learners_that_share_their_data()
    ratings_on_disk()
    if not sys.argv[3:]:
        callbacks_that_write()
    if COMM.rank == 0:
        print(json.dumps(found))
