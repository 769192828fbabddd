"""Ratings whose users and items have labels of every type, and what two bunches have in common."""
import datetime
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from tiny import host

from minifast.data import CollabDataBunch

N = 40
SPLIT: dict[str, Any] = {"valid_pct": .3, "seed": 3, "bs": 4}

DAY = datetime.date(2020, 1, 1)
UUIDS = [uuid.UUID(int=(k * 7919) % 97) for k in range(12)]
LABELS: dict[str, Callable[[list[int]], Any]] = {
    "int64": lambda k: np.array(k) - 5,
    "int8": lambda k: np.array(k, np.int8),
    "uint64": lambda k: np.array(k, np.uint64) + np.uint64(2**63),
    "beyond floats": lambda k: np.array(k) + 2**53,
    "Int64 with gaps": lambda k: pd.array([None if i == 3 else i + 2**53 for i in k], "Int64"),
    "int64[pyarrow]": lambda k: pd.array([None if i == 3 else i for i in k], "int64[pyarrow]"),
    "objects": lambda k: np.array(k, object),
    "floats with gaps": lambda k: np.array([np.nan if i == 3 else i / 2 for i in k]),
    "float32": lambda k: np.array(k, np.float32) / np.float32(10),
    "texts": lambda k: np.array([f"t{i}" for i in k], object),
    "texts with gaps": lambda k: np.array([None if i == 3 else f"t{i}" for i in k], object),
    "string[python]": lambda k: pd.array([None if i == 3 else f"t{i}" for i in k],
                                         "string[python]"),
    "string[pyarrow]": lambda k: pd.array([None if i == 3 else f"t{i}" for i in k],
                                          "string[pyarrow]"),
    "category": lambda k: pd.Categorical([None if i == 3 else f"t{i}" for i in k],
                                         [f"t{i}" for i in range(20, -1, -1)]),
    "category of ints": lambda k: pd.Categorical(k),
    "bool": lambda k: np.array(k) > 5,
    "datetimes": lambda k: np.datetime64("2020-01-01", "us") + np.array(k),
    "dates": lambda k: np.array([DAY + datetime.timedelta(i) for i in k], object),
    "uuids": lambda k: np.array([UUIDS[i] for i in k], object),
    "bytes": lambda k: np.array([b"%d" % i for i in k], object)}


def many(kind: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 12, N).tolist(), rng.integers(0, 9, N).tolist()
    return pd.DataFrame({"user": LABELS[kind](users), "item": LABELS[kind](items),
                         "rating": rng.integers(1, 6, N) / 2})


def columns(data: CollabDataBunch) -> list[list[Any]]:
    """Users, items and ratings of the training rows, then of the validation rows."""
    return [host(a).tolist() for ds in (data.train_ds, data.valid_ds) for a in (*ds.x, ds.y)]


def assert_same(data: CollabDataBunch, expected: CollabDataBunch) -> None:
    assert columns(data) == columns(expected)
    assert [c.name for c in data.categories] == [c.name for c in expected.categories]
    for one, other in zip(data.classes.values(), expected.classes.values(), strict=True):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    assert data.rating_name == expected.rating_name
