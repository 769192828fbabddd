"""The notebook's training: MovieLens 100K, 40 factors, whole epochs, at three sizes of batch.

The ratings are MovieLens's if they are there, else the planted ones. A Learner, minifast's or
fastai's, has recorder, schedule and validation; all others train only.
"""
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from minifast.data import CollabDataBunch
from minifast.datasets import DataNotFoundError, movielens_100k, planted_ratings

from .contest import Case, Contest, Contestant
from .families import (
    FASTAI,
    JAX,
    LEARNER,
    SURPRISE,
    TORCH,
    Family,
    Options,
    dot_weights,
    floor,
    ours,
)
from .job import Job, save

FACTORS, LR, WD = 40, 6e-3, .1


def movielens() -> pd.DataFrame | None:
    """MovieLens 100K if it lies on this machine; nothing is downloaded."""
    try:
        return movielens_100k() if os.environ.get("MINIFAST_HOME") else None
    except DataNotFoundError:
        return None


def ratings(scale: float) -> tuple[str, pd.DataFrame]:
    """MovieLens 100K, or its planted twin; smaller ones are always planted."""
    if scale == 1 and (frame := movielens()) is not None:
        return "MovieLens 100K", frame
    sizes = {"n_users": 943, "n_items": 1682, "n_ratings": 100_000}
    small = {name: max(40, round(n * scale ** (.5 if name != "n_ratings" else 1)))
             for name, n in sizes.items()}
    small["n_ratings"] = max(small["n_ratings"], 400)
    return "planted", planted_ratings(**small).ratings


def write(frame: pd.DataFrame, folder: Path) -> int:
    """All rows as they are, with titles as numbers, and the training rows numbered by minifast."""
    raw = {"user": frame["userId"].to_numpy(), "item": pd.factorize(frame["title"])[0],
           "rating": frame["rating"].to_numpy(np.float32)}
    frame = pd.DataFrame(raw)
    data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, device="cpu")
    n_users, n_items = map(len, data.categories)
    train = data.train_ds
    save(folder, train.x, train.y, dot_weights(n_users, n_items, FACTORS), **raw)
    return len(train)


def cases(default_bs: tuple[int, ...], more: list[Contestant], options: Options) -> Iterator[Case]:
    """An epoch at each size of batch."""
    _, frame = ratings(options.scale)
    who = [LEARNER, ours(), floor(), *TORCH[:3], JAX, FASTAI, *more, ours("SGD"), floor("SGD"),
           *TORCH[3:]]
    for bs in options.bs or default_bs:
        job = Job("dot", bs=bs, lr=LR, wd=WD)
        yield Case(f"{len(frame)} ratings, batch {bs}", job, who, "notebook", partial(write, frame))


def source(contest: Contest, options: Options) -> Iterator[str]:
    """Which ratings they were."""
    yield f"\nThe ratings are {ratings(options.scale)[0]}, nine tenths of them for training."


FAMILIES = {
    "notebook": Family("The notebook: MovieLens 100K's size, 40 factors", "epoch",
                       partial(cases, (64,), SURPRISE), after=source),
    "batches": Family("The notebook in larger batches", "epoch",
                      partial(cases, (1024, 16384), []), after=source),
}
