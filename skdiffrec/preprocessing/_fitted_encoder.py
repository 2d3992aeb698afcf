"""FittedEncoder: names of rows and columns, and their numbers; lists back to a table."""

import os
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._utils import tensor_file
from .._utils.fitted_state import replaced_at_once
from .._utils.validation import fitted_now
from ._align import aligned
from ._encoder_file import packed_encoder, unpacked_encoder
from ._lists import make_table, names_of, table_columns
from ._lookup import look_up_ids, public_ids, with_new_ids
from ._stored_ids import text_bytes, text_of_bytes

_TEXT = "_text"  # of a pickle: arrays of text, which few formats can store


class FittedEncoder(BaseEstimator):
    """What a fitted encoder answers; :class:`InteractionEncoder` adds parameters and fitting."""

    _users: NDArray  # text in StringDType, which is small and quick
    _items: NDArray
    _form: Any
    n_users_: int
    n_items_: int

    @property
    def users_(self) -> NDArray:
        """Ids of the rows, ascending; text as objects, which every library takes."""
        self = fitted_now(self)
        return public_ids(self, self._users)

    @property
    def items_(self) -> NDArray:
        """Ids of the columns, ascending; text as objects."""
        self = fitted_now(self)
        return public_ids(self, self._items)

    def inverse_transform(
        self, X: Any, scores: ArrayLike | None = None, users: ArrayLike | None = None
    ) -> Any:
        """Convert lists of items, or a matrix, to a tidy table.

        Parameters
        ----------
        X : ndarray of int, shape (n, k) or (k,), or sparse matrix of shape (n, n_items)
            Lists as `recommend` returns them: column numbers, best first, padded with −1; or a
            matrix of interactions.
        scores : ndarray of float, shape (n, k) or (k,), default=None
            Scores of the lists; only with lists.
        users : array-like of ids, shape (n,), or one id for a list of shape (k,), default=None
            Users of the lists or rows. None means all of ``users_``.

        Returns
        -------
        table : table of the library that `fit` was given
            For lists, columns user, rank (from 1), item and, if given, score. For a matrix, columns
            user, item and, unless ``values_`` is "binary", the value. The columns of user, item and
            value have the names given as parameters, if these are str. Users and items have the
            types of their columns in the table of `fit`, so that the tables can be joined; other
            ids than these can hold get the type that the library gives them. If `fit` was given an
            array, a dict or tuples, the table is a dict of NumPy columns, which
            ``pandas.DataFrame(table)`` and other libraries accept.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, IndexError
            If the numbers of lists, scores and users differ, or a column is out of range.
        """
        self = fitted_now(self)
        return make_table(table_columns(self, X, scores, users), self._form)

    def item_names(self, ids: ArrayLike) -> Any:
        """Names of the items of lists, in the shape of the lists.

        ``encoder.items_[ids]`` would give the last item for -1, which is no item.

        Parameters
        ----------
        ids : array-like of int, of any shape, or int
            Column numbers, as `recommend` and `similar_items` return them, padded with -1.

        Returns
        -------
        names : ndarray of object, same shape, or the name for one int
            Entries of ``items_``; None for -1.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, IndexError
            If an id is not an integer, or is not a column (-1 is none).

        Examples
        --------
        >>> from skdiffrec.preprocessing import InteractionEncoder
        >>> encoder = InteractionEncoder().fit([("ann", "tea"), ("ann", "jam")])
        >>> encoder.item_names([[1, 0], [0, -1]])
        array([['tea', 'jam'],
               ['jam', None]], dtype=object)
        """
        self = fitted_now(self)
        return names_of(self._items, ids)

    def add_items(self, ids: ArrayLike) -> Self:
        """Give names to items that `fit` has not seen, as `add_items` of a recommender adds them.

        Parameters
        ----------
        ids : array-like of ids, shape (n_new,)
            Of the new items, in the order of their features.

        Returns
        -------
        self : object
            ``items_`` has them behind those of `fit`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If an id is not new, missing, or there twice, or of another type than ``items_``.

        Examples
        --------
        >>> from skdiffrec.preprocessing import InteractionEncoder
        >>> encoder = InteractionEncoder().fit([("ann", "tea"), ("ann", "jam")])
        >>> encoder.add_items(["cocoa"]).item_names([2, 0])
        array(['cocoa', 'jam'], dtype=object)
        """
        check_is_fitted(self)
        with replaced_at_once(self) as new:
            new._items = with_new_ids(new._items, new._left_out, ids)
            new.n_items_ = len(new._items)
        return self

    def user_index(self, ids: ArrayLike, unknown: str | int = "error") -> Any:
        """Row numbers of users, for the `user_ids` of `recommend`.

        The first look-up of ids that are not numbers makes an index of all ids, which the encoder
        keeps until it is fitted again, but does not store.

        Parameters
        ----------
        ids : array-like of ids, or one id that is a string or number
            Users; repeats are allowed.
        unknown : "error" or int, default="error"
            Row number to return for ids that are not in ``users_``, for example −1; or raise an
            error.

        Returns
        -------
        rows : ndarray of int64, shape (n,), or int for one id
            Row numbers.

        Raises
        ------
        ValueError
            If an id is unknown and `unknown` is "error".

        Examples
        --------
        >>> from skdiffrec.preprocessing import InteractionEncoder
        >>> encoder = InteractionEncoder().fit([(7, "tea"), (9, "jam")])
        >>> encoder.user_index([9, 8], unknown=-1), encoder.item_index("tea")
        (array([ 1, -1]), 1)
        """
        self = fitted_now(self)
        return look_up_ids(self, "users", ids, unknown)

    def item_index(self, ids: ArrayLike, unknown: str | int = "error") -> Any:
        """Column numbers of items, for `items` and `filter_items` of `recommend`.

        Parameters
        ----------
        ids, unknown
            As in `user_index`.

        Returns
        -------
        columns : ndarray of int64, shape (n,), or int for one id
            Column numbers; errors are those of `user_index`.
        """
        self = fitted_now(self)
        return look_up_ids(self, "items", ids, unknown)

    def align(self, table: Any, on: Literal["user", "item"] = "user") -> Any:
        """Bring a table of features into the order of the matrix's rows, or of its columns.

        Parameters
        ----------
        table : DataFrame of pandas or polars, or pyarrow Table
            One row for each user (item), with the ids in the column that `user` (`item`) names; in
            any order. Rows of users that `fit` has not seen are left out.
        on : {"user", "item"}, default="user"
            Whose features they are.

        Returns
        -------
        aligned : table of the same library
            Of ``n_users_`` (``n_items_``) rows, without the column of the ids; all missing where
            the table has no row. A ``ColumnTransformer`` makes numbers of it, which `fit` takes as
            ``user_features``.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            If `table` is no data frame, has no such column, or several rows of one id.

        Examples
        --------
        >>> import pandas as pd
        >>> from skdiffrec.preprocessing import InteractionEncoder
        >>> events = pd.DataFrame({"user": ["ann", "bob", "ann"], "item": ["tea", "tea", "rye"]})
        >>> encoder = InteractionEncoder().fit(events)
        >>> people = pd.DataFrame({"user": ["bob", "cem"], "age": [41, 50]})
        >>> encoder.align(people)
            age
        0   NaN
        1  41.0
        """
        self = fitted_now(self)
        if on not in ("user", "item"):
            raise ValueError(f'on must be "user" or "item", got {on!r}.')
        index, n = (
            (self.user_index, self.n_users_) if on == "user" else (self.item_index, self.n_items_)
        )
        return aligned(table, getattr(self, on), lambda ids: index(ids, unknown=-1), n)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the fitted encoder as one safetensors file, without pickle.

        The file appears at once, when it is complete; if saving fails, what was there before
        stays.

        Parameters
        ----------
        path : str or os.PathLike

        Raises
        ------
        NotFittedError
            Before `fit`.
        PersistenceError
            If an id is of a type that has no place in the file: valid are text, numbers, booleans,
            bytes, dates, times, durations, Decimal, Fraction, UUID, pandas' periods and intervals,
            and tuples and frozensets of these.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> from skdiffrec.preprocessing import InteractionEncoder
        >>> encoder = InteractionEncoder().fit([("ann", "tea"), ("ann", "jam")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "encoder.safetensors")
        ...     encoder.save(path)
        ...     InteractionEncoder.load(path).items_.tolist()
        ['jam', 'tea']
        """
        self = fitted_now(self)
        tensor_file.write(path, *packed_encoder(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load an encoder that `save` wrote.

        Nothing in the file is executed, and it is checked before it is used.

        Parameters
        ----------
        path : str or os.PathLike

        Returns
        -------
        encoder : InteractionEncoder
            Fitted; matrices, ids and lists are those of the encoder that was saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        PersistenceError
            A ValueError that says why a file is refused.
        """
        record, tensors = tensor_file.read(path)
        with tensor_file.named(path):
            return unpacked_encoder(cls, record, tensors)

    def _caches(self):
        """What is made on demand, of arrays that are replaced by the next `fit`; never stored."""
        return self.__dict__.setdefault("_cached", {})

    def __copy__(self):
        """A shallow copy, which shares the arrays; `__getstate__` would convert text."""
        new = type(self).__new__(type(self))
        new.__dict__ = {name: v for name, v in vars(self).items() if name != "_cached"}
        return new

    def __getstate__(self):
        state = {name: v for name, v in super().__getstate__().items() if name != "_cached"}
        text = {
            name: v
            for name, v in state.items()
            if isinstance(v, np.ndarray) and v.dtype.kind == "T"
        }
        state = {name: v for name, v in state.items() if name not in text}
        return state | {_TEXT: {name: text_bytes(v) for name, v in text.items()}}

    def __setstate__(self, state):
        state = dict(state)
        text = {name: text_of_bytes(*parts) for name, parts in state.pop(_TEXT, {}).items()}
        super().__setstate__(state | text)
