"""Pairs of rows of one store: the same scores and gradients as with four lookups."""
from typing import Any

import numpy as np
import pytest
from host import host

from minifast import ShapeError, Tensor, no_grad
from minifast.autograd import tensor
from minifast.autograd.pairs import pair_dot_bias
from minifast.collab import EmbeddingDotBias
from minifast.devices.fakecuda.counting import forbid
from minifast.inspect import Hook
from minifast.nn import Embedding, dot_bias
from minifast.optim import SGD, Adam, Optimizer

USERS, ITEMS = [1, 1, 4, 0], [0, 6, 6, 2]


def model_of(n_items: int = 7) -> EmbeddingDotBias:
    model = EmbeddingDotBias(3, 5, n_items, seed=0)
    for p in model.parameters():
        p.data *= 50
    return model


def kept(lazy: bool | None = None, make: Any = SGD) -> tuple[EmbeddingDotBias, Optimizer]:
    """A model whose tables an optimizer keeps, for three steps so far."""
    model = model_of()
    opt = make(model.parameters(), lr=.01, mom=.9, wd=.1, lazy=lazy)
    for _ in range(3):
        (scores(model) ** 2).sum().backward()
        opt.step()
        opt.zero_grad()
    return model, opt


def scores(model: EmbeddingDotBias) -> Tensor:
    return model(tensor(USERS), tensor(ITEMS))


def one_by_one(model: EmbeddingDotBias) -> Tensor:
    """As fastai v1 writes it down."""
    users, items = tensor(USERS), tensor(ITEMS)
    dot = model.u_weight(users) * model.i_weight(items)
    return dot.sum(1) + model.u_bias(users).squeeze(1) + model.i_bias(items).squeeze(1)


def gradients(model: EmbeddingDotBias) -> dict[str, Any]:
    return {name: host(p.grad).copy() for name, p in model.named_parameters() if p.grad is not None}


def nodes(out: Tensor) -> set[str]:
    found, todo = set(), [out.node]
    while todo:
        node = todo.pop()
        if node is not None:
            found.add(node.op.name)
            todo += [getattr(x, "node", None) for x in node.inputs or ()]
    return found


ways = pytest.mark.parametrize(("lazy", "make"), [
    (False, SGD), (False, Adam),
    pytest.param(True, SGD, marks=pytest.mark.cpu_only("lazy updates are NumPy's")),
    pytest.param(True, Adam, marks=pytest.mark.cpu_only("lazy updates are NumPy's"))])


@ways
def test_scores_and_gradients(lazy: bool, make: Any) -> None:
    model, opt = kept(lazy, make)
    plain = EmbeddingDotBias(3, 5, 7)
    plain.load_state_dict(model.state_dict())
    if lazy:
        scores(model).sum().backward()
        opt.step()  # asking for the state has made the store dense
        opt.zero_grad()
        plain.load_state_dict({k: host(v.detach()) for k, v in looked_up(model).items()})
    assert nodes(scores(model)) == {"pair_dot_bias"}
    assert nodes(scores(plain)) == {"row_dot_bias", "lookup"}
    found, expected = scores(model), one_by_one(plain)
    np.testing.assert_allclose(host(found), host(expected), rtol=1e-5, atol=1e-6)
    for out in (found, expected):
        (out * tensor([1., -2., 3., .5])).sum().backward()
    for name, gradient in gradients(model).items():
        np.testing.assert_allclose(gradient, gradients(plain)[name], rtol=1e-4, atol=1e-6)


def looked_up(model: EmbeddingDotBias) -> dict[str, Tensor]:
    """All weights, by a lookup, which leaves a lazy store as it is."""
    with no_grad():
        return {f"{name}.weight": layer(tensor(np.arange(layer.weight.shape[0])))
                for name, layer in model.named_children()}


def test_gradients_of_both_kinds_add_up() -> None:
    """Of pairs, of one table, and of pairs again, in whichever order they are asked for."""
    model, _ = kept()
    plain = model_of()
    plain.load_state_dict(model.state_dict())
    for m in (model, plain):
        (scores(m) ** 2).sum().backward()
        m.i_weight(tensor([6, 2])).sum().backward()
        if m is model:
            assert m.u_bias.weight.grad is not None
        scores(m).sum().backward()
    for name, gradient in gradients(plain).items():
        np.testing.assert_allclose(gradients(model)[name], gradient, rtol=1e-5, atol=1e-6)


def test_a_table_forgets_its_gradient_alone() -> None:
    model, _ = kept()
    scores(model).sum().backward()
    model.u_weight.weight.zero_grad()
    assert model.u_weight.weight.grad is None
    assert set(gradients(model)) == {"i_weight.weight", "u_bias.weight", "i_bias.weight"}
    scores(model).sum().backward()
    model.zero_grad()
    assert gradients(model) == {}


def test_the_optimizer_forgets_all_of_them() -> None:
    model, opt = kept()
    scores(model).sum().backward()
    opt.zero_grad()
    assert gradients(model) == {}


def test_the_gradient_stays_when_a_table_leaves() -> None:
    model, _ = kept()
    scores(model).sum().backward()
    table = model.u_bias.weight
    table.data = table.data.copy()
    assert table.store is None
    assert host(table.grad)[:, 0].tolist() == [1, 2, 0, 0, 1]


@pytest.mark.parametrize("name", ["u_weight", "u_bias", "i_weight", "i_bias"])
@pytest.mark.parametrize("taken", [False, True])
def test_a_table_that_is_elsewhere_is_read_there(name: str, taken: bool) -> None:
    """With an array of its own, or in the store of another optimizer that has moved it."""
    model, opt = kept()
    table = getattr(model, name).weight
    if taken:
        other = SGD([table], lr=100.)
        scores(model).sum().backward()
        other.step()
        model.zero_grad()
    else:
        table.data = table.data + 1
    np.testing.assert_allclose(host(scores(model)), host(one_by_one(model)), rtol=1e-5)
    opt.step()
    assert nodes(scores(model)) == {"pair_dot_bias"}
    np.testing.assert_allclose(host(scores(model)), host(one_by_one(model)), rtol=1e-5)


def test_asking_for_gradients_waits_for_nothing() -> None:
    model, _ = kept()
    scores(model).sum().backward()
    with forbid("transfers", "synchronizations"):
        values = [p.grad_values() for p in model.parameters()]
    assert all(v is not None for v in values)


@pytest.mark.parametrize("part", ["u_weight", "i_bias"])
def test_a_frozen_table_is_looked_up_alone(part: str) -> None:
    model, _ = kept()
    model.freeze(part)
    before = host(scores(model))
    assert nodes(scores(model)) == {"row_dot_bias", "lookup"}
    scores(model).sum().backward()
    assert f"{part}.weight" not in gradients(model)
    model.unfreeze(part)
    assert nodes(scores(model)) == {"pair_dot_bias"}
    np.testing.assert_allclose(host(scores(model)), before, rtol=1e-6)


def test_a_hook_sees_its_layer() -> None:
    model, _ = kept()
    with Hook(model.i_weight, lambda module, inputs, output: output.shape) as hook:
        scores(model)
        assert hook.stored == (4, 3)
    assert nodes(scores(model)) == {"pair_dot_bias"}


def test_as_many_users_as_items() -> None:
    model = model_of(n_items=5)
    users, items = tensor([1, 4, 1]), tensor([1, 0, 3])
    plain = host(model(users, items)).copy()
    Adam(model.parameters()).step()
    assert nodes(model(users, items)) == {"pair_dot_bias"}
    np.testing.assert_allclose(host(model(users, items)), plain, rtol=1e-6)


def test_tables_that_stand_otherwise() -> None:
    """Groups of their own; a table too many; a layer of another class; three tables beside one."""
    apart, more, other = model_of(), model_of(), model_of()

    class Doubled(Embedding):
        def forward(self, ids: Tensor) -> Tensor:
            return super().forward(ids) * 2

    doubled = Doubled(7, 1)
    doubled.weight = other.i_bias.weight
    other.i_bias = doubled
    extra = Embedding(9, 4).weight
    for groups in ([[p] for p in apart.parameters()],
                   [*more.parameters(), extra], other.parameters()):
        SGD(groups).step()
    for model in (apart, more):
        out = model(tensor([1, 4]), tensor([0, 3]))
        assert nodes(out) == {"row_dot_bias", "lookup"}
    alone, *three = (Embedding(n, width, seed=n) for n, width in [(5, 6), (7, 1), (7, 2), (7, 3)])
    SGD([layer.weight for layer in (alone, *three)]).step()
    items = tensor([6]), Embedding(7, 6), Embedding(7, 1)
    scored = dot_bias((tensor([1]), alone, three[0]), items)
    assert nodes(scored) == {"row_dot_bias", "lookup"}
    expected = host(one_by_one(other))
    np.testing.assert_allclose(host(scores(other)), expected, rtol=1e-6)


def test_ids_of_other_shapes() -> None:
    """One user with several items, tables of ids, lists; and numbers that do not fit together."""
    model, _ = kept()
    one = model(tensor([4]), tensor([0, 6, 2]))
    np.testing.assert_array_equal(host(one), host(model(tensor([4] * 3), tensor([0, 6, 2]))))
    square = model(tensor([[1, 4], [0, 2]]), tensor([[0, 6], [2, 5]]))
    flat = model(tensor([1, 4, 0, 2]), tensor([0, 6, 2, 5]))
    np.testing.assert_array_equal(host(square).reshape(-1), host(flat))
    np.testing.assert_array_equal(host(model([4], [6])), host(model(tensor([4]), tensor([6]))))
    with pytest.raises(ShapeError, match="row_dot_bias"):
        model(tensor([1, 2]), tensor([1, 2, 3]))
    assert len(model(tensor(np.zeros(0, int)), tensor(np.zeros(0, int))).tolist()) == 0


def test_ids_out_of_range() -> None:
    """Each side has its own range, though both are rows of one matrix."""
    users, items = (Embedding(5, 2), Embedding(5, 1)), (Embedding(7, 2), Embedding(7, 1))
    SGD([layer.weight for layer in (*users, *items)]).step()
    for u, i, told in [(5, 0, "id 5 .* of 5 rows"), (-1, 0, "id -1 .* of 5 rows"),
                       (0, 7, "id 7 .* of 7 rows"), (0, -1, "id -1 .* of 7 rows")]:
        if users[0].weight.device == "cpu":
            with pytest.raises(IndexError, match=told):
                dot_bias((tensor([u]), *users), (tensor([i]), *items))
    with pytest.raises(TypeError, match="whole numbers"):
        dot_bias((tensor([.5]), *users), (tensor([1]), *items))


def test_a_second_walk_back() -> None:
    model, _ = kept()
    out = scores(model).sum()
    out.backward(retain_graph=True)
    once = gradients(model)
    out.backward()
    for name, gradient in gradients(model).items():
        np.testing.assert_allclose(gradient, 2 * once[name], rtol=1e-6)


@ways
def test_a_walk_back_after_the_step(lazy: bool, make: Any) -> None:
    """The graph has the rows as they were at the lookup."""
    model, opt = kept(lazy, make)
    scores(model).sum().backward()
    opt.step()
    opt.zero_grad()
    out = scores(model).sum()
    out.backward(retain_graph=True)
    before = [part.flat().values for part in opt.arenas[0].stores[0].pending]
    opt.step()
    opt.zero_grad()
    out.backward()
    for part, values in zip(opt.arenas[0].stores[0].pending, before, strict=True):
        np.testing.assert_array_equal(host(part.flat().values), host(values))


@ways
def test_batches_of_one_pair(lazy: bool, make: Any) -> None:
    """What the batch has read stays as it is: a lazy step begins there."""
    models = []
    for how in (lazy, False):
        model = model_of()
        opt = make(model.parameters(), lr=.01, mom=.9, wd=.1, lazy=how)
        for k in range(6):
            (model(tensor(USERS[k % 4:][:1]), tensor(ITEMS[k % 4:][:1])) ** 2).sum().backward()
            opt.step()
            opt.zero_grad()
        models.append(model)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        np.testing.assert_allclose(host(ours), host(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_gradient_leaves_the_rows_alone(n: int) -> None:
    found = tensor(np.arange(8. * n).reshape(2 * n, 4)).data
    rows = tensor(np.arange(2 * n)).data
    before = host(found).copy()
    part = pair_dot_bias.rule(0)(tensor(np.ones(n)).data, None, found, rows, shape=(2 * n, 4))
    np.testing.assert_array_equal(host(found), before)
    expected = np.concatenate([before[n:], before[:n]])  # the items', then the users'
    expected[:, -1] = 1
    np.testing.assert_array_equal(host(part.values), expected)
