"""Missing entries of a matrix: errors with the advice that fits interactions."""

import numpy as np

MISSING = (
    "Missing means no interaction: use fillna(0) (polars: fill_null(0), masked arrays: filled(0)) "
    "on a pivoted table, and leave such entries out of a sparse matrix."
)
TABLE = (
    "A users x items matrix holds numbers. If it is a table of events, "
    "skdiffrec.preprocessing.InteractionEncoder makes a matrix of it; in a pipeline that begins "
    "with one, split by user, cv=GroupKFold() with groups=the column of users."
)
_NAN = ("contains NaN", "fill value must be 0")  # of scikit-learn, which name X
_NA = ("'NAType'", "'NaTType'")  # of pandas, among objects


def reject_masked(name, X, advice=MISSING):
    """A masked array has values under its mask, which would count."""
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            f"{name} is a masked array with {np.ma.count_masked(X)} masked entries. {advice}"
        )


def raise_clearer(name, error, if_table=TABLE):
    """Raise scikit-learn's or NumPy's error about entries with the advice for interactions."""
    text = str(error)
    if any(words in text for words in _NAN):
        raise ValueError(f"{text.splitlines()[0].rstrip('.')}. {MISSING}") from None
    if any(words in text for words in _NA):
        raise ValueError(f"{name} holds what is no number ({text}). {MISSING}") from None
    if "convert string to float" in text:
        raise ValueError(f"{name} holds text ({text}). {if_table}") from None
