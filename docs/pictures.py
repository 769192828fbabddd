"""Pictures of `minifast.pictures` for the lessons, made at each build.

A comment such as ``<!-- picture: backward -->`` in a page stands for a picture: a reader of the
Markdown file sees nothing, a reader of the site the picture.
"""
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from minifast import tensor
from minifast.data import ArrayDataset, DataBunch
from minifast.nn import Linear, MSELossFlat, ReLU, Sequential
from minifast.pictures import (
    Picture,
    backward_player,
    lookup_picture,
    note_modules,
    one_cycle_slider,
    optimizer_race,
    show_graph,
)
from minifast.train import Learner

PLACE = re.compile(r"^<!-- picture: (\w+) -->$", re.M)
PAGES = {r"examples/(\w+)\.py": r"examples/\1.md", r"examples/(\w+)\.ipynb": r"examples/\1.ipynb",
         r"course/(\w+)/student\.ipynb": r"course/\1.ipynb",
         r"course/README\.md": "course/teacher.md"}
"""What files outside ``docs`` are called on the site."""


def noted_loss() -> tuple[Any, note_modules]:
    """Return a loss of a small network, as in the lesson on automatic differentiation."""
    net = Sequential(Linear(2, 3, seed=0), ReLU(), Linear(3, 1, seed=1))
    with note_modules(net) as notes:
        loss = MSELossFlat()(net(tensor([[1., 2.], [3., 4.]])), tensor([1., 0.]))
    return loss, notes


def one_cycle() -> Picture:
    """Return the rate, the momentum and the loss of a fit of 100 batches."""
    x = np.random.default_rng(0).normal(size=(1600, 3)).astype(np.float32)
    data = DataBunch.create(ArrayDataset(x, x @ np.float32([1, -2, 3])), bs=16, device="cpu")
    learn = Learner(data, Linear(3, 1, seed=0))
    with learn.no_logging():
        learn.fit_one_cycle(1, .1)
    return one_cycle_slider(learn)


PICTURES: dict[str, Callable[[], Picture]] = {
    "graph": lambda: show_graph(*noted_loss()), "backward": lambda: backward_player(*noted_loss()),
    "one_cycle": one_cycle, "lookup": lookup_picture, "race": optimizer_race}


def insert(app: Any, name: str, source: list[str]) -> None:
    """Put the pictures into the text of a page, and lead its links to pages of the site."""
    for link, page in PAGES.items():
        source[0] = re.sub(rf"\]\(\.\./{link}\)", rf"]({page})", source[0])
    source[0] = PLACE.sub(lambda found: f"```{{raw}} html\n{PICTURES[found[1]]().html()}\n```",
                          source[0])
