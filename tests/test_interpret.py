"""What a classifier gets wrong, recomputed by plain NumPy and by scikit-learn."""
from collections.abc import Iterator
from functools import partial
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import assert_readable, assert_ticks_apart, contrast, overlapping
from host import host
from sklearn.metrics import confusion_matrix
from tiny import fit_quietly, line_learner, ratings_data

from minifast import Tensor
from minifast.collab import collab_learner
from minifast.data import ArrayDataset, DataBunch, DatasetType
from minifast.inspect import ClassificationInterpretation, Interpretation
from minifast.nn import Linear, Module, TabularModel, embedding
from minifast.tabular import Categorify, Normalize, TabularDataBunch
from minifast.train import Learner
from minifast.vision import ImageDataBunch, cnn_learner, resnet

mpl.use("Agg")
Array = np.ndarray


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def rows(n: int, seed: int) -> tuple[Array, Array]:
    """Four classes that overlap, the last of them never met."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return (y[:, None] + rng.normal(size=(n, 2))).astype(np.float32), y


def learner(classes: list[str] | None = None) -> Learner:
    """A linear classifier of 30 shuffled rows, in batches of 8; 23 rows validate."""
    data = DataBunch.create(ArrayDataset(*rows(30, 0)), ArrayDataset(*rows(23, 1)), bs=8, seed=0,
                            c=4, classes=classes)
    return fit_quietly(Learner(data, Linear(2, 4, seed=1)), 3, .1)


def plainly(learn: Learner, x: Array) -> Array:
    """Probabilities, in float64."""
    scores = x @ host(learn.model.weight).T.astype(np.float64) + host(learn.model.bias)
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


NAMES = ["ant", "bee", "cat", "dog"]


@pytest.mark.parametrize("ds_type", [DatasetType.Valid, DatasetType.Train, DatasetType.Fix])
def test_predictions_and_losses_are_those_of_the_rows_in_order(ds_type: DatasetType) -> None:
    """Of the training rows all thirty, though a pass over the shuffled loader leaves out six."""
    learn = learner()
    interp = ClassificationInterpretation.from_learner(learn, ds_type)
    x, y = rows(23, 1) if ds_type is DatasetType.Valid else rows(30, 0)
    p = plainly(learn, x)
    assert {t.device for t in (interp.preds, interp.y_true, interp.losses)} == {"cpu"}
    np.testing.assert_allclose(interp.preds.numpy(), p, rtol=1e-5)
    np.testing.assert_array_equal(interp.y_true.numpy(), y)
    np.testing.assert_array_equal(interp.pred_class.numpy(), p.argmax(1))
    np.testing.assert_allclose(interp.losses.numpy(), -np.log(p[np.arange(len(y)), y]), rtol=1e-4,
                               atol=1e-6)


def test_confusions_are_scikit_learns() -> None:
    interp = ClassificationInterpretation.from_learner(learner())
    counts = interp.confusion_matrix()
    expected = confusion_matrix(interp.y_true.numpy(), interp.pred_class.numpy(),
                                labels=[0, 1, 2, 3])
    np.testing.assert_array_equal(counts, expected)
    assert counts.dtype == np.int64
    assert 0 < np.trace(counts) < counts.sum() == 23


def given(actual: list[int], predicted: list[int], learn: Any = None) -> Any:
    """As if these had been predicted, each with probability .7."""
    preds = np.full((len(actual), 4), .1, np.float32)
    preds[np.arange(len(actual)), predicted] = .7
    losses = -np.log(preds[np.arange(len(actual)), actual])
    return ClassificationInterpretation(learn or learner(NAMES), Tensor(preds),
                                        Tensor(np.array(actual)), Tensor(losses))


ACTUAL, PREDICTED = [0, 0, 1, 1, 1, 2, 2, 3], [0, 1, 0, 0, 1, 0, 0, 2]


def test_the_most_confused() -> None:
    interp = given(ACTUAL, PREDICTED)
    assert interp.confusion_matrix().tolist() == [[1, 1, 0, 0], [2, 1, 0, 0], [2, 0, 0, 0],
                                                  [0, 0, 1, 0]]
    assert interp.most_confused() == [("bee", "ant", 2), ("cat", "ant", 2), ("ant", "bee", 1),
                                      ("dog", "cat", 1)]
    assert interp.most_confused(min_val=2) == [("bee", "ant", 2), ("cat", "ant", 2)]
    assert interp.most_confused(3) == []
    assert all(actual != predicted for actual, predicted, _ in interp.most_confused(0))
    assert type(interp.most_confused()[0][2]) is int


def test_classes_without_names_are_numbers() -> None:
    assert given([0], [3], learner()).most_confused() == [(0, 3, 1)]


def texts_of(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_drawn_confusion_matrix() -> None:
    interp = given(ACTUAL, PREDICTED)
    assert interp.plot_confusion_matrix() is None
    figure = interp.plot_confusion_matrix(return_fig=True, figsize=(5, 4), title="Animals")
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.images[0].get_array(), interp.confusion_matrix())
    assert texts_of(axes) == list("1100210020000010")
    assert [label.get_text() for label in axes.get_xticklabels()] == NAMES
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("Animals", "Predicted",
                                                                       "Actual")
    assert figure.get_size_inches().tolist() == [5, 4]
    assert {text.get_color() for text in axes.texts if text.get_text() == "2"} == {"white"}
    assert {text.get_color() for text in axes.texts if text.get_text() == "0"} == {"black"}


def test_the_drawn_confusion_matrix_in_shares() -> None:
    """A class that never came has a row of zeros, not of NaN."""
    interp = given(ACTUAL[:-1], PREDICTED[:-1])
    (axes,) = interp.plot_confusion_matrix(normalize=True, norm_dec=3, return_fig=True).axes
    assert texts_of(axes)[:8] == ["0.500", "0.500", "0.000", "0.000",
                                  "0.667", "0.333", "0.000", "0.000"]
    assert texts_of(axes)[12:] == ["0.000"] * 4
    (axes,) = interp.plot_confusion_matrix(plot_txt=False, return_fig=True).axes
    assert texts_of(axes) == []


@pytest.mark.cpu_only("draws what is on the host")
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("cmap", ["Blues", "viridis"])
def test_the_confusion_matrix_can_be_read(normalize: bool, cmap: str) -> None:
    names = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
             "ankle boot"]
    rng = np.random.default_rng(0)
    data = DataBunch.create(ArrayDataset(*rows(30, 0)), bs=8, classes=names)
    y, preds = rng.integers(0, 10, 2000), rng.random((2000, 10)).astype(np.float32)
    preds[np.arange(2000), y] += .8
    interp = ClassificationInterpretation(Learner(data, Linear(2, 10)), Tensor(preds), Tensor(y),
                                          Tensor(np.zeros(2000, np.float32)))
    figure = interp.plot_confusion_matrix(normalize, cmap=cmap, slice_size=10, return_fig=True)
    assert_readable(figure, 380)
    assert_ticks_apart(figure)
    (axes,) = figure.axes
    assert len(axes.texts) == 100
    assert overlapping(axes.texts) == []
    image = axes.images[0]
    for text, color in zip(axes.texts, image.cmap(image.norm(image.get_array())).reshape(100, 4),
                           strict=True):
        assert contrast(text.get_color(), color) > 4.5


def test_the_confusion_matrix_in_given_axes() -> None:
    figure, axs = plt.subplots(1, 2)
    interp = given(ACTUAL, PREDICTED)
    assert interp.plot_confusion_matrix(ax=axs[1], return_fig=True) is figure
    assert [len(axes.images) for axes in axs] == [0, 1]
    assert plt.get_fignums() == [figure.number]
    np.testing.assert_array_equal(interp.confusion_matrix(slice_size=3), interp.confusion_matrix())
    assert interp.most_confused(2, slice_size=3) == interp.most_confused(2)


def test_the_largest_losses_and_the_smallest() -> None:
    interp = ClassificationInterpretation.from_learner(learner())
    losses = interp.losses.numpy()
    values, where = interp.top_losses(4)
    np.testing.assert_array_equal(values.numpy(), np.sort(losses)[::-1][:4])
    np.testing.assert_array_equal(losses[where.numpy()], values.numpy())
    values, where = interp.top_losses(largest=False)
    np.testing.assert_array_equal(values.numpy(), np.sort(losses))
    assert sorted(where.tolist()) == list(range(23))
    assert len(interp.top_losses(1000)[0]) == 23
    with pytest.raises(ValueError, match="1 or more; got k=0"):
        interp.top_losses(0)


# ------------------------------------------------------------------------------ pictures or tables

def images_learner(colour: bool) -> tuple[Learner, Array, list[str]]:
    x = np.random.default_rng(0).integers(0, 256, (20, 6, 5, *[3] * colour), np.uint8)
    y = [NAMES[i % 4] for i in range(20)]
    data = ImageDataBunch.from_arrays(x[:12], y[:12], valid=(x[12:], y[12:]), bs=4, seed=0)
    return cnn_learner(data.normalize(), partial(resnet, [1], [4]), lin_ftrs=[], seed=0), x, y


@pytest.mark.parametrize("colour", [True, False])
def test_the_pictures_with_the_largest_losses(colour: bool) -> None:
    learn, x, y = images_learner(colour)
    interp = ClassificationInterpretation.from_learner(learn)
    figure = interp.plot_top_losses(5, return_fig=True)
    losses, where = (t.numpy() for t in interp.top_losses(5))
    shown = [axes for axes in figure.axes if axes.images]
    assert (len(shown), len(figure.axes)) == (5, 6)
    preds = host(learn.get_preds()[0])
    for axes, loss, row in zip(shown, losses, where, strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), x[12 + row] / 255, atol=1e-6)
        actual = y[12 + row]
        p = preds[row]
        assert axes.get_title().replace("\n", " ") == (
            f"{NAMES[p.argmax()]} / {actual} / {loss:.2f} / {p[NAMES.index(actual)]:.2f}")
    assert figure.get_suptitle() == "prediction / actual / loss / probability"
    assert interp.plot_top_losses(1, largest=False, figsize=(3, 2)) is None
    assert plt.gcf().get_size_inches().tolist() == [3, 2]


def test_the_rows_with_the_largest_losses(capsys: pytest.CaptureFixture[str]) -> None:
    learn = learner(NAMES)
    interp = ClassificationInterpretation.from_learner(learn)
    assert interp.plot_top_losses(3) is None
    head, *body = capsys.readouterr().out.splitlines()
    assert head.split() == ["row", "prediction", "actual", "loss", "probability", "x0"]
    table = interp.plot_top_losses(3, return_table=True)
    assert list(table) == head.split()
    x, y = rows(23, 1)
    p = plainly(learn, x)
    worst = np.argsort(p[np.arange(23), y])[:3]
    for line, found, row in zip(body, table.itertuples(), worst, strict=True):
        assert (found.row, found.prediction, found.actual) == (row, NAMES[p[row].argmax()],
                                                               NAMES[y[row]])
        assert found.loss == pytest.approx(-np.log(p[row, y[row]]), abs=1e-4)
        assert found.probability == pytest.approx(p[row, y[row]], abs=1e-4)
        np.testing.assert_allclose(found.x0, x[row], rtol=1e-5)
        assert line.split()[:4] == [str(row), found.prediction, found.actual, f"{found.loss:.2f}"]
        shown = line.split("[")[1].strip("]").split()
        np.testing.assert_allclose([float(value) for value in shown], x[row], atol=.00051)


def test_titles_of_pictures_can_be_read() -> None:
    learn, _, _ = images_learner(True)
    figure = learn.interpret().plot_top_losses(8, return_fig=True)
    assert_readable(figure)
    assert overlapping(axes.title for axes in figure.axes) == []
    with pytest.raises(ValueError, match="pass heatmap=False"):
        learn.interpret().plot_top_losses(8, heatmap=True)


class TwoInputs(Module):
    """A classifier of a category and a number."""

    def __init__(self) -> None:
        self.table, self.linear = embedding(3, 2, 0), Linear(1, 2, seed=0)

    def forward(self, ids: Tensor, number: Tensor) -> Tensor:
        return self.table(ids) + self.linear(number)


def test_rows_of_several_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    ids, numbers = np.array([0, 1, 2, 0, 1]), np.arange(5, dtype=np.float32)[:, None]
    ds = ArrayDataset([ids, numbers], np.array([0, 1, 0, 1, 1]))
    learn = Learner(DataBunch.create(ds, ds, bs=2), TwoInputs())
    interp = ClassificationInterpretation.from_learner(learn)
    interp.plot_top_losses(2)
    head, *body = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["x0", "x1"]
    worst = interp.top_losses(2)[1].tolist()
    assert [(int(line.split()[0]), int(line.split()[-2])) for line in body] == [
        (row, ids[row]) for row in worst]


def test_rows_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """As they were before the processors."""
    frame = pd.DataFrame({"colour": list("rgbrgb"), "size": [10., 20., 30., 40., 50., 60.],
                          "kind": list("xyxyxy")})
    data = TabularDataBunch.from_df(".", frame, "kind", [3, 4, 5], [Categorify, Normalize],
                                    cat_names=["colour"], cont_names=["size"], bs=3)
    learn = Learner(data, TabularModel(data.get_emb_szs(), 1, data.c, [4], seed=0))
    interp = ClassificationInterpretation.from_learner(learn)
    assert interp.classes == ["x", "y"]
    assert interp.confusion_matrix().sum(1).tolist() == [1, 2]
    interp.plot_top_losses(3)
    head, *body = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["row", "prediction", "actual", "loss", "probability", "colour", "size"]
    valid = frame.iloc[3:].reset_index(drop=True)
    for row, _, actual, _, _, colour, size in body:
        assert [colour, float(size), actual] == valid.loc[int(row)].tolist()
    assert [int(line[0]) for line in body] == interp.top_losses()[1].tolist()


def test_ratings_with_the_largest_losses(capsys: pytest.CaptureFixture[str]) -> None:
    learn = fit_quietly(collab_learner(ratings_data(), 2, y_range=[0, 5.5], seed=0), 1)
    interp = learn.interpret()
    assert type(interp) is Interpretation
    preds, y = (host(t) for t in learn.get_preds())
    errors = (preds.ravel() - y) ** 2
    np.testing.assert_allclose(interp.losses.numpy(), errors, rtol=1e-5)
    table = interp.plot_top_losses(3, return_table=True)
    assert list(table) == ["row", "prediction", "actual", "loss", "user", "item"]
    assert table["row"].tolist() == np.argsort(-errors, kind="stable")[:3].tolist()
    np.testing.assert_allclose(table["loss"], np.sort(errors)[::-1][:3], rtol=1e-5)
    np.testing.assert_array_equal(table["actual"], y[table["row"]])
    capsys.readouterr()
    assert interp.plot_top_losses(3) is None
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[:3] == [str(table["row"][0]), f"{table['prediction'][0]:.2f}",
                        f"{table['actual'][0]:.1f}"]


def test_several_numbers_in_a_row() -> None:
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    ds = ArrayDataset(x, 2 * x)
    learn = Learner(DataBunch.create(ds, ds, bs=4), Linear(2, 2, seed=0))
    interp = Interpretation(learn, Tensor(x), Tensor(2 * x), Tensor(np.arange(4.)))
    table = interp.plot_top_losses(2, return_table=True)
    assert table["row"].tolist() == [3, 2]
    np.testing.assert_array_equal(np.stack(list(table["actual"])), 2 * x[[3, 2]])


def test_interpretation_does_not_draw_from_the_shuffled_loader() -> None:
    learn = learner(NAMES)
    before = learn.data.train_dl.rng.bit_generator.state
    interp = learn.interpret(DatasetType.Train)
    assert type(interp) is ClassificationInterpretation
    assert len(interp.losses) == 30
    assert learn.data.train_dl.rng.bit_generator.state == before


def test_batches_that_are_no_data_set_have_no_inputs_to_show(
        capsys: pytest.CaptureFixture[str]) -> None:
    x, y = rows(8, 0)
    data = DataBunch([(x, y)], [(x[:4], y[:4]), (x[4:], y[4:])], c=3)
    data.loss_func = learner().loss_func
    interp = ClassificationInterpretation.from_learner(Learner(data, Linear(2, 3, seed=0)))
    interp.plot_top_losses(2)
    head, *body = capsys.readouterr().out.splitlines()
    assert head.split() == ["row", "prediction", "actual", "loss", "probability"]
    assert [int(line.split()[0]) for line in body] == interp.top_losses(2)[1].tolist()


@pytest.mark.parametrize(("learn", "message"), [
    (lambda: line_learner(), r"these targets are float32 of shape \(4,\)"),
    (lambda: collab_learner(ratings_data(), 2), r"these targets are float32 of shape \(4,\)"),
    (lambda: Learner(DataBunch.create(ArrayDataset(np.zeros((4, 2), np.float32),
                                                   np.eye(4, dtype=int)), bs=4),
                     Linear(2, 4)), r"these targets are int64 of shape \(4, 4\)")])
def test_only_a_classifier_is_interpreted(learn: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ClassificationInterpretation.from_learner(
            learn(), DatasetType.Fix)


def test_interpretation_of_averaged_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    learn = learner(NAMES)
    with pytest.raises(ValueError, match=r"transforms take images \(n, c, h, w\)"):
        learn.interpret(tta=True)
    with monkeypatch.context() as without_vision:
        without_vision.delattr(Learner, "TTA")
        with pytest.raises(ValueError, match=r"belongs to minifast.vision; write learn.interpret"):
            learn.interpret(tta=True)
    asked: list[Any] = []

    def average(ds_type: DatasetType, with_loss: bool) -> Any:
        asked.append((ds_type, with_loss))
        return learn.get_preds(ds_type, with_loss=with_loss)
    learn.TTA = average
    interp = learn.interpret(DatasetType.Train, tta=True)
    assert asked == [(DatasetType.Fix, True)]
    assert (type(interp), len(interp.losses)) == (ClassificationInterpretation, 30)
