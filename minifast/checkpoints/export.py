"""export and load_learner: a trained model in one file, for predictions in other programs."""
from pathlib import Path
from typing import Any
from warnings import warn

from ..collab import CollabLearner
from ..data import CollabDataBunch, DataBunch
from ..nn import Module
from ..train import Learner
from ..train.checkpoint import CheckpointError, check_state
from .container import read_container, write_container
from .objects import NotExportableError, from_object_json, to_object_json
from .tables import RATED, add_rated, add_test, data_from_json, data_to_json, rated_pairs

KIND, FILE = "learner", "export.safetensors"
DATA_KIND, DATA_FILE = "data", "data.safetensors"


def export(learn: Learner, file: str | Path = FILE, destroy: bool = False,
           with_rated: bool = False) -> None:
    """Write all that predictions need to ``<learn.path>/<file>``: fastai v1's ``learn.export``.

    These are the weights under torch's names, the model, the loss and how new rows are encoded. The
    file has no training rows and no pickle: it is a safetensors file with JSON as metadata.

    Parameters
    ----------
    learn : Learner
        The learner.
    file : str or Path
        Name of the file, or an absolute path.
    destroy : bool
        Whether to free the learner afterwards, see ``learn.destroy``.
    with_rated : bool
        For a learner of ratings, whether to also write which items each user has rated, 8 bytes
        each, but not the ratings. ``recommend`` then leaves them out.

    Raises
    ------
    NotExportableError
        If the class of the data or their labels cannot be exported. It is a TypeError.
    OSError
        If the file cannot be written.
    ValueError
        If ``with_rated`` is set for data other than ratings.

    Notes
    -----
    For a model or a loss with parts that are not minifast's, only the name is saved, and
    ``load_learner`` needs it as an argument.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from minifast.data import ArrayDataset
    >>> from minifast.nn import Linear
    >>> x = np.ones((8, 2), np.float32)
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> with TemporaryDirectory() as folder:
    ...     learn.path = folder
    ...     learn.export()
    ...     there = load_learner(folder)
    >>> there.predict(x[0])[0] == learn.predict(x[0])[0]
    True
    """
    content = {"data": data_to_json(learn.data),
               "model": _described(learn.model), "loss": _described(learn.loss_func)}
    arrays = {**learn.model.state_dict(), **(rated_pairs(learn.data) if with_rated else {})}
    write_container(Path(learn.path, file), KIND, arrays, content)
    if destroy:
        learn.destroy()  # type: ignore[attr-defined]


class ExportedCollabLearner(CollabLearner):
    """A learner of ratings from a file. Without the items that were rated, it warns of them."""

    def recommend(self, user: Any, n: int = 10) -> Any:
        if not self.data.added:
            warn("this learner was exported without its ratings, so items that the user has rated "
                 "are recommended too; learn.export(with_rated=True) leaves them out",
                 stacklevel=2)
        return super().recommend(user, n)


def _described(thing: Any) -> dict[str, Any]:
    name = f"{type(thing).__module__}.{type(thing).__qualname__}"
    try:
        return {"name": name, "known": to_object_json(thing, "", ())}
    except NotExportableError as error:
        return {"name": name, "why": str(error)}


def load_learner(path: str | Path, file: str | Path = FILE, test: Any = None,
                 model: Module | None = None, loss_func: Any = None) -> Any:
    """Return a learner for predictions from a file of ``learn.export``: fastai v1's function.

    ``learn.predict(row)`` predicts one row; ``learn.data.add_test(df)`` and
    ``learn.get_preds(DatasetType.Test)`` predict the rows of a frame. The learner has no training
    rows.

    Parameters
    ----------
    path : str or Path
        The folder.
    file : str or Path
        Name of the file.
    test : pandas.DataFrame, optional
        Rows to predict, for ``learn.data.add_test``.
    model : Module, optional
        The model, with any weights. Needed only if a part of it is not minifast's.
    loss_func : callable, optional
        The loss. Needed only if it is not minifast's.

    Returns
    -------
    Learner
        A CollabLearner for ratings.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If the file is damaged or not an exported learner, or if the model or the loss must be
        given.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from minifast.data import ArrayDataset
    >>> from minifast.nn import Linear
    >>> x = np.ones((8, 2), np.float32)
    >>> learn = Learner(DataBunch.create(ArrayDataset(x, x[:, 0]), bs=4), Linear(2, 1, seed=0))
    >>> with TemporaryDirectory() as folder:
    ...     learn.path = folder
    ...     learn.export()
    ...     there = load_learner(folder)
    >>> type(there.model).__name__
    'Linear'
    """
    place = Path(path, file)
    arrays, content = read_container(place, KIND)
    try:
        data = data_from_json(content["data"], Path(path))
        if rated := [arrays.pop(name) for name in RATED if name in arrays]:
            add_rated(data, rated)
        made = _made(content["model"], model, "model", arrays)
        loss = _made(content["loss"], loss_func, "loss_func", arrays)
        if not (isinstance(made, Module) and callable(loss)):
            raise CheckpointError(f"its model is {made!r}, its loss {loss!r}")
    except (KeyError, TypeError, AttributeError, ImportError, ValueError, IndexError,
            OverflowError, RecursionError) as error:
        raise CheckpointError(f"{place} cannot be read: {error}") from error
    check_state(place, made, arrays)
    made.load_state_dict(arrays)
    kind = ExportedCollabLearner if isinstance(data, CollabDataBunch) else Learner
    return kind(data if test is None else add_test(data, test), made.eval(), loss_func=loss)


def _made(described: dict[str, Any], given: Any, argument: str, arrays: Any) -> Any:
    """Return ``given``, or else the object that the file describes."""
    if given is not None:
        return given
    if "known" not in described:
        raise ValueError(f"it holds no {described['name']}, because {described['why']}; create it "
                         f"and pass it: load_learner(..., {argument}=...)")
    return from_object_json(described["known"], arrays, ())


# ---------------------------------------------------------------- data alone


def export_data(data: DataBunch, file: str | Path = DATA_FILE) -> None:
    """Write how new rows are encoded to ``<data.path>/<file>``, without any rows.

    fastai v1's ``data.export``; ``DataBunch.load_empty`` reads the file.

    Parameters
    ----------
    data : DataBunch
        The data.
    file : str or Path
        Name of the file, or an absolute path.

    Raises
    ------
    NotExportableError
        If the class of the data or their labels cannot be exported. It is a TypeError.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pandas as pd
    >>> from minifast.data import CollabDataBunch
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     data.path = Path(folder)
    ...     export_data(data)
    ...     load_empty(DataBunch, folder).classes["film"].tolist()
    ['#na#', 'Alien', 'Brazil']
    """
    write_container(Path(data.path, file), DATA_KIND, {}, {"data": data_to_json(data)})


def load_empty(cls: type[DataBunch], path: str | Path, fname: str | Path = DATA_FILE) -> Any:
    """Return data without rows from a file of ``data.export``.

    Parameters
    ----------
    path : str or Path
        The folder.
    fname : str or Path
        Name of the file.

    Returns
    -------
    DataBunch
        The data, of the class that they had; ``data.add_test`` adds rows to predict.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If the file is damaged or does not hold exported data.

    Examples
    --------
    >>> import pandas as pd
    >>> from minifast.data import CollabDataBunch
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     data.path = Path(folder)
    ...     data.export()
    ...     len(DataBunch.load_empty(folder).train_dl)
    0
    """
    place = Path(path, fname)
    _, content = read_container(place, DATA_KIND)
    try:
        return data_from_json(content["data"], Path(path))
    except (KeyError, TypeError, AttributeError, ImportError, ValueError, IndexError) as error:
        raise CheckpointError(f"{place} cannot be read: {error}") from error


setattr(Learner, "export", export)  # noqa: B010  (this room adds a method of fastai's)
setattr(DataBunch, "add_test", add_test)  # noqa: B010
setattr(DataBunch, "export", export_data)  # noqa: B010
setattr(DataBunch, "load_empty", classmethod(load_empty))  # noqa: B010
