"""Data augmentation: what random changes of training images gain, and which ones cost.

A small convolutional network learns the ten digits from 5, 10 or 50 images of each. It is trained
on the images as they are, with random rotations, zooms, warps and changes of lighting, and with
left-right flips as well, which turn a digit into something that is no digit. Each network predicts
other images as they are, and by test time augmentation. The 8 x 8 images come with scikit-learn.

    python examples/augmentation.py --seeds 3
"""
from __future__ import annotations

import argparse
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from minifast.train import Learner
from minifast.vision import ImageDataBunch, get_transforms, simple_cnn

LABELS = (5, 10, 50)  # training images per class
OTHERS = 600          # images to predict
TRANSFORMS: dict[str, Any] = {"none": None, "without flips": get_transforms(do_flip=False),
                              "with flips": get_transforms()}
Array = np.ndarray


def data(x: Array, y: Array, n: int, seed: int, tfms: Any) -> ImageDataBunch:
    """Return ``n`` training images of each digit and ``OTHERS`` others."""
    rows = np.random.default_rng(seed).permutation(len(y))
    few = np.concatenate([rows[y[rows] == digit][:n] for digit in range(10)])
    others = rows[~np.isin(rows, few)][:OTHERS]
    return ImageDataBunch.from_arrays(x[few], y[few], 0, (x[others], y[others]), bs=25,
                                      val_bs=OTHERS, seed=seed, ds_tfms=tfms).normalize()


def accuracies(bunch: ImageDataBunch, seed: int, epochs: int) -> tuple[float, float]:
    """Train a network, and return its accuracy without and with test time augmentation."""
    model = simple_cnn([1, 16, 32, 32, 10], strides=[1, 2, 2, 1], bn=True, seed=seed)
    learn: Any = Learner(bunch, model)
    with learn.no_logging():
        learn.fit_one_cycle(epochs, 1e-2)
    plain, targets = learn.get_preds()
    averaged = learn.TTA(scale=1.1)[0]
    right, right_averaged = ((preds.argmax(1) == targets).numpy() for preds in (plain, averaged))
    return float(right.mean()), float(right_averaged.mean())


def main(argv: list[str] | None = None) -> None:
    """Print a table of accuracies."""
    parser = argparse.ArgumentParser(description="Compare lists of transforms.")
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--epochs", type=int, default=30, help="of each fit (default: 30)")
    args, start = parser.parse_args(argv), perf_counter()
    if min(args.seeds, args.epochs) < 1:
        parser.error("--seeds and --epochs are at least 1")
    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 8, 8).astype(np.float32)
    print(f"Accuracy on {OTHERS} other images, mean and spread of {args.seeds} seeds")
    print(f"{'images per class':>16}  {'transforms':<14}{'accuracy':>16}{'with TTA':>16}"
          f"{'gain in points':>20}")
    for n in LABELS:
        base: Array | None = None
        for name, tfms in TRANSFORMS.items():
            found = np.array([accuracies(data(x, y, n, seed, tfms), seed, args.epochs)
                              for seed in range(args.seeds)])
            base = found[:, 0] if base is None else base
            cells = "".join(f"{a.mean():>8.3f} +- {a.std():.3f}" for a in found.T)
            print(f"{n:>16}  {name:<14}{cells}{gain(found[:, 0] - base):>20}", flush=True)
    print(f"Gain: over the same network without transforms, with its standard error.\n"
          f"{perf_counter() - start:.0f} s in total.")


def gain(differences: Array) -> str:
    """Return mean and standard error of differences (seeds,), in percentage points."""
    if len(differences) < 2 or not differences.any():
        return f"{100 * differences.mean():+.1f}"
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return f"{100 * differences.mean():+.1f} +- {100 * error:.1f}"


if __name__ == "__main__":
    main()
