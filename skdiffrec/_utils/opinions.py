"""What ratings say: which items of a row are liked, which are disliked, and how much."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from .canonical import RATING
from .rows import entry_rows, rounded_share, select_entries
from .warning import warn_caller

_FEWEST = 5  # ratings that have a mean to go by
# of the highest rating: what a mean may be off by rounding, or a rating that was stored in float32
_TOLERANCE = 1e-6


def learned_opinions(values, X, liked_from, row_weight):
    """The `Opinions` of canonical rows X, checked; None where their values are no ratings."""
    if values != RATING:
        return None
    opinions = Opinions.learned(X, liked_from, row_weight)
    opinions.check()
    return opinions


@dataclass(frozen=True)
class Opinions:
    """How ratings are read, learned from those of `fit`.

    Parameters
    ----------
    liked_from : float
        The least rating of a liked item; with `own_means` only for users of fewer than five
        ratings, or of five and more that are all the same.
    own_means : bool
        Whether other users like what they rate at their own mean or above.
    lowest, highest : float
        Ratings seen in `fit`; what lies beyond counts as these.
    """

    liked_from: float
    own_means: bool
    lowest: float
    highest: float

    @classmethod
    def learned(cls, X, liked_from, row_weight):
        """From canonical ratings (n_rows, n_items); `row_weight` says how many users a row is."""
        weight = row_weight[entry_rows(X)]
        counted = X.data[weight > 0]
        lowest, highest = float(counted.min()), float(counted.max())
        own_means = isinstance(liked_from, str)
        if own_means:
            liked_from = np.average(X.data, weights=weight)
        return cls(float(liked_from), own_means, lowest, highest)

    def check(self):
        """Some rating of `fit` must be a like; warn where none is a dislike."""
        seen = f"the ratings in X lie between {self.lowest:g} and {self.highest:g}"
        if self.liked_from > self.highest:
            raise ValueError(
                f"liked_from={self.liked_from:g}, but {seen}: nobody likes anything. Give a rating "
                'among them, or "auto".'
            )
        if self.lowest >= self.liked_from:
            warn_caller(
                f"Nothing is disliked: {seen}, and all from {self.liked_from:g} on are likes. Give "
                'another liked_from, or values="binary".',
            )

    def warn_of_others(self, X):
        """Warn if canonical ratings lie outside of those of `fit`."""
        low, high = self.lowest - self.tolerance, self.highest + self.tolerance
        if X.nnz and not low <= X.data.min() <= X.data.max() <= high:
            warn_caller(
                f"X has ratings from {X.data.min():g} to {X.data.max():g}, but fit saw "
                f"{self.lowest:g} to {self.highest:g}: those beyond count as the nearest of these.",
            )

    def thresholds(self, X):
        """The least rating of a liked item for every row, float64 (n_rows,)."""
        found = np.full(X.shape[0], self.liked_from)
        if not self.own_means:
            return found
        row, ratings = entry_rows(X), X.data.clip(self.lowest, self.highest)
        n = np.bincount(row, minlength=X.shape[0])
        mean = np.bincount(row, ratings, X.shape[0]) / np.maximum(n, 1)
        furthest = np.zeros(X.shape[0])
        np.maximum.at(furthest, row, np.abs(ratings - mean[row]))
        return np.where(self.has_mean(n, furthest), mean, found)

    def has_mean(self, n, furthest):
        """Whether rows of n ratings, the furthest so far from their mean, are read by that."""
        return (n >= _FEWEST) & (furthest > self.tolerance)

    @property
    def tolerance(self):
        """What ratings may differ by and be the same."""
        return _TOLERANCE * self.highest

    def split(self, X, by=None):
        """(liked, disliked) items of canonical ratings, csr_arrays of weights from 0.5 to 1.

        Where users go by their own mean, it is that of their rows of `by` (None: of X).
        """
        thresholds = self.thresholds(X if by is None else by)
        signed = self.strength(X.data, thresholds[entry_rows(X)], np)
        opinions = csr_array((signed, X.indices, X.indptr), shape=X.shape)
        liked, disliked = (select_entries(opinions, mask) for mask in (signed > 0, signed < 0))
        disliked.data = -disliked.data
        return liked, disliked

    def strength(self, ratings, threshold, kind):
        """From −1 to −0.5 for what is disliked, from 0.5 to 1 for what is liked.

        `kind` is the module of the arrays, numpy or torch.
        """
        ratings = ratings.clip(self.lowest, self.highest)
        liked = ratings >= threshold - self.tolerance
        farthest = kind.where(liked, self.highest - threshold, threshold - self.lowest)
        farthest = kind.where(farthest > self.tolerance, farthest, kind.ones_like(farthest))
        size = rounded_share(0.5 + 0.5 * (abs(ratings - threshold) / farthest).clip(0, 1))
        return kind.where(liked, size, -size)
