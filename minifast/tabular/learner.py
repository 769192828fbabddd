"""tabular_learner: a Learner for tables."""
from collections.abc import Mapping, Sequence
from typing import Any

from ..nn import TabularModel
from ..nn.init import Seed
from ..train import Learner
from .data import TabularDataBunch


def tabular_learner(data: TabularDataBunch, layers: Sequence[int],
                    emb_szs: Mapping[str, int] | None = None, metrics: Any = None,
                    ps: float | Sequence[float] | None = None, emb_drop: float = 0.,
                    y_range: Sequence[float] | None = None, use_bn: bool = True,
                    seed: Seed = None, **learn_kwargs: Any) -> Learner:
    """Return a learner with a TabularModel that fits the data: fastai v1's ``tabular_learner``.

    Parameters
    ----------
    data : TabularDataBunch
        The data.
    layers : sequence of int
        Widths of the hidden layers.
    emb_szs : mapping of str to int, optional
        Widths of embeddings by column; the others follow ``emb_sz_rule``.
    metrics : callable or list of callables, optional
        Computed on the validation rows after each epoch.
    ps : float or sequence of float, optional
        Dropout after the hidden layers: one number, or one for each layer.
    emb_drop : float
        Dropout of the embeddings.
    y_range : (float, float), optional
        Range of a sigmoid over the output; None leaves the sigmoid out.
    use_bn : bool
        Whether there is batch norm between linear layers.
    seed : int, numpy.random.Generator or None
        Source of the initial weights and of the dropouts.
    **learn_kwargs
        Other arguments of ``Learner``.

    Returns
    -------
    Learner
        The learner.

    Examples
    --------
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
    model = TabularModel(data.get_emb_szs(emb_szs), len(data.cont_names), data.targets.c, layers,
                         ps, emb_drop, y_range, use_bn, seed=seed)
    return Learner(data, model, metrics=metrics, **learn_kwargs)
