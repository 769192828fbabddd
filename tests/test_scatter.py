"""Adding values into rows: with SciPy and without, against a loop."""
from typing import Any

import numpy as np
import pytest
from minifast.scatter import scatter_add, sparse_product, within

from minifast import scatter

pytestmark = pytest.mark.cpu_only("the way of NumPy's table; other libraries have their own")
both_ways = pytest.mark.parametrize("scipy", [True, False])


@pytest.fixture(autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sparse_product() is not None  # the tests install SciPy
    if not request.node.callspec.params["scipy"]:
        monkeypatch.setattr(scatter, "sparse_product", lambda: None)


@both_ways
@pytest.mark.parametrize("ids", [np.int32, np.int64, np.uint8, np.int16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(50,), (5, 10), (0,), (1,)])
@pytest.mark.parametrize("share", [1., -.3])
def test_rows_add_up(scipy: bool, ids: type, dtype: type, shape: tuple[int, ...], share: float
                     ) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 7, shape).astype(ids)
    values = rng.normal(size=(*shape, 3)).astype(dtype)
    table = rng.normal(size=(7, 3)).astype(dtype)
    expected = table.astype(np.float64)
    for row, value in zip(rows.reshape(-1), values.reshape(-1, 3), strict=True):
        expected[row] += value * share
    scatter_add(table, rows, values, share)
    np.testing.assert_allclose(table, expected, atol=5e-2 if dtype is np.float16 else 3e-6)
    assert table.dtype == dtype


@both_ways
@pytest.mark.parametrize("ids", [np.int32, np.int64, np.int16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share_type", [np.float32, np.float64])
def test_a_share_for_each_row(scipy: bool, ids: type, dtype: type, share_type: type) -> None:
    rng = np.random.default_rng(0)
    rows, share = rng.integers(0, 7, 50).astype(ids), rng.normal(size=50).astype(share_type)
    values, table = (rng.normal(size=(n, 3)).astype(dtype) for n in (50, 7))
    expected = table.astype(np.float64)
    for row, value, times in zip(rows, values, share, strict=True):
        expected[row] += value * times
    scatter_add(table, rows, values, share)
    np.testing.assert_allclose(table, expected, atol=3e-6)
    assert table.dtype == dtype


@both_ways
@pytest.mark.parametrize("share", [2, np.float32(2), np.float64(2)])
def test_any_number_is_a_share(scipy: bool, share: float) -> None:
    table = np.zeros((3, 2), np.float32)
    scatter_add(table, np.array([1, 1]), np.ones((2, 2), np.float32), share)
    scatter_add(table, slice(0, 1), np.ones((1, 2), np.float32), share)
    assert table[:, 0].tolist() == [2, 4, 0]


@both_ways
@pytest.mark.parametrize("share", [np.array(2.), np.array([2.]), np.array(2, np.int32)])
def test_one_share_for_all_rows(scipy: bool, share: Any) -> None:
    table = np.zeros((3, 2))
    scatter_add(table, np.array([2, 0, 2]), np.ones((3, 2)), share)
    assert table.tolist() == [[2, 2], [0, 0], [4, 4]]


@both_ways
@pytest.mark.parametrize("n", [2, 4])
def test_another_number_of_shares_is_refused(scipy: bool, n: int) -> None:
    table = np.zeros((3, 2))
    with pytest.raises(ValueError, match="broadcast"):
        scatter_add(table, np.array([2, 0, 2]), np.ones((3, 2)), np.ones(n))
    assert not table.any()


@both_ways
@pytest.mark.parametrize("ids", [np.array([-1]), np.array([3], np.uint8), np.array([-1], ">i8"),
                                 np.array([3], "<i4"), np.array([-1], ">i2"), np.array([2**40])])
def test_ids_that_are_not_within(scipy: bool, ids: Any) -> None:
    """Whatever their type and the order of their bytes."""
    assert not within(ids, 3)
    assert within(abs(ids) % 3, 3)


@both_ways
def test_negative_rows_count_from_the_end_and_others_are_refused(scipy: bool) -> None:
    table = np.zeros((4, 2), np.float32)
    scatter_add(table, np.array([-1, 3, -4]), np.ones((3, 2), np.float32))
    assert table[:, 0].tolist() == [1, 0, 0, 2]
    with pytest.raises(IndexError):
        scatter_add(table, np.array([0, 4]), np.ones((2, 2), np.float32))
    with pytest.raises(IndexError):
        scatter_add(table, np.array([2 ** 40]), np.ones((1, 2), np.float32))


@both_ways
def test_views_masks_slices_and_values_of_another_shape(scipy: bool) -> None:
    whole = np.zeros((6, 5), np.float32)
    scatter_add(whole[:, 1:3], np.array([2, 2]), np.ones((2, 2), np.float32))
    assert whole.sum() == whole[2, 1:3].sum() == 4
    scatter_add(whole, whole.sum(1) > 0, np.float32(1))
    assert whole[2].tolist() == [1, 3, 3, 1, 1]
    scatter_add(whole, slice(0, 1), np.ones((1, 5), np.float32), 1.)
    scatter_add(whole, slice(0, 1), np.ones((1, 5), np.float32), .5)
    scatter_add(whole, slice(0, 1), np.ones((1, 5), np.float32), -.5)
    scatter_add(whole, np.array([0, 0]), np.ones(5, np.float32))
    assert whole[0].tolist() == [3] * 5
    turned = np.zeros((3, 4), np.float32).T
    scatter_add(turned, np.array([1]), np.ones((1, 3), np.float32))
    assert turned[1].tolist() == [1, 1, 1]
