"""Checks of `user_features`: what is known of users beside their histories."""

import warnings

import numpy as np
import scipy.sparse as sp

from .condition_names import USER_FEATURES
from .rows import scale_columns, select_entries

# As they are read, where an entry is about 1: what is beyond counts as so much.
LARGEST = 1e4
_MISSING = (
    "Fill what is missing, for example by SimpleImputer(fill_value=0, strategy='constant'), or "
    "leave it 0: a row of zeros is a user of whom nothing is known."
)
_HOW = (
    "Give one number a column: ColumnTransformer with OneHotEncoder(handle_unknown='ignore') makes "
    "them of texts and categories."
)


def check_user_features(estimator, user_features, n_rows, *, reset=False):
    """Features of users as one canonical CSR; None where nothing is given.

    Parameters
    ----------
    estimator : estimator
        Whose ``n_user_features_in_`` is set (``reset=True``) or compared.
    user_features : {array-like, sparse matrix, sparse array, data frame} or None
        Of shape (n_rows, n_user_features), finite.
    n_rows : int
        Rows of X, or users asked for.
    reset : bool
        True in ``fit``.

    Returns
    -------
    features : csr_array of float32, shape (n_rows, n_user_features), or None
        Sorted indices, no duplicates, no explicit zeros.
    """
    names = _column_names(user_features)
    if reset:
        estimator.__dict__.pop("n_user_features_in_", None)
        estimator.__dict__.pop("user_feature_names_in_", None)
    if user_features is None:
        return None
    if not reset and not hasattr(estimator, "n_user_features_in_"):
        raise ValueError(
            "user_features were given, but the model was fitted without any and cannot read them. "
            "Fit it with user_features, one row for each row of X, or leave them out."
        )
    features = _numbers(user_features)
    if features.ndim != 2 or features.shape[0] != n_rows or not features.shape[1]:
        raise ValueError(
            f"user_features has shape {features.shape}, but there are {n_rows} users. Give a "
            "matrix with one row for each row of X (each user asked for), in their order, and a "
            "column for each feature: of one feature reshape(-1, 1), of one user reshape(1, -1)."
        )
    _check_columns(estimator, features.shape[1], names, reset)
    features = sp.csr_array(features)
    features.sum_duplicates()
    _check_finite(features, names)
    features = features.astype(np.float32)
    features.eliminate_zeros()
    features.sort_indices()
    if reset and not features.nnz:
        raise ValueError(
            f"user_features of shape {features.shape} holds zeros alone: nothing is known of any "
            "user. Give features, or user_features=None."
        )
    return features


def _column_names(user_features):
    """Names of a data frame's columns, ndarray of object; None where they are not all texts."""
    names = list(getattr(user_features, "columns", ()))
    if not names or not all(isinstance(name, str) for name in names):
        return None
    return np.array(names, dtype=object)


def _numbers(user_features):
    """As a sparse matrix or an ndarray of float64."""
    if isinstance(user_features, np.ma.MaskedArray):
        raise TypeError(f"user_features is a masked array. {_MISSING}")
    if not sp.issparse(user_features):
        user_features = np.asarray(user_features)
    if user_features.dtype.kind in "mMc":  # dates become numbers, and NaT a large one
        raise TypeError(
            f"user_features has the dtype {user_features.dtype}. Give numbers, such as an age in "
            "years, in place of dates."
        )
    try:
        return user_features.astype(np.float64)
    except (TypeError, ValueError) as error:
        if "NAType" in str(error):
            raise ValueError(f"user_features holds missing values (pd.NA). {_MISSING}") from None
        raise TypeError(f"user_features holds what is no number ({error}). {_HOW}") from None


def _check_columns(estimator, n_columns, names, reset):
    """As many columns as in fit, with the same names where both have some."""
    if reset:
        estimator.n_user_features_in_ = n_columns
        if names is not None:
            estimator.user_feature_names_in_ = names
        return
    expected = estimator.n_user_features_in_
    if n_columns != expected:
        raise ValueError(
            f"user_features has {n_columns} columns, but {expected} in fit. Give the same features "
            "in the same order."
        )
    fitted = getattr(estimator, "user_feature_names_in_", None)
    if names is not None and fitted is not None and list(names) != list(fitted):
        raise ValueError(
            f"The columns of user_features are {list(names[:3])}..., those of fit "
            f"{list(fitted[:3])}.... Give the same features in the same order."
        )


def _check_finite(features, names):
    """Every entry is a finite number of float32's range; else an error names the column."""
    most = np.finfo(np.float32).max
    bad = np.flatnonzero(~(np.abs(features.data) <= most))
    if len(bad):
        column = int(features.indices[bad[0]])
        named = f"column {column}" + ("" if names is None else f" ({names[column]!r})")
        raise ValueError(
            f"user_features holds {features.data[bad[0]]} in {named}. Values must be finite, below "
            f"{most:.2g}. {_MISSING}"
        )


def scaled_features(features, factor):
    """Features as a model reads them: times the factors of their columns, none beyond LARGEST.

    A column of factor 0, of which `fit` saw no entry, says nothing.
    """
    with np.errstate(over="ignore"):
        scaled = scale_columns(features, np.asarray(factor, np.float32))
    np.clip(scaled.data, -LARGEST, LARGEST, out=scaled.data)
    return select_entries(scaled, scaled.data != 0)


def warn_without_features(recommender, known, stacklevel=4):
    """Warn if a model that was fitted with features is evaluated without any, {name: value}."""
    if hasattr(recommender, "n_user_features_in_") and known.get(USER_FEATURES) is None:
        warnings.warn(
            "The model was fitted with user_features, but is evaluated without: nothing is known "
            "of the users but their rows. Give user_features= here too; scikit-learn's tools "
            "cut and pass them with metadata routing and set_score_request(user_features=True).",
            stacklevel=stacklevel + 1,
        )
