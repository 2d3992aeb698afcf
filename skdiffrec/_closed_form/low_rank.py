"""A low-rank closed form: histories are projected on the leading singular directions of all rows.

PureSVD (Cremonesi et al. 2010) of a scaled matrix (EigenRec, arXiv 1511.06033; as a graph filter,
arXiv 2108.07567): few directions say what few interactions cannot, item by item.
"""

from typing import NamedTuple

import numpy as np

from .._utils.rows import sampled_rows, scale_rows
from .._utils.singular_vectors import SVD_ENTRIES, right_singular_vectors
from .blending import popularity_discounts, spread

_LENGTH_EXPONENT = 0.5  # a user of n items counts as n ** -.5 users
_POPULARITY_EXPONENT = 0.4  # of the counts that an item's column is divided by
MOST_FACTORS = 128  # of more, lists of large catalogues cost more than they gain


class LowRank(NamedTuple):
    """Scores ``(h @ read) @ write.T`` of weighted histories h."""

    read: np.ndarray  # float32 (n_items, n_factors): what an item of a history says of a user
    write: np.ndarray  # float32 (n_items, n_factors): what that says of an item

    def scores(self, rows):
        """Of weighted histories (n_rows, n_items)."""
        return (rows @ self.read) @ self.write.T

    def first(self, n_factors):
        """The same of fewer directions, the leading ones."""
        return LowRank(*(np.ascontiguousarray(part[:, :n_factors]) for part in self))


def low_rank_form(X, row_weight, seed):
    """A `LowRank` of up to 128 directions, the leading ones first.

    Parameters
    ----------
    X : csr_array of float32 ones, shape (n_users, n_items)
    row_weight : ndarray of float64, shape (n_users,)
        How many users a row stands for.
    seed : int
        Of the randomised SVD.
    """
    factor = popularity_discounts(X.T @ row_weight, _POPULARITY_EXPONENT)
    rows = sampled_rows(X, SVD_ENTRIES, seed)
    lengths = np.maximum(np.diff(X.indptr), 1)[rows]
    scaled = scale_rows(X[rows], np.sqrt(row_weight[rows] * lengths**-_LENGTH_EXPONENT))
    scaled.data *= factor[scaled.indices]
    # all of them, also where fewer are kept: the leading ones are then found more exactly
    V = right_singular_vectors(scaled, min(MOST_FACTORS, *scaled.shape), seed)
    return LowRank(
        *(np.ascontiguousarray(V * f[:, None], np.float32) for f in (factor, 1 / factor))
    )


def low_rank_beside(form, score, read, settings):
    """A `LowRank` whose scores spread over items `factor_share` as far as those of a closed form.

    Parameters
    ----------
    form : LowRank
        Of all directions.
    score : callable
        The function of weighted histories that the closed form is.
    read : csr_array of float32, shape (n_rows, n_items)
        Weighted histories, some of which say how far scores spread.
    settings : ClosedFormSettings
    """
    low_rank = form.first(settings.n_factors)
    own = spread(low_rank.scores, read)
    factor = settings.factor_share * spread(score, read) / own if own else 0.0
    return low_rank._replace(write=low_rank.write * np.float32(factor))
