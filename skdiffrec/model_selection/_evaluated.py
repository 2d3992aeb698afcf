"""What an estimator is evaluated on, histories and holdouts, and its lists of them."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from .._utils.canonical import RATING
from .._utils.holdouts import check_holdout, check_holdout_names, drop_labels
from .._utils.rows import entry_rows
from .._utils.topk import masked_topk
from .._utils.user_features import warn_without_features
from .._utils.validation import VALUES, canonical_csr
from ..base import hide_for_score
from ._holdout_base import check_matrix
from ._latest_items import places_stored
from ._pipelines import as_matrix, fitted_parts, transformed, without_names

_BLOCK_ELEMENTS = 2**22  # scores in memory at a time


def split_for(scorer, estimator, X, y):
    """(what recommends, history, holdout, disliked): the parts of an evaluation of an estimator.

    `disliked` is None but for a recommender of ratings, whose holdout has the liked items.

    What recommends is `estimator` without the steps that made the matrix of a table, see
    `as_matrix`.
    """
    new_users = y is None or np.ndim(y) == 1
    X, recommender = as_matrix(estimator, X, new_users=new_users)
    recommender = _of_named_columns(recommender, X, y)
    values, horizon = asked_of(recommender)
    y = drop_labels(y, np.shape(X))
    if y is None:
        if scorer.holdout is not None:
            return recommender, *told_apart(recommender, *scorer.holdout.hide(merged(X, values)))
        rows = canonical_csr(check_matrix(X), values, earliest=True)  # as splitters do
        history, holdout = hide_for_score(rows, values, horizon)
    else:
        history = canonical_csr(check_matrix(X), values)
        holdout = check_holdout(history, y, values)
    return recommender, *told_apart(recommender, history, holdout)


def _of_named_columns(estimator, X, y):
    """An estimator that takes rows without names, once the names of X's and y's columns are seen.

    What is held out and the rest are matrices, which have none; the order of their columns is X's.
    """
    transformers, recommender = fitted_parts(estimator)
    first = transformers[0] if transformers else recommender
    if hasattr(first, "feature_names_in_") and hasattr(first, "__sklearn_tags__"):
        validate_data(first, X, reset=False, skip_check_array=True)  # names and number alone
        check_holdout_names(first, y)
    return without_names(estimator)


def merged(X, values):
    """`X` with one entry for repeated times or ratings, which a holdout may not know to be such.

    It is the earliest time or the mean rating. Rows of a CSR stay in the order of their storage.
    """
    repeatable = sp.issparse(X) and X.format in ("csr", "csc", "coo")
    if values not in ("time", RATING) or not repeatable:
        return X
    X = check_matrix(X)
    once = canonical_csr(X, values, earliest=True)
    if once.nnz == np.count_nonzero(X.data):
        return X
    if X.format != "csr":
        return once.asformat(X.format)
    order = np.lexsort((places_stored(X), entry_rows(once)))
    return sp.csr_array((once.data[order], once.indices[order], once.indptr), shape=X.shape)


def told_apart(estimator, history, holdout):
    """(history, what lists should find, what they should not, or None), of a fitted estimator."""
    recommender = fitted_parts(estimator)[1]
    tell = getattr(recommender, "_told_apart_by", lambda history, holdout: (holdout, None))
    return history, *tell(history, holdout)


def asked_of(estimator):
    """What an estimator's values mean and which horizon it asks, or the one that it wraps."""
    estimator = fitted_parts(estimator)[1]
    while not hasattr(estimator, "values") and hasattr(estimator, "estimator"):
        estimator = fitted_parts(estimator.estimator)[1]
    values = getattr(estimator, "values", None)
    values = values if values in (*VALUES, RATING) else "binary"
    return values, getattr(estimator, "_asked_horizon", lambda: None)()


def recommend_lists(estimator, history, k, **known):
    """Lists of unseen items (n_users, k), by `recommend` or from `decision_function`.

    `known` is what `recommend` takes beside the histories, row by row.
    """
    known = {name: value for name, value in known.items() if value is not None}
    transformers, recommender = fitted_parts(estimator)
    warn_without_features(recommender, known)
    if hasattr(estimator, "recommend"):
        return estimator.recommend(X=history, k=k, **known)[0]
    if known:
        rows = transformed(transformers, history)
        return recommender.recommend(X=rows, k=k, filter_items=history, **known)[0]
    n_users, n_items = history.shape
    size = max(1, _BLOCK_ELEMENTS // n_items)
    lists = []
    for block in (history[i : i + size] for i in range(0, max(n_users, 1), size)):
        scores = np.array(estimator.decision_function(block), dtype=np.float32)
        lists.append(masked_topk(scores, k, block)[0])
    return np.concatenate(lists)


def recommend_at_scales(estimator, scales, history, k, **known):
    """Lists of unseen items (n_scales, n_users, k) of a recommender, or a pipeline around one."""
    transformers, recommender = fitted_parts(estimator)
    warn_without_features(recommender, known)
    if not transformers:
        return recommender.recommend_scales(scales, X=history, k=k, **known)[0]
    rows = transformed(transformers, history)  # may lack items of the history
    return recommender.recommend_scales(scales, X=rows, k=k, filter_items=history, **known)[0]
