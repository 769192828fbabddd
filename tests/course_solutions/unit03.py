"""Answers to unit 3."""
from minifast.course.replace import source_of

TAPE = "minifast.autograd.tape"
SOURCE = source_of(TAPE)
BODY = SOURCE[SOURCE.index("    if g.dtype != x.dtype:\n"):SOURCE.index("def _own")]

SOLUTIONS = {
    "axis by axis": (TAPE, BODY, '''    g = g.astype(x.dtype, copy=False)
    if g.shape == x.shape:
        return g
    wanted = x.shape
    result = g
    while result.ndim > len(wanted):
        result = result.sum(0)
    for axis, n in enumerate(wanted):
        if n == 1 and result.ndim == len(wanted):
            result = result.sum(axis, keepdims=True)
    if result.shape != wanted:
        raise ShapeError("no")
    return result


'''),
    "by add.at": (TAPE, BODY, '''    import numpy as np
    g = g.astype(x.dtype, copy=False)
    if g.shape == x.shape:
        return g
    total = np.zeros(x.shape, x.dtype)
    places = np.arange(total.size).reshape(x.shape)
    try:
        if np.broadcast_shapes(x.shape, g.shape) != g.shape:
            raise ValueError
        places = np.broadcast_to(places, g.shape)
    except ValueError:
        raise ShapeError("these shapes do not fit") from None
    flat = total.reshape(-1)
    np.add.at(flat, places.ravel(), g.ravel())
    return flat.reshape(x.shape)


'''),
    "by einsum": (TAPE, BODY, '''    import numpy as np
    g = g.astype(x.dtype, copy=False)
    if g.shape == x.shape:
        return g
    shape = (1,) * (g.ndim - len(x.shape)) + tuple(x.shape)
    if len(shape) != g.ndim or any(a not in (1, b) for a, b in zip(shape, g.shape)):
        raise ShapeError("these shapes do not fit")
    letters = "abcdefgh"[:g.ndim]
    kept = "".join(c for c, n in zip(letters, shape) if n != 1)
    return np.einsum(f"{letters}->{kept}", g).reshape(x.shape)


''')}

WRONG = {
    "empty body": (TAPE, BODY, "    pass\n\n\n"),
    "None": (TAPE, BODY, "    return None\n\n\n"),
    "as it came": (TAPE, BODY, "    return g\n\n\n"),
    "zeros": (TAPE, BODY, "    import numpy as np\n    return np.zeros(x.shape, x.dtype)\n\n\n"),
    "in place": (TAPE, BODY, '''    if g.shape == x.shape and g.dtype == x.dtype:
        return g
    added = g.ndim - len(x.shape)
    stretched = [added + i for i, n in enumerate(x.shape) if n == 1]
    if added < 0:
        raise ShapeError("no")
    total = g.sum(axis=(*range(added), *stretched), keepdims=True).astype(x.dtype)
    g *= 0
    if total.shape[added:] != x.shape:
        raise ShapeError("no")
    return total.reshape(x.shape)


'''),
    "without the check": (TAPE, BODY, '''    g = g.astype(x.dtype, copy=False)
    if g.shape == x.shape:
        return g
    added = g.ndim - len(x.shape)
    stretched = [added + i for i, n in enumerate(x.shape) if n == 1]
    return g.sum(axis=(*range(max(added, 0)), *stretched), keepdims=True)[0]


'''),
    "last axes instead of first": (TAPE, BODY, '''    g = g.astype(x.dtype, copy=False)
    if g.shape == x.shape:
        return g
    while g.ndim > len(x.shape):
        g = g.sum(-1)
    if g.shape != x.shape:
        raise ShapeError("no")
    return g


'''),
    "ends Python": (TAPE, BODY, "    raise SystemExit\n\n\n"),
    "an attribute": (TAPE, BODY, "    return g.of_shape(x.shape)\n\n\n")}
