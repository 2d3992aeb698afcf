"""Recommendations for many users as tables, batch by batch."""

from collections.abc import Iterator
from typing import Any

from numpy.typing import ArrayLike

from .._utils.user_options import check_options, options_of
from .._utils.validation import check_k, fitted_now
from ._encoder import InteractionEncoder
from ._features import in_order_of
from ._histories import fitted_recommender, requested_histories
from ._identity import check_model_items
from ._item_rules import item_rules
from ._values import warn_of_other_values


def recommend_batches(
    model: Any,
    encoder: InteractionEncoder,
    X: Any = None,
    *,
    users: ArrayLike | None = None,
    k: int = 10,
    batch_size: int = 10_000,
    history: str = "extend",
    unknown_users: str = "error",
    items: ArrayLike | None = None,
    filter_items: ArrayLike | None = None,
    blocked: Any = None,
    allowed: Any = None,
    unknown_names: str = "error",
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
        Events to recommend from beside, or in place of, those that `model` was fitted to. Users may
        be new. None uses the histories seen in `fit`, whose rows must be the users of `encoder`.
    users : array-like of ids, default=None
        Users to recommend to, in this order. None means all users of `X` or, without `X`, of `fit`.
    k : int, default=10
        Length of the lists.
    batch_size : int, default=10_000
        Number of users per table.
    history : {"extend", "replace"}, default="extend"
        What the events of `X` are for a user whom `model` knows. "extend": later ones, added to the
        user's row in `fit`; a repeated pair is merged as ``encoder.duplicates`` says (by default,
        weights add up). "replace": the whole history. A user who is not in ``encoder.users_`` has
        the events of `X` alone.
    unknown_users : {"error", "popular"}, default="error"
        Without `X`, users that are not in ``encoder.users_``, and with ``history="replace"`` users
        who are in it but have no events in `X`: raise an error, or list what is popular, as for a
        user without history. Else, with `X`, see ``encoder.unknown_users``.
    items : array-like of ids, default=None
        Recommend only these items.
    filter_items : array-like of ids, default=None
        Never recommend these items.
    blocked, allowed : table, default=None
        Each user's own: rows of user and item that are never listed together, or the only ones that
        may be. The columns are those of user and item in the table of `fit`. A user without a row
        in `blocked` has none blocked; one without a row in `allowed` gets an empty list. Rows of
        users to whom nothing is recommended are of no effect.
    unknown_names : {"error", "ignore"}, default="error"
        Names in `items`, `filter_items`, `blocked` and `allowed` that `encoder` does not know:
        raise an error, or ignore them. Those that `fit` left out are always ignored.
    **options
        Further arguments of ``model.recommend``. A one-dimensional sequence, also in a dict of
        guidance scales, and matrices ``user_features`` and ``wanted`` must have one entry (row) per
        user, in the order of `users`, or of ascending ids if `users` is None. Of a data frame with
        the encoder's column of users each user has the row with its id, or none. Without
        ``user_features`` users have those that were given to `fit` of the model.

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
        option has the wrong length, or `model` was fitted to another number of rows or to the rows
        of `encoder` in another order (if its rows are used). If events cannot be added to a
        history: `model` holds no rows, or `X` repeats a pair that it was fitted to and
        ``encoder.duplicates`` is "error" or (of weights) "mean". Arguments are checked when the
        function is called, before the first table.

    Warns
    -----
    UserWarning
        If the matrix of `encoder` holds times, but `model` takes them for ones or weights, or
        weights that it takes for times or, with nothing else to read them, for ones; if `fit` of
        the encoder left out some of the users, so that their histories are not known.

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

    Events since `fit` are added to what the model knows of a user:

    >>> table = next(recommend_batches(model, encoder, [("bob", "rye"), ("zoe", "rye")], k=1))
    >>> print(table["user"], table["item"])
    ['bob' 'zoe'] ['tea' 'jam']
    """
    model, encoder = fitted_now(model), fitted_now(encoder)
    model = model if hasattr(model, "recommend") else fitted_recommender(model)
    k, batch_size = check_k(k), check_k(batch_size, "batch_size")
    check_model_items(encoder, model)
    warn_of_other_values(encoder, fitted_recommender(model))
    histories = requested_histories(model, encoder, X, users, history, unknown_users)
    rules = item_rules(
        encoder, histories.users, items, filter_items, blocked, allowed, unknown_names
    )
    options = in_order_of(histories.users, options, encoder.user)
    check_options(options, len(histories.users))
    return _batches(model, encoder, histories, rules, k, batch_size, options)


def _batches(model, encoder, histories, rules, k, batch_size, options):
    """The tables, one for each batch of the users of `histories`."""
    for start in range(0, len(histories.users), batch_size):
        batch = slice(start, start + batch_size)
        arguments = histories.of(batch) | rules.of(batch) | options_of(options, batch)
        ids, scores = model.recommend(**arguments, k=k)
        yield encoder.inverse_transform(ids, scores, users=histories.users[batch])
