"""Matrices of features, of users or of items, brought into one form."""

import numpy as np
import scipy.sparse as sp

from .canonical import refuse_contradictions

_HOW = (
    "Give one number a column: ColumnTransformer with OneHotEncoder(handle_unknown='ignore') makes "
    "them of texts and categories, also as the user_transformer of a TableRecommender."
)
_MISSING = (
    "Fill what is missing, for example by SimpleImputer(fill_value=0, strategy='constant'), or "
    "leave it 0: a row of zeros is {} of which nothing is known."
)


def feature_matrix(name, features, of):
    """(canonical csr_array of float32, names of its columns or None); errors name the parameter.

    `of` is "a user" or "an item", what a row describes. The number of rows is not checked.
    """
    missing = _MISSING.format(of)
    refuse_contradictions(name, features)
    names = column_names(features)
    features = sp.csr_array(_numbers(name, features, missing))
    features.sum_duplicates()
    _check_finite(name, features, names, missing)
    features = features.astype(np.float32)
    features.eliminate_zeros()
    features.sort_indices()
    return features, names


def column_names(features):
    """Names of a data frame's columns, ndarray of object; None where they are not all texts."""
    if hasattr(features, "collect"):  # of lazy frames asking for names is work
        return None
    names = list(getattr(features, "column_names", getattr(features, "columns", ())))  # of pyarrow
    if not names or not all(isinstance(name, str) for name in names):
        return None
    return np.array(names, dtype=object)


def check_columns(name, columns, n_columns, fitted, n_fitted):
    """As many columns as in fit, with the same names where both have some."""
    if n_columns != n_fitted:
        raise ValueError(
            f"{name} has {n_columns} columns, but {n_fitted} in fit. Give the same features in the "
            "same order."
        )
    if columns is not None and fitted is not None and list(columns) != list(fitted):
        raise ValueError(
            f"The columns of {name} are {list(columns[:3])}..., those of fit "
            f"{list(fitted[:3])}.... Give the same features in the same order."
        )


def _numbers(name, features, missing):
    """As a sparse matrix or an ndarray of float64, of two dimensions."""
    if isinstance(features, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array. {missing}")
    if hasattr(features, "collect"):
        raise TypeError(f"{name} is a lazy frame, which is not read yet. Give {name}.collect().")
    if not sp.issparse(features):
        features = np.asarray(features)
    if features.dtype.kind in "mMc":  # dates become numbers, and NaT a large one
        raise TypeError(
            f"{name} has the dtype {features.dtype}. Give numbers, such as an age in years, in "
            "place of dates."
        )
    try:
        features = features.astype(np.float64)
    except (TypeError, ValueError) as error:
        if "NAType" in str(error):
            raise ValueError(f"{name} holds missing values (pd.NA). {missing}") from None
        raise TypeError(f"{name} holds what is no number ({error}). {_HOW}") from None
    if features.ndim != 2:
        raise ValueError(
            f"{name} has shape {features.shape}. Give a matrix of two dimensions: of one feature "
            "reshape(-1, 1), of one row reshape(1, -1)."
        )
    return features


def _check_finite(name, features, names, missing):
    """Every entry is a finite number of float32's range; else an error names the column."""
    most = np.finfo(np.float32).max
    bad = np.flatnonzero(~(np.abs(features.data) <= most))
    if len(bad):
        column = int(features.indices[bad[0]])
        named = f"column {column}" + ("" if names is None else f" ({names[column]!r})")
        raise ValueError(
            f"{name} holds {features.data[bad[0]]} in {named}. Values must be finite, below "
            f"{most:.2g}. {missing}"
        )
