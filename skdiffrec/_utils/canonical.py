"""The one form that matrices of interactions are brought into."""

import numpy as np
import scipy.sparse as sp

from .memory import refuse_too_large

VALUES = ("binary", "weight", "time")
RATING = "rating"  # of models that tell likes from dislikes
_DTYPES = {"binary": np.float32, "weight": np.float64, "time": np.float64, RATING: np.float64}


def canonical_csr(X, values, earliest=False):
    """CSR with sorted indices, without duplicates or zeros; `X` itself is left as it was.

    Of several times of an entry the latest stays, or the `earliest`; of several ratings the mean;
    other values are added up.
    """
    n, m = X.shape
    if _is_canonical(X):
        col, data, indptr = X.indices, X.data, X.indptr
    else:
        coo = sp.coo_array(X)
        keep = coo.data != 0
        key, data = coo.row[keep].astype(np.int64) * m + coo.col[keep], coo.data[keep]
        order = np.argsort(key, kind="stable")
        key, data = key[order], data[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        merge = (np.minimum if earliest else np.maximum) if values == "time" else np.add
        row, col = np.divmod(key[first], m)
        if len(data):
            n_merged = np.diff(first, append=len(data))
            data = merge.reduceat(data, first)
            data = data / n_merged if values == RATING else data
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
    dtype = _DTYPES[values]
    data = np.ones(len(col), dtype) if values == "binary" else data.astype(dtype)
    index = np.int32 if max(len(col), m) < 2**31 else np.int64
    parts = data, col.astype(index), indptr.astype(index)
    return sp.csr_array(parts, shape=(n, m))


def refuse_many_rows(name, shape):
    """A CSR takes memory for every row, also for empty ones."""
    what = f"{name} of shape {tuple(shape)}"
    refuse_too_large(8 * shape[0], what, "Number the users from 0 without gaps.")


def refuse_contradictions(name, X):
    """A sparse matrix whose parts contradict each other, before compiled code reads them.

    Unchecked, they would be read and written far outside of arrays.
    """
    if not sp.issparse(X) or X.format not in ("csr", "csc", "bsr", "coo") or X.ndim != 2:
        return
    if X.format in ("csc", "coo"):  # whose rows take memory once it is a CSR
        refuse_many_rows(name, X.shape)
    shape = X.shape if X.format != "csc" else X.shape[::-1]
    if X.format == "coo":
        n_stored = len(X.data)
        parts = list(zip(X.coords, shape, strict=True))
        whole = all(len(coordinates) == n_stored for coordinates, _ in parts)
    else:
        block = getattr(X, "blocksize", (1, 1))
        indptr, n_stored = X.indptr, int(X.indptr[-1]) if len(X.indptr) else -1
        whole = len(indptr) == shape[0] // block[0] + 1 and indptr[0] == 0
        whole = whole and (indptr[1:] >= indptr[:-1]).all()
        whole = whole and n_stored <= min(len(X.indices), len(X.data))
        parts = [(X.indices[: max(n_stored, 0)], shape[1] // block[1])]
    if whole and all(not len(p) or (p.min() >= 0 and p.max() < n) for p, n in parts):
        return
    raise ValueError(
        f"{name} is a sparse matrix in {X.format} format of shape {X.shape} whose parts contradict "
        "each other: its indices do not lie within its shape, or do not follow one another. Build "
        "it anew, for example by scipy.sparse.csr_array((data, (rows, columns)), shape=...)."
    )


def with_float_data(X, dtypes=(np.float64,)):
    """A sparse matrix whose data is of one of `dtypes`, or else float64; others as they are.

    It has the same entries: SciPy's `astype` first adds up duplicate ones, such as two times, and
    does so in X itself.
    """
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "biu":
        X = sp.csr_array(X)  # no copy of all zeros as floats
    if not sp.issparse(X) or X.format not in ("csr", "csc", "coo"):
        return X
    if X.dtype in dtypes or X.dtype.kind not in "biuf":
        return X
    data, X = X.data.astype(np.float64), X.copy()
    X.data = data
    return X


def _is_canonical(X):
    """Is X a CSR with sorted indices and no duplicates or zeros?"""
    if not sp.issparse(X) or X.format != "csr":
        return False
    ascending = np.diff(X.indices) > 0
    starts = X.indptr[1:-1]
    ascending[starts[(starts > 0) & (starts < len(X.indices))] - 1] = True
    return bool(ascending.all() and X.data.all())
