"""Planted ratings: legal, reproducible, shaped like MovieLens, and learnable down to the noise."""
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minifast.datasets.planted import PlantedRatings, planted_ratings
from minifast.datasets.sources import movielens_100k


@pytest.fixture(scope="module")
def planted() -> PlantedRatings:
    return planted_ratings()


def counts(ratings: pd.DataFrame, column: str) -> np.ndarray:
    """How many ratings each user or item has, most first."""
    return np.sort(ratings[column].value_counts().to_numpy())[::-1]


def shape_of(ratings: pd.DataFrame) -> dict[str, Any]:
    """The numbers by which two sets of ratings are compared."""
    items, users = counts(ratings, "movieId"), counts(ratings, "userId")
    tenth = len(items) // 10
    return {
        "share of the top tenth of items": items[:tenth].sum() / len(ratings),
        "share of the top tenth of users": users[:len(users) // 10].sum() / len(ratings),
        "items with at most 5 ratings": float((items <= 5).mean()),
        "half of all items have at most": float(np.median(items)),
        "half of all users have at most": float(np.median(users)),
        "stars": np.bincount(ratings["rating"], minlength=6)[1:] / len(ratings),
    }


# --------------------------------------------------------------------------------------- legal

def test_columns_types_and_ranges(planted: PlantedRatings) -> None:
    ratings = planted.ratings
    assert list(ratings.columns) == ["userId", "movieId", "rating", "title"]
    assert len(ratings) == 100_000
    assert set(ratings.rating) == {1, 2, 3, 4, 5}
    assert [ratings[name].dtype for name in ("userId", "movieId", "rating")] == [np.int64] * 3
    assert set(ratings.userId) == set(range(1, 944))
    assert set(ratings.movieId) == set(range(1, 1683))
    assert not ratings.duplicated(["userId", "movieId"]).any()


def test_every_user_has_20_ratings_and_every_item_one(planted: PlantedRatings) -> None:
    assert counts(planted.ratings, "userId")[-1] >= 20
    assert counts(planted.ratings, "movieId")[-1] >= 1


def test_the_rows_come_in_random_order(planted: PlantedRatings) -> None:
    """In sorted order the first thousand rows would be of one or two users."""
    assert planted.ratings.userId[:1000].nunique() > 300
    assert planted.ratings.movieId[:1000].nunique() > 300


def test_titles_are_unique_and_each_item_keeps_its_own(planted: PlantedRatings) -> None:
    assert len(set(planted.titles)) == len(planted.titles) == 1682
    assert (planted.titles[planted.ratings.movieId - 1] == planted.ratings.title).all()
    assert pd.Series(planted.titles).str.fullmatch(r"[A-Z][\w-]+ [A-Z]\w+ \(19\d\d\)").all()


def test_titles_stay_unique_when_the_words_run_out() -> None:
    planted = planted_ratings(n_users=5, n_items=5000, n_ratings=6000)
    names = {title.rsplit(" (", 1)[0] for title in planted.titles}
    assert len(names) == 5000
    assert any(name.endswith(" 3") for name in names)


def test_no_title_is_a_film_of_movielens(planted: PlantedRatings, movielens: Path) -> None:
    real = movielens_100k(movielens).title.str.replace(r"^The | \(\d+\)$", "", regex=True)
    made_up = {title.rsplit(" (", 1)[0] for title in planted.titles}
    assert not made_up & set(real)


def test_the_truth_has_the_promised_shapes() -> None:
    planted = planted_ratings(n_users=40, n_items=30, n_ratings=300, n_factors=3)
    truth = {name: getattr(planted, name) for name in
             ("user_factors", "item_factors", "user_bias", "item_bias")}
    assert {name: array.shape for name, array in truth.items()} == {
        "user_factors": (40, 3), "item_factors": (30, 3), "user_bias": (40,), "item_bias": (30,)}
    assert all(array.dtype == np.float32 for array in truth.values())


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_users=st.integers(1, 12), n_items=st.integers(1, 12))
def test_any_possible_size_is_met(data: st.DataObject, n_users: int, n_items: int) -> None:
    pairs = n_users * n_items
    n_ratings = data.draw(st.integers(min(n_users + n_items, pairs), pairs))
    planted = planted_ratings(n_users, n_items, n_ratings, n_factors=2,
                              seed=data.draw(st.integers(0, 99)))
    assert len(planted.ratings) == n_ratings
    assert planted.ratings.userId.nunique() == n_users
    assert planted.ratings.movieId.nunique() == n_items
    assert not planted.ratings.duplicated(["userId", "movieId"]).any()
    assert planted.ratings.rating.between(1, 5).all()


@pytest.mark.parametrize(("sizes", "message"), [
    ((10, 20, 201), "n_ratings=201 does not fit 10 users and 20 items: give 30 .* to 200"),
    ((10, 20, 29), "n_ratings=29 does not fit 10 users and 20 items: give 30 .* to 200"),
    ((1, 5, 4), "n_ratings=4 does not fit 1 users and 5 items: give 5 .* to 5"),
    ((0, 20, 0), "n_users=0"),
    ((10, -1, 5), "n_items=-1"),
    ((10, 20, 100, 0), "n_factors=0"),
])
def test_impossible_sizes_are_refused(sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planted_ratings(*sizes)


# -------------------------------------------------------------------------------- reproducible

def test_a_seed_fixes_everything() -> None:
    one, two, other = (planted_ratings(50, 40, 500, seed=seed) for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(one.ratings, two.ratings)
    for name in ("user_factors", "item_factors", "user_bias", "item_bias", "titles"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))


def test_numpys_global_random_state_is_neither_read_nor_moved() -> None:
    np.random.seed(1)
    undisturbed = np.random.random()
    np.random.seed(1)
    one = planted_ratings(50, 40, 500)
    assert np.random.random() == undisturbed
    pd.testing.assert_frame_equal(one.ratings, planted_ratings(50, 40, 500).ratings)


def test_the_default_size_takes_less_than_a_second() -> None:
    start = time.process_time()
    planted_ratings()
    assert time.process_time() - start < 1


# ------------------------------------------------------------------------- shaped like MovieLens

def test_the_shape_is_movielens(planted: PlantedRatings, movielens: Path) -> None:
    ours, real = shape_of(planted.ratings), shape_of(movielens_100k(movielens))
    for name in ("share of the top tenth of items", "share of the top tenth of users"):
        assert ours[name] == pytest.approx(real[name], abs=0.03)
    assert ours["items with at most 5 ratings"] == pytest.approx(
        real["items with at most 5 ratings"], abs=0.08)
    for name in ("half of all items have at most", "half of all users have at most"):
        assert ours[name] == pytest.approx(real[name], rel=0.25)
    np.testing.assert_allclose(ours["stars"], real["stars"], atol=0.015)


@pytest.mark.parametrize("seed", range(4))
def test_the_shape_does_not_hang_on_the_seed(seed: int) -> None:
    """MovieLens's own numbers, with room for the luck of one draw of 1682 items."""
    ratings = planted_ratings(seed=seed).ratings
    shape = shape_of(ratings)
    assert shape["share of the top tenth of items"] == pytest.approx(0.427, abs=0.04)
    assert shape["items with at most 5 ratings"] == pytest.approx(0.228, abs=0.08)
    np.testing.assert_allclose(shape["stars"], [0.061, 0.114, 0.271, 0.342, 0.212], atol=0.025)
    assert ratings.rating.mean() == pytest.approx(3.53, abs=0.05)
    assert ratings.rating.var() == pytest.approx(1.267, abs=0.08)


def test_famous_items_are_better_liked(planted: PlantedRatings) -> None:
    """MovieLens: log count and mean rating of a film correlate by 0.5."""
    by_item = planted.ratings.groupby("movieId").rating.agg(["size", "mean"])
    assert 0.3 < np.corrcoef(np.log(by_item["size"]), by_item["mean"])[0, 1] < 0.6


# ----------------------------------------------------------------------------------- learnable

def test_score_is_the_formula(planted: PlantedRatings) -> None:
    expected = planted.mean + planted.user_bias[6] + planted.item_bias[2] + \
        planted.user_factors[6] @ planted.item_factors[2]
    assert planted.score(7, 3) == pytest.approx(expected, rel=1e-6)
    assert planted.score([7, 8], 3).dtype == np.float32
    np.testing.assert_array_equal(planted.score(np.array([[7], [8]]), [3, 4])[0],
                                  planted.score([7, 7], [3, 4]))


@pytest.mark.parametrize(("user", "item", "message"), [
    (0, 1, "user id 0 does not exist; ids go from 1 to 943"),
    (944, 1, "user id 944"),
    (1, [5, -3], "item id -3 does not exist; ids go from 1 to 1682"),
])
def test_score_refuses_ids_that_do_not_exist(
    planted: PlantedRatings, user: int, item: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        planted.score(user, item)


def test_biases_average_to_nothing_over_the_ratings(planted: PlantedRatings) -> None:
    """Means of 1e5 float32 terms below 3 in size: rounding stays far under 1e-5."""
    ratings = planted.ratings
    assert planted.user_bias[ratings.userId - 1].mean(dtype=np.float64) == pytest.approx(
        0, abs=1e-5)
    assert planted.item_bias[ratings.movieId - 1].mean(dtype=np.float64) == pytest.approx(
        0, abs=1e-5)


def test_what_the_score_leaves_is_noise_of_the_stated_size(planted: PlantedRatings) -> None:
    ratings = planted.ratings
    error = planted.score(ratings.userId, ratings.movieId).clip(1, 5) - ratings.rating
    assert (error**2).mean() == pytest.approx(0.72, abs=0.01)
    left = abs(error.groupby(ratings.userId).mean())
    assert left.mean() < 0.15                      # nothing of a user is left in the noise


def fit(ratings: pd.DataFrame, n_factors: int, rounds: int = 8) -> tuple[float, np.ndarray]:
    """Alternating least squares on nine tenths: error on the last tenth, the item biases.

    Rows of the factor tables carry a constant 1 beside them, so biases are columns like others.
    """
    users, items, stars = (ratings[name].to_numpy() for name in ("userId", "movieId", "rating"))
    users, items, n = users - 1, items - 1, len(ratings) // 10
    mean, rng = stars[n:].mean(), np.random.default_rng(0)
    left = rng.normal(0, 0.1, (users.max() + 1, n_factors + 2))
    right = rng.normal(0, 0.1, (items.max() + 1, n_factors + 2))
    left[:, 1], right[:, 0] = 1, 1                 # columns: user bias, item bias, factors
    for _ in range(rounds):
        _solve(left, right, users[n:], items[n:], stars[n:] - mean, fixed=1)
        _solve(right, left, items[n:], users[n:], stars[n:] - mean, fixed=0)
    guess = mean + (left[users[:n]] * right[items[:n]]).sum(1)
    return float(((guess.clip(1, 5) - stars[:n])**2).mean()), right[:, 1]


def _solve(table: np.ndarray, other: np.ndarray, rows: np.ndarray, columns: np.ndarray,
           stars: np.ndarray, fixed: int) -> None:
    """Every row of `table` at its ridge optimum, but for its column `fixed`, which stays 1."""
    free = np.delete(np.arange(table.shape[1]), fixed)
    inputs, wanted = other[columns][:, free], stars - other[columns, fixed]
    order = np.argsort(rows, kind="stable")
    for row, part in enumerate(np.split(order, np.cumsum(np.bincount(rows))[:-1])):
        a = inputs[part]
        table[row, free] = np.linalg.solve(a.T @ a + 10 * np.eye(len(free)), a.T @ wanted[part])


def test_a_factor_model_gets_near_the_noise_and_finds_what_was_planted(
    planted: PlantedRatings,
) -> None:
    stars = planted.ratings.rating
    constant = ((stars[:10_000] - stars[10_000:].mean())**2).mean()
    biases, _ = fit(planted.ratings, n_factors=0, rounds=3)
    factors, item_bias = fit(planted.ratings, n_factors=5)
    assert constant == pytest.approx(1.27, abs=0.04)
    assert 0.86 < biases < 0.94
    assert 0.78 < factors < 0.86
    known = np.bincount(planted.ratings.movieId - 1) >= 50
    assert np.corrcoef(item_bias[known], planted.item_bias[known])[0, 1] > 0.95
