"""Which closed form joins the network, chosen on held-out items of the training rows."""

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from .._utils.recency import history_weights
from .._utils.rows import hide_items, is_dense, sampled_rows
from .._utils.topk import masked_topk
from .held_out import HeldOut, K
from .solver import EASE_MAX_ITEMS, ClosedFormSettings, ClosedFormSolver
from .transitions import transitions

# Items that are held out at random are more like those that stay than what users take next: they
# choose too little ridge. So without times only the form is chosen, whose ridge is given; fewer
# variables need less, which held-out items favour.
_WITHOUT_TIMES = {
    "ease": ClosedFormSettings("ease", 10.0, 0.0),
    "neighborhood": ClosedFormSettings("neighborhood", 3.0, 0.5),
}
_HANDICAP = {"ease": 1.0, "neighborhood": 0.97}
_RIDGES = (3.0, 10.0, 30.0)  # candidates for λ, as multiples of the mean diagonal of XᵀX
_LENGTH_EXPONENT = 0.5  # tried once, against 0
_HELD_OUT, _MAX_USERS = 0.2, 2_000
_ENOUGH_ROWS = 200  # of early stopping's, to choose by
_MAX_TARGETS = 5_000  # items that are ranked while choosing, in larger catalogues
_MAX_ENTRIES, _CHOICE_ENTRIES = 20_000_000, 5_000_000  # of the rows in the fit, and in the choice
_CHOICE_CUT_ENTRIES = 3_000_000  # of transitions, while choosing
# Of transitions in the fit: tried with both half-lives, then more and less of them.
_SHARE, _MORE_SHARES, _TARGET_HALF_LIVES = 0.7, (0.4, 0.9), (10.0, None)


def closed_form_matrix(X, row_weight, closed_form, *, values, half_life, seed, held_out=None):
    """The item-item weights of canonical rows, and what they read where a history is unknown.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Canonical.
    row_weight : ndarray of float64, shape (n_users,)
    closed_form : "auto" or ItemItemRecommender
        A recommender is cloned, and learns from all rows; "auto" chooses.
    values, half_life
        As in `CFGDiffusionRecommender`.
    seed : int
    held_out : HeldOut, default=None
        Items that were held out of X already. They can evaluate forms that are solved once;
        without times, where they are enough, no others are held out.

    Returns
    -------
    D : ndarray or csr_array of float32, shape (n_items, n_items)
    mean_history : ndarray of shape (n_items,)
    """
    mean_history = history_weights(X, values, half_life).T @ (row_weight / row_weight.sum())
    if not isinstance(closed_form, str):
        return clone(closed_form)._learn(X, row_weight), mean_history
    rows = sampled_rows(X, _MAX_ENTRIES, seed)
    if len(rows) < X.shape[0]:
        X, row_weight = X[rows], row_weight[rows]
    return _automatic(X, row_weight, values, half_life, seed, held_out), mean_history


def _automatic(X, row_weight, values, half_life, seed, held_out):
    """The item-item weights of the form that is chosen."""
    ones = history_weights(X, "binary", None)
    kinds = ("ease", "neighborhood") if X.shape[1] <= EASE_MAX_ITEMS else ("neighborhood",)
    if values != "time":
        if is_dense(X):
            kinds = kinds[:1]  # EASE where it may be: there the other has never won
        if len(kinds) > 1 and held_out is not None and len(held_out.weight) >= _ENOUGH_ROWS:
            return _better_form(ones, row_weight, held_out, values)
    settings = choose_settings(X, row_weight, kinds, values, half_life, seed)
    cuts = transitions(X, half_life, seed) if settings.transition_share else None
    return ClosedFormSolver(ones, row_weight, cuts).solve_once(settings)


def _better_form(X, row_weight, held_out, values):
    """The closed form that finds most of the held-out items."""
    forms = dict(ClosedFormSolver(X, row_weight).solve(_WITHOUT_TIMES.values()))
    read = held_out._replace(history=history_weights(held_out.history, values, None))
    return forms[_best_form({settings: held_out_quality(B, read) for settings, B in forms.items()})]


def _best_form(found):
    """The best of settings whose qualities are `found`."""
    return max(found, key=lambda settings: found[settings] * _HANDICAP[settings.kind])


def choose_settings(X, row_weight, kinds, values, half_life, seed):
    """The settings whose closed form finds most of the held-out items of up to 2,000 users.

    With times all settings are chosen, without only the form.

    Parameters
    ----------
    X, row_weight, values, half_life, seed
        As in `closed_form_matrix`.
    kinds : sequence of {"ease", "neighborhood"}

    Returns
    -------
    settings : ClosedFormSettings
    """
    divisible = np.flatnonzero(np.diff(X.indptr) > 1)
    if not len(divisible) or (len(kinds) == 1 and values != "time"):
        return _WITHOUT_TIMES[kinds[0]]
    n_chosen = min(len(divisible), _MAX_USERS)
    chosen = np.sort(np.random.default_rng(seed).choice(divisible, n_chosen, replace=False))
    history, holdout = hide_items(X[chosen], values, _HELD_OUT, seed)
    others = np.setdiff1d(np.arange(X.shape[0]), chosen)
    if X.nnz > _CHOICE_ENTRIES:
        others = others[sampled_rows(X[others], _CHOICE_ENTRIES, seed)]
    train = sp.vstack([X[others], history], format="csr")
    weight = np.concatenate([row_weight[others], row_weight[chosen]])
    cuts = None
    if values == "time":
        cuts = transitions(train, half_life, seed, _CHOICE_CUT_ENTRIES)
    train = history_weights(train, "binary", None)
    read = HeldOut(history_weights(history, values, half_life), holdout, row_weight[chosen])
    ranked = ranked_items(holdout, seed)
    solver = ClosedFormSolver(train, weight, cuts, ranked)

    def qualities(candidates):
        for settings, B in solver.solve(candidates):
            yield settings, held_out_quality(B, read, ranked)

    return _search(qualities, kinds, cuts)


def ranked_items(holdout, seed):
    """The items that candidates have to rank: all (None), or of many some that were held out.

    Held-out ones are about as popular as those that compete for the first places.
    """
    if holdout.shape[1] <= EASE_MAX_ITEMS:
        return None
    items = np.unique(holdout.indices)
    if len(items) > _MAX_TARGETS:
        items = np.random.default_rng(seed).choice(items, _MAX_TARGETS, replace=False)
    return np.sort(items)


def _search(qualities, kinds, cuts):
    """One choice after the other: the form and its ridge, then what it is fitted on."""
    found: dict[ClosedFormSettings, float] = {}

    def best_of(candidates):
        found.update(qualities([c for c in candidates if c not in found]))
        return max(found, key=lambda settings: found[settings])

    if cuts is None:
        best_of(_WITHOUT_TIMES[kind] for kind in kinds)
        return _best_form(found)
    # fewer variables need less ridge
    best = best_of(
        ClosedFormSettings(kind, ridge, 0.0)
        for kind in kinds
        for ridge in (_RIDGES if kind == kinds[0] else _RIDGES[:2])
    )
    best = best_of([best._replace(length_exponent=_LENGTH_EXPONENT)])
    if not len(cuts.rows):
        return best
    best = best_of(
        best._replace(transition_share=_SHARE, target_half_life=near) for near in _TARGET_HALF_LIVES
    )
    if best.transition_share:
        best = best_of(best._replace(transition_share=share) for share in _MORE_SHARES)
        best = best_of(best._replace(ridge=ridge) for ridge in _RIDGES)
    return best


def held_out_quality(B, held_out, ranked=None):
    """Mean nDCG@10 of held-out items, lists made of the `ranked` items (None: all).

    The history of `held_out` is weighted.
    """
    read = held_out.history
    seen, holdout = read, held_out.holdout
    if ranked is not None:
        seen, holdout = read[:, ranked], holdout[:, ranked]
    lists = []
    for first in range(0, read.shape[0], 500):
        block = slice(first, first + 500)
        scores = read[block] @ B
        scores = scores.toarray() if sp.issparse(scores) else scores
        lists.append(masked_topk(scores.astype(np.float32), K, seen[block])[0])
    return held_out._replace(holdout=holdout).ndcg(np.concatenate(lists))
