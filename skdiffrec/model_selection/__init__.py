"""Holdouts, splitters and scorers: how a recommender is judged, in the ways scikit-learn knows."""

from ._guidance_scale_cv import GuidanceScaleCV
from ._holdouts import LastFraction, LastN, LeaveOneOut, SampleFraction, SampleN, TimeCut
from ._scorers import RankingScorer
from ._unseen_users import UnseenUsers

__all__ = [
    "GuidanceScaleCV",
    "LastFraction",
    "LastN",
    "LeaveOneOut",
    "RankingScorer",
    "SampleFraction",
    "SampleN",
    "TimeCut",
    "UnseenUsers",
]
