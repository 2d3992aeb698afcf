"""Last.fm: artists that people listen to."""

import os

from scipy.sparse import csr_array
from sklearn.utils import Bunch

from ._archive import open_member, open_zip
from ._download import open_source
from ._interactions import Events, check_values, make_bunch
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
    """Load the Last.fm data set of HetRec 2011 (users x artists), downloading it if needed.

    According to its readme, it has 92,834 (user, artist) pairs of 1,892 users and 17,632 artists;
    the download is about 3 MB.

    Parameters
    ----------
    values : {"binary", "weight"}, default="binary"
        What the stored values mean. "binary": 1, float32. "weight": number of times the user played
        the artist, float32. The data has no times.
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
        item_names : ndarray of str, shape (n_items,)
            Names of the artists.
        n_users, n_items : int
            The shape of `X`.
        has_times : bool
            False.
        DESCR : str
            Description, licence and citation.

        With ``return_X=True``, only `X`.

    Raises
    ------
    ConnectionError, FileNotFoundError, ImportError, ValueError
        As in `fetch_movielens`.

    Notes
    -----
    Licence: non-commercial use; see the readme inside the file. Source:
    https://grouplens.org/datasets/hetrec-2011/

    References
    ----------
    Iván Cantador, Peter Brusilovsky and Tsvi Kuflik. 2011. Second Workshop on Information
    Heterogeneity and Fusion in Recommender Systems (HetRec 2011). In Proceedings of the 5th ACM
    Conference on Recommender Systems. https://doi.org/10.1145/2043932.2044016

    Examples
    --------
    >>> from skdiffrec.datasets import fetch_lastfm
    >>> data = fetch_lastfm(values="weight")  # doctest: +SKIP
    >>> artists_of_first_user = data.item_names[data.X[[0]].indices]  # doctest: +SKIP
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
    data = make_bunch(LASTFM.name, LASTFM.about, events, values, titles=names)
    return data.X if return_X else data
