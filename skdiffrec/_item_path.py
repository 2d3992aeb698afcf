"""Closed-form linear item-item models: no torch, so that baselines can use them too."""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.linalg import lapack
from sklearn.utils.extmath import randomized_svd

from ._transitions import scale_rows, scaled_pair

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
    X = X.astype(dtype)
    gram = (X.T @ X).toarray()
    gram[np.diag_indices_from(gram)] += reg
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), (gram,))
    factor, info = potrf(gram, lower=1, overwrite_a=1)
    if info == 0:
        inverse, info = potri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise ValueError(f"XᵀX + reg·I cannot be inverted with reg={reg}; use a larger value.")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    if targets is None:
        B = inverse / -np.diag(inverse)
    else:
        B = inverse @ (X.T @ targets.astype(dtype)).toarray()
        B -= inverse * (np.diag(B) / np.diag(inverse))
    B = B.astype(np.float32, copy=False)
    np.fill_diagonal(B, 0)
    return B


def neighborhood_matrix(X, reg, n_neighbors=N_NEIGHBORS, targets=None):
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

    Returns
    -------
    B : csr_array of float32, shape (n_items, n_items)
        Scores are ``X @ B``; zero diagonal.
    """
    X = X.astype(np.float32)
    cross = sp.csc_array(X.T @ (X if targets is None else targets.astype(np.float32)))
    cross.sort_indices()
    norms = np.sqrt(np.asarray(X.multiply(X).sum(axis=0)).ravel())
    # looking entries up in a dense matrix is faster than multiplying columns, while it fits
    dense = (X.T @ X).toarray() if X.shape[1] <= EASE_MAX_ITEMS else None
    by_item = sp.csc_array(X)
    columns = []
    for item in range(X.shape[1]):
        entries = slice(cross.indptr[item], cross.indptr[item + 1])
        others, common = cross.indices[entries], cross.data[entries]
        kept = np.flatnonzero(others != item)
        if len(kept) > n_neighbors:
            cosine = common[kept] / norms[others[kept]]
            kept = kept[np.sort(np.argpartition(-cosine, n_neighbors)[:n_neighbors])]
        neighbors = others[kept]
        if dense is not None:
            among = dense[np.ix_(neighbors, neighbors)]
        else:
            local = by_item[:, neighbors]
            among = (local.T @ local).toarray()
        among[np.diag_indices_from(among)] += reg
        weights = scipy.linalg.solve(among, common[kept], assume_a="pos") if len(kept) else []
        columns.append((neighbors, np.asarray(weights, np.float32)))
    lengths = [len(neighbors) for neighbors, _ in columns]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    items, weights = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    B = sp.csr_array(sp.csc_array((weights, items, indptr), shape=cross.shape))
    B.sort_indices()
    return B


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
    lengths = np.maximum(np.diff(X.indptr), 1)
    conditions = scale_rows(X, np.sqrt(row_weight * lengths**-settings.length_exponent))
    targets = None
    if settings.transition_share:
        later = scaled_pair(moments, settings.target_half_life, row_weight)
        conditions, targets = mixed_pairs(conditions, later, settings.transition_share)
    reg = settings.reg
    if reg is None:
        reg = settings.ridge * _sum_of_squares(conditions) / X.shape[1]
    if settings.kind == "ease":
        return ease_matrix(conditions, reg, np.float32, targets)
    return neighborhood_matrix(conditions, reg, targets=targets)


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
