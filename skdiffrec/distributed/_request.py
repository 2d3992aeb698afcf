"""Whose lists are asked for, and from what: all checked before the first one is made."""

import inspect
import os
import zipfile
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .._utils.condition_names import USER_FEATURES, WANTED
from .._utils.item_filters import user_item_matrix
from .._utils.user_options import check_options, options_of
from .._utils.validation import check_item_ids, check_user_ids, requested_rows
from ..preprocessing._features import in_order_of
from ..preprocessing._histories import Histories, requested_histories
from ..preprocessing._identity import check_model_items
from ..preprocessing._item_rules import ItemRules, item_rules
from ..preprocessing._lists import _user_ids as user_ids_of
from ..preprocessing._values import warn_of_other_values

_OWN = ("self", "user_ids", "k", "X")  # arguments of `recommend` that are no options here
_FILTERS = ("filter_items", "items")


class Request(NamedTuple):
    """Users, what to recommend from, and the options of `recommend`.

    Attributes
    ----------
    histories : Histories
    rules : ItemRules
    options : dict
    """

    histories: Histories
    rules: ItemRules
    options: Any

    @property
    def n_users(self):
        return len(self.histories.users)

    def of(self, batch):
        """The arguments of `recommend` for a slice of the users."""
        of_options = options_of(self.options, batch)
        return self.histories.of(batch) | self.rules.of(batch) | of_options


def checked_request(model, encoder, users, X, k, batch_size, options):
    """The `Request` that arguments make, or their error.

    Parameters
    ----------
    model : recommender
        Fitted.
    encoder : InteractionEncoder or None
    users, X, k, batch_size, options
        As in `recommend_dask`; `k` and `batch_size` are checked.
    """
    if encoder is not None:
        check_model_items(encoder, model)
        warn_of_other_values(encoder, model)
    _check_names(model, options)
    if X is None:
        histories = _of_fit(model, encoder, users)
    else:
        histories = _given(model, encoder, users, X, batch_size)
    filters = {name: options[name] for name in _FILTERS if options.get(name) is not None}
    rules = _rules(model, encoder, histories.users, filters)
    options = {name: value for name, value in options.items() if name not in _FILTERS}
    if encoder is not None:
        options = in_order_of(histories.users, options, encoder.user)
    request = Request(histories, rules, options)
    check_options(options, request.n_users)
    if request.n_users:
        model.recommend(**request.of(slice(0, 1)), k=k)  # its own checks, of all but the rows
        _check_all_users(model, options, request.n_users)
    return request


def _check_names(model, options):
    valid = [n for n in inspect.signature(model.recommend).parameters if n not in _OWN]
    for name in options:
        if name not in valid:
            raise TypeError(
                f"{name!r} is no option of recommend of {type(model).__name__}. Valid are "
                f"{', '.join(valid)}."
            )


def _of_fit(model, encoder, users):
    """`Histories` of rows that the model was fitted to."""
    if encoder is not None:
        requested_rows(model, None, None)  # an error where it holds none
        return requested_histories(model, encoder, None, users, "extend", "error")
    rows, chosen, _ = requested_rows(model, users, None)
    chosen = np.arange(rows.shape[0]) if chosen is None else chosen
    return Histories(chosen, chosen)


def _given(model, encoder, users, X, batch_size):
    """`Histories` of given rows."""
    rows = _checked_rows(model, _readable(X), batch_size)
    n = rows.shape[0]
    if users is None:
        if encoder is not None and encoder.n_users_ != n:
            raise ValueError(
                f"X has {n} rows, but encoder has {encoder.n_users_} users. Give users=, one id "
                "for each row of X, in their order."
            )
        users = np.arange(n) if encoder is None else encoder._users
    elif encoder is None:
        users = check_user_ids(users, np.iinfo(np.int64).max, known=False)[0]
        if len(users) != n:
            raise ValueError(
                f"users has {len(users)} entries, but X has {n} rows. Give one row of X for each "
                "user."
            )
    else:
        users = user_ids_of(users, n)
    return Histories(users, np.full(n, -1), rows)


def _readable(X):
    """What rows can be taken from: a matrix, or an object that gives some at a time."""
    if isinstance(X, (str, os.PathLike)):
        try:
            return sp.load_npz(X)
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"X={os.fspath(X)!r} is no file of scipy.sparse.save_npz ({error}). Give such a "
                "file, or the matrix."
            ) from error
    if sp.issparse(X):
        return X
    if not hasattr(X, "shape") or len(X.shape) != 2 or not hasattr(X, "__getitem__"):
        raise TypeError(
            f"X must be a sparse matrix, the path of one that scipy.sparse.save_npz wrote, or an "
            f"object with a shape of two numbers whose X[first:last] are rows, got "
            f"{type(X).__name__}."
        )
    return X


def _checked_rows(model, X, batch_size):
    """X, all of whose rows `recommend` takes."""
    n, n_items = X.shape
    if n_items != model.n_features_in_:
        raise ValueError(
            f"X has {n_items} columns, but the model has {model.n_features_in_} items. Give rows "
            "over the items of fit."
        )
    if sp.issparse(X):
        return model._check_rows(X)
    for first in range(0, n, batch_size):
        last = min(first + batch_size, n)
        found = model._check_rows(X[first:last]).shape
        if found != (last - first, n_items):
            raise ValueError(
                f"X has shape {X.shape}, but X[{first}:{last}] has {found}. Give an object whose "
                "slices are as many rows."
            )
    return X


def _rules(model, encoder, users, filters):
    """`ItemRules` of items for everybody, by id or by name, and of a matrix with a row a user."""
    n_items = model.n_features_in_
    own, everybody = {}, {}
    for name, value in filters.items():
        matrix = user_item_matrix(name, value, (len(users), n_items))
        if matrix is not None:
            own[name] = matrix
        elif encoder is None:
            everybody[name] = check_item_ids(name, value, n_items)
        else:
            names = {**dict.fromkeys(_FILTERS), name: value}
            everybody |= item_rules(
                encoder, users, **names, blocked=None, allowed=None, unknown_names="error"
            ).everybody
    return ItemRules(everybody, own)


def _check_all_users(model, options, n):
    """What `recommend` refuses of the last user's options is refused now."""
    if "guidance_scale" in options:
        model._scales(n, options["guidance_scale"])
    besides = {name: options.get(name) for name in (USER_FEATURES, WANTED)}
    if any(value is not None for value in besides.values()):
        nothing = sp.csr_array((n, model.n_features_in_), dtype=np.float32)
        model._requested(None, nothing, **besides)
