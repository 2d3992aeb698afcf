"""Input checks, and the only door to scikit-learn's private parts.

Every error says which parameter, the value received, what is valid, and what to do.
"""

import numbers
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import scipy.sparse as sp
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._param_validation import Interval as AnyInterval
from sklearn.utils.validation import _get_feature_names as column_names
from sklearn.utils.validation import check_is_fitted, validate_data

from .canonical import (
    VALUES,
    canonical_csr,
    refuse_contradictions,
    with_float_data,
)
from .entry_types import read_once, refuse_no_numbers, within_float32
from .item_filters import user_item_matrix
from .missing import raise_clearer
from .suspect_values import warn_of_adjacency, warn_of_times
from .topk import EVERY_ITEM, ItemFilter
from .typing import Method
from .warning import warn_caller

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "VALUES",
    "allowed_items",
    "canonical_csr",
    "check_condition_scales",
    "check_guidance_scale",
    "check_interactions",
    "check_item_ids",
    "check_item_list",
    "check_k",
    "check_list_length",
    "check_lists",
    "check_scale_grid",
    "check_scale_parameter",
    "check_scale_points",
    "check_scales",
    "check_user_ids",
    "column_names",
    "fit_context",
    "fitted_now",
    "item_filter",
    "requested_rows",
    "safe_indexing",
    "warn_without_order",
    "with_float_data",
]

_MAX_SCALE = 1e3  # far beyond any use; keeps float32 scores finite


class Interval(AnyInterval):
    """scikit-learn's constraint of a number, which True and False are not."""

    def is_satisfied_by(self, val: object) -> bool:
        return not isinstance(val, (bool, np.bool_)) and super().is_satisfied_by(val)


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    """scikit-learn's decorator of `fit`, which checks the parameters; the method's types stay."""
    return _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


def check_interactions(estimator, X, *, values, reset, earliest=False):
    """Validate user histories and bring them into one canonical form.

    Parameters
    ----------
    estimator : estimator
        Whose ``n_features_in_`` is set (``reset=True``) or compared.
    X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        Non-negative; a stored non-zero is an interaction.
    values : {"binary", "weight", "time"}
        What the values mean. Duplicate entries add up as weights; of two times the later stays.
    reset : bool
        True in ``fit``.
    earliest : bool
        Of two times of an entry the earlier stays instead.

    Returns
    -------
    X : csr_array of shape (n_users, n_items)
        Sorted int32 indices, no duplicates, no explicit zeros; float32 ones for "binary", float64
        for "weight" and "time" (seconds since 1970 need more than float32's 24 bits).
        Never shares memory that a caller could see change.
    """
    X = read_once("X", X)
    dtypes = (np.float64,)  # what is of none of these becomes the first
    if values == "binary":  # float32 takes less, but 1e-50 is an interaction too
        dtypes = (np.float32, np.float64) if within_float32(X) else (np.float64, np.float32)
    refuse_no_numbers("X", X)
    refuse_contradictions("X", X)
    try:
        found = validate_data(
            estimator,
            with_float_data(X, dtypes),
            accept_sparse=("csr", "csc", "coo"),
            dtype=dtypes,
            reset=reset,
        )
    except (TypeError, ValueError) as error:
        raise_clearer("X", error)
        raise
    entries = found.data if sp.issparse(found) else found
    if entries.size and entries.min() < 0:
        raise ValueError(
            f"Negative values in data passed to {type(estimator).__name__}: X holds "
            f"{entries.min()}. A value must be >= 0, and 0 where there is no interaction."
        )
    if values == "weight" or hasattr(estimator, "half_life"):  # else times change nothing
        warn_of_times(entries, values, X, reset)
    X = canonical_csr(found, values, earliest)
    if reset:
        warn_of_adjacency(X)
    return X


def check_parameters(estimator, names):
    """`_validate_params` of some parameters, at a fraction of its time."""
    values = {name: getattr(estimator, name) for name in names}
    check_values(estimator._parameter_constraints, values, type(estimator).__name__)


def check_values(constraints, values, caller):
    """Errors as scikit-learn's for {parameter: value} that are not as they may be."""
    constraints = {name: constraints[name] for name in values}
    validate_parameter_constraints(constraints, values, caller)


def check_list_length(k, n_items):
    """Lists that are evaluated must not be longer than there are items."""
    if k > n_items:
        raise ValueError(
            f"k must be at most the number of items, got {k} for {n_items} items; lower k."
        )


def warn_without_order(times, name, instead):
    """Warn if all values (nnz,) that should be times are the same."""
    if len(times) > 1 and times.min() == times.max():
        warn_caller(
            f"All values of X are {times[0]:g}, but {name} takes them for times: nothing is later "
            f"than anything else. {instead}",
        )


def _integer_ids(name, ids, n, what):
    """`ids` as a 1-D int64 array with every entry in [0, n)."""
    if sp.issparse(ids) or np.ma.is_masked(ids):
        what = "a sparse matrix" if sp.issparse(ids) else "some that are masked"
        raise TypeError(f"{name} must be ids, got {what}; give one int or a 1-D array.")
    array = np.asarray(ids)
    if array.ndim > 1:
        raise ValueError(
            f"{name} has {array.ndim} dimensions (shape {array.shape}); give one int or a 1-D "
            "array of ids."
        )
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must be integers, got {array.ravel()[:3].tolist()} of dtype {array.dtype}. "
            f"Valid ids are 0 to {n - 1} ({what}); for a boolean mask give np.flatnonzero(mask), "
            "for names what InteractionEncoder.user_index and item_index return."
        )
    flat = array.ravel()
    bad = flat[(flat < 0) | (flat >= n)]
    if bad.size:
        raise IndexError(
            f"{name} contains {int(bad[0])}, which is out of range. Valid ids are 0 to {n - 1} "
            f"({what})."
        )
    return flat.astype(np.int64)


def check_user_ids(user_ids, n_users, *, known):
    """User ids as (1-D int64 array, whether one int was given)."""
    what = "the rows of the matrix given to fit" if known else "any integer >= 0"
    scalar = np.ndim(user_ids) == 0
    return _integer_ids("user_ids", user_ids, n_users, what), scalar


def check_item_ids(name, ids, n_items):
    """Unique item ids, ascending, int64."""
    return np.unique(_integer_ids(name, ids, n_items, "the columns of X"))


def check_item_list(name, ids, n_items):
    """Item ids as (1-D int64 array in the given order, whether one int was given)."""
    return _integer_ids(name, ids, n_items, "the columns of X"), np.ndim(ids) == 0


def fitted_now(estimator):
    """The estimator as it is now, if it is fitted; a fit in another thread does not change it."""
    now = object.__new__(type(estimator))
    now.__dict__ = estimator.__dict__  # which a fit replaces, see `fitted_state`
    if "n_features_in_" not in now.__dict__:  # a tenth of the time of a list of one user
        check_is_fitted(now)
    return now


def allowed_items(filter_items, items, n_items):
    """Ascending ids of the items that may be recommended; None for all."""
    if filter_items is None and items is None:
        return None
    allowed = np.arange(n_items) if items is None else check_item_ids("items", items, n_items)
    if filter_items is not None:
        banned = check_item_ids("filter_items", filter_items, n_items)
        allowed = np.setdiff1d(allowed, banned, assume_unique=True)
    return allowed


def item_filter(filter_items, items, n_items, n_rows):
    """The `ItemFilter` of lists for n_rows users.

    Parameters
    ----------
    filter_items, items
        As in `recommend`: ids for everybody, or a matrix with one row a user.
    n_items, n_rows : int
    """
    if filter_items is None and items is None:
        return EVERY_ITEM
    blocked = user_item_matrix("filter_items", filter_items, (n_rows, n_items))
    allowed = user_item_matrix("items", items, (n_rows, n_items))
    filter_items = filter_items if blocked is None else None
    items = items if allowed is None else None
    return ItemFilter(allowed_items(filter_items, items, n_items), blocked, allowed)


def requested_rows(recommender, user_ids, X):
    """(rows, which of them or None for all in order, whether one user was asked for).

    Parameters
    ----------
    recommender : estimator
        Fitted; its rows are taken where `X` is None.
    user_ids, X
        As in `recommend`.
    """
    if X is None:
        if recommender._fit_X is None:
            raise ValueError(
                "This model does not know the users of fit: it was saved with include_data=False, "
                "or fitted to RowBlocks. Give their histories: recommend(X=rows)."
            )
        if user_ids is None:
            return recommender._fit_X, None, False
        ids, scalar = check_user_ids(user_ids, recommender._fit_X.shape[0], known=True)
        return recommender._fit_X, ids, scalar
    rows = recommender._check_rows(X)
    if user_ids is None:
        return rows, None, False
    ids, scalar = check_user_ids(user_ids, np.iinfo(np.int64).max, known=False)
    if len(ids) != rows.shape[0]:
        raise ValueError(
            f"user_ids has {len(ids)} entries, but X has {rows.shape[0]} rows. Give one row "
            "of X per entry of user_ids, or leave one of the two out."
        )
    return rows, None, scalar


def check_lists(name, lists, n_users, n_items):
    """Lists of items, int64 (n_users, k), -1 where there is none; one list is for all users."""
    lists = np.asarray(lists)
    if lists.ndim > 2 or (lists.ndim == 2 and len(lists) != n_users):
        raise ValueError(
            f"{name} has shape {lists.shape}, but {n_users} users were asked for. Give items for "
            "all of them, or one list per user, as `recommend` returns."
        )
    filled = np.where(lists == -1, 0, lists) if lists.dtype.kind in "iu" else lists
    _integer_ids(name, filled.ravel(), n_items, "the columns of X; -1 is no item")
    lists = lists.astype(np.int64)
    return lists if lists.ndim == 2 else np.broadcast_to(lists.ravel(), (n_users, lists.size))


def check_k(k, name="k"):
    """A positive int."""
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, numbers.Integral):
        raise TypeError(f"{name} must be a positive integer, got {k!r} of type {type(k).__name__}.")
    if k < 1:
        raise ValueError(f"{name} must be at least 1, got {k}.")
    return int(k)


def check_condition_scales(guidance_scale, n_users, conditions):
    """Guidance scales of all users, float64 (n_users, n_conditions).

    Parameters
    ----------
    guidance_scale : float, array-like or dict
        A dict has scales by condition, where the others are 1; else all conditions have the one.
    n_users : int
    conditions : sequence of str
        Of the model, in the order of the chain in which guidance is composed.
    """
    if not isinstance(guidance_scale, Mapping):
        scale = check_guidance_scale(guidance_scale, n_users)
        return np.repeat(scale[:, None], len(conditions), axis=1)
    unknown = [name for name in guidance_scale if name not in conditions]
    if unknown:
        raise ValueError(
            f"guidance_scale has a scale for {unknown[0]!r}, but the conditions of this model are "
            f"{', '.join(map(repr, conditions))}. A model has the conditions that it was fitted "
            'with: user_features if these are given to fit, disliked with values="rating", wanted '
            "with item_features."
        )
    scales = [
        check_guidance_scale(guidance_scale.get(name, 1.0), n_users, f"guidance_scale[{name!r}]")
        for name in conditions
    ]
    return np.stack(scales, axis=1)


def check_guidance_scale(scale, n_users, name="guidance_scale"):
    """Finite scales, float64 (n_users,), from one number or one per user."""
    try:
        array = np.asarray(scale)
        valid = array.dtype.kind in "iuf" or (array.dtype == object and array.size)
        none = array.dtype == object and None in array.ravel().tolist()
        array = array.astype(np.float64) if valid and not (none or np.ma.is_masked(scale)) else None
    except (TypeError, ValueError):
        array = None
    if array is None:
        raise TypeError(f"{name} must be a number or one number per user, got {scale!r:.200}.")
    if array.ndim > 1 or (array.ndim == 1 and len(array) != n_users):
        raise ValueError(
            f"{name} has shape {array.shape}, but {n_users} users were asked for. "
            "Give one number, or a 1-D array with one number per user."
        )
    bad = array[~(np.abs(array) <= _MAX_SCALE)]
    if bad.size:
        raise ValueError(
            f"{name} must lie between {-_MAX_SCALE:g} and {_MAX_SCALE:g}, got "
            f"{bad.ravel()[0]}. 0 is unconditional, 1 plain conditional."
        )
    return np.broadcast_to(array, (n_users,))


def check_scales(scales):
    """Several guidance scales, float64 (n_scales,), at least one."""
    numbers_alone = np.ndim(scales) == 1 and not any(isinstance(s, Mapping) for s in scales)
    if not numbers_alone or not np.size(scales):
        raise ValueError(
            f"scales must be a 1-D sequence of at least one guidance scale, got {scales!r:.200}. "
            "Give for example [0.5, 1.0, 1.5]; recommend_scales and GuidanceScaleCV also take a "
            "dict of such sequences by condition."
        )
    return check_guidance_scale(scales, len(scales))


def check_scale_grid(scales, conditions):
    """(scales of each list, float64 (n_lists, n_conditions); shape of the grid) of a sweep.

    `scales` are several scales of all conditions together, or a dict of several for each of some
    conditions, of which all combinations are meant, with the first condition of the dict slowest.
    """
    points = check_scale_points(scales, conditions)
    found = [check_condition_scales(point, 1, conditions)[0] for point in points]
    by_condition = isinstance(scales, Mapping)
    return np.array(found), tuple(map(len, scales.values() if by_condition else [points]))


def check_scale_points(scales, conditions):
    """What a sweep asks for, one after the other: a list of numbers, or of dicts by condition."""
    if not isinstance(scales, Mapping):
        return check_scales(scales).tolist()
    if not scales:
        raise ValueError("scales is an empty dict; give for example {'history': [0.5, 1.0, 1.5]}.")
    check_condition_scales(dict.fromkeys(scales, 1.0), 1, conditions)
    axes = [check_scales(several).tolist() for several in scales.values()]
    return [dict(zip(scales, point, strict=True)) for point in product(*axes)]


def check_scale_parameter(scale, conditions):
    """A `guidance_scale` of an estimator: "auto", a number, or a dict of numbers."""
    if isinstance(scale, Mapping):
        for entry in scale.values():
            if not isinstance(entry, numbers.Real) or isinstance(entry, bool):
                raise TypeError(f"guidance_scale must hold numbers, got {scale!r:.200}.")
    if not isinstance(scale, str):
        check_condition_scales(scale, 1, conditions)
