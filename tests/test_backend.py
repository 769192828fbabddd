"""What NumPy's backend does in its own way: adding to rows of a table. And one of one's own."""
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minifast
from minifast import backend
from minifast.backend import NUMPY
from minifast.collab import collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import planted_ratings

pytestmark = pytest.mark.cpu_only("NumPy's backend; other libraries have their own")


@pytest.mark.parametrize("ids", [np.int32, np.int64, np.uint8, np.int16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(50,), (5, 10), (0,), (1,)])
@pytest.mark.parametrize("width", [1, 3, 100])
def test_rows_add_up(ids: type, dtype: type, shape: tuple[int, ...], width: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 7, shape).astype(ids)
    values = rng.normal(size=(*shape, width)).astype(dtype)
    table = rng.normal(size=(7, width)).astype(dtype)
    expected = table.astype(np.float64)
    for row, value in zip(rows.reshape(-1), values.reshape(-1, width), strict=True):
        expected[row] += value
    NUMPY.scatter_add(table, rows, values)
    np.testing.assert_allclose(table, expected, atol=5e-2 if dtype is np.float16 else 3e-6)
    assert table.dtype == dtype


@pytest.mark.parametrize("ids", [np.int8, np.int64, ">i8"])
def test_negative_rows_count_from_the_end(ids: Any) -> None:
    table = np.zeros((4, 200), np.float32)
    NUMPY.scatter_add(table, np.array([-1, 3, -4], ids), np.ones((3, 200), np.float32))
    assert (table == np.array([[1], [0], [0], [2]])).all()


@pytest.mark.parametrize("row", [4, -5, 2 ** 40])
@pytest.mark.parametrize("width", [1, 2])
def test_rows_out_of_range_are_refused(row: int, width: int) -> None:
    table = np.zeros((4, width), np.float32)
    with pytest.raises(IndexError):
        NUMPY.scatter_add(table, np.array([row]), np.ones((1, width), np.float32))


def test_views_masks_slices_and_values_of_another_shape() -> None:
    whole = np.zeros((6, 5), np.float32)
    NUMPY.scatter_add(whole[:, 1:3], np.array([2, 2]), np.ones((2, 2), np.float32))
    assert whole.sum() == whole[2, 1:3].sum() == 4
    NUMPY.scatter_add(whole, whole.sum(1) > 0, np.float32(1))
    assert whole[2].tolist() == [1, 3, 3, 1, 1]
    NUMPY.scatter_add(whole, slice(0, 1), np.ones((1, 5), np.float32))
    NUMPY.scatter_add(whole, np.array([0, 0]), np.ones(5, np.float32))
    assert whole[0].tolist() == [3] * 5
    transposed = np.zeros((3, 4), np.float32).T
    NUMPY.scatter_add(transposed, np.array([1]), np.ones((1, 3), np.float32))
    assert transposed[1].tolist() == [1, 1, 1]


# ---------------------------------------------------------------- a backend of one's own


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> type:
    """The backend that docs/devices.md makes, as the page makes it."""
    for table in ("_BY_NAME", "_BY_TYPE"):
        monkeypatch.setattr(backend, table, dict(getattr(backend, table)))
    page = (Path(__file__).parents[1] / "docs" / "devices.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
                if "register_backend(Backend(" in block)
    names: dict[str, Any] = {"np": np}
    exec(code, names)
    return names["MyArray"]  # type: ignore[no-any-return]


def ratings_trained_on(name: str, fast: bool, use_nn: bool) -> tuple[Any, list[np.ndarray]]:
    frame = planted_ratings(n_users=30, n_items=20, n_ratings=300).ratings
    with minifast.device(name):
        data = CollabDataBunch.from_df(frame, seed=1, bs=16)
        data.train_dl.rng = np.random.default_rng(0)  # type: ignore[attr-defined]
        learn = collab_learner(data, n_factors=4, use_nn=use_nn, layers=[8], y_range=[0, 5.5],
                               wd=.1, seed=0)
        learn.fast = fast
        with learn.no_logging():
            learn.fit_one_cycle(2, 1e-2)
            learn.lr_find(num_it=3)
    return learn, [np.array(p.data) for p in learn.model.parameters()]


@pytest.mark.cpu_only("a device of its own")
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("use_nn", [False, True])
def test_a_backend_as_the_page_makes_it_trains_embeddings(mine: type, fast: bool, use_nn: bool
                                                          ) -> None:
    """On both paths, with the numbers of the CPU; models go there and back."""
    learn, weights = ratings_trained_on("mine", fast, use_nn)
    _, expected = ratings_trained_on("cpu", fast, use_nn)
    for p, ours, theirs in zip(learn.model.parameters(), weights, expected, strict=True):
        assert type(p.data) is mine
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert len(learn.recommend(1)) > 0
    learn.to("cpu")
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    assert {type(p.data) for p in learn.model.parameters()} == {np.ndarray}
