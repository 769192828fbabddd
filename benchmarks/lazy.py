"""Deferred and dense updates compared: the time of a step, and the distance of the results.

    python -m benchmarks.lazy
    python -m benchmarks.lazy --rows 10000000 --only fast --plot docs/images/lazy.svg

A step of EmbeddingDotBias is forward, backward and the optimizer's step, on batches of 4096
ratings, most of them of popular users and items. The fast path defers updates; the plain path is
dense. torch takes part if it is installed, with its fastest optimizers and one thread. All cases
take turns of fifteen steps, of which ten count, so a busy machine slows all of them.
"""
import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.machine import machine, versions
from minifast import Tensor, device
from minifast.collab import EmbeddingDotBias
from minifast.nn import MSELossFlat, Parameter
from minifast.optim import SGD, Adam, Optimizer
from minifast.train import OneCycleScheduler

ROWS, FACTORS, BS, MOM = (10_000, 100_000, 219_000, 1_000_000), 50, 4096, .9
OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], float, float]] = {
    "SGD": (SGD, .5, 1e-3), "AdamW": (Adam, 5e-3, .1)}
Step = Callable[[int], None]
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def batches(n_users: int, n_items: int, n: int, bs: int) -> list[Batch]:
    """Return users, items and ratings; number k is drawn in proportion to 1 / k."""
    rng = np.random.default_rng(0)

    def ids(n_rows: int) -> np.ndarray:
        drawn = np.exp(rng.random(bs) * np.log(n_rows)).astype(np.int64)
        return (drawn * 7919) % n_rows  # popular rows are not neighbours
    return [(ids(n_users), ids(n_items), (rng.random(bs) * 5).astype(np.float32))
            for _ in range(n)]


def parts(rows: int) -> tuple[int, int]:
    """Return the numbers of users and items: three quarters of the rows, and the rest."""
    return rows * 3 // 4, rows - rows * 3 // 4


def tables(rows: int, factors: int, dtype: Any = np.float32) -> list[np.ndarray]:
    """Return initial weights of users and items, and of their biases."""
    rng = np.random.default_rng(1)
    users, items = parts(rows)
    return [(rng.standard_normal((n, width), np.float32) * np.float32(.1)).astype(dtype, copy=False)
            for n, width in [(users, factors), (items, factors), (users, 1), (items, 1)]]


# ---------------------------------------------------------------- the cases


class FakeLearner(SimpleNamespace):
    """What a scheduler asks of a learner."""


class Minifast:
    """A raw training loop with minifast's model and optimizer, one cycle long.

    ``options`` go to ``fast.accelerate``.
    """

    def __init__(self, rows: int, factors: int, bs: int, steps: int, name: str, is_fast: bool,
                 dtype: Any = np.float32, different: int = 50, eps: float = 1e-8,
                 **options: Any) -> None:
        make, lr, wd = OPTIMIZERS[name]
        self.data = batches(*parts(rows), min(steps, different), bs)
        self.dtype, self.loss_func = dtype, MSELossFlat()
        with device("cpu"):
            self.model = EmbeddingDotBias(1, 1, 1, [0, 5.5])
            for embedding, table in zip(self.model.children(), tables(rows, factors, dtype),
                                        strict=True):
                embedding.weight = Parameter(table)
        more = {"eps": eps} if name == "AdamW" else {}
        self.opt = make([self.model.parameters()], lr=lr, mom=MOM, wd=wd, **more)
        self.learn = FakeLearner(optimizer=self.opt, data=SimpleNamespace(train_dl=range(steps)))
        self.cycle = OneCycleScheduler(self.learn, lr)
        self.cycle.on_train_begin(1, 0)
        self.stack = ExitStack()
        if is_fast:
            from minifast import fast
            self.stack.enter_context(
                fast.accelerate(self.model, self.opt, [self.cycle], **options))

    def step(self, k: int) -> None:
        """Run step number ``k``."""
        users, items, y = self.data[k % len(self.data)]
        pred = self.model(Tensor(users), Tensor(items))
        self.loss_func(pred, Tensor(y.astype(self.dtype))).backward()
        self.opt.step()
        self.opt.zero_grad()
        self.cycle.on_batch_end(True)

    def weights(self) -> np.ndarray:
        """Leave the fast path and return all weights in one array."""
        self.stack.close()
        return np.concatenate([p.numpy().ravel() for p in self.model.parameters()])


def torch_step(rows: int, factors: int, bs: int, steps: int, name: str, variant: str) -> Step:
    """Return the same step by torch."""
    import torch
    torch.set_num_threads(1)
    data = [tuple(map(torch.from_numpy, batch))
            for batch in batches(*parts(rows), min(steps, 50), bs)]
    weights = [torch.from_numpy(t).requires_grad_() for t in tables(rows, factors)]
    _, lr, wd = OPTIMIZERS[name]
    how: dict[str, Any] = {variant: True}
    opt: Any = torch.optim.SGD(weights, lr=lr, momentum=MOM, weight_decay=wd, **how) \
        if name == "SGD" else torch.optim.AdamW(weights, lr=lr, betas=(MOM, .99), weight_decay=wd,
                                                **how)
    lookup = torch.nn.functional.embedding

    def step(k: int) -> None:
        users, items, y = data[k % len(data)]
        u, i, u_bias, i_bias = (lookup(ids, w) for ids, w in
                                zip([users, items, users, items], weights, strict=True))
        z = (u * i).sum(1) + (u_bias + i_bias).squeeze(1)
        torch.nn.functional.mse_loss(torch.sigmoid(z) * 5.5, y).backward()
        opt.step()
        opt.zero_grad()
    return step


def cases(rows: int, factors: int, bs: int, steps: int, name: str, only: str
          ) -> dict[str, Callable[[], Step]]:
    """Return functions that make the cases of one optimizer, by name."""
    ours = {"plain": False, "fast": True}
    made: dict[str, Callable[[], Step]] = {
        f"minifast {form}": partial(_minifast_step, rows, factors, bs, steps, name, is_fast)
        for form, is_fast in ours.items()}
    made |= {f"torch {variant}": partial(torch_step, rows, factors, bs, steps, name, variant)
             for variant in ("fused", "foreach")}
    return {case: make for case, make in made.items() if only in case}


def _minifast_step(*args: Any) -> Step:
    return Minifast(*args).step


# ---------------------------------------------------------------- measuring


def times(rows: int, factors: int, bs: int, steps: int, name: str, only: str) -> dict[str, float]:
    """Return the median milliseconds of a step by case; all take turns."""
    ready: dict[str, Step] = {}
    for case, make in cases(rows, factors, bs, steps * 2, name, only).items():
        try:
            ready[case] = make()
        except ImportError as error:
            print(f"({case}: not installed, {error})")
    seconds: dict[str, list[float]] = {case: [] for case in ready}
    for turn in range(0, steps * 3 // 2, 15):
        for case, step in ready.items():
            took = [_seconds(step, k) for k in range(turn, turn + 15)]
            seconds[case] += took[5:]  # after five, the caches hold what this case needs
    return {case: median(found) * 1e3 for case, found in seconds.items()}


def _seconds(step: Step, k: int) -> float:
    start = perf_counter()
    step(k)
    return perf_counter() - start


def errors(name: str, steps: int = 2500, rows: int = 5000, bs: int = 64) -> dict[str, float]:
    """Return the distance of the weights from a plain float64 run, divided by their norm."""
    def run(is_fast: bool, dtype: Any = np.float32, **options: Any) -> np.ndarray:
        training = Minifast(rows, 16, bs, steps, name, is_fast, dtype, steps, 1e-5, **options)
        for k in range(steps):
            training.step(k)
        return training.weights()
    truth, found = run(False, np.float64), {"plain": run(False)}
    if find_spec("minifast.fast"):
        nodes = (1, 2, 3, 4, 8) if name == "AdamW" else ()
        found["fast"] = run(True)
        found |= {f"fast, {n} nodes": run(True, nodes=n) for n in nodes}
    return {form: float(np.linalg.norm(w - truth) / np.linalg.norm(truth))
            for form, w in found.items()}


# ---------------------------------------------------------------- tables and plot


def lines(found: dict[str, dict[int, dict[str, float]]],
          far: dict[str, dict[str, float]]) -> list[str]:
    """Return the report, in Markdown."""
    text = [machine("cpu"), versions()]
    for name, of_rows in found.items():
        names = list(next(iter(of_rows.values())))
        text += ["", f"{name}, milliseconds a step", "", f"| rows | {' | '.join(names)} |",
                 "|---" * (len(names) + 1) + "|"]
        text += [f"| {rows:,} | {' | '.join(f'{t:.2f}' for t in at.values())} |"
                 for rows, at in of_rows.items()]
    for name, of_form in far.items():
        text += ["", f"{name}, distance from the plain float64 run", "", "| float32 | distance |",
                 "|---|---|", *(f"| {form} | {x:.1e} |" for form, x in of_form.items())]
    return text


def plot(found: dict[str, dict[int, dict[str, float]]], far: dict[str, dict[str, float]],
         path: Path) -> None:
    """Plot the time against the rows for each optimizer, and the errors, in one figure."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    figure = Figure((10, 3.2), layout="constrained")
    axes = figure.subplots(1, len(found) + 1)
    for ax, (name, of_rows) in zip(axes, found.items(), strict=False):
        for case in next(iter(of_rows.values())):
            known = {rows: at[case] for rows, at in of_rows.items() if case in at}
            ax.loglog(list(known), list(known.values()), marker="o", label=case)
        ax.set(title=name, xlabel="rows", ylabel="ms a step")
        ax.legend(fontsize="small")
    bars = {f"{name} {form}": x for name, of_form in far.items() for form, x in of_form.items()}
    axes[-1].barh(list(bars), list(bars.values()))
    axes[-1].set(xscale="log", xlim=(1e-7, 1e-3), title="error against plain float64")
    axes[-1].invert_yaxis()
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "minifast"}):
        figure.savefig(path)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="of both tables together")
    parser.add_argument("--factors", type=int, default=FACTORS, help=f"(default: {FACTORS})")
    parser.add_argument("--bs", type=int, default=BS, help=f"rows in a batch (default: {BS})")
    parser.add_argument("--steps", type=int, default=30, help="of each case that count")
    parser.add_argument("--only", default="", help="cases with this in their name, such as fast")
    parser.add_argument("--errors", type=int, default=2500, help="steps for the errors; 0: none")
    parser.add_argument("--plot", type=Path, help="write a picture there")
    args = parser.parse_args(argv)
    found = {name: {rows: times(rows, args.factors, args.bs, args.steps, name, args.only)
                    for rows in args.rows} for name in OPTIMIZERS}
    far = {name: errors(name, args.errors) for name in OPTIMIZERS} if args.errors else {}
    print("\n".join(lines(found, far)))
    if args.plot:
        plot(found, far, args.plot)


if __name__ == "__main__":
    main()
