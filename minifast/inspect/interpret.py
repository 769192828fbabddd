"""What a classifier gets wrong: confusions, and the rows with the largest losses."""
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from ..autograd.display import show_table
from ..backend import Array, backend_of
from ..data import ArrayDataset, DatasetType
from ..vision import ImageDataBunch
from ..vision.pictures import show_pictures

if TYPE_CHECKING:
    import pandas as pd

    from ..train.learner import Learner

Counts = np.ndarray[Any, np.dtype[np.int64]]
HEADING = "prediction / actual / loss / probability"


class ClassificationInterpretation:
    """Predictions of a classifier beside the truth; fastai v1's class of this name.

    ``preds`` (n, classes) are probabilities, ``y_true``, ``pred_class`` and ``losses`` (n,), all
    on the host, in the order of the data's rows.
    """

    def __init__(self, learn: "Learner", preds: Tensor, y_true: Tensor, losses: Tensor,
                 ds_type: DatasetType = DatasetType.Valid) -> None:
        self.learn, self.data, self.ds_type = learn, learn.data, ds_type
        self.preds, self.y_true, self.losses = preds.cpu(), y_true.cpu(), losses.cpu()
        self.pred_class = self.preds.argmax(1)
        n, known = self.preds.shape[1], self.data.classes
        fitting = isinstance(known, (list, tuple, np.ndarray)) and len(known) == n
        self.classes: list[Any] = list(known) if fitting else list(range(n))

    @classmethod
    def from_learner(cls, learn: "Learner", ds_type: DatasetType = DatasetType.Valid
                     ) -> "ClassificationInterpretation":
        """Predict all rows of one kind; ``Train`` means all training rows in order (``Fix``).

        TypeError if the learner is no classifier with one class per row.
        """
        kind = DatasetType.Fix if ds_type is DatasetType.Train else ds_type
        _check_targets(learn.data.one_batch(kind)[1])
        preds, y_true, losses = learn.get_preds(kind, with_loss=True)
        return cls(learn, preds, y_true, losses, kind)

    # ---- confusions

    def confusion_matrix(self) -> Counts:
        """Counts (classes, classes): a row for each actual class, a column for each predicted."""
        n = len(self.classes)
        place = self.y_true.numpy() * n + self.pred_class.numpy()
        counts: Counts = np.bincount(place, minlength=n * n).reshape(n, n).astype(np.int64)
        return counts

    def most_confused(self, min_val: int = 1) -> list[tuple[Any, Any, int]]:
        """(actual, predicted, count) of confusions that came ``min_val`` times or more, the most
        frequent first."""
        counts = self.confusion_matrix()
        np.fill_diagonal(counts, -1)
        found = [(self.classes[i], self.classes[j], int(counts[i, j]))
                 for i, j in np.argwhere(counts >= max(min_val, 0))]
        return sorted(found, key=lambda confusion: -confusion[2])

    def plot_confusion_matrix(self, normalize: bool = False, title: str = "Confusion matrix",
                              cmap: Any = "Blues", norm_dec: int = 2, plot_txt: bool = True,
                              return_fig: bool | None = None, **kwargs: Any) -> Any:
        """Draw the confusion matrix; ``normalize`` makes a row's sum 1. ``kwargs`` (``figsize``,
        ``dpi``) go to the figure."""
        import matplotlib.pyplot as plt
        shares: Any = self.confusion_matrix()
        if normalize:
            shares = shares / np.maximum(shares.sum(1, keepdims=True), 1)
        figure, axes = plt.subplots(layout="constrained", **kwargs)
        axes.imshow(shares, cmap=cmap, vmin=0)
        names, places = list(map(str, self.classes)), range(len(self.classes))
        axes.set(title=title, xlabel="Predicted", ylabel="Actual")
        axes.set_xticks(places, names, rotation=90)
        axes.set_yticks(places, names)
        if plot_txt:
            _write_in(axes, shares, f".{norm_dec}f" if normalize else "d")
        return figure if return_fig else None

    # ---- the largest losses

    def top_losses(self, k: int | None = None, largest: bool = True) -> tuple[Tensor, Tensor]:
        """The ``k`` largest losses, or smallest, and the rows they belong to; all if None."""
        if k is not None and k < 1:
            raise ValueError(f"top_losses gives k rows, 1 or more; got k={k}")
        losses = self.losses.numpy()
        rows = np.argsort(-losses if largest else losses, kind="stable")[:k]
        return Tensor(losses[rows]), Tensor(rows)

    def plot_top_losses(self, k: int, largest: bool = True,
                        figsize: tuple[float, float] | None = None,
                        return_fig: bool | None = None) -> Any:
        """Show the rows with the largest losses: pictures with prediction, actual class, loss
        and the probability of the actual class; a table of these for data that are no images.
        """
        rows = self.top_losses(k, largest)[1].numpy()
        if not isinstance(self.data, ImageDataBunch):
            show_table(self._losses_table(rows))
            return None
        titles = [f"{guess} / {actual} / {loss:.2f} / {p:.2f}"
                  for guess, actual, loss, p in self._verdicts(rows)]
        x, _ = self._rows(self._dataset(), rows)
        figure = show_pictures(self.data.denormalized(x), titles, HEADING, figsize)
        return figure if return_fig else None

    def _verdicts(self, rows: Counts) -> list[tuple[Any, Any, float, float]]:
        """(predicted, actual, loss, probability of the actual) of each row."""
        preds, guess, actual, losses = (t.numpy()[rows] for t in (
            self.preds, self.pred_class, self.y_true, self.losses))
        return [(self.classes[g], self.classes[a], float(loss), float(p[a]))
                for p, g, a, loss in zip(preds, guess, actual, losses, strict=True)]

    def _losses_table(self, rows: Counts) -> "pd.DataFrame":
        import pandas as pd
        table = pd.DataFrame(self._verdicts(rows), columns=HEADING.split(" / "))
        table.insert(0, "row", rows)
        if not isinstance(self._dataset(), ArrayDataset):
            return table
        x, y = self._rows(self._dataset(), rows)
        inputs = self.data.batch_table(x, y, rows=len(rows))
        inputs = inputs.drop(columns="target", errors="ignore")
        joined: pd.DataFrame = pd.concat([table, inputs], axis=1)
        return joined

    def _dataset(self) -> Any:
        return getattr(self.data.dl(self.ds_type), "dataset", None)

    @staticmethod
    def _rows(ds: ArrayDataset, rows: Counts) -> tuple[Any, Tensor]:
        """These rows of a data set as a batch."""
        def take(array: Array) -> Tensor:
            backend = backend_of(array)
            return Tensor(backend.gather(array, backend.from_host(rows)))
        return [take(a) for a in ds.x] if isinstance(ds.x, list) else take(ds.x), take(ds.y)


def _check_targets(yb: Any) -> None:
    kind = yb.dtype if isinstance(yb, Tensor) else type(yb).__name__
    if not isinstance(yb, Tensor) or yb.ndim != 1 or yb.dtype.kind not in "iu":
        shape = f" of shape {yb.shape}" if isinstance(yb, Tensor) else ""
        raise TypeError(f"a classifier has one class, a whole number, per row; these targets are "
                        f"{kind}{shape}")


def _write_in(axes: Any, values: Any, form: str) -> None:
    """A number in each field, light on dark."""
    for (i, j), value in np.ndenumerate(values):
        axes.text(j, i, format(value, form), ha="center", va="center",
                  color="white" if value > values.max() / 2 else "black")
