"""Choose the guidance scale by cross-validation, one training per fold."""

import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from .._utils.holdouts import drop_labels
from .._utils.typing import (
    ArrayLike,
    DoubleArray,
    HasSplit,
    MatrixLike,
)
from .._utils.validation import HasMethods, StrOptions, fit_context
from ._best_estimator import AsBestEstimator
from ._pipelines import check_has_scales, left_out_in_fit, with_guidance_scale
from ._scale_scores import (
    checked_scales,
    checked_scorer,
    fit_and_score,
    is_multimetric,
    known_of,
    results_table,
    scale_points,
    score_scales,
    without_wanted,
)
from ._scorers import RankingScorer

__all__ = ["GuidanceScaleCV"]

_OF_THE_BEST = "best_index_", "best_score_", "best_guidance_scale_", "best_estimator_", "_left_out"


class GuidanceScaleCV(AsBestEstimator, MetaEstimatorMixin, BaseEstimator):
    """Choose the guidance scale of a recommender by cross-validation.

    The guidance scale does not affect training. So the recommender is fitted once per fold and
    evaluated at all scales in one sampling pass, which computes the conditional and unconditional
    predictions once. It is then fitted to all users with the best scale. The result is that of
    `GridSearchCV` over ``guidance_scale``, up to rounding, at the cost of a single scale.

    Parameters
    ----------
    estimator : estimator
        A recommender with a parameter `guidance_scale` and a method `recommend_scales`, such as
        `CFGDiffusionRecommender`, or a `Pipeline` that ends in one.
    scales : array-like of float or dict, default=(0.0, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0)
        Guidance scales to try. Ties are resolved in favour of the first. A dict has several for
        some conditions, all combinations of which are tried: ``{"user_features": [0.5, 1, 2],
        "disliked": [1, 2]}``.
    cv : int, cross-validation generator, iterable or "prefit", default=None
        As in `GridSearchCV`. None makes 5 folds of users, so that the model is evaluated on users
        it was not fitted to; for a pipeline that takes events give ``GroupKFold()``, and the users
        as `groups` of `fit`. "prefit" evaluates the already fitted `estimator` on all rows of `X`;
        pass rows that were not in its `fit`, or a holdout `y`, because scores on training
        interactions are biased.
    scoring : RankingScorer, str or callable, default=None
        None uses ``RankingScorer("ndcg", 10)``; a str is the name of a metric. Any other callable
        is called as ``scoring(estimator, X, y)`` at each scale, without shared computation.
    refit : bool or str, default=True
        Whether to fit to all users at the best scale. With several metrics, the name of the metric
        that decides which scale is best.
    n_jobs : int or None, default=None
        Number of folds fitted in parallel.

    Attributes
    ----------
    best_guidance_scale_ : float or dict
        The scale with the highest mean score, or scales by condition.
    best_score_ : float
        Mean score of the best scale over the folds.
    best_index_ : int
        Index of the best scale in `scales`, or in the combinations of a dict.
    best_estimator_ : estimator
        Recommender fitted to all rows at the best scale; `recommend` and similar methods delegate
        to it. With ``cv="prefit"`` a copy of the given estimator with the best scale. Not set if
        ``refit=False``.
    cv_results_ : dict of ndarray
        As in `GridSearchCV`: param_guidance_scale, params, split0_test_score, ...,
        mean_test_score, std_test_score and rank_test_score, in the order of `scales`, the last
        condition of a dict fastest. With several metrics, their names replace "score".
    fit_times_, score_times_ : ndarray of float64, shape (n_splits,)
        Seconds to fit, and to evaluate at all scales, per fold.
    n_splits_ : int
        Number of folds.
    scorer_ : RankingScorer or callable
        The scorer used.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : Searches the scale together with other parameters; set
        the estimator's ``memory`` to avoid repeated training.

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

    best_guidance_scale_: float | dict[str, float]
    best_score_: float
    best_index_: int
    best_estimator_: BaseEstimator
    cv_results_: dict[str, Any]
    fit_times_: DoubleArray
    score_times_: DoubleArray
    n_splits_: int
    scorer_: RankingScorer | Callable[..., float]

    _parameter_constraints = {
        "estimator": [HasMethods(["fit"])],
        "scales": ["array-like", dict],
        "cv": ["cv_object", StrOptions({"prefit"})],
        "scoring": [str, callable, None],
        "refit": ["boolean", str],
        "n_jobs": [numbers.Integral, None],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        scales: ArrayLike | Mapping[str, ArrayLike] = (0.0, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0),
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
        """Choose the scale by cross-validation, then fit to all users.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories; or what a pipeline begins with, such as a data frame of events.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Held-out items on which the lists are evaluated. None holds out a part of the test rows.
        **fit_params
            Passed to the estimator's `fit`; arrays with one entry per row are split with the
            rows. `user_features` are passed to the scoring of the test rows by a RankingScorer
            too, `wanted` (as in `recommend`) to it alone, `groups` to the splitter. With metadata
            routing enabled, parameters but for `wanted` are routed as requested.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If `scales` is empty or a scale is out of range, `y` overlaps `X`, no user has a
            held-out item, `refit` names no metric, or `fit` of the estimator raises it.
        """
        scales, scorer = self._check_search(fit_params)
        if not hasattr(self.estimator, "steps") and not hasattr(X, "shape"):
            X = np.asarray(X)  # a pipeline may begin with rows of a table
        y = drop_labels(y, np.shape(X))
        if isinstance(self.cv, str):  # "prefit"
            check_is_fitted(self.estimator)
            known = known_of(fit_params)
            scored = score_scales(self.estimator, X, y, scales, scorer, **known)
            self._store_results(scales, scorer, [(0.0, *scored)])
            if self.refit:
                self.best_estimator_ = with_guidance_scale(
                    self.estimator, self.best_guidance_scale_
                )
            return self
        X, y = indexable(X, y)
        routed = self._route_params(fit_params)
        splits = list(check_cv(self.cv).split(X, y, **routed.splitter.split))
        if not splits:
            raise ValueError(
                f"cv={self.cv!r} gives no split; pass an iterator that is not exhausted."
            )
        known, fit_params = known_of(fit_params | routed.estimator.fit), routed.estimator.fit
        folds = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_and_score)(
                clone(self.estimator), X, y, train, test, scales, scorer, fit_params, known
            )
            for train, test in splits
        )
        self._store_results(scales, scorer, folds)
        if self.refit:
            best = with_guidance_scale(clone(self.estimator), self.best_guidance_scale_)
            self.best_estimator_ = best.fit(X, **fit_params)
            self._left_out = left_out_in_fit(best, X)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Metadata routing: to `fit` of the estimator and to `split` of the splitter.

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

    def _route_params(self, fit_params):
        fit_params = without_wanted(fit_params)
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **fit_params)
        rest = {name: value for name, value in fit_params.items() if name != "groups"}
        split = {"groups": fit_params.get("groups")}
        return Bunch(estimator=Bunch(fit=rest), splitter=Bunch(split=split))

    def _check_search(self, fit_params):
        """(scales, scorer), after a check of the parameters."""
        check_has_scales(self.estimator)
        return checked_scales(self.scales, fit_params), checked_scorer(self.scoring, self.refit)

    def _store_results(self, scales, scorer, folds):
        """Set attributes from (fit seconds, score seconds, scores of all scales) of each fold."""
        for name in _OF_THE_BEST:  # of an earlier fit with another `refit`
            self.__dict__.pop(name, None)
        self.scorer_, self.n_splits_ = scorer, len(folds)
        self.fit_times_, self.score_times_ = np.array([fold[:2] for fold in folds]).T
        points = scale_points(scales)
        results = results_table(points, scorer, [scores for *_, scores in folds])
        self.cv_results_ = results
        several = is_multimetric(scorer)
        if self.refit or not several:
            name = self.refit if several else "score"
            self.best_index_ = int(results[f"rank_test_{name}"].argmin())
            self.best_score_ = float(results[f"mean_test_{name}"][self.best_index_])
            self.best_guidance_scale_ = points[self.best_index_]

    def score(self, X: MatrixLike, y: MatrixLike | None = None, **known: Any) -> float:
        """Score of the best estimator, at the best scale, with `scorer_`.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Held-out items, as in `fit`.
        **known
            What is known of the users beside their histories: ``user_features=``, ``wanted=``.

        Returns
        -------
        score : float
            With several metrics, the value of the one that `refit` names.

        Raises
        ------
        NotFittedError
            Before `fit`, or with ``refit=False``.
        """
        check_is_fitted(self, "best_estimator_")
        score = self.scorer_(self.best_estimator_, X, y, **known)
        return score[str(self.refit)] if isinstance(score, dict) else score

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
