"""Splits that are given: frames for training, validation and test, and MovieLens's own five."""
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from minifast.collab import collab_learner
from minifast.data import CollabDataBunch
from minifast.data.categories import UnknownColumnError
from minifast.datasets import DataNotFoundError, movielens_100k, movielens_100k_fold

FRAME = pd.DataFrame({"user": np.repeat([1, 2, 3, 4], 4), "item": list("abcdbcdeacdeabde"),
                      "rating": [5, 3, 4, 1, 2, 5, 4, 3, 1, 2, 5, 4, 4, 4, 3, 2]})
TRAIN, VALID, TEST = FRAME[::2], FRAME[1::4], FRAME[3::4]


def test_frames_are_the_parts() -> None:
    data = CollabDataBunch.from_frames(TRAIN, VALID, TEST, bs=2)
    for part, frame in ((data.train_ds, TRAIN), (data.valid_ds, VALID),
                        (data.test_dl.dataset, TEST)):  # type: ignore[union-attr]
        np.testing.assert_array_equal(part.y.tolist(), frame.rating)
    assert data.classes["item"].tolist() == ["#na#", *sorted(set(TRAIN.item))]
    assert data.train_ds.x[0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


def test_columns_are_matched_by_name() -> None:
    mixed = VALID[["rating", "item", "user"]]
    one, two = (CollabDataBunch.from_frames(TRAIN, valid, bs=2) for valid in (VALID, mixed))
    for column, same in zip(one.valid_ds.x, two.valid_ds.x, strict=True):
        np.testing.assert_array_equal(column.tolist(), same.tolist())


def test_validating_on_the_test_rows_gives_their_true_error() -> None:
    """By hand: predictions label by label, 0 for an item that training does not know."""
    data = CollabDataBunch.from_frames(TRAIN[TRAIN.item != "e"], VALID, TEST, bs=2)
    learn = collab_learner(data, 3, y_range=(0, 5.5), seed=0)
    with learn.no_logging():
        learn.fit(2, 1e-2)
    users, items = data.categories
    numbers = [[cats.numbers.get(label, 0) for label in TEST[cats.name]] for cats in (users, items)]
    assert 0 in numbers[1]
    tables = {k: np.array(v.tolist()) for k, v in learn.model.named_parameters()}
    u, v = (tables[f"{k}_weight.weight"][n] for k, n in zip("ui", numbers, strict=True))
    b, c = (tables[f"{k}_bias.weight"][n, 0] for k, n in zip("ui", numbers, strict=True))
    predictions = 5.5 / (1 + np.exp(-((u * v).sum(1) + b + c)))
    assert learn.validate(data.test_dl)[0] == pytest.approx(
        ((predictions - TEST.rating) ** 2).mean(), rel=1e-5)
    assert learn.validate()[0] != pytest.approx(learn.validate(data.test_dl)[0], rel=1e-3)


def test_without_validation_rows_from_df_decides() -> None:
    assert CollabDataBunch.from_frames(TRAIN, test=TEST, bs=2).empty_val
    data = CollabDataBunch.from_frames(FRAME, bs=2, valid_pct=.25, seed=1)
    same = CollabDataBunch.from_df(FRAME, bs=2, valid_pct=.25, seed=1)
    assert data.valid_ds.y.tolist() == same.valid_ds.y.tolist()


def test_two_sets_of_validation_rows_are_refused() -> None:
    with pytest.raises(TypeError, match="validation rows and valid_pct; leave one out"):
        CollabDataBunch.from_frames(TRAIN, VALID, valid_pct=.1)
    with pytest.raises(TypeError, match="valid_idx"):
        CollabDataBunch.from_frames(TRAIN, VALID, valid_idx=[1])


def test_a_frame_without_a_column_is_refused() -> None:
    with pytest.raises(UnknownColumnError, match=r"valid: .*'rating'"):
        CollabDataBunch.from_frames(TRAIN, VALID.drop(columns="rating"), bs=2)


def test_the_official_splits_are_all_ratings(movielens: Path) -> None:
    everything = movielens_100k(movielens)
    tests = []
    for fold in range(1, 6):
        train, test = movielens_100k_fold(fold, movielens)
        assert (len(train), len(test)) == (80_000, 20_000)
        assert train.columns.tolist() == test.columns.tolist() == everything.columns.tolist()
        tests.append(test)
        both = pd.concat([train, test])
        assert (both.userId * 10_000 + both.movieId).is_unique
    rows = pd.concat(tests).sort_values(["userId", "movieId"], ignore_index=True)
    pd.testing.assert_frame_equal(rows, everything.sort_values(["userId", "movieId"],
                                                               ignore_index=True))


def test_a_fold_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fold=0 does not exist; the splits are 1 to 5"):
        movielens_100k_fold(0)
    (tmp_path / "u.item").write_text("")
    with pytest.raises(DataNotFoundError, match=r"has no u2\.base and no u2\.test; the archive"):
        movielens_100k_fold(2, tmp_path)
