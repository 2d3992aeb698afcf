"""Build a matrix from (row, column) pairs: merge duplicates, apply minimum counts."""

import numpy as np
import scipy.sparse as sp

DUPLICATES = ("auto", "first", "last", "sum", "mean", "max", "min", "error")
_BLOCK_ENTRIES = 2**20


def to_csr(rows, columns, numbers, shape, duplicates):
    """A CSR matrix of interactions, one entry per (row, column) pair.

    Parameters
    ----------
    rows, columns : ndarray of int, shape (n,)
    numbers : ndarray of float64, shape (n,), or None
        Values; None stores ones, float32.
    shape : (int, int)
    duplicates : {"first", "last", "sum", "mean", "max", "min", "error"}
        How to merge the values of a repeated pair.

    Returns
    -------
    X : csr_array of the given shape, with sorted indices
    """
    bits = max(1, (shape[1] - 1).bit_length())
    pairs, order = _sorted_pairs(rows, columns, bits, shape, numbers is not None)
    first = np.ones(len(pairs), bool)
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    repeated = not first.all()
    if repeated and duplicates == "error":
        raise ValueError(
            f"X has {len(first) - first.sum()} repeated pairs of user and item. Set duplicates= "
            f"to merge them, one of {DUPLICATES}."
        )
    index = np.int32 if max(len(pairs), *shape) < 2**31 else np.int64
    indptr = np.searchsorted(pairs, np.arange(shape[0] + 1) << bits)
    indices = np.empty(len(pairs), index)
    np.bitwise_and(pairs, (1 << bits) - 1, out=indices, casting="unsafe")
    del pairs
    data = np.ones(first.sum(), np.float32) if numbers is None else numbers[order]
    if repeated:
        indptr -= np.searchsorted(np.flatnonzero(~first), indptr)
        indices = indices[first]
        if numbers is not None:
            data = _merged(data, np.flatnonzero(first), duplicates)
    return sp.csr_array((data, indices, indptr.astype(index)), shape=shape)


def _sorted_pairs(rows, columns, bits, shape, with_order):
    """(pairs, each packed into one integer, ascending; their original positions or None).

    A plain sort is several times as fast as argsort, so the position is packed in too if it fits.
    """
    pairs = rows.astype(np.int64)
    pairs <<= bits
    pairs |= columns
    if not with_order:
        pairs.sort()
        return pairs, None
    place_bits = len(pairs).bit_length()
    if (shape[0] - 1).bit_length() + bits + place_bits > 63:
        order = np.argsort(pairs, kind="stable")
        return pairs[order], order
    pairs <<= place_bits
    pairs |= np.arange(len(pairs))
    pairs.sort()
    order = pairs & ((1 << place_bits) - 1)
    pairs >>= place_bits
    return pairs, order


def _merged(data, starts, duplicates):
    """One value for each run of `data` (n,); runs begin at `starts`."""
    ends = np.append(starts[1:], len(data))
    if duplicates == "first":
        return data[starts]
    if duplicates == "last":
        return data[ends - 1]
    functions = {"sum": np.add, "mean": np.add, "max": np.maximum, "min": np.minimum}
    with np.errstate(over="ignore"):
        merged = functions[duplicates].reduceat(data, starts)
    if not np.isfinite(merged).all():
        raise ValueError(
            f"Weights of a user and an item are too large to be added up, such as {data.max()}. "
            "Scale them down."
        )
    return merged / (ends - starts) if duplicates == "mean" else merged


def k_core(X, min_row, min_column):
    """The largest submatrix of X whose rows and columns all have the given minimum of entries.

    Returns
    -------
    X : csr_array
    rows, columns : ndarray of int64
        Indices of the remaining rows and columns in the original matrix, ascending.
    """
    rows, columns = np.arange(X.shape[0]), np.arange(X.shape[1])
    while True:
        enough_in_row = np.diff(X.indptr) >= min_row
        if not enough_in_row.all():
            X, rows = X[enough_in_row], rows[enough_in_row]
        enough_in_column = _column_counts(X) >= min_column
        if not enough_in_column.all():
            X, columns = X[:, enough_in_column], columns[enough_in_column]
        elif enough_in_row.all():
            return X, rows, columns


def _column_counts(X):
    """Number of entries per column; in blocks, since bincount makes an int64 copy of its input."""
    counts = np.zeros(X.shape[1], np.int64)
    step = max(_BLOCK_ENTRIES, X.shape[1])
    for start in range(0, X.nnz, step):
        counts += np.bincount(X.indices[start : start + step], minlength=X.shape[1])
    return counts
