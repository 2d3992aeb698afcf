"""Whether scores of low rank join a closed form, of how many directions and how far spread."""

import numpy as np

from .._utils.cuts import divisible_rows, hide_share
from .._utils.recency import history_weights
from .._utils.row_view import replaced_rows
from .held_out import HeldOut, held_out_quality, ranked_items
from .low_rank import MOST_FACTORS, low_rank_beside, low_rank_form

_NUMBERS = (8, 16, 32, 64, MOST_FACTORS)  # of directions
_SHARES = (0.25, 0.5, 1.0)  # of the spread of the closed form, with a horizon
_BETTER = 1.02  # beyond chance, where items are held out at random
_HELD_OUT, _MAX_USERS = 0.2, 2_000


def scores_of(B, low_rank=None):
    """The function of weighted histories that a closed form is."""
    if low_rank is None:
        return lambda rows: rows @ B
    return lambda rows: rows @ B + low_rank.scores(rows)


def with_low_rank(B, settings, solver, held_out, seed):
    """(settings, LowRank or None): it joins where held-out items are clearly for it.

    Parameters
    ----------
    B : ndarray or csr_array of float32, shape (n_items, n_items)
    settings : ClosedFormSettings
        Of B.
    solver : ClosedFormSolver
        Of the rows that B was solved of.
    held_out : HeldOut
        Of these rows, with weighted histories.
    seed : int
    """
    n_factors = best_number(solver.X, solver.row_weight, seed)
    if not n_factors:
        return settings, None
    joined = settings._replace(n_factors=n_factors)
    form = low_rank_form(solver.X, solver.row_weight, seed)
    low_rank = low_rank_beside(form, scores_of(B), solver.X, joined)
    least = _BETTER * held_out_quality(scores_of(B), held_out)
    better = held_out_quality(scores_of(B, low_rank), held_out) > least
    return (joined, low_rank) if better else (settings, None)


def with_share(B, settings, solver, held_out, read, seed, ranked):
    """Settings with the share of low rank that finds most of what users take next; it may be none.

    Parameters
    ----------
    B : ndarray or csr_array of float32, shape (n_items, n_ranked)
    settings, solver, seed
        As in `with_low_rank`.
    held_out : HeldOut
        The latest items, and weighted histories.
    read : csr_array of float32, shape (n_users, n_items)
        Weighted histories of the solver's rows.
    ranked : ndarray of int64
        The columns of B; None is all items.
    """
    form = low_rank_form(solver.X, solver.row_weight, seed)
    form = form if ranked is None else form._replace(write=form.write[ranked])
    best, most = settings, held_out_quality(scores_of(B), held_out, ranked)
    for share in _SHARES:
        joined = settings._replace(n_factors=form.read.shape[1], factor_share=share)
        low_rank = low_rank_beside(form, scores_of(B), read, joined)
        quality = held_out_quality(scores_of(B, low_rank), held_out, ranked)
        if quality > most:
            best, most = joined, quality
    return best


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
