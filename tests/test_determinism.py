"""The same seed gives the same bytes, in any process, with any number of threads."""
import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event, get_ident
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from minifast.collab import collab_learner
from minifast.data import ArrayDataset, CollabDataBunch, DataBunch
from minifast.datasets import planted_ratings
from minifast.nn import Linear, MSELossFlat, ReLU, Sequential
from minifast.reproducible import blas, one_blas_thread
from minifast.train import Learner
from minifast.vision import ImageDataBunch, simple_cnn

pytestmark = pytest.mark.cpu_only("bits, threads and BLAS are those of the CPU")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
two_cores = pytest.mark.skipif(CORES < 2, reason="needs two cores")
Make = Any

# ---------------------------------------------------------------- what is trained


def ratings(use_nn: bool = False, **kwargs: Any) -> Learner:
    """The notebook's settings, on fewer ratings."""
    frame = planted_ratings(n_users=300, n_items=250, n_ratings=3000).ratings
    data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, bs=256, device="cpu")
    model: dict[str, Any] = {"use_nn": True, "layers": [100, 50], "ps": .1, "emb_drop": .05} \
        if use_nn else {"n_factors": 40}
    return collab_learner(data, y_range=[0, 5.5], wd=.1, seed=1, **model, **kwargs)


def wide(**kwargs: Any) -> Learner:
    """A network whose products are long enough for two BLAS threads, its weights for two chunks."""
    x = np.random.default_rng(0).normal(size=(512, 400)).astype(np.float32)
    rows, rng = ArrayDataset(x, x.sum(1)), np.random.default_rng(5)
    net = Sequential(Linear(400, 512, seed=rng), ReLU(), Linear(512, 256, seed=rng), ReLU(),
                     Linear(256, 1, seed=rng))
    return Learner(DataBunch.create(rows, rows, bs=128, seed=3, device="cpu"), net,
                   loss_func=MSELossFlat(), **kwargs)


def images(**kwargs: Any) -> Learner:
    rng = np.random.default_rng(0)
    data = ImageDataBunch.from_arrays(rng.random((160, 16, 16)).astype(np.float32),
                                      rng.integers(0, 4, 160), seed=1, bs=64, device="cpu")
    return Learner(data, simple_cnn([1, 16, 32, 4], bn=True, seed=2), **kwargs)


MODELS: dict[str, Make] = {"dot": ratings, "network": partial(ratings, True), "wide": wide,
                           "images": images}


def digest(learn: Learner) -> str:
    """A number for weights, optimizer, losses and predictions, which differs if a bit does."""
    with learn.no_logging():
        learn.fit_one_cycle(1, 6e-3)
    arrays = {**learn.model.state_dict(), **learn.optimizer.state_dict(),
              "losses": [float(loss) for loss in learn.recorder.losses],
              "validation": learn.validate(), "predictions": learn.get_preds()[0].numpy()}
    seen = hashlib.sha256()
    for name in sorted(arrays):
        seen.update(name.encode() + np.asarray(arrays[name]).tobytes())
    return seen.hexdigest()


def with_both_paths(make: Make, **kwargs: Any) -> list[str]:
    found = []
    for fast in (True, False):
        learn = make(**kwargs)
        learn.fast = fast
        found.append(digest(learn))
    return found


# ---------------------------------------------------------------- processes

PROCESSES = {"first": {}, "hash seed 1": {"PYTHONHASHSEED": "1"},
             "two threads of minifast": {"OMP_NUM_THREADS": "2"},
             "two threads of BLAS": {"OPENBLAS_NUM_THREADS": "2"}}
"""Environments that differ from the first in one variable."""


def all_digests() -> dict[str, list[str]]:
    """What a process prints."""
    found = {name: with_both_paths(make) for name, make in MODELS.items()}
    found |= {f"{name}, reproducible": with_both_paths(MODELS[name], reproducible=True)
              for name in ("network", "wide", "images")}
    return found


def in_process(variables: dict[str, str]) -> Any:
    same = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    done = subprocess.run([sys.executable, __file__], env={**os.environ, **same, **variables},
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def digests() -> dict[str, Any]:
    """Train all models in a process of each kind, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PROCESSES, pool.map(in_process, PROCESSES.values()), strict=True))


def test_processes_and_hash_seeds_change_no_bit(digests: dict[str, Any]) -> None:
    assert digests["hash seed 1"] == digests["first"]


@two_cores
def test_threads_of_minifast_change_no_bit(digests: dict[str, Any]) -> None:
    assert digests["two threads of minifast"] == digests["first"]


@two_cores
@pytest.mark.parametrize("name", ["dot", *(f"{name}, reproducible"
                                           for name in MODELS if name != "dot")])
def test_threads_of_blas_change_no_bit_of_what_is_reproducible(
        name: str, digests: dict[str, Any]) -> None:
    assert digests["two threads of BLAS"][name] == digests["first"][name]


def test_reproducible_is_what_one_thread_gives(digests: dict[str, Any]) -> None:
    """So a difference below is due to the threads alone."""
    for name in ("network", "wide", "images"):
        assert digests["first"][f"{name}, reproducible"] == digests["first"][name]


@two_cores
def test_without_reproducible_threads_of_blas_change_bits(digests: dict[str, Any]) -> None:
    """If this fails, the BLAS of this machine rounds alike, and the test above shows nothing."""
    if not blas_threads():
        pytest.skip("threadpoolctl does not know this BLAS")
    assert digests["two threads of BLAS"]["wide"] != digests["first"]["wide"]


def test_another_seed_changes_the_digest() -> None:
    assert len({digest(simple) for simple in (line(0), line(0), line(1))}) == 2


def test_numpy_s_seed_is_enough() -> None:
    """Where no seed is given, all come from NumPy's global generator."""
    found = []
    for seed in (42, 42, 43):
        np.random.seed(seed)
        found.append(digest(line(None)))
    assert found[0] == found[1] != found[2]


# ---------------------------------------------------------------- threads of one process


def line(seed: int | None = 0, **kwargs: Any) -> Learner:
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    rows = ArrayDataset(x, x.sum(1))
    return Learner(DataBunch.create(rows, rows, bs=16, seed=seed, device="cpu"),
                   Linear(3, 1, seed=seed), loss_func=MSELossFlat(), **kwargs)


def test_learners_made_at_once_in_two_threads_are_those_made_in_turn() -> None:
    meeting = Barrier(2)

    def made(use_nn: bool) -> str:
        meeting.wait(60)
        learn = ratings(use_nn)
        meeting.wait(60)
        return digest(learn)
    with ThreadPoolExecutor(2) as pool:
        at_once = list(pool.map(made, (False, True)))
    assert at_once == [digest(ratings(use_nn)) for use_nn in (False, True)]


# ---------------------------------------------------------------- the number of BLAS threads


def blas_threads() -> set[int]:
    """The numbers of threads of the BLAS libraries in this process."""
    from threadpoolctl import threadpool_info
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two() -> Iterator[set[int]]:
    """Give BLAS two threads, and return what then is reported."""
    with threadpool_limits(2, "blas"):
        if blas_threads() != {2}:
            pytest.skip("BLAS has no second thread here, or threadpoolctl does not know it")
        yield {2}
        assert blas_threads() == {2}


class BrokenError(Exception):
    """What a test raises in the middle of a fit."""


def watched(seen: list[set[int]], error: type[BaseException] | None = None, **kwargs: Any
            ) -> Learner:
    """A learner that notes the number of BLAS threads at each forward pass."""
    learn = line(**kwargs)

    def note(*_: Any) -> None:
        seen.append(blas_threads())
        if error is not None:
            raise error("stop")
    learn.model.forward_hooks = (note,)
    return learn


WORK: dict[str, Any] = {
    "fit": lambda learn: learn.fit(1), "fit_one_cycle": lambda learn: learn.fit_one_cycle(1),
    "lr_find": lambda learn: learn.lr_find(num_it=3), "validate": lambda learn: learn.validate(),
    "get_preds": lambda learn: learn.get_preds(),
    "predict": lambda learn: learn.predict(np.zeros(3, np.float32))}


@pytest.mark.parametrize("work", WORK)
def test_all_that_a_learner_does_has_one_thread(work: str, two: set[int]) -> None:
    for reproducible, expected in ((True, {1}), (False, two)):
        seen: list[set[int]] = []
        learn = watched(seen, reproducible=reproducible)
        with learn.no_logging():
            WORK[work](learn)
        assert seen
        assert all(threads == expected for threads in seen)
        assert blas_threads() == two


def test_recommendations_have_one_thread(two: set[int]) -> None:
    learn: Any = ratings(True, reproducible=True)
    seen: list[set[int]] = []
    learn.model.forward_hooks = (lambda *_: seen.append(blas_threads()),)
    learn.recommend(learn.data.categories[0].classes[1])
    assert seen == [{1}]


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt])
@pytest.mark.parametrize("work", WORK)
def test_the_number_of_before_is_back_after_an_error(
        work: str, error: type[BaseException], two: set[int]) -> None:
    seen: list[set[int]] = []
    learn = watched(seen, error, reproducible=True)
    with learn.no_logging(), pytest.raises(error):
        WORK[work](learn)
    assert seen == [{1}]
    assert blas_threads() == two


def test_learners_side_by_side_do_not_feel_each_other(two: set[int]) -> None:
    one_thread, as_before = [], []
    learners = [watched(one_thread, reproducible=True), watched(as_before)]
    for _ in range(2):
        for learn in learners:
            with learn.no_logging():
                learn.fit(1)
    assert {*map(frozenset, one_thread)} == {frozenset({1})}
    assert {*map(frozenset, as_before)} == {frozenset(two)}


def overlapping(number: Callable[[], Any]) -> list[Any]:
    """Enter in two threads, leave in the same order; return what both see meanwhile.

    The first inside, the second inside, the first outside, the second inside and outside.
    """
    first_in, second_in, first_out = Event(), Event(), Event()

    def first() -> list[Any]:
        with one_blas_thread():
            first_in.set()
            assert second_in.wait(60)
            inside = number()
        outside = number()
        first_out.set()
        return [inside, outside]

    def second() -> list[Any]:
        assert first_in.wait(60)
        with one_blas_thread():
            before = number()
            second_in.set()
            assert first_out.wait(60)
            after = number()
        return [before, after, number()]
    with ThreadPoolExecutor(2) as pool:
        (a, c), (b, d, e) = (done.result(60) for done in [pool.submit(first), pool.submit(second)])
    return [a, b, c, d, e]


def test_blocks_that_overlap_in_two_threads_share_the_limit(two: set[int]) -> None:
    """The first to enter leaves first: the other keeps its one thread, then two are back."""
    for _ in range(2):  # threadpoolctl would listen to the first thread only
        assert overlapping(blas_threads) == [{1}, {1}, {1}, {1}, two]


def test_a_learner_in_another_thread_is_reproducible_too(two: set[int]) -> None:
    """While the main thread holds a limit of threadpoolctl, which would ignore other threads."""
    seen: list[set[int]] = []
    learn = watched(seen, reproducible=True)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(learn.validate).result(60)
        assert blas_threads() == two
        learn.validate()
        pool.submit(learn.validate).result(60)
    assert {*map(frozenset, seen)} == {frozenset({1})}


def test_blocks_may_be_nested(two: set[int]) -> None:
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}


def test_it_has_an_effect_as_a_field_and_as_an_attribute(two: set[int]) -> None:
    seen: list[set[int]] = []
    learn = watched(seen)
    assert not learn.reproducible
    learn.reproducible = True
    learn.validate()
    with learn.reproducibly():
        seen.append(blas_threads())
    assert {*map(frozenset, seen)} == {frozenset({1})}


class FakeBlas:
    """A BLAS library with a number of threads for the process, or one for each Python thread."""

    internal_api, filepath = "openblas", "libfake.so"

    def __init__(self, per_thread: bool, fixed: bool = False) -> None:
        self.threading_layer = "openmp" if per_thread else "pthreads"
        self.fixed, self.numbers = fixed, defaultdict[int, int](lambda: 4)

    def _who(self) -> int:
        return get_ident() if self.threading_layer == "openmp" else 0

    def get_num_threads(self) -> int:
        return self.numbers[self._who()]

    def set_num_threads(self, n: int) -> None:
        if not self.fixed:
            self.numbers[self._who()] = n


@pytest.mark.parametrize("per_thread", [False, True])
def test_both_kinds_of_libraries_are_limited_and_restored(
        per_thread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lib = FakeBlas(per_thread)
    monkeypatch.setattr(blas, "libraries", lambda: [lib])
    assert overlapping(lib.get_num_threads) == [1, 1, 4 if per_thread else 1, 1, 4]
    assert lib.get_num_threads() == 4


@pytest.mark.parametrize("found", [[], [FakeBlas(False, fixed=True)]])
def test_a_blas_that_cannot_be_limited_gives_a_warning(
        found: list[FakeBlas], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "libraries", lambda: found)
    with pytest.warns(RuntimeWarning, match="cannot limit the threads of NumPy's BLAS"), \
            one_blas_thread():
        pass
    assert not blas._inside
    assert not blas._before


if __name__ == "__main__":
    print(json.dumps(all_digests()))
