"""From tables and arrays to batches."""
from .bunch import DataBunch as DataBunch, DatasetType as DatasetType
from .categories import (Categories as Categories, UnknownColumnError as UnknownColumnError,
                         UnknownLabelError as UnknownLabelError, emb_sz_rule as emb_sz_rule)
from .loader import ArrayDataset as ArrayDataset, DataLoader as DataLoader
from .ratings import CollabDataBunch as CollabDataBunch
from .split import random_split as random_split, split_by_idx as split_by_idx
