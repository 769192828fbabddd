"""All parameters in one array, and the optimizers' steps on it, chunk by chunk."""
from collections.abc import Iterator, Mapping

import numpy as np

from ..job import Array, Job

WHOLE, STRETCH = 1 << 17, 1 << 15
"""Most parameters in a chunk: with their gradients and state they fit into a core's cache."""


class Flat:
    """Parameters end to end in one array; ``data`` and ``grad`` are views by name."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        ends = [a.reshape(-1) for a in arrays.values()]
        self.all = np.concatenate(ends) if len(ends) > 1 else ends[0]
        self.all_grad = np.zeros_like(self.all)
        self.data, self.grad, start = {}, {}, 0
        for name, a in arrays.items():
            place = slice(start, start := start + a.size)
            self.data[name] = self.all[place].reshape(a.shape)
            self.grad[name] = self.all_grad[place].reshape(a.shape)


class Stepper:
    """An optimizer on a flat array."""

    def __init__(self, flat: Flat, job: Job) -> None:
        self.job, self.steps = job, 0
        self.arrays = flat.all, flat.all_grad, *(np.zeros_like(flat.all) for _ in range(2))
        n = len(flat.all)
        self.stretch = n if n <= WHOLE else STRETCH
        self.scratch = np.empty(self.stretch, np.float32)

    def stretches(self) -> Iterator[tuple[Array, ...]]:
        """Yield parameters, gradient, two kinds of state and scratch memory, chunk by chunk."""
        n = len(self.arrays[0])
        for start in range(0, n, self.stretch):
            yield *(a[start:start + self.stretch] for a in self.arrays), self.scratch[:n - start]

    def step(self) -> None:
        """Update all parameters."""
        self.steps += 1
        for stretch in self.stretches():
            self.update(*stretch)

    def update(self, p: Array, g: Array, m: Array, v: Array, t: Array) -> None:
        """Update a chunk."""
        raise NotImplementedError


class AdamW(Stepper):
    """AdamW: Loshchilov and Hutter 2019, algorithm 2."""

    def update(self, p: Array, g: Array, m: Array, v: Array, t: Array) -> None:
        """Apply the decay, update both averages, and make the step.

        The averages are kept without their factors 1 - mom and 1 - beta, which go into the step.
        The gradient serves as scratch memory.
        """
        job = self.job
        root = ((1 - job.beta ** self.steps) / (1 - job.beta)) ** .5
        p *= 1 - job.lr * job.wd
        m *= job.mom
        m += g
        g *= g
        v *= job.beta
        v += g
        np.sqrt(v, out=t)
        t += 1e-8 * root
        np.divide(m, t, out=t)
        t *= job.lr * (1 - job.mom) * root / (1 - job.mom ** self.steps)
        p -= t


class SGD(Stepper):
    """SGD with momentum."""

    def update(self, p: Array, g: Array, m: Array, v: Array, t: Array) -> None:
        """Update a chunk. The second kind of state is not used, and so costs no memory."""
        if self.job.wd:
            p *= 1 - self.job.lr * self.job.wd
        m *= self.job.mom
        m += g
        p -= np.multiply(m, self.job.lr, out=t)


OPTIMIZERS: dict[str, type[Stepper]] = {"AdamW": AdamW, "SGD": SGD}
