"""Work shared among threads: each chunk once, errors raised, and not one bit different."""
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Barrier, Event, get_ident
from typing import Any

import numpy as np
import pytest
from fast_training import (
    MAKERS,
    Training,
    assert_equal,
    flats,
    pair,
    stores,
    trainings_end,  # noqa: F401
)
from host import host

from minifast.backend import get_backend
from minifast.fast import accelerate, deferred_table, flat, threads
from minifast.fast.deferred_table import DeferredTable
from minifast.fast.sparse_grad import SparseGrad
from minifast.fast.threads import chunks, for_each
from minifast.nn import Module, Parameter
from minifast.optim import SGD, Adam, Optimizer, RMSProp

cpu_only = pytest.mark.cpu_only("one thread gives a GPU its work")
Threads = Callable[[int], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Threads]:
    """Work on so many threads, whatever the machine has; small chunks."""
    monkeypatch.setattr(flat, "CHUNK", 100)
    monkeypatch.setattr(deferred_table, "CHUNK", 100)
    monkeypatch.setattr(deferred_table, "FEW", 10)

    def set_number(n: int) -> None:
        threads._helpers.cache_clear()
        for place in (threads, flat):
            monkeypatch.setattr(place, "n_threads", lambda: n)
    yield set_number
    threads._helpers.cache_clear()


@cpu_only
def test_threads_that_an_error_has_left_behind_are_waited_for(
        use: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Ctrl-C came between the work of this thread and the wait for the others."""
    use(2)
    go_on, done = Event(), []

    def work(item: int) -> None:
        if item:
            go_on.wait(10)
        done.append(item)

    def interrupt() -> None:
        raise KeyboardInterrupt
    finish = threads.finish
    monkeypatch.setattr(threads, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        for_each([0, 1], work)
    assert done == [0]
    go_on.set()
    finish()
    assert done == [0, 1]


@cpu_only
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_every_item_once_each_run_on_its_thread(n: int, use: Threads) -> None:
    use(n)
    who: dict[int, int] = {}
    runs = {1: [[0, 1, 2, 3, 4]], 2: [[0, 1, 2], [3, 4]], 3: [[0, 1], [2, 3], [4]],
            8: [[0], [1], [2], [3], [4]]}[n]
    meeting = Barrier(len(runs))  # all threads have to be here at the same time

    def work(item: int) -> None:
        if item in [run[0] for run in runs]:
            meeting.wait(10)
        who[item] = get_ident()
    for_each(range(5), work)
    assert sorted(who) == [0, 1, 2, 3, 4]
    assert who[0] == get_ident()
    assert len(set(who.values())) == len(runs)
    assert all(who[i] == who[run[0]] for run in runs for i in run)
    who.clear()
    for_each([], work)
    for_each([5, 6], work, most=1)
    assert who == {5: get_ident(), 6: get_ident()}


@cpu_only
def test_work_inside_of_work_stays_on_its_thread(use: Threads) -> None:
    use(2)
    found: dict[tuple[int, int], int] = {}

    def outer(i: int) -> None:
        def inner(j: int) -> None:
            found[i, j] = get_ident() - get_ident_of[i]
        get_ident_of[i] = get_ident()
        for_each([0, 1], inner)
    get_ident_of: dict[int, int] = {}
    for _ in range(20):  # threads that wait for each other would wait for ever
        for_each(range(4), outer)
    assert found == {(i, j): 0 for i in range(4) for j in (0, 1)}
    assert len(set(get_ident_of.values())) == 2
    for_each([7], outer)  # not shared, so what is inside may be
    assert found[7, 0] == 0 != found[7, 1]


@cpu_only
def test_chunks_cover_all_and_are_even(use: Threads) -> None:
    for n_threads in (1, 2, 3):
        use(n_threads)
        for n in (0, 1, 9, 10, 11, 40, 101):
            found = chunks(n, 10)
            assert [i for chunk in found for i in range(n)[chunk]] == list(range(n))
            assert max((chunk.stop - chunk.start for chunk in found), default=0) <= 10
            assert all(chunk.stop <= n for chunk in found)
    use(2)
    assert chunks(11, 10) == [slice(0, 6), slice(6, 11)]
    assert len(chunks(21, 10)) == 4  # two for each, not three


@cpu_only
@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_an_error_is_raised_when_all_are_done(wrong: int, use: Threads) -> None:
    use(3)
    done = []

    def work(item: int) -> None:
        if item == wrong:
            raise ValueError(f"item {item}")
        done.append(item)
    with pytest.raises(ValueError, match=f"^item {wrong}$"):
        for_each([0, 1, 2], work)
    assert sorted(done) == [i for i in range(3) if i != wrong]


@cpu_only
def test_numpy_s_error_handling_is_the_caller_s(use: Threads) -> None:
    use(2)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        for_each([1., 0.], lambda x: np.divide(1., np.array([x])))


def run(code: str, **env: str) -> str:
    """Return what Python prints."""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, timeout=60,
                          capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@cpu_only
def test_omp_num_threads_is_respected() -> None:
    ask = "from minifast.fast.threads import n_threads; print(n_threads())"
    cores = int(run(ask, OMP_NUM_THREADS=""))
    assert 1 <= cores <= (os.cpu_count() or 1)
    told = {"1": 1, "100000": cores, "0": cores, "many": cores, "2,1": cores}
    assert {text: int(run(ask, OMP_NUM_THREADS=text)) for text in told} == told


@cpu_only
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """It would wait for ever for those of its parent."""
    assert run("""
import os, warnings
from minifast.fast import threads
warnings.simplefilter("ignore")  # Python 3.12 warns of forks where threads are
threads.n_threads = lambda: 2
found = []
threads.for_each([1, 2], found.append)
child = os.fork()
if not child:
    threads.for_each([3, 4], found.append)
    os._exit(sorted(found) != [1, 2, 3, 4])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""") == "0"


# ---------------------------------------------------------------- the same bits


@cpu_only
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("deferred", [True, False])
@pytest.mark.parametrize("more", [0, 1])
def test_threads_change_no_bit(name: str, deferred: bool, more: int, use: Threads) -> None:
    def trained(n: int) -> dict[str, Any]:
        use(n)
        training = Training(name, True, steps=30, always=deferred)
        for _ in range(30):
            for _ in range(more):
                training.backward()  # this lookup and the other have rows in common
            training.step()
        assert training.deferred == [deferred] * 4
        store, = stores(training.opt)
        assert len(store.data) > 2000
        return {**training.model.state_dict(), **training.opt.state_dict()}
    alone = trained(1)
    for n in (2, 5):
        together = trained(n)
        assert together.keys() == alone.keys()
        for key, array in alone.items():
            assert together[key].tobytes() == array.tobytes(), (n, key)


@cpu_only
@pytest.mark.parametrize("name", MAKERS)
def test_halves_give_what_the_dense_optimizer_gives(name: str, use: Threads) -> None:
    use(2)
    ours, theirs = pair(name)
    assert_equal(ours.step(30), theirs.step(30), name)


def deferred_form(training: Training) -> DeferredTable:
    store, = stores(training.opt)
    assert isinstance(store.deferred, DeferredTable)
    return store.deferred


@cpu_only
@pytest.mark.parametrize("n", [2, 3, 8])
def test_a_half_is_looked_up_by_the_thread_that_updates_it(n: int, use: Threads) -> None:
    use(n)
    table = deferred_form(Training("SGD", True).step())
    sizes: dict[int, int] = {}
    table._by_chunk(lambda rows: sizes.update({get_ident(): sizes.get(get_ident(), 0) + len(rows)}),
                    np.arange(120))
    assert list(sizes.values()) == [60, 60]


class Single(Module):
    """A module with one parameter."""

    def __init__(self, length: int) -> None:
        self.p = Parameter(np.ones(length, np.float32))


@cpu_only
@pytest.mark.parametrize("length", [90, 210, 510, 530])
def test_threads_have_as_much_to_do(length: int, use: Threads) -> None:
    use(2)
    model = Single(length)
    opt = Adam(model.parameters())
    with accelerate(model, opt):
        whole, = flats(opt)
        sizes = [sum(chunk.data.size for chunk in run) for run in whole.runs]
    assert sum(sizes) == length
    assert max(sizes) - min(sizes) <= 100 or length < 100  # a chunk
    assert max(sizes) <= length / 2 + 50 + 1 or length < 100


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("bn_wd", [True, False])
@pytest.mark.parametrize("true_wd", [True, False])
@pytest.mark.parametrize("make", [SGD, Adam, RMSProp])
def test_chunks_of_any_size_give_the_same_bits(
        make: Callable[..., Optimizer], true_wd: bool, bn_wd: bool, size: int, device: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the plain optimizer."""
    class Three(Module):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.a, self.b, self.c = (
                Parameter(rng.normal(size=shape).astype(np.float32), no_wd=shape == (5,))
                for shape in ((3, 4), (5,), (2, 2)))

    def trained(fast: bool) -> list[bytes]:
        model = Three()
        opt = make(model.parameters(), lr=.01, wd=.1, true_wd=true_wd, bn_wd=bn_wd)

        def run() -> None:
            for step in range(8):
                rng = np.random.default_rng((7, step))
                for p in model.parameters():
                    g = rng.normal(size=p.shape).astype(np.float32)
                    p.accumulate(get_backend(device).from_host(g))
                opt.step()
                opt.zero_grad()
        if not fast:
            run()
        else:
            with accelerate(model, opt):
                run()
                cut = sum(len(whole.chunks) for whole in flats(opt))
                expected = [21] if bn_wd else [16, 5]
                assert cut == (sum(-(-n // size) for n in expected) if device == "cpu"
                               else len(expected))  # a GPU has no cache to cut them for
        return [host(p).tobytes() for p in model.parameters()]
    monkeypatch.setattr(flat, "CHUNK", size)
    assert trained(True) == trained(False)


@cpu_only
def test_a_part_of_rows_has_its_own_scale() -> None:
    whole = SparseGrad(np.array([2, 0, 2]), np.eye(3, 2), (4, 2), np.array([1., 10., 100.]))
    parts = [whole.part(some) for some in (slice(1), slice(1, None))]
    np.testing.assert_array_equal(sum(part.dense() for part in parts), whole.dense())
    np.testing.assert_array_equal(parts[1].dense(), [[0, 10], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(whole.unscaled().dense(), whole.dense())


@cpu_only
def test_halves_have_no_row_in_common(use: Threads) -> None:
    use(2)
    table = deferred_form(Training("SGD", True).step())

    def halves(*rows: int) -> list[list[int]]:
        return [np.array(rows)[half].tolist() for half in table._halves(np.array(rows))]
    users, items = [3, 9, 3, 5, 0, 1, 2, 9, 9, 9], list(range(10, 20))
    assert halves(*users, *items) == [users, items]
    assert halves(*users, 15, *items) == [users, [15, *items]]
    whole = [*users, 9, *items[1:]]
    assert halves(*whole) == [whole]
    assert halves(*items, *users) == [items + users]
    assert halves(1, 2, 3) == [[1, 2, 3]]


@cpu_only
def test_chunks_that_ask_at_once_get_one_state(use: Threads) -> None:
    """Each thread finds no array yet; all but one have to drop theirs."""
    use(8)
    for make in (Adam, RMSProp) * 10:
        training = Training("Adam", False, steps=1)
        opt = make(training.model.parameters(), lr=1e-3)
        with accelerate(training.model, opt):
            training.backward()
            opt.step()
            whole, = flats(opt)
            for chunk in whole.chunks:
                for name in whole.state:
                    assert np.shares_memory(chunk[name], whole.state[name])
            assert whole.state["square"].any()
