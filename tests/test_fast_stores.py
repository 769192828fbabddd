"""Tables side by side in one store, and rating models that read all four at once."""
import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
from fast_training import (
    OPEN,
    assert_plain,
    flats,
    is_deferred,
    stores,
    trainings_end,  # noqa: F401
)
from host import host

from minifast import ShapeError, Tensor, no_grad, tensor
from minifast.backend import default_device, transfer
from minifast.collab import EmbeddingDotBias
from minifast.devices.fakecuda.counting import forbid
from minifast.fast import accelerate
from minifast.fast.layers import fused_dot_bias
from minifast.inspect import Hook
from minifast.nn import BatchNorm1d, Embedding, Linear
from minifast.optim import SGD, Adam, Optimizer, RMSProp

USERS, ITEMS = [1, 1, 4, 0], [0, 6, 6, 2]
FUSED = {"fused_dot_bias"}
ways = pytest.mark.parametrize(("deferred", "make"), [
    (False, SGD), (False, Adam), (False, RMSProp), (True, SGD), (True, Adam)])


def new_model(n_items: int = 7) -> EmbeddingDotBias:
    """Five users; weights far from zero."""
    model = EmbeddingDotBias(3, 5, n_items, seed=0)
    for p in model.parameters():
        p.data *= 50
    return model


def accelerated(model: Any, opt: Any, deferred: bool = False) -> Any:
    """Accelerate until the end of the test."""
    OPEN.enter_context(accelerate(model, opt, always=deferred))
    return opt


def trained(deferred: bool = False, make: Any = SGD, n_items: int = 7
            ) -> tuple[EmbeddingDotBias, Optimizer]:
    """An accelerated model after three steps. Updates are deferred on the CPU only."""
    model = new_model(n_items)
    opt = accelerated(model, make(model.parameters(), lr=.01, mom=.9, wd=.1), deferred)
    items = ITEMS if n_items > 6 else [0, 4, 4, 2]
    for _ in range(3):
        step(model, opt, items=items)
    assert is_deferred(model.u_weight.weight) == (deferred and default_device() == "cpu")
    return model, opt


def step(model: Any, opt: Optimizer, users: Any = USERS, items: Any = ITEMS) -> None:
    (model(tensor(users), tensor(items)) ** 2).sum().backward()
    opt.step()
    opt.zero_grad()


def scores(model: EmbeddingDotBias) -> Tensor:
    return model(tensor(USERS), tensor(ITEMS))


def one_by_one(model: EmbeddingDotBias) -> Tensor:
    """As fastai v1 writes it down."""
    users, items = tensor(USERS), tensor(ITEMS)
    dot = model.u_weight(users) * model.i_weight(items)
    return dot.sum(1) + model.u_bias(users).squeeze(1) + model.i_bias(items).squeeze(1)


def plain_copy(model: EmbeddingDotBias) -> EmbeddingDotBias:
    """A model with the same weights. Deferred stores stay as they are."""
    with no_grad():
        weights = {f"{name}.weight": host(layer(tensor(np.arange(layer.weight.shape[0]))))
                   for name, layer in model.named_children()}
    plain = new_model(model.i_weight.weight.shape[0])
    plain.load_state_dict(weights)
    return plain


def gradients(model: EmbeddingDotBias) -> dict[str, Any]:
    return {name: host(p.grad).copy() for name, p in model.named_parameters() if p.grad is not None}


def operations(out: Tensor) -> set[str]:
    """The operations behind a tensor."""
    found, todo = set(), [out.node]
    while todo:
        node = todo.pop()
        if node is not None:
            found.add(node.op.name)
            todo += [getattr(x, "node", None) for x in node.inputs or ()]
    return found


# ---------------------------------------------------------------- where tables lie


def test_one_matrix_for_factors_and_biases_of_users_and_items() -> None:
    model, opt = trained()
    store, = stores(opt)
    assert store.data.shape == (5 + 7, 3 + 1)
    np.testing.assert_array_equal(host(store.data), np.block(
        [[host(model.u_weight.weight), host(model.u_bias.weight)],
         [host(model.i_weight.weight), host(model.i_bias.weight)]]))


class Tables(EmbeddingDotBias):
    """A model with other tables."""

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self.tables = [Embedding(n, width) for n, width in sizes]
        for i, table in enumerate(self.tables):
            setattr(self, f"table{i}", table)


def test_tables_of_other_widths_have_stores_of_their_own() -> None:
    model = Tables((4, 2), (5, 3), (4, 1), (6, 3), (9, 9))
    opt = accelerated(model, Adam(model.parameters()))
    assert [store.data.shape for store in stores(opt)] == [(4 + 5 + 6, 3), (9, 9)]


def test_two_tables_of_one_shape_are_of_different_things() -> None:
    """With as many users as items, factors still lie next to the biases of the same thing."""
    model, opt = trained(n_items=5)
    store, = stores(opt)
    names = {id(p): name for name, p in model.named_parameters()}
    assert [[names[id(table)] for table in found.tables] for found in store.ranges] == [
        ["u_weight.weight", "u_bias.weight"], ["i_weight.weight", "i_bias.weight"]]


def test_parameters_and_gradients_lie_end_to_end() -> None:
    """Gradients are written where they belong; what decay spares has a storage of its own."""
    net = Linear(3, 2, seed=0)
    opt = accelerated(net, SGD(net.parameters(), lr=.1, bn_wd=False))
    net(tensor(np.ones((4, 3), np.float32))).sum().backward()
    found, = opt.accelerator.flats
    assert [(len(flat.data), spared) for flat, spared in found] == [(6, False), (2, True)]
    for flat, p in zip(flats(opt), net.parameters(), strict=True):
        flat.data += 1
        assert p.grad is flat.dense[0][2]
        np.testing.assert_array_equal(host(flat.data), host(p).ravel())
        np.testing.assert_array_equal(host(flat.grad), host(p.grad).ravel())
    first = net.parameters()[0].grad
    opt.zero_grad()
    net(tensor(np.ones((4, 3), np.float32))).sum().backward()
    assert net.parameters()[0].grad is first


def test_frozen_tables_and_copies_keep_no_storage_alive() -> None:
    model, opt = trained()
    old = flats(opt)[0].data
    model.freeze("u_weight")
    step(model, opt)
    assert "store" not in vars(model.u_weight.weight)
    assert model.i_weight.weight.store is stores(opt)[0]
    assert not any(np.shares_memory(host(p), host(old)) for p in model.parameters())
    new = flats(opt)[0].data
    twin = copy.deepcopy(model)
    assert_plain(twin, None)
    assert not any(np.shares_memory(host(p), host(new)) for p in twin.parameters())


def test_state_belongs_to_each_parameter() -> None:
    """Whatever lies side by side: a checkpoint knows nothing of it."""
    model = EmbeddingDotBias(3, 5, 7, seed=0)
    opt = accelerated(model, SGD(model.parameters(), lr=.1, mom=.9))
    users, items = [1, 1, 4], [0, 6, 6]
    model(tensor(users), tensor(items)).sum().backward()
    opt.step()
    state = opt.state_dict()
    expected = [np.zeros(p.shape, np.float32) for p in model.parameters()]
    first = EmbeddingDotBias(3, 5, 7, seed=0).state_dict()
    for u, i in zip(users, items, strict=True):
        expected[0][u] += first["i_weight.weight"][i]
        expected[1][i] += first["u_weight.weight"][u]
        expected[2][u] += 1
        expected[3][i] += 1
    for i, array in enumerate(expected):
        np.testing.assert_allclose(state[f"0.{i}.average"], array, rtol=1e-6)
    other = EmbeddingDotBias(3, 5, 7, seed=0)
    again = accelerated(other, SGD(other.parameters(), lr=.1, mom=.9))
    again.load_state_dict(state)
    assert again.state_dict().keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(again.state_dict()[name], array)


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("n_items", [5, 7])
def test_the_same_steps_as_with_each_table_alone(n_items: int) -> None:
    models = [EmbeddingDotBias(3, 5, n_items, seed=0) for _ in range(2)]
    together = [accelerated(models[0], Adam(models[0].parameters(), lr=.1, wd=.1))]
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


@ways
def test_scores_and_gradients(deferred: bool, make: Any) -> None:
    model, _ = trained(deferred, make)
    plain = plain_copy(model)
    assert operations(scores(model)) == FUSED
    assert operations(scores(plain)) >= {"lookup"}
    found, expected = scores(model), one_by_one(plain)
    np.testing.assert_allclose(host(found), host(expected), rtol=1e-5, atol=1e-6)
    for out in (found, expected):
        (out * tensor([1., -2., 3., .5])).sum().backward()
    for name, gradient in gradients(model).items():
        np.testing.assert_allclose(gradient, gradients(plain)[name], rtol=1e-4, atol=1e-6)
    assert is_deferred(model.u_weight.weight) == (deferred and default_device() == "cpu")


def test_evaluation_materializes_once_and_reads_the_same_scores() -> None:
    model, opt = trained(deferred=True)
    training = host(scores(model))
    model.eval()
    store, = stores(opt)
    for _ in range(2):
        np.testing.assert_allclose(host(scores(model)), training, rtol=1e-5)
        assert store.deferred is None


def test_gradients_of_both_kinds_add_up() -> None:
    """Of pairs, of one table, and of pairs again, in whichever order they are asked for."""
    model, _ = trained()
    plain = plain_copy(model)
    for m in (model, plain):
        (scores(m) ** 2).sum().backward()
        m.i_weight(tensor([6, 2])).sum().backward()
        if m is model:
            assert m.u_bias.weight.grad is not None
        scores(m).sum().backward()
    for name, gradient in gradients(plain).items():
        np.testing.assert_allclose(gradients(model)[name], gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_items", [5, 7])
def test_a_lookup_after_a_change_sees_it(n_items: int) -> None:
    """Also for the same ids, and through an array that somebody has kept."""
    model, _ = trained(n_items=n_items)
    ids, kept = tensor([1, 2]), model.u_weight.weight.data
    model.u_weight(ids), model.u_bias(ids)
    kept[1] = 5
    assert host(model.u_weight(ids))[0].tolist() == [5, 5, 5]
    model.u_weight.weight.data = kept * 2
    assert host(model.u_weight(ids))[0].tolist() == [10, 10, 10]


@ways
def test_a_deferred_lookup_after_a_change_sees_it(deferred: bool, make: Any) -> None:
    model, _ = trained(deferred, make)
    ids = tensor([1, 2])
    model.u_weight(ids)
    model.u_weight.weight.data[1] = 5
    assert host(model.u_weight(ids))[0].tolist() == [5, 5, 5]


@pytest.mark.parametrize("deferred", [False, True])
def test_changing_an_output_changes_no_weights(deferred: bool) -> None:
    models = []
    for spoilt in (True, False):
        model, opt = trained(deferred)
        out = model.u_weight(tensor([1, 2]))
        out.sum().backward()
        if spoilt:
            out.data[...] = 99
        opt.step()
        models.append(model)
    np.testing.assert_array_equal(*(host(m.u_weight.weight) for m in models))


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint8, np.uint64, np.int32])
def test_ids_of_any_whole_type(kind: type) -> None:
    model = EmbeddingDotBias(3, 1000, 300, seed=0)
    users, items = (tensor(np.array(ids, kind)) for ids in ([1, 2], [100, 99]))
    before = host(model(users, items)).copy()
    opt = accelerated(model, SGD(model.parameters(), lr=0.))
    model(users, items).sum().backward()
    assert host(model.u_bias.weight.grad).nonzero()[0].tolist() == [1, 2]
    assert sorted(host(model.i_bias.weight.grad).nonzero()[0].tolist()) == [99, 100]
    opt.step()
    np.testing.assert_allclose(host(model(users, items)), before, rtol=1e-6)
    np.testing.assert_array_equal(host(model.i_weight(items)),
                                  host(model.i_weight.weight)[[100, 99]])


def test_an_empty_batch() -> None:
    """Table by table, and all at once."""
    model = EmbeddingDotBias(3, 10, 7, seed=0)
    opt = accelerated(model, SGD(model.parameters(), lr=.1))
    none = tensor(np.zeros(0, np.int64))
    before = host(model.u_weight.weight).copy()
    for _ in range(2):
        one = (model.u_weight(none) * model.i_weight(none)).sum() + model.u_bias(none).sum()
        for loss in (one, model(none, none).sum()):
            loss.backward()
            opt.step()
            opt.zero_grad()
    np.testing.assert_array_equal(host(model.u_weight.weight), before)


@ways
def test_batches_of_one_pair(deferred: bool, make: Any) -> None:
    """What the batch has read stays as it is: a deferred step begins there."""
    models = []
    for fast in (True, False):
        model = new_model()
        opt = make(model.parameters(), lr=.01, mom=.9, wd=.1)
        if fast:
            accelerated(model, opt, deferred)
        for k in range(6):
            step(model, opt, USERS[k % 4:][:1], ITEMS[k % 4:][:1])
        models.append(model)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        np.testing.assert_allclose(host(ours), host(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [SGD, Adam, partial(Adam, true_wd=False), RMSProp])
def test_a_group_of_empty_parameters(make: Any) -> None:
    """Batch normalisation of no columns, say: it has the state of the plain path."""
    states = []
    for fast in (True, False):
        model = BatchNorm1d(0)
        model.table = Embedding(4, 2, seed=0)
        opt = make([[model.weight, model.bias], [model.table.weight]], lr=.1)
        with accelerate(model, opt) if fast else nullcontext():
            for _ in range(3):
                model.table(tensor([1, 2])).sum().backward()
                opt.step()
        states.append(opt.state_dict())
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert value.shape == states[1][name].shape
        np.testing.assert_allclose(value, states[1][name], rtol=1e-6)


# ---------------------------------------------------------------- gradients


def test_a_table_forgets_its_gradient_alone() -> None:
    model, _ = trained()
    scores(model).sum().backward()
    model.u_weight.weight.zero_grad()
    assert model.u_weight.weight.grad is None
    assert set(gradients(model)) == {"i_weight.weight", "u_bias.weight", "i_bias.weight"}
    scores(model).sum().backward()
    model.zero_grad()
    assert gradients(model) == {}


def test_the_optimizer_forgets_all_of_them() -> None:
    model, opt = trained()
    scores(model).sum().backward()
    opt.zero_grad()
    assert gradients(model) == {}


def test_the_gradient_stays_when_an_array_is_replaced() -> None:
    model, _ = trained()
    scores(model).sum().backward()
    table = model.u_bias.weight
    table.data = table.data.copy()
    assert host(table.grad)[:, 0].tolist() == [1, 2, 0, 0, 1]


def test_asking_for_gradients_waits_for_nothing() -> None:
    model, _ = trained()
    scores(model).sum().backward()
    with forbid("transfers", "synchronizations"):
        values = [p.grad for p in model.parameters()]
    assert all(v is not None for v in values)


@ways
def test_a_second_backward_doubles_the_gradient(deferred: bool, make: Any) -> None:
    model, _ = trained(deferred, make)
    out = scores(model).sum()
    out.backward(retain_graph=True)
    once = gradients(model)
    out.backward()
    for name, gradient in gradients(model).items():
        np.testing.assert_allclose(gradient, 2 * once[name], rtol=1e-6)


@ways
def test_a_backward_after_the_step_sees_the_rows_of_its_forward(deferred: bool, make: Any) -> None:
    model, opt = trained(deferred, make)
    out = scores(model).sum() + model.u_weight(tensor([3, 3])).sum()
    out.backward(retain_graph=True)
    before = gradients(model)
    opt.zero_grad()
    out.backward(retain_graph=True)
    opt.step()
    opt.zero_grad()
    out.backward()
    assert before.keys() == gradients(model).keys()
    for name, gradient in gradients(model).items():
        np.testing.assert_array_equal(gradient, before[name])


@pytest.mark.parametrize("n", [1, 2, 5])
def test_computing_a_gradient_leaves_the_rows_alone(n: int) -> None:
    _, opt = trained()
    store, = stores(opt)
    found = tensor(np.arange(8. * n).reshape(2 * n, 4)).data
    rows = tensor(np.arange(2 * n)).data
    before = host(found).copy()
    rule: Any = fused_dot_bias.rules[0]
    part = rule(tensor(np.ones(n)).data, None, store, found, rows)
    np.testing.assert_array_equal(host(found), before)
    expected = np.concatenate([before[n:], before[:n]])  # the items', then the users'
    expected[:, -1] = 1
    np.testing.assert_array_equal(host(part.values), expected)


# ---------------------------------------------------------------- tables that are read one by one


@pytest.mark.parametrize("name", ["u_weight", "u_bias", "i_weight", "i_bias"])
@pytest.mark.parametrize("taken", [False, True])
def test_a_table_that_lies_elsewhere_is_read_there(name: str, taken: bool) -> None:
    """With an array of its own, or after the step of another optimizer."""
    model, opt = trained()
    table = getattr(model, name).weight
    if taken:
        other = SGD([table], lr=100.)
        with accelerate(model, other):
            scores(model).sum().backward()
            other.step()
            model.zero_grad()
            np.testing.assert_allclose(host(scores(model)), host(one_by_one(model)), rtol=1e-5)
    else:
        table.data = table.data + 1
    np.testing.assert_allclose(host(scores(model)), host(one_by_one(model)), rtol=1e-5)
    opt.step()
    if not taken:
        assert operations(scores(model)) == FUSED
    np.testing.assert_allclose(host(scores(model)), host(one_by_one(model)), rtol=1e-5)


@pytest.mark.parametrize("part", ["u_weight", "i_bias"])
def test_a_frozen_table_is_looked_up_alone(part: str) -> None:
    model, _ = trained()
    model.freeze(part)
    before = host(scores(model))
    assert not operations(scores(model)) & FUSED
    scores(model).sum().backward()
    assert f"{part}.weight" not in gradients(model)
    model.unfreeze(part)
    assert operations(scores(model)) == FUSED
    np.testing.assert_allclose(host(scores(model)), before, rtol=1e-5)


@ways
def test_a_hook_sees_its_layer(deferred: bool, make: Any) -> None:
    model, _ = trained(deferred, make)
    with Hook(model.i_weight, lambda module, inputs, output: output.detach()) as hook:
        hooked = scores(model)
        assert hook.stored.shape == (4, 3)
    assert operations(hooked) >= {"sparse_lookup"}
    assert operations(scores(model)) == FUSED
    np.testing.assert_allclose(host(hooked), host(scores(model)), rtol=1e-5)


def test_as_many_users_as_items() -> None:
    model = new_model(n_items=5)
    users, items = tensor([1, 4, 1]), tensor([1, 0, 3])
    plain = host(model(users, items)).copy()
    accelerated(model, Adam(model.parameters()))
    assert operations(model(users, items)) == FUSED
    np.testing.assert_allclose(host(model(users, items)), plain, rtol=1e-6)


class Doubled(Embedding):
    """A student's own layer."""

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * 2


class Halved(EmbeddingDotBias):
    """A student's own model."""

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        return super().forward(users, items) / 2


def in_groups(model: EmbeddingDotBias) -> Any:
    return [[p] for p in model.parameters()]


def with_another_table(model: Any) -> Any:
    model.extra = Embedding(9, 4, seed=0)
    return model.parameters()


def with_a_layer_of_its_own(model: Any) -> Any:
    doubled = Doubled(7, 1, seed=0)
    doubled.weight = model.i_bias.weight
    model.i_bias = doubled
    return model.parameters()


def without_a_table(model: Any) -> Any:
    return model.parameters()[:3]


@pytest.mark.parametrize("change", [in_groups, with_another_table, with_a_layer_of_its_own,
                                    without_a_table])
@pytest.mark.parametrize("own", [False, True])
def test_tables_that_do_not_make_up_a_store(change: Callable[[Any], Any], own: bool) -> None:
    """Each is looked up in its own layer, with the results of the plain model."""
    results = []
    for fast in (True, False):
        model = new_model()
        if own:
            model.__class__ = Halved
        opt = SGD(change(model), lr=.01)
        with ExitStack() as stack:
            if fast:
                stack.enter_context(accelerate(model, opt))
                assert not operations(scores(model)) & FUSED
            for _ in range(3):
                step(model, opt)
            results.append([host(scores(model)), *map(host, model.parameters())])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- ids, right and wrong


def test_ids_of_other_shapes() -> None:
    """One user with several items, and tables of ids; numbers that do not fit together."""
    model, _ = trained()
    plain = plain_copy(model)
    for users, items in [([4], [0, 6, 2]), ([[4]], [[6]]), (USERS, ITEMS)]:
        found = host(model(tensor(users), tensor(items)))
        np.testing.assert_allclose(found, host(plain(tensor(users), tensor(items))), rtol=1e-5)
    for wrong in (model, plain):
        with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3, 3\)"):
            wrong(tensor([1, 2]), tensor([1, 2, 3]))
    assert len(model(tensor(np.zeros(0, int)), tensor(np.zeros(0, int))).tolist()) == 0


@pytest.mark.parametrize("deferred", [False, True])
def test_ids_out_of_range(deferred: bool) -> None:
    """Each side has its own range, though both are rows of one matrix."""
    model, _ = trained(deferred)
    for u, i, told in [(5, 0, "id 5 .* of 5 rows"), (-1, 0, "id -1 .* of 5 rows"),
                       (0, 7, "id 7 .* of 7 rows"), (0, -1, "id -1 .* of 7 rows")]:
        if default_device() == "cpu":
            with pytest.raises(IndexError, match=told):
                model(tensor([u]), tensor([i]))
            layer = model.u_weight if "of 5" in told else model.i_weight
            with pytest.raises(IndexError, match=told):
                layer(tensor([u if "of 5" in told else i]))
    with pytest.raises(TypeError, match="whole numbers"):
        model(tensor([.5]), tensor([1]))
    for ids in [.5], [1.], [np.nan]:
        model.i_weight(tensor([1]))  # the rows that are kept must not hide the next ids' type
        with pytest.raises(TypeError, match="whole numbers"):
            model.i_weight(tensor(ids))


@pytest.mark.cpu_only("elsewhere ids are checked before training")
@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("ids", [
    np.array([-1]), np.array([5], np.uint8), np.array([-1], ">i8"), np.array([5], "<i4"),
    np.array([-1], ">i2"), np.array([2**40])])
def test_ids_of_any_type_out_of_range(ids: Any, deferred: bool) -> None:
    """Whatever their type and the order of their bytes."""
    model, _ = trained(deferred)
    inside = tensor((abs(ids) % 5).astype(ids.dtype))
    for layer in (model.u_weight, model.u_bias):
        with pytest.raises(IndexError, match="of 5 rows"):
            layer(tensor(ids))
        np.testing.assert_allclose(host(layer(inside)), host(layer.weight)[host(inside)],
                                   rtol=1e-6)
    with pytest.raises(IndexError, match="of 5 rows"):
        model(tensor(ids), inside)
    same = tensor([int(inside[0])])
    np.testing.assert_array_equal(host(model(inside, inside)), host(model(same, same)))


def test_an_array_that_does_not_fit_its_place() -> None:
    model, opt = trained()
    weight, before = model.u_weight.weight, host(model.u_weight.weight).copy()
    weight.data = weight.data[:3]
    with pytest.raises(ShapeError, match=r"data of shape \(5, 3\) was replaced by \(3, 3\)"):
        opt.step()
    weight.data = transfer(before, weight.device)
    opt.interrupted = False
    opt.step()
    assert host(weight).shape == (5, 3)


# ---------------------------------------------------------------- random sequences


def happen(what: str, n: int, ids: Any, model: Any, part: int, opts: list[Optimizer]) -> None:
    """Do something that may be done between two steps, to one of the tables or to all."""
    layer = list(model.children())[part]
    table = layer.weight

    def forget() -> None:
        for owner in [model] if n == 1 else opts:
            owner.zero_grad()

    def make_steps() -> None:
        for opt in opts:
            opt.step()
        forget()

    def scale() -> None:
        if table.grad is not None:
            np.multiply(table.grad, .5, out=table.grad)

    happens: dict[str, Callable[[], Any]] = {
        "pairs": lambda: (model(*ids) ** 2).sum().backward(),
        "rows": lambda: table.requires_grad and (layer(ids[part % 2]) ** 2).sum().backward(),
        "set grad": lambda: setattr(table, "grad", None if n == 1 else table.data * float(n)),
        "freeze": lambda: table.requires_grad_(not table.requires_grad or part == 0),
        "replace": lambda: setattr(table, "data", table.data * 1),
        "scale": scale, "forget": forget, "step": make_steps}
    happens[what]()


@pytest.fixture
def nested() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("deferred", [False, True])
def test_tables_in_one_store_are_as_each_alone(deferred: bool, seed: int, nested: ExitStack
                                               ) -> None:
    """One accelerated optimizer for all tables against a plain one for each."""
    models = [EmbeddingDotBias(3, 5, 7, seed=0) for _ in range(2)]
    opts = [[SGD(models[0].parameters(), lr=.1, mom=.9, wd=.1)],
            [SGD([p], lr=.1, mom=.9, wd=.1) for p in models[1].parameters()]]
    nested.enter_context(accelerate(models[0], opts[0][0], always=deferred))
    rng = np.random.default_rng(seed)
    for _ in range(80):
        what = rng.choice(["pairs", "pairs", "rows", "rows", "set grad", "freeze", "replace",
                           "scale", "forget", "step", "step"])
        part, n = int(rng.integers(4)), int(rng.integers(1, 5))
        ids = [tensor(rng.integers(0, rows, n)) for rows in (5, 7)]
        for model, own in zip(models, opts, strict=True):
            happen(what, n, ids, model, part, own)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        np.testing.assert_allclose(host(ours), host(theirs), rtol=2e-5, atol=1e-6)
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            np.testing.assert_allclose(host(ours.grad), host(theirs.grad), rtol=2e-5, atol=1e-6)


def test_two_lookups_of_the_same_rows_share_a_gradient() -> None:
    """Also if a weight changes between them; the second lookup sees the change."""
    model, opt = trained(make=Adam)
    users, bias = tensor(USERS), model.u_bias.weight.data
    first = model.u_weight(users)
    bias[1] = 7.
    second = model.u_bias(users)
    assert host(second)[:2].tolist() == [[7.], [7.]]
    (first.sum() + second.sum()).backward()
    assert len(stores(opt)[0].gradient().rows) == len(USERS)
