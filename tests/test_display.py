"""What the ``repr`` of an object shows, and messages about arguments of torch's."""
from typing import Any

import numpy as np
import pytest
from tiny import fit_quietly, line_learner, ratings_data, ratings_learner

from minifast import Tensor, cat, primitive, stack, tensor
from minifast.data import DataBunch
from minifast.nn import Linear, MSELossFlat
from minifast.optim import Adam, Phase, annealing_cos, annealing_poly
from minifast.train import Learner


def test_a_node_shows_its_operation_and_shapes() -> None:
    x = tensor(np.ones((2, 3)), requires_grad=True)
    y = x @ tensor(np.ones((3, 100)))
    node = (y * 2).node
    assert repr(y.node) == "<matmul: (2, 3), (3, 100) -> (2, 100)>"
    assert repr(node) == "<mul: (2, 100), 2 -> (2, 100)>"
    assert repr(node.op) == "Primitive(name='mul')"
    (y * 2).sum().backward()
    assert repr(y.node) == "<matmul:  -> released>"


def test_a_learner_fits_on_a_screen() -> None:
    learn = ratings_learner()
    before = repr(learn)
    assert before.splitlines()[0] == \
        "CollabLearner; EmbeddingDotBias of 30 parameters; layer groups: 1; last fit: -"
    assert "Train: 12 rows in 3 batches of 4" in before
    fit_quietly(learn, 2)
    row = learn.recorder.table.rows[-1]
    assert f"last fit: Recorder(6 batches, epoch 1, train_loss {row[1]}, valid_loss {row[2]}, " \
        f"time {row[3]})" in repr(learn)
    assert len(repr(learn).splitlines()) <= 9
    assert max(map(len, repr(learn).splitlines())) <= 180


def test_a_recorder_and_an_optimizer() -> None:
    learn = line_learner(4)
    fit_quietly(learn)
    assert repr(learn.recorder).startswith("Recorder(4 batches, epoch 0, train_loss ")
    opt = Adam([[*Linear(2, 3).parameters()], [*Linear(3, 1).parameters()]], lr=[.1, .2], wd=.5)
    assert repr(opt) == "Optimizer(['weight_decay', 'average_grad', 'average_sqr_grad', " \
        "'adam_step'], [{'lr': 0.1, 'mom': 0.9, 'beta': 0.99, 'eps': 1e-08, 'wd': 0.5}, " \
        "{'lr': 0.2, 'mom': 0.9, 'beta': 0.99, 'eps': 1e-08, 'wd': 0.5}])"


def test_a_recorder_without_an_epoch() -> None:
    learn = line_learner(4)
    fit_quietly(learn)
    learn.recorder.table = None
    assert repr(learn.recorder) == "Recorder(4 batches)"


def test_loaders_and_schedules() -> None:
    data = ratings_data()
    assert repr(data.train_dl) == "12 rows in 3 batches of 4"
    assert repr(data.valid_dl) == "4 rows in 1 batches of 4"
    assert repr(Phase(4, 0., 1., annealing_cos)) == "Phase(4, 0.0, 1.0, 'annealing_cos')"
    assert repr(Phase(4, 0., 1., annealing_poly(2))) == "Phase(4, 0.0, 1.0, '<lambda>')"


X = tensor([[1., 2.], [3., 4.]])


@pytest.mark.parametrize("call", [
    lambda: X.std(dim=1), lambda: X.var(dim=1), lambda: X.std(1, keepdim=True),
    lambda: X.argmax(dim=1), lambda: X.argmin(dim=1), lambda: X.argsort(dim=1),
    lambda: X.sum(dim=1), lambda: cat([X, X], dim=1), lambda: stack([X, X], dim=1)])
def test_dim_is_answered_with_axis(call: Any) -> None:
    with pytest.raises(TypeError, match="write axis= and keepdims= for torch's dim= and keepdim="):
        call()


def test_an_argument_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'unbiased'"):
        X.std(1, unbiased=False)


@pytest.mark.parametrize("result", [None, [1.]])
def test_a_primitive_that_returns_no_array_is_named(result: Any) -> None:
    @primitive(None)
    def odd(x: Any) -> Any:
        return result
    with pytest.raises(TypeError, match=rf"odd: inputs of shapes \(2, 2\): '{type(result).__name__}"
                                        r"' object has no attribute 'dtype'"):
        odd(X)


def test_a_learner_without_training_data() -> None:
    learn = Learner(DataBunch(None), Linear(1, 1), loss_func=MSELossFlat())
    for train in (lambda: learn.fit(1), lambda: learn.fit_one_cycle(1), learn.lr_find):
        with pytest.raises(ValueError, match="this bunch has no Train set: train_dl is None"):
            train()
    assert isinstance(repr(learn), str)
    assert isinstance(learn.model(tensor([[1.]])), Tensor)
