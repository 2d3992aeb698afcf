"""Scores of a recommender at several guidance scales, per fold and as ``cv_results_``."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import rankdata

from .._utils.condition_names import (
    DISLIKED,
    SAID_OF_USERS,
    USER_FEATURES,
    WANTED,
    condition_names,
)
from .._utils.validation import check_scale_points, safe_indexing
from .._utils.warning import warn_caller
from ._evaluated import recommend_at_scales, split_for
from ._pipelines import with_guidance_scale
from ._scorers import LOWER_IS_BETTER, RankingScorer


def is_multimetric(scorer):
    """Whether the scorer returns a dict of several metrics."""
    return getattr(scorer, "several", False)


def scale_points(scales):
    """The scales of a search, one after the other: numbers, or dicts by condition."""
    return check_scale_points(scales, condition_names(USER_FEATURES, DISLIKED, WANTED))


def checked_scorer(scoring, refit):
    """The scorer of a search, by one metric of which `refit` chooses."""
    scorer: Any = RankingScorer() if scoring is None else scoring
    scorer = RankingScorer(scorer) if isinstance(scorer, str) else scorer
    several = is_multimetric(scorer)
    valid = (False, *scorer.names) if several else (False, True)
    if refit not in valid:
        raise ValueError(
            f"refit must be one of {valid} if scoring has "
            f"{'several metrics' if several else 'one metric'}; got {refit!r}."
        )
    metric, at, _ = str(refit).partition("@")  # callables have keys without "@"
    if several and at and metric in LOWER_IS_BETTER:
        raise ValueError(f"refit={refit!r} would select the worst scale; use 'neg_{refit}'.")
    return scorer


def fit_and_score(estimator, X, y, train, test, scales, scorer, fit_params, known):
    """Fit to the training rows, score the test rows at all scales.

    Returns
    -------
    fit_seconds, score_seconds : float
    scores : list of float or of dict of str to float
        One entry per scale.
    """
    per_row = (X.shape[0] if hasattr(X, "shape") else len(X),)
    params = {
        name: safe_indexing(value, train) if np.shape(value)[:1] == per_row else value
        for name, value in fit_params.items()
    }
    start = time.perf_counter()
    estimator.fit(safe_indexing(X, train), **params)
    seconds = time.perf_counter() - start
    y = None if y is None else safe_indexing(y, test)
    known = {
        name: value if isinstance(value, Mapping) else safe_indexing(value, test)
        for name, value in known.items()
    }
    return seconds, *score_scales(estimator, safe_indexing(X, test), y, scales, scorer, **known)


def known_of(fit_params):
    """What is known of users beside their rows, which scoring needs."""
    found = {
        name.rpartition("__")[2]: value  # of a step, too
        for name, value in fit_params.items()
        if value is not None
    }
    return {name: found[name] for name in SAID_OF_USERS if name in found}


def without_wanted(fit_params):
    """What a fit is given: lists are steered by what is wanted, and nothing is learned of it."""
    return {name: value for name, value in fit_params.items() if name != WANTED}


def checked_scales(scales, fit_params):
    """The scales of a search whose `fit` was given these, checked before anything is fitted."""
    scale_points(scales)
    if isinstance(scales, Mapping) and WANTED in scales and WANTED not in fit_params:
        raise ValueError(
            "scales holds some of 'wanted', but fit was not told what is wanted, so that all of "
            "them make the same lists. Pass fit(..., wanted=...), or leave them out."
        )
    return scales


def score_scales(estimator, X, y, scales, scorer, **known):
    """(seconds, scores) of a fitted estimator: one float or dict per scale."""
    start = time.perf_counter()
    if isinstance(scorer, RankingScorer):
        recommender, history, *holdout = split_for(scorer, estimator, X, y)
        lists = recommend_at_scales(recommender, scales, history, scorer.n_listed, **known)
        lists = lists.reshape(-1, *lists.shape[-2:])  # scales by condition have an axis each
        scores = [scorer.score_lists(ids, history, *holdout) for ids in lists]
    else:
        scores = [scorer(with_guidance_scale(estimator, s), X, y) for s in scale_points(scales)]
    return time.perf_counter() - start, scores


def results_table(points, scorer, fold_scores):
    """``cv_results_`` from the scores of each fold, one entry per scale."""
    several = is_multimetric(scorer)
    results: dict[str, Any] = {
        "param_guidance_scale": np.array(points),  # of objects, where they are dicts
        "params": [{"guidance_scale": point} for point in points],
    }
    for name in scorer.names if several else ["score"]:
        table = np.array(
            [[score[name] if several else score for score in scores] for scores in fold_scores]
        )
        results |= {f"split{i}_test_{name}": row for i, row in enumerate(table)}
        results[f"mean_test_{name}"] = mean = table.mean(axis=0)
        results[f"std_test_{name}"] = table.std(axis=0)
        results[f"rank_test_{name}"] = _ranks(mean)
    return results


def _ranks(mean):
    """Ranks of mean scores from 1, the best, as `GridSearchCV` has them: NaN is last."""
    if not np.isfinite(mean).all():
        warn_caller(f"One or more of the test scores are non-finite: {mean}")
    return rankdata(-np.where(np.isnan(mean), -np.inf, mean), "min").astype(np.int32)
