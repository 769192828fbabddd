"""tabular_learner: a Learner for tables."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..nn import Buffer, Module, TabularModel
from ..nn.init import Seed
from ..train import Learner
from .data import TabularDataBunch


class OutputScale(Module):
    """The last layer of ``tabular_learner(scale_y=True)``: outputs times std plus mean.

    An input of 0 becomes the mean of the training targets, and an input of 1 is one standard
    deviation more. Weights of the usual size are thus enough for targets in the thousands.

    Parameters
    ----------
    mean, std : float or sequence of float (c,)
        Mean and standard deviation of the training targets.

    Examples
    --------
    >>> OutputScale(10, 2)(Tensor([[1.]])).tolist()
    [[12.0]]
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = (Buffer(np.asarray(a, np.float32)) for a in (mean, std))

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.std.data + self.mean.data
        return scaled

    def extra_repr(self) -> str:
        return f"mean={self.mean.data.round(4).tolist()}, std={self.std.data.round(4).tolist()}"


def tabular_learner(data: TabularDataBunch, layers: Sequence[int],
                    emb_szs: Mapping[str, int] | None = None, metrics: Any = None,
                    ps: float | Sequence[float] | None = None, emb_drop: float = 0.,
                    y_range: Sequence[float] | None = None, use_bn: bool = True,
                    seed: Seed = None, scale_y: bool = False, lin_bias: bool = False,
                    **learn_kwargs: Any) -> Learner:
    """Return a learner with a TabularModel that fits the data: fastai v1's ``tabular_learner``.

    Parameters
    ----------
    data : TabularDataBunch
        The data.
    layers : sequence of int
        Widths of the hidden layers.
    emb_szs : mapping of str to int, optional
        Widths of embeddings by column; by default, ``emb_sz_rule`` chooses them.
    metrics : callable or list of callables, optional
        Computed on the validation rows after each epoch.
    ps : float or sequence of float, optional
        Dropout after the hidden layers: one probability, or one for each layer.
    emb_drop : float
        Probability of dropout for the embeddings.
    y_range : (float, float), optional
        Range of the predictions, which a sigmoid is scaled to. By default, there is no sigmoid.
    use_bn : bool
        Whether there is batch norm between linear layers.
    seed : int, numpy.random.Generator or None
        Source of the initial weights and of dropout.
    scale_y : bool
        Whether to multiply the outputs by the standard deviation of the training targets and add
        their mean. Use it for targets that are large or far from 0; see ``OutputScale``.
    lin_bias : bool
        Whether linear layers before batch norm have a bias, as in fastai v1 but not in fastai 2.
        With a bias, the output of a hidden unit can become 0 for all training rows. If it is
        positive for a rare row, the prediction can be far outside the range of the targets.
    **learn_kwargs
        Other arguments of ``Learner``.

    Returns
    -------
    Learner
        The learner.

    Raises
    ------
    ValueError
        If ``scale_y`` is given for classes, or together with ``y_range``.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"size": [1., 2., 3., 4.], "price": [2., 4., 6., 8.]})
    >>> data = TabularDataBunch.from_df(".", df, "price", [3], bs=3)
    >>> tabular_learner(data, [10], y_range=(0, 10)).model.layers
    Sequential(
      (0): Linear(in_features=1, out_features=10, bias=False)
      (1): ReLU()
      (2): BatchNorm1d(10, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
      (3): Linear(in_features=10, out_features=1, bias=True)
    )
    """
    model = TabularModel(data.get_emb_szs(emb_szs), len(data.cont_names), data.targets.c, layers,
                         ps, emb_drop, y_range, use_bn, seed=seed, lin_bias=lin_bias)
    if scale_y:
        model.layers.append(_scale_of(data, y_range))
    return Learner(data, model, metrics=metrics, **learn_kwargs)


def _scale_of(data: TabularDataBunch, y_range: Any) -> OutputScale:
    """Return the layer that scales outputs to the training targets."""
    if data.classes is not None or y_range is not None:
        raise ValueError(f"scale_y=True is for targets that are numbers, without a y_range; got "
                         f"y_range={y_range!r}, classes {data.classes}")
    y = Tensor(data.train_ds.y).numpy()
    std = y.std(0)
    return OutputScale(y.mean(0), std + (std == 0))
