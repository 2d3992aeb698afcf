"""Which closed form joins the network, chosen on hidden items of the training rows."""

import numpy as np
import scipy.sparse as sp

from ._item_path import EASE_MAX_ITEMS, PathSettings, solve_path
from ._rows import hide_items
from ._spaces import ItemPath
from ._topk import masked_topk
from .metrics import ndcg_at_k
from .preprocessing import history_weights

_RIDGES = (3.0, 10.0, 30.0)  # candidates for λ, in users of a mean item
_LENGTH_EXPONENTS = (0.0, 0.5)
_HIDDEN, _MAX_USERS, _K = 0.2, 2_000, 10


def path_kinds(item_path, n_items):
    """Which closed forms are candidates."""
    if item_path == "auto":
        return ("ease", "neighborhood") if n_items <= EASE_MAX_ITEMS else ("neighborhood",)
    return (item_path,)


def build_path(X, row_weight, item_path, reg, *, read, values, seed):
    """The closed-form path of canonical rows; see `choose_path` for the parameters."""
    kinds = path_kinds(item_path, X.shape[1])
    if isinstance(reg, str):
        settings = choose_path(X, row_weight, kinds, read, values, seed)
    else:
        settings = PathSettings(kinds[0], 0.0, 0.0, float(reg))
    ones = history_weights(X, "binary", None)
    mean_history = read(X).T @ (row_weight / row_weight.sum())
    return ItemPath(solve_path(ones, row_weight, settings), mean_history)


def choose_path(X, row_weight, kinds, read, values, seed):
    """The settings whose closed form finds most of the hidden items of up to 2,000 users.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Canonical.
    row_weight : ndarray of float64, shape (n_users,)
    kinds : sequence of {"ease", "neighborhood"}
    read : callable
        ``f(X)`` gives what a model reads of histories.
    values : {"binary", "weight", "time"}
        Of `X`: they say which items are hidden.
    seed : int

    Returns
    -------
    settings : PathSettings
    """
    divisible = np.flatnonzero(np.diff(X.indptr) > 1)
    if not len(divisible):
        return PathSettings(kinds[0], _RIDGES[1], 0.0)
    n_chosen = min(len(divisible), _MAX_USERS)
    chosen = np.sort(np.random.default_rng(seed).choice(divisible, n_chosen, replace=False))
    history, hidden = hide_items(X[chosen], values, _HIDDEN, seed)
    others = np.setdiff1d(np.arange(X.shape[0]), chosen)
    train = sp.vstack([X[others], history], format="csr")
    train = sp.csr_array((np.ones(train.nnz, np.float32), train.indices, train.indptr), train.shape)
    weight = np.concatenate([row_weight[others], row_weight[chosen]])
    weighted = read(history)

    def quality(settings):
        B = solve_path(train, weight, settings)
        ndcg = []
        for first in range(0, n_chosen, 500):
            block = slice(first, first + 500)
            scores = weighted[block] @ B
            scores = scores.toarray() if sp.issparse(scores) else scores
            ids = masked_topk(scores.astype(np.float32), _K, history[block])[0]
            ndcg.append(ndcg_at_k(ids, hidden[block], k=_K, per_user=True))
        return np.average(np.concatenate(ndcg), weights=row_weight[chosen])

    candidates = [PathSettings(kinds[0], ridge, 0.0) for ridge in _RIDGES]
    # fewer variables need less ridge
    candidates += [PathSettings(kind, ridge, 0.0) for kind in kinds[1:] for ridge in _RIDGES[:2]]
    found = {settings: quality(settings) for settings in candidates}
    best = max(found, key=found.get)
    other = best._replace(length_exponent=_LENGTH_EXPONENTS[1])
    return other if quality(other) > found[best] else best
