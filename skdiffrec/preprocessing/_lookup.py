"""Look up the row or column numbers of ids."""

import numpy as np

from ._id_checks import check_ids
from ._ids import factorize, id_index, missing_ids, positions
from ._tables import as_column, id_list


def reject_unknown(what, unknown, instead):
    """Raise an error if there are `unknown` ids; `what` is "users" or "items"."""
    if len(unknown):
        shown = ", ".join(map(repr, unknown[:3].tolist()))
        raise ValueError(
            f"X has {len(unknown)} {what} that fit did not see or keep, such as {shown}. "
            f"unknown_{what}={instead!r} would {instead} them."
        )


def kept_positions(encoder, attribute, wanted):
    """`positions` in an array of ids of an encoder, whose index is kept for the next look-up."""

    def index_of(known):
        kept = encoder._caches().get(attribute)
        if kept is None or kept[0] is not known:  # fitted again
            kept = encoder._caches()[attribute] = known, id_index(known)
        return kept[1]

    return positions(getattr(encoder, attribute), wanted, index_of)


def public_ids(encoder, ids):
    """Ids as callers get them: text as objects, made once of the ids of `fit`."""
    if ids.dtype.kind != "T":
        return ids
    for what in ("_users", "_items"):
        if ids is getattr(encoder, what):
            kept = encoder._caches().get(f"public{what}")
            if kept is None or kept[0] is not ids:
                kept = encoder._caches()[f"public{what}"] = ids, ids.astype(object)
            return kept[1]
    return ids.astype(object)


def own_users(encoder, users):
    """`users`, or the encoder's own array of them if its `users_` is given."""
    kept = encoder._caches().get("public_users")
    return kept[0] if kept is not None and users is kept[1] else users


def with_new_ids(known, left_out, ids):
    """Ids of items with new ones behind them, of the same dtype."""
    ids, one = id_list(ids, "ids")
    if one:
        raise TypeError(f"ids must be a list of new items, got {ids[0]!r}; give {ids!r} for one.")
    column = as_column(ids)
    if missing_ids(column).any():
        raise ValueError("ids holds a missing one; leave it out.")
    codes, distinct = factorize(column, "ids")
    check_ids(distinct, "ids")
    kinds = {"u" if part.dtype.kind == "i" else part.dtype.kind for part in (known, distinct)}
    if known.dtype.kind != "O" and len(kinds) > 1 and len(distinct):
        raise TypeError(
            f"ids holds {distinct.tolist()[0]!r}, but the items of fit are such as "
            f"{known.tolist()[0]!r}. Give ids of the same type."
        )
    twice = len(distinct) < len(codes)
    old = (positions(known, distinct) >= 0) | (positions(left_out, distinct) >= 0)
    if old.any() or twice:
        counts = np.bincount(codes, minlength=len(distinct))
        name = distinct[int(np.argmax(old if old.any() else counts > 1))]
        raise ValueError(f"ids holds {name!r}, which is no new item; leave it out.")
    return np.concatenate([known, distinct[codes].astype(known.dtype)])


def look_up_ids(encoder, what, ids, unknown):
    """Position of each of `ids` in ``users_`` or ``items_``, int64 (n,), or int for a single id.

    `unknown` is the number for ids that are not known, or "error"; `what` is "users" or "items".
    """
    if isinstance(unknown, str) and unknown != "error":
        raise ValueError(f'unknown must be "error" or an int, got {unknown!r}.')
    if isinstance(ids, (str, bytes)):  # nothing to check, and by far the quickest
        one, codes, distinct = True, np.zeros(1, np.int64), np.array([ids], object)
    else:
        ids, one = id_list(ids, what)
        codes, distinct = factorize(as_column(ids), what)
    place = kept_positions(encoder, f"_{what}", distinct)
    if unknown == "error" and (place < 0).any():
        shown = ", ".join(map(repr, distinct[place < 0][:3].tolist()))
        raise ValueError(
            f"{(place < 0).sum()} {what} are unknown, such as {shown}. Give ids among {what}_; "
            "where ids are looked up, unknown=-1 gives unknown ones a number, and where lists are "
            'made, unknown_users="popular" gives them what is popular.'
        )
    place = np.where(place < 0, 0 if unknown == "error" else unknown, place)[codes]
    return int(place[0]) if one else place
