"""Interpretation of a classifier: its confusions, and the rows with the largest losses."""
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.display import show_table
from ..backend import backend_of
from ..data import ArrayDataset, DatasetType
from ..train import Learner

Counts = np.ndarray[Any, np.dtype[np.int64]]
HEADING = "prediction / actual / loss / probability"


class ClassificationInterpretation:
    """Predictions of a classifier beside the actual classes; fastai v1's class of this name.

    ``pred_class`` (n,) holds the predicted class numbers. All results are on the host.

    Parameters
    ----------
    learn : Learner
        The classifier.
    preds : Tensor of shape (n, classes)
        Probabilities.
    y_true, losses : Tensor of shape (n,)
        The actual class numbers, and the losses of the rows.
    ds_type : DatasetType
        The loader that the rows come from, in its order.
    """

    def __init__(self, learn: Learner, preds: Tensor, y_true: Tensor, losses: Tensor,
                 ds_type: DatasetType = DatasetType.Valid) -> None:
        self.learn, self.data, self.ds_type = learn, learn.data, ds_type
        self.preds, self.y_true, self.losses = preds.cpu(), y_true.cpu(), losses.cpu()
        self.pred_class = self.preds.argmax(1)
        n, known = self.preds.shape[1], self.data.classes
        named = isinstance(known, (list, tuple, np.ndarray)) and len(known) == n
        self.classes: list[Any] = list(known if named else range(n))

    @classmethod
    def from_learner(cls, learn: Learner, ds_type: DatasetType = DatasetType.Valid
                     ) -> "ClassificationInterpretation":
        """Predict all rows of one kind.

        Parameters
        ----------
        learn : Learner
            The classifier.
        ds_type : DatasetType
            The rows to predict. ``Train`` stands for all training rows in order (``Fix``).

        Returns
        -------
        ClassificationInterpretation
            The predictions and what they should be.

        Raises
        ------
        TypeError
            If the targets are not class numbers, one per row.
        """
        kind = DatasetType.Fix if ds_type is DatasetType.Train else ds_type
        _check_targets(learn.data.one_batch(kind)[1])
        preds, y_true, losses = learn.get_preds(kind, with_loss=True)
        return cls(learn, preds, y_true, losses, kind)

    # ---- confusions

    def confusion_matrix(self) -> Counts:
        """Return counts (classes, classes): actual classes in rows, predicted ones in columns."""
        n = len(self.classes)
        cells = self.y_true.numpy() * n + self.pred_class.numpy()
        return np.bincount(cells, minlength=n * n).reshape(n, n).astype(np.int64)

    def most_confused(self, min_val: int = 1) -> list[tuple[Any, Any, int]]:
        """Return (actual, predicted, count) of confusions, the most frequent first.

        Parameters
        ----------
        min_val : int
            Leave out what occurred less often.

        Returns
        -------
        list of tuple
            The confusions.
        """
        counts = self.confusion_matrix()
        np.fill_diagonal(counts, -1)
        found = [(self.classes[i], self.classes[j], int(counts[i, j]))
                 for i, j in np.argwhere(counts >= max(min_val, 0))]
        return sorted(found, key=lambda confusion: -confusion[2])

    def plot_confusion_matrix(self, normalize: bool = False, title: str = "Confusion matrix",
                              cmap: Any = "Blues", norm_dec: int = 2, plot_txt: bool = True,
                              return_fig: bool | None = None, **kwargs: Any) -> Any:
        """Draw the confusion matrix.

        Parameters
        ----------
        normalize : bool
            Divide each row by its sum.
        title : str
            The title of the plot.
        cmap : str or matplotlib.colors.Colormap
            The colours.
        norm_dec : int
            Decimals of normalised counts.
        plot_txt : bool
            Write the numbers into the cells.
        return_fig : bool, optional
            Return the figure.
        **kwargs
            Options of the figure, such as ``figsize`` and ``dpi``.

        Returns
        -------
        matplotlib.figure.Figure or None
            The figure, if asked for.
        """
        import matplotlib.pyplot as plt
        values: Any = self.confusion_matrix()
        if normalize:
            values = values / np.maximum(values.sum(1, keepdims=True), 1)
        figure, axes = plt.subplots(layout="constrained", **kwargs)
        axes.imshow(values, cmap=cmap, vmin=0)
        names = [str(name) for name in self.classes]
        axes.set(title=title, xlabel="Predicted", ylabel="Actual")
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        if plot_txt:
            for (i, j), value in np.ndenumerate(values):  # light on dark
                axes.text(j, i, f"{value:.{norm_dec}f}" if normalize else value, ha="center",
                          va="center", color="white" if value > values.max() / 2 else "black")
        return figure if return_fig else None

    # ---- the largest losses

    def top_losses(self, k: int | None = None, largest: bool = True) -> tuple[Tensor, Tensor]:
        """Return the largest losses, and the rows they belong to.

        Parameters
        ----------
        k : int, optional
            How many; by default all.
        largest : bool
            False returns the smallest.

        Returns
        -------
        losses, rows : tuple of Tensor of shape (k,)
            The losses in order, and the numbers of their rows.

        Raises
        ------
        ValueError
            If ``k`` is below 1.
        """
        if k is not None and k < 1:
            raise ValueError(f"top_losses gives k rows, 1 or more; got k={k}")
        losses = self.losses.numpy()
        rows = np.argsort(-losses if largest else losses, kind="stable")[:k]
        return Tensor(losses[rows]), Tensor(rows)

    def plot_top_losses(self, k: int, largest: bool = True,
                        figsize: tuple[float, float] | None = None,
                        return_fig: bool | None = None) -> Any:
        """Show the rows with the largest losses: images with titles, or a table for other data.

        Parameters
        ----------
        k, largest : int, bool
            See ``top_losses``.
        figsize : tuple of float, optional
            Width and height of the figure in inches.
        return_fig : bool, optional
            Return the figure.

        Returns
        -------
        matplotlib.figure.Figure or None
            The figure, if asked for and drawn.
        """
        rows = self.top_losses(k, largest)[1].numpy()
        results, batch = self._results(rows), self._batch(rows)
        if batch is not None and hasattr(self.data, "show_items"):
            titles = [f"{predicted} / {actual} / {loss:.2f} / {p:.2f}"
                      for _, predicted, actual, loss, p in results.itertuples(index=False)]
            figure = self.data.show_items(batch[0], titles, HEADING, figsize)
            return figure if return_fig else None
        if batch is not None:
            inputs = self.data.batch_table(batch[0], batch[1], k)
            results = results.join(inputs.drop(columns="target", errors="ignore"))
        return show_table(results)

    def _results(self, rows: Counts) -> Any:
        """Return the row numbers, and what ``HEADING`` says of each row."""
        import pandas as pd
        predicted, actual = self.pred_class.numpy()[rows], self.y_true.numpy()[rows]
        columns = [rows, [self.classes[i] for i in predicted], [self.classes[i] for i in actual],
                   self.losses.numpy()[rows], self.preds.numpy()[rows, actual]]
        return pd.DataFrame(dict(zip(["row", *HEADING.split(" / ")], columns, strict=True)))

    def _batch(self, rows: Counts) -> Any:
        """Return these rows of the data as a batch; None if the data are no arrays."""
        dataset = getattr(self.data.dl(self.ds_type), "dataset", None)
        if not isinstance(dataset, ArrayDataset):
            return None
        return next(iter(self.data.batches([dataset[backend_of(dataset.y).from_host(rows)]])))


def _check_targets(yb: Any) -> None:
    if not isinstance(yb, Tensor) or yb.ndim != 1 or yb.dtype.kind not in "iu":
        found = f"{yb.dtype} of shape {yb.shape}" if isinstance(yb, Tensor) else type(yb).__name__
        raise TypeError(f"a classifier needs one class number per row; these targets are {found}")
