"""Item-item weights with less for popular items, and with cosines beside them."""

import numpy as np
import scipy.sparse as sp

_SPREAD_ROWS = 256


def popularity_discounts(counts, exponent):
    """Factors for items met `counts` times: mean popularity over their own, to this power."""
    counts = np.maximum(counts, counts[counts > 0].min(initial=np.inf))
    if not np.isfinite(counts).all() or not exponent:
        return np.ones(len(counts), np.float32)
    return ((counts / counts.mean()) ** -exponent).astype(np.float32)


def blended(B, cosines, share, rows):
    """``B + f·cosines``, where f makes their scores of `rows` spread `share` as far as those of B.

    Parameters
    ----------
    B : ndarray or csr_array of float32, shape (n_items, n_columns)
        Overwritten.
    cosines : csr_array of float32, shape (n_items, n_columns)
        Of the pattern of B, if that is sparse.
    share : float
    rows : csr_array of float32, shape (n_rows, n_items)
    """
    own = spread(lambda some: some @ cosines, rows)
    factor = np.float32(share * spread(lambda some: some @ B, rows) / own if own else 0.0)
    if sp.issparse(B):
        B.data += factor * cosines.data
    else:
        row = np.repeat(np.arange(len(B)), np.diff(cosines.indptr))
        B[row, cosines.indices] += factor * cosines.data
    return B


def spread(score, rows):
    """Standard deviation over items of ``score(rows)``, a matrix, mean over some of the rows."""
    scores = score(rows[np.linspace(0, rows.shape[0] - 1, _SPREAD_ROWS).astype(np.int64)])
    scores = scores.toarray() if sp.issparse(scores) else scores
    return float(scores.std(axis=1).mean())
