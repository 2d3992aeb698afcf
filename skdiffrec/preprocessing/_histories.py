"""Histories to recommend from: rows that a model was fitted to, new events, or both together."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .._utils.condition_names import USER_FEATURES
from .._utils.rows import entry_rows
from .._utils.warning import warn_caller
from ._events import events_matrix, known_users_with_returns
from ._identity import check_model_rows
from ._ids import factorize
from ._lookup import kept_positions, look_up_ids
from ._tables import as_column, id_list

_CHECKED_ROWS = 10_000


class Histories(NamedTuple):
    """Users and what to recommend from.

    Attributes
    ----------
    users : ndarray of shape (n,)
        Their ids.
    known : ndarray of int64, shape (n,)
        Their rows in the model, −1 for none.
    new : csr_array of shape (n, n_items) or None
        Their events beside those that the model knows.
    extend : callable or None
        (known, new) to a matrix of both; None if `new` alone is the history.
    features : csr_array or None
        What the model knows of its users beside their histories.
    """

    users: Any
    known: Any
    new: Any = None
    extend: Any = None
    features: Any = None

    def of(self, batch):
        """The arguments of `recommend` that say whose lists and from what, for a slice."""
        if self.new is None:
            return {"user_ids": self.known[batch]}
        new, known = self.new[batch], self.known[batch]
        arguments = {"X": new if self.extend is None else self.extend(known, new)}
        if self.features is not None:
            arguments[USER_FEATURES] = rows_of(self.features, known)
        return arguments


def rows_of(X, known):
    """Rows of a CSR by number; empty ones for -1."""
    selector = sp.csr_array(
        (
            np.ones((known >= 0).sum(), X.dtype),
            known[known >= 0],
            np.append(0, (known >= 0).cumsum()),
        ),
        shape=(len(known), X.shape[0]),
    )
    return selector @ X


def requested_histories(model, encoder, X, users, history, unknown_users):
    """The `Histories` that arguments of `recommend_batches` ask for, checked."""
    found = _requested(model, encoder, X, users, history, unknown_users)
    return found._replace(features=getattr(fitted_recommender(model), "_fit_user_features", None))


def _requested(model, encoder, X, users, history, unknown_users):
    for name, value, valid in (
        ("history", history, ("extend", "replace")),
        ("unknown_users", unknown_users, ("error", "popular")),
    ):
        if value not in valid:
            raise ValueError(f"{name} must be one of {valid}, got {value!r}.")
    if getattr(users, "ndim", 1) > 1 or hasattr(users, "columns"):
        raise TypeError(
            f"users must be a list of ids, got {type(users).__name__}. Give events as X=events."
        )
    if users is not None:
        users = id_list(users, "users")[0]
    if X is not None:
        return _given_histories(model, encoder, X, users, history, unknown_users)
    check_model_rows(encoder, model)
    if users is None:
        return Histories(encoder._users, np.arange(encoder.n_users_))
    if unknown_users == "error":
        known = look_up_ids(encoder, "users", users, "error")
        return Histories(encoder._users[known], known)
    codes, distinct = factorize(as_column(users), "users")
    _warn_of_left_out(encoder, distinct)
    users, known = distinct[codes], kept_positions(encoder, "_users", distinct)[codes]
    if (known >= 0).all():
        return Histories(users, known)
    nothing = sp.csr_array((len(users), encoder.n_items_), dtype=np.float64)
    if (known < 0).all():  # no row of the model is needed
        return Histories(users, known, nothing)
    return Histories(users, known, nothing, _extender(model, encoder))


def _given_histories(model, encoder, X, users, history, unknown_users):
    """The `Histories` of a table of events."""
    new, users = encoder._rows(X, users, for_lists=True)
    known = kept_positions(encoder, "_users", users)
    if history == "replace":
        if unknown_users == "error":
            _check_replaced(users[(np.diff(new.indptr) == 0) & (known >= 0)])
        return Histories(users, known, new)
    _warn_of_left_out(encoder, users)
    if encoder.returns == "net":
        _check_returns(known_users_with_returns(encoder, X))
    if (known < 0).all():
        return Histories(users, known, new)
    histories = Histories(users, known, new, _extender(model, encoder))
    _check_repeats(model, encoder, histories)
    return histories


def _check_replaced(users):
    """Raise an error if histories would be replaced by nothing."""
    if len(users):
        shown = ", ".join(map(repr, users[:3].tolist()))
        raise ValueError(
            f'With history="replace" X must hold all events of everybody in users, but it has none '
            f"of {len(users)} users whom model knows, such as {shown}. Give theirs too, leave them "
            'out of users, or list what is popular to them by unknown_users="popular".'
        )


def _check_returns(users):
    """Raise an error for returns of purchases whose quantities are not known."""
    if len(users):
        shown = ", ".join(map(repr, users[:3].tolist()))
        raise ValueError(
            f"X has returns of {len(users)} users whom model knows, such as {shown}. "
            'history="extend" cannot set them off against purchases that model was fitted to, for '
            "its rows may hold no quantities. Give all events of these users and "
            'history="replace".'
        )


def _warn_of_left_out(encoder, users):
    """Warn of users whose earlier events `fit` has not kept."""
    left_out = users[kept_positions(encoder, "_left_out_users", users) >= 0]
    if len(left_out):
        shown = ", ".join(map(repr, left_out[:3].tolist()))
        warn_caller(
            f"{len(left_out)} users were left out by fit (minimum counts or weights), such as "
            f"{shown}. What they had then is not known, and may be listed. Give all their events "
            'and history="replace" to leave it out.',
        )


def fitted_recommender(model):
    """The recommender itself, of a search too."""
    return getattr(model, "best_estimator_", model)


def _extender(model, encoder):
    """A function (known, new) to the rows of a model with new events added to them."""
    rows = getattr(fitted_recommender(model), "_fit_X", None)
    if rows is None:
        raise ValueError(
            'history="extend" adds X to the rows that model was fitted to, but it holds none (was '
            "it saved with include_data=False?). Give the whole histories and "
            'history="replace", or a model with its rows.'
        )
    check_model_rows(encoder, model)
    values = getattr(fitted_recommender(model), "values", encoder.values_)

    def extend(known, new):
        return extended_rows(encoder, rows, known, new, values)

    return extend


def extended_rows(encoder, rows, known, new, values):
    """Rows of a model with new events added, which count as later ones.

    Parameters
    ----------
    encoder : InteractionEncoder
        Says how events of the same user and item are merged.
    rows : csr_array of shape (n_users, n_items)
        Of the model.
    known : ndarray of int, shape (n,)
        Row of each user, −1 for none.
    new : csr_array of shape (n, n_items)
    values : {"binary", "weight", "time", "rating"}
        What the model reads of the values.

    Returns
    -------
    extended : csr_array of shape (n, n_items)
    """
    place = np.flatnonzero(known >= 0)
    old = rows[known[place]]
    row = np.concatenate([place[entry_rows(old)], entry_rows(new)])
    column = np.concatenate([old.indices, new.indices])
    if values == "binary" or encoder.values_ == "binary":
        return events_matrix(encoder, row, column, None, new.shape, "binary")
    data = new.data
    if encoder.values_ == "time" and encoder.timestamp is None and new.nnz:
        # places in an order, which begins anew in every table
        last = np.zeros(new.shape[0])
        last[place] = old.max(axis=1).toarray().ravel() if old.nnz else 0
        data = data + last[entry_rows(new)]
    numbers = np.concatenate([old.data, data])
    return events_matrix(encoder, row, column, numbers, new.shape, encoder.values_)


def _check_repeats(model, encoder, histories):
    """Raise an error for a pair that model and events both have, where it cannot be merged."""
    duplicates, values = encoder.duplicates, encoder.values_
    mean = duplicates == "mean" and "binary" not in (
        values,
        getattr(fitted_recommender(model), "values", ""),
    )
    if not mean and duplicates != "error":
        return
    rows = fitted_recommender(model)._fit_X
    for start in range(0, len(histories.users), _CHECKED_ROWS):
        known = histories.known[start : start + _CHECKED_ROWS]
        place = np.flatnonzero(known >= 0)
        both = rows[known[place]].multiply(histories.new[start + place]).tocoo()
        if both.nnz:
            user = histories.users[start + place[both.row[0]]]
            item = encoder._items[both.col[0]]
            why = (
                "model does not know how many events its value is the mean of"
                if mean
                else "they are errors"
            )
            raise ValueError(
                f"X repeats user {user!r} and item {item!r}, which model was fitted to. With "
                f"duplicates={duplicates!r} they cannot be merged: {why}. Give the whole histories "
                'and history="replace".'
            )
