"""Work shared among threads: each piece once, errors heard, and not one bit different."""
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Barrier, get_ident
from typing import Any

import numpy as np
import pytest
from minifast.threads import cut, for_each
from test_lazy import MAKERS, Training, assert_equal, pair

from minifast import threads
from minifast.autograd import Rows
from minifast.nn import Parameter
from minifast.optim import Adam, RMSProp, arena, lazy

pytestmark = pytest.mark.cpu_only("a GPU is told what to do by one thread")
Threads = Callable[[int], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Threads]:
    """Work on so many threads, whatever the machine has; small pieces."""
    monkeypatch.setattr(arena, "BLOCK", 100)
    monkeypatch.setattr(lazy, "BLOCK", 100)
    monkeypatch.setattr(lazy, "FEW", 10)

    def set_number(n: int) -> None:
        threads._helpers.cache_clear()
        for place in (threads, arena):
            monkeypatch.setattr(place, "n_threads", lambda: n)
    yield set_number
    threads._helpers.cache_clear()


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_every_item_has_its_turn_and_its_thread(n: int, use: Threads) -> None:
    use(n)
    who: dict[int, int] = {}
    runs = {1: [[0, 1, 2, 3, 4]], 2: [[0, 1, 2], [3, 4]], 3: [[0, 1], [2, 3], [4]],
            8: [[0], [1], [2], [3], [4]]}[n]
    meeting = Barrier(len(runs))  # nobody goes on alone: they do work at the same time

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
    for_each([5, 6], work, crew=1)
    assert who == {5: get_ident(), 6: get_ident()}


def test_work_inside_of_work_stays_on_its_thread(use: Threads) -> None:
    use(2)
    found: dict[tuple[int, int], int] = {}

    def outer(i: int) -> None:
        def inner(j: int) -> None:
            found[i, j] = get_ident() - get_ident_of[i]
        get_ident_of[i] = get_ident()
        for_each([0, 1], inner)
    get_ident_of: dict[int, int] = {}
    for _ in range(20):  # threads that wait for each other's help would wait for ever
        for_each(range(4), outer)
    assert found == {(i, j): 0 for i in range(4) for j in (0, 1)}
    assert len(set(get_ident_of.values())) == 2
    for_each([7], outer)  # not shared, so what is inside may be
    assert found[7, 0] == 0 != found[7, 1]


def test_pieces_are_whole_and_even(use: Threads) -> None:
    for n_threads in (1, 2, 3):
        use(n_threads)
        for n in (0, 1, 9, 10, 11, 40, 101):
            pieces = cut(n, 10)
            assert [i for piece in pieces for i in range(n)[piece]] == list(range(n))
            sizes = [piece.stop - piece.start for piece in pieces]
            assert max(sizes, default=0) <= 10
            assert all(piece.stop <= n for piece in pieces)
    use(2)
    assert cut(11, 10) == [slice(0, 6), slice(6, 11)]
    assert len(cut(21, 10)) == 4  # two for each, not three


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


def test_numpy_s_error_handling_is_the_caller_s(use: Threads) -> None:
    use(2)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        for_each([1., 0.], lambda x: np.divide(1., np.array([x])))


def run(code: str, **env: str) -> str:
    """What Python prints."""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, timeout=60,
                          capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_omp_num_threads_is_obeyed() -> None:
    ask = "from minifast.threads import n_threads; print(n_threads())"
    cores = int(run(ask, OMP_NUM_THREADS=""))
    assert 1 <= cores <= (os.cpu_count() or 1)
    told = {"1": 1, "100000": cores, "0": cores, "many": cores, "2,1": cores}
    assert {text: int(run(ask, OMP_NUM_THREADS=text)) for text in told} == told


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """It would wait for ever for those that stayed behind."""
    assert run("""
import os, warnings
from minifast import threads
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


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("is_lazy", [True, False])
@pytest.mark.parametrize("more", [0, 1])
def test_threads_change_no_bit(name: str, is_lazy: bool, more: int, use: Threads) -> None:
    def trained(n: int) -> dict[str, Any]:
        use(n)
        training = Training(name, is_lazy, steps=30)
        for _ in range(30):
            for _ in range(more):
                training.backward()  # rows of this lookup are rows of the other's
            training.step()
        assert all(training.awake) == is_lazy
        store, = training.opt.arenas[0].stores  # type: ignore[union-attr]
        assert len(store.data) > 2000
        return {**training.model.state_dict(), **training.opt.state_dict()}
    alone = trained(1)
    for n in (2, 5):
        together = trained(n)
        assert together.keys() == alone.keys()
        for key, array in alone.items():
            assert together[key].tobytes() == array.tobytes(), (n, key)


@pytest.mark.parametrize("name", MAKERS)
def test_halves_give_what_the_dense_optimizer_gives(name: str, use: Threads) -> None:
    use(2)
    ours, theirs = pair(name)
    assert_equal(ours.step(30), theirs.step(30), name)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_a_half_is_looked_up_by_the_thread_that_updates_it(n: int, use: Threads) -> None:
    use(n)
    training = Training("SGD", True).step()
    store, = training.opt.arenas[0].stores  # type: ignore[union-attr]
    form = store.form
    assert isinstance(form, lazy.LazyForm)
    sizes: dict[int, int] = {}
    form.in_pieces(lambda rows: sizes.update({get_ident(): sizes.get(get_ident(), 0) + len(rows)}),
                   np.arange(120))
    assert list(sizes.values()) == [60, 60]


@pytest.mark.parametrize("length", [90, 210, 510, 530])
def test_threads_have_as_much_to_do(length: int, use: Threads) -> None:
    use(2)
    opt = Adam([Parameter(np.ones(length, np.float32))])
    home, = opt.arenas
    assert home is not None
    sizes = [sum(block.data.size for block in run) for run in home.runs]
    assert sum(sizes) == length
    assert max(sizes) - min(sizes) <= 100 or length < 100  # a block
    assert max(sizes) <= length / 2 + 50 + 1 or length < 100


def test_a_part_of_rows_has_its_own_shares() -> None:
    whole = Rows(np.array([2, 0, 2]), np.eye(3, 2), (4, 2), np.array([1., 10., 100.]))
    parts = [whole.part(some) for some in (slice(1), slice(1, None))]
    np.testing.assert_array_equal(sum(part.dense() for part in parts), whole.dense())
    np.testing.assert_array_equal(parts[1].dense(), [[0, 10], [0, 0], [0, 0], [0, 0]])


def test_parts_of_a_gradient_have_no_row_in_common(use: Threads) -> None:
    use(2)
    training = Training("SGD", True).step()
    store, = training.opt.arenas[0].stores  # type: ignore[union-attr]
    form = store.form
    assert isinstance(form, lazy.LazyForm)

    def parts(*rows: int) -> list[list[int]]:
        found: list[list[int]] = []
        gradient = Rows(np.array(rows), np.zeros((len(rows), store.width)), store.data.shape)
        form.each_part(gradient, lambda part: found.append(part.rows.tolist()))
        return sorted(found)
    users, items = [3, 9, 3, 5, 0, 1, 2, 9, 9, 9], list(range(10, 20))
    assert parts(*users, *items) == [users, items]
    assert parts(*users, 15, *items) == [users, [15, *items]]
    whole = [*users, 9, *items[1:]]
    assert parts(*whole) == [whole]
    assert parts(*items, *users) == [items + users]
    assert parts(1, 2, 3) == [[1, 2, 3]]


def test_blocks_that_ask_at_once_get_one_state(use: Threads) -> None:
    """Each thread finds no array yet; all but one have to drop theirs."""
    use(8)
    for make in (Adam, RMSProp) * 10:
        training = Training("Adam", False, steps=1)
        opt = make(training.model.parameters(), lr=1e-3)
        training.backward()
        opt.step()
        home, = opt.arenas
        assert home is not None
        for block in home.blocks:
            for name in home.state:
                assert np.shares_memory(block[name], home.state[name])
        assert home.state["square"].any()
