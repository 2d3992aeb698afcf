"""Tables of features with ids, read as rows of numbers in the order of users or items."""

import inspect

import narwhals as nw
import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from .._utils.condition_names import SAID_OF_USERS, USER_FEATURES
from .._utils.features import column_names, feature_matrix
from .._utils.warning import warn_caller
from ._histories import rows_of
from ._ids import factorize, positions
from ._table_rows import find_name

ITEM_FEATURES = "item_features"


def is_frame(value):
    """Whether it is a data frame of pandas or polars, or a pyarrow Table."""
    return isinstance(nw.from_native(value, pass_through=True), nw.DataFrame)


class FeatureTable:
    """A table of features, one row for each user (item), in any order.

    Parameters
    ----------
    name : str
        Of the parameter that it was given as, for errors.
    table : DataFrame of pandas or polars, or pyarrow Table
    column : str or int
        Of the ids.
    transform : callable, default=None
        Makes numbers of the other columns; None where they are numbers.
    """

    def __init__(self, name, table, column, transform=None):
        self.name, self.transform = name, transform
        frame = nw.from_native(table, pass_through=True)
        if not isinstance(frame, nw.DataFrame):
            raise TypeError(
                f"{name} must be a DataFrame of pandas or polars or a pyarrow Table, with the ids "
                f"in the column {column!r}, got {type(table).__name__}: rows without ids cannot be "
                "told to be whose."
            )
        try:
            column = find_name(column, frame.columns)
        except ValueError:
            raise ValueError(
                f"{name} has no column {column!r}, which says whose features a row has; it has "
                f"{frame.columns[:10]}. Name it as the encoder does."
            ) from None
        codes, self.ids = factorize(frame.get_column(column), column)
        if not len(codes):
            raise ValueError(f"{name} has no row. Give one for each, or leave {name} out.")
        if len(self.ids) < len(codes):
            twice = self.ids[np.argmax(np.bincount(codes) > 1)]
            raise ValueError(
                f"The column {column!r} of {name} holds {twice!r} more than once: a user or item "
                "has one row of features. Aggregate them first, such as by groupby(...).first()."
            )
        self.column, self.row, self.rest = column, np.argsort(codes), frame.drop(column)

    def of(self, ids):
        """Numbers, one row for each of `ids`: zeros where the table has no row of it.

        Returns
        -------
        features : csr_array or data frame of float32, shape (n, n_features)
            With names of columns a frame, of the library that has them.
        """
        place = positions(self.ids, ids)
        place = np.where(place < 0, -1, self.row[place])
        somebody = (place >= 0).any()
        # one row at least, which says what the columns are
        chosen = np.unique(place[place >= 0]) if somebody else np.zeros(1, np.int64)
        rows = self.rest[chosen.tolist()].to_native()
        if self.transform is not None:
            rows = self.transform(rows)
        if somebody:
            numbers, names = feature_matrix(self.name, rows, "a user or item")
        else:
            numbers, names = sp.csr_array((1, rows.shape[1]), dtype=np.float32), column_names(rows)
            self._warn_of_nobody(ids)
        at = np.where(place < 0, -1, np.searchsorted(chosen, place))
        numbers = rows_of(numbers, at)
        if names is None:
            return numbers
        backend = nw.get_native_namespace(nw.from_native(rows))
        return nw.from_numpy(numbers.toarray(), list(names), backend=backend).to_native()

    def _warn_of_nobody(self, ids):
        if len(ids):
            warn_caller(
                f"{self.name} has no row of anybody asked for: {self._ids_and(ids)} They count as "
                "users of whom no features are known.",
            )

    def _ids_and(self, ids):
        own, other = self.ids.tolist()[0], np.asarray(ids).tolist()[0]
        return f"its column {self.column!r} holds such as {own!r}, and they are such as {other!r}."

    def of_fit(self, ids):
        """As `of`, of the users or items of a fit, some of whom must have a row."""
        if (positions(self.ids, ids) < 0).all():
            raise ValueError(
                f"{self.name} has no row of anybody in X: {self._ids_and(ids)} Give ids of the "
                "same type."
            )
        return self.of(ids)


def tables_by_id(options, column, transform=None):
    """Options whose data frames of what is known of users are `FeatureTable`s."""
    transforms = {USER_FEATURES: transform}
    return options | {
        name: FeatureTable(name, options[name], column, transforms.get(name))
        for name in SAID_OF_USERS
        if is_frame(options.get(name))
    }


def in_order_of(users, options, column):
    """Options in which tables with ids are rows in the order of `users`.

    A data frame without the column of the ids has its rows in that order already.
    """
    found = {}
    for name, value in options.items():
        if name == USER_FEATURES and value is None:
            continue  # those of fit
        if name in SAID_OF_USERS and is_frame(value):
            if column in nw.from_native(value).columns:
                value = FeatureTable(name, value, column)
        found[name] = value.of(users) if isinstance(value, FeatureTable) else value
    return found


def check_takes_user_features(recommender):
    """Raise an error if `fit` of a recommender knows no features of users."""
    parameters = inspect.signature(recommender.fit).parameters.values()
    if not any(p.name == USER_FEATURES or p.kind is p.VAR_KEYWORD for p in parameters):
        raise ValueError(
            f"user_features were given, but {type(recommender).__name__}.fit takes none. Leave "
            "them out, or take a recommender that reads them, such as CFGDiffusionRecommender."
        )


def set_item_features(recommender, features):
    """Set the parameter `item_features` of a recommender, or of that in a search."""
    names = _names_of_item_features(recommender)
    if not names:
        raise ValueError(
            f"item_features were given, but {type(recommender).__name__} has no parameter of this "
            "name. Leave them out, or take a recommender that reads them, such as "
            "CFGDiffusionRecommender."
        )
    recommender.set_params(**dict.fromkeys(names, features))


def without_item_features(recommender):
    """A clone without them: they are of the items of one fit, in their order."""
    new = clone(recommender)
    return new.set_params(**dict.fromkeys(_names_of_item_features(new)))


def _names_of_item_features(recommender):
    parameters = recommender.get_params() if hasattr(recommender, "get_params") else {}
    return [name for name in parameters if name.split("__")[-1] == ITEM_FEATURES]
