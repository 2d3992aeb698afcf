"""Pairs of numbers to a matrix: duplicates and minimum counts."""

import numpy as np
import scipy.sparse as sp

DUPLICATES = ("auto", "first", "last", "sum", "mean", "max", "min", "error")
_STRETCH = 2**20


def to_csr(rows, columns, numbers, shape, duplicates):
    """A CSR matrix of interactions, one entry per pair.

    Parameters
    ----------
    rows, columns : ndarray of int, shape (n,)
    numbers : ndarray of float64, shape (n,), or None
        None stores ones, float32.
    shape : (int, int)
    duplicates : {"first", "last", "sum", "mean", "max", "min", "error"}
        Which number stands for a pair that comes several times.

    Returns
    -------
    X : csr_array of the shape, with sorted indices
    """
    bits = max(1, (shape[1] - 1).bit_length())
    pairs, order = _sorted_pairs(rows, columns, bits, shape, numbers is not None)
    first = np.ones(len(pairs), bool)
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    repeated = not first.all()
    if repeated and duplicates == "error":
        raise ValueError(
            f"X has {len(first) - first.sum()} repeated pairs of user and item. Say which counts "
            f"by duplicates=, one of {DUPLICATES}."
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
    """(row and column packed into one integer, ascending; where each was, if asked for).

    A plain sort is several times as fast as argsort, so the place is packed in too where it fits.
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
    """One number for every run of `data` (n,) that begins at `starts`."""
    ends = np.append(starts[1:], len(data))
    if duplicates == "first":
        return data[starts]
    if duplicates == "last":
        return data[ends - 1]
    if duplicates == "mean":
        return np.add.reduceat(data, starts) / (ends - starts)
    function = {"sum": np.add, "max": np.maximum, "min": np.minimum}[duplicates]
    return function.reduceat(data, starts)


def k_core(X, min_row, min_column):
    """The largest part of X whose rows and columns all have so many entries.

    Returns
    -------
    X : csr_array
    rows, columns : ndarray of int64
        What is left, ascending.
    """
    rows, columns = np.arange(X.shape[0]), np.arange(X.shape[1])
    while True:
        kept = np.diff(X.indptr) >= min_row
        if not kept.all():
            X, rows = X[kept], rows[kept]
        kept_columns = _column_counts(X) >= min_column
        if not kept_columns.all():
            X, columns = X[:, kept_columns], columns[kept_columns]
        elif kept.all():
            return X, rows, columns


def _column_counts(X):
    """Entries of every column; in stretches, since bincount copies what it counts as int64."""
    counts = np.zeros(X.shape[1], np.int64)
    step = max(_STRETCH, X.shape[1])
    for start in range(0, X.nnz, step):
        counts += np.bincount(X.indices[start : start + step], minlength=X.shape[1])
    return counts
