"""From tables and arrays to batches."""
from .bunch import DataBunch, DatasetType
from .categorify import Categories, UnknownColumnError, UnknownLabelError, emb_sz_rule
from .images import ImageDataBunch
from .loader import ArrayDataset, DataLoader
from .picture_files import UnreadableImageError
from .planted import PlantedRatings, planted_ratings
from .processors import (
    Categorify,
    FillMissing,
    Normalize,
    TabularProc,
    TabularProcessor,
)
from .ratings import CollabDataBunch
from .sources import DataNotFoundError, URLs, movielens_100k, untar_data
from .split import random_split
from .tables import TabularDataBunch, TabularList
from .targets import CategoryList, FloatList

__all__ = ["ArrayDataset", "Categories", "Categorify", "CategoryList", "CollabDataBunch",
           "DataBunch", "DataLoader", "DataNotFoundError", "DatasetType", "FillMissing",
           "FloatList", "ImageDataBunch", "Normalize", "PlantedRatings", "TabularDataBunch",
           "TabularList", "TabularProc", "TabularProcessor", "URLs", "UnknownColumnError",
           "UnknownLabelError", "UnreadableImageError", "emb_sz_rule", "movielens_100k",
           "planted_ratings", "random_split", "untar_data"]
