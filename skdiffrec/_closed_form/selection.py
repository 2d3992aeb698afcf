"""Which closed form joins the network, chosen on held-out items of the training rows."""

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from .._utils.cuts import divisible_rows, hide_share
from .._utils.recency import history_weights
from .._utils.row_view import sum_over_rows
from .._utils.rows import is_dense, sampled_rows
from .held_out import HeldOut, held_out_quality, ranked_items
from .low_rank import low_rank_beside, low_rank_form
from .low_rank_choice import scores_of, with_low_rank
from .solver import EASE_MAX_ITEMS, ClosedFormSettings, ClosedFormSolver, SolvedForm
from .transitions import transitions

# Items that are held out at random are more like those that stay than what users take next: they
# choose too little ridge and too popular items. So without times all is given, by the share of X
# that is filled. Fewer variables need less ridge; the more is filled, the more of what users take
# next is found by cosines.
_SPARSE_ROWS = ClosedFormSettings("neighborhood", 3.0, 0.5)
_FILLED_ROWS = (
    (0.004, _SPARSE_ROWS._replace(discount=0.2, cosine_share=0.3)),
    (0.010, _SPARSE_ROWS._replace(discount=0.2, cosine_share=1.0)),
)
_DENSE_ROWS = ClosedFormSettings(
    "ease", 10.0, 0.0, ridge_exponent=0.5, discount=0.2, cosine_share=1.0
)
# Rows of few items that have little in common, tried where items are held out. These favour little
# ridge, so that it must be better by a twentieth.
_NOISY_ROWS = ClosedFormSettings("ease", 30.0, 0.5, ridge_exponent=0.5)
_BETTER = 1.05
_RIDGES = (3.0, 10.0, 30.0)  # candidates for λ, as multiples of the mean diagonal of XᵀX
_HELD_OUT, _MAX_USERS = 0.2, 2_000
_MAX_ENTRIES, _CHOICE_ENTRIES = 20_000_000, 5_000_000  # of the rows in the fit, and in the choice
_CHOICE_CUT_ENTRIES = 3_000_000  # of transitions, while choosing
# Of transitions in the fit: the second is tried with both half-lives, then more and less of them.
_SHARES, _TARGET_HALF_LIVES = (0.4, 0.7, 0.9), (10.0, None)
# tried last, together: for them nothing has to be solved again
_LAST_CHANGES = tuple(
    {"discount": discount, "cosine_share": share}
    for discount in (0.0, 0.2)
    for share in (0.0, 0.3, 1.0)
)[1:]


def solved_form(
    X,
    row_weight,
    closed_form,
    *,
    values,
    half_life,
    seed,
    sets=False,
    held_out=None,
    settings=None,
):
    """The closed form of canonical rows.

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
    sets : bool, default=False
        Whether items of one time are a set, such as an order.
    held_out : HeldOut, default=None
        Of rows of X, which has their histories. Rows of times hold out others.
    settings : ClosedFormSettings, default=None
        What was chosen before; None chooses.

    Returns
    -------
    form : SolvedForm
    """
    share = row_weight / row_weight.sum()
    mean_history = sum_over_rows(
        X, lambda rows, block: history_weights(rows, values, half_life).T @ share[block]
    )
    if not isinstance(closed_form, str):
        whole = X if sp.issparse(X) else X[:]
        weights = clone(closed_form)._learn(whole, row_weight)
        return SolvedForm(weights, mean_history, half_life)
    rows = sampled_rows(X, _MAX_ENTRIES, seed)
    if len(rows) < X.shape[0] or not sp.issparse(X):
        X, row_weight = X[rows], row_weight[rows]
    chosen = settings
    if settings is None and values == "time":
        chosen = choose_settings(X, row_weight, half_life, seed, sets)
    chosen = chosen or without_times(X)
    cuts = transitions(X, half_life, seed) if chosen.transition_share else None
    solver = ClosedFormSolver(history_weights(X, "binary", None), row_weight, cuts)
    B, low_rank = solver.solve_once(chosen), None
    if settings is None and values != "time" and held_out is not None and not is_dense(X):
        history = history_weights(held_out.history, values, half_life)
        given = solver, held_out._replace(history=history)
        B, chosen = _less_sure(B, chosen, *given)
        chosen, low_rank = with_low_rank(B, chosen, *given, seed)
    elif chosen.n_factors:
        form = low_rank_form(solver.X, row_weight, seed)
        low_rank = low_rank_beside(form, scores_of(B), solver.X, chosen)
    return SolvedForm(B, mean_history, half_life, settings=chosen, low_rank=low_rank)


def _less_sure(B, settings, solver, held_out):
    """(B, settings), or those of noisy rows where held-out items are clearly for these."""
    if B.shape[1] > EASE_MAX_ITEMS:
        return B, settings
    other = solver.solve_once(_NOISY_ROWS)
    least = _BETTER * held_out_quality(scores_of(B), held_out)
    better = held_out_quality(scores_of(other), held_out) > least
    return (other, _NOISY_ROWS) if better else (B, settings)


def without_times(X):
    """ClosedFormSettings of rows that do not say when."""
    if is_dense(X) and X.shape[1] <= EASE_MAX_ITEMS:
        return _DENSE_ROWS
    filled, settings = X.nnz / (X.shape[0] * X.shape[1]), _SPARSE_ROWS
    for least, of_filled in _FILLED_ROWS:
        settings = of_filled if filled >= least else settings
    return settings


def choose_settings(X, row_weight, half_life, seed, sets=False):
    """The settings whose closed form finds most of the latest items of up to 2,000 users.

    Parameters
    ----------
    X, row_weight, half_life, seed, sets
        As in `solved_form`, of times.

    Returns
    -------
    settings : ClosedFormSettings
    """
    divisible = divisible_rows(X, sets)
    if not len(divisible):
        return without_times(X)
    n_chosen = min(len(divisible), _MAX_USERS)
    chosen = np.sort(np.random.default_rng(seed).choice(divisible, n_chosen, replace=False))
    history, holdout = hide_share(X[chosen], "time", _HELD_OUT, seed, sets)
    others = np.setdiff1d(np.arange(X.shape[0]), chosen)
    if X.nnz > _CHOICE_ENTRIES:
        others = others[sampled_rows(X[others], _CHOICE_ENTRIES, seed)]
    train = sp.vstack([X[others], history], format="csr")
    weight = np.concatenate([row_weight[others], row_weight[chosen]])
    cuts = transitions(train, half_life, seed, _CHOICE_CUT_ENTRIES)
    train = history_weights(train, "binary", None)
    read = HeldOut(history_weights(history, "time", half_life), holdout, row_weight[chosen])
    ranked = ranked_items(holdout, seed)
    solver = ClosedFormSolver(train, weight, cuts, ranked)

    def qualities(candidates):
        for settings, B in solver.solve(candidates):
            yield settings, held_out_quality(scores_of(B), read, ranked)

    kind, ridge, length_exponent = without_times(X)[:3]
    start = ClosedFormSettings(kind, ridge, length_exponent)
    return _search(qualities, start, len(cuts.rows) > 0, last_changes(ranked))


def last_changes(ranked):
    """Changes of settings that are tried last; among `ranked` items alone most look too good."""
    return _LAST_CHANGES if ranked is None else _LAST_CHANGES[:1]


def _search(qualities, start, has_cuts, last):
    """One choice after the other: what a form is fitted on, its ridge, what joins it."""
    best = _Best(qualities)
    best.try_all([start])
    if has_cuts:
        best.try_all(
            start._replace(transition_share=_SHARES[1], target_half_life=near)
            for near in _TARGET_HALF_LIVES
        )
    if best.settings.transition_share:
        best.climb("transition_share", _SHARES)
    best.climb("ridge", _RIDGES)
    best.try_all(best.settings._replace(**change) for change in last)
    return best.settings


class _Best:
    """The best settings of those that were tried."""

    def __init__(self, qualities):
        self.qualities, self.found = qualities, {}

    @property
    def settings(self):
        return max(self.found, key=lambda settings: self.found[settings])

    def try_all(self, candidates):
        self.found.update(self.qualities([c for c in candidates if c not in self.found]))

    def climb(self, name, values):
        """Change a setting among ascending values, step by step, while that is for the better."""
        before = None
        while self.settings != before:
            before = self.settings
            place = values.index(getattr(before, name))
            near = values[max(place - 1, 0) : place + 2]
            self.try_all(before._replace(**{name: value}) for value in near)
