"""How libraries define accuracy metrics: divisors, ideal lists, averages, users without holdout."""

from typing import Literal, NamedTuple

from .._utils.typing import Average, Empty
from ._checks import check_option

# {metric: {option: valid values}}; the option `empty` applies to all metrics.
OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "precision": {"divisor": ("k", "min", "listed"), "average": ("macro", "micro")},
    "recall": {"divisor": ("holdout", "min"), "average": ("macro", "micro")},
    "ndcg": {"ideal": ("min", "k"), "discount": ("standard", "original")},
    "map": {"divisor": ("min", "holdout", "k", "listed")},
    "mrr": {},
    "hit_rate": {},
}
EMPTY = ("nan", "zero")


class Convention(NamedTuple):
    """A set of definitions of the accuracy metrics.

    T is the number of a user's held-out items, and lists are cut at k.

    Parameters
    ----------
    precision_divisor : {"k", "min", "listed"}, default="k"
        Divisor of the hits: k, min(k, T), or the length of the list.
    precision_average : {"macro", "micro"}, default="macro"
        Mean of the users' ratios, or the sum of all hits over the sum of all divisors.
    recall_divisor : {"holdout", "min"}, default="holdout"
        Divisor of the hits: T, or min(k, T).
    recall_average : {"macro", "micro"}, default="macro"
        As for precision.
    ndcg_ideal : {"min", "k"}, default="min"
        Number of hits in the ideal list: min(k, T), or always k.
    ndcg_discount : {"standard", "original"}, default="standard"
        A hit at rank r counts 1 / log2(r + 1), or 1 / log2(max(r, 2)). The latter does not discount
        rank 2 and is the form of Järvelin and Kekäläinen (2002) [1]_ with base 2.
    map_divisor : {"min", "holdout", "k", "listed"}, default="min"
        Divisor of the summed precisions: min(k, T), T, k, or min(T, length of the list).
    empty : {"nan", "zero"}, default="nan"
        A user without held-out items is NaN and left out of the mean, or counts as 0.
    lacks : tuple of str, default=()
        Metrics that the convention does not define: requesting one raises ValueError.

    Notes
    -----
    The named conventions follow implicit 0.7.3, DiffRec's ``evaluate_utils.py``, and the default
    options of RecTools 0.19.0, LensKit 2025.8.1 and RecBole 1.2.1. The tests compare them with
    values computed by these libraries. LensKit treats users without held-out items in several ways:
    most metrics are NaN, precision is 0, average precision raises an error, and ``list_summary()``
    counts NaN as 0 (here ``empty="zero"``). "lenskit" is the mean over the users with held-out
    items.

    References
    ----------
    .. [1] K. Järvelin, J. Kekäläinen. Cumulated gain-based evaluation of IR techniques. ACM
       Transactions on Information Systems 20(4), 2002.

    Examples
    --------
    >>> from skdiffrec.metrics import Convention, recall_at_k
    >>> capped = Convention(recall_divisor="min")
    >>> recall_at_k([[3, 2]], [[1, 1, 0, 1, 0]], k=2, convention=capped)
    0.5
    """

    precision_divisor: Literal["k", "min", "listed"] = "k"
    precision_average: Average = "macro"
    recall_divisor: Literal["holdout", "min"] = "holdout"
    recall_average: Average = "macro"
    ndcg_ideal: Literal["min", "k"] = "min"
    ndcg_discount: Literal["standard", "original"] = "standard"
    map_divisor: Literal["min", "holdout", "k", "listed"] = "min"
    empty: Empty = "nan"
    lacks: tuple[str, ...] = ()


CONVENTIONS = {
    "skdiffrec": Convention(),
    "implicit": Convention(
        precision_divisor="min", precision_average="micro", lacks=("recall", "mrr", "hit_rate")
    ),
    "diffrec": Convention(empty="zero", lacks=("map", "hit_rate")),
    "rectools": Convention(ndcg_ideal="k", map_divisor="holdout"),
    "lenskit": Convention(
        precision_divisor="listed",
        recall_divisor="min",
        ndcg_discount="original",
        map_divisor="listed",
    ),
    "recbole": Convention(),
}


class Definition(NamedTuple):
    """The resolved definition of one metric; `options` are arguments of its formula."""

    options: dict[str, str]
    average: str
    empty: str


def check_convention(convention):
    """The Convention of that name, or the given one after a check of all its fields."""
    if isinstance(convention, str):
        check_option("convention", convention, tuple(CONVENTIONS))
        return CONVENTIONS[convention]
    if not isinstance(convention, Convention):
        raise TypeError(
            "convention must be a name or a Convention, got"
            f" {convention!r} of type {type(convention).__name__}; pass one of"
            f" {', '.join(map(repr, CONVENTIONS))}, or skdiffrec.metrics.Convention(...)."
        )
    for metric, options in OPTIONS.items():
        for option, valid in options.items():
            field = f"{metric}_{option}"
            check_option(f"convention.{field}", getattr(convention, field), valid)
    check_option("convention.empty", convention.empty, EMPTY)
    return convention


def define(metric, convention, *, empty=None, **overrides):
    """The Definition of a metric: the convention's, with the overrides that are not None."""
    chosen = check_convention(convention)
    if metric in chosen.lacks:
        has = [name for name in OPTIONS if name not in chosen.lacks]
        raise ValueError(
            f"convention {convention!r} has no {metric}, only {', '.join(has)}; pass another"
            f" convention, such as 'skdiffrec', for {metric}."
        )
    options = {}
    for option, valid in OPTIONS[metric].items():
        value = overrides.get(option)
        if value is None:
            value = getattr(chosen, f"{metric}_{option}")
        options[option] = check_option(option, value, valid)
    average = options.pop("average", "macro")
    empty = check_option("empty", chosen.empty if empty is None else empty, EMPTY)
    return Definition(options, average, empty)
