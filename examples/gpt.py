"""Train a small transformer on the characters of a text, and let it write.

At each position the network looks at all characters before it (causal attention) and learns to
guess the next one. Its bits per character on the last tenth of the text, which it never learns
from, are compared with those of two models that only count. The text comes with the course.

    python examples/gpt.py --epochs 10
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter
from typing import Any, NoReturn

import numpy as np

from minifast import DeviceError, Tensor
from minifast.backend import default_device, generator, get_backend
from minifast.nn import Embedding, Linear, Module, Parameter, Sequential, normal_
from minifast.sequences import (
    CharDataBunch,
    LayerNorm,
    TransformerBlock,
    bits_per_character,
    frequency_bits,
    generate,
)
from minifast.train import Learner

TEXT = Path(__file__).parents[1] / "course" / "text.txt"
LENGTH, STEP, BS = 64, 12, 32  # characters in a window and between two windows; windows in a batch
WIDTH, HEADS, LAYERS, DROPOUT = 64, 4, 2, .2
LR, WD, TEMPERATURE = 1e-2, .1, .7


class GPT(Module):
    """Characters (bs, length) to scores of the characters after them (bs, length, n)."""

    def __init__(self, n: int, length: int, width: int, heads: int, layers: int, p: float,
                 seed: int) -> None:
        rng = generator(seed)
        self.embed = Embedding(n, width, rng)
        normal_(self.embed.weight, std=.1, seed=rng)  # with 1 a block has little to say at first
        self.position = normal_(Parameter(np.empty((length, width), np.float32)), std=.1, seed=rng)
        self.blocks = Sequential(*(TransformerBlock(width, heads, p=p, seed=rng)
                                   for _ in range(layers)))
        self.norm = LayerNorm(width)
        self.out = Linear(width, n, seed=rng)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.position[:ids.shape[1]]
        scores: Tensor = self.out(self.norm(self.blocks(x)))
        return scores


# ---------------------------------------------------------------- the command line


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: object) -> NoReturn:
    """Print one line to stderr and exit with status 1."""
    sys.exit(f"gpt.py: {' '.join(str(message).split())}")


def at_least(least: int) -> Any:
    """Return an argument type for integers of at least ``least``."""
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {least}")
        return int(text)
    return number


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="gpt.py", description="Train a transformer on a text.")
    parser.add_argument("--epochs", type=at_least(1), default=10, help="(default: 10)")
    parser.add_argument("--text", type=Path, default=TEXT, help="a text file (default: the text "
                        "of the course)")
    parser.add_argument("--start", default="The ", help="the beginning of the sample")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where it works, else cpu)")
    parser.add_argument("--seed", type=at_least(0), default=42,
                        help="seed for weights, batches and samples (default: 42)")
    return parser.parse_args(argv)


def read(file: Path) -> str:
    """Return the text of a file, without line ends within a paragraph."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read --text {file}: {getattr(error, 'strerror', None) or error}")
    return "\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


# ---------------------------------------------------------------- the example


def make_learner(text: str, args: argparse.Namespace) -> tuple[Learner, CharDataBunch]:
    """Return a learner for a text, and its data."""
    device = get_backend(args.device or default_device()).name
    data = CharDataBunch.from_text(text, LENGTH, bs=BS, step=STEP, seed=args.seed, device=device)
    model = GPT(len(data.classes), LENGTH, WIDTH, HEADS, LAYERS, DROPOUT, args.seed)
    return Learner(data, model.to(device), wd=WD, metrics=[bits_per_character]), data


def report(learn: Learner, data: CharDataBunch) -> None:
    """Compare the model with two that count, in bits per character and perplexity."""
    print("\n== Bits per character on the validation part, and perplexity (2 to this power)")
    n = len(data.classes)
    bits = {"frequencies of characters": frequency_bits(data.train_ids, data.valid_ids, n),
            "frequencies of pairs": frequency_bits(data.train_ids, data.valid_ids, n, context=1),
            "the network": float(learn.validate()[1])}
    for name, value in bits.items():
        print(f"{name:28}{value:6.3f}{2 ** value:8.2f}")


def main(argv: list[str] | None = None) -> None:
    """Run the example."""
    start, args = perf_counter(), parse(argv)
    try:
        learn, data = make_learner(read(args.text), args)
        generate(learn.model, data, args.start, 1)  # an error here should not wait for training
    except (DeviceError, ValueError) as error:
        fail(error)
    print(f"{len(data.train_ids):,} characters to train on, {len(data.valid_ids):,} to validate "
          f"on, {len(data.classes)} different ones; device {data.device}. The network has "
          f"{sum(p.numel() for p in learn.model.parameters()):,} weights.")
    print(f"\n== Training, one cycle up to {LR:.0e}")
    learn.fit_one_cycle(args.epochs, LR)
    report(learn, data)
    print(f"\n== A sample, at temperature {TEMPERATURE}")
    print(generate(learn.model, data, args.start, 300, LENGTH, TEMPERATURE, args.seed))
    print(f"\n{perf_counter() - start:.1f} s in total.")


if __name__ == "__main__":
    main()
