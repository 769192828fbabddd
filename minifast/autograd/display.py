"""How a tensor prints: as fastai's notebooks show it, four decimals."""
from typing import Any

import numpy as np


def show_tensor(array: "np.ndarray[Any, Any]", requires_grad: bool = False,
                maker: str = "") -> str:
    """``tensor(-0.3661)``: the text that torch prints for these numbers."""
    body = np.array2string(array, separator=", ", prefix="tensor(", threshold=1000,
                           formatter=_formatter(array))
    return f"tensor({body}{_suffix(array, requires_grad, maker)})"


def _formatter(array: "np.ndarray[Any, Any]") -> Any:
    if array.dtype.kind != "f":
        return None
    finite = np.abs(array[np.isfinite(array)].astype(np.float64))
    nonzero = finite[finite > 0]
    whole = bool((finite == np.floor(finite)).all())
    # torch changes to powers of ten for very large or small numbers, or a very wide range
    if nonzero.size and (nonzero.max() >= 1e8 or (not whole and (
            nonzero.min() < 1e-4 or nonzero.max() / nonzero.min() > 1000))):
        return {"float_kind": lambda x: f"{x:.4e}"}
    style = "{:.0f}." if whole else "{:.4f}"
    texts = [style.format(x) for x in finite] if finite.size <= 1000 else []
    width = max((len(t) for t in texts), default=0) + bool((array < 0).any())
    return {"float_kind": lambda x: _number(x, style).rjust(width if array.ndim else 0)}


def _number(x: float, style: str) -> str:
    return style.format(x) if np.isfinite(x) else str(float(x))


def _suffix(array: "np.ndarray[Any, Any]", requires_grad: bool, maker: str) -> str:
    usual = array.dtype in (np.float32, np.int64, np.bool_)
    parts = [] if usual else [f"dtype={array.dtype}"]
    if maker:
        parts.append(f"grad_fn=<{maker}>")
    elif requires_grad:
        parts.append("requires_grad=True")
    return "".join(f", {part}" for part in parts)
