"""Which closed form joins the network, chosen on hidden items of the training rows."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .._network.spaces import ItemPath
from .._parameters import is_dense
from .._utils.rows import hide_items, sampled_rows
from .._utils.topk import masked_topk
from ..metrics import ndcg_at_k
from ..preprocessing import history_weights
from .solver import EASE_MAX_ITEMS, PathSettings, PathSolver, solve_path
from .transitions import transitions

# Items that are hidden at random are more like those that stay than what users take next: they
# choose too little ridge. So without times only the form is chosen, whose ridge is given; fewer
# variables need less, which hidden items favour.
_WITHOUT_TIMES = {
    "ease": PathSettings("ease", 10.0, 0.0),
    "neighborhood": PathSettings("neighborhood", 3.0, 0.5),
}
_HANDICAP = {"ease": 1.0, "neighborhood": 0.97}
_RIDGES = (3.0, 10.0, 30.0)  # candidates for λ, in users of a mean item
_LENGTH_EXPONENT = 0.5  # tried once, against 0
_HIDDEN, _MAX_USERS, _K = 0.2, 2_000, 10
_ENOUGH_JUDGES = 200
_MAX_TARGETS = 5_000  # items that are ranked while choosing, in larger catalogues
_MAX_ENTRIES, _CHOICE_ENTRIES = 20_000_000, 5_000_000  # of the rows in the fit, and in the choice
_CHOICE_CUT_ENTRIES = 3_000_000  # of transitions, while choosing
# Of transitions in the fit: tried with both half-lives, then more and less of them.
_SHARE, _MORE_SHARES, _TARGET_HALF_LIVES = 0.7, (0.4, 0.9), (10.0, None)


def path_kinds(item_path, n_items):
    """Which closed forms are candidates."""
    if item_path == "auto":
        return ("ease", "neighborhood") if n_items <= EASE_MAX_ITEMS else ("neighborhood",)
    return (item_path,)


class Judges(NamedTuple):
    """Rows with hidden items, and how many users each stands for."""

    history: sp.csr_array  # (n_rows, n_items)
    hidden: sp.csr_array  # (n_rows, n_items)
    weight: np.ndarray  # float64 (n_rows,)


def build_path(X, row_weight, item_path, reg, *, values, half_life, seed, judges=None):
    """The closed-form path of canonical rows.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Canonical.
    row_weight : ndarray of float64, shape (n_users,)
    item_path, reg, values, half_life
        As in `CFGDiffusionRecommender`.
    seed : int
    judges : Judges, default=None
        Of items that are hidden from X already. They can judge forms that are solved for good;
        without times, where they are many enough, no others are hidden.
    """
    kinds = path_kinds(item_path, X.shape[1])
    mean_history = history_weights(X, values, half_life).T @ (row_weight / row_weight.sum())
    entries = np.diff(X.indptr) @ row_weight
    kept = sampled_rows(X, _MAX_ENTRIES, seed)
    if len(kept) < X.shape[0]:
        X, row_weight = X[kept], row_weight[kept]
    ones = history_weights(X, "binary", None)
    if isinstance(reg, str):
        if values != "time" and is_dense(X):
            kinds = kinds[:1]  # EASE where it may be: there the other has never won
        judged = judges is not None and len(judges.weight) >= _ENOUGH_JUDGES
        if judged and len(kinds) > 1 and values != "time":
            return ItemPath(_better_form(ones, row_weight, judges, values), mean_history)
        settings = choose_path(X, row_weight, kinds, values, half_life, seed)
    else:
        share = np.diff(X.indptr) @ row_weight / entries if entries else 1.0
        settings = PathSettings(kinds[0], 0.0, 0.0, float(reg) * share)
    moments = transitions(X, half_life, seed) if settings.transition_share else None
    return ItemPath(solve_path(ones, row_weight, settings, moments), mean_history)


def _better_form(X, row_weight, judges, values):
    """The closed form that finds most of the hidden items of judges."""
    forms = dict(PathSolver(X, row_weight).solve(_WITHOUT_TIMES.values()))
    read = history_weights(judges.history, values, None)
    return forms[
        _best_form({s: _quality(B, judges._replace(history=read)) for s, B in forms.items()})
    ]


def _best_form(found):
    """The best of settings whose qualities are `found`."""
    return max(found, key=lambda settings: found[settings] * _HANDICAP[settings.kind])


def choose_path(X, row_weight, kinds, values, half_life, seed):
    """The settings whose closed form finds most of the hidden items of up to 2,000 users.

    With times all settings are chosen, without only the form.

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
    if not len(divisible) or (len(kinds) == 1 and values != "time"):
        return _WITHOUT_TIMES[kinds[0]]
    n_chosen = min(len(divisible), _MAX_USERS)
    chosen = np.sort(np.random.default_rng(seed).choice(divisible, n_chosen, replace=False))
    history, hidden = hide_items(X[chosen], values, _HIDDEN, seed)
    others = np.setdiff1d(np.arange(X.shape[0]), chosen)
    if X.nnz > _CHOICE_ENTRIES:
        others = others[sampled_rows(X[others], _CHOICE_ENTRIES, seed)]
    train = sp.vstack([X[others], history], format="csr")
    weight = np.concatenate([row_weight[others], row_weight[chosen]])
    moments = None
    if values == "time":
        moments = transitions(train, half_life, seed, _CHOICE_CUT_ENTRIES)
    train = history_weights(train, "binary", None)
    judges = Judges(history_weights(history, values, half_life), hidden, row_weight[chosen])
    ranked = ranked_items(hidden, seed)
    solver = PathSolver(train, weight, moments, ranked)

    def qualities(candidates):
        for settings, B in solver.solve(candidates):
            yield settings, _quality(B, judges, ranked)

    return _search(qualities, kinds, moments)


def ranked_items(hidden, seed):
    """The items that candidates have to rank: all (None), or of many some that were hidden.

    Hidden ones are about as popular as those that compete for the first places.
    """
    if hidden.shape[1] <= EASE_MAX_ITEMS:
        return None
    items = np.unique(hidden.indices)
    if len(items) > _MAX_TARGETS:
        items = np.random.default_rng(seed).choice(items, _MAX_TARGETS, replace=False)
    return np.sort(items)


def _search(qualities, kinds, moments):
    """One choice after the other: the form and its ridge, then what it is fitted on."""
    found = {}

    def best_of(candidates):
        found.update(qualities([c for c in candidates if c not in found]))
        return max(found, key=found.get)

    if moments is None:
        best_of(_WITHOUT_TIMES[kind] for kind in kinds)
        return _best_form(found)
    # fewer variables need less ridge
    best = best_of(
        PathSettings(kind, ridge, 0.0)
        for kind in kinds
        for ridge in (_RIDGES if kind == kinds[0] else _RIDGES[:2])
    )
    best = best_of([best._replace(length_exponent=_LENGTH_EXPONENT)])
    if not len(moments.rows):
        return best
    best = best_of(
        best._replace(transition_share=_SHARE, target_half_life=near) for near in _TARGET_HALF_LIVES
    )
    if best.transition_share:
        best = best_of(best._replace(transition_share=share) for share in _MORE_SHARES)
        best = best_of(best._replace(ridge=ridge) for ridge in _RIDGES)
    return best


def _quality(B, judges, ranked=None):
    """Mean nDCG@10 by judges with weighted histories, among the `ranked` items (None: all).

    Rows of which none of these is hidden do not count.
    """
    ndcg = []
    read, hidden, weight = judges
    seen = read
    if ranked is not None:
        seen, hidden = read[:, ranked], hidden[:, ranked]
    for first in range(0, read.shape[0], 500):
        block = slice(first, first + 500)
        scores = read[block] @ B
        scores = scores.toarray() if sp.issparse(scores) else scores
        ids = masked_topk(scores.astype(np.float32), _K, seen[block])[0]
        ndcg.append(ndcg_at_k(ids, hidden[block], k=_K, per_user=True))
    ndcg = np.concatenate(ndcg)
    judged = ~np.isnan(ndcg)
    return np.average(ndcg[judged], weights=weight[judged])
