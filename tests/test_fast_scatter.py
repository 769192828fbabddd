"""Scatter-add by SciPy's product and without it, against a loop."""
from typing import Any

import numpy as np
import pytest

from minifast.fast import scatter
from minifast.fast.scatter import scaled, scatter_add
from minifast.fast.sparse_grad import SparseGrad

pytestmark = pytest.mark.cpu_only("SciPy's product is for NumPy's arrays")
both_ways = pytest.mark.parametrize("scipy", [True, False])


@pytest.fixture(autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SciPy, which the tests install, or without it."""
    assert scatter._sparse_product() is not None
    if not request.node.callspec.params.get("scipy", True):
        monkeypatch.setattr(scatter, "_sparse_product", lambda: None)


@both_ways
@pytest.mark.parametrize("ids", [np.int32, np.int64, np.uint8, np.int16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("n", [50, 0, 1])
@pytest.mark.parametrize("scale", [1., -.3])
def test_rows_add_up(scipy: bool, ids: type, dtype: type, n: int, scale: float) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 7, n).astype(ids)
    values = rng.normal(size=(n, 3)).astype(dtype)
    table = rng.normal(size=(7, 3)).astype(dtype)
    expected = table.astype(np.float64)
    for row, value in zip(rows, values, strict=True):
        expected[row] += value * scale
    scatter_add(table, rows, values, scale)
    np.testing.assert_allclose(table, expected, atol=5e-2 if dtype is np.float16 else 3e-6)
    assert table.dtype == dtype


@both_ways
@pytest.mark.parametrize("ids", [np.int32, np.int64, np.int16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale_type", [np.float32, np.float64])
def test_a_scale_for_each_row(scipy: bool, ids: type, dtype: type, scale_type: type) -> None:
    rng = np.random.default_rng(0)
    rows, scale = rng.integers(0, 7, 50).astype(ids), rng.normal(size=50).astype(scale_type)
    values, table = (rng.normal(size=(n, 3)).astype(dtype) for n in (50, 7))
    expected = table.astype(np.float64)
    for row, value, times in zip(rows, values, scale, strict=True):
        expected[row] += value * times
    scatter_add(table, rows, values, scale)
    np.testing.assert_allclose(table, expected, atol=3e-6)
    assert table.dtype == dtype


@both_ways
@pytest.mark.parametrize("scale", [2, np.float32(2), np.float64(2), np.array(2.),
                                   np.array(2, np.int32)])
def test_any_number_is_a_scale(scipy: bool, scale: Any) -> None:
    table = np.zeros((3, 2), np.float32)
    scatter_add(table, np.array([1, 1]), np.ones((2, 2), np.float32), scale)
    assert table[:, 0].tolist() == [0, 4, 0]


@both_ways
def test_one_scale_for_all_rows(scipy: bool) -> None:
    table = np.zeros((3, 2))
    scatter_add(table, np.array([2, 0, 2]), np.ones((3, 2)), np.array([2.]))
    assert table.tolist() == [[2, 2], [0, 0], [4, 4]]


@both_ways
@pytest.mark.parametrize("n", [2, 4])
def test_another_number_of_scales_is_refused(scipy: bool, n: int) -> None:
    """The product of SciPy would read beyond their end."""
    table = np.zeros((3, 2))
    with pytest.raises(ValueError, match="broadcast"):
        scatter_add(table, np.array([2, 0, 2]), np.ones((3, 2)), np.ones(n))
    assert not table.any()


@both_ways
@pytest.mark.parametrize("shape", [(2, 2), (4, 2), (3, 3)])
def test_values_of_another_shape_are_refused(scipy: bool, shape: tuple[int, ...]) -> None:
    table = np.zeros((5, 2))
    with pytest.raises((ValueError, IndexError)):
        scatter_add(table, np.array([2, 0, 2]), np.ones(shape))
    assert not table.any()


@both_ways
def test_parts_of_larger_arrays(scipy: bool) -> None:
    table, values = np.zeros((3, 2), np.float32), np.ones((2, 5), np.float32)
    scatter_add(table, np.array([1, 1]), values[:, 1:3])
    assert table.tolist() == [[0, 0], [2, 2], [0, 0]]
    scatter_add(table, np.array([9, 0, 9, 2])[1::2], values[:, 1:3])
    assert table.tolist() == [[1, 1], [2, 2], [1, 1]]


def test_what_the_product_cannot_do_is_left_to_numpy() -> None:
    """A table that is a view, and other types of numbers."""
    whole, rows, values = np.zeros((6, 5)), np.array([2, 2]), np.ones((2, 2))
    fits = scatter._fits_product
    assert fits(np.zeros((6, 2)), rows, values)
    assert not fits(whole[:, 1:3], rows, values)
    assert not fits(np.zeros((2, 6)).T, rows, values)
    assert not fits(np.zeros((6, 2), np.float16), rows, values.astype(np.float16))
    assert not fits(np.zeros((6, 2)), rows.astype(np.int16), values)
    assert not fits(np.zeros((6, 2), np.float32), rows, values)


@both_ways
@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_in_any_order(scipy: bool, order: str) -> None:
    table = np.zeros((3, 2), f"{order}f4")
    scatter_add(table, np.array([2, 0, 2]), np.ones((3, 2), f"{order}f4"))
    assert table.tolist() == [[1, 1], [0, 0], [2, 2]]
    table = np.zeros((3, 2), np.float32)
    scatter_add(table, np.array([2, 0, 2], f"{order}i4"), np.ones((3, 2), np.float32))
    assert table.tolist() == [[1, 1], [0, 0], [2, 2]]


@both_ways
def test_a_sparse_gradient_adds_itself(scipy: bool) -> None:
    rows, values = np.array([2, 0, 2]), np.arange(6.).reshape(3, 2)
    scale = np.array([1., 2., 3.])
    for found, factors in ((SparseGrad(rows, values, (4, 2)), np.ones(3)),
                           (SparseGrad(rows, values, (4, 2), scale), scale)):
        expected = np.zeros((4, 2))
        np.add.at(expected, rows, values * factors[:, None])
        np.testing.assert_allclose(found.dense(), expected)
        table = np.ones((4, 2))
        found.add_to(table, -.5)
        np.testing.assert_allclose(table, 1 - expected / 2)


def test_scaled_by_one_is_the_same_array() -> None:
    values = np.ones((2, 3), np.float32)
    assert scaled(values, 1) is values
    assert scaled(values, np.array([1., 2.])).dtype == np.float32
