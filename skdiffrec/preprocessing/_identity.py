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
    of_column = hash64(np.arange(X.shape[1], dtype=np.uint64))
    hashes = np.zeros(X.shape[0], np.uint64)
    starts = np.searchsorted(X.indptr, np.arange(0, X.nnz + 1, _BLOCK_ENTRIES), side="left")
    for first, end in zip(starts, [*starts[1:], X.shape[0]], strict=True):
        rows = first + np.flatnonzero(np.diff(X.indptr[first : end + 1]))
        if len(rows):
            entries = of_column[X.indices[X.indptr[first] : X.indptr[end]]]
            hashes[rows] = np.add.reduceat(entries, X.indptr[rows] - X.indptr[first])
    return hashes


def check_model_items(encoder, model):
    """Raise an error if the columns of `model` cannot be the items of `encoder`."""
    n_items = getattr(model, "n_features_in_", encoder.n_items_)
    if n_items != encoder.n_items_:
        raise ValueError(
            f"model has {n_items} items, but encoder has {encoder.n_items_}. Fit the model to the "
            "matrix that encoder.fit_transform returns."
        )


def check_model_rows(encoder, model):
    """Raise an error if row r of `model` cannot be the user ``encoder.users_[r]``.

    A model may have been fitted to other events of the same users, so rows with other items are
    accepted. Another number of rows, or the rows of the encoder in another order, are not.
    """
    rows = getattr(getattr(model, "best_estimator_", model), "_fit_X", None)
    if rows is None:  # recommend says what a model without rows needs
        return
    if rows.shape[0] != encoder.n_users_:
        raise ValueError(
            f"model was fitted to {rows.shape[0]} rows, but encoder has {encoder.n_users_} users, "
            f"so lists would stand beside the wrong names. {_REMEDY}"
        )
    checked = encoder._caches().get("model_rows")
    if checked is not None and checked() is rows:
        return
    found, expected = row_hashes(rows), encoder._row_hashes
    if not np.array_equal(found, expected) and np.array_equal(np.sort(found), np.sort(expected)):
        place = int(np.flatnonzero(found != expected)[0])
        raise ValueError(
            "model was fitted to the rows of encoder in another order: row "
            f"{place}, user {encoder._users[place]!r}, holds another user's items, so lists would "
            f"stand beside the wrong names. {_REMEDY}"
        )
    encoder._caches()["model_rows"] = weakref.ref(rows)
