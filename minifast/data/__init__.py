"""From tables and arrays to batches."""
from .bunch import DataBunch, DatasetType
from .categories import Categories, UnknownColumnError, UnknownLabelError, emb_sz_rule
from .loader import ArrayDataset, DataLoader
from .ratings import CollabDataBunch
from .split import random_split, split_by_idx

__all__ = ["ArrayDataset", "Categories", "CollabDataBunch", "DataBunch", "DataLoader",
           "DatasetType", "UnknownColumnError", "UnknownLabelError", "emb_sz_rule", "random_split",
           "split_by_idx"]
