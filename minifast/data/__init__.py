"""From tables and arrays to batches."""
from .bunch import DataBunch, DatasetType
from .categorify import Categories, UnknownColumnError, UnknownLabelError, emb_sz_rule
from .loader import ArrayDataset, DataLoader
from .planted import PlantedRatings, planted_ratings
from .ratings import CollabDataBunch
from .sources import DataNotFoundError, URLs, movielens_100k, untar_data
from .split import random_split

__all__ = ["ArrayDataset", "Categories", "CollabDataBunch", "DataBunch", "DataLoader",
           "DataNotFoundError", "DatasetType", "PlantedRatings", "URLs", "UnknownColumnError",
           "UnknownLabelError", "emb_sz_rule", "movielens_100k", "planted_ratings",
           "random_split", "untar_data"]
