"""Answers to unit 10."""
from minifast.course.replace import source_of

NORM, GRU, ATTENTION = (f"minifast.sequences.{name}" for name in ("norm", "gru", "attention"))


def part(module: str, start: str, end: str) -> str:
    """The text of a module from one place to just before another."""
    source = source_of(module)
    return source[source.index(start):source.index(end, source.index(start))]


RULES = part(NORM, "def _input_gradient", "@primitive(")
STANDARDIZE = part(NORM, "    centred = x", "def _input_gradient")
FORWARD = "    return standardize(x, eps)[0] * weight + bias\n"
WEIGHT_RULE = "g * standardize(x, eps)[0],"
CELL = part(GRU, "    n = h.shape[1]\n", "class GRUCell")
ATTEND = part(ATTENTION, "    *front, length, width = q.shape\n", "class CausalSelfAttention")
GRADIENT = "def _input_gradient(g, y, x, weight, bias, eps):\n"

SOLUTIONS = {
    "norm in three sums": (NORM, RULES, GRADIENT + '''    n = x.shape[-1]
    mean = x.sum(axis=-1, keepdims=True) / n
    sd = np.sqrt(((x - mean) ** 2).sum(axis=-1, keepdims=True) / n + eps)
    a = g * weight
    total = a.sum(axis=-1, keepdims=True)
    with_x = (a * (x - mean)).sum(axis=-1, keepdims=True)
    return a / sd - total / (n * sd) - (x - mean) * with_x / (n * sd ** 3)


'''),
    "norm by a matrix": (NORM, RULES, GRADIENT + '''    z, scale = standardize(x, eps)
    n = x.shape[-1]
    jacobian = np.eye(n) - 1 / n - z[..., :, None] * z[..., None, :] / n
    return ((g * weight)[..., None, :] @ jacobian)[..., 0, :] * scale


'''),
    "norm by NumPy's variance": (NORM, FORWARD, '''\
    sd = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    return weight * (x - x.mean(axis=-1, keepdims=True)) / sd + bias
'''),
    "gates one by one": (GRU, CELL, '''    n = h.shape[1]
    a, b = x @ weight_ih.T + bias_ih, h @ weight_hh.T + bias_hh
    r = (a[:, 0:n] + b[:, 0:n]).sigmoid()
    z = (a[:, n:2 * n] + b[:, n:2 * n]).sigmoid()
    c = (a[:, 2 * n:] + r * b[:, 2 * n:]).tanh()
    return (1 - z) * c + z * h


'''),
    "weights cut first": (GRU, CELL, '''    n = h.shape[1]
    blocks = [slice(i * n, (i + 1) * n) for i in range(3)]
    a = [x @ weight_ih[s].T + bias_ih[s] for s in blocks]
    b = [h @ weight_hh[s].T + bias_hh[s] for s in blocks]
    r, z = 1 / (1 + (-(a[0] + b[0])).exp()), (a[1] + b[1]).sigmoid()
    return z * h + (1 - z) * (a[2] + b[2] * r).tanh()


'''),
    "attention with a mask that is added": (ATTENTION, ATTEND, '''    length, width = q.shape[-2:]
    axes = [*range(q.ndim)]
    axes[-2:] = axes[-1], axes[-2]
    later = np.triu(np.full((length, length), -np.inf, q.dtype), 1)
    return softmax(q @ k.transpose(*axes) / sqrt(width) + later) @ v


'''),
    "attention position by position": (ATTENTION, ATTEND, '''    from ..autograd import cat
    rows, width = [], q.shape[-1]
    if k.shape[-1] != width or v.shape[-2] != q.shape[-2]:
        raise ShapeError("these shapes do not fit")
    for i in range(q.shape[-2]):
        scores = (q[..., i:i + 1, :] * k[..., :i + 1, :]).sum(-1) / sqrt(width)
        e = (scores - scores.max(-1, keepdims=True).detach()).exp()
        weights = e / e.sum(-1, keepdims=True)
        rows.append((weights.reshape(*weights.shape, 1) * v[..., :i + 1, :]).sum(-2,
                                                                              keepdims=True))
    return cat(rows, -2)


''')}

WRONG = {
    "norm: None": (NORM, FORWARD, "    return None\n"),
    "norm: divided by n - 1": (NORM, STANDARDIZE, '''\
    centred = x - x.mean(axis=-1, keepdims=True)
    n = x.shape[-1]
    scale = 1 / np.sqrt((centred * centred).sum(axis=-1, keepdims=True) / (n - 1) + eps)
    return centred * scale, scale


'''),
    "norm: over all axes": (NORM, STANDARDIZE, '''    centred = x - x.mean()
    scale = 1 / np.sqrt((centred * centred).mean() + eps)
    return centred * scale, scale


'''),
    "norm: in place": (NORM, STANDARDIZE, '''    x -= x.mean(axis=-1, keepdims=True)
    scale = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    return x * scale, scale


'''),
    "norm: mean and variance as constants": (NORM, RULES, GRADIENT + '''    return (
        g * weight * standardize(x, eps)[1])


'''),
    "norm: weight forgotten in the gradient": (NORM, RULES, GRADIENT + '''\
    z, scale = standardize(x, eps)
    along_z = (g * z).mean(axis=-1, keepdims=True)
    return (g - g.mean(axis=-1, keepdims=True) - z * along_z) * scale


'''),
    "norm: x in the place of z": (NORM, WEIGHT_RULE, "g * x,"),
    "norm: a sum too many": (NORM, WEIGHT_RULE, "(g * standardize(x, eps)[0]).sum(0),"),
    "cell: None": (GRU, CELL, "    return None\n\n\n"),
    "cell: wrong shape": (GRU, CELL, "    return h[:1]\n\n\n"),
    "cell: the old state": (GRU, CELL, "    return h * 1\n\n\n"),
    "cell: plain recurrence": (GRU, CELL, '''    n = h.shape[1]
    a = apply(ops.linear, x, weight_ih, bias_ih) + apply(ops.linear, h, weight_hh, bias_hh)
    return a[:, 2 * n:].tanh()


'''),
    "cell: state overwritten": (GRU, CELL, '''    n = h.shape[1]
    a, b = x @ weight_ih.T + bias_ih, h @ weight_hh.T + bias_hh
    gates = (a[:, :2 * n] + b[:, :2 * n]).sigmoid()
    c = (a[:, 2 * n:] + gates[:, :n] * b[:, 2 * n:]).tanh()
    new = c + gates[:, n:] * (h - c)
    h.data[...] = new.data
    return new


'''),
    "cell: arrays cut the graph": (GRU, CELL, '''    n = h.shape[1]
    a, b = x @ weight_ih.T + bias_ih, h @ weight_hh.T + bias_hh
    r = Tensor((a[:, :n] + b[:, :n]).sigmoid().data)
    z = (a[:, n:2 * n] + b[:, n:2 * n]).sigmoid()
    c = (a[:, 2 * n:] + r * b[:, 2 * n:]).tanh()
    return c + z * (h - c)


'''),
    "attention: None": (ATTENTION, ATTEND, "    return None\n\n\n"),
    "attention: mean of the past": (ATTENTION, ATTEND, '''    n = v.shape[-2]
    return Tensor(np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]) @ v


'''),
    "attention: masked after the softmax": (ATTENTION, ATTEND, '''\
    *front, length, width = q.shape
    n = len(front)
    weights = softmax(q @ k.transpose(*range(n), n + 1, n) * (1 / sqrt(width)))
    position = np.arange(length)
    return where(position <= position[:, None], weights, 0) @ v


'''),
    "attention: masked with -10": (ATTENTION, "scores, -np.inf)", "scores, -10)"),
    "attention: softmax over the queries": (ATTENTION, "-np.inf)) @ v", "-np.inf), axis=-2) @ v"),
    "attention: width of all heads": (ATTENTION, "(1 / sqrt(width))",
                                      "(1 / sqrt(width * (front or [1])[-1]))"),
    "attention: infinity times zero": (ATTENTION, "where(position <= position[:, None], scores, "
                                       "-np.inf)", "scores + (position > position[:, None]) * "
                                       "-np.inf"),
    "attention: naive softmax": (ATTENTION, ATTEND, '''    *front, length, width = q.shape
    n = len(front)
    e = (q @ k.transpose(*range(n), n + 1, n) * (1 / sqrt(width))).exp()
    e = e * Tensor(np.tril(np.ones((length, length), e.dtype)))
    return e / e.sum(-1, keepdims=True) @ v


''')}
