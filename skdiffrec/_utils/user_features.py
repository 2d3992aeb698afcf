"""Checks of `user_features`: what is known of users beside their histories."""

import numpy as np

from .condition_names import USER_FEATURES
from .features import check_columns, feature_matrix
from .rows import scale_columns, select_entries
from .warning import warn_caller

# As they are read, where an entry is about 1: what is beyond counts as so much.
LARGEST = 1e4


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
    features, names = feature_matrix("user_features", user_features, "a user")
    if features.shape[0] != n_rows or not features.shape[1]:
        raise ValueError(
            f"user_features has shape {features.shape}, but there are {n_rows} users. Give a "
            "matrix with one row for each row of X (each user asked for), in their order, and a "
            "column for each feature: of one feature reshape(-1, 1), of one user reshape(1, -1)."
        )
    if not reset:
        fitted = getattr(estimator, "user_feature_names_in_", None), estimator.n_user_features_in_
        check_columns("user_features", names, features.shape[1], *fitted)
        return features
    if not features.nnz:
        raise ValueError(
            f"user_features of shape {features.shape} holds zeros alone: nothing is known of any "
            "user. Give features, or user_features=None."
        )
    estimator.n_user_features_in_ = features.shape[1]
    if names is not None:
        estimator.user_feature_names_in_ = names
    return features


def scaled_features(features, factor):
    """Features as a model reads them: times the factors of their columns, none beyond LARGEST.

    A column of factor 0, of which `fit` saw no entry, says nothing.
    """
    with np.errstate(over="ignore"):
        scaled = scale_columns(features, np.asarray(factor, np.float32))
    np.clip(scaled.data, -LARGEST, LARGEST, out=scaled.data)
    return select_entries(scaled, scaled.data != 0)


def warn_without_features(recommender, known):
    """Warn if a model that was fitted with features is evaluated without any, {name: value}."""
    if hasattr(recommender, "n_user_features_in_") and known.get(USER_FEATURES) is None:
        warn_caller(
            "The model was fitted with user_features, but is evaluated without: nothing is known "
            "of the users but their rows. Give user_features= here too; scikit-learn's tools "
            "cut and pass them with metadata routing, where the recommender, or RankingScorer() "
            "as scoring, has set_score_request(user_features=True).",
        )
