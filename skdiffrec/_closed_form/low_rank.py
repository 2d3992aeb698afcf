"""A low-rank closed form: histories are projected on the leading singular directions of all rows.

PureSVD (Cremonesi et al. 2010) of a scaled matrix (EigenRec, arXiv 1511.06033; as a graph filter,
arXiv 2108.07567): few directions say what few interactions cannot, item by item.
"""

from typing import NamedTuple

import numpy as np

from .._utils.cuts import divisible_rows, hide_share
from .._utils.recency import history_weights
from .._utils.row_view import replaced_rows
from .._utils.rows import sampled_rows, scale_rows
from .._utils.singular_vectors import SVD_ENTRIES, right_singular_vectors
from .blending import popularity_discounts
from .held_out import HeldOut, held_out_quality, ranked_items

_LENGTH_EXPONENT = 0.5  # a user of n items counts as n ** -.5 users
_POPULARITY_EXPONENT = 0.4  # of the counts that an item's column is divided by
_NUMBERS = (8, 16, 32, 64, 128)  # of directions, to choose from
_HELD_OUT, _MAX_USERS = 0.2, 2_000


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
    # the leading ones of more directions than are kept are found more exactly
    V = right_singular_vectors(scaled, min(_NUMBERS[-1], *scaled.shape), seed)
    return LowRank(
        *(np.ascontiguousarray(V * f[:, None], np.float32) for f in (factor, 1 / factor))
    )


def best_number(X, row_weight, seed):
    """How many directions find most of the held-out items of up to 2,000 users; 0 of none.

    Parameters
    ----------
    X, row_weight, seed
        As in `low_rank_form`.
    """
    divisible = divisible_rows(X, False)
    if not len(divisible):
        return 0
    n_chosen = min(len(divisible), _MAX_USERS)
    chosen = np.sort(np.random.default_rng(seed).choice(divisible, n_chosen, replace=False))
    history, holdout = hide_share(X[chosen], "binary", _HELD_OUT, seed, False)
    train = history_weights(replaced_rows(X, chosen, history), "binary", None)
    form = low_rank_form(train, row_weight, seed)
    held_out = HeldOut(history_weights(history, "binary", None), holdout, row_weight[chosen])
    ranked = ranked_items(holdout, seed)
    form = form if ranked is None else form._replace(write=form.write[ranked])
    numbers = [n for n in _NUMBERS if n <= form.read.shape[1]] or [form.read.shape[1]]
    found = [held_out_quality(form.first(n).scores, held_out, ranked) for n in numbers]
    return numbers[int(np.argmax(found))]
