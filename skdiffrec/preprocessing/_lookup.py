"""Look up the row or column numbers of ids."""

import numpy as np

from ._ids import factorize, positions
from ._tables import as_column


def reject_unknown(what, unknown, instead):
    """Raise an error if there are `unknown` ids; `what` is "users" or "items"."""
    if len(unknown):
        shown = ", ".join(map(repr, unknown[:3].tolist()))
        raise ValueError(
            f"X has {len(unknown)} {what} that fit did not see or keep, such as {shown}. "
            f"unknown_{what}={instead!r} would {instead} them."
        )


def look_up_ids(what, known, ids, unknown):
    """Position of each of `ids` in `known`, int64 (n,), or int for a single id.

    `unknown` is the number for ids that are not known, or "error"; `what` is "users" or "items".
    """
    if isinstance(unknown, str) and unknown != "error":
        raise ValueError(f'unknown must be "error" or an int, got {unknown!r}.')
    one = isinstance(ids, (str, bytes)) or not hasattr(ids, "__len__")
    codes, distinct = factorize(as_column([ids] if one else ids), what)
    place = positions(known, distinct)
    if unknown == "error" and (place < 0).any():
        shown = ", ".join(map(repr, distinct[place < 0][:3].tolist()))
        raise ValueError(
            f"{(place < 0).sum()} {what} are unknown, such as {shown}. Give ids among {what}_, or "
            "a number for unknown ones, such as unknown=-1."
        )
    place = np.where(place < 0, 0 if unknown == "error" else unknown, place)[codes]
    return int(place[0]) if one else place
