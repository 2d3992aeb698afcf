"""Checks of `item_features` and of what is `wanted` of them."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .condition_names import WANTED
from .features import check_columns, feature_matrix

_FORMS = (
    "wanted must be a dict of weights by feature, such as {{'genre=Comedy': 1}}, or a matrix of "
    "numbers with one row a user, got {!r:.200}."
)
_MAX_WEIGHT = 1e6  # of what is wanted; keeps float32 scores finite


class ItemFeatures(NamedTuple):
    """What is known of items."""

    features: sp.csr_array | None = None  # canonical, of float32 (n_items, n_features)
    names: tuple[str, ...] | None = None  # of its columns

    @property
    def conditions(self):
        """Those that a model of such items has beside those of its rows."""
        return () if self.features is None else (WANTED,)


def check_item_features(item_features, n_items):
    """The `ItemFeatures` of the items of X."""
    if item_features is None:
        return ItemFeatures()
    features, names = feature_matrix("item_features", item_features, "an item")
    if features.shape[0] != n_items or not features.nnz:
        raise ValueError(
            f"item_features has shape {features.shape} and {features.nnz} entries, but X has "
            f"{n_items} columns. Give one row for each column of X, in their order, and a column "
            "for each feature; after add_items, with the new items' rows behind."
        )
    return ItemFeatures(features, None if names is None else tuple(names))


def check_new_items(item_features, fitted, names):
    """Features of items that `fit` has not seen, in the columns of the `fitted` ones."""
    features, columns = feature_matrix("item_features", item_features, "an item")
    check_columns("item_features", columns, features.shape[1], names, fitted.shape[1])
    if not features.shape[0]:
        raise ValueError("item_features has no row; give one for each new item.")
    return features


def check_wanted(wanted, n_users, n_features, names):
    """What is wanted, csr_array of float32 (n_users, n_features); None where nothing is.

    Parameters
    ----------
    wanted : dict, matrix or None
        {name or number of a column: weight}, for all users, or a matrix with one row a user.
    n_users : int
    n_features : int or None
        Columns of the model's item features; None where it has none.
    names : sequence of str or None
    """
    if wanted is None:
        return None
    if n_features is None:
        raise ValueError(
            "wanted says which features items should have, but the model was fitted without "
            "item_features. Fit with item_features=, one row for each column of X."
        )
    if isinstance(wanted, (str, set, frozenset)):
        raise TypeError(_FORMS.format(wanted))
    if isinstance(wanted, Mapping):
        row = _row_of(wanted, n_features, [] if names is None else list(names))
        columns = np.flatnonzero(row)
        parts = np.tile(row[columns], n_users), np.tile(columns, n_users)
        starts = np.arange(n_users + 1) * len(columns)
        rows = sp.csr_array((*parts, starts), shape=(n_users, n_features))
    else:
        try:
            rows, columns = feature_matrix("wanted", wanted, "a user who wants nothing,")
        except TypeError:
            raise TypeError(_FORMS.format(wanted)) from None
        check_columns("wanted", columns, rows.shape[1], names, n_features)
        if rows.shape[0] != n_users:
            raise ValueError(
                f"wanted has {rows.shape[0]} rows, but {n_users} users were asked for. Give one "
                "row a user, or a dict for all of them."
            )
    if rows.nnz and rows.data.max() > _MAX_WEIGHT:
        raise ValueError(
            f"wanted holds {rows.data.max():g}; weights must be at most {_MAX_WEIGHT:g}. What is "
            "wanted more counts by a larger guidance_scale."
        )
    if rows.nnz and rows.data.min() < 0:
        raise ValueError(
            f"wanted holds {rows.data.min():g}; weights must be >= 0. To steer away from a feature "
            "want the others, or a negative guidance_scale={'wanted': ...}."
        )
    return rows.astype(np.float32)


def _row_of(wanted, n_features, names):
    found: dict[int, float] = {}
    for key, weight in wanted.items():
        if isinstance(key, str):
            if key not in names:
                known = ", ".join(map(repr, names[:5])) or "none: its columns have no names"
                raise ValueError(
                    f"wanted names the feature {key!r}, which item_features has not; it has {known}"
                    f"{', ...' if len(names) > 5 else ''}."
                )
            place = names.index(key)
            if names.count(key) > 1:
                raise ValueError(
                    f"wanted names the feature {key!r}, which {names.count(key)} columns of "
                    f"item_features are called. Name one by its number, such as {{{place}: 1}}."
                )
        elif type(key) is not bool and isinstance(key, (int, np.integer)) and 0 <= key < n_features:
            place = int(key)
        else:
            raise ValueError(
                f"wanted has the key {key!r}; give names of columns of item_features, or their "
                f"numbers from 0 to {n_features - 1}."
            )
        if place in found:
            raise ValueError(f"wanted names column {place} of item_features twice; name it once.")
        if not isinstance(weight, Real) or not math.isfinite(weight):
            raise ValueError(f"wanted[{str(key)!r}] must be a finite number, got {weight!r}.")
        found[place] = float(weight)
    row = np.zeros(n_features)
    row[list(found)] = list(found.values())
    return row
