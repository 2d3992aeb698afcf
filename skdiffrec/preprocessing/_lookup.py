"""Ids that are asked for, and those that are unknown."""

import numpy as np

from ._ids import factorize, positions
from ._tables import as_column


def refuse_unknown(what, unknown, instead):
    if len(unknown):
        shown = ", ".join(map(repr, unknown[:3].tolist()))
        raise ValueError(
            f"X has {len(unknown)} {what} that fit did not see or keep, such as {shown}. "
            f"unknown_{what}={instead!r} would {instead} them."
        )


def look_up_ids(what, known, ids, unknown):
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
