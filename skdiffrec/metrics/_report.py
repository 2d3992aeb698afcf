"""Every metric at several k, from one lookup of the hits, as a table."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from .._utils.typing import ArrayLike, DataFrame, DoubleArray, MatrixLike
from ._checks import check_k
from ._conventions import Convention, check_convention
from ._formulas import NoValueError
from ._registry import NAMES, OVERALL, EvaluatedLists


def ranking_report(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int | Iterable[int] = (5, 10, 20),
    *,
    train: MatrixLike | None = None,
    disliked: MatrixLike | None = None,
    item_vectors: MatrixLike | None = None,
    similarity: MatrixLike | None = None,
    convention: str | Convention = "skdiffrec",
) -> "RankingReport":
    """Compute every metric at every k, from one lookup of the hits.

    The report has precision, recall, nDCG, MAP, MRR, hit rate, coverage, Gini index and
    personalization. `train` adds novelty, serendipity and popularity bias; `item_vectors` or
    `similarity` adds the diversity within lists, `disliked` the share of disliked items. Metrics
    that the convention does not define are left out, and popularity bias if `train` and `ids`
    differ in their number of rows. A metric of which no user has a value is NaN: personalization
    of one list, novelty without any history, the diversity within lists of one item.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Held-out items: every non-zero entry is one, whatever its value. Not modified.
    k : int or iterable of int, default=(5, 10, 20)
        Numbers of ranks evaluated, each at most ``n_listed``.
    train : sparse or dense, shape (n_users, n_items), default=None
        Histories of the same users, in the same order. For novelty and serendipity they may be
        those of other users.
    disliked : sparse or dense, shape (n_users, n_items), default=None
        Items that the users turned out to dislike, where `holdout` holds those that they like.
    item_vectors : sparse or dense, shape (n_items, n_features), default=None
        Item vectors for the diversity within lists, by cosine similarity.
    similarity : sparse or dense, shape (n_items, n_items), default=None
        Similarity matrix, instead of `item_vectors`.
    convention : str or Convention, default="skdiffrec"
        The library whose definitions to use; see :class:`Convention`.

    Returns
    -------
    report : RankingReport
        Mapping from names such as "ndcg@10" to means; ``print`` shows a table.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if no user has a held-out item or a list.

    Examples
    --------
    >>> from skdiffrec.metrics import ranking_report
    >>> report = ranking_report([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=(1, 2))
    >>> report["recall@2"]
    0.75
    >>> report.per_user["recall@2"]
    array([0.5, 1. ])
    >>> print(report)
    2 of 2 users evaluated, convention 'skdiffrec'
                           @1      @2
    precision          0.5000  0.5000
    recall             0.2500  0.7500
    ndcg               0.5000  0.6220
    map                0.5000  0.5000
    mrr                0.5000  0.7500
    hit_rate           0.5000  1.0000
    coverage           0.4000  0.8000
    gini               0.6000  0.2000
    personalization    1.0000  1.0000
    """
    ks = sorted({check_k(each) for each in (k if isinstance(k, Iterable) else [k])})
    if not ks:
        raise ValueError("k must hold at least one number of ranks, got none; pass k=(5, 10, 20).")
    lacks = check_convention(convention).lacks
    more = disliked, item_vectors, similarity
    lists = EvaluatedLists(ids, holdout, ks[-1], train, convention, *more)
    metrics = [name for name in NAMES if name not in lacks and lists.can_compute(name)]
    return RankingReport(lists, metrics, tuple(ks))


class RankingReport(Mapping[str, float]):
    """Means of all metrics by name, such as ``report["ndcg@10"]``.

    A read-only mapping of str to float, returned by :func:`ranking_report`; ``print`` shows a
    table.

    Attributes
    ----------
    per_user : mapping of str to ndarray of float64, shape (n_users,)
        One value per user, by the same names except coverage and the Gini index, which have one
        value for all users. Values are computed on access, so the report keeps references to the
        arrays it was made from.
    n_users : int
        Number of users (rows of `ids`).
    n_evaluated : int
        Number of users with held-out items, on whom accuracy is evaluated.
    k : tuple of int
        The values of k, ascending.
    convention : str or Convention
        The convention as given.

    Examples
    --------
    >>> from skdiffrec.metrics import ranking_report
    >>> report = ranking_report([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2)
    >>> report.k, report.n_evaluated, sorted(report)[:3]
    ((2,), 2, ['coverage@2', 'gini@2', 'hit_rate@2'])
    """

    k: tuple[int, ...]
    convention: str | Convention
    n_users: int
    n_evaluated: int
    per_user: Mapping[str, DoubleArray]

    def __init__(self, lists: EvaluatedLists, metrics: list[str], ks: tuple[int, ...]) -> None:
        self.k, self.convention = ks, lists.convention
        sizes = lists.hits(ks[-1]).sizes
        self.n_users, self.n_evaluated = len(sizes), int((sizes > 0).sum())
        self._metrics = metrics
        self._values = {f"{name}@{k}": _value(lists, name, k) for name in metrics for k in ks}
        self.per_user = PerUser(lists, [name for name in metrics if name not in OVERALL], ks)

    def __getitem__(self, name: str) -> float:
        return _pick(self._values, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def to_dict(self) -> dict[str, float]:
        """The means as a dict.

        Returns
        -------
        means : dict of str to float
        """
        return dict(self._values)

    def to_frame(self) -> DataFrame:
        """The means as a pandas DataFrame.

        Returns
        -------
        means : DataFrame
            One row per metric, one column per k.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame() needs pandas; run pip install pandas.") from error
        rows = [[self[f"{name}@{k}"] for k in self.k] for name in self._metrics]
        index = pd.Index(self._metrics, name="metric")
        return pd.DataFrame(rows, index=index, columns=pd.Index(self.k, name="k"))

    def __str__(self) -> str:
        width = max(map(len, self._metrics)) + 2
        convention = repr(self.convention) if isinstance(self.convention, str) else "custom"
        head = f"{self.n_evaluated} of {self.n_users} users evaluated, convention {convention}"
        lines = [head, " " * width + "".join(f"{f'@{k}':>8}" for k in self.k)]
        for name in self._metrics:
            cells = "".join(f"{self[f'{name}@{k}']:8.4f}" for k in self.k)
            lines.append(f"{name:{width}}{cells}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        users = f"{self.n_evaluated} of {self.n_users} users evaluated"
        return f"<RankingReport: {len(self)} values, {users}>"


class PerUser(Mapping[str, DoubleArray]):
    """One value per user by name, computed on first access and kept."""

    def __init__(self, lists: EvaluatedLists, metrics: Iterable[str], ks: tuple[int, ...]) -> None:
        self._lists = lists
        self._values: dict[str, DoubleArray | None] = {
            f"{name}@{k}": None for name in metrics for k in ks
        }

    def __getitem__(self, name: str) -> DoubleArray:
        values = _pick(self._values, name)
        if values is None:
            metric, _, k = name.partition("@")
            values = self._values[name] = _value(self._lists, metric, int(k), True)
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _value(lists, metric, k, per_user=False):
    """The mean, or one value per user; NaN if nobody has a value."""
    try:
        return lists.value(metric, k, per_user)
    except NoValueError:
        return np.full(lists.hits(k).n_users, np.nan) if per_user else np.nan


def _pick(values, name):
    """`values[name]`, or an error that lists the valid names."""
    if name not in values:
        raise KeyError(f"{name!r} is not in this report; it holds {', '.join(values)}.")
    return values[name]
