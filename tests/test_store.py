"""Tables of one arena, side by side and end to end: who sees what."""
import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from host import host

from minifast.autograd import tensor
from minifast.collab import EmbeddingDotBias
from minifast.nn import Embedding, Table
from minifast.optim import SGD, Adam, Optimizer


def trained(lazy: bool | None = None, n_items: int = 7) -> tuple[EmbeddingDotBias, Optimizer]:
    model = EmbeddingDotBias(3, 5, n_items, seed=0)
    opt = SGD(model.parameters(), lr=.1, mom=.9, lazy=lazy)
    step(model, opt, items=(0, 4, 4) if n_items < 7 else (0, 6, 6))
    return model, opt


def step(model: Any, opt: Optimizer, users: Any = (1, 1, 4), items: Any = (0, 6, 6)) -> None:
    model(tensor(list(users)), tensor(list(items))).sum().backward()
    opt.step()
    opt.zero_grad()


def test_one_matrix_for_factors_and_biases_of_users_and_items() -> None:
    model, opt = trained()
    (store,) = opt.arenas[0].stores
    assert store.data.shape == (5 + 7, 3 + 1)
    np.testing.assert_array_equal(host(store.data), np.block(
        [[host(model.u_weight.weight), host(model.u_bias.weight)],
         [host(model.i_weight.weight), host(model.i_bias.weight)]]))


def test_tables_of_other_widths_have_stores_of_their_own() -> None:
    tables = [Embedding(n, width) for n, width in [(4, 2), (5, 3), (4, 1), (6, 3), (9, 9)]]
    opt = Adam([table.weight for table in tables])
    assert [store.data.shape for store in opt.arenas[0].stores] == [(4 + 5 + 6, 3), (9, 9)]


def test_two_tables_of_one_shape_are_of_different_things() -> None:
    """With as many users as items, it is still factors and biases of the same that go together."""
    model, opt = trained(n_items=5)
    (store,) = opt.arenas[0].stores
    names = {id(p): name for name, p in model.named_parameters()}
    assert [[names[id(table)] for table in shelf.tables] for shelf in store.shelves] == [
        ["u_weight.weight", "u_bias.weight"], ["i_weight.weight", "i_bias.weight"]]


@pytest.mark.parametrize("n_items", [5, 7])
def test_the_same_steps_as_with_each_table_alone(n_items: int) -> None:
    models = [EmbeddingDotBias(3, 5, n_items, seed=0) for _ in range(2)]
    together = [Adam(models[0].parameters(), lr=.1, wd=.1)]
    alone = [Adam([p], lr=.1, wd=.1) for p in models[1].parameters()]
    rng = np.random.default_rng(0)
    for _ in range(20):
        users, items = (tensor(rng.integers(0, n, 6)) for n in (5, n_items))
        for model, opts in zip(models, (together, alone), strict=True):
            (model(users, items) ** 2).sum().backward()
            model.i_weight(users[:2]).sum().backward()  # and rows of one table only
            for opt in opts:
                opt.step()
                opt.zero_grad()
    for name, array in models[0].state_dict().items():
        np.testing.assert_allclose(array, models[1].state_dict()[name], rtol=2e-6, atol=1e-7)


def test_a_lookup_after_a_change_sees_it() -> None:
    """Also for the same ids, and through an array that somebody has kept."""
    model, _ = trained()
    ids, kept = tensor([1, 2]), model.u_weight.weight.data
    model.u_weight(ids), model.u_bias(ids)
    kept[1] = 5
    assert host(model.u_weight(ids))[0].tolist() == [5, 5, 5]
    model.u_weight.weight.data = kept * 2
    assert host(model.u_weight(ids))[0].tolist() == [10, 10, 10]


@pytest.mark.cpu_only("lazy updates are NumPy's")
def test_changing_an_output_changes_no_weights() -> None:
    models = []
    for spoilt in (True, False):
        model, opt = trained(lazy=True)
        ids = tensor([1, 2])
        out = model.u_weight(ids)
        out.sum().backward()
        if spoilt:
            out.data[...] = 99
        opt.step()
        models.append(model)
    np.testing.assert_array_equal(*(m.u_weight.weight.numpy() for m in models))


def test_frozen_tables_and_copies_keep_no_arena_alive() -> None:
    model, opt = trained()
    old = opt.arenas[0]
    twin = copy.deepcopy(model)
    assert twin.u_weight.weight.store is None
    assert not np.shares_memory(host(twin.u_weight.weight), host(old.data))
    model.freeze("u_weight")
    step(model, opt)
    assert model.u_weight.weight.store is None
    assert model.i_weight.weight.store is opt.arenas[0].stores[0]
    assert not any(np.shares_memory(host(p), host(old.data)) for p in model.parameters())


def test_state_is_in_the_order_of_the_parameters() -> None:
    """Whatever lies side by side: a checkpoint knows nothing of the arena."""
    model, opt = trained()
    state = opt.state_dict()["0.average"]
    tables = model.parameters()
    ends = np.cumsum([0, *(p.numel() for p in tables)])
    by_hand = [np.zeros(p.shape, np.float32) for p in tables]
    users, items = [1, 1, 4], [0, 6, 6]
    first = EmbeddingDotBias(3, 5, 7, seed=0).state_dict()
    for u, i in zip(users, items, strict=True):
        by_hand[0][u] += first["i_weight.weight"][i]
        by_hand[1][i] += first["u_weight.weight"][u]
        by_hand[2][u] += 1
        by_hand[3][i] += 1
    for array, start, stop in zip(by_hand, ends, ends[1:], strict=False):
        np.testing.assert_allclose(state[start:stop].reshape(array.shape), array, rtol=1e-6)
    other, fresh = EmbeddingDotBias(3, 5, 7, seed=0), trained()[1]
    again = SGD(other.parameters(), lr=.1, mom=.9)
    again.load_state_dict(fresh.state_dict())
    np.testing.assert_array_equal(again.state_dict()["0.average"], state)


def test_a_table_alone() -> None:
    table = Table(np.arange(6, dtype=np.float32).reshape(3, 2))
    assert not table.lazy
    assert host(table.look_up(tensor([[2], [0]]).data)).tolist() == [[[4, 5]], [[0, 1]]]


def forget(model: Any, opts: list[Optimizer], by_model: bool) -> None:
    for forgetful in [model] if by_model else opts:
        forgetful.zero_grad()


def steps(model: Any, opts: list[Optimizer], by_model: bool) -> None:
    for opt in opts:
        opt.step()
    forget(model, opts, by_model)


def do(what: str, n: int, ids: Any, model: Any, part: int, opts: list[Optimizer]) -> None:
    """Something that may happen between two steps, to one of the tables or to all."""
    layer = list(model.children())[part]
    table = layer.weight
    happens: dict[str, Callable[[], Any]] = {
        "pairs": lambda: (model(*ids) ** 2).sum().backward(),
        "rows": lambda: table.requires_grad and (layer(ids[part % 2]) ** 2).sum().backward(),
        "by hand": lambda: setattr(table, "grad", None if n == 1 else table.data * float(n)),
        "freeze": lambda: table.requires_grad_(not table.requires_grad or part == 0),
        "elsewhere": lambda: setattr(table, "data", table.data * 1),
        "scale": lambda: np.multiply(g := table.grad_values(), .5, out=g)
                         if table.grad_values() is not None else None,
        "forget": lambda: forget(model, opts, n == 1), "step": lambda: steps(model, opts, n == 1)}
    happens[what]()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("lazy", [
    None, pytest.param(True, marks=pytest.mark.cpu_only("lazy updates are NumPy's"))])
def test_whatever_happens_to_tables_happens_as_to_each_alone(lazy: bool | None, seed: int) -> None:
    """A long way of random doings, with one optimizer that keeps all tables together, and with one
    for each table."""
    models = [EmbeddingDotBias(3, 5, 7, seed=0) for _ in range(2)]
    opts = [[SGD(models[0].parameters(), lr=.1, mom=.9, wd=.1, lazy=lazy)],
            [SGD([p], lr=.1, mom=.9, wd=.1, lazy=False) for p in models[1].parameters()]]
    rng = np.random.default_rng(seed)
    for _ in range(80):
        what = rng.choice(["pairs", "pairs", "rows", "rows", "by hand", "freeze", "elsewhere",
                           "scale", "forget", "step", "step"])
        part, n = int(rng.integers(4)), int(rng.integers(1, 5))
        ids = [tensor(rng.integers(0, rows, n)) for rows in (5, 7)]
        for model, own in zip(models, opts, strict=True):
            do(what, n, ids, model, part, own)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        np.testing.assert_allclose(host(ours), host(theirs), rtol=2e-5, atol=1e-6)
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            np.testing.assert_allclose(host(ours.grad), host(theirs.grad), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint8, np.uint64, np.int32])
def test_ids_of_any_whole_type(kind: type) -> None:
    model = EmbeddingDotBias(3, 1000, 300, seed=0)
    users, items = (tensor(np.array(ids, kind)) for ids in ([1, 2], [100, 99]))
    before = host(model(users, items).data).copy()
    opt = SGD(model.parameters(), lr=0.)
    model(users, items).sum().backward()
    opt.step()
    np.testing.assert_array_equal(host(model(users, items).data), before)
    np.testing.assert_array_equal(host(model.i_weight(items).data),
                                  host(model.i_weight.weight.data)[[100, 99]])


def test_an_empty_batch_table_by_table() -> None:
    model = EmbeddingDotBias(3, 10, 7, seed=0)
    opt = SGD(model.parameters(), lr=.1)
    none = tensor(np.zeros(0, np.int64))
    before = host(model.u_weight.weight.data).copy()
    for _ in range(2):  # table by table, then as pairs
        model(none, none).sum().backward()
        opt.step()
        opt.zero_grad()
    np.testing.assert_array_equal(host(model.u_weight.weight.data), before)
