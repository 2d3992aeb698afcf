"""Whether the rows that a model was fitted to are the users of an encoder, in their order."""

import weakref

import numpy as np

from .._utils.hashing import hash64

_BLOCK_ENTRIES = 2**20
_REMEDY = (
    "Fit the model to the matrix that encoder.fit_transform returns, or to "
    "encoder.transform(events, users=encoder.users_); or give whole histories to recommend from, "
    'X=events with history="replace".'
)


def row_hashes(X):
    """One uint64 per row of a CSR: a hash of the columns of its entries, whatever their values."""
    of_column = _column_hashes(X)
    return _reduced(X, np.add, lambda entries, rows: of_column[X.indices[entries]])


def row_levels(X):
    """One uint8 per row of a CSR: how often to halve its items for a sample of 16 to 31 of them."""
    return np.log2(np.maximum(np.diff(X.indptr) // 16, 1)).astype(np.uint8)


def row_masks(X, levels):
    """One uint64 per row of a CSR: bits of a sample of its items, of which 1 in 2**level is in.

    An item is in the sample or not whatever the row, so if all items of a row are in another one,
    the bits of their masks at the same level are too.
    """
    of_column = _column_hashes(X)
    bits = np.uint64(1) << (of_column >> np.uint64(32) & np.uint64(63))
    n_zeros = np.bitwise_count(~of_column & (of_column - np.uint64(1)))  # lowest bits of the hash

    def masks_of(entries, rows):
        columns, level = X.indices[entries], levels[rows]
        if not level.any():
            return bits[columns]
        level = np.repeat(level, np.diff(X.indptr[rows.start : rows.stop + 1]))
        return np.where(n_zeros[columns] >= level, bits[columns], np.uint64(0))

    return _reduced(X, np.bitwise_or, masks_of)


def _column_hashes(X):
    return hash64(np.arange(X.shape[1], dtype=np.uint64))


def _reduced(X, ufunc, values_of):
    """`ufunc` over the entries of each row of a CSR, block by block; 0 for rows without entries.

    `values_of` is given the slices of the entries and of the rows of a block.
    """
    reduced = np.zeros(X.shape[0], np.uint64)
    starts = np.searchsorted(X.indptr, np.arange(0, X.nnz + 1, _BLOCK_ENTRIES), side="left")
    for first, end in zip(starts, [*starts[1:], X.shape[0]], strict=True):
        rows = first + np.flatnonzero(np.diff(X.indptr[first : end + 1]))
        if len(rows):
            values = values_of(slice(X.indptr[first], X.indptr[end]), slice(first, end))
            reduced[rows] = ufunc.reduceat(values, X.indptr[rows] - X.indptr[first])
    return reduced


def check_model_items(encoder, model):
    """Raise an error if the columns of `model` cannot be the items of `encoder`."""
    n_items = getattr(model, "n_features_in_", encoder.n_items_)
    if n_items != encoder.n_items_:
        raise ValueError(
            f"model has {n_items} items, but encoder has {encoder.n_items_}. Fit the model to the "
            "matrix that encoder.fit_transform returns; after add_items of the one, call add_items "
            "of the other."
        )


def check_model_rows(encoder, model):
    """Raise an error if row r of `model` cannot be the user ``encoder.users_[r]``.

    A model may have been fitted to fewer or more events of the same users, so rows that hold only
    items of their user, or all of them, are accepted. Another number of rows, the rows of the
    encoder in another order, or other rows for most users, are not.
    """
    rows = getattr(getattr(model, "best_estimator_", model), "_fit_X", None)
    if rows is None:  # recommend says what a model without rows needs
        return
    if rows.shape[0] != encoder.n_users_:
        raise ValueError(
            f"model was fitted to {rows.shape[0]} rows, but encoder has {encoder.n_users_} users, "
            f"so lists would stand beside the wrong names. {_REMEDY}"
        )
    checked, hashes = encoder._caches().get("model_rows", (None, None))
    if hashes is encoder._row_hashes and checked() is rows:
        return
    found, expected = row_hashes(rows), encoder._row_hashes
    if not np.array_equal(found, expected):
        if np.array_equal(np.sort(found), np.sort(expected)):
            place = int(np.flatnonzero(found != expected)[0])
            raise ValueError(
                f"model was fitted to the rows of encoder in another order: row {place}, user "
                f"{encoder._users[place]!r}, holds another user's items, so lists would stand "
                f"beside the wrong names. {_REMEDY}"
            )
        _check_items_of_rows(encoder, rows)
    encoder._caches()["model_rows"] = weakref.ref(rows), expected


def _check_items_of_rows(encoder, rows):
    """Raise an error if most rows neither lie in those of `encoder` nor hold all their items."""
    found, expected = row_masks(rows, encoder._row_levels), encoder._row_masks
    comparable = (found != 0) & (expected != 0)
    both = found & expected
    other = comparable & (both != found) & (both != expected)
    if 2 * np.count_nonzero(other) <= np.count_nonzero(comparable):
        return
    place, n = int(np.flatnonzero(other)[0]), np.count_nonzero(comparable)
    raise ValueError(
        f"model was fitted to other rows than those of encoder: row {place}, user "
        f"{encoder._users[place]!r}, has items that this user has not, and lacks items that it "
        f"has; so do {np.count_nonzero(other)} of {n} rows. Lists of other users, or of items in "
        f"another order, would stand beside the wrong names. {_REMEDY}"
    )
