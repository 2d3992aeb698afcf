"""Last.fm: artists that people listen to."""

import os

from scipy.sparse import csr_array
from sklearn.utils import Bunch

from ._archive import open_member, open_zip
from ._download import open_source
from ._interactions import Events, bunch_of, check_values
from ._sources import LASTFM
from ._tables import read_columns, read_lines

__all__ = ["fetch_lastfm"]

_FIELDS = [("user", "i4"), ("item", "i4"), ("plays", "i8")]


def fetch_lastfm(
    *,
    values: str = "binary",
    return_X: bool = False,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 1,
) -> Bunch | csr_array:
    """Load the Last.fm data set of HetRec 2011 (artists by plays), downloading it if needed.

    1,892 users x 17,632 artists, 92,834 pairs, as its readme counts them; about 3 MB to download.

    Parameters
    ----------
    values : {"binary", "weight"}, default="binary"
        What the stored values say. "binary": 1. "weight": how often the user played the artist.
        Both float32. There are no times.
    return_X : bool, default=False
        Return the matrix alone.
    data_home, download_if_missing, n_retries, delay, verbose
        As in `fetch_movielens`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : csr_array of shape (n_users, n_items)
            The interactions, with sorted indices.
        user_ids, item_ids : ndarray of int, shape (n_users,) and (n_items,)
            Ids of the source, of rows and columns, ascending.
        item_names : ndarray of str, shape (n_items,)
            Names of the artists.
        n_users, n_items : int
            The shape of `X`.
        has_times : bool
            False.
        DESCR : str
            What it is, licence and citation.

        Or `X` alone, with ``return_X=True``.

    Raises
    ------
    ConnectionError, FileNotFoundError, ImportError, ValueError
        As `fetch_movielens`.

    Notes
    -----
    Licence: non-commercial use; the readme inside the file has the terms.

    References
    ----------
    Iván Cantador, Peter Brusilovsky and Tsvi Kuflik. 2011. Second Workshop on Information
    Heterogeneity and Fusion in Recommender Systems (HetRec 2011). In Proceedings of the 5th ACM
    Conference on Recommender Systems. https://doi.org/10.1145/2043932.2044016

    Examples
    --------
    >>> from skdiffrec.datasets import fetch_lastfm
    >>> data = fetch_lastfm(values="weight")  # doctest: +SKIP
    >>> data.item_names[data.X[[0]].indices]  # doctest: +SKIP
    """
    check_values(values, LASTFM.name, has_times=False)
    with open_source(
        LASTFM,
        data_home=data_home,
        download_if_missing=download_if_missing,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    ) as path:
        with open_zip(path) as archive:
            table = read_columns(
                open_member(archive, "user_artists.dat"),
                _FIELDS,
                delimiter="\t",
                columns=(0, 1, 2),
                header=True,
            )
            artists = read_lines(open_member(archive, "artists.dat"), "utf-8")[1:]
            names = {int(row[0]): row[1] for row in (line.split("\t") for line in artists)}
    events = Events(table["user"], table["item"], table["plays"])
    data = bunch_of(LASTFM.name, LASTFM.about, events, values, titles=names)
    return data.X if return_X else data
