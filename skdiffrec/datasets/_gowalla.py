"""Gowalla: places where people checked in."""

import numbers
import os

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import Bunch

from ._archive import open_gzip
from ._download import DamagedFile, open_source
from ._interactions import Events, check_values, make_bunch
from ._sources import GOWALLA
from ._tables import read_columns

__all__ = ["fetch_gowalla"]

_FIELDS = [("user", "i4"), ("time", "S19"), ("item", "i4")]  # 2010-10-19T23:55:27, without the Z


def fetch_gowalla(
    *,
    values: str = "binary",
    k_core: int = 10,
    return_X: bool = False,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 1,
) -> Bunch | csr_array:
    """Load the Gowalla check-ins (users x places), downloading them if needed.

    According to its source, the file has 6,442,890 check-ins of 107,092 users at 1,280,969 places;
    the download is about 105 MB. Most places have a single visitor, so only the 10-core is kept by
    default.

    Parameters
    ----------
    values : {"binary", "weight", "time"}, default="binary"
        What the stored values mean. "binary": 1, float32. "weight": number of check-ins of the user
        at the place, float32. "time": time of the first one, seconds since 1970, float64.
    k_core : int, default=10
        Remove users with fewer places and places with fewer users than this, repeatedly until all
        that remain have at least as many. 1 keeps everything.
    return_X : bool, default=False
        Whether to return only the matrix.
    data_home, download_if_missing, n_retries, delay, verbose
        As in `fetch_movielens`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : csr_array of shape (n_users, n_items)
            The interactions, one entry per (user, item) pair, with sorted indices.
        user_ids, item_ids : ndarray of int, shape (n_users,) and (n_items,)
            Ids of the rows and columns in the source, ascending.
        item_names : None
            Places have no names.
        n_users, n_items : int
            The shape of `X`.
        has_times : bool
            True: ``values="time"`` is available.
        DESCR : str
            Description, licence and citation.

        With ``return_X=True``, only `X`.

    Raises
    ------
    ConnectionError, FileNotFoundError, ImportError, ValueError
        As in `fetch_movielens`.

    Notes
    -----
    The source states no licence. Stanford's SNAP collection offers the file for download and asks
    to be cited: https://snap.stanford.edu/data/loc-gowalla.html

    References
    ----------
    Eunjoon Cho, Seth A. Myers and Jure Leskovec. 2011. Friendship and Mobility: User Movement in
    Location-Based Social Networks. In Proceedings of the 17th ACM SIGKDD International Conference
    on Knowledge Discovery and Data Mining. https://doi.org/10.1145/2020408.2020579

    Examples
    --------
    >>> from skdiffrec.datasets import fetch_gowalla
    >>> X = fetch_gowalla(values="time", return_X=True)  # doctest: +SKIP
    """
    check_values(values, GOWALLA.name)
    if not (isinstance(k_core, numbers.Integral) and k_core >= 1):
        raise ValueError(f"k_core must be an integer >= 1 (1 keeps everything), got {k_core!r}.")
    with open_source(
        GOWALLA,
        data_home=data_home,
        download_if_missing=download_if_missing,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    ) as path:
        table = read_columns(open_gzip(path), _FIELDS, delimiter="\t", columns=(0, 1, 4))
        events = Events(table["user"], table["item"], time=_seconds(table["time"]))
    about = GOWALLA.about + (f"\n\nThis is the {k_core}-core." if k_core > 1 else "")
    data = make_bunch(GOWALLA.name, about, events, values, k_core=k_core)
    return data.X if return_X else data


def _seconds(times: np.ndarray) -> np.ndarray:
    """ISO times, as bytes, in seconds since 1970."""
    try:
        return times.astype("datetime64[s]").astype(np.int64)
    except ValueError as error:
        raise DamagedFile(f"it has an invalid time ({error})") from error
