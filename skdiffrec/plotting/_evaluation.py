"""Evaluation helpers of the displays: unwrap estimators, recommend lists, compute metrics."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from .._utils.holdouts import check_any_holdout
from .._utils.validation import check_list_length, check_scales
from ..metrics._registry import OVERALL, evaluate, parse
from ..model_selection import RankingScorer
from ..model_selection._evaluated import recommend_at_scales, recommend_lists, split_for
from ..model_selection._pipelines import as_matrix, fitted_parts, reads_tables, transformed


def unwrap(estimator, X=None):
    """(fitted recommender inside searches and pipelines, `X` as their transformers return it)."""
    check_is_fitted(estimator)
    transformers, recommender = fitted_parts(estimator)
    return recommender, X if X is None else transformed(transformers, X)


def require(estimator, attribute, use):
    """Raise an error unless the recommender has an attribute; `use` describes its purpose."""
    if not hasattr(estimator, attribute):
        raise TypeError(
            f"estimator must have {attribute}, {use}, got {type(estimator).__name__}. Give a"
            " fitted CFGDiffusionRecommender, or a search with refit=True or a Pipeline that ends"
            " in one."
        )


def named_scorer(metrics, k, holdout):
    """A RankingScorer of one or several metrics, given by name."""
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        if parse(name)[0] == "intra_list_diversity":
            raise ValueError(
                f"A display cannot show {name!r}, which needs item_vectors or similarity; use "
                "skdiffrec.metrics.intra_list_diversity_at_k."
            )
    return RankingScorer(names, k, holdout)


def split_rows(scorer, estimator, X, y):
    """(what recommends, history, holdout, disliked) as the scorer splits them.

    Somebody has a holdout item; `disliked` are those of a recommender of ratings, else None. What
    recommends is the estimator without the steps that make a matrix of a table.
    """
    check_is_fitted(estimator)
    recommender, history, holdout, disliked = split_for(scorer, estimator, X, y)
    check_any_holdout(holdout)
    return recommender, history, holdout, disliked


def lists_of(estimator, history, k, scales=None, user_features=None):
    """Lists (n_scales, n_users, k) of a recommender, (1, n_users, k) without `scales`."""
    known = {} if user_features is None else {"user_features": user_features}
    check_list_length(k, history.shape[1])
    recommender, _ = unwrap(estimator)
    if scales is None:
        require(recommender, "recommend", "which recommends lists")
        return recommend_lists(estimator, history, k, **known)[None]
    require(recommender, "recommend_scales", "which recommends lists at several guidance scales")
    if not isinstance(scales, Mapping):
        scales = check_scales(scales)
    elif len(scales) != 1:
        raise ValueError(f"scales must name one condition, got {list(scales)}; give one of them.")
    return recommend_at_scales(estimator, scales, history, k, **known)


def metric_values(name, ids, holdout, history, disliked=None):
    """One metric of lists: per user (n_users,), or (1,) for a metric of all users together."""
    per_user = parse(name)[0] not in OVERALL
    values = evaluate([name], ids, holdout, history, per_user=per_user, disliked=disliked)
    values = values[name]
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


def one_history(estimator, X):
    """(fitted recommender, matrix of one row) for one user's history, or events for a pipeline."""
    check_is_fitted(estimator)
    if any(map(reads_tables, fitted_parts(estimator)[0])):
        X, estimator = as_matrix(estimator, X, new_users=False)
    return unwrap(estimator, one_row(X))


def one_row(X):
    """One history as a matrix of one row."""
    X = X if sp.issparse(X) else np.asarray(X)
    X = X.reshape(1, -1) if X.ndim == 1 else X
    if X.ndim != 2 or X.shape[0] != 1:
        raise ValueError(
            f"X must be the history of one user, a matrix of one row, got shape {X.shape}; give"
            " for example X[[5]]."
        )
    return X
