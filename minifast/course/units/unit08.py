"""Unit 8, embeddings: a table of rows, its gradient, and recommendations."""
import tracemalloc
from typing import Any

import numpy as np

from ... import collab
from ...autograd import Tensor, derivatives, ops
from ...data import ArrayDataset, CollabDataBunch
from ...datasets import planted_ratings
from ...nn import Embedding
from ..unit import Bug, Unit
from ..values import error_of

OPS, COLLAB = "minifast.autograd.ops", "minifast.collab"
TABLES = ("u_weight", "i_weight", "u_bias", "i_bias")
UNIT = Unit(8, "Embeddings", {OPS: ("lookup", "_add_at"), COLLAB: (
    "EmbeddingDotBias.__init__", "EmbeddingDotBias.forward", "CollabLearner.recommend")}, bugs=(
    Bug("last one wins", OPS, "backend_of(total).scatter_add(total, index, g)",
        "total[index] = g",
        "A film that occurs three times in a batch learns from only one of these ratings."),
    Bug("repeats averaged", OPS, "    backend_of(total).scatter_add(total, index, g)\n",
        "    backend_of(total).scatter_add(total, index, g)\n    count = np.zeros(a.shape)\n"
        "    np.add.at(count, index, 1.)\n"
        "    total = (total / np.maximum(count, 1)).astype(a.dtype)\n",
        "Popular films learn as slowly as rare ones; gradcheck of a lookup fails."),
    Bug("no item bias", COLLAB, " + self.i_bias(items).squeeze(-1)", "",
        "learn.bias(titles) does not tell good films from bad ones."),
    Bug("mean of factors", COLLAB, "self.i_weight(items)).sum(1)", "self.i_weight(items)).mean(1)",
        "The more factors the model has, the less taste it learns."),
    Bug("one seed for all", COLLAB, "rng = generator(seed)", "rng = 0 if seed is None else seed",
        "Before training, user 7 and item 7 have the same factors."),
    Bug("range without its low end", COLLAB, "sigmoid_range(res, *self.y_range)",
        "sigmoid_range(res, 0., self.y_range[1])",
        "With y_range=(1, 5.5) some predictions lie below 1."),
    Bug("validation rows forgotten", COLLAB,
        "(self.data.train_ds, self.data.valid_ds, *self.data.added)",
        "(self.data.train_ds, *self.data.added)",
        "recommend() offers films that the user has rated."),
    Bug("row 0 is an item", COLLAB, "scores[0] = -np.inf", "scores[0] = scores[0]",
        "Some users are recommended the film #na#."),
    Bug("large weights", "minifast.nn.embedding", "std=0.01, seed=seed", "std=1., seed=seed",
        "The loss of the first batch is several times that of a constant prediction."),
    Bug("negative ids", "minifast.nn.embedding", "if ids.item(ids.argmin()) < 0 or", "if",
        "An id of -1 quietly gives the last row of the table.")))


# ---------------------------------------------------------------- the lookup


@UNIT.property("A lookup gives, for each id, the row of the table with this number.",
               "The shape of the result is the shape of the ids, then the width of the table.",
               "NumPy can take an array of numbers as an index.")
def rows(rng: np.random.Generator) -> list[Any]:
    """Return rows for ids of several shapes, and of a table that is not contiguous."""
    table, wide = rng.normal(size=(6, 3)), rng.normal(size=(4, 7))
    ids = [rng.integers(0, 6, shape) for shape in ((5,), (2, 3), (), (0,), (1,))]
    return [*(ops.lookup(table, i) for i in ids), ops.lookup(wide.T, ids[0]),
            ops.lookup(table.astype(np.float32), ids[1].astype(np.int32))]


@UNIT.property("The result is a copy: changing it does not change the table.",
               "Which ways of indexing an array give a view, and which a copy?",
               "A slice is a view. An array of numbers as an index makes a copy.")
def copied(rng: np.random.Generator) -> list[Any]:
    """Return a table after its rows were changed, and the ids."""
    table, ids = rng.normal(size=(4, 2)), np.arange(4)
    before = table.copy()
    found = ops.lookup(table, ids)
    found += 1
    return [table - before, ids]


@UNIT.property("The gradient of a row that was looked up several times is the sum of all its "
               "gradients.",
               "Look at `total[[2, 2]] += 1`: what is in total[2] then?",
               "NumPy has an addition that counts an index as often as it occurs; the backend has "
               "it as well, see scatter_add in backend.py.")
def repeated(rng: np.random.Generator) -> list[Any]:
    """Return gradients of tables whose rows are looked up many times."""
    table = rng.normal(size=(5, 3))
    found = []
    for ids in (rng.integers(0, 5, 40), np.full(7, 2), rng.integers(0, 3, (4, 6))):
        found.append(ops._add_at(rng.normal(size=(*ids.shape, 3)), None, table, ids))
    return found


@UNIT.property("Rows that were not looked up have the gradient 0, and the shape and the type are "
               "those of the table.",
               "The gradient has a row for each row of the table, also for those not asked for.",
               "Begin with zeros of the shape and the type of the table.")
def untouched(rng: np.random.Generator) -> list[Any]:
    """Return gradients for few ids, for one, for none, and of a float32 table."""
    table = rng.normal(size=(6, 2))
    found = [ops._add_at(rng.normal(size=(*ids.shape, 2)), None, table, ids)
             for ids in (np.array([1, 4]), np.array(3), np.empty(0, np.int64))]
    ids = rng.integers(0, 6, 4)
    return [*found, ops._add_at(rng.normal(size=(4, 2)), None, table.astype(np.float32), ids)]


@UNIT.property("Neither the gradient that comes in nor the table is changed.",
               "Does one of your operations write into g or into a?",
               "Add into a new array of zeros.")
def inputs_kept(rng: np.random.Generator) -> list[Any]:
    """Return how much the inputs have changed."""
    g, table, ids = rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), np.array([0, 2, 0, 1])
    before = g.copy(), table.copy(), ids.copy()
    ops._add_at(g, None, table, ids)
    ops.lookup(table, ids)
    return [now - then for now, then in zip((g, table, ids), before, strict=True)]


@UNIT.property("A lookup is the product of one-hot rows with the table, and so is its gradient.",
               "Write the one-hot matrix of two ids on paper, and multiply its transpose with g.",
               "Compare your gradient with one_hot.T @ g: which entries differ?")
def as_one_hot(rng: np.random.Generator) -> list[Any]:
    """Return rows and gradients for random sizes; a right solution agrees with one-hot rows."""
    found: list[Any] = []
    for _ in range(10):
        n, width, many = rng.integers(1, 6, 3)
        table, ids = Tensor(rng.normal(size=(n, width)), True), rng.integers(0, n, many)
        g = rng.normal(size=(many, width))
        found_rows = ops.lookup(table, Tensor(ids))
        found_rows.backward(Tensor(g))
        off = table.grad - (ids[:, None] == np.arange(n)).T @ g
        found += [found_rows, table.grad, bool(np.abs(off).max() < 1e-12)]
    return found


@UNIT.property("It does this without the one-hot matrix, which would need a number for each pair "
               "of an id and a row.",
               "How large is a one-hot matrix for 3000 ids and 3000 rows?",
               "Take the rows that are asked for, instead of multiplying all others by 0.")
def memory(rng: np.random.Generator) -> list[Any]:
    """Return whether memory stays below a twentieth of the one-hot matrix."""
    table, ids, g = rng.normal(size=(3000, 2)), rng.permutation(3000), rng.normal(size=(3000, 2))
    found = []
    for work, inputs in ((ops.lookup, (table, ids)), (ops._add_at, (g, None, table, ids))):
        tracemalloc.start()
        work(*inputs)
        found.append(tracemalloc.get_traced_memory()[1] < 3000 * 3000 * 8 // 20)
        tracemalloc.stop()
    return found


@UNIT.property("The same gradient serves every index with arrays, such as x[:, [1, 1]] or x[mask].",
               "`index` can be anything that may stand in square brackets.",
               "Pass the index on unchanged.")
def other_indexes(rng: np.random.Generator) -> list[Any]:
    """Return gradients of indexing by lists, pairs of arrays, masks and negative numbers."""
    found = []
    mask = rng.random((4, 3)) < .5
    for index in ([0, 0, -1], (slice(None), [1, 1]), (np.array([0, 3, 3]), np.array([1, 2, 2])),
                  mask, (..., np.array([[2, 2], [0, 2]]))):
        x = Tensor(rng.normal(size=(4, 3)), True)
        (x[index] ** 2).sum().backward()
        found.append(x.grad)
    return found


@UNIT.property("The gradient can be differentiated again.",
               "_add_at is linear in g. What is the gradient of adding up values at positions?",
               "Each value gets the gradient of the position where it went.")
def second_derivative(rng: np.random.Generator) -> list[Any]:
    """Return the gradient of the norm of a gradient."""
    table, ids = Tensor(rng.normal(size=(4, 2)), True), Tensor(np.array([1, 3, 1, 0]))
    first, = derivatives.grad((ops.lookup(table, ids) ** 3).sum(), table, create_graph=True)
    (first ** 2).sum().backward()
    return [first, table.grad]


@UNIT.property("Ids that are not rows of the table are refused.",
               "This is the work of Embedding; does your lookup change it?",
               "Use minifast.nn.Embedding, and leave negative ids to it.")
def refused_ids(rng: np.random.Generator) -> list[Any]:
    """Return the names of the errors, and a row that exists."""
    layer = Embedding(4, 2, seed=0)
    layer.weight.data = rng.normal(size=(4, 2))
    found = [error_of(layer, np.array(ids)) for ids in ([-1], [4], [0, -5], [.5])]
    return [*found, layer(np.array([3]))]


# ---------------------------------------------------------------- the model


def _filled(rng: np.random.Generator, n_factors: int = 3, n_users: int = 5, n_items: int = 4,
            y_range: Any = None) -> Any:
    """Return a model with random weights in float64, which do not depend on how it was made."""
    model: Any = collab.EmbeddingDotBias(n_factors, n_users, n_items, y_range, seed=0)
    for name in TABLES:
        weight = getattr(model, name).weight
        weight.data = rng.normal(size=weight.shape) / 2
    return model


@UNIT.property("The model has four embeddings: u_weight and i_weight with a row of factors, u_bias "
               "and i_bias with one number, for each user and each item.",
               "learn.bias and learn.weight look for these names.",
               "A bias is an embedding of width 1.")
def tables(rng: np.random.Generator) -> list[Any]:
    """Return the names and the shapes of the weights."""
    n_factors, n_users, n_items = map(int, rng.integers(2, 9, 3))
    model = collab.EmbeddingDotBias(n_factors, n_users, n_items, [0, 5.5], seed=0)
    weights = dict(model.named_parameters())
    return [", ".join(sorted(weights)), *(weights[name].shape for name in sorted(weights))]


@UNIT.property("Initial weights are small, differ between the tables, and follow from the seed.",
               "Use `embedding` from minifast.nn, and one random generator for all four.",
               "generator(seed) turns a number into a generator; passing on the number itself "
               "would begin anew for each table.")
def initial_weights(rng: np.random.Generator) -> list[Any]:
    """Return statements about initial weights that do not depend on the order of drawing."""
    seed = int(rng.integers(1000))

    def weights(seed: int | None) -> list[Any]:
        model: Any = collab.EmbeddingDotBias(6, 50, 50, seed=seed)
        return [getattr(model, name).weight.data for name in TABLES]
    one, again, other, free = weights(seed), weights(seed), weights(seed + 1), weights(None)
    return [*(bool(np.abs(w).max() <= .02) and bool(w.std() > .005) for w in one),
            *(bool((a == b).all()) for a, b in zip(one, again, strict=True)),
            *(bool((a == b).any()) for a, b in zip(one, other, strict=True)),
            *(bool((a == b).any()) for a, b in zip(one, free, strict=True)),
            bool((one[0] == one[1]).any()), bool((one[2] == one[3]).any()), one[0].dtype.name]


@UNIT.property("A prediction is the dot product of the factors, plus both biases.",
               "Which axis of (bs, n_factors) does the sum run over?",
               "The biases have shape (bs, 1); what is (bs,) plus (bs, 1)?")
def formula(rng: np.random.Generator) -> list[Any]:
    """Return predictions for several batches, also of one row, and of one factor."""
    model, single = _filled(rng), _filled(rng, n_factors=1)
    found = []
    for bs in (6, 1, 4, 0):
        users, items = Tensor(rng.integers(0, 5, bs)), Tensor(rng.integers(0, 4, bs))
        found += [model(users, items), single(users, items)]
    return found


@UNIT.property("With y_range=(low, high) all predictions lie between low and high, by a sigmoid.",
               "A sigmoid lies between 0 and 1. Stretch it.",
               "minifast.nn.sigmoid_range does it; without y_range there is no sigmoid at all.")
def in_range(rng: np.random.Generator) -> list[Any]:
    """Return predictions in two ranges."""
    users, items = Tensor(rng.integers(0, 5, 8)), Tensor(rng.integers(0, 4, 8))
    return [_filled(rng, y_range=r)(users, items) for r in ([0, 5.5], (1, 5), (-2, 2))]


@UNIT.property("A y_range that does not go from low to high is refused with a ValueError.",
               "When should a user be told: when the model is made, or later?",
               "check_y_range does the work.")
def refused_range(rng: np.random.Generator) -> list[Any]:
    """Return the names of the errors."""
    ranges: list[Any] = [[5.5, 0], [1, 1], 5.5, [0, 1, 2], [0, 5]]
    return [error_of(collab.EmbeddingDotBias, 2, 3, 3, y_range) for y_range in ranges]


@UNIT.property("All four tables learn: each gets its gradient.",
               "Did a part of the formula leave the graph, by .data or .numpy()?",
               "Use operations of tensors only.")
def gradients(rng: np.random.Generator) -> list[Any]:
    """Return the gradients of the tables."""
    model = _filled(rng, y_range=[0, 5.5])
    model(Tensor(rng.integers(0, 5, 9)), Tensor(rng.integers(0, 4, 9))).sum().backward()
    return [getattr(model, name).weight.grad for name in TABLES]


# ---------------------------------------------------------------- training and recommending


def _learner(rng: np.random.Generator, n_ratings: int = 300) -> Any:
    """Return a learner of planted ratings, with weights that do not depend on the solution."""
    planted = planted_ratings(n_users=24, n_items=30, n_ratings=n_ratings,
                              seed=int(rng.integers(1000)))
    data = CollabDataBunch.from_df(planted.ratings[["userId", "title", "rating"]], seed=0, bs=32)
    n_users, n_items = map(len, data.categories)
    model: Any = collab.EmbeddingDotBias(4, n_users, n_items, (0, 5.5), seed=0)
    learn = collab.CollabLearner(data, model, wd=.1)
    learn.fast = False
    for name in TABLES:
        weight = getattr(model, name).weight
        weight.data = rng.normal(size=weight.shape) / 4
    return learn


@UNIT.property("A recommender trains with it.",
               "Each part works alone, so look at what was changed in place.",
               "Compare the loss of the first batch with that of the library.")
def trains(rng: np.random.Generator) -> list[Any]:
    """Return the losses, the biases and the factors after two epochs."""
    learn = _learner(rng)
    with learn.no_logging():
        learn.fit(2, 1e-2)
    items = learn.data.categories[1].classes[1:4]
    return [np.array(learn.recorder.losses, np.float64), learn.validate()[0],
            learn.bias(items), learn.weight(items)]


def _shown(frame: Any) -> list[Any]:
    """Return a frame of recommendations as values."""
    return [", ".join(frame.columns), ", ".join(map(str, frame.iloc[:, 0])),
            frame.iloc[:, 1].to_numpy(np.float32)]


@UNIT.property("recommend() returns the items with the highest predictions, best first, with the "
               "columns of the item and `prediction`.",
               "self._scores gives one prediction for each row of the items' table.",
               "argsort sorts upwards; classes of the items' Categories turns numbers into labels.")
def best_first(rng: np.random.Generator) -> list[Any]:
    """Return recommendations for three users."""
    learn = _learner(rng)
    users = learn.data.categories[0].classes[1:4]
    return [value for user in users for value in _shown(learn.recommend(user, 5))]


@UNIT.property("It leaves out what the user has rated, in the training and in the validation rows "
               "and in data.added.",
               "data.train_ds.x is the pair of columns, users and items.",
               "Which rows belong to this user? Their items get a score that never wins.")
def not_rated(rng: np.random.Generator) -> list[Any]:
    """Return all recommendations for each user, without and with ratings added afterwards."""
    learn = _learner(rng)
    user = learn.data.categories[0].classes[1]
    found = [", ".join(map(str, learn.recommend(label, 100).iloc[:, 0]))
             for label in learn.data.categories[0].classes[1:]]
    added = np.array([5, 6, 7, 8])
    learn.data.added.append(ArrayDataset([np.full(4, 1), added], np.ones(4, np.float32)))
    return [*found, *_shown(learn.recommend(user, 100))]


@UNIT.property("It never recommends row 0, #na#, which stands for unknown items.",
               "Row 0 has a score as well.", "Give it a score that never wins.")
def not_na(rng: np.random.Generator) -> list[Any]:
    """Return recommendations where row 0 has the best score."""
    learn = _learner(rng)
    learn.model.i_bias.weight.data[0] = 9.
    return _shown(learn.recommend(learn.data.categories[0].classes[2], 3))


@UNIT.property("n may be 0 or larger than what is left; a user who has rated everything gets an "
               "empty table.",
               "What is left when all items have been rated?",
               "Leave out the items whose score is -inf, instead of returning them.")
def how_many(rng: np.random.Generator) -> list[Any]:
    """Return the numbers of recommendations."""
    learn = _learner(rng)
    items, user = len(learn.data.categories[1]), learn.data.categories[0].classes[1]
    lengths = [len(learn.recommend(user, n)) for n in (0, 1, 7, items, 1000)]
    everything = np.arange(1, items)
    learn.data.added.append(ArrayDataset([np.ones_like(everything), everything],
                                         np.ones(items - 1, np.float32)))
    return [*lengths, len(learn.recommend(user)), ", ".join(learn.recommend(user).columns)]


@UNIT.property("A negative n is refused with a ValueError, an unknown user with an "
               "UnknownLabelError.",
               "users.index(user) knows which users there are.",
               "What does scores[:-1] return, and would a user want it?")
def refused_requests(rng: np.random.Generator) -> list[Any]:
    """Return the names of the errors."""
    learn = _learner(rng)
    user = learn.data.categories[0].classes[1]
    return [error_of(learn.recommend, *request) for request in ((user, -1), ("nobody",), (user, 2))]


@UNIT.property("Asking for recommendations changes nothing: weights, mode and ratings stay.",
               "Does your code write into an array of the data?",
               "np.array makes a copy; self._scores returns one already.")
def asking_is_free(rng: np.random.Generator) -> list[Any]:
    """Return the state of a learner after two equal requests."""
    learn = _learner(rng)
    user = learn.data.categories[0].classes[1]
    learn.model.train()
    first, again = learn.recommend(user), learn.recommend(user)
    return [bool((first.iloc[:, 0] == again.iloc[:, 0]).all()), learn.model.training,
            *(getattr(learn.model, name).weight for name in TABLES), *learn.data.train_ds.x,
            *learn.data.valid_ds.x]
