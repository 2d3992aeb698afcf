"""The closed form for a horizon: regression from the history at every moment to what came next."""

import math
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._utils.cuts import OrderedRows
from .._utils.recency import history_weights
from .._utils.rows import sampled_rows
from .held_out import held_out_quality, hold_out_moments, ranked_items
from .low_rank import low_rank_beside, low_rank_form
from .low_rank_choice import scores_of, with_share
from .selection import last_changes
from .solver import EASE_MAX_ITEMS, ClosedFormSettings, ClosedFormSolver, SolvedForm
from .transitions import Transitions

# Chosen one after the other: the half-life (as a share of the estimator's) and the form, λ (as a
# multiple of the mean diagonal of XᵀX), whether whole rows have a share in the fit, and what joins.
_HALF_LIVES = (1.0, 0.4)
_FIRST = (
    ClosedFormSettings("ease", 1.0, 0.0, transition_share=1.0),
    ClosedFormSettings("neighborhood", 3.0, 0.0, transition_share=0.75),
)
_RIDGES, _SHARES = (0.3, 1.0, 3.0, 10.0), (0.75, 1.0)
_NEGLIGIBLE = 0.02  # weights of a condition
_MAX_ENTRIES = 20_000_000  # of conditions
_HELD_OUT, _MAX_USERS, _MAX_QUESTIONS = 0.2, 2_000, 3_000


def next_item_form(X, row_weight, *, horizon, half_life, seed, held_out=None, settings=None):
    """The closed form that finds most of the next items.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Canonical, of times.
    row_weight : ndarray of float64, shape (n_users,)
    horizon, half_life
        As in `CFGDiffusionRecommender`.
    seed : int
    held_out : HeldOut, default=None
        Questions whose answers were held out of X already; None holds out some to choose by.
    settings : ClosedFormSettings, default=None
        What was chosen before, with `half_life` as it was chosen then; None chooses.

    Returns
    -------
    form : SolvedForm
        It reads histories without a floor.
    """
    rows = sampled_rows(X, _MAX_ENTRIES, seed)
    X, row_weight = X[rows], row_weight[rows]
    if settings is not None:
        solver = _solver(X, row_weight, horizon, half_life, seed)
        return _solved(X, solver, settings, half_life, seed)
    rest = X
    if held_out is None:
        users = np.flatnonzero(np.diff(X.indptr) > 1)[:_MAX_USERS]
        rest, held_out = hold_out_moments(X, users, row_weight, horizon, _HELD_OUT, seed)
    best = _search(rest, row_weight, horizon, half_life, seed, held_out)
    settings, half_life, solver = best.settings, best.half_life, best.solver
    if best.held_out is not None:
        _, B = next(solver.solve([settings]))
        read = _read(rest, half_life)
        settings = with_share(B, settings, solver, best.held_out, read, seed, best.ranked)
    if rest is not X:
        solver = _solver(X, row_weight, horizon, half_life, seed)
    return _solved(X, solver, settings, half_life, seed)


def _solved(X, solver, settings, half_life, seed):
    """The `SolvedForm` of rows of times, of which `solver` was made."""
    solver.columns = None
    if not len(solver.transitions.rows):
        settings = settings._replace(transition_share=0.0)
    row_weight = solver.row_weight / solver.row_weight.sum()
    B, read, low_rank = solver.solve_once(settings), _read(X, half_life), None
    if settings.n_factors:
        form = low_rank_form(solver.X, solver.row_weight, seed)
        low_rank = low_rank_beside(form, scores_of(B), read, settings)
    return SolvedForm(B, read.T @ row_weight, half_life, 0.0, settings, low_rank)


def _search(X, row_weight, horizon, half_life, seed, held_out):
    """`_Candidates` with the best settings that were found."""
    best = None
    for share in _HALF_LIVES:
        solver = _solver(X, row_weight, horizon, share * half_life, seed)
        found = _Candidates(solver, share * half_life, held_out, seed)
        found.evaluate(_FIRST[X.shape[1] > EASE_MAX_ITEMS :])
        if best is None or found.quality > best.quality:
            best = found
    assert best is not None
    best.evaluate(best.settings._replace(ridge=ridge) for ridge in _RIDGES)
    best.evaluate(best.settings._replace(transition_share=share) for share in _SHARES)
    best.evaluate([best.settings._replace(**change) for change in last_changes(best.ranked)])
    return best


def _solver(X, row_weight, horizon, half_life, seed):
    pairs = next_transitions(OrderedRows(X, seed), horizon, half_life)
    return ClosedFormSolver(history_weights(X, "binary", None), row_weight, pairs)


class _Candidates:
    """Settings of closed forms that read with one half-life, and the best of them so far."""

    def __init__(self, solver, half_life, held_out, seed):
        self.solver, self.half_life, self.quality = solver, half_life, -np.inf
        self.settings: Any = None
        self.tried: set[ClosedFormSettings] = set()
        self.ranked: Any = None
        if held_out is None or not len(solver.transitions.rows):
            self.held_out = None
            return
        some = _some_of(held_out, seed)
        self.held_out = some._replace(history=_read(some.history, half_life))
        self.ranked = solver.columns = ranked_items(some.holdout, seed)

    def evaluate(self, candidates):
        """Solve candidates and keep the best; the first where nothing can be asked."""
        if self.held_out is None:
            self.settings = self.settings or next(iter(candidates))
            return
        new = [settings for settings in candidates if settings not in self.tried]
        self.tried.update(new)
        for settings, B in self.solver.solve(new):
            quality = held_out_quality(scores_of(B), self.held_out, self.ranked)
            if quality > self.quality:
                self.settings, self.quality = settings, quality


def _read(X, half_life):
    return history_weights(X, "time", half_life, floor=0.0)


def _some_of(held_out, seed):
    """At most so many of the questions as there is time for."""
    n = len(held_out.weight)
    if n <= _MAX_QUESTIONS:
        return held_out
    drawn = np.sort(np.random.default_rng(seed).choice(n, _MAX_QUESTIONS, replace=False))
    return type(held_out)(*(None if part is None else part[drawn] for part in held_out))


def next_transitions(ordered, horizon, half_life, max_entries=_MAX_ENTRIES):
    """What came before every moment, and the next items.

    Parameters
    ----------
    ordered : OrderedRows
    horizon : int
    half_life : float
        Of the recency weights of what came before; those below .02 are left out.
    max_entries : int
        Of what came before, over all moments: of more, so many are taken evenly.

    Returns
    -------
    transitions : Transitions
        From the second moment of a row on.
    """
    n_ages = 1 + int(min(half_life * math.log2(1 / _NEGLIGIBLE), ordered.X.shape[1]))
    cuts = np.flatnonzero(ordered.begins & (ordered.place > 0))
    n_read = _n_read(ordered, cuts, n_ages)
    if n_read.sum() > max_entries:
        n_cuts = max(1, int(len(cuts) * max_entries / n_read.sum()))
        cuts = cuts[np.linspace(0, len(cuts) - 1, n_cuts).astype(np.int64)]
        n_read = _n_read(ordered, cuts, n_ages)
    n_before = ordered.place[cuts]
    cut, back = _numbered(n_read)
    entry = cuts[cut] - 1 - back
    age = n_before[cut] - 1 - ordered.stands[entry]
    before = (0.5 ** (age / half_life)).astype(np.float32), ordered.items[entry]
    after, step = _numbered(ordered.n_ahead(cuts, horizon))
    targets = (step + 1).astype(np.float32), ordered.items[cuts[after] + step]
    shape = len(cuts), ordered.X.shape[1]
    conditions, steps = (
        sp.csr_array((*part, np.searchsorted(owner, np.arange(len(cuts) + 1))), shape)
        for part, owner in ((before, cut), (targets, after))
    )
    return Transitions(conditions, steps, ordered.row[cuts])


def _n_read(ordered, cuts, n_ages):
    """How many items before every cut have an age of so many at the most; whole moments."""
    n_before = ordered.place[cuts]
    return n_before - ordered.first[cuts - np.minimum(n_before, n_ages)]


def _numbered(counts):
    """(owner, number): for every owner the numbers from 0 to its count - 1."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
