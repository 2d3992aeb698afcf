"""Data sets: public ones, a loader for split interaction files, and a generator."""

from .._utils.row_blocks import RowBlocks
from ._download import get_data_home
from ._generator import make_interactions
from ._gowalla import fetch_gowalla
from ._groceries import load_groceries
from ._lastfm import fetch_lastfm
from ._movielens import fetch_movielens
from ._npz import load_npz
from ._online_retail import fetch_online_retail

__all__ = [
    "RowBlocks",
    "fetch_gowalla",
    "fetch_lastfm",
    "fetch_movielens",
    "fetch_online_retail",
    "get_data_home",
    "load_groceries",
    "load_npz",
    "make_interactions",
]
