"""Interpretation of predictions: the largest losses, and the confusion matrix of a classifier."""
from typing import Any, Self

import numpy as np

from ..autograd import Tensor
from ..autograd.display import show_table
from ..backend import backend_of
from ..data import ArrayDataset, DatasetType
from ..train import Learner
from .results import in_order
from .style import panels, plot_style

Counts = np.ndarray[Any, np.dtype[np.int64]]


class Interpretation:
    """Predictions, targets and the loss of each row: v1's ``Interpretation``.

    All results are on the CPU.

    Parameters
    ----------
    learn : Learner
        The learner.
    preds : Tensor of shape (n, ...)
        Predictions.
    y_true : Tensor of shape (n, ...)
        Targets.
    losses : Tensor of shape (n,)
        The losses of the rows.
    ds_type : DatasetType
        The loader from which the rows come; they are in its order.

    Examples
    --------
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import Linear
    >>> rows = ArrayDataset(np.ones((4, 2), np.float32), np.arange(4, dtype=np.float32))
    >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(2, 1, seed=0))
    >>> Interpretation.from_learner(learn).top_losses(1)[1].tolist()
    [3]
    """

    def __init__(self, learn: Learner, preds: Tensor, y_true: Tensor, losses: Tensor,
                 ds_type: DatasetType = DatasetType.Valid) -> None:
        self.learn, self.data, self.ds_type = learn, learn.data, ds_type
        self.preds, self.y_true, self.losses = preds.cpu(), y_true.cpu(), losses.cpu()

    @classmethod
    def from_learner(cls, learn: Learner, ds_type: DatasetType = DatasetType.Valid) -> Self:
        """Predict all rows of one kind.

        Parameters
        ----------
        learn : Learner
            The learner.
        ds_type : DatasetType
            The rows to predict. ``Train`` stands for all training rows in order (``Fix``).

        Returns
        -------
        Interpretation
            The predictions, targets and losses.

        Raises
        ------
        TypeError
            If this is a `ClassificationInterpretation` and the targets are not class numbers, one
            per row.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import CrossEntropyFlat, Linear
        >>> from minifast.train import Learner
        >>> x = np.eye(4, 2, dtype=np.float32)
        >>> rows = ArrayDataset(x, np.array([0, 1, 1, 1]))
        >>> data = DataBunch.create(rows, rows, bs=2, classes=["cat", "dog"])
        >>> learn = Learner(data, Linear(2, 2, bias=False), loss_func=CrossEntropyFlat())
        >>> learn.model.weight.data[:] = np.eye(2)
        >>> interp = ClassificationInterpretation.from_learner(learn)
        >>> interp.preds.shape
        (4, 2)
        """
        kind = in_order(ds_type)
        cls._check_targets(learn.data.one_batch(kind)[1])
        preds, y_true, losses = learn.get_preds(kind, with_loss=True)
        return cls(learn, preds, y_true, losses, kind)

    @classmethod
    def _check_targets(cls, yb: Any) -> None:
        """Accept all targets."""

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

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import CrossEntropyFlat, Linear
        >>> from minifast.train import Learner
        >>> x = np.eye(4, 2, dtype=np.float32)
        >>> rows = ArrayDataset(x, np.array([0, 1, 1, 1]))
        >>> data = DataBunch.create(rows, rows, bs=2, classes=["cat", "dog"])
        >>> learn = Learner(data, Linear(2, 2, bias=False), loss_func=CrossEntropyFlat())
        >>> learn.model.weight.data[:] = np.eye(2)
        >>> interp = ClassificationInterpretation.from_learner(learn)
        >>> losses, rows = interp.top_losses(2, largest=False)
        >>> rows.tolist()
        [0, 1]
        """
        if k is not None and k < 1:
            raise ValueError(f"top_losses gives k rows, 1 or more; got k={k}")
        losses = self.losses.numpy()
        rows = np.argsort(-losses if largest else losses, kind="stable")[:k]
        return Tensor(losses[rows]), Tensor(rows)

    def plot_top_losses(self, k: int, largest: bool = True,
                        figsize: tuple[float, float] | None = None, heatmap: bool = False,
                        return_fig: bool | None = None, return_table: bool = False) -> Any:
        """Show the rows with the largest losses: images with titles, or a table for other data.

        Parameters
        ----------
        k, largest : int, bool
            See ``top_losses``.
        figsize : tuple of float, optional
            Width and height of the figure in inches.
        heatmap : bool
            Must be False: heatmaps over images are not implemented.
        return_fig : bool, optional
            Return the figure.
        return_table : bool
            Return the table instead of showing it.

        Returns
        -------
        matplotlib.figure.Figure, pandas.DataFrame or None
            The figure if asked for and drawn, or the table if asked for.

        Raises
        ------
        ValueError
            If ``k`` is below 1, or a heatmap is asked for.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import CrossEntropyFlat, Linear
        >>> from minifast.train import Learner
        >>> x = np.eye(4, 2, dtype=np.float32)
        >>> rows = ArrayDataset(x, np.array([0, 1, 1, 1]))
        >>> data = DataBunch.create(rows, rows, bs=2, classes=["cat", "dog"])
        >>> learn = Learner(data, Linear(2, 2, bias=False), loss_func=CrossEntropyFlat())
        >>> learn.model.weight.data[:] = np.eye(2)
        >>> interp = ClassificationInterpretation.from_learner(learn)
        >>> len(interp.plot_top_losses(2, return_table=True))
        2
        """
        if heatmap:
            raise ValueError("heatmaps over images are not implemented; pass heatmap=False")
        rows = self.top_losses(k, largest)[1].numpy()
        results, batch = self._results(rows), self._batch(rows)
        if batch is not None and hasattr(self.data, "show_items") and not return_table:
            texts = results.drop(columns="row").itertuples(index=False)
            titles = [" / ".join(map(_short, values)) for values in texts]
            figure = self.data.show_items(batch[0], titles, " / ".join(results.columns[1:]),
                                          figsize)
            return figure if return_fig else None
        if batch is not None and not hasattr(self.data, "show_items"):
            inputs = self.data.batch_table(batch[0], batch[1], k)
            results = results.join(inputs.drop(columns="target", errors="ignore"))
        return results if return_table else show_table(results)

    def plot_tab_top_losses(self, k: int, largest: bool = True, return_table: bool = False) -> Any:
        """Show the rows of a table with the largest losses: v1's name of ``plot_top_losses``.

        Parameters
        ----------
        k, largest, return_table : int, bool, bool
            As for ``plot_top_losses``.

        Returns
        -------
        pandas.DataFrame or None
            The table if asked for.

        Examples
        --------
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import Linear
        >>> rows = ArrayDataset(np.ones((4, 2), np.float32), np.arange(4, dtype=np.float32))
        >>> learn = Learner(DataBunch.create(rows, rows, bs=4), Linear(2, 1, seed=0))
        >>> table = Interpretation.from_learner(learn).plot_tab_top_losses(2, return_table=True)
        >>> table["row"].tolist()
        [3, 2]
        """
        return self.plot_top_losses(k, largest, return_table=return_table)

    def _results(self, rows: Counts) -> Any:
        """Return a frame: the numbers of these rows, and what is shown of each."""
        import pandas as pd
        shown = {"prediction": self.preds, "actual": self.y_true, "loss": self.losses}
        return pd.DataFrame({"row": rows, **{
            name: list(values.numpy()[rows].reshape(len(rows), -1).squeeze(1))
            if values.numel() == len(self.losses) else list(values.numpy()[rows])
            for name, values in shown.items()}})

    def _batch(self, rows: Counts) -> Any:
        """Return these rows of the data as a batch; None if the data are not arrays."""
        dataset = getattr(self.data.dl(self.ds_type), "dataset", None)
        if not isinstance(dataset, ArrayDataset):
            return None
        return next(iter(self.data.batches([dataset[backend_of(dataset.y).from_host(rows)]])))


class ClassificationInterpretation(Interpretation):
    """Predictions of a classifier, and the actual classes: fastai v1's class of this name.

    ``pred_class`` (n,) holds the predicted class numbers. All results are on the CPU.

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

    Examples
    --------
    >>> import numpy as np
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import CrossEntropyFlat, Linear
    >>> from minifast.train import Learner
    >>> x = np.eye(4, 2, dtype=np.float32)
    >>> rows = ArrayDataset(x, np.array([0, 1, 1, 1]))
    >>> data = DataBunch.create(rows, rows, bs=2, classes=["cat", "dog"])
    >>> learn = Learner(data, Linear(2, 2, bias=False), loss_func=CrossEntropyFlat())
    >>> learn.model.weight.data[:] = np.eye(2)
    >>> interp = ClassificationInterpretation.from_learner(learn)
    >>> interp.pred_class
    tensor([0, 1, 0, 0])
    """

    def __init__(self, learn: Learner, preds: Tensor, y_true: Tensor, losses: Tensor,
                 ds_type: DatasetType = DatasetType.Valid) -> None:
        super().__init__(learn, preds, y_true, losses, ds_type)
        self.pred_class = self.preds.argmax(1)
        n, known = self.preds.shape[1], self.data.classes
        named = isinstance(known, (list, tuple, np.ndarray)) and len(known) == n
        self.classes: list[Any] = list(known if named else range(n))

    @classmethod
    def _check_targets(cls, yb: Any) -> None:
        if not _are_classes(yb):
            found = f"{yb.dtype} of shape {yb.shape}" if isinstance(yb, Tensor) \
                else type(yb).__name__
            raise TypeError("a classifier needs one class number per row; these targets are "
                            f"{found}; use Interpretation.from_learner(learn) for others")

    def confusion_matrix(self, slice_size: int = 1) -> Counts:
        """Return how often each actual class was predicted as each class.

        Parameters
        ----------
        slice_size : int
            Has no effect; fastai v1 counts this many rows at a time.

        Returns
        -------
        array (classes, classes) of int64
            Counts, actual classes in rows, predicted ones in columns.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import CrossEntropyFlat, Linear
        >>> from minifast.train import Learner
        >>> x = np.eye(4, 2, dtype=np.float32)
        >>> rows = ArrayDataset(x, np.array([0, 1, 1, 1]))
        >>> data = DataBunch.create(rows, rows, bs=2, classes=["cat", "dog"])
        >>> learn = Learner(data, Linear(2, 2, bias=False), loss_func=CrossEntropyFlat())
        >>> learn.model.weight.data[:] = np.eye(2)
        >>> interp = ClassificationInterpretation.from_learner(learn)
        >>> interp.confusion_matrix().tolist()
        [[1, 0], [2, 1]]
        """
        n = len(self.classes)
        cells = self.y_true.numpy() * n + self.pred_class.numpy()
        return np.bincount(cells, minlength=n * n).reshape(n, n).astype(np.int64)

    def most_confused(self, min_val: int = 1, slice_size: int = 1) -> list[tuple[Any, Any, int]]:
        """Return (actual, predicted, count) of confusions, the most frequent first.

        Parameters
        ----------
        min_val : int
            Leave out confusions that occurred less often.
        slice_size : int
            Has no effect, see ``confusion_matrix``.

        Returns
        -------
        list of tuple
            The confusions.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import CrossEntropyFlat, Linear
        >>> from minifast.train import Learner
        >>> x = np.eye(4, 2, dtype=np.float32)
        >>> rows = ArrayDataset(x, np.array([0, 1, 1, 1]))
        >>> data = DataBunch.create(rows, rows, bs=2, classes=["cat", "dog"])
        >>> learn = Learner(data, Linear(2, 2, bias=False), loss_func=CrossEntropyFlat())
        >>> learn.model.weight.data[:] = np.eye(2)
        >>> interp = ClassificationInterpretation.from_learner(learn)
        >>> interp.most_confused()
        [('dog', 'cat', 2)]
        """
        counts = self.confusion_matrix()
        np.fill_diagonal(counts, -1)
        found = [(self.classes[i], self.classes[j], int(counts[i, j]))
                 for i, j in np.argwhere(counts >= max(min_val, 0))]
        return sorted(found, key=lambda confusion: -confusion[2])

    @plot_style()
    def plot_confusion_matrix(self, normalize: bool = False, title: str = "Confusion matrix",
                              cmap: Any = "Blues", slice_size: int = 1, norm_dec: int = 2,
                              plot_txt: bool = True, return_fig: bool | None = None,
                              ax: Any = None, **kwargs: Any) -> Any:
        """Draw the confusion matrix.

        Parameters
        ----------
        normalize : bool
            Divide each row by its sum.
        title : str
            The title of the plot.
        cmap : str or matplotlib.colors.Colormap
            The colours.
        slice_size : int
            Has no effect, see ``confusion_matrix``.
        norm_dec : int
            Number of decimals if the counts are normalized.
        plot_txt : bool
            Write the numbers into the cells.
        return_fig : bool, optional
            Return the figure.
        ax : Axes, optional
            Axes to draw in.
        **kwargs
            Options of the figure, such as ``figsize`` and ``dpi``.

        Returns
        -------
        matplotlib.figure.Figure or None
            The figure, if asked for.

        Examples
        --------
        >>> import numpy as np
        >>> from minifast.data import ArrayDataset, DataBunch
        >>> from minifast.nn import CrossEntropyFlat, Linear
        >>> from minifast.train import Learner
        >>> x = np.eye(4, 2, dtype=np.float32)
        >>> rows = ArrayDataset(x, np.array([0, 1, 1, 1]))
        >>> data = DataBunch.create(rows, rows, bs=2, classes=["cat", "dog"])
        >>> learn = Learner(data, Linear(2, 2, bias=False), loss_func=CrossEntropyFlat())
        >>> learn.model.weight.data[:] = np.eye(2)
        >>> interp = ClassificationInterpretation.from_learner(learn)
        >>> interp.plot_confusion_matrix(return_fig=True).axes[0].get_title()
        'Confusion matrix'
        """
        values: Any = self.confusion_matrix()
        if normalize:
            values = values / np.maximum(values.sum(1, keepdims=True), 1)
        names = [str(name) for name in self.classes]
        texts = [f"{value:.{norm_dec}f}" if normalize else str(value) for value in values.flat]
        cell, longest = max(.09 * max(map(len, texts)), .38), .09 * max(map(len, names))
        side = max(3.4, cell * len(names) + longest + .8)
        figure, (axes,) = panels(1, ax, **{"figsize": (side, side), **kwargs})
        image = axes.imshow(values, cmap=cmap, vmin=0)
        axes.grid(False)
        axes.set(title=title, xlabel="Predicted", ylabel="Actual")
        wide = longest > (side - longest - .8) / len(names)
        axes.set_xticks(range(len(names)), names, rotation=90 if wide else 0)
        axes.set_yticks(range(len(names)), names)
        if plot_txt:
            _write_cells(axes, image, texts)
        return figure if return_fig else None

    def _results(self, rows: Counts) -> Any:
        frame = super()._results(rows)
        predicted, actual = self.pred_class.numpy()[rows], self.y_true.numpy()[rows]
        frame["prediction"] = [self.classes[i] for i in predicted]
        frame["actual"] = [self.classes[i] for i in actual]
        return frame.assign(probability=self.preds.numpy()[rows, actual])


def interpret(learn: Learner, ds_type: DatasetType = DatasetType.Valid, tta: bool = False
              ) -> Interpretation:
    """Predict all rows of one kind, and return the results for interpretation.

    Parameters
    ----------
    learn : Learner
        The learner.
    ds_type : DatasetType
        The rows to predict.
    tta : bool
        Whether to average over transformed images, see ``learn.TTA``.

    Returns
    -------
    Interpretation
        A `ClassificationInterpretation` if the targets are class numbers.

    Raises
    ------
    ValueError
        If ``tta`` is set for a learner without ``TTA``.

    Examples
    --------
    >>> from minifast.data import ArrayDataset, DataBunch
    >>> from minifast.nn import CrossEntropyFlat, Linear
    >>> rows = ArrayDataset(np.eye(2, dtype=np.float32), np.array([0, 1]))
    >>> data = DataBunch.create(rows, rows, bs=2, classes=["cat", "dog"])
    >>> interpret(Learner(data, Linear(2, 2), loss_func=CrossEntropyFlat())).preds.shape
    (2, 2)
    """
    classes = _are_classes(learn.data.one_batch(in_order(ds_type))[1])
    kind = ClassificationInterpretation if classes else Interpretation
    if not tta:
        return kind.from_learner(learn, ds_type)
    average: Any = getattr(learn, "TTA", None)
    if average is None:
        raise ValueError("tta=True averages predictions over transformed images, which belongs to "
                         "minifast.vision; write learn.interpret()")
    preds, y_true, losses = average(ds_type=in_order(ds_type), with_loss=True)
    return kind(learn, preds, y_true, losses, in_order(ds_type))


def _are_classes(yb: Any) -> bool:
    return isinstance(yb, Tensor) and yb.ndim == 1 and yb.dtype.kind in "iu"


def _short(value: Any) -> str:
    """Return what the title of an image says: numbers with two decimals."""
    return f"{value:.2f}" if isinstance(value, (float, np.floating)) else str(value)


def _write_cells(axes: Any, image: Any, texts: list[str]) -> None:
    """Write texts into the cells of an image, white where it is dark."""
    colors = image.cmap(image.norm(image.get_array()))[..., :3]
    for (i, j), text in zip(np.ndindex(colors.shape[:2]), texts, strict=True):
        dark = colors[i, j] @ [.299, .587, .114] < .5
        axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black")
