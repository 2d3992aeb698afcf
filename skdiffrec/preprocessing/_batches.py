"""Recommendations for many users as tables, batch by batch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from .._utils.validation import check_k
from ._encoder import InteractionEncoder
from ._identity import check_model_rows


def recommend_batches(
    model: Any,
    encoder: InteractionEncoder,
    X: Any = None,
    *,
    users: ArrayLike | None = None,
    k: int = 10,
    batch_size: int = 10_000,
    items: ArrayLike | None = None,
    filter_items: ArrayLike | None = None,
    **options: Any,
) -> Iterator[Any]:
    """Recommend items to many users, as a sequence of tidy tables of limited size.

    Parameters
    ----------
    model : recommender
        A recommender fitted to the matrix of `encoder`.
    encoder : InteractionEncoder
        A fitted encoder.
    X : table, default=None
        Events to recommend from, of new users or more recent ones of known users. None uses the
        histories seen in `fit`, whose rows must be the users of `encoder`.
    users : array-like of ids, default=None
        Users to recommend to, in this order. None means all users of `X` or, without `X`, of `fit`.
    k : int, default=10
        Length of the lists.
    batch_size : int, default=10_000
        Number of users per table.
    items : array-like of ids, default=None
        Recommend only these items.
    filter_items : array-like of ids, default=None
        Never recommend these items.
    **options
        Further arguments of ``model.recommend``. A one-dimensional sequence must have one entry per
        user, in the order of `users`, or of ascending ids if `users` is None.

    Yields
    ------
    table : table of the library that ``encoder.fit`` was given
        Columns user, rank, item and score; see ``InteractionEncoder.inverse_transform``.

    Raises
    ------
    NotFittedError
        If `model` or `encoder` is not fitted.
    ValueError
        If a user or item is unknown, `model` and `encoder` have different numbers of items, an
        option has the wrong length, or (without `X`) `model` was fitted to another number of rows
        or to the rows of `encoder` in another order. Arguments are checked when the function is
        called, before the first table.

    Examples
    --------
    >>> from skdiffrec.baselines import PopularityRecommender
    >>> from skdiffrec.preprocessing import InteractionEncoder, recommend_batches
    >>> events = [("ann", "tea"), ("ann", "jam"), ("bob", "jam"), ("eve", "rye")]
    >>> encoder = InteractionEncoder()
    >>> model = PopularityRecommender().fit(encoder.fit_transform(events))
    >>> for table in recommend_batches(model, encoder, k=1, batch_size=2):
    ...     print(table["user"], table["item"])
    ['ann' 'bob'] ['rye' 'rye']
    ['eve'] ['jam']
    """
    check_is_fitted(model)
    check_is_fitted(encoder)
    k, batch_size = check_k(k), check_k(batch_size, "batch_size")
    n_items = getattr(model, "n_features_in_", encoder.n_items_)
    if n_items != encoder.n_items_:
        raise ValueError(
            f"model has {n_items} items, but encoder has {encoder.n_items_}. Fit the model to the "
            "matrix that encoder.fit_transform returns."
        )
    for name, ids in (("items", items), ("filter_items", filter_items)):
        if ids is not None:
            options[name] = encoder.item_index(ids)
    rows, users = _requested(model, encoder, X, users)
    for name, value in options.items():
        if (
            name not in ("items", "filter_items")
            and np.ndim(value) == 1
            and len(value) != len(users)
        ):
            raise ValueError(
                f"{name} has {len(value)} values for {len(users)} users. Give one number, or one "
                "for each user."
            )
    return _batches(model, encoder, rows, users, k, batch_size, options, X is not None)


def _requested(model, encoder, X, users):
    """(matrix rows if `X` is given, else row numbers of `fit`; their users)."""
    if X is not None:
        return encoder.transform(X, users=users, return_users=True)
    check_model_rows(encoder, model)
    if users is None:
        return np.arange(encoder.n_users_), encoder.users_
    rows = encoder.user_index(users)
    return rows, encoder.users_[rows]


def _batches(model, encoder, rows, users, k, batch_size, options, given):
    """The tables; `rows` are matrix rows if `given`, else row numbers of `fit`."""
    shared = {name: options.pop(name) for name in ("items", "filter_items") if name in options}
    for start in range(0, len(users), batch_size):
        batch = slice(start, start + batch_size)
        per_user = {name: v[batch] if np.ndim(v) == 1 else v for name, v in options.items()}
        histories = {"X": rows[batch]} if given else {"user_ids": rows[batch]}
        ids, scores = model.recommend(**histories, k=k, **shared, **per_user)
        yield encoder.inverse_transform(ids, scores, users=users[batch])
