"""Holdouts, splitters and scorers that evaluate recommenders with scikit-learn's tools."""

from ._guidance_scale_cv import GuidanceScaleCV
from ._holdouts import LastFraction, LastN, LeaveOneOut, SampleFraction, SampleN, TimeCut
from ._keep_n import KeepN
from ._scorers import RankingScorer
from ._split_table import split_table
from ._unseen_users import UnseenUsers

__all__ = [
    "GuidanceScaleCV",
    "KeepN",
    "LastFraction",
    "LastN",
    "LeaveOneOut",
    "RankingScorer",
    "SampleFraction",
    "SampleN",
    "TimeCut",
    "UnseenUsers",
    "split_table",
]
