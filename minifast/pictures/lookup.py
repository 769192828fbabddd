"""lookup_picture: the rows that an embedding looks up, and how their gradients add up."""
from collections.abc import Sequence

import numpy as np

from ..autograd import Tensor, tensor
from ..nn import Embedding
from .graph import host
from .page import Picture


def lookup_picture(n: int = 5, width: int = 3, ids: Sequence[int] = (1, 3, 1)) -> Picture:
    """Show a lookup and its gradient, with a slider over the rows that are looked up.

    Parameters
    ----------
    n, width : int
        Rows and columns of the embedding.
    ids : sequence of int
        The rows to look up; one that comes twice gets two gradients.

    Returns
    -------
    Picture
        The table, the result with the gradient that arrives, and the gradient of the table.

    Raises
    ------
    IndexError
        If there is no such row.

    Examples
    --------
    >>> lookup_picture().data["ids"]
    [1, 3, 1]
    """
    if not all(0 <= i < n for i in ids):
        raise IndexError(f"the rows of an embedding with {n} rows are 0 to {n - 1}, got "
                         f"{list(ids)}")
    layer = Embedding(n, width, seed=0)
    arriving = np.round(np.random.default_rng(1).normal(size=(len(ids), width)), 1)
    weights = tensor(arriving.astype(np.float32))
    gradients = [[[0.] * width] * n]
    for k in range(1, len(ids) + 1):
        layer.zero_grad()
        (layer(tensor(list(ids[:k]))) * weights[:k]).sum().backward()
        gradients.append(_rounded(layer.weight.grad))
    rows = _rounded(weights)
    return Picture("Lookup", _body(layer.weight, rows, ids), "lookup.js",
                   {"ids": list(ids), "gradients": gradients, "arriving": rows})


def _rounded(array: object) -> list[list[float]]:
    return [[float(f"{x:.3g}") for x in row] for row in host(array).tolist()]


def _body(weight: Tensor, arriving: list[list[float]], ids: Sequence[int]) -> str:
    rows = _rounded(weight)
    numbers = list(range(len(rows)))
    return f"""<div class="mf-bar">
<label>rows done <input type="range" min="0" max="{len(ids)}" value="0"></label>
<output></output>
</div>
<div class="mf-scroll mf-tables" tabindex="0" role="region" aria-label="Tables; scrolls">
{_table("table: weight", numbers, rows)}
{_table("result: weight[ids]", ids, [rows[i] for i in ids])}
{_table("gradient that arrives", ids, arriving)}
{_table("weight.grad", numbers, [[0.] * len(rows[0])] * len(rows))}
</div>"""


def _table(caption: str, names: Sequence[int], rows: list[list[float]]) -> str:
    body = "\n".join(f"<tr><th>{name}</th>{''.join(f'<td>{x:g}</td>' for x in row)}</tr>"
                     for name, row in zip(names, rows, strict=True))
    return f"<table><caption>{caption}</caption><tbody>{body}</tbody></table>"
