"""Every metric at several k, from one lookup, as a table."""

from collections.abc import Iterable, Iterator, Mapping

from .._utils.typing import ArrayLike, DataFrame, DoubleArray, MatrixLike
from ._checks import check_k
from ._conventions import Convention, check_convention
from ._registry import NAMES, OF_ALL_USERS, Lists


def ranking_report(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int | Iterable[int] = (5, 10, 20),
    *,
    train: MatrixLike | None = None,
    item_vectors: MatrixLike | None = None,
    similarity: MatrixLike | None = None,
    convention: str | Convention = "skdiffrec",
) -> "RankingReport":
    """Every metric at every k, from one lookup of the hits.

    Precision, recall, nDCG, MAP, MRR, hit rate, coverage, Gini index and personalization; with
    `train` novelty, serendipity and popularity bias; with `item_vectors` or `similarity` the
    diversity inside lists. A metric that the convention lacks is left out, as is popularity bias
    where the rows of `train` are not as many as the lists.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items: every non-zero is one, whatever its value. Not modified.
    k : int or iterable of int, default=(5, 10, 20)
        Numbers of places judged, at most ``n_listed``.
    train : sparse or dense, shape (n_users, n_items), default=None
        Histories of the same users, in the same order. Those of other users do for all but
        popularity bias.
    item_vectors : sparse or dense, shape (n_items, n_features), default=None
        For the diversity inside lists, by cosine.
    similarity : sparse or dense, shape (n_items, n_items), default=None
        In place of `item_vectors`.
    convention : str or Convention, default="skdiffrec"
        Whose definitions; see :class:`Convention`.

    Returns
    -------
    RankingReport

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if no user has a holdout or a list.

    Examples
    --------
    >>> from skdiffrec.metrics import ranking_report
    >>> report = ranking_report([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=(1, 2))
    >>> report["recall@2"]
    0.75
    >>> report.per_user["recall@2"]
    array([0.5, 1. ])
    >>> print(report)
    2 of 2 users judged, convention 'skdiffrec'
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
        raise ValueError("k must hold at least one number of places, got none; pass k=(5, 10, 20).")
    lacks = check_convention(convention).lacks
    lists = Lists(ids, holdout, ks[-1], train, convention, item_vectors, similarity)
    metrics = [name for name in NAMES if name not in lacks and lists.can_judge(name)]
    return RankingReport(lists, metrics, tuple(ks))


class RankingReport(Mapping[str, float]):
    """Means by name, such as ``report["ndcg@10"]``; made by :func:`ranking_report`.

    A read-only mapping of str to float; ``print`` shows a table.

    Attributes
    ----------
    per_user : mapping of str to ndarray of float64, shape (n_users,)
        One value per user, by the same names but for coverage and the Gini index, which have none.
        Made when asked for, from the arrays given: the report holds on to them.
    n_users, n_judged : int
        Number of lists, and of those with a holdout.
    k : tuple of int
        Ascending.
    convention : str or Convention
        As given.
    """

    k: tuple[int, ...]
    convention: str | Convention
    n_users: int
    n_judged: int
    per_user: Mapping[str, DoubleArray]

    def __init__(self, lists: Lists, metrics: list[str], ks: tuple[int, ...]) -> None:
        self.k, self.convention = ks, lists.convention
        sizes = lists.hits(ks[-1]).sizes
        self.n_users, self.n_judged = len(sizes), int((sizes > 0).sum())
        self._metrics = metrics
        self._values = {f"{name}@{k}": lists.value(name, k) for name in metrics for k in ks}
        self.per_user = PerUser(lists, [name for name in metrics if name not in OF_ALL_USERS], ks)

    def __getitem__(self, name: str) -> float:
        return _pick(self._values, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def to_dict(self) -> dict[str, float]:
        """The means as a dict of str to float."""
        return dict(self._values)

    def to_frame(self) -> DataFrame:
        """The means as a pandas DataFrame, one row per metric, one column per k."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame() needs pandas; run pip install pandas.") from error
        rows = [[self[f"{name}@{k}"] for k in self.k] for name in self._metrics]
        index = pd.Index(self._metrics, name="metric")
        return pd.DataFrame(rows, index=index, columns=pd.Index(self.k, name="k"))

    def __str__(self) -> str:
        widest = max(map(len, self._metrics)) + 2
        named = repr(self.convention) if isinstance(self.convention, str) else "of one's own"
        head = f"{self.n_judged} of {self.n_users} users judged, convention {named}"
        lines = [head, " " * widest + "".join(f"{f'@{k}':>8}" for k in self.k)]
        for name in self._metrics:
            cells = "".join(f"{self[f'{name}@{k}']:8.4f}" for k in self.k)
            lines.append(f"{name:{widest}}{cells}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<RankingReport: {len(self)} values, {self.n_judged} of {self.n_users} users judged>"
        )


class PerUser(Mapping[str, DoubleArray]):
    """The users' values by name, made when asked for and kept."""

    def __init__(self, lists, metrics, ks):
        self._lists = lists
        self._values = {f"{name}@{k}": None for name in metrics for k in ks}

    def __getitem__(self, name: str) -> DoubleArray:
        if _pick(self._values, name) is None:
            metric, _, k = name.partition("@")
            self._values[name] = self._lists.value(metric, int(k), per_user=True)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _pick(values, name):
    if name not in values:
        raise KeyError(f"{name!r} is not in this report; it holds {', '.join(values)}.")
    return values[name]
