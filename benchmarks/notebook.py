"""The notebook's training: MovieLens 100K, 40 factors, whole epochs, at three sizes of batch.

The ratings are MovieLens's if they are on this machine, else planted ones. A Learner of minifast
or fastai also runs its recorder, schedule and validation; all others train only. One family
trains a model that a student writes with four embeddings.
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
    PLAIN,
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
    """Return MovieLens 100K if it is on this machine; download nothing."""
    try:
        return movielens_100k() if os.environ.get("MINIFAST_HOME") else None
    except DataNotFoundError:
        return None


def ratings(scale: float) -> tuple[str, pd.DataFrame]:
    """Return the name and the ratings of MovieLens 100K, or planted ones of the scaled size."""
    if scale == 1 and (frame := movielens()) is not None:
        return "MovieLens 100K", frame
    sizes = {"n_users": 943, "n_items": 1682, "n_ratings": 100_000}
    small = {name: max(40, round(n * scale ** (.5 if name != "n_ratings" else 1)))
             for name, n in sizes.items()}
    small["n_ratings"] = max(small["n_ratings"], 400)
    return "planted", planted_ratings(**small).ratings


def write(frame: pd.DataFrame, folder: Path) -> int:
    """Write all ratings, the encoded training rows and initial weights; return how many train."""
    raw = {"user": frame["userId"].to_numpy(), "item": pd.factorize(frame["title"])[0],
           "rating": frame["rating"].to_numpy(np.float32)}
    frame = pd.DataFrame(raw)
    data = CollabDataBunch.from_df(frame, seed=42, valid_pct=.1, device="cpu")
    n_users, n_items = map(len, data.categories)
    train = data.train_ds
    save(folder, train.x, train.y, dot_weights(n_users, n_items, FACTORS), **raw)
    return len(train)


def cases(default_bs: tuple[int, ...], more: list[Contestant], options: Options) -> Iterator[Case]:
    """Yield an epoch at each size of batch."""
    _, frame = ratings(options.scale)
    who = [LEARNER, ours(), *PLAIN, floor(), *TORCH[:3], JAX, FASTAI, *more, ours("SGD"),
           floor("SGD"), *TORCH[3:]]
    for bs in options.bs or default_bs:
        job = Job("dot", bs=bs, lr=LR, wd=WD)
        yield Case(f"{len(frame)} ratings, batch {bs}", job, who, "notebook", partial(write, frame))


def own_model(options: Options) -> Iterator[Case]:
    """Yield an epoch of a model that is not EmbeddingDotBias but computes the same."""
    _, frame = ratings(options.scale)
    for bs in options.bs or (64, 1024):
        job = Job("own dot", bs=bs, lr=LR, wd=WD)
        yield Case(f"own model, {len(frame)} ratings, batch {bs}", job,
                   [ours(), ours(how="plain"), *TORCH[:3]], "own", partial(write, frame))


def source(contest: Contest, options: Options) -> Iterator[str]:
    """Yield which ratings they are."""
    yield f"\nThe ratings are {ratings(options.scale)[0]}; nine tenths of them are trained on."


FAMILIES = {
    "notebook": Family("The notebook: MovieLens 100K's size, 40 factors", "epoch",
                       partial(cases, (64,), SURPRISE), after=source),
    "batches": Family("The notebook in larger batches", "epoch",
                      partial(cases, (1024, 16384), []), after=source),
    "own": Family("A student's own model: four embeddings and a dot product", "epoch", own_model,
                  after=source),
}
