"""Closed-form item-item models for many settings, sharing what can be shared."""

from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .._utils.recency import RECENCY_FLOOR
from .._utils.rows import scale_rows
from .blending import blended, popularity_discounts
from .ease import ease_of_gram
from .gram import DenseGram, SparseGram
from .low_rank import LowRank
from .neighborhood import N_NEIGHBORS, neighborhood_matrices
from .transitions import scaled_pair

# The exact form takes n_items² numbers and n_items³ operations: 0.1 GB and a few seconds here.
EASE_MAX_ITEMS = 5_000
_SHRINKAGE = 10.0  # of cosines, in users


class ClosedFormSettings(NamedTuple):
    """Which closed form to solve.

    A user of n items counts as n ** -length_exponent users; λ is `ridge` times the mean of the
    diagonal of the Gram matrix, or `reg` itself where that is given, times an item's share of that
    mean to the power `ridge_exponent`. Of what is fitted, `transition_share` are transitions, their
    targets weighted with `target_half_life`. An item's weights are divided by its popularity to the
    power `discount`, and get cosines of nearest items that spread `cosine_share` as far. With
    `n_factors` projections on so many directions are added, whose scores spread `factor_share` as
    far.
    """

    kind: str  # "ease" or "neighborhood"
    ridge: float
    length_exponent: float
    reg: float | None = None
    transition_share: float = 0.0
    target_half_life: float | None = None
    ridge_exponent: float = 0.0
    discount: float = 0.0
    cosine_share: float = 0.0
    n_factors: int = 0
    factor_share: float = 1.0


class SolvedForm(NamedTuple):
    """A closed form, and how to solve it again of other rows."""

    weights: Any  # D, ndarray or csr_array of float32, shape (n_items, n_items)
    mean_history: np.ndarray  # (n_items,): what is read where a history is unknown
    half_life: float | None = None  # with which histories of times are read
    floor: float = RECENCY_FLOOR  # of their weights
    settings: ClosedFormSettings | None = None  # where they were chosen here
    low_rank: LowRank | None = None  # whose scores are added


class ClosedFormSolver:
    """Closed forms of the same rows for many settings, which share what can be shared.

    Parameters
    ----------
    X : csr_array of float32 ones, shape (n_users, n_items)
    row_weight : ndarray of float64, shape (n_users,)
        How many users a row stands for.
    transitions : Transitions, default=None
        Of X; needed by settings where they have a share.
    columns : ndarray of int, default=None
        The only items to be predicted; None is all.
    """

    def __init__(self, X, row_weight, transitions=None, columns=None):
        self.X, self.row_weight, self.transitions, self.columns = (
            X,
            row_weight,
            transitions,
            columns,
        )
        self._dense = {}  # Gram matrices that were made

    def solve(self, candidates):
        """Yield (settings, B) for all candidates; B has one column for each of `columns`."""
        for _, group in groupby(candidates, key=_fitted_on):
            yield from self._solved(list(group))

    def solve_once(self, settings):
        """The B of one ClosedFormSettings, in the place of its Gram matrix, which is not kept."""
        _, B = next(self._solved([settings], overwrite=True))
        self._dense.clear()
        return B

    def _solved(self, group, overwrite=False):
        """Yield (settings, B) of those that are fitted on the same; each λ is solved once."""
        kind, *fitted_on = _fitted_on(group[0])
        dense = kind == "ease" or self.X.shape[1] <= EASE_MAX_ITEMS
        gram = (self._dense_gram if dense else self._sparse_gram)(*fitted_on)
        of_ridge: dict[tuple[float, float | None, float], list[ClosedFormSettings]] = {}
        for settings in group:
            of_ridge.setdefault(_ridge_of(settings), []).append(settings)
        regs = [_regularization(*ridge, gram.diagonal) for ridge in of_ridge]
        shrinkage = None
        if any(settings.cosine_share for settings in group):
            shrinkage = _SHRINKAGE * gram.diagonal.sum() / self.X.nnz
        solve = self._ease if kind == "ease" else self._neighborhood
        cosines, matrices = solve(gram, regs, shrinkage, overwrite)
        for B, alike in zip(matrices, of_ridge.values(), strict=True):
            for settings in alike:
                own = B if settings is alike[-1] else B.copy()
                yield settings, self._finished(own, cosines, settings)

    def _neighborhood(self, gram, regs, shrinkage, _):
        matrices = neighborhood_matrices(gram, regs, N_NEIGHBORS, self.columns, shrinkage)
        return (None if shrinkage is None else matrices.pop()), matrices

    def _ease(self, gram, regs, shrinkage, overwrite):
        """(cosines, generator of B for every λ)"""
        cosines = None
        cross = None if gram.whole_cross is gram.gram else gram.whole_cross
        if shrinkage is not None:
            whole = gram if cross is None else self._dense_gram(0.0, 0.0, None)
            cosines = neighborhood_matrices(whole, [], N_NEIGHBORS, None, shrinkage)[0]
            cosines = cosines.T.tocsr()  # the nearest of every item that is read
            cosines = cosines if self.columns is None else cosines[:, self.columns]

        def matrices():
            for reg in regs:
                B = ease_of_gram(gram.gram if overwrite else gram.gram.copy(), reg, cross)
                yield B if self.columns is None else B[:, self.columns]

        return cosines, matrices()

    def _finished(self, B, cosines, settings):
        """B, which is overwritten, discounted and with its cosines."""
        if settings.discount:
            factor = popularity_discounts(self.X.T @ self.row_weight, settings.discount)
            factor = factor if self.columns is None else factor[self.columns]
            if sp.issparse(B):
                B.data *= factor[B.indices]
            else:
                B *= factor
        if settings.cosine_share:
            B = blended(B, cosines, settings.cosine_share, self.X)
        return B

    def _rows(self, length_exponent):
        lengths = np.maximum(np.diff(self.X.indptr), 1)
        return scale_rows(self.X, np.sqrt(self.row_weight * lengths**-length_exponent))

    def _later(self, target_half_life):
        return scaled_pair(self.transitions, target_half_life, self.row_weight)

    def _sparse_gram(self, length_exponent, share, target_half_life):
        rows = self._rows(length_exponent)
        if not share:
            return SparseGram(rows)
        later = self._later(target_half_life)
        return SparseGram(*(mixed_pairs(rows, later, share) if share < 1 else later))

    def _dense_gram(self, length_exponent, share, target_half_life):
        if share < 1:
            rows = self._kept("rows", length_exponent, lambda: [self._rows(length_exponent)])
        if not share:
            return rows
        later = self._kept("later", target_half_life, lambda: self._later(target_half_life))
        return rows.mixed(later, share) if share < 1 else later

    def _kept(self, what, setting, pairs):
        if (what, setting) not in self._dense:
            if self.X.shape[1] > EASE_MAX_ITEMS:  # then one at a time is large enough
                self._dense.clear()
            self._dense[what, setting] = DenseGram.of_rows(*pairs())
        return self._dense[what, setting]


def _ridge_of(settings):
    return settings.ridge, settings.reg, settings.ridge_exponent


def _regularization(ridge, reg, exponent, diagonal):
    """λ, one for all items, or one for each."""
    mean = diagonal.mean()
    reg = ridge * mean if reg is None else reg
    return reg / popularity_discounts(diagonal, exponent) if exponent else reg


def _fitted_on(settings):
    return (
        settings.kind,
        settings.length_exponent,
        settings.transition_share,
        settings.target_half_life,
    )


def mixed_pairs(whole, later, share):
    """(conditions, targets) of whole rows and of transitions.

    The transitions' Gram matrix gets the mean diagonal of the whole rows', then the two are
    weighted ``1 - share`` and ``share``.
    """
    size = _sum_of_squares(later[0])
    factor = np.float32(np.sqrt(share * _sum_of_squares(whole) / size)) if size else 0.0
    whole = whole * np.float32(np.sqrt(1 - share))
    return tuple(sp.vstack([whole, part * factor], format="csr") for part in later)


def _sum_of_squares(X):
    return float((X.data.astype(np.float64) ** 2).sum())
