"""Checks of holdout items, which are handed over as `y`."""

import numpy as np
import scipy.sparse as sp

from .canonical import RATING, canonical_csr, refuse_contradictions
from .entry_types import refuse_no_numbers
from .missing import MISSING, raise_clearer, reject_masked
from .validation import column_names
from .warning import warn_caller

_HOLDOUT = (
    "y must be a matrix of X's shape. If it is a table of events, make a matrix of it, y = "
    "encoder.transform(later, users=users of X's rows), without what X holds: "
    "y - y.multiply(X > 0)."
)


def is_labels(y):
    """Is `y` 1-D, and so no matrix of holdout items?"""
    return y is not None and not sp.issparse(y) and np.ndim(y) == 1


def drop_labels(y, shape):
    """`y`, but None in place of labels that a tool passes along, with a warning."""
    if not is_labels(y):
        return y
    warn_caller(
        f"y of shape {np.shape(y)} holds no holdout items and is ignored; give a matrix of shape "
        f"{shape}, or None to hide a part of X.",
    )
    return None


def check_holdout(X, y, values="binary"):
    """The holdout as canonical CSR; an error if it overlaps the history or has another shape.

    Its values are kept where they are ratings.
    """
    reject_masked("y", y)
    refuse_no_numbers("y", y, _HOLDOUT)
    refuse_contradictions("y", y)
    if not sp.issparse(y):
        y = np.asarray(y)
        if y.dtype.kind not in "biuf":  # None or pandas' NA among numbers, or names
            try:
                y = y.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise_clearer("y", error, _HOLDOUT)
                raise ValueError(f"y holds what is no number ({error}). {_HOLDOUT}") from None
    elif y.format not in ("csr", "csc", "coo"):  # others have no array of their entries
        y = y.tocoo()
    entries = np.asarray(y.data if sp.issparse(y) else y)
    bad = entries[~(np.isfinite(entries) & (entries >= 0))]
    if bad.size:
        raise ValueError(
            f"y holds {bad[0]}. A stored non-zero is a holdout item; it must be finite, >= 0."
            + (f" {MISSING}" if np.isnan(bad[0]) else "")
        )
    y = canonical_csr(y, values if values == RATING else "binary")
    if y.shape != X.shape:
        raise ValueError(
            f"y has shape {y.shape}, but X has shape {X.shape}. y must hold each user's holdout "
            "items, in the same rows and columns as X."
        )
    overlap = X.astype(bool).multiply(y.astype(bool)).nnz
    if overlap:
        raise ValueError(
            f"X and y overlap in {overlap} interactions. The holdout y must hold only items that "
            "are not in the history X, or a model scores by copying its input. Remove them from X."
        )
    return y


def check_holdout_names(estimator, y):
    """The columns of a data frame of holdout items are those of fit, in their order."""
    names, fitted = column_names(y), getattr(estimator, "feature_names_in_", None)
    if names is not None and fitted is not None and not np.array_equal(names, fitted):
        raise ValueError(
            f"The columns of y are {list(names[:3])}..., those of fit {list(fitted[:3])}.... "
            "Give y the same columns in the same order as X."
        )


def check_any_holdout(holdout):
    """Somebody must have a holdout item."""
    if holdout.nnz == 0:
        raise ValueError(
            "No user has a holdout item: y is empty, its users are unknown, or X has all of its "
            "items already; or (y=None) every row of X has fewer than 2 interactions, or too few "
            'for the holdout; or (values="rating") none of them is liked. Give longer histories, '
            "or a holdout y of items that are not in X."
        )
