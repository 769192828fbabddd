"""Record Hessian-vector products of every operation with torch, for tests/test_second.py.

Needs torch (run once; the tests do not).

    python tests/golden/record_hvp.py
"""
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

sys.path.insert(0, str(Path(__file__).parents[1]))
from hvp import IDS, SHAPES, arrays, products, weights

OPS = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "pow": torch.pow,
    "pow, 3": lambda a: a ** 3, "neg": torch.neg, "maximum": torch.maximum,
    "minimum": torch.minimum, "where": lambda a, b: torch.where(a > 1, a, b), "exp": torch.exp,
    "log": torch.log, "sqrt": torch.sqrt, "abs": lambda a: torch.abs(a - 1), "tanh": torch.tanh,
    "relu": lambda a: torch.relu(a - 1), "sigmoid": torch.sigmoid,
    "sigmoid_range": lambda a: torch.sigmoid(a) * 4.5 + 1, "clip": lambda a: a.clamp(.6, 1.2),
    "sum": torch.sum, "sum, axis": lambda a: a.sum(-2), "mean": torch.mean,
    "mean, axes": lambda a: a.mean((0, -1), keepdim=True), "var": torch.var,
    "std, axis": lambda a: a.std(0), "max": torch.amax, "max, axis": lambda a: a.amax(-1),
    "min, axis": lambda a: a.amin(0), "reshape": lambda a: a.reshape(2, 6),
    "transpose": lambda a: a.permute(2, 0, 1), "broadcast_to": lambda a: a.expand(3, 4),
    "concatenate": lambda a, b: torch.cat([a, b], -1), "getitem, slices": lambda a: a[1:, ::2],
    "getitem, repeated": lambda a: a[[1, 1, 0]],
    "lookup": lambda a: F.embedding(torch.tensor(IDS), a),
    "matmul": torch.matmul, "matmul, stacks": torch.matmul, "matmul, vectors": torch.matmul,
    "matmul, a vector": torch.matmul, "linear": F.linear,
    "softmax": lambda a: torch.softmax(a, 0),
    "cross_entropy": lambda a: F.cross_entropy(a, torch.tensor(IDS), reduction="none"),
    "mean_squared_error": F.mse_loss,
    "binary_cross_entropy": lambda a, b: F.binary_cross_entropy_with_logits(a, b, reduction="none"),
    "batch_norm": lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
    "batch_norm, images": lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
    "conv2d": lambda x, w, b: F.conv2d(x, w, b, (2, 1), (0, 1)),
    "max_pool2d": lambda x: F.max_pool2d(x, (3, 2), (2, 1)),
    "avg_pool2d": lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (0, 1)),
}


def main() -> None:
    recorded = {}
    for name in SHAPES:
        inputs, directions = ([torch.tensor(x) for x in xs] for xs in arrays(name))
        for x in inputs:
            x.requires_grad_()
        found = products(OPS[name], torch.autograd.grad, inputs, directions,
                         lambda shape: torch.tensor(weights(shape)))
        recorded[name] = np.concatenate([h.numpy().ravel() for h in found])
    np.savez_compressed(Path(__file__).with_name("hvp.npz"), **recorded)


if __name__ == "__main__":
    main()
