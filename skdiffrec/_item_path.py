"""Closed-form linear item-item models: no torch, so that baselines can use them too."""

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri
from sklearn.utils.extmath import randomized_svd


def ease_matrix(X, reg):
    """EASE's item-item weights (Steck 2019, arXiv 1905.03375, eq. 8).

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    reg : float
        λ, added to the diagonal of XᵀX.

    Returns
    -------
    B : ndarray of float32, shape (n_items, n_items)
        Scores are ``X @ B``; zero diagonal.
    """
    X = X.astype(np.float64)
    gram = (X.T @ X).toarray()
    gram[np.diag_indices_from(gram)] += reg
    factor, info = dpotrf(gram, lower=1, overwrite_a=1)
    if info == 0:
        inverse, info = dpotri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise ValueError(f"XᵀX + reg·I cannot be inverted with reg={reg}; use a larger value.")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    B = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(B, 0)
    return B


def wiener_factors(V, singular_values, reg):
    """Factors of the best linear denoiser of rank r: scores are ``X @ (V·g) @ Vᵀ``.

    g = s² / (s² + λ): the Wiener filter on the right singular vectors V (n_items, r).
    """
    gain = singular_values**2 / (singular_values**2 + reg)
    return (V * gain).astype(np.float32), V.T.astype(np.float32)


def truncated_svd(X, rank, random_state):
    """Leading singular values (r,) and right singular vectors V (n_items, r) of a sparse matrix."""
    _, singular_values, Vt = randomized_svd(X, rank, n_iter=4, random_state=random_state)
    return singular_values, np.ascontiguousarray(Vt.T)
