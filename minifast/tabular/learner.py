"""Models on tables: categories through embeddings, numbers through batch norm."""
from collections.abc import Mapping, Sequence
from typing import Any

from ..nn.activation import check_range
from ..nn.init import Seed
from ..nn.tabular_model import TabularModel
from ..train import Learner
from .data import TabularDataBunch


def tabular_learner(data: TabularDataBunch, layers: Sequence[int],
                    emb_szs: Mapping[str, int] | None = None, metrics: Any = None,
                    ps: float | Sequence[float] | None = None, emb_drop: float = 0.,
                    y_range: tuple[float, float] | Sequence[float] | None = None,
                    use_bn: bool = True, seed: Seed = None, **learn_kwargs: Any) -> Learner:
    """A learner with a TabularModel that fits the data; hidden layers are ``layers`` wide.

    ``emb_szs`` sets widths of embeddings by column, ``ps`` and ``emb_drop`` are dropout, and
    ``y_range`` (low, high) stretches a sigmoid over the output. ``learn_kwargs`` go to the
    Learner, ``seed`` fixes the initial weights. fastai v1's ``tabular_learner``.

    >>> import pandas as pd
    >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
    >>> data = TabularDataBunch.from_df(".", df, "price", [3], bs=3)
    >>> tabular_learner(data, [10], y_range=(0, 10)).model.layers
    Sequential(
      (0): Linear(in_features=1, out_features=10, bias=True)
      (1): ReLU()
      (2): BatchNorm1d(10, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
      (3): Linear(in_features=10, out_features=1, bias=True)
    )
    """
    low_high = None if y_range is None else _low_high(y_range)
    model = TabularModel(data.get_emb_szs(emb_szs), len(data.cont_names), data.targets.c, layers,
                         ps, emb_drop, low_high, use_bn, seed=seed)
    return Learner(data, model, metrics=metrics, **learn_kwargs)


def _low_high(y_range: Any) -> tuple[float, float]:
    if len(y_range) != 2:
        raise ValueError(f"y_range is a pair (low, high), got {y_range!r}")
    low, high = map(float, y_range)
    check_range(low, high)
    return low, high
