"""Kill training processes with SIGKILL, go on, and compare: ``python tests/kill_and_resume.py``.

Each fit saves itself every few batches. Half of the kills come at a random moment, the others
inside a save: while the file is written, before and after it is renamed, before the folder is
removed. A killed fit is started again until it ends. Then its weights, its optimizer and its
history must have the bytes of a fit that was never killed, no checkpoint may have got lost or gone
back, and nothing may be left in the folder.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from tiny import frozen_copy, three_groups

from minifast.checkpoints import CheckpointCallback, durable
from minifast.checkpoints.container import read_container
from minifast.collab import collab_learner
from minifast.data import CollabDataBunch
from minifast.datasets import planted_ratings
from minifast.metrics import mae
from minifast.train import Learner

RATINGS = planted_ratings(900, 800, 1700, seed=1).ratings
STAGES = ("mkdtemp", "write_bytes", "sync", "replace", "rmtree")


def groups(path: Path) -> Learner:
    learn = three_groups(.3, path=path, metrics=[mae], train_bn=False)
    learn.freeze_to(1)
    return learn


def dot(path: Path) -> Learner:
    """Large enough for deferred updates."""
    data = CollabDataBunch.from_df(RATINGS, seed=3, bs=64)
    data.train_dl.rng = np.random.default_rng(2)
    return collab_learner(data, 20, y_range=[0, 5.5], seed=1, path=path)


def network(path: Path) -> Learner:
    data = CollabDataBunch.from_df(RATINGS, seed=3, bs=64)
    data.train_dl.rng = np.random.default_rng(2)
    return collab_learner(data, use_nn=True, layers=[8], ps=.2, emb_drop=.1, seed=1, path=path)


CASES = [(make, fast) for make in (groups, dot, network) for fast in (True, False)]


def train(make: Callable[[Path], Learner], fast: bool, folder: Path) -> None:
    """Train to the end, and write down what came out."""
    learn = make(folder)
    learn.fast = fast
    saver = CheckpointCallback(learn, every=4, unit="batch", resume=True)
    with learn.no_logging():
        learn.fit_one_cycle(3, slice(1e-3, 1e-2), callbacks=[saver])
    learn.save("trained")
    recorder = learn.recorder
    history = [[float(x) for x in recorder.losses], recorder.lrs, recorder.moms,
               recorder.group_lrs, recorder.val_losses, recorder.metrics, recorder.nb_batches]
    result = repr((sorted(frozen_copy(learn).items()), history))
    (folder / "result").write_text(sha256(result.encode()).hexdigest())


def killing(stage: str, after: int) -> None:
    """Kill this process at the ``after``-th time that a save comes to a stage."""
    left = [after]
    owner: Any = {"write_bytes": Path, "replace": os}.get(stage, durable)
    before = getattr(owner, stage)

    def instead(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            if stage == "write_bytes":  # half of the file is there
                before(args[0], args[1][:len(args[1]) // 2])
            if stage == "mkdtemp":
                before(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        return before(*args, **kwargs)
    setattr(owner, stage, instead)


def run(make: Any, fast: bool, folder: Path, rng: random.Random, seconds: float) -> bool:
    """Start a process that trains, kill it or let it end; return whether it was killed."""
    inside, stage, after = rng.random() < .5, rng.choice(STAGES), rng.randint(1, 4)
    delay = rng.uniform(0, seconds)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if inside:
                killing(stage, after)
            train(make, fast, folder)
            code = 0
        finally:
            os._exit(code)
    if not inside:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("a fit ended with an error, see above")
    return os.WIFSIGNALED(status)


def iteration(folder: Path) -> int:
    """Return how far the checkpoint is; 0 without one, -1 if it cannot be read."""
    path = folder / "models" / "fit.safetensors"
    if not path.exists():
        return 0
    try:
        return int(read_container(path, "fit")[1]["place"]["iteration"])
    except Exception as error:  # whatever it is, the checkpoint is lost
        print(f"lost: {error!r}")
        return -1


def reference(make: Any, fast: bool, folder: Path) -> tuple[str, float]:
    """Return what a fit leaves that is never killed, and its seconds."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        train(make, fast, folder)
        os._exit(0)
    os.waitpid(child, 0)
    return (folder / "result").read_text(), time.monotonic() - start


def main(options: list[str]) -> int:
    """Kill n times, print the figures, and return whether one of them is not 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(options)
    rng, found = random.Random(args.seed), dict.fromkeys(
        ("kills", "inside_save", "fits", "lost", "went_back", "differing", "left_over"), 0)
    root = Path(tempfile.mkdtemp(prefix="minifast-kills-"))
    try:
        wholes = {}
        while found["kills"] < args.n:
            make, fast = case = CASES[found["fits"] % len(CASES)]
            if case not in wholes:
                wholes[case] = reference(*case, root / f"whole-{make.__name__}-{fast}")
            result, seconds = wholes[case]
            folder = root / str(found["fits"])
            folder.mkdir()
            reached = 0
            while not (folder / "result").exists():
                found["kills"] += run(make, fast, folder, rng, seconds)
                found["inside_save"] += bool(left_over(folder))
                now = iteration(folder)
                found["lost"] += now < 0 or (reached > 0 and now == 0)
                found["went_back"] += now < reached
                reached = max(now, reached)
            found["fits"] += 1
            found["differing"] += (folder / "result").read_text() != result
            found["left_over"] += len(left_over(folder))
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(root)
    print(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in found.items()))
    return any(found[name] for name in ("lost", "went_back", "differing", "left_over"))


def left_over(folder: Path) -> list[Path]:
    return [*folder.glob("models/.saving-*")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
