"""Choose the guidance scale by cross-validation, one training per fold."""

import copy
import numbers
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._typing import (
    ArrayLike,
    DoubleArray,
    FloatArray,
    HasSplit,
    IntArray,
    MatrixLike,
    Method,
)
from .._validation import (
    HasMethods,
    StrOptions,
    check_scales,
    drop_labels,
    fit_context,
    safe_indexing,
)
from ._scorers import LESS_IS_BETTER, RankingScorer

__all__ = ["GuidanceScaleCV"]


def _refitted(self):
    """Whether there is a best estimator to pass calls on to, or will be after `fit`."""
    return bool(self.refit)


def _if_refitted(method: Method) -> Method:
    """`available_if`, keeping the types of the method."""
    return available_if(_refitted)(method)


class GuidanceScaleCV(MetaEstimatorMixin, BaseEstimator):
    """Choose the guidance scale of a recommender by cross-validation.

    The scale has no say in training, so the recommender is fitted once per fold and judged at all
    scales in one sampling pass, in which the conditional and the unconditional part are shared.
    Then it is fitted to all users, at the best scale. What it finds is what `GridSearchCV` over
    ``guidance_scale`` would find, up to rounding, for the price of a single scale.

    Parameters
    ----------
    estimator : estimator
        With a parameter `guidance_scale` and a method `recommend_scales`, such as
        `CFGDiffusionRecommender`.
    scales : array-like of float, default=(0.0, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0)
        Guidance scales to try. Of equally good ones the first is taken.
    cv : int, cross-validation generator, iterable or "prefit", default=None
        As in `GridSearchCV`: None makes 5 folds of users, so that users are judged who are new to
        the model. "prefit" takes the fitted `estimator` as it is and judges it on all rows: give
        rows that were not in its `fit`, or a holdout `y`, or it finds what it has seen.
    scoring : RankingScorer, str or callable, default=None
        How to judge. None is ``RankingScorer("ndcg", 10)``; a str is the name of a metric. Another
        callable is called as ``scoring(estimator, X, y)`` at each scale, and shares nothing.
    refit : bool or str, default=True
        Fit to all users at the best scale. With several metrics, the key of the one to go by.
    n_jobs : int or None, default=None
        Folds fitted at a time.

    Attributes
    ----------
    best_guidance_scale_ : float
    best_score_ : float
        Its mean score over the folds.
    best_index_ : int
        Its place in `scales`.
    best_estimator_ : estimator
        Fitted to all rows at the best scale; `recommend` and the like are its own. With
        ``cv="prefit"`` the given estimator at the best scale. Not there if ``refit=False``.
    cv_results_ : dict of ndarray
        As of `GridSearchCV`: param_guidance_scale, params, split0_test_score, ...,
        mean_test_score, std_test_score and rank_test_score, in the order of `scales`. With
        several metrics, "score" is the name of each.
    fit_times_, score_times_ : ndarray of float64, shape (n_splits,)
        Seconds for fitting, and for judging at all scales, in each fold.
    n_splits_ : int
    scorer_ : RankingScorer

    See Also
    --------
    sklearn.model_selection.GridSearchCV : For the scale together with other parameters; give the
        estimator a ``memory`` then.

    Examples
    --------
    >>> from skdiffrec import CFGDiffusionRecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> from skdiffrec.model_selection import GuidanceScaleCV
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
    >>> search = GuidanceScaleCV(model, scales=[0.0, 1.0, 2.0], cv=3).fit(data.train)
    >>> search.best_guidance_scale_ > 0
    True
    >>> search.recommend([0, 1], k=5)[0].shape
    (2, 5)
    """

    best_guidance_scale_: float
    best_score_: float
    best_index_: int
    best_estimator_: BaseEstimator
    cv_results_: dict[str, Any]
    fit_times_: DoubleArray
    score_times_: DoubleArray
    n_splits_: int
    scorer_: RankingScorer | Callable[..., float]

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "recommend_scales"])],
        "scales": ["array-like"],
        "cv": ["cv_object", StrOptions({"prefit"})],
        "scoring": [str, callable, None],
        "refit": ["boolean", str],
        "n_jobs": [numbers.Integral, None],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        scales: ArrayLike = (0.0, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0),
        cv: int | HasSplit | Iterable[tuple[Any, Any]] | Literal["prefit"] | None = None,
        scoring: RankingScorer | str | Callable[..., float] | None = None,
        refit: bool | str = True,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.scales = scales
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: MatrixLike, y: MatrixLike | None = None, **fit_params: Any) -> Self:
        """Choose the scale, then fit to all users.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Holdout items, by which the lists are judged; None hides a part of the test rows.
        **fit_params
            Of the estimator's `fit`; what has one entry per user is split with the users. `groups`
            goes to the splitter. With metadata routing enabled, what was requested goes where.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If there is no scale or one is out of range, `y` overlaps `X`, no user has a holdout
            item, or as `fit` of the estimator.
        """
        scales, scorer = self._checked()
        X, y = indexable(X if hasattr(X, "shape") else np.asarray(X), y)
        y = drop_labels(y, X.shape, stacklevel=3)
        if isinstance(self.cv, str):  # "prefit"
            check_is_fitted(self.estimator)
            judged = _judge(self.estimator, X, y, scales, scorer)
            self._collect(scales, scorer, [(0.0, *judged)])
            if self.refit:
                self.best_estimator_ = copy.copy(self.estimator)
                self.best_estimator_.set_params(guidance_scale=self.best_guidance_scale_)
            return self
        routed = self._routed(fit_params)
        splits = list(check_cv(self.cv).split(X, y, **routed.splitter.split))
        if not splits:
            raise ValueError(
                f"cv={self.cv!r} gives no split; give an iterator that is not used up."
            )
        fit_params = routed.estimator.fit
        folds = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_judge)(
                clone(self.estimator), X, y, train, test, scales, scorer, fit_params
            )
            for train, test in splits
        )
        self._collect(scales, scorer, folds)
        if self.refit:
            best = clone(self.estimator).set_params(guidance_scale=self.best_guidance_scale_)
            self.best_estimator_ = best.fit(X, **fit_params)
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """What goes where: to `fit` of the estimator, to `split` of the splitter.

        Returns
        -------
        routing : MetadataRouter
        """
        splitter = None if isinstance(self.cv, str) else check_cv(self.cv)
        return (
            MetadataRouter(owner=self)
            .add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
            .add(
                splitter=splitter,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        )

    def _routed(self, fit_params):
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **fit_params)
        rest = {name: value for name, value in fit_params.items() if name != "groups"}
        split = {"groups": fit_params.get("groups")}
        return Bunch(estimator=Bunch(fit=rest), splitter=Bunch(split=split))

    def _checked(self):
        scorer = RankingScorer() if self.scoring is None else self.scoring
        scorer = RankingScorer(scorer) if isinstance(scorer, str) else scorer
        if _several(scorer) and self.refit not in (False, *scorer.names):
            raise ValueError(
                f"refit must be one of {scorer.names}, or False, where scoring has several metrics;"
                f" got {self.refit!r}."
            )
        if _several(scorer) and str(self.refit).startswith(LESS_IS_BETTER):
            raise ValueError(f"refit={self.refit!r} would take the worst; use 'neg_{self.refit}'.")
        return check_scales(self.scales), scorer

    def _collect(self, scales, scorer, folds):
        """Attributes from (fit seconds, judging seconds, one score or dict per scale) of folds."""
        self.scorer_, self.n_splits_ = scorer, len(folds)
        self.fit_times_, self.score_times_ = np.array([fold[:2] for fold in folds]).T
        several = _several(scorer)
        names = scorer.names if several else ["score"]
        results = {
            "param_guidance_scale": np.array(scales),
            "params": [{"guidance_scale": float(scale)} for scale in scales],
        }
        for name in names:
            table = np.array(
                [[at[name] if several else at for at in scores] for *_, scores in folds]
            )
            results |= {f"split{i}_test_{name}": row for i, row in enumerate(table)}
            results[f"mean_test_{name}"] = mean = table.mean(axis=0)
            results[f"std_test_{name}"] = table.std(axis=0)
            results[f"rank_test_{name}"] = rankdata(-mean, "min").astype(np.int32)
        self.cv_results_ = results
        if self.refit or not several:
            name = self.refit if several else "score"
            self.best_index_ = int(results[f"rank_test_{name}"].argmin())
            self.best_score_ = float(results[f"mean_test_{name}"][self.best_index_])
            self.best_guidance_scale_ = float(scales[self.best_index_])

    def score(self, X: MatrixLike, y: MatrixLike | None = None) -> float:
        """Score of the best estimator by `scorer_`, at the best scale.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            As in `fit`.

        Returns
        -------
        score : float
            With several metrics, the one that `refit` names.
        """
        check_is_fitted(self, "best_estimator_")
        score = self.scorer_(self.best_estimator_, X, y)
        return score[str(self.refit)] if isinstance(score, dict) else score

    @_if_refitted
    def recommend(
        self, user_ids: ArrayLike | None = None, k: int = 10, **options: Any
    ) -> tuple[IntArray, FloatArray]:
        """EvaluatedLists of the best estimator, at the best scale.

        Parameters
        ----------
        user_ids : int or array-like of int, shape (n,), default=None
            Rows of the matrix given to `fit`; None means all.
        k : int, default=10
            Length of the lists.
        **options
            As of the estimator's method.

        Returns
        -------
        ids, scores : ndarrays of int64 and float32
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.recommend(user_ids, k, **options)

    @_if_refitted
    def recommend_scales(
        self,
        scales: ArrayLike,
        user_ids: ArrayLike | None = None,
        k: int = 10,
        **options: Any,
    ) -> tuple[IntArray, FloatArray]:
        """EvaluatedLists of the best estimator at several scales.

        Parameters
        ----------
        scales : array-like of float, shape (n_scales,)
            Guidance scales.
        user_ids : int or array-like of int, shape (n,), default=None
            Rows of the matrix given to `fit`; None means all.
        k : int, default=10
            Length of the lists.
        **options
            As of the estimator's method.

        Returns
        -------
        ids, scores : ndarrays of int64 and float32
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.recommend_scales(scales, user_ids, k, **options)

    @_if_refitted
    def decision_function(self, X: MatrixLike) -> FloatArray:
        """Scores of the best estimator, at the best scale.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.

        Returns
        -------
        scores : ndarray of float32, shape (n_users, n_items)
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.decision_function(X)

    @property
    def n_features_in_(self) -> int:
        """Number of items."""
        return self.best_estimator_.n_features_in_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def _fit_and_judge(estimator, X, y, train, test, scales, scorer, fit_params):
    per_user = (X.shape[0],)
    params = {
        name: safe_indexing(value, train) if np.shape(value)[:1] == per_user else value
        for name, value in fit_params.items()
    }
    start = time.perf_counter()
    estimator.fit(safe_indexing(X, train), **params)
    seconds = time.perf_counter() - start
    y = None if y is None else safe_indexing(y, test)
    return seconds, *_judge(estimator, safe_indexing(X, test), y, scales, scorer)


def _judge(estimator, X, y, scales, scorer):
    """(seconds, one score or dict per scale) of a fitted estimator."""
    start = time.perf_counter()
    if isinstance(scorer, RankingScorer):
        history, hidden = scorer.split(estimator, X, y)
        lists, _ = estimator.recommend_scales(scales, X=history, k=scorer.n_listed)
        scores = [scorer.judge(ids, history, hidden) for ids in lists]
    else:
        estimator = copy.copy(estimator)
        scores = [scorer(estimator.set_params(guidance_scale=s), X, y) for s in scales.tolist()]
    return time.perf_counter() - start, scores


def _several(scorer):
    return getattr(scorer, "several", False)
