"""Trace a training step of the notebook's model: ``python tests/step_frames.py [-v]``.

Prints the Python functions of minifast that one batch of ``fit_one_cycle`` enters, as JSON: file
and name of each call in order, the number of batches, of parameters, of calls of ``adam_step``.
``MINIFAST_FAST=0`` traces the plain path.
"""
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import minifast
from minifast.collab import CollabDataBunch, collab_learner
from minifast.datasets import planted_ratings
from minifast.train import Callback

ROOT = Path(minifast.__file__).parent
TRACED = 100
"""The batch that is traced; by then all that a fit does once is done."""


class Tracer(Callback):
    """Records calls between the end of one batch and the end of the next."""

    _order = 1000

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.batches = self.adam_steps = 0

    def on_batch_end(self, train: bool = True, **state: Any) -> None:
        self.batches += train

    def profile(self, frame: FrameType, event: str, arg: object) -> None:
        """Record the calls of functions of minifast, as ``sys.setprofile`` asks it to."""
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(ROOT)):
            return
        self.adam_steps += code.co_name == "adam_step"
        if self.batches == TRACED:
            file = Path(code.co_filename).relative_to(ROOT).as_posix()
            self.calls.append((file, code.co_qualname))


def main() -> dict[str, Any]:
    """Fit an epoch and return what was traced."""
    ratings = planted_ratings(n_users=100, n_items=150, n_ratings=10_000).ratings
    data = CollabDataBunch.from_df(ratings, valid_pct=.1, seed=42, item_name="title")
    learn = collab_learner(data, n_factors=40, y_range=[0, 5.5], wd=.1)
    tracer = Tracer()
    sys.setprofile(tracer.profile)
    with learn.no_logging():
        learn.fit_one_cycle(1, 6e-3, callbacks=[tracer])
    sys.setprofile(None)
    return {"calls": tracer.calls, "batches": tracer.batches, "adam_steps": tracer.adam_steps,
            "parameters": sum(p.requires_grad for p in learn.model.parameters())}


if __name__ == "__main__":
    traced = main()
    if "-v" in sys.argv:
        print("\n".join(f"{file}  {name}" for file, name in traced["calls"]))
        print(len(traced["calls"]), "frames,", len(set(map(tuple, traced["calls"]))), "functions,",
              len({file for file, _ in traced["calls"]}), "files")
    else:
        print(json.dumps(traced))
