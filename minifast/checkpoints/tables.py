"""The data of an exported learner: how to encode new rows, without any training rows."""
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..data import ArrayDataset, CollabDataBunch, DataBunch, DataLoader
from ..data.categories import check_columns
from ..data.ratings import encode
from ..train.checkpoint import Arrays
from .container import to_json
from .images import image_data, images_from_json, images_to_json
from .objects import NotExportableError, from_object_json, to_object_json

RATED = ("rated/users", "rated/items")
"""Names of the arrays with the pairs of users and items that were rated."""


def _tabular() -> Any:
    """Return TabularDataBunch, or an empty tuple if its room was removed."""
    try:
        from ..tabular import TabularDataBunch
    except ImportError:
        return ()
    return TabularDataBunch


def _kinds() -> tuple[type, ...]:
    """Return the classes of the parts of a TabularDataBunch."""
    from ..tabular.processors import TabularProc, TabularProcessor
    from ..tabular.targets import CategoryList, FloatList, MultiCategoryList
    return TabularProc, TabularProcessor, FloatList, CategoryList, MultiCategoryList


def data_to_json(data: DataBunch) -> dict[str, Any]:
    """Return a description of how new rows become batches, as JSON types.

    Parameters
    ----------
    data : DataBunch
        Data of ratings, of a table, of images, or of arrays.

    Returns
    -------
    dict
        The description.

    Raises
    ------
    NotExportableError
        If the data are of another class.

    Examples
    --------
    >>> data_to_json(DataBunch([], [], c=2, classes=["cat", "dog"]))["kind"]
    'arrays'
    """
    if type(data) is CollabDataBunch:
        return {"kind": "collab", "rating_name": data.rating_name, "categories": [
            to_object_json(cats, "data", ()) for cats in data.categories]}
    if type(data) is _tabular():
        return {"kind": "tabular", **{
            name: to_object_json(getattr(data, name), f"data.{name}", _kinds())
            for name in ("processor", "targets")}}
    if type(data) is image_data():
        return images_to_json(data)
    if type(data) is DataBunch:
        return {"kind": "arrays", "c": data.c, "classes": None if data.classes is None else
                to_json(list(data.classes))}
    raise NotExportableError(f"the data are a {type(data).__name__}; export needs CollabDataBunch, "
                             "TabularDataBunch, ImageDataBunch or DataBunch")


def data_from_json(content: dict[str, Any], path: Path) -> Any:
    """Return data without rows from the result of `data_to_json`.

    Parameters
    ----------
    content : dict
        The description.
    path : Path
        Folder of the learner's files.

    Returns
    -------
    DataBunch
        The data; ``add_test`` adds rows to predict.

    Examples
    --------
    >>> content = data_to_json(DataBunch([], [], c=2, classes=["cat", "dog"]))
    >>> data_from_json(content, Path()).classes
    ['cat', 'dog']
    """
    if content["kind"] == "arrays":
        return DataBunch([], [], path=path, c=content["c"], classes=content["classes"])
    if content["kind"] == "collab":
        return _collab(content, path)
    if content["kind"] == "images":
        return images_from_json(content, path)
    return _table(content, path)


def rated_pairs(data: DataBunch) -> Arrays:
    """Return which items each user has rated, in all rows except those of the test set.

    Parameters
    ----------
    data : CollabDataBunch
        The ratings.

    Returns
    -------
    dict of str to array (n,) of int32
        The numbers of users and of items, without repetitions.

    Raises
    ------
    ValueError
        If the data are not ratings.

    Examples
    --------
    >>> import pandas as pd
    >>> from minifast.data import CollabDataBunch
    >>> ratings = pd.DataFrame({"user": [1, 1, 2], "film": ["Alien", "Brazil", "Alien"],
    ...                         "rating": [5, 2, 4]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> {name: numbers.tolist() for name, numbers in rated_pairs(data).items()}.values()
    dict_values([[1, 1, 2], [1, 2, 1]])
    """
    if not isinstance(data, CollabDataBunch):
        raise ValueError(f"with_rated=True keeps the items that users have rated, but these data "
                         f"are a {type(data).__name__}; leave it out")
    rows = [[Tensor(column).numpy() for column in ds.x]
            for ds in (data.train_ds, data.valid_ds, *data.added) if ds is not None and len(ds)]
    pairs = np.unique(np.concatenate(rows, axis=1), axis=1).astype(np.int32) if rows \
        else np.zeros((2, 0), np.int32)
    return dict(zip(RATED, pairs, strict=True))


def add_rated(data: CollabDataBunch, pairs: list[Any]) -> None:
    """Add the pairs of `rated_pairs` to data without rows, for ``learn.recommend``.

    Parameters
    ----------
    data : CollabDataBunch
        The data.
    pairs : list of two arrays (n,)
        The numbers of users and of items.

    Raises
    ------
    ValueError
        If these are not two columns of numbers that the data have.

    Examples
    --------
    >>> import pandas as pd
    >>> ratings = pd.DataFrame({"user": [1, 1], "film": ["Alien", "Brazil"], "rating": [5, 2]})
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> add_rated(data, [np.array([1, 1], np.int32), np.array([1, 2], np.int32)])
    >>> len(data.added[0])
    2
    """
    sizes = [len(cats) for cats in data.categories]
    if len(pairs) != 2 or pairs[0].shape != pairs[1].shape or any(
            ids.dtype.kind != "i" or ids.ndim != 1 or (len(ids) and not 0 <= ids.min()
                                                       <= ids.max() < n)
            for ids, n in zip(pairs, sizes, strict=True)):
        raise ValueError("its rated items are not pairs of a user and an item")
    unknown = np.full(len(pairs[0]), np.nan, np.float32)
    data.added = [ArrayDataset(pairs, unknown)]


def _empty(x: list[Any], y: Any) -> DataLoader:
    return DataLoader(ArrayDataset(x, y), seed=0)


def _collab(content: dict[str, Any], path: Path) -> CollabDataBunch:
    none = np.zeros(0, np.int32)
    train, valid = (_empty([none, none], np.zeros(0, np.float32)) for _ in range(2))
    data = CollabDataBunch(train, valid, path=path, c=1)
    data.categories = [from_object_json(cats, {}, ()) for cats in content["categories"]]
    data.rating_name, data.added = content["rating_name"], []
    data.classes = {cats.name: cats.classes for cats in data.categories}
    return data


def _table(content: dict[str, Any], path: Path) -> Any:
    arrays: Arrays = {}
    processor, targets = (from_object_json(content[name], arrays, _kinds())
                          for name in ("processor", "targets"))
    x = [np.zeros((0, len(processor.cat_names)), np.int64),
         np.zeros((0, len(processor.cont_names)), np.float32)]
    y = np.zeros(0, np.float32 if targets.classes is None else np.int64)
    data = _tabular()(_empty(x, y), _empty(x, y), path=path, c=targets.c, classes=targets.classes)
    data.processor, data.targets = processor, targets
    data.cat_names, data.cont_names = processor.cat_names, processor.cont_names
    data.categories = [processor.categories[name] for name in data.cat_names]
    return data


def add_test(data: Any, test: Any, bs: int = 64) -> Any:
    """Add a test loader with rows to predict: fastai v1's ``data.add_test``.

    ``learn.get_preds(DatasetType.Test)`` returns the predictions.

    Parameters
    ----------
    data : CollabDataBunch or TabularDataBunch
        The data.
    test : pandas.DataFrame (n, ...)
        The rows, with the columns of the inputs. Labels that are not in the training rows count as
        missing.
    bs : int
        Rows in a batch.

    Returns
    -------
    DataBunch
        The same data.

    Raises
    ------
    TypeError
        If the data are of another class.
    UnknownColumnError
        If a column is missing. It is a KeyError.

    Examples
    --------
    >>> import pandas as pd
    >>> from minifast.data import CollabDataBunch
    >>> rows = [(1, "a", 5), (1, "b", 3), (2, "a", 4), (2, "b", 1)]
    >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    >>> data = CollabDataBunch.from_df(ratings, valid_pct=0, bs=2)
    >>> len(add_test(data, ratings[:3]).test_dl.dataset)
    3
    """
    if isinstance(data, CollabDataBunch):
        check_columns(test.columns, [cats.name for cats in data.categories])
        x = [encode(cats, test) for cats in data.categories]
    elif isinstance(data, _tabular()):
        return data.add_test(test, bs=bs)
    else:
        raise TypeError(f"add_test() needs data of ratings or tables, not a "
                        f"{type(data).__name__}; pass test_dl= when you create the data")
    rows = ArrayDataset(x, np.zeros(len(test), np.float32)).to(data.device)
    data.test_dl = DataLoader(rows, bs, seed=0)
    return data
