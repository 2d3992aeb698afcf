"""InteractionEncoder: table of events to users × items matrix, and lists back to a table."""

import numbers
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from sklearn.base import TransformerMixin

from .._utils.canonical import RATING
from .._utils.fitted_state import replaced_at_once
from .._utils.flags import check_flag
from .._utils.row_blocks import RowBlocks
from .._utils.validation import VALUES, Interval, StrOptions, check_k, fit_context, fitted_now
from ._blocks import encoded_blocks
from ._event_parts import encode_parts
from ._events import events_matrix, read_events, row_users, without_small_users
from ._fitted_encoder import FittedEncoder
from ._id_checks import warn_of_other_type
from ._identity import row_hashes, row_levels, row_masks
from ._interactions import DUPLICATES, k_core
from ._lookup import kept_positions, public_ids, reject_unknown
from ._values import resolved_values

_POSITION = Interval(numbers.Integral, None, None, closed="neither")  # of a column
_COUNT = [Interval(numbers.Integral, 1, None, closed="left")]


# scikit-learn has no types, so mypy does not know the class argument.
class InteractionEncoder(  # type: ignore[call-arg]
    TransformerMixin, FittedEncoder, auto_wrap_output_keys=None
):
    """Convert a table of events to a users × items matrix, and recommended lists to a table.

    Each row of the table is one event: a user, an item and optionally a weight (a rating, a count)
    and a time. A table may be a pandas, polars or pyarrow table (or another that narwhals reads), a
    dict of columns, a NumPy array with two dimensions or with named fields, or a list of tuples, of
    named tuples or of dicts. Ids may be of any hashable type.

    Parameters
    ----------
    user, item : str or int, default="user" and "item"
        Columns of the ids, by name or position. In tables without column names (arrays, tuples),
        columns given by name are expected in the order user, item, weight, timestamp, skipping
        those that are None.
    weight, timestamp : str or int, default=None
        Columns of the weight and the time of an event. Weights are >= 0, or quantities if `returns`
        is "net"; events of weight 0 are ignored. Times are numbers > 0, dates, which become seconds
        since 1970, or durations, which become seconds.
    order : bool, default=False
        Whether the rows of the table are in order of time, in place of a `timestamp`. The times are
        then 1, 2, 3 ... for the events of each user, so they tell which of a user's items is later,
        but not how two users' times compare.
    values : {"auto", "binary", "weight", "time", "rating"}, default="auto"
        What the values of the matrix are: ones, weights, times or ratings, which are in the column
        `weight`. Set `values` of the recommender to the same. "auto" is "time" with a `timestamp`
        or `order`, else "weight" with a `weight`, else "binary".
    min_weight : float, default=None
        Ignore events of lower weight, before any other step: 4 keeps ratings of 4 and 5. What is
        ignored may have a weight below 0 or NaN, and ids and times that are missing. If `returns`
        is "net", the least net quantity instead.
    returns : {"error", "net"}, default="error"
        What a weight below 0 means: an error, or a return of the user and item. "net" adds up the
        quantities of a user and item, before any other step. A pair that has nothing left is no
        interaction, whatever `values` are; others have the net quantity as weight, or the times of
        the purchases that are left. A return takes back the latest purchases before it or, if there
        are too few, the next ones.
    min_user_interactions, min_item_interactions : int, default=1
        In `fit`, remove users with fewer items and items with fewer users, repeatedly until all
        that remain have enough (the k-core). `transform` leaves out what `fit` removed.
    duplicates : {"auto", "first", "last", "sum", "mean", "max", "min", "error"}, default="auto"
        How to merge several events of a user and an item. "first" and "last" refer to time with a
        `timestamp`, else to the order of the rows. "auto" is "sum" for weights, "last" for ratings
        and "first" for times, so that no splitter takes an item that a user has met before for a
        new one. For lists of today's users, "last" shows a model which items they came back to
        lately. "error" raises an error.
    unknown_users : {"keep", "ignore", "error"}, default="keep"
        How `transform` handles users that are not in `users_`: give them a row, leave them out, or
        raise an error.
    unknown_items : {"error", "ignore"}, default="error"
        How `transform` handles items that `fit` did not see: raise an error, or leave them out.
        Items that `fit` saw but removed (minimum counts and weights) are always left out.

    Attributes
    ----------
    users_, items_ : ndarray of shape (n_users,) and (n_items,)
        Ids of the rows and columns, ascending. The dtype is numeric or a date type if all ids are
        of one such type, else object: text is str. Ids that cannot be compared are in order of
        appearance.
    n_users_, n_items_ : int
        Number of users and items.
    values_ : {"binary", "weight", "time", "rating"}
        What the values of the matrix are.

    See Also
    --------
    recommend_batches : Recommendations for many users as tables, batch by batch.

    Notes
    -----
    A :class:`~sklearn.pipeline.Pipeline` of an encoder and a recommender supports ``fit(table)``
    and ``score(table)``, and searches over tables that are split by user. To recommend, use its
    steps: ``recommend_batches(pipeline[-1], pipeline[0])``.

    Examples
    --------
    >>> from skdiffrec.baselines import EASERecommender
    >>> from skdiffrec.preprocessing import InteractionEncoder
    >>> events = [("ann", "tea"), ("ann", "jam"), ("bob", "jam"), ("bob", "tea"), ("eve", "jam")]
    >>> encoder = InteractionEncoder()
    >>> X = encoder.fit_transform(events)
    >>> X.shape, encoder.users_.tolist(), encoder.items_.tolist()
    ((3, 2), ['ann', 'bob', 'eve'], ['jam', 'tea'])
    >>> ids, scores = EASERecommender(reg=1.0).fit(X).recommend(encoder.user_index(["eve"]), k=1)
    >>> encoder.inverse_transform(ids, users=["eve"])["item"].tolist()
    ['tea']
    """

    _parameter_constraints = {
        "user": [str, _POSITION],
        "item": [str, _POSITION],
        "weight": [str, _POSITION, None],
        "timestamp": [str, _POSITION, None],
        "values": [StrOptions({"auto", *VALUES, RATING})],
        "order": ["boolean"],
        "min_weight": [Interval(numbers.Real, None, None, closed="neither"), None],
        "returns": [StrOptions({"error", "net"})],
        "min_user_interactions": _COUNT,
        "min_item_interactions": _COUNT,
        "duplicates": [StrOptions(set(DUPLICATES))],
        "unknown_users": [StrOptions({"keep", "ignore", "error"})],
        "unknown_items": [StrOptions({"error", "ignore"})],
    }

    def __init__(
        self,
        *,
        user: str | int = "user",
        item: str | int = "item",
        weight: str | int | None = None,
        timestamp: str | int | None = None,
        order: bool = False,
        values: str = "auto",
        min_weight: float | None = None,
        returns: str = "error",
        min_user_interactions: int = 1,
        min_item_interactions: int = 1,
        duplicates: str = "auto",
        unknown_users: str = "keep",
        unknown_items: str = "error",
    ) -> None:
        self.user = user
        self.item = item
        self.weight = weight
        self.timestamp = timestamp
        self.order = order
        self.values = values
        self.min_weight = min_weight
        self.returns = returns
        self.min_user_interactions = min_user_interactions
        self.min_item_interactions = min_item_interactions
        self.duplicates = duplicates
        self.unknown_users = unknown_users
        self.unknown_items = unknown_items

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the users and items of a table.

        Parameters
        ----------
        X : table
            One row per event.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If a column is missing, an id is missing or not hashable, a weight is negative or not
            finite, a time is not > 0, a parameter is out of range, or no event is left. All rows
            that cannot be read are named at once, in a data frame of pandas by its index.
        """
        self.fit_transform(X)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: Any = None) -> sp.csr_array:
        """Fit, and return the matrix of the remaining users and items.

        Parameters
        ----------
        X : table
            One row per event.
        y : object, default=None
            Ignored.

        Returns
        -------
        X_new : csr_array of shape (n_users, n_items)
            float32 ones for "binary", else float64. Row r is the user ``users_[r]``.

        Raises
        ------
        ValueError, TypeError
            As in `fit`.
        """
        values = resolved_values(self)
        rows, columns, numbers, users, items, form = read_events(self, X, values, fit=True)
        shape = len(users), len(items)
        X_new = events_matrix(self, rows, columns, numbers, shape, values)
        n_events = len(rows)
        del rows, columns, numbers  # as large as the matrix
        X_new, kept_users, kept_items = k_core(
            X_new, self.min_user_interactions, self.min_item_interactions
        )
        if not X_new.nnz:
            raise ValueError(
                f"{n_events} events count (those of weight 0 or below min_weight do not), and of "
                "them nothing is left. Give more events, or lower "
                f"min_weight={self.min_weight}, min_user_interactions={self.min_user_interactions} "
                f"or min_item_interactions={self.min_item_interactions}."
            )
        with replaced_at_once(self) as new:
            new.values_, new._form = values, form
            new._left_out = np.delete(items, kept_items)
            new._left_out_users = np.delete(users, kept_users)
            new._row_hashes, new._row_levels = row_hashes(X_new), row_levels(X_new)
            new._row_masks = row_masks(X_new, new._row_levels)
            new._users, new._items = users[kept_users], items[kept_items]
            new.n_users_, new.n_items_ = X_new.shape
        return X_new

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform_blocks(self, X: Any, folder: Any, *, n_events: int = 4_000_000) -> RowBlocks:
        """Fit to events of more than memory holds, and write their matrix to a folder.

        The result is that of `fit_transform`. The engine of the frame reads the events of some
        users at a time, twice; of files that are sorted by user only the part that holds them.

        Parameters
        ----------
        X : path, list of paths, or lazy frame
            Parquet files or a folder of them (read by polars, DuckDB or pyarrow, the first there
            is), or a lazy frame that narwhals knows, such as a relation of DuckDB.
        folder : str or path-like
            Where to write: a folder that is not there yet, or empty.
        n_events : int, default=4_000_000
            Events in memory at once, about; those of one user always are.

        Returns
        -------
        blocks : RowBlocks
            Row r is the user ``users_[r]``.

        Raises
        ------
        ValueError, TypeError
            As in `fit`, and for minimum counts above 1, which need all pairs at once.
        FileNotFoundError, FileExistsError
            If there is no file, or something in the folder.
        """
        if max(self.min_user_interactions, self.min_item_interactions) > 1:
            raise ValueError(
                f"min_user_interactions={self.min_user_interactions} and "
                f"min_item_interactions={self.min_item_interactions} must be 1 here: what remains "
                "is known of all pairs together. Filter the frame before."
            )
        values = resolved_values(self)
        blocks, found = encoded_blocks(self, X, folder, check_k(n_events, "n_events"), values)
        with replaced_at_once(self) as new:
            new.values_, (new.n_users_, new.n_items_) = values, blocks.shape
            for name, value in found.items():
                setattr(new, name, value)
        return blocks

    def transform(
        self, X: Any, users: ArrayLike | None = None, return_users: bool = False
    ) -> sp.csr_array | tuple[sp.csr_array, NDArray]:
        """The matrix of a table, whose users may differ from those of `fit`.

        Every user with an event has a row, except those that `fit` left out and that have fewer
        than `min_user_interactions` items here too. So the table of `fit` gives the matrix of
        `fit`. Recommenders accept rows of new users, so they need no refit.

        Parameters
        ----------
        X : table
            One row per event.
        users : array-like of ids, or one id that is a string or number, default=None
            Users of the rows, in this order. A user without events has an empty row; events of
            other users are left out. Pass ``encoder.users_`` for the rows of `fit`. None means the
            users of `X`, ascending (in order of appearance if their ids cannot be compared).
        return_users : bool, default=False
            Whether to return the ids of the rows too.

        Returns
        -------
        X_new : csr_array of shape (n_rows, n_items)
            Columns are those of `fit`; dtype as in `fit_transform`.
        users : ndarray of shape (n_rows,)
            Ids of the rows; only if `return_users`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            As in `fit`, and for unknown users or items if they are errors.
        """
        self, return_users = fitted_now(self), check_flag("return_users", return_users)
        X_new, ids = self._rows(X, users)
        return (X_new, public_ids(self, ids)) if return_users else X_new

    def _rows(self, X, users=None, for_lists=False):
        """(matrix, ids of its rows as they are stored) of a table, all of whom may want lists."""
        rows, columns, numbers, found, items, _ = read_events(self, X, self.values_)
        warn_of_other_type(items, self._items, self.item)
        column_of = kept_positions(self, "_items", items)
        if self.unknown_items == "error":
            unknown = items[column_of < 0]
            reject_unknown(
                "items", unknown[kept_positions(self, "_left_out", unknown) < 0], "ignore"
            )
        columns = column_of[columns]
        if users is None:
            rows, found = without_small_users(self, rows, columns, found, for_lists)
        row_of, ids = row_users(self, found, users)
        rows = np.append(row_of, -1)[rows]
        kept = (rows >= 0) & (columns >= 0)
        if not kept.all():
            rows, columns = rows[kept], columns[kept]
            numbers = None if numbers is None else numbers[kept]
        shape = (len(ids), self.n_items_)
        return events_matrix(self, rows, columns, numbers, shape, self.values_), ids

    def _encode_parts(self, X, divide, by_order):
        """For `model_selection.split_table`, which imports nothing of this package."""
        return encode_parts(self, X, divide, by_order)

    def get_feature_names_out(self, input_features: object = None) -> NDArray:
        """Names of the columns of the matrix: the items, as text.

        Parameters
        ----------
        input_features : object, default=None
            Ignored: the columns of the table are not those of the matrix.

        Returns
        -------
        names : ndarray of object, shape (n_items,)
            ``items_`` as str.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        self = fitted_now(self)
        return np.array([str(item) for item in self._items.tolist()], object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Accept "default"; the matrix is always sparse, whatever scikit-learn's configuration is.

        Parameters
        ----------
        transform : "default" or None, default=None
            A data frame would have one column per item, most of them nearly empty.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For "pandas" and "polars".
        """
        if transform not in (None, "default"):
            raise ValueError(
                f"transform must be 'default' or None, got {transform!r}: the matrix of an "
                "InteractionEncoder is always sparse. For the steps before it in a pipeline, set "
                f"pipeline[:i].set_output(transform={transform!r}). For a data frame of the "
                "matrix, use pandas.DataFrame.sparse.from_spmatrix(X, index=encoder.users_, "
                "columns=encoder.get_feature_names_out())."
            )
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags
