"""Unit 5: other right answers, and wrong ones. Name: (module, the library's text, theirs)."""
OPS, LOSSES = "minifast.autograd.ops", "minifast.nn.losses"

LOG = """    shifted = a - a.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
"""
RULE = """    one_hot = np.arange(a.shape[1], like=target) == target[:, None]
    return (np.exp(_log_softmax(a)) - one_hot) * g[:, None]
"""
CROSS = "    return -_log_softmax(a)[np.arange(len(target), like=target), target]\n"
SQUARED_RULES = """
@primitive(lambda g, y, pred, target: (pred - target) * (g * (2 / max(prod(pred.shape), 1))),
           lambda g, y, pred, target: (target - pred) * (g * (2 / max(prod(pred.shape), 1))))
"""
SQUARED = """    difference = (pred - target).reshape(-1)
    return difference @ difference / difference.size
"""
BINARY_RULES = """@primitive(lambda g, y, a, target: g * (sigmoid(a) - target),
           lambda g, y, a, target: -g * a)
def binary_cross_entropy("""
BINARY = "    return np.maximum(a, 0) - a * target + np.log1p(np.exp(-np.abs(a)))\n"
SOFTMAX = """    e = (x - x.detach().max(axis, keepdims=True)).exp()
    return e / e.sum(axis, keepdims=True)
"""

SOLUTIONS = {
    "log-softmax in two lines": (OPS, LOG, """    b = a - np.max(a, -1)[..., None]
    return b - np.log(np.sum(np.exp(b), -1))[..., None]
"""),
    "log-softmax with log-add-exp": (OPS, LOG, """    low = a - a.max(-1, keepdims=True)
    return low - np.logaddexp.reduce(low, axis=-1, keepdims=True)
"""),
    "rule in place of a copy": (OPS, RULE, """    p = np.exp(_log_softmax(a))
    p[np.arange(len(a)), target] -= 1
    return p * g.reshape(-1, 1)
"""),
    "rule with a softmax of its own": (OPS, RULE, """    e = np.exp(a - a.max(1, keepdims=True))
    one_hot = np.eye(a.shape[1], dtype=a.dtype)[target]
    return g[:, np.newaxis] * (e / e.sum(1, keepdims=True) - one_hot)
"""),
    "cross entropy by take_along_axis": (OPS, CROSS, """    picked = np.take_along_axis(
        _log_softmax(a), target[:, None].astype(np.int64), axis=1)
    return -picked[:, 0]
"""),
    "cross entropy by its own formula": (OPS, CROSS, """    low = a - a.max(axis=1, keepdims=True)
    return np.log(np.exp(low).sum(axis=1)) - low[np.arange(len(a)), target]
"""),
    "squared error as a mean": (OPS, SQUARED, "    return np.mean((pred - target) ** 2)\n"),
    "rules of the squared error": (OPS, SQUARED_RULES, """
@primitive(
    lambda g, y, pred, target: 2 * g * (pred - target) / np.size(pred),
    lambda g, y, pred, target: -2 * g * (pred - target) / np.size(pred))
"""),
    "binary by softplus": (OPS, BINARY, "    return np.logaddexp(0, a) - a * target\n"),
    "binary by cases": (OPS, BINARY, """    small = np.exp(-np.abs(a))
    return np.where(a > 0, a * (1 - target), -a * target) + np.log1p(small)
"""),
    "binary rules": (OPS, BINARY_RULES, """def _by_score(g, y, a, target):
    e = np.exp(-np.abs(a))
    return (np.where(a >= 0, 1, e) / (1 + e) - target) * g


@primitive(_by_score, lambda g, y, a, target: -(a * g))
def binary_cross_entropy("""),
    "softmax from its logarithm": (LOSSES, SOFTMAX, """
    low = x - x.max(axis, keepdims=True).detach()
    return (low - low.exp().sum(axis, keepdims=True).log()).exp()
"""),
    "softmax with the gradient of the maximum": (LOSSES, SOFTMAX, """
    e = (x - x.max(axis, keepdims=True)).exp()
    return e / e.sum(axis=axis, keepdims=True)
"""),
}

WRONG = {
    "log: None": (OPS, LOG, "    return None\n"),
    "log: no keepdims": (OPS, LOG, "    return a - np.log(np.exp(a).sum(-1))\n"),
    "log: first axis": (OPS, LOG, LOG.replace("-1", "0")),
    "log: second axis": (OPS, LOG, LOG.replace("-1", "1")),
    "log: in place": (OPS, LOG, """    a -= a.max(axis=-1, keepdims=True)
    return a - np.log(np.exp(a).sum(axis=-1, keepdims=True))
"""),
    "log: shifted by the mean": (OPS, LOG, LOG.replace("a.max(", "a.mean(")),
    "log: shifted by the minimum": (OPS, LOG, LOG.replace("a.max(", "a.min(")),
    "log: clipped": (OPS, LOG, """    a = np.clip(a, -700, 700)
    return a - np.log(np.exp(a).sum(axis=-1, keepdims=True))
"""),
    "log: log of softmax": (OPS, LOG, """    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return np.log(e / e.sum(axis=-1, keepdims=True))
"""),
    "log: with an epsilon": (OPS, LOG, """    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return np.log(e / e.sum(axis=-1, keepdims=True) + 1e-8)
"""),
    "log: digits lost": (OPS, LOG, """    m = a.max(axis=-1, keepdims=True)
    return a - (m + np.log(np.exp(a - m).sum(axis=-1, keepdims=True)))
"""),
    "log: softmax": (OPS, LOG, """    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
"""),
    "log: base 2": (OPS, LOG, LOG.replace("np.log(", "np.log2(")),
    "log: float64": (OPS, LOG, LOG.replace("a - a", "a.astype(float) - a")),
    "rule: None": (OPS, RULE, "    return None\n"),
    "rule: softmax alone": (OPS, RULE, "    return np.exp(_log_softmax(a)) * g[:, None]\n"),
    "rule: log-softmax minus one hot": (OPS, RULE, RULE.replace("np.exp(_log_softmax(a))",
                                                                "_log_softmax(a)")),
    "rule: mean inside": (OPS, RULE, RULE.replace("* g[:, None]", "* g[:, None] / len(a)")),
    "rule: one g for all": (OPS, RULE, RULE.replace("* g[:, None]", "* g.mean()")),
    "rule: in place of g": (OPS, RULE, RULE.replace("    return", "    g *= 1.5\n    return")),
    "rule: shape of the losses": (OPS, RULE, "    return g * (np.exp(-y) - 1)\n"),
    "rule: of the loss": (OPS, RULE, """
    one_hot = np.arange(a.shape[1], like=target) == target[:, None]
    return (np.exp(-y)[:, None] - one_hot) * g[:, None]
"""),
    "rule: overflows": (OPS, RULE, """    e = np.exp(a)
    one_hot = np.arange(a.shape[1], like=target) == target[:, None]
    return (e / e.sum(1, keepdims=True) - one_hot) * g[:, None]
"""),
    "cross: None": (OPS, CROSS, "    return None\n"),
    "cross: mean": (OPS, CROSS, CROSS.rstrip() + ".mean()\n"),
    "cross: sign": (OPS, CROSS, CROSS.replace("-_log", "_log")),
    "cross: all rows": (OPS, CROSS, "    return -_log_softmax(a)[:, target]\n"),
    "cross: column": (OPS, CROSS, "    return -np.take_along_axis(_log_softmax(a), "
                      "target[:, None].astype(int), axis=1)\n"),
    "cross: largest class": (OPS, CROSS, "    return -_log_softmax(a).max(axis=-1)\n"),
    "cross: log of probability": (OPS, CROSS, """    p = np.exp(_log_softmax(a))
    return -np.log(p[np.arange(len(target)), target] + 1e-12)
"""),
    "cross: scores changed": (OPS, CROSS, """    a[...] = _log_softmax(a)
    return -a[np.arange(len(target)), target]
"""),
    "squared: None": (OPS, SQUARED, "    return None\n"),
    "squared: sum": (OPS, SQUARED, "    return ((pred - target) ** 2).sum()\n"),
    "squared: rows": (OPS, SQUARED, "    return ((pred - target) ** 2).sum() / len(pred)\n"),
    "squared: root": (OPS, SQUARED, "    return np.mean((pred - target) ** 2) ** .5\n"),
    "squared: absolute": (OPS, SQUARED, "    return np.abs(pred - target).mean()\n"),
    "squared: half": (OPS, SQUARED, "    return ((pred - target) ** 2).mean() / 2\n"),
    "squared: in place": (OPS, SQUARED, "    pred -= target\n    return (pred * pred).mean()\n"),
    "squared: each element": (OPS, SQUARED, "    return (pred - target) ** 2\n"),
    "squared rule: no factor 2": (OPS, SQUARED_RULES, SQUARED_RULES.replace("2 /", "1 /")),
    "squared rule: rows": (OPS, SQUARED_RULES, SQUARED_RULES.replace(
        "prod(pred.shape)", "len(pred) if pred.ndim else 1")),
    "squared rule: no g": (OPS, SQUARED_RULES, SQUARED_RULES.replace("g * (2", "(2")),
    "squared rule: targets without": (OPS, SQUARED_RULES, SQUARED_RULES.replace(
        "lambda g, y, pred, target: (target - pred) * (g * (2 / max(prod(pred.shape), 1)))",
        "None")),
    "binary: None": (OPS, BINARY, "    return None\n"),
    "binary: clipped": (OPS, BINARY, """    p = np.clip(sigmoid(a), 1e-7, 1 - 1e-7)
    return -target * np.log(p) - (1 - target) * np.log(1 - p)
"""),
    "binary: softplus overflows": (OPS, BINARY, "    return np.log1p(np.exp(a)) - a * target\n"),
    "binary: mean": (OPS, BINARY, BINARY.replace("return ", "return (").rstrip() + ").mean()\n"),
    "binary: whole targets": (OPS, BINARY, BINARY.replace("* target", "* (target > .5)")),
    "binary: sign": (OPS, BINARY, BINARY.replace("- a * target", "+ a * target")),
    "binary: on probabilities": (OPS, BINARY,
                                 "    return -target * np.log(np.abs(a) + 1e-9) - (1 - target) * "
                                 "np.log(np.abs(1 - a) + 1e-9)\n"),
    "binary: in place": (OPS, BINARY, """    loss = np.maximum(a, 0) - a * target
    np.abs(a, out=a)
    return loss + np.log1p(np.exp(-a))
"""),
    "binary rule: slope of sigmoid": (OPS, BINARY_RULES, BINARY_RULES.replace(
        "(sigmoid(a) - target)", "(sigmoid(a) - target) * sigmoid(a) * (1 - sigmoid(a))")),
    "binary rule: score for probability": (OPS, BINARY_RULES, BINARY_RULES.replace(
        "sigmoid(a) - target", "a - target")),
    "binary rule: target's sign": (OPS, BINARY_RULES, BINARY_RULES.replace("-g * a", "g * a")),
    "binary rule: overflows": (OPS, BINARY_RULES, BINARY_RULES.replace(
        "sigmoid(a)", "np.exp(a) / (1 + np.exp(a))")),
    "softmax: None": (LOSSES, SOFTMAX, "    return None\n"),
    "softmax: last axis": (LOSSES, SOFTMAX, SOFTMAX.replace("axis,", "-1,")),
    "softmax: no keepdims": (LOSSES, SOFTMAX, SOFTMAX.replace(", keepdims=True)\n", ")\n")),
    "softmax: history lost": (LOSSES, SOFTMAX, SOFTMAX.replace("x - x", "x.detach() - x")),
    "softmax: sum cut off": (LOSSES, SOFTMAX, SOFTMAX.replace(
        "e.sum(axis, keepdims=True)", "e.sum(axis, keepdims=True).detach()")),
    "softmax: sigmoid": (LOSSES, SOFTMAX, "    return x.sigmoid()\n"),
    "softmax: one maximum": (LOSSES, SOFTMAX, SOFTMAX.replace("max(axis, keepdims=True)", "max()")),
}
