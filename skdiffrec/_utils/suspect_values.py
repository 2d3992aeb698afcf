"""Warn of matrices whose values look like something else than they are taken for."""

import numpy as np

from .entry_types import small_float
from .warning import warn_caller

# Seconds since 1970 from 1990 to 2100, and the same in ms, µs and ns
_SECONDS = 6.3e8, 4.1e9
_UNITS = {1: "seconds", 1e3: "milliseconds", 1e6: "microseconds", 1e9: "nanoseconds"}
_TAKEN = {"binary": "ones", "rating": "ratings"}
_FEWEST = 10  # entries; by chance, small matrices look like anything


def warn_of_times(entries, values, given, fitting):
    """Warn if the entries of a matrix, zeros included, are dates, but in `fit` not taken for times.

    Or if they are times that the floats of what was `given` have rounded.
    """
    if values == "time":
        warn_of_rounded_times(entries, given)
        return
    unit = _unit_of_dates(entries) if fitting else None
    if unit is None:
        return
    given = entries[entries > 0]
    warn_caller(
        f"The values of X, {given.min():.0f} to {given.max():.0f}, look like times ({unit} since "
        f'1970), but values="{values}" takes them for {_TAKEN.get(values, "weights")}. Set '
        'values="time", or give a matrix without times.',
    )


def _unit_of_dates(entries):
    """The unit in which all entries above 0 are times since 1970, from 1990 to 2100; or None."""
    if not entries.size or entries.max() < _SECONDS[0]:
        return None
    given = entries[entries > 0]
    low, high = given.min(), given.max()
    for unit, name in _UNITS.items():
        if _SECONDS[0] * unit <= low < high <= _SECONDS[1] * unit:
            return name
    return None


def warn_of_rounded_times(times, given, name="X"):
    """Warn if the floats of what was `given` have rounded times, zeros included."""
    if not times.size:
        return
    small, latest = small_float(given), times.max()
    if small is None or latest <= 2 ** (np.finfo(small).nmant + 1):  # holds whole numbers up to it
        return
    step = np.spacing(small(min(latest, np.finfo(small).max)))
    # the same words for every block of rows, so that they are shown once
    warn_caller(
        f"{name} is given as {small.__name__}, which rounds times to multiples of {step:g}: what "
        "happened between two of them seems to be of one time. Make it float64 or int64.",
    )


def warn_of_rounded_dates(entries, given, name):
    """`warn_of_rounded_times` of a matrix that may hold something else than times."""
    if _unit_of_dates(entries) is not None:
        warn_of_rounded_times(entries, given, name)


def warn_of_adjacency(X):
    """Warn if a canonical CSR is the adjacency matrix of a graph between users and items."""
    n_rows, n_columns = X.shape
    if n_rows != n_columns or X.nnz < _FEWEST or X.nnz % 2:
        return
    row = np.repeat(np.arange(n_rows), np.diff(X.indptr))
    upper = X.indices > row
    if 2 * np.count_nonzero(upper) != X.nnz:
        return
    n_users = int(X.indices[upper].min())
    if row[upper].max() >= n_users or (X != X.T).nnz:
        return
    warn_caller(
        f"X is square and symmetric, and links only rows 0 to {n_users - 1} with rows from "
        f"{n_users}: it looks like the adjacency matrix of a graph of users and items, not like a "
        f"users x items matrix. If so, give its corner: X[:{n_users}, {n_users}:].",
    )
