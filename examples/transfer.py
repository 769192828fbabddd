"""Transfer learning, start to end: what is a network worth that has learned another task?

A small residual network learns the digits 0 to 4. Then it gets a new head and a few pictures of
5 to 9: two, three, five or ten of each. Three ways are compared on all other pictures of 5 to 9:
the same network from scratch, the old body frozen, and the old body fine-tuned after that. The
8 x 8 pictures come with scikit-learn, so nothing is downloaded.

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

import minifast.inspect  # noqa: F401  (adds the plots of a recorder)
from minifast import DeviceError
from minifast.backend import default_device, get_backend
from minifast.train import Learner, accuracy
from minifast.vision import ImageDataBunch, cnn_learner, resnet10

Array = np.ndarray[Any, Any]
LABELS = (2, 3, 5, 10)                 # pictures per class to learn from
WAYS = ("from scratch", "frozen body", "fine-tuned")
EPOCHS, FROZEN, UNFROZEN = 10, 30, 30  # of the old task; of the new one, before and after
LR, CAREFUL = 1e-2, slice(1e-3, 1e-2)  # head and whole network; early layers slower than late
PALETTE = ("tab:grey", "tab:blue", "tab:orange")


class Digits:
    """The pictures (n, 8, 8), values 0 to 1, and which digit each is."""

    def __init__(self) -> None:
        x, self.y = load_digits(return_X_y=True)
        self.x = (x / 16).reshape(-1, 8, 8).astype(np.float32)

    def split_old(self, seed: int) -> tuple[Array, Array]:
        """Rows of 0 to 4: four fifths to train on, one to validate."""
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(self.y < 5))
        return rows[len(rows) // 5:], rows[:len(rows) // 5]

    def split_new(self, seed: int, n: int) -> tuple[Array, Array]:
        """Rows of 5 to 9: ``n`` of each to train on, all others to test."""
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(self.y >= 5))
        few = np.concatenate([rows[self.y[rows] == digit][:n] for digit in range(5, 10)])
        return few, np.setdiff1d(rows, few)

    def bunch(self, train: Array, valid: Array | None, seed: int, stats: Any = None,
              **kwargs: Any) -> ImageDataBunch:
        """Data, not validated if ``valid`` is None; ``stats`` are those of the old task."""
        held_out = None if valid is None else (self.x[valid], self.y[valid])
        data = ImageDataBunch.from_arrays(self.x[train], self.y[train], 0, held_out,
                                          bs=64 if len(train) > 64 else min(25, len(train)),
                                          val_bs=512, seed=seed, **kwargs)
        return data.normalize(stats)


# ---------------------------------------------------------------- the tasks


def make(data: ImageDataBunch, seed: int, body: Path | None = None) -> Learner:
    """A resnet10 with a new head of one layer; with ``body``, its weights, frozen altogether."""
    return cnn_learner(data, resnet10, pretrained=body or False, lin_ftrs=[], ps=0., seed=seed,
                       train_bn=body is None, metrics=[accuracy], path=data.path)


def fit(learn: Learner, epochs: int, lr: Any) -> Learner:
    """One cycle, without a table."""
    with learn.no_logging():
        learn.fit_one_cycle(epochs, lr)
    return learn


def stats_of(learn: Learner) -> Any:
    """What the learner's pictures were normalised by."""
    data: Any = learn.data
    return data.stats


def pretrain(digits: Digits, seed: int, folder: Path, device: str) -> tuple[Learner, Path]:
    """The network that knows 0 to 4, and the file of its weights."""
    train, valid = digits.split_old(seed)
    learn = make(digits.bunch(train, valid, seed, path=folder, device=device), seed)
    fit(learn, EPOCHS, LR)
    file = learn.save(f"digits_0_to_4_{seed}", return_path=True)
    assert file is not None
    return learn, file


def three_ways(data: ImageDataBunch, body: Path, seed: int) -> Iterator[Learner]:
    """Learners of the new task, trained for equally many epochs each."""
    yield fit(make(data, seed), FROZEN + UNFROZEN, LR)
    yield fit(make(data, seed, body), FROZEN + UNFROZEN, LR)
    tuned = fit(make(data, seed, body), FROZEN, LR)
    tuned.unfreeze()
    yield fit(tuned, UNFROZEN, CAREFUL)


def score(learn: Learner, digits: Digits, rows: Array) -> float:
    """The share of ``rows`` that is recognised."""
    data = digits.bunch(rows, rows, 0, stats_of(learn), device=learn.data.device,
                        path=learn.data.path)
    return float(learn.validate(data.valid_dl)[1])


def curve(digits: Digits, seeds: range, folder: Path, device: str) -> Array:
    """Accuracies (seeds, labels, ways); a line is printed when a seed is done."""
    results = np.zeros((len(seeds), len(LABELS), len(WAYS)))
    for i, seed in enumerate(seeds):
        base, body = pretrain(digits, seed, folder, device)
        for j, n in enumerate(LABELS):
            few, others = digits.split_new(seed, n)
            data = digits.bunch(few, None, seed, stats_of(base), path=folder, device=device)
            results[i, j] = [score(learn, digits, others)
                             for learn in three_ways(data, body, seed + 1)]
        at_three = ", ".join(f"{way} {a:.3f}" for way, a in zip(WAYS, results[i, 1], strict=True))
        print(f"seed {seed}: with {LABELS[1]} of each: {at_three}", flush=True)
    return results


# ---------------------------------------------------------------- what is shown


def walk_through(digits: Digits, seed: int, folder: Path, device: str, out: Path) -> list[Path]:
    """One transfer step by step, with what each phase has moved."""
    heading("The old task: 0 to 4")
    base, body = pretrain(digits, seed, folder, device)
    print(f"{len(base.data.train_ds)} pictures, {EPOCHS} epochs: accuracy "
          f"{base.validate()[1]:.3f} on {len(base.data.valid_ds)} others. Saved.")
    n = LABELS[2]
    few, others = digits.split_new(seed, n)
    data = digits.bunch(few, None, seed, stats_of(base), path=folder, device=device)
    heading(f"The new task: 5 to 9, {n} pictures of each")
    learn = make(data, seed + 1, body)
    print("The last layers are cut off, a new head with random weights is put on, the rest is "
          "frozen:\n")
    print(learn.group_table())
    phase(f"Frozen, {FROZEN} epochs at {LR:g}", learn, partial(fit, learn, FROZEN, LR))
    print(f"Accuracy {score(learn, digits, others):.3f} on {len(others)} others.")
    learn.unfreeze()
    phase(f"Unfrozen, {UNFROZEN} epochs at slice({CAREFUL.start:g}, {CAREFUL.stop:g})", learn,
          partial(fit, learn, UNFROZEN, CAREFUL))
    print(f"Accuracy {score(learn, digits, others):.3f}.\n")
    print(learn.group_table())
    return [save(base.recorder.plot_losses(return_fig=True), out / "transfer_losses.png")]


def phase(name: str, learn: Learner, train: Any) -> None:
    """Train, and say how far each layer group has moved, statistics included."""
    before = [flat(group) for group in learn.layer_groups]
    train()
    heading(name)
    for i, (was, group) in enumerate(zip(before, learn.layer_groups, strict=True)):
        now = flat(group)
        share = np.linalg.norm(now - was) / np.linalg.norm(was)
        moved = "0: not one bit has changed" if now.tobytes() == was.tobytes() \
            else f"{share:.3f} of the length of its weights"
        print(f"layer group {i} has moved by {moved}")


def flat(group: Any) -> Array:
    """All weights and statistics of a layer group, end to end."""
    return np.concatenate([value.reshape(-1) for value in group.state_dict().values()])


def report(results: Array) -> None:
    """The table, and when transfer pays: if it gains more than twice its standard error."""
    heading(f"Accuracy on the other pictures of 5 to 9, mean and spread of {len(results)} seeds")
    print(f"{'of each':>7}" + "".join(f"{way:>18}" for way in WAYS) + f"{'gain':>18}")
    for j, n in enumerate(LABELS):
        cells = "".join(f"{a.mean():>10.3f} +- {a.std():.3f}" for a in results[:, j].T)
        gain, error = gain_of(results[:, j])
        print(f"{n:>7}{cells}{100 * gain:>+9.1f} +- {100 * error:.1f}"
              f"  {'pays' if gain > 2 * error else 'costs' if gain < -2 * error else 'level'}")
    print("""\
Gain: fine-tuned less from scratch, in points, with its standard error. Transfer pays where the
gain is more than twice that error. It pays most with few labels; with ten of each the network
learns the new digits nearly as well from their own pictures. The frozen body alone is not enough:
it knows what tells 0 to 4 apart, and must be allowed to look for something else.""")


def gain_of(accuracies: Array) -> tuple[float, float]:
    """Mean difference of fine-tuned and from scratch (seeds, ways), and its standard error."""
    difference = accuracies[:, 2] - accuracies[:, 0]
    spread = difference.std(ddof=1) if len(difference) > 1 else np.inf
    return float(difference.mean()), float(spread / np.sqrt(len(difference)))


def draw_curve(results: Array) -> Any:
    """Mean accuracy over labels per class, one line per way, with the spread over seeds."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for way, color, accuracies in zip(WAYS, PALETTE, results.transpose(2, 0, 1), strict=True):
        mean, spread = accuracies.mean(0), accuracies.std(0)
        axes.plot(LABELS, mean, "o-", color=color, label=way)
        axes.fill_between(LABELS, mean - spread, mean + spread, color=color, alpha=.15, lw=0)
    axes.set(xlabel="Labelled pictures per class", ylabel="Accuracy on the others",
             title=f"Digits 5 to 9, {len(results)} seeds: mean and standard deviation")
    axes.set_xscale("log")
    axes.set_xticks(LABELS, map(str, LABELS))
    axes.minorticks_off()
    axes.legend(loc="lower right")
    return figure


def heading(text: str) -> None:
    """A line with some air above."""
    print(f"\n== {text}")


def save(figure: Any, path: Path) -> Path:
    """Write a plot and let go of it."""
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


# ---------------------------------------------------------------- the command


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: object) -> NoReturn:
    """End with one line on stderr and exit status 1."""
    sys.exit(f"transfer.py: {' '.join(str(message).split())}")


def at_least(least: int) -> Any:
    """An argument type: whole numbers from ``least`` on."""
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)
    return number


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The options, with their defaults."""
    parser = Parser(prog="transfer.py", description="Compare three ways to learn from few labels.")
    parser.add_argument("--seeds", type=at_least(1), default=10, help="how many (default: 10)")
    parser.add_argument("--first", type=at_least(0), default=0, help="first seed (default: 0)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where it works, else cpu)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="for plots (default: out)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """One transfer step by step, then the whole curve."""
    start = perf_counter()
    plt.switch_backend("Agg")  # plots are written, not shown, so no display is needed
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
        heading("Three ways")
        results = curve(digits, seeds, Path(folder), device)
    report(results)
    plots.append(save(draw_curve(results), args.out / "transfer.png"))
    print(f"\nPlots: {', '.join(map(str, plots))}. {perf_counter() - start:.1f} s in all.")


if __name__ == "__main__":
    main()
