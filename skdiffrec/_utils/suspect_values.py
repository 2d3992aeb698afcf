"""Warn of matrices whose values look like something else than they are taken for."""

import numpy as np

from .warning import warn_caller

# Seconds since 1970 from 1990 to 2100, and the same in ms, µs and ns
_SECONDS = 6.3e8, 4.1e9
_UNITS = {1: "seconds", 1e3: "milliseconds", 1e6: "microseconds", 1e9: "nanoseconds"}
_TAKEN = {"binary": "ones", "rating": "ratings"}
_WHOLE_FLOAT32 = 2**24  # beyond it, float32 does not hold every whole number
_FEWEST = 10  # entries; by chance, small matrices look like anything


def warn_of_times(entries, values, dtype):
    """Warn if the entries of a matrix, zeros included, are dates, but not taken for times.

    Or if they are times that the `dtype` in which they were given has rounded.
    """
    if values == "time":
        _warn_of_rounded_times(entries, dtype)
        return
    if not entries.size or entries.max() < _SECONDS[0]:
        return
    given = entries[entries > 0]
    low, high = given.min(), given.max()
    for unit, name in _UNITS.items():
        if _SECONDS[0] * unit <= low < high <= _SECONDS[1] * unit:
            warn_caller(
                f"The values of X, {low:.0f} to {high:.0f}, look like times ({name} since 1970), "
                f'but values="{values}" takes them for '
                f'{_TAKEN.get(values, "weights")}. Set values="time", or give a '
                "matrix without times.",
            )


def _warn_of_rounded_times(times, dtype):
    if dtype != np.float32 or not times.size or times.max() <= _WHOLE_FLOAT32:
        return
    warn_caller(
        f"X holds times such as {times.max():.0f} as float32, which rounds them to "
        f"{np.spacing(np.float32(times.max())):g}: what happened between two of them seems to be "
        "of one time. Make the matrix one of float64 or int64.",
    )


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
