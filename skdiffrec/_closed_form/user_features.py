"""What features of users say about items, in closed form: a ridge regression of rows on features.

With f the centred features of a user and p the items' shares, the ridge estimate of a row is
``p + f·B`` (Hoerl and Kennard 1970). The scores of a model are logarithms, and of that one
``log p + f·B/p`` is the first order, so that what features add is linear, and is added to whatever
else a model knows. Its λ is the one with the least squared error of every row predicted from the
others, in closed form (Allen 1974).
"""

from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd

from .._utils.rows import entry_rows, sampled_rows, scale_rows

_MAX_COLUMNS = 512  # of features, beyond which their leading singular vectors stand for them
_MAX_RANK = 48  # of what is added to scores: a column of the output layer for each
_REGS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # λ, in the mean variance of a column times rows
_SMOOTHING = 0.1  # of the items' shares, in that of the item of a mean interaction
_MAX_LOO_ROWS = 2_000
_MAX_LOO_CELLS = 10_000_000  # of their items
_MAX_BASIS_ROWS = 20_000
_MAX_ENTRIES = 5_000_000  # of the rows from which it is solved
_MAX_CELLS = 20_000_000  # of their features, which are dense: 160 MB
_BLOCK = 256
_MAX_EXPONENT = 120


class FeatureLift(NamedTuple):
    """What features add to the scores: ``lift @ (f @ project − center)``."""

    project: np.ndarray  # float64 (n_features, rank)
    center: np.ndarray  # float64 (rank,)
    lift: np.ndarray  # float64 (n_items, rank)


def no_lift(n_features, n_items):
    """One of rank 0, that adds nothing."""
    return FeatureLift(np.zeros((n_features, 0)), np.zeros(0), np.zeros((n_items, 0)))


def column_factors(features, weight):
    """Factors of columns (n_features,) that give their entries a root mean square of about 1.

    Powers of two, so that they round nothing. `weight` (n_rows,) is how many users a row stands
    for.
    """
    of_entry = weight[entry_rows(features)]
    counts, squares = (
        np.bincount(features.indices, of_entry * value, minlength=features.shape[1])
        for value in (1.0, features.data.astype(np.float64) ** 2)
    )
    mean = np.divide(squares, counts, out=np.zeros_like(counts), where=counts > 0)
    exponent = np.round(0.5 * np.log2(mean, out=np.zeros_like(mean), where=mean > 0))
    exponent = exponent.clip(-_MAX_EXPONENT, _MAX_EXPONENT)  # of float32
    return np.where(mean > 0, 2.0**-exponent, 0.0)


def feature_lift(X, features, weight, seed):
    """Solve what features add to the scores.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
        Canonical; its values do not count.
    features : csr_array of shape (n_rows, n_features)
        Rows without an entry are left out.
    weight : ndarray of float64, shape (n_rows,)
        How many users a row stands for.
    seed : int
        Of the randomised SVD, and of the rows where there are many.

    Returns
    -------
    lift : FeatureLift
    """
    known = np.flatnonzero((np.diff(features.indptr) > 0) & (np.diff(X.indptr) > 0))
    if not len(known):
        return no_lift(features.shape[1], X.shape[1])
    drawn = sampled_rows(X[known], _MAX_ENTRIES, seed)
    basis = _basis(features[known[drawn]], seed)
    most = max(1, _MAX_CELLS // basis.shape[1])  # of rows that are dense
    known = known[np.sort(np.random.default_rng(seed).permutation(drawn)[:most])]
    X, F, weight = X[known].astype(bool).astype(np.float64), features[known], weight[known]
    Z = F @ basis
    mean = weight @ Z / weight.sum()
    Z -= mean
    share = (X.T @ weight) / weight.sum()
    values, vectors = np.linalg.eigh((Z * weight[:, None]).T @ Z)
    seen = values > values.max(initial=0.0) * 1e-10
    values, vectors = values[seen], vectors[:, seen]
    Z = Z @ vectors  # orthogonal columns: the ridge shrinks each by itself
    C = _cross(Z, X, share, weight)
    reg = _best_reg(Z, X, share, weight, values, C)
    smooth = share + _SMOOTHING * (share @ share) / share.sum()
    B = C / (values + reg)[:, None] / smooth
    # the directions that change scores most, over these users
    size = np.sqrt(values / weight.sum())[:, None]
    U, s, Vt = _leading(size * B, min(_MAX_RANK, *B.shape), seed)
    project = basis @ vectors @ (U / size)
    return FeatureLift(project, mean @ vectors @ (U / size), (s[:, None] * Vt).T)


def _basis(F, seed):
    """Columns that stand for the features: all of them, or leading right singular vectors."""
    if F.shape[1] <= _MAX_COLUMNS:
        return np.eye(F.shape[1])
    F = F[np.random.default_rng(seed).permutation(F.shape[0])[:_MAX_BASIS_ROWS]]
    rank = min(_MAX_COLUMNS // 2, *F.shape)
    return randomized_svd(F.astype(np.float64), rank, n_iter=4, random_state=seed)[2].T


def _leading(B, rank, seed):
    if min(B.shape) <= _MAX_COLUMNS:
        U, s, Vt = np.linalg.svd(B, full_matrices=False)
        return U[:, :rank], s[:rank], Vt[:rank]
    return randomized_svd(B, rank, n_iter=4, random_state=seed)


def _cross(Z, X, share, weight):
    """Zᵀ·W·(X − share), (rank, n_items); columns of Z have mean 0."""
    weighted = scale_rows(X, weight)
    return (weighted.T @ Z).T - np.outer(weight @ Z, share)


def _best_reg(Z, X, share, weight, values, C):
    """λ with the least squared error of rows predicted without themselves."""
    unit = values.mean() if len(values) else 1.0
    most = min(_MAX_LOO_ROWS, max(_BLOCK, _MAX_LOO_CELLS // X.shape[1]))
    rows = np.random.default_rng(0).permutation(len(Z))[:most]
    errors = np.zeros(len(_REGS))
    for first in range(0, len(rows), _BLOCK):
        some = rows[first : first + _BLOCK]
        rest = X[some].toarray() - share
        for i, reg in enumerate(_REGS):
            shrunk = Z[some] / (values + unit * reg)
            own = weight[some] * ((shrunk * Z[some]).sum(1) + 1 / weight.sum())
            error = (rest - shrunk @ C) / np.maximum(1 - own, 1e-6)[:, None]
            errors[i] += weight[some] @ (error**2).sum(1)
    return unit * _REGS[int(np.argmin(errors))]
