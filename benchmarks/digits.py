"""Accuracy and time of a small residual network on handwritten digits.

    python -m benchmarks.digits

A ``resnet10`` on scikit-learn's 1797 digits of 8 x 8 pixels: four fifths to train on, one to test,
ten epochs of one-cycle. Each seed has its own split and initial weights.
"""
import argparse
from time import perf_counter

import numpy as np
from sklearn.datasets import load_digits

from minifast.metrics import accuracy
from minifast.train import Learner
from minifast.vision import ImageDataBunch, resnet10

from .machine import machine, versions

LR = 1e-2


def run(seed: int, epochs: int) -> tuple[float, float]:
    """Return the accuracy on the test images, and the seconds of training and validation."""
    x, y = load_digits(return_X_y=True)
    images = (x / 16).reshape(-1, 8, 8).astype(np.float32)
    data = ImageDataBunch.from_arrays(images, y, valid_pct=.2, seed=seed, device="cpu")
    learn = Learner(data, resnet10(n_in=1, n_out=10, seed=seed), metrics=[accuracy])
    start = perf_counter()
    with learn.no_logging():
        learn.fit_one_cycle(epochs, LR)
    seconds = perf_counter() - start
    return float(learn.validate()[1]), seconds


def main(argv: list[str] | None = None) -> None:
    """Print a line for each seed, then the mean."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args(argv)
    print(f"{machine('cpu')}\n{versions()}\n")
    results = []
    for seed in range(args.seeds):
        results.append(run(seed, args.epochs))
        print("seed {}: accuracy {:.4f} in {:.1f} s".format(seed, *results[-1]), flush=True)
    accuracies, seconds = np.array(results).T
    print(f"mean: accuracy {accuracies.mean():.4f} (spread {accuracies.std():.4f}), "
          f"{seconds.mean():.1f} s a seed")


if __name__ == "__main__":
    main()
