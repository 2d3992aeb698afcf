"""MovieLens: ratings of movies."""

import csv
import os
import zipfile
from dataclasses import dataclass, replace

from scipy.sparse import csr_array
from sklearn.utils import Bunch

from ._archive import open_member, open_zip
from ._download import open_source
from ._interactions import Events, check_values, make_bunch
from ._sources import MOVIELENS
from ._tables import read_columns, read_lines

__all__ = ["fetch_movielens"]

_FIELDS = [("user", "i4"), ("item", "i4"), ("rating", "f4"), ("time", "i8")]


@dataclass(frozen=True)
class _Layout:
    """File names and formats of the tables of a version."""

    ratings: str
    titles: str
    delimiter: str  # of ratings, one character: "::" is read as two, with an empty column between
    columns: tuple[int, ...]
    title_delimiter: str
    encoding: str
    header: bool = False


_DAT = _Layout("ratings.dat", "movies.dat", ":", (0, 2, 4, 6), "::", "utf-8")
_CSV = _Layout("ratings.csv", "movies.csv", ",", (0, 1, 2, 3), ",", "utf-8", header=True)
_LAYOUTS = {
    "100k": _Layout("u.data", "u.item", "\t", (0, 1, 2, 3), "|", "latin-1"),
    "1m": replace(_DAT, encoding="latin-1"),
    "10m": _DAT,
}


def fetch_movielens(
    version: str = "100k",
    *,
    values: str = "binary",
    min_rating: float | None = None,
    return_X: bool = False,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 1,
) -> Bunch | csr_array:
    """Load one of the MovieLens data sets (users x movies), downloading it if needed.

    =============  =======  ======  ============  =============
    version          users  movies       ratings  download (MB)
    =============  =======  ======  ============  =============
    100k               943    1682       100 000              5
    1m                6040    3706     1 000 209              6
    10m              69878   10677    10 000 054             66
    20m             138493   26744    20 000 263            199
    25m             162541   59047    25 000 095            262
    latest-small       610    9724       100 836              1
    =============  =======  ======  ============  =============

    The counts are from the documentation of the sources and include only movies with a rating.
    GroupLens changes latest-small from time to time.

    Parameters
    ----------
    version : {"100k", "1m", "10m", "20m", "25m", "latest-small"}, default="100k"
        Which of the data sets.
    values : {"binary", "weight", "time", "rating"}, default="binary"
        What the stored values mean. "binary": 1, float32. "weight" and "rating": the rating, from
        0.5 or 1 to 5, float32. "time": time of the rating, seconds since 1970, float64.
    min_rating : float, default=None
        Leave out lower ratings. Studies that interpret ratings as likes often use 4. None keeps
        all.
    return_X : bool, default=False
        Whether to return only the matrix.
    data_home : str or path-like, default=None
        Folder of the downloaded files; see `get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error if the file is not in `data_home`.
    n_retries : int, default=3
        Number of further attempts after a network error.
    delay : float, default=1.0
        Seconds between attempts.
    verbose : int, default=1
        1 shows a progress bar of the download, 0 does not.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : csr_array of shape (n_users, n_items)
            The interactions, one entry per (user, item) pair, with sorted indices.
        user_ids, item_ids : ndarray of int, shape (n_users,) and (n_items,)
            Ids of the rows and columns in the source, ascending.
        item_names : ndarray of str, shape (n_items,)
            Titles with the year.
        n_users, n_items : int
            The shape of `X`.
        has_times : bool
            True: ``values="time"`` is available.
        DESCR : str
            Description, licence and citation.

        With ``return_X=True``, only `X`.

    Raises
    ------
    ConnectionError
        If the download failed. The message explains how to install the file by hand.
    FileNotFoundError
        If the file is missing and ``download_if_missing=False``.
    ImportError
        If a download is needed and pooch is not installed.
    ValueError
        If a parameter is invalid, no rating is at least `min_rating`, or the file is damaged or has
        changed since it was first read.

    Warns
    -----
    UserWarning
        At the first read, if the checksum of the file differs from the expected one, which is
        unverified.

    Notes
    -----
    Licence: GroupLens permits research use, but no redistribution and no commercial use without
    permission; see the README inside the file. Source: https://grouplens.org/datasets/movielens/

    References
    ----------
    F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM
    Transactions on Interactive Intelligent Systems 5, 4, Article 19.
    https://doi.org/10.1145/2827872

    Examples
    --------
    >>> from skdiffrec.datasets import fetch_movielens
    >>> from skdiffrec.model_selection import LastFraction
    >>> data = fetch_movielens("100k", values="time")  # doctest: +SKIP
    >>> history, holdout = LastFraction(0.2).hide(data.X)  # doctest: +SKIP
    """
    if version not in MOVIELENS:
        raise ValueError(f"version must be one of {tuple(MOVIELENS)}, got {version!r}.")
    check_values(values, "MovieLens", has_ratings=True)
    source = MOVIELENS[version]
    with open_source(
        source,
        data_home=data_home,
        download_if_missing=download_if_missing,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    ) as path:
        with open_zip(path) as archive:
            events, titles = _read(archive, _LAYOUTS.get(version, _CSV))
    if min_rating is not None and events.weight is not None:
        events = events.select(events.weight >= min_rating)
    data = make_bunch(source.name, source.about, events, values, titles=titles)
    return data.X if return_X else data


def _read(archive: zipfile.ZipFile, layout: _Layout) -> tuple[Events, dict[int, str]]:
    """(ratings as events, titles by item id)."""
    table = read_columns(
        open_member(archive, layout.ratings),
        _FIELDS,
        delimiter=layout.delimiter,
        columns=layout.columns,
        header=layout.header,
    )
    events = Events(table["user"], table["item"], table["rating"], table["time"])
    lines = read_lines(open_member(archive, layout.titles), layout.encoding)[layout.header :]
    if layout.title_delimiter == ",":  # titles that contain a comma are quoted
        rows = list(csv.reader(lines))
    else:
        rows = [line.split(layout.title_delimiter) for line in lines]
    return events, {int(row[0]): row[1] for row in rows}
