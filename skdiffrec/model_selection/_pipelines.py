"""Recommenders inside pipelines and searches: where X becomes a matrix, and what follows."""

import copy
import warnings

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline

from .._utils.item_filters import user_item_matrix
from .._utils.validation import canonical_csr, check_item_ids, check_user_ids
from .._utils.warning import warn_caller
from ._holdout_base import check_matrix


def fitted_parts(estimator):
    """(fitted transformers in their order, fitted recommender) in searches and pipelines."""
    transformers = []
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            transformers += _transformers(estimator.steps[:-1])
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "encoder_") and hasattr(estimator, "recommender_"):
            transformers.append(estimator.encoder_)
            estimator = estimator.recommender_
        else:
            return transformers, estimator


def _transformers(steps):
    found = []
    for _, step in steps:
        step = step.estimator if isinstance(step, FrozenEstimator) else step
        if hasattr(step, "steps"):
            found += _transformers(step.steps)
        elif step is not None and not isinstance(step, str):  # "passthrough"
            found.append(step)
    return found


def transformed(transformers, X):
    """`X` after all transformers."""
    for step in transformers:
        X = step.transform(X)
    return X


def nested_recommender(estimator):
    """(recommender in an estimator that need not be fitted, name of its `guidance_scale` there)."""
    path: list[str] = []
    while True:
        if hasattr(estimator, "steps"):
            name, estimator = estimator.steps[-1]
        elif hasattr(estimator, "estimator"):
            name, estimator = "estimator", estimator.estimator
        else:
            return estimator, "__".join([*path, "guidance_scale"])
        path.append(name)


def check_has_scales(estimator):
    """The recommender in an estimator has a guidance scale to choose."""
    recommender, _ = nested_recommender(estimator)
    if not hasattr(recommender, "recommend_scales"):
        if hasattr(getattr(recommender, "recommender", None), "recommend_scales"):
            raise ValueError(
                f"estimator must be a recommender of matrices, or a Pipeline that ends in one, got "
                f"{type(recommender).__name__}, which reads tables. Give Pipeline([('encoder', "
                "InteractionEncoder()), ('model', recommender)]), or search by GridSearchCV over "
                "recommender__guidance_scale."
            )
        if hasattr(recommender, "guidance_scale"):
            raise ValueError(
                f"{type(recommender).__name__} has no method recommend_scales, from which all "
                "scales come at once. Search by GridSearchCV over guidance_scale."
            )
        raise ValueError(
            "estimator must be a recommender with a method recommend_scales, such as "
            "CFGDiffusionRecommender, or a Pipeline that ends in one, got "
            f"{type(recommender).__name__}, which has no guidance scale to choose."
        )


def inside_pipeline(estimator, options, user_ids=None, left_out=None):
    """(recommender, options of its `recommend`) for options whose `X` is of a fitted pipeline.

    What a step leaves out of a history is no more listed than the rest of it, as in an evaluation.
    `left_out` is that of the rows of `fit`, from which `user_ids` choose.
    """
    transformers, recommender = fitted_parts(estimator)
    filtered = options.get("filter_seen", True)
    if options.get("X") is not None:
        rows, left_out = _rows_and_left_out(transformers, recommender, options["X"], filtered)
        options = options | {"X": rows}
    elif filtered and left_out is not None and user_ids is not None:
        left_out = left_out[check_user_ids(user_ids, left_out.shape[0], known=True)[0]]
    if left_out is not None and filtered:
        blocked = _also_blocked(left_out, options.get("filter_items"))
        options = options | {"filter_items": blocked}
    return recommender, options


def left_out_in_fit(estimator, X):
    """What steps of a pipeline left out of the histories of `fit`, csr_array of ones, or None."""
    transformers, recommender = fitted_parts(estimator)
    if _first_after_matrix(transformers, recommender, X) == len(transformers):
        return None  # and no table is read again
    return _rows_and_left_out(transformers, recommender, X)[1]


def _rows_and_left_out(transformers, recommender, X, filtered=True):
    """(`X` after all transformers, what those that see a matrix leave out of it, or None).

    None also where nothing is to be `filtered`, and where the steps make another matrix: of other
    columns, or of what is no matrix of interactions before them.
    """
    start = _first_after_matrix(transformers, recommender, X)
    matrix = transformed(transformers[:start], X)
    rows = transformed(transformers[start:], matrix)
    if not filtered or start == len(transformers) or _shape(rows) != _shape(matrix):
        return rows, None
    try:
        given = canonical_csr(check_matrix(matrix), "binary")
    except (TypeError, ValueError):  # missing or negative numbers, of which steps make others
        return rows, None
    kept = canonical_csr(check_matrix(rows), "binary")
    in_both = given.multiply(kept)
    left_out = canonical_csr(given - in_both, "binary")
    return rows, left_out if left_out.nnz and in_both.nnz == kept.nnz else None


def _shape(X):
    """Shape of an array, a matrix, a data frame or lists; None of what has none."""
    try:
        return np.shape(X)
    except ValueError:  # ragged
        return None


def _also_blocked(left_out, filter_items):
    """A matrix of what is left out, and of `filter_items` as `recommend` takes them."""
    if filter_items is None:
        return left_out
    n_users, n_items = left_out.shape
    blocked = user_item_matrix("filter_items", filter_items, left_out.shape)
    if blocked is None:
        ids = check_item_ids("filter_items", filter_items, n_items)
        starts = len(ids) * np.arange(n_users + 1)
        parts = np.ones(n_users * len(ids), np.float32), np.tile(ids, n_users), starts
        blocked = sp.csr_array(parts, shape=left_out.shape)
    return left_out + blocked


def with_guidance_scale(estimator, scale):
    """A copy of an estimator with another scale, which shares what was fitted."""
    if isinstance(estimator, FrozenEstimator):
        return FrozenEstimator(with_guidance_scale(estimator.estimator, scale))
    changed = copy.copy(estimator)
    if hasattr(estimator, "best_estimator_"):
        changed.best_estimator_ = with_guidance_scale(estimator.best_estimator_, scale)
    elif hasattr(estimator, "steps"):
        *steps, (name, last) = estimator.steps
        changed.steps = [*steps, (name, with_guidance_scale(last, scale))]
    else:
        changed.set_params(**{nested_recommender(changed)[1]: scale})
    return changed


def without_names(estimator):
    """A recommender or pipeline that asks rows for no names, and shares what was fitted.

    A step that gives data frames names their columns by its own, and the steps after it are given
    these names as in `fit`: all of them keep theirs.
    """
    if hasattr(estimator, "steps"):
        steps, named = [], False
        for name, step in estimator.steps:
            named = named or _gives_frames(step)
            steps.append((name, step if named else without_names(step)))
        return Pipeline(steps)
    if "feature_names_in_" not in vars(estimator):
        return estimator
    changed = copy.copy(estimator)
    del changed.feature_names_in_
    return changed


def _gives_frames(step):
    """Whether `set_output` or the configuration let a transformer give data frames."""
    own = getattr(step, "_sklearn_output_config", {})
    return own.get("transform", get_config()["transform_output"]) != "default"


def reads_tables(step):
    """Whether a transformer makes a users x items matrix of events, as `InteractionEncoder`."""
    return hasattr(step, "user_index") and hasattr(step, "item_index")


def as_matrix(estimator, X, *, new_users):
    """(matrix of users x items, what recommends from it) of a fitted estimator.

    Items can be held out of a matrix only. So X goes through the steps of a pipeline up to the one
    that makes the matrix, and what recommends is the rest: a recommender, or a pipeline.

    Parameters
    ----------
    estimator : estimator
        A recommender, or a pipeline or search around one.
    X : table or matrix
    new_users : bool
        Whether to warn of users whom `fit` has seen with other events.
    """
    transformers, recommender = fitted_parts(estimator)
    if not hasattr(recommender, "recommend") and not hasattr(recommender, "decision_function"):
        raise TypeError(
            "estimator must be a recommender, or a Pipeline or a search with refit=True around "
            f"one, got {type(recommender).__name__} without recommend or decision_function."
        )
    start = _first_after_matrix(transformers, recommender, X)
    before, rest = transformers[:start], transformers[start:]
    if before and reads_tables(before[-1]):
        X, users = _encoded(before[-1], transformed(before[:-1], X))
        if new_users:
            _warn_of_known_users(before[-1], X, users, transformed(rest, X), recommender)
    else:
        X = transformed(before, X)
    return X, make_pipeline(*rest, recommender) if rest else recommender


def known_of_rows(estimator, X, known):
    """What is known of users as rows of the matrix of `as_matrix`, whose tables have ids.

    A `TableRecommender` reads such tables; other estimators are given rows.
    """
    while not hasattr(estimator, "_known_of_rows"):
        inside = getattr(estimator, "best_estimator_", None)
        if isinstance(estimator, FrozenEstimator):
            inside = estimator.estimator
        if inside is None:
            return known
        estimator = inside
    if not any(hasattr(value, "columns") for value in known.values()):
        return known
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `as_matrix` warns
        _, users = _encoded(estimator.encoder_, X)
    return estimator._known_of_rows(users, known)


def _first_after_matrix(transformers, recommender, X):
    """Index of the first transformer that X enters as a matrix of the recommender's items."""
    encoders = [i for i, step in enumerate(transformers) if reads_tables(step)]
    if encoders:
        return encoders[-1] + 1
    shape, n_items = _shape(X), getattr(recommender, "n_features_in_", None)
    if shape is not None and (n_items is None or shape[1:] == (n_items,)):
        return 0
    start = 0
    for i, step in enumerate(transformers):  # of other kinds: the last that changes the shape
        X = step.transform(X)
        if _shape(X) != shape:
            start, shape = i + 1, _shape(X)
    return start


def _encoded(encoder, X):
    """(matrix, users of its rows) of a table, in which users and items may be new.

    An encoder may refuse these or leave them out. In an evaluation that would end a search in NaN,
    and its first candidate would win.
    """
    error = None
    try:
        matrix, users = encoder.transform(X, return_users=True)
        if matrix.shape[0]:
            return matrix, users
    except ValueError as refused:
        error = refused
    lenient = copy.copy(encoder).set_params(unknown_users="keep", unknown_items="ignore")
    matrix, users = lenient.transform(X, return_users=True)
    if not matrix.shape[0]:
        return matrix, users
    reason = error or 'The encoder leaves out all users of X, by unknown_users="ignore".'
    warn_caller(
        f"{reason} The evaluation keeps new users and leaves out new items, which cannot be "
        'recommended: set unknown_users="keep" and unknown_items="ignore" to say so.',
    )
    return matrix, users


def _warn_of_known_users(encoder, matrix, users, rows, recommender):
    """Warn if users are evaluated on a part of their events while `fit` saw another."""
    fitted = getattr(recommender, "_fit_X", None)
    place = encoder.user_index(users, unknown=-1)
    known = np.flatnonzero(place >= 0)
    if fitted is None or not len(known) or fitted.shape != (encoder.n_users_, rows.shape[1]):
        return
    given = canonical_csr(sp.csr_array(rows)[known], "binary").astype(bool)
    seen = fitted[place[known]].astype(bool)
    n_cut = int((np.diff((given != seen).tocsr().indptr) > 0).sum())
    if n_cut:
        warn_caller(
            f"{n_cut} of the {len(users)} users of X were in fit with other events. They are "
            "evaluated by the events of X alone, as if they were new: what they have in fit may "
            'be listed, and is no hit. Split events by user, cv=GroupKFold() with groups=events["'
            f'{encoder.user}"]; to predict later events of known users, encode all events first '
            "and give the recommender history and holdout as matrices.",
        )
