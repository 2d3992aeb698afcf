"""Rows cut at several moments: what came before a moment and what came after, as pairs of rows."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .._utils.cuts import OrderedRows
from .._utils.recency import recency_of_ages
from .._utils.rows import scale_rows

MAX_CUTS = 48
MAX_ENTRIES = 10_000_000
_NEGLIGIBLE = 1e-3


class Transitions(NamedTuple):
    """Histories of rows at several moments, and what followed."""

    conditions: sp.csr_array  # float32 (n_cuts, n_items): recency weights
    steps: sp.csr_array  # float32 (n_cuts, n_items): 1 for the next item, 2 for the one after
    rows: np.ndarray  # int64 (n_cuts,): of which row

    def targets(self, half_life):
        """What followed, an item weighing half as much every `half_life` later ones."""
        if half_life is None:
            return self._with_steps(np.ones_like(self.steps.data))
        near = 0.5 ** ((self.steps.data - 1) / half_life)
        near[near < _NEGLIGIBLE] = 0
        targets = self._with_steps(near)
        targets.eliminate_zeros()
        return targets

    def _with_steps(self, data):
        steps = self.steps
        return sp.csr_array((data, steps.indices.copy(), steps.indptr.copy()), shape=steps.shape)


def cut_places(length, max_entries=MAX_ENTRIES):
    """Where rows of the given lengths are cut: (rows, n_before), two int64 arrays.

    Cuts lie evenly between the items of a row, at most `MAX_CUTS` in each, and as many as keep all
    cut rows together within `max_entries` entries (one in every row at least).
    """
    for most in range(MAX_CUTS, 0, -1):
        n_cuts = np.minimum(length - 1, most).clip(0)
        if (n_cuts * length).sum() <= max_entries:
            break
    rows = np.repeat(np.arange(len(length)), n_cuts)
    place = np.arange(len(rows)) - (np.cumsum(n_cuts) - n_cuts)[rows]
    gap = (length - 1)[rows] / n_cuts[rows]
    return rows, 1 + ((place + 0.5) * gap).astype(np.int64)


def transitions(X, half_life, seed, max_entries=MAX_ENTRIES):
    """The rows of X, cut at several moments each.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
        Canonical, of times.
    half_life : float or None
        Of the recency weights of what came before.
    seed : int
        Decides the order of items of the same time.
    max_entries : int

    Returns
    -------
    transitions : Transitions
        Rows of fewer than two items have none.
    """
    ordered = OrderedRows(X, seed)
    rows, n_before = cut_places(ordered.length, max_entries)
    cut, entry, before = ordered.cut(rows, n_before)

    def part(mask, data):
        return ordered.part(cut[mask], entry[mask], data.astype(np.float32), len(rows))

    # items of the same time are of the same age
    age = (n_before[cut[before]] - 1 - ordered.last_tied[entry[before]]).clip(0)
    steps = ordered.order[entry[~before]] - n_before[cut[~before]] + 1
    return Transitions(part(before, recency_of_ages(age, half_life)), part(~before, steps), rows)


def scaled_pair(transitions, target_half_life, row_weight):
    """(conditions, targets) of transitions, each pair weighing as its row does.

    A pair counts, besides, as one over the square root of its targets' sum.
    """
    targets = transitions.targets(target_half_life)
    size = np.maximum(np.asarray(targets.sum(axis=1)).ravel(), 1.0)
    factor = np.sqrt(row_weight[transitions.rows] / np.sqrt(size)).astype(np.float32)
    return scale_rows(transitions.conditions, factor), scale_rows(targets, factor)
