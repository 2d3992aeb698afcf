"""Which closed form joins the network, chosen on hidden items of the training rows."""

import numpy as np
import scipy.sparse as sp

from ._item_path import EASE_MAX_ITEMS, PathSettings, solve_path
from ._rows import hide_items
from ._spaces import ItemPath
from ._topk import masked_topk
from ._transitions import transitions
from .metrics import ndcg_at_k
from .preprocessing import history_weights

_RIDGES = (3.0, 10.0, 30.0)  # candidates for λ, in users of a mean item
_LENGTH_EXPONENT = 0.5  # tried once, against 0
_HIDDEN, _MAX_USERS, _K = 0.2, 2_000, 10
_CHOICE_ENTRIES = 3_000_000  # of transitions, while choosing
# Of transitions in the fit: tried with both half-lives, then more and less of them.
_SHARE, _MORE_SHARES, _TARGET_HALF_LIVES = 0.7, (0.4, 0.9), (10.0, None)


def path_kinds(item_path, n_items):
    """Which closed forms are candidates."""
    if item_path == "auto":
        return ("ease", "neighborhood") if n_items <= EASE_MAX_ITEMS else ("neighborhood",)
    return (item_path,)


def build_path(X, row_weight, item_path, reg, *, values, half_life, seed):
    """The closed-form path of canonical rows.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Canonical.
    row_weight : ndarray of float64, shape (n_users,)
    item_path, reg, values, half_life
        As in `CFGDiffusionRecommender`.
    seed : int
    """
    kinds = path_kinds(item_path, X.shape[1])
    if isinstance(reg, str):
        settings = choose_path(X, row_weight, kinds, values, half_life, seed)
    else:
        settings = PathSettings(kinds[0], 0.0, 0.0, float(reg))
    moments = transitions(X, half_life, seed) if settings.transition_share else None
    ones = history_weights(X, "binary", None)
    mean_history = history_weights(X, values, half_life).T @ (row_weight / row_weight.sum())
    return ItemPath(solve_path(ones, row_weight, settings, moments), mean_history)


def choose_path(X, row_weight, kinds, values, half_life, seed):
    """The settings whose closed form finds most of the hidden items of up to 2,000 users.

    Parameters
    ----------
    X, row_weight, values, half_life, seed
        As in `build_path`.
    kinds : sequence of {"ease", "neighborhood"}

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
    weight = np.concatenate([row_weight[others], row_weight[chosen]])
    moments = None
    if values == "time":
        moments = transitions(train, half_life, seed, _CHOICE_ENTRIES)
    train = history_weights(train, "binary", None)
    read = history_weights(history, values, half_life)

    def quality(settings):
        B = solve_path(train, weight, settings, moments)
        ndcg = _ndcg_of_path(B, read, hidden)
        return np.average(ndcg, weights=row_weight[chosen])

    return _search(quality, kinds, values == "time" and len(moments.rows) > 0)


def _search(quality, kinds, with_transitions):
    """One choice after the other: the form and its ridge, then what it is fitted on."""
    found = {}

    def best_of(candidates):
        for settings in candidates:
            if settings not in found:
                found[settings] = quality(settings)
        return max(found, key=found.get)

    # fewer variables need less ridge
    best = best_of(
        PathSettings(kind, ridge, 0.0)
        for kind in kinds
        for ridge in (_RIDGES if kind == kinds[0] else _RIDGES[:2])
    )
    best = best_of([best._replace(length_exponent=_LENGTH_EXPONENT)])
    if not with_transitions:
        return best
    best = best_of(
        best._replace(transition_share=_SHARE, target_half_life=near) for near in _TARGET_HALF_LIVES
    )
    if best.transition_share:
        best = best_of(best._replace(transition_share=share) for share in _MORE_SHARES)
        best = best_of(best._replace(ridge=ridge) for ridge in _RIDGES)
    return best


def _ndcg_of_path(B, read, hidden):
    """nDCG@10 of every row for weighted histories `read`, ndarray (n_rows,)."""
    ndcg = []
    for first in range(0, read.shape[0], 500):
        block = slice(first, first + 500)
        scores = read[block] @ B
        scores = scores.toarray() if sp.issparse(scores) else scores
        ids = masked_topk(scores.astype(np.float32), _K, read[block])[0]
        ndcg.append(ndcg_at_k(ids, hidden[block], k=_K, per_user=True))
    return np.concatenate(ndcg)
