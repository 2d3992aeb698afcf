"""A scorer that holds out items itself, for ``scoring=`` of scikit-learn's tools."""

import copy
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeAlias

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNCHANGED, MetadataRequest

from .._utils.condition_names import SAID_OF_USERS
from .._utils.hashing import draw_seed
from .._utils.holdouts import check_any_holdout
from .._utils.typing import ArrayLike, HasHide, IntArray, MatrixLike
from .._utils.validation import check_k, check_list_length
from ..metrics import Convention
from ..metrics._conventions import OPTIONS, define
from ..metrics._registry import evaluate, parse
from ._evaluated import recommend_lists, split_for
from ._holdout_base import seed_of
from ._pipelines import known_of_rows

LOWER_IS_BETTER = ("disliked", "gini", "popularity_bias")

Metric: TypeAlias = str | Callable[[IntArray, csr_array, int], float]


class RankingScorer:
    """Evaluate a recommender on held-out items.

    An instance is called as ``scorer(estimator, X, y=None)``, as the ``scoring`` of `GridSearchCV`,
    `RandomizedSearchCV`, `HalvingGridSearchCV`, `cross_val_score`, `cross_validate`,
    `learning_curve`, `validation_curve` and `GuidanceScaleCV` requires. Without `y` it holds out a
    part of each row of X, recommends from the rest, and evaluates the lists on the held-out part,
    which is the same for every candidate. With a matrix `y` it recommends from X and evaluates on
    `y`. Items of the history are never recommended.

    If the estimator is a `Pipeline` (or a search around one) that makes a matrix of a table, as an
    `InteractionEncoder` does, X is a table: it goes through the steps up to that one, and the rest
    of the pipeline is evaluated on the matrix. Split events by user: ``cv=GroupKFold()``.

    Parameters
    ----------
    metric : str, callable or list of these, default="ndcg"
        Name of a metric of `skdiffrec.metrics` without "_at_k", such as "ndcg", or with its own k,
        such as "recall@20". Searches maximize the score, so metrics for which lower is better are
        "neg_gini", "neg_popularity_bias" and (of a recommender of ratings) "neg_disliked". A
        callable is called as ``metric(ids, holdout, k)``. With a list, the scorer returns a dict of
        all metrics, computed from the same lists, for searches and `cross_validate`; the
        ``refit=`` of a search must then name one of the keys.
    k : int, default=10
        Length of the lists, for metrics without a k in their name.
    holdout : object with a method ``hide(X) -> (history, holdout)``, default=None
        Holdout to apply if there is no `y`, such as ``LastN(1)``. None holds out the items that the
        estimator's `score` does: a fifth of each row, the latest items if its values are times,
        else items drawn by a hash of the row; with a `horizon` as many of the latest. Of several
        times of an entry the earliest counts, of several ratings the mean, whatever the holdout. A
        `random_state` that is not an int is replaced by one drawn seed when the scorer is created;
        a holdout without `set_params` stays as it is and must itself hide the same on every call.
    convention : str or Convention, default="skdiffrec"
        The library whose definitions to use where they differ; see `skdiffrec.metrics`.

    Attributes
    ----------
    several : bool
        Whether `metric` is a list, so that scores are dicts.

    Raises
    ------
    ValueError, TypeError
        If a metric does not exist or `k` is not a positive int. When called: if `k` is above the
        number of items, no user has a held-out item, `y` overlaps `X`, the columns of a data frame
        `X` or `y` are not those of `fit` in their order, or the estimator contains no recommender.

    Warns
    -----
    UserWarning
        When called without `y` on a table with users whom `fit` saw with other events (a splitter
        has cut them in two), or with users or items that the encoder refuses.

    See Also
    --------
    skdiffrec.metrics.ranking_report : All metrics of given lists.

    Notes
    -----
    Metrics that use item popularity (novelty, popularity bias, serendipity) count it in the
    histories from which the lists are recommended.

    Examples
    --------
    >>> from sklearn.model_selection import cross_validate
    >>> from skdiffrec.baselines import EASERecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> from skdiffrec.model_selection import RankingScorer
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> scoring = RankingScorer(["ndcg", "recall@20", "coverage"])
    >>> found = cross_validate(EASERecommender(reg=50.0), data.train, scoring=scoring, cv=3)
    >>> sorted(name for name in found if name.startswith("test_"))
    ['test_coverage@10', 'test_ndcg@10', 'test_recall@20']
    """

    def __init__(
        self,
        metric: Metric | Iterable[Metric] = "ndcg",
        k: int = 10,
        holdout: HasHide | None = None,
        *,
        convention: str | Convention = "skdiffrec",
    ) -> None:
        self.metric, self.k, self.convention = metric, check_k(k), convention
        self.holdout = _with_fixed_seed(holdout)
        self._requests: dict[str, bool | str | None] = dict.fromkeys(SAID_OF_USERS)
        self.several = isinstance(metric, (list, tuple, set))
        metrics = list(metric) if isinstance(metric, (list, tuple, set)) else [metric]
        if not metrics:
            raise ValueError("metric must name at least one metric, got an empty list.")
        self._callables: dict[str, Callable[..., float]] = {}
        self._named: dict[str, tuple[str, int, int]] = {}
        for metric in metrics:
            if not callable(metric):
                self._add(metric)
            elif self._callables.setdefault(_name(metric), metric) is not metric:
                raise ValueError(
                    f"metric holds two callables of the name {_name(metric)!r}, which is the key "
                    "of their scores; give them different names."
                )

    def _add(self, name):
        """Check a metric's name and register {key: (metric, k, sign)}."""
        positive = name.removeprefix("neg_") if isinstance(name, str) else name
        metric, k = parse(positive)
        if metric in OPTIONS:
            define(metric, self.convention)  # an error if the convention lacks it
        if metric == "intra_list_diversity":
            raise ValueError(
                f"{name!r} needs item vectors, which a scorer does not have; pass a callable "
                "(ids, holdout, k) that calls intra_list_diversity_at_k with yours."
            )
        negative = positive != name
        if (metric in LOWER_IS_BETTER) != negative and not (self.several and not negative):
            right = f"neg_{positive}" if not negative else positive
            raise ValueError(
                f"metric={name!r} would make a search select the worst candidate, since it "
                f"maximizes the score; write {right!r}."
            )
        k = k if "@" in name else self.k
        self._named[f"{'neg_' * negative}{metric}@{k}"] = (metric, k, -1 if negative else 1)

    @property
    def names(self) -> list[str]:
        """Names of the scores, list of str: the keys if there are several metrics."""
        return [*self._named, *self._callables]

    @property
    def n_listed(self) -> int:
        """Length of the lists that the metrics need, the largest k."""
        return max([*(k for _, k, _ in self._named.values()), *[self.k] * len(self._callables)])

    def __call__(
        self, estimator: BaseEstimator, X: MatrixLike, y: MatrixLike | None = None, **known: Any
    ) -> float | dict[str, float]:
        """Score of a fitted estimator: a float, or a dict of float for several metrics.

        `known` is what its `recommend` takes beside the histories: ``user_features=``, ``wanted=``;
        of a `TableRecommender`, tables with ids too.
        """
        recommender, history, *holdout = split_for(self, estimator, X, y)
        known = known_of_rows(estimator, X, known)
        lists = recommend_lists(recommender, history, self.n_listed, **known)
        return self.score_lists(lists, history, *holdout)

    def set_score_request(
        self,
        *,
        user_features: bool | str | None = UNCHANGED,
        wanted: bool | str | None = UNCHANGED,
    ) -> Self:
        """Ask scikit-learn's metadata routing for what is known of the users that are scored.

        Parameters
        ----------
        user_features, wanted : bool, str or None
            As in scikit-learn: True asks for metadata of this name, a str for one of another name,
            False asks for none, None is an error where it is given. What is not named stays as it
            was, at first None.

        Returns
        -------
        self : object

        Examples
        --------
        >>> from skdiffrec.model_selection import RankingScorer
        >>> RankingScorer("ndcg").set_score_request(user_features=True)
        RankingScorer('ndcg@10', k=10, holdout=None, convention='skdiffrec')
        """
        asked = dict(zip(SAID_OF_USERS, (user_features, wanted), strict=True))
        changed = {name: alias for name, alias in asked.items() if alias != UNCHANGED}
        self._requests = self._requests | changed
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """Metadata routing: what `set_score_request` asks for.

        Returns
        -------
        routing : MetadataRequest
        """
        request = MetadataRequest(owner=self)
        for name, alias in self._requests.items():
            request.score.add_request(param=name, alias=alias)
        return request

    def split(
        self, estimator: BaseEstimator, X: MatrixLike, y: MatrixLike | None = None
    ) -> tuple[csr_array, csr_array]:
        """The histories and held-out items on which `estimator` is evaluated.

        Parameters
        ----------
        estimator : estimator
            Its parameter `values` defines what the values of `X` mean.
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories, a part of which is held out if there is no `y`; or a table for a pipeline.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Held-out items.

        Returns
        -------
        history, holdout : csr_array of shape (n_users, n_items)
            Disjoint; of a recommender of ratings the holdout has liked items alone.

        Raises
        ------
        ValueError
            If `X` or `y` has invalid values, or they overlap or differ in shape or (data frames)
            from `fit` in the names of their columns.
        """
        return split_for(self, estimator, X, y)[1:3]

    def score_lists(
        self,
        ids: ArrayLike,
        history: csr_array,
        holdout: csr_array,
        disliked: csr_array | None = None,
    ) -> float | dict[str, float]:
        """Evaluate recommended lists.

        Parameters
        ----------
        ids : array-like of int, shape (n_users, n_columns)
            Recommended items, best first; at least `n_listed` columns.
        history, holdout : csr_array of shape (n_users, n_items)
            As `split` returns them.
        disliked : csr_array of shape (n_users, n_items), default=None
            Held-out items that users dislike, for the metric "disliked".

        Returns
        -------
        score : float or dict of str to float
            A dict by name if there are several metrics.

        Raises
        ------
        ValueError
            If the lists are too short, or no user has a held-out item.
        """
        n_items = holdout.shape[1]
        if n_items < 2:
            raise ValueError(f"X has {n_items} feature(s): ranking needs at least 2 items.")
        check_list_length(self.n_listed, n_items)
        check_any_holdout(holdout)
        scores = {}
        if self._named:
            requested = [f"{metric}@{k}" for metric, k, _ in self._named.values()]
            given = ids, holdout, history, self.convention
            values = evaluate(requested, *given, disliked=disliked)
            for name, (metric, k, sign) in self._named.items():
                scores[name] = sign * values[f"{metric}@{k}"]
        scores |= {name: m(ids, holdout, self.k) for name, m in self._callables.items()}
        return scores if self.several else scores[self.names[0]]

    def __repr__(self) -> str:
        metric = self.names if self.several else self.names[0]
        return (
            f"RankingScorer({metric!r}, k={self.k}, holdout={self.holdout!r}, "
            f"convention={self.convention!r})"
        )


def _with_fixed_seed(holdout):
    """The holdout, or a copy with an int as random_state, so that every call holds out the same."""
    if holdout is None:
        return None
    if not hasattr(holdout, "hide") or isinstance(holdout, type):
        raise TypeError(
            f"holdout must have a method hide(X) -> (history, holdout), such as LastN(1), got "
            f"{holdout!r}."
        )
    random_state = getattr(holdout, "random_state", 0)
    if isinstance(random_state, (int, np.integer)) or not hasattr(holdout, "set_params"):
        return holdout
    return copy.copy(holdout).set_params(random_state=draw_seed(seed_of(random_state)))


def _name(metric):
    return getattr(metric, "__name__", type(metric).__name__)
