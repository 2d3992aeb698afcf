"""Closed-form linear item-item models: no torch, so that baselines can use them too."""

from itertools import groupby
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack
from sklearn.utils.extmath import randomized_svd

from .neighborhood import DenseGram, SparseGram, gram_matrix, neighborhood_matrices
from .transitions import scale_rows, scaled_pair

# The exact path takes n_items² numbers and n_items³ operations: 0.1 GB and a few seconds here.
EASE_MAX_ITEMS = 5_000
N_NEIGHBORS = 100


class PathSettings(NamedTuple):
    """Which closed form to solve.

    A user of n items counts as n ** -length_exponent users; λ is `ridge` times the mean of the
    diagonal of the Gram matrix, or `reg` itself where that is given. Of what is fitted,
    `transition_share` are transitions, their targets weighted with `target_half_life`.
    """

    kind: str  # "ease" or "neighborhood"
    ridge: float
    length_exponent: float
    reg: float | None = None
    transition_share: float = 0.0
    target_half_life: float | None = None


def ease_matrix(X, reg, dtype=np.float64, targets=None):
    """EASE's item-item weights (Steck 2019, arXiv 1905.03375, eq. 8).

    With `targets`, rows of those are predicted from rows of X, which is SLIST (Choi et al. 2021,
    arXiv 2103.16104) where both hold whole rows and transitions.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
    reg : float
        λ, added to the diagonal of XᵀX.
    dtype : dtype, default=np.float64
        In which the Gram matrix is inverted.
    targets : csr_array of shape (n_rows, n_items), default=None
        None is X.

    Returns
    -------
    B : ndarray of float32, shape (n_items, n_items)
        Least ``‖targets − X·B‖² + λ‖B‖²`` of a zero diagonal. Scores are ``X @ B``.
    """
    X = X.astype(dtype, copy=False)
    cross = None if targets is None else gram_matrix(X, targets.astype(dtype, copy=False))
    return _ease_of_gram(gram_matrix(X), reg, cross)


def _ease_of_gram(gram, reg, cross=None):
    """`ease_matrix` from XᵀX, which is overwritten, and XᵀY (None: the same).

    New memory can cost as much as what is computed, hence all in the place of XᵀX.
    """
    gram[np.diag_indices_from(gram)] += reg
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), (gram,))
    # transposed it is in LAPACK's order, and the same, being symmetric
    factor, info = potrf(gram.T, lower=1, overwrite_a=1)
    if info == 0:
        inverse, info = potri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise ValueError(f"XᵀX + reg·I cannot be inverted with reg={reg}; use a larger value.")
    inverse = inverse.T  # the same, but as others than LAPACK order it
    _mirror(inverse)
    if cross is None:
        B = inverse
        B /= -np.diag(inverse).copy()
    else:
        B = inverse @ cross
        B -= inverse * (np.diag(B) / np.diag(inverse))
    B = B.astype(np.float32, copy=False)
    np.fill_diagonal(B, 0)
    return B


def _mirror(square, step=256):
    """Copy what is above the diagonal to below it; by blocks, as rows are far apart."""
    for first in range(0, len(square), step):
        columns = slice(first, first + step)
        for other in range(0, first, step):
            rows = slice(other, other + step)
            square[columns, rows] = square[rows, columns].T
        block = square[columns, columns]
        square[columns, columns] = np.triu(block) + np.triu(block, 1).T


def neighborhood_matrix(X, reg, n_neighbors=N_NEIGHBORS, targets=None, columns=None):
    """Ridge regression of every item on the items that are most often met with it.

    Column j solves ``min ‖Y_j − X_N·b‖² + λ‖b‖²`` over the `n_neighbors` items N that are most
    similar to j by cosine (the neighbourhood form of SLIM, Ning and Karypis 2011, with a ridge
    alone). It costs n_items · n_neighbors³ operations and n_items · n_neighbors numbers.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
    reg : float
        λ.
    n_neighbors : int, default=100
    targets : csr_array of shape (n_rows, n_items), default=None
        Y, predicted from rows of X; None is X.
    columns : ndarray of int, default=None
        The only items to be predicted; None is all.

    Returns
    -------
    B : csr_array of float32, shape (n_items, n_columns)
        Scores are ``X @ B``; an item's weight for itself is zero.
    """
    # looking entries up is faster than computing them by blocks, while all of them fit
    gram = DenseGram.of_rows if X.shape[1] <= EASE_MAX_ITEMS else SparseGram
    return neighborhood_matrices(gram(X, targets), [reg], n_neighbors, columns)[0]


def solve_path(X, row_weight, settings, moments=None):
    """The item-item weights that `settings` asks for.

    Parameters
    ----------
    X : csr_array of float32 ones, shape (n_users, n_items)
    row_weight : ndarray of float64, shape (n_users,)
        How many users a row stands for.
    settings : PathSettings
    moments : Transitions, default=None
        Of X; needed where they have a share.

    Returns
    -------
    B : ndarray or csr_array of float32, shape (n_items, n_items)
    """
    return PathSolver(X, row_weight, moments).solve_once(settings)


class PathSolver:
    """Closed forms of the same rows for many settings, which share what can be shared.

    Parameters
    ----------
    X, row_weight, moments
        As in `solve_path`.
    columns : ndarray of int, default=None
        The only items to be predicted; None is all.
    """

    def __init__(self, X, row_weight, moments=None, columns=None):
        self.X, self.row_weight, self.moments, self.columns = X, row_weight, moments, columns
        self._dense = {}  # Gram matrices at hand

    def solve(self, candidates):
        """Yield (settings, B) for every PathSettings; B has one column for each of `columns`."""
        for _, group in groupby(candidates, key=_fitted_on):
            group = list(group)
            yield from zip(group, self._matrices(group), strict=True)

    def solve_once(self, settings):
        """The B of one PathSettings, in the place of its Gram matrix, which is not kept."""
        B = next(iter(self._matrices([settings], overwrite=True)))
        self._dense.clear()
        return B

    def _matrices(self, group, overwrite=False):
        """B for each of PathSettings that are fitted on the same."""
        kind, *fitted_on = _fitted_on(group[0])
        dense = kind == "ease" or self.X.shape[1] <= EASE_MAX_ITEMS
        gram = (self._dense_gram if dense else self._sparse_gram)(*fitted_on)
        regs = [
            settings.ridge * gram.diagonal.mean() if settings.reg is None else settings.reg
            for settings in group
        ]
        if kind == "ease":
            return self._ease(gram, regs, overwrite)
        return neighborhood_matrices(gram, regs, N_NEIGHBORS, self.columns)

    def _ease(self, gram, regs, overwrite):
        cross = None if gram.whole_cross is gram.gram else gram.whole_cross
        for reg in regs:
            B = _ease_of_gram(gram.gram if overwrite else gram.gram.copy(), reg, cross)
            yield B if self.columns is None else B[:, self.columns]

    def _rows(self, length_exponent):
        lengths = np.maximum(np.diff(self.X.indptr), 1)
        return scale_rows(self.X, np.sqrt(self.row_weight * lengths**-length_exponent))

    def _later(self, target_half_life):
        return scaled_pair(self.moments, target_half_life, self.row_weight)

    def _sparse_gram(self, length_exponent, share, target_half_life):
        rows = self._rows(length_exponent)
        if not share:
            return SparseGram(rows)
        return SparseGram(*mixed_pairs(rows, self._later(target_half_life), share))

    def _dense_gram(self, length_exponent, share, target_half_life):
        rows = self._kept("rows", length_exponent, lambda: [self._rows(length_exponent)])
        if not share:
            return rows
        later = self._kept("later", target_half_life, lambda: self._later(target_half_life))
        return rows.mixed(later, share)

    def _kept(self, what, setting, pairs):
        if (what, setting) not in self._dense:
            if self.X.shape[1] > EASE_MAX_ITEMS:  # then one at a time is large enough
                self._dense.clear()
            self._dense[what, setting] = DenseGram.of_rows(*pairs())
        return self._dense[what, setting]


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


def truncated_svd(X, rank, random_state):
    """Leading singular values (r,) and right singular vectors V (n_items, r) of a sparse matrix."""
    _, singular_values, Vt = randomized_svd(X, rank, n_iter=4, random_state=random_state)
    return singular_values, np.ascontiguousarray(Vt.T)
