"""Transfer learning: what a network gains from an earlier task.

A small residual network learns the digits 0 to 4. It then gets a new head and two, three, five or
ten images of each digit from 5 to 9. Three methods are compared on all other images of 5 to 9:
training the same network from scratch, training only the head of the pretrained one, and
fine-tuning all of it afterwards. The 8 x 8 images come with scikit-learn, so nothing is downloaded.

    python examples/transfer.py --seeds 3
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

from minifast import DeviceError
from minifast.backend import default_device, get_backend
from minifast.inspect import LastUpdate, plot_seeds
from minifast.inspect.group_table import group_table
from minifast.inspect.plots import plot_losses
from minifast.metrics import accuracy
from minifast.train import Learner
from minifast.vision import ImageDataBunch, cnn_learner, resnet10

Array = np.ndarray[Any, Any]
LABELS = (2, 3, 5, 10)                 # training images per class
METHODS = ("from scratch", "frozen body", "fine-tuned")
EPOCHS, FROZEN, UNFROZEN = 10, 30, 30  # of the old task, and of the two phases of the new one
LR = 1e-2
FINE_TUNING_LR = slice(1e-3, 1e-2)     # the first layer group learns ten times slower


class Digits:
    """Images ``x`` (n, 8, 8) with values 0 to 1, and their digits ``y`` (n,)."""

    def __init__(self) -> None:
        x, self.y = load_digits(return_X_y=True)
        self.x = (x / 16).reshape(-1, 8, 8).astype(np.float32)

    def split_old(self, seed: int) -> tuple[Array, Array]:
        """Split the rows of 0 to 4: four fifths for training, one for validation."""
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(self.y < 5))
        return rows[len(rows) // 5:], rows[:len(rows) // 5]

    def split_new(self, seed: int, n: int) -> tuple[Array, Array]:
        """Split the rows of 5 to 9: ``n`` per digit for training, all others for testing."""
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(self.y >= 5))
        few = np.concatenate([rows[self.y[rows] == digit][:n] for digit in range(5, 10)])
        return few, np.setdiff1d(rows, few)

    def bunch(self, train: Array, valid: Array | None, seed: int, stats: Any = None,
              **kwargs: Any) -> ImageDataBunch:
        """Return normalised data.

        Without ``valid`` there is no validation set. ``stats`` normalises like another task.
        """
        held_out = None if valid is None else (self.x[valid], self.y[valid])
        data = ImageDataBunch.from_arrays(self.x[train], self.y[train], 0, held_out,
                                          bs=64 if len(train) > 64 else min(25, len(train)),
                                          val_bs=512, seed=seed, **kwargs)
        return data.normalize(stats)


# ---------------------------------------------------------------- training


def make(data: ImageDataBunch, seed: int, body: Path | None = None) -> Learner:
    """Return a resnet10 with a new head of one layer; a pretrained ``body`` is frozen."""
    return cnn_learner(data, resnet10, pretrained=body or False, lin_ftrs=[], ps=0., seed=seed,
                       train_bn=body is None, metrics=[accuracy], callback_fns=[LastUpdate],
                       path=data.path)


def fit(learn: Learner, epochs: int, lr: Any) -> Learner:
    """Train for one cycle without printing."""
    with learn.no_logging():
        learn.fit_one_cycle(epochs, lr)
    return learn


def stats_of(learn: Learner) -> Any:
    """Return mean and standard deviation that the learner's images were normalised with."""
    data: Any = learn.data
    return data.stats


def pretrain(digits: Digits, seed: int, folder: Path, device: str) -> tuple[Learner, Path]:
    """Return a learner trained on 0 to 4, and the file with its weights."""
    train, valid = digits.split_old(seed)
    learn = make(digits.bunch(train, valid, seed, path=folder, device=device), seed)
    fit(learn, EPOCHS, LR)
    file = learn.save(f"digits_0_to_4_{seed}", return_path=True)
    assert file is not None
    return learn, file


def three_methods(data: ImageDataBunch, body: Path, seed: int) -> Iterator[Learner]:
    """Yield a learner per method, each trained for the same number of epochs."""
    yield fit(make(data, seed), FROZEN + UNFROZEN, LR)
    yield fit(make(data, seed, body), FROZEN + UNFROZEN, LR)
    tuned = fit(make(data, seed, body), FROZEN, LR)
    tuned.unfreeze()
    yield fit(tuned, UNFROZEN, FINE_TUNING_LR)


def score(learn: Learner, digits: Digits, rows: Array) -> float:
    """Return the accuracy on ``rows``."""
    data = digits.bunch(rows, rows, 0, stats_of(learn), device=learn.data.device,
                        path=learn.data.path)
    return float(learn.validate(data.valid_dl)[1])


def curve(digits: Digits, seeds: range, folder: Path, device: str) -> Array:
    """Return accuracies (seeds, labels, methods), and print a line per seed."""
    results = np.zeros((len(seeds), len(LABELS), len(METHODS)))
    for i, seed in enumerate(seeds):
        base, body = pretrain(digits, seed, folder, device)
        for j, n in enumerate(LABELS):
            few, others = digits.split_new(seed, n)
            data = digits.bunch(few, None, seed, stats_of(base), path=folder, device=device)
            results[i, j] = [score(learn, digits, others)
                             for learn in three_methods(data, body, seed + 1)]
        scores = [f"{method} {a:.3f}" for method, a in zip(METHODS, results[i, 1], strict=True)]
        print(f"seed {seed}: with {LABELS[1]} images per class: {', '.join(scores)}", flush=True)
    return results


# ---------------------------------------------------------------- output


def walk_through(digits: Digits, seed: int, folder: Path, device: str, out: Path) -> list[Path]:
    """Show one transfer step by step; return the files of its plots."""
    heading("The old task: 0 to 4")
    base, body = pretrain(digits, seed, folder, device)
    print(f"{len(base.data.train_ds)} images, {EPOCHS} epochs: accuracy "
          f"{base.validate()[1]:.3f} on {len(base.data.valid_ds)} others. Saved.")
    n = LABELS[2]
    few, others = digits.split_new(seed, n)
    data = digits.bunch(few, None, seed, stats_of(base), path=folder, device=device)
    heading(f"The new task: 5 to 9, {n} images of each")
    learn = make(data, seed + 1, body)
    print("The last layers are replaced by a new head with random weights, the rest is frozen:\n")
    print(group_table(learn))
    phase(f"Frozen, {FROZEN} epochs at {LR:g}", learn, partial(fit, learn, FROZEN, LR))
    print(f"Accuracy {score(learn, digits, others):.3f} on {len(others)} others.")
    learn.unfreeze()
    low, high = FINE_TUNING_LR.start, FINE_TUNING_LR.stop
    phase(f"Unfrozen, {UNFROZEN} epochs at slice({low:g}, {high:g})", learn,
          partial(fit, learn, UNFROZEN, FINE_TUNING_LR))
    print(f"Accuracy {score(learn, digits, others):.3f}.\n")
    print(group_table(learn))
    return [save(plot_losses(base.recorder, return_fig=True), out / "transfer_losses.png")]


def phase(name: str, learn: Learner, train: Any) -> None:
    """Train, and print how far each layer group moved, batch norm's statistics included."""
    before = [flat(group) for group in learn.layer_groups]
    train()
    heading(name)
    for i, (was, group) in enumerate(zip(before, learn.layer_groups, strict=True)):
        now = flat(group)
        share = np.linalg.norm(now - was) / np.linalg.norm(was)
        moved = "0: no bit changed" if now.tobytes() == was.tobytes() \
            else f"{share:.3f} of its norm"
        print(f"layer group {i} moved by {moved}")


def flat(group: Any) -> Array:
    """Return all weights and statistics of a layer group as one vector."""
    return np.concatenate([value.reshape(-1) for value in group.state_dict().values()])


def report(results: Array) -> None:
    """Print the table; transfer helps if it gains more than twice its standard error."""
    heading(f"Accuracy on the other images of 5 to 9, mean and spread of {len(results)} seeds")
    print(f"{'images':>7}" + "".join(f"{method:>18}" for method in METHODS) + f"{'gain':>18}")
    for j, n in enumerate(LABELS):
        cells = "".join(f"{a.mean():>10.3f} +- {a.std():.3f}" for a in results[:, j].T)
        gain, error = gain_of(results[:, j])
        print(f"{n:>7}{cells}{100 * gain:>+9.1f} +- {100 * error:.1f}"
              f"  {'helps' if gain > 2 * error else 'hurts' if gain < -2 * error else 'level'}")
    print("""\
Gain: fine-tuned minus from scratch, in percentage points, with its standard error. Transfer
learning helps where the gain exceeds twice that error, and most with few labels; with ten
images per class the network learns the new digits nearly as well from scratch. A frozen body is
not enough: its features distinguish 0 to 4, and must adapt to the new digits.""")


def gain_of(accuracies: Array) -> tuple[float, float]:
    """Return fine-tuning's mean gain and standard error for accuracies (seeds, methods)."""
    difference = accuracies[:, 2] - accuracies[:, 0]
    spread = difference.std(ddof=1) if len(difference) > 1 else np.inf
    return float(difference.mean()), float(spread / np.sqrt(len(difference)))


def draw_curve(results: Array) -> Any:
    """Plot mean accuracy and its spread over the images per class, one line per method."""
    curves = dict(zip(METHODS, results.transpose(2, 0, 1), strict=True))
    figure = plot_seeds(curves, LABELS, return_fig=True, xscale="log",
                        xlabel="labelled images per class (log scale)",
                        ylabel="accuracy on the others",
                        title=f"Digits 5 to 9: mean and spread of {len(results)} seeds")
    (axes,) = figure.axes
    axes.set_xticks(LABELS, map(str, LABELS))
    axes.minorticks_off()
    return figure


def heading(text: str) -> None:
    """Print a heading after an empty line."""
    print(f"\n== {text}")


def save(figure: Any, path: Path) -> Path:
    """Write a figure to a file and close it."""
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


# ---------------------------------------------------------------- command line


class Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: object) -> NoReturn:
    """Exit with status 1 and one line on stderr."""
    sys.exit(f"transfer.py: {' '.join(str(message).split())}")


def at_least(least: int) -> Any:
    """Return an argument type for whole numbers of at least ``least``."""
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)
    return number


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="transfer.py", description="Compare three methods for few labels.")
    parser.add_argument("--seeds", type=at_least(1), default=10, help="how many (default: 10)")
    parser.add_argument("--first", type=at_least(0), default=0, help="first seed (default: 0)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where it works, else cpu)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="for plots (default: out)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Show one transfer step by step, then compare the methods."""
    start = perf_counter()
    plt.switch_backend("Agg")  # write plots without a display
    args = parse(argv)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=args.out).close()
        device = get_backend(args.device or default_device()).name
    except OSError as error:
        fail(f"cannot write to --out {args.out}: {error.strerror}; choose another folder")
    except (DeviceError, ValueError) as error:
        fail(error)
    digits, seeds = Digits(), range(args.first, args.first + args.seeds)
    with TemporaryDirectory() as folder:
        plots = walk_through(digits, seeds[0], Path(folder), device, args.out)
        heading("Three methods")
        results = curve(digits, seeds, Path(folder), device)
    report(results)
    plots.append(save(draw_curve(results), args.out / "transfer.png"))
    print(f"\nPlots: {', '.join(map(str, plots))}. {perf_counter() - start:.1f} s in total.")


if __name__ == "__main__":
    main()
