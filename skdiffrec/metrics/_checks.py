"""Argument checks. Errors name the parameter, the value received, what is valid, and what to do."""

from numbers import Integral

import numpy as np
import scipy.sparse as sp

from .._utils.canonical import RATING, canonical_csr, refuse_contradictions


def check_k(k, name="k", what="the number of ranks to evaluate"):
    """`k` as an int >= 1; `what` describes it in error messages."""
    advice = f"pass {what} as an integer >= 1."
    if isinstance(k, bool) or not isinstance(k, Integral):
        raise TypeError(
            f"{name} must be an integer, got {k!r} of type {type(k).__name__}; {advice}"
        )
    if k < 1:
        raise ValueError(f"{name} must be at least 1, got {k}; {advice}")
    return int(k)


def check_option(name, value, valid):
    """`value`, which must be one of `valid`."""
    if value not in valid:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, valid))}, got {value!r}; pass one of them."
        )
    return value


def check_ids(ids, k, n_items=None, source="the columns of holdout"):
    """Lists of item ids as int64 (n_users, n_listed), -1 only at the end of a short list.

    Ids must be below `n_items` (None: any id); `source` tells in errors where it comes from.
    """
    check_k(k)
    hint = "pass the ids that recommend() returns, one row per user, padded with -1"
    ids = as_2d("ids", ids, "iu", hint)
    if k > ids.shape[1]:
        raise ValueError(
            f"k must be at most the number of columns of ids ({ids.shape[1]}), got {k};"
            " recommend longer lists, or lower k."
        )
    if ids.size:
        _check_range(ids, n_items, source)
        ids = np.ascontiguousarray(ids, dtype=np.int64)
        if ids.min() < 0:
            _check_fill(ids)
        _check_repeats(ids)
    return ids.astype(np.int64, copy=False)


def check_rows(ids, matrix, name):
    """Raise an error unless `matrix` has one row per list."""
    if len(ids) != matrix.shape[0]:
        raise ValueError(
            f"ids and {name} must have the same users as rows, got {len(ids)} rows of ids and"
            f" {matrix.shape[0]} of {name}; slice {name} to the users of ids."
        )


def check_columns(matrix, name, n_items, source):
    """Raise an error unless `matrix` has one column per item."""
    if matrix.shape[1] != n_items:
        raise ValueError(
            f"{name} must have one column per item, got {matrix.shape[1]} columns and {n_items}"
            f" items ({source}); give both the same items in the same order."
        )


def interactions(name, matrix):
    """Canonical boolean csr_array of the non-zeros of `matrix`, which is not modified."""
    verb = {"train": "is in the history"}.get(name, "was held out")
    matrix = as_2d(
        name, matrix, "biuf", f"pass a users x items matrix, non-zero where an item {verb}"
    )
    refuse_contradictions(name, matrix)
    if not sp.issparse(matrix):
        matrix = sp.coo_array(matrix, dtype=np.float64)  # scipy refuses float16
    elif matrix.format != "csr":
        matrix = matrix.tocoo()
    # Check before duplicates are summed: 1 and -1 would cancel, and uint8 would wrap to 0.
    wrong = ~((matrix.data >= 0) & (matrix.data < np.inf))
    if wrong.any():
        at, coo = int(wrong.argmax()), matrix.tocoo()
        raise ValueError(
            f"{name} must hold finite values >= 0, got {coo.data[at]} at row {coo.row[at]}, column"
            f" {coo.col[at]}; drop such entries (0 or not stored: the item is not in {name}). In a"
            " pivoted table, missing means no interaction: use fillna(0)."
        )
    present = matrix.data != 0
    if matrix.format == "csr":
        pattern = sp.csr_array((present, matrix.indices, matrix.indptr), matrix.shape)
    else:
        pattern = sp.coo_array((present, (matrix.row, matrix.col)), matrix.shape).tocsr()
    if not (pattern.has_canonical_format and present.all()):
        pattern = pattern.copy()  # the index arrays may be the caller's
        pattern.sum_duplicates()
        pattern.eliminate_zeros()
    return pattern


def graded(matrix):
    """The values of a checked matrix, canonical csr_array of float64; of repeated ones the mean."""
    matrix = matrix if sp.issparse(matrix) else sp.csr_array(np.asarray(matrix, np.float64))
    return canonical_csr(matrix, RATING)


def as_2d(name, value, kinds, hint):
    """`value` as a 2-D array of a dtype kind in `kinds`; a sparse matrix is returned as it is."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"{name} is a masked array with {np.ma.count_masked(value)} masked entries; {hint}; if"
            " masked means no interaction, use filled(0)."
        )
    try:
        array = value if name != "ids" and sp.issparse(value) else as_numbers(value)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a 2-D array, got uneven rows ({error}); {hint}."
        ) from error
    if array.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {array.shape}; {hint}.")
    if array.dtype.kind not in kinds:
        what = "integers" if kinds == "iu" else "numbers"
        if kinds != "iu" and array.dtype == object:
            hint += "; in a pivoted table, missing means no interaction: use fillna(0)"
        raise TypeError(f"{name} must hold {what}, got dtype {array.dtype}; {hint}.")
    return array


def as_numbers(value):
    """`value` as an array, of numbers where a data frame or a column says that it holds these.

    NumPy makes objects of nullable and Arrow's types, and of columns of several types.
    """
    array = np.asarray(value)
    if array.dtype != object or not hasattr(value, "dtypes"):
        return array
    kinds = {getattr(dtype, "kind", "O") for dtype in np.atleast_1d(np.array(value.dtypes, object))}
    if not kinds <= set("biuf"):
        return array
    try:
        return array.astype(np.float64 if "f" in kinds else np.int64)
    except (TypeError, ValueError):  # a missing entry
        return array


def _check_range(ids, n_items, source):
    largest = np.iinfo(np.int64).max if n_items is None else n_items - 1
    if ids.min() < -1 or ids.max() > largest:
        row, rank = np.unravel_index(((ids < -1) | (ids > largest)).argmax(), ids.shape)
        items = "items >= 0" if n_items is None else f"items 0 to {largest} ({source})"
        raise IndexError(
            f"ids must be {items}, or -1 to fill a list, got {ids[row, rank]} at row {row}, place"
            f" {rank}; use the same item ids everywhere, and a matrix with all items of the model."
        )


def _check_fill(ids):
    gap = (ids[:, :-1] == -1) & (ids[:, 1:] != -1)
    if gap.any():
        row, rank = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(
            f"ids may hold -1 only at the end of a list, got item {ids[row, rank + 1]} after -1"
            f" in row {row}; move the -1 of each list after its items."
        )


def _check_repeats(ids):
    small = ids.max() <= np.iinfo(np.int32).max
    # Sorting int32 takes half the time of int64.
    ordered = np.sort(ids.astype(np.int32) if small else ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != -1)
    if twice.any():
        row, rank = np.unravel_index(twice.argmax(), twice.shape)
        raise ValueError(
            f"ids must not repeat an item within a list, got item {ordered[row, rank]} more than"
            f" once in row {row}; drop repeats (each would count as a hit) and pad with -1."
        )
