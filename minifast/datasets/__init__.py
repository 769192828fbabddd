"""Where ratings come from: downloads, planted ratings, files too large for one frame."""
from . import methods as methods
from .planted import PlantedRatings as PlantedRatings
from .planted import planted_ratings as planted_ratings
from .rows import RowDataset as RowDataset
from .sources import DataNotFoundError as DataNotFoundError
from .sources import URLs as URLs
from .sources import movielens_100k as movielens_100k
from .sources import untar_data as untar_data
