"""A scorer that hides a holdout itself, for ``scoring=`` of scikit-learn's tools."""

import copy

import numpy as np

from .._hashing import draw_seed
from .._topk import masked_topk
from .._validation import VALUES, canonical_csr, check_holdout, check_k, drop_labels
from ..metrics._conventions import OPTIONS, define
from ..metrics._registry import evaluate, parse
from ._holdout_base import check_matrix, seed_of
from ._holdouts import LastFraction, SampleFraction

_HIDDEN = 0.2


class RankingScorer:
    """Judge a recommender by hidden items.

    An instance is called as ``scorer(estimator, X, y=None)``, which makes it good for the
    ``scoring`` of `GridSearchCV`, `RandomizedSearchCV`, `HalvingGridSearchCV`, `cross_val_score`,
    `cross_validate`, `learning_curve`, `validation_curve` and `GuidanceScaleCV`. Without `y` it
    hides a part of every row of X, recommends from the rest, and judges the lists by what is
    hidden: the same part for every candidate. With a matrix `y` the lists are made from X and
    judged by `y`. Seen items are never recommended.

    Parameters
    ----------
    metric : str, callable or list of these, default="ndcg"
        Name of a metric of `skdiffrec.metrics` without "_at_k", such as "ndcg", or with a k of its
        own, such as "recall@20". A callable is called as ``metric(ids, holdout, k)``. Of a list
        the scorer gives a dict, all from one set of lists; a search then needs its ``refit=`` to
        name one of the keys.
    k : int, default=10
        Length of the lists, for metrics whose name says none.
    holdout : object with a method ``hide(X) -> (history, holdout)``, default=None
        What is hidden where there is no `y`, such as ``LastN(1)``. None hides a fifth of each
        row: the latest items where the estimator's values are times, else items drawn at random.
        A `random_state` that is not an int is drawn once, when the scorer is made.
    convention : str or Convention, default="skdiffrec"
        Whose definitions to use where libraries differ, see `skdiffrec.metrics`.

    Raises
    ------
    ValueError, TypeError
        If a metric does not exist or `k` is not a positive int; when called, if `k` is above the
        number of items, no user has a holdout item, or `y` overlaps `X`.

    See Also
    --------
    skdiffrec.metrics.ranking_report : All metrics of given lists.

    Notes
    -----
    Metrics that look at popularity (novelty, popularity bias, serendipity) count it in the
    histories that the lists are made from.

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

    def __init__(self, metric="ndcg", k=10, holdout=None, *, convention="skdiffrec"):
        self.metric, self.k, self.convention = metric, check_k(k), convention
        self.holdout = _with_fixed_seed(holdout)
        self.several = isinstance(metric, (list, tuple, set))
        metrics = list(metric) if self.several else [metric]
        if not metrics:
            raise ValueError("metric must name at least one metric, got an empty list.")
        self._callables = {_name(m): m for m in metrics if callable(m)}
        self._named = {}  # key: length of the list
        for name in metrics:
            if not callable(name):
                metric, k = parse(name)
                if metric in OPTIONS:
                    define(metric, convention)  # refuses what is not there
                k = k if "@" in name else self.k
                self._named[f"{metric}@{k}"] = k

    @property
    def names(self):
        """Keys of the scores, list of str."""
        return [*self._named, *self._callables]

    @property
    def n_listed(self):
        """Length of the lists that the metrics need."""
        return max([*self._named.values(), *([self.k] if self._callables else [])])

    def __call__(self, estimator, X, y=None):
        """Score of a fitted estimator: float, or dict of float for several metrics."""
        history, hidden = self.split(estimator, X, y)
        return self.judge(_lists(estimator, history, self.n_listed), history, hidden)

    def split(self, estimator, X, y=None):
        """(history, holdout) that `estimator` is judged by: csr_arrays of X's shape."""
        values = values_of(estimator)
        y = drop_labels(y, np.shape(X), stacklevel=3)
        if y is None:
            return (self.holdout or _default_holdout(values)).hide(X)
        history = canonical_csr(check_matrix(X), values)
        return history, check_holdout(history, y)

    def judge(self, ids, history, holdout):
        """Score of lists, which may be longer than needed: float, or dict of float."""
        n_items = holdout.shape[1]
        if n_items < 2:
            raise ValueError(f"X has {n_items} feature(s): to rank takes at least 2 items.")
        if self.n_listed > n_items:
            raise ValueError(
                f"k must be at most the number of items, got {self.n_listed} for {n_items} items; "
                "lower k."
            )
        scores = {name: m(ids, holdout, self.k) for name, m in self._callables.items()}
        if self._named:
            scores |= evaluate(self._named, ids, holdout, history, self.convention)
        scores = {name: scores[name] for name in self.names}
        return scores if self.several else scores[self.names[0]]

    def __repr__(self):
        metric = self.names if self.several else self.names[0]
        return f"RankingScorer({metric!r}, k={self.k}, holdout={self.holdout!r})"


def values_of(estimator):
    """What the values of X say to an estimator, or to the one that it wraps."""
    while not hasattr(estimator, "values"):
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "estimator"):
            estimator = estimator.estimator
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        else:
            return "binary"
    return estimator.values if estimator.values in VALUES else "binary"


def _default_holdout(values):
    if values == "time":
        return LastFraction(_HIDDEN)
    return SampleFraction(_HIDDEN, random_state=0)


def _with_fixed_seed(holdout):
    """The holdout, hiding the same items whenever it is asked."""
    if holdout is None:
        return None
    if not hasattr(holdout, "hide"):
        raise TypeError(
            f"holdout must have a method hide(X) -> (history, holdout), such as LastN(1), got "
            f"{holdout!r}."
        )
    random_state = getattr(holdout, "random_state", 0)
    if isinstance(random_state, (int, np.integer)):
        return holdout
    return copy.copy(holdout).set_params(random_state=draw_seed(seed_of(random_state)))


def _name(metric):
    return getattr(metric, "__name__", type(metric).__name__)


def _lists(estimator, history, k):
    """Lists of unseen items (n_users, k) from whatever the estimator offers."""
    if hasattr(estimator, "recommend"):
        return estimator.recommend(X=history, k=k)[0]
    scores = np.array(estimator.decision_function(history), dtype=np.float32)
    return masked_topk(scores, k, history)[0]
