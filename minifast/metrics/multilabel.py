"""The F score of several labels per row."""
from typing import Any

import numpy as np

from ..autograd import ShapeError, Tensor
from ..train import LearnerCallback
from ..train.callback import Changes

AVERAGES = ("micro", "macro", "weighted", "none")


class MultiLabelFbeta(LearnerCallback):
    """The F score over the validation rows of an epoch, if each row has several yes-or-no answers.

    Give it to a learner as ``callback_fns=[MultiLabelFbeta]``, with arguments as
    ``partial(MultiLabelFbeta, average="macro")``.

    Parameters
    ----------
    learn : Learner
        The learner that is trained.
    beta : float
        How many times more weight recall has than precision.
    eps : float
        Added to divisors, which may be 0.
    thresh : float
        The probability above which the answer is yes.
    sigmoid : bool
        Whether the model returns scores, whose sigmoid is the probability.
    average : {'micro', 'macro', 'weighted', 'none'}
        'micro' counts all labels together, 'macro' is the mean over the labels, 'weighted' their
        mean weighted by the number of rows of each label, and 'none' shows a column per label.

    Raises
    ------
    ValueError
        If `average` is unknown.
    ShapeError
        If predictions and targets do not have the same shape (bs, labels).

    Notes
    -----
    fastai v1's class of this name counts training batches as well.

    Examples
    --------
    >>> from functools import partial
    >>> macro = partial(MultiLabelFbeta, beta=1, average="macro")  # for callback_fns=[...]
    """

    _order = -20  # before the recorder, which writes the results

    def __init__(self, learn: Any, beta: float = 2, eps: float = 1e-15, thresh: float = .3,
                 sigmoid: bool = True, average: str = "micro") -> None:
        if average not in AVERAGES:
            raise ValueError(f"average is one of {', '.join(AVERAGES)}, got {average!r}")
        super().__init__(learn)
        self.beta, self.eps, self.thresh = beta, eps, thresh
        self.sigmoid, self.average = sigmoid, average
        self.rows: list[Any] = []

    def on_train_begin(self) -> None:
        data = self.learn.data
        labels = range(data.c or 0) if data.classes is None else data.classes
        self.learn.recorder.add_metric_names(
            [f"fbeta_{label}" for label in labels] if self.average == "none"
            else [f"{self.average}_fbeta"])

    def on_epoch_begin(self) -> None:
        self.rows = []

    def on_batch_end(self, last_output: Tensor, last_target: Tensor, train: bool) -> None:
        if train:
            return
        if last_output.shape != last_target.shape or last_output.ndim != 2:
            raise ShapeError("MultiLabelFbeta needs outputs and targets of the same shape (bs, "
                             f"labels), got {last_output.shape} and {last_target.shape}")
        chance = last_output.sigmoid() if self.sigmoid else last_output
        yes, target = (x.cpu().numpy() for x in (chance > self.thresh, last_target > .5))
        self.rows.append([(yes & target).sum(0), yes.sum(0), target.sum(0)])

    def on_epoch_end(self, last_metrics: list[Any]) -> Changes:
        if not self.rows:
            return None
        right, predicted, there = np.sum(self.rows, axis=0, dtype=float)
        if self.average == "micro":
            sums = map(np.sum, (right, predicted, there))
            return self._extend(last_metrics, [self._score(*sums)])
        each = self._score(right, predicted, there)
        if self.average == "none":
            return self._extend(last_metrics, each)
        weights = there if self.average == "weighted" and there.any() else None
        return self._extend(last_metrics, [np.average(each, weights=weights)])

    def _score(self, right: Any, predicted: Any, there: Any) -> Any:
        precision, recall = right / (predicted + self.eps), right / (there + self.eps)
        weight = self.beta ** 2
        return (1 + weight) * precision * recall / (weight * precision + recall + self.eps)

    def _extend(self, last_metrics: list[Any], scores: Any) -> Changes:
        return {"last_metrics": [*last_metrics, *map(float, scores)]}
