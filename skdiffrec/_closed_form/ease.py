"""EASE: the item-item weights of a ridge regression with a zero diagonal, in closed form."""

import numpy as np
from scipy.linalg import lapack

from .gram import gram_matrix


def ease_matrix(X, reg):
    """EASE's item-item weights (Steck 2019, arXiv 1905.03375, eq. 8), computed in float64.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
    reg : float
        λ, added to the diagonal of XᵀX.

    Returns
    -------
    B : ndarray of float32, shape (n_items, n_items)
        Least ``‖X − X·B‖² + λ‖B‖²`` of a zero diagonal. Scores are ``X @ B``.
    """
    return ease_of_gram(gram_matrix(X.astype(np.float64, copy=False)), reg)


def ease_of_gram(gram, reg, cross=None):
    """EASE's weights from XᵀX, which is overwritten, and XᵀY (None: the same); λ may be an array.

    With Y other than X, rows of Y are predicted from rows of X, which is SLIST (Choi et al. 2021,
    arXiv 2103.16104) where both hold whole rows and transitions.
    New memory can cost as much as what is computed, hence all in the place of XᵀX.
    """
    gram[np.diag_indices_from(gram)] += reg
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), (gram,))
    # transposed it is in LAPACK's order, and the same, being symmetric
    factor, info = potrf(gram.T, lower=1, overwrite_a=1)
    if info == 0:
        inverse, info = potri(factor, lower=1, overwrite_c=1)
    if info != 0:
        least = np.min(reg)
        raise ValueError(f"XᵀX + reg·I cannot be inverted with reg={least}; use a larger value.")
    inverse = inverse.T  # the same matrix in row order
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
