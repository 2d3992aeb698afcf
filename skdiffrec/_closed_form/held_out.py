"""Held-out items of some training rows, and how well lists find them."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csr_array

from .._utils.cuts import OrderedRows
from .._utils.row_view import replaced_rows
from .._utils.rows import select_entries
from .._utils.topk import masked_topk
from ..metrics import ndcg_at_k

K = 10  # length of the lists
_MOST_MOMENTS = 3  # of a row, that are held out
MOST_RANKED = 5_000  # items, while choosing in larger catalogues


class HeldOut(NamedTuple):
    """Rows that were cut into a history and held-out items."""

    history: csr_array  # (n_rows, n_items)
    holdout: csr_array  # (n_rows, n_items)
    weight: np.ndarray  # float64 (n_rows,): how many users a row stands for
    user_features: csr_array | None = None  # (n_rows, n_user_features)
    disliked: csr_array | None = None  # (n_rows, n_items)

    def ndcg(self, ids):
        """Mean nDCG@10 of lists (n_rows, 10); rows without held-out items do not count."""
        values = np.asarray(ndcg_at_k(ids, self.holdout, k=K, per_user=True))
        counted = ~np.isnan(values)
        return float(np.average(values[counted], weights=self.weight[counted]))


def held_out_quality(score, held_out, ranked=None):
    """Mean nDCG@10 of held-out items, in lists made of the `ranked` items (None: all).

    ``score(rows)`` gives scores of these items, a matrix, for weighted histories, which are those
    of `held_out`.
    """
    read = held_out.history
    seen, holdout = read, held_out.holdout
    if ranked is not None:
        seen, holdout = read[:, ranked], holdout[:, ranked]
    lists = []
    for first in range(0, read.shape[0], 500):
        block = slice(first, first + 500)
        scores = score(read[block])
        scores = scores.toarray() if sp.issparse(scores) else scores
        lists.append(masked_topk(scores.astype(np.float32), K, seen[block])[0])
    return held_out._replace(holdout=holdout).ndcg(np.concatenate(lists))


def ranked_items(holdout, seed):
    """The items that candidates have to rank: all (None), or of many some that were held out.

    Held-out ones are about as popular as those that compete for the first places.
    """
    if holdout.shape[1] <= MOST_RANKED:
        return None
    items = np.unique(holdout.indices)
    if len(items) > MOST_RANKED:
        items = np.random.default_rng(seed).choice(items, MOST_RANKED, replace=False)
    return np.sort(items)


def hold_out_moments(X, chosen, row_weight, horizon, share, seed, user_features=None):
    """Hold out the latest items of some rows of times, and ask at some moments: what is next?

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
        Canonical.
    chosen : ndarray of int64
        Rows, ascending.
    row_weight : ndarray of float64, shape (n_rows,)
    horizon : int
        How many items are next.
    share : float
        Of a row, in which these moments begin, three at the most, and one in any case; before the
        last `horizon` items where a row has more.
    seed : int
        Decides the order of items of the same time.
    user_features : csr_array of shape (n_rows, n_user_features), default=None

    Returns
    -------
    train : csr_array of shape (n_rows, n_items)
        X without the first of these moments and what follows.
    held_out : HeldOut or None
        A row for every moment; None where no row has two.
    """
    ordered = OrderedRows(X[chosen], seed)
    asked = ordered.latest_moments(share, _MOST_MOMENTS, horizon)
    if not len(asked):
        return X, None
    n_kept = ordered.length.copy()
    np.minimum.at(n_kept, ordered.row[asked], ordered.place[asked])
    kept = select_entries(ordered.X, ordered.order < np.repeat(n_kept, ordered.length))
    row = chosen[ordered.row[asked]]
    history, holdout = ordered.next_items(asked, horizon)
    features = None if user_features is None else user_features[row]
    return replaced_rows(X, chosen, kept), HeldOut(history, holdout, row_weight[row], features)
