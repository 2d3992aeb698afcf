"""Files of public data sets: where they lie, how they come here, and what is checked of them."""

import gzip
import hashlib
import os
import time
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ._sources import Source

__all__ = ["DamagedFile", "get_data_home", "open_source"]

ENVIRONMENT = "SKDIFFREC_DATA"
DEFAULT_HOME = "~/skdiffrec_data"
WORTH_RETRYING = {408, 425, 429}  # of the client errors; those of servers all are


class DamagedFile(ValueError):
    """A file that does not hold what it should."""


_UNREADABLE = (
    DamagedFile,
    EOFError,
    UnicodeDecodeError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    zlib.error,
)


def get_data_home(data_home: str | os.PathLike | None = None) -> Path:
    """Folder where fetched files lie.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. None means that of the environment variable SKDIFFREC_DATA, and without one
        ``~/skdiffrec_data``.

    Returns
    -------
    data_home : pathlib.Path
        Absolute; it need not exist, a download creates it.

    Examples
    --------
    >>> from skdiffrec.datasets import get_data_home
    >>> print(get_data_home("/data/recommender"))
    /data/recommender
    """
    if data_home is None:
        data_home = os.environ.get(ENVIRONMENT) or DEFAULT_HOME
    return Path(data_home).expanduser().absolute()


@contextmanager
def open_source(
    source: Source,
    *,
    data_home: str | os.PathLike | None,
    download_if_missing: bool,
    n_retries: int,
    delay: float,
    verbose: int,
) -> Iterator[Path]:
    """Path of the checked file of a source, downloaded first if it is missing.

    A file that the body could read is recorded by its checksum. One that it could not read is
    named in the error, and deleted if it was downloaded just now.
    """
    path = get_data_home(data_home) / source.filename
    fresh = not path.is_file()
    if fresh:
        if not download_if_missing:
            raise FileNotFoundError(f"{source.name} is not at {path}. {_by_hand(source, path)}")
        _download(source, path, n_retries, delay, verbose)
    digest = check_file(source, path)
    try:
        yield path
    except _UNREADABLE as error:
        if fresh:
            path.unlink()
        raise DamagedFile(
            f"{path} is damaged or not {source.name}: {error} "
            + ("It has been deleted; call again." if fresh else "Delete it and call again. ")
            + ("" if fresh else _by_hand(source, path))
        ) from error
    if not (source.verified or _record_of(path).is_file()):
        with suppress(OSError):  # a data home that others filled may be read-only
            _record_of(path).write_text(digest + "\n")


def check_file(source: Source, path: Path) -> str:
    """Compare a file with what is known of it, and return its SHA-256.

    A verified checksum must match. Else the file must be the one of the first successful reading,
    recorded beside it; at that first time a checksum that is known but unverified, and differs, is
    worth a warning, since it may be the one that is wrong.
    """
    digest, record = _hash(path, "sha256"), _record_of(path)
    expected = source.known_hash
    actual = expected and _hash(path, expected.partition(":")[0])
    if source.verified:
        if actual != expected:
            raise DamagedFile(
                f"{path} has the checksum {actual}, but {source.name} has {expected}. Delete the "
                f"file and call again. {_by_hand(source, path)}"
            )
    elif record.is_file():
        recorded = record.read_text().strip()
        if recorded != digest:
            raise DamagedFile(
                f"{path} has changed since it was first read: its checksum is {digest}, and "
                f"{record.name} has recorded {recorded}. If you replaced it on purpose, delete "
                f"{record.name}; if not, delete both and call again."
            )
    elif actual != expected:
        warnings.warn(
            f"{path} has the checksum {actual}, but {expected} is known of {source.name}. The "
            "known one is unverified, so the file is used; compare it with what the source "
            f"publishes. Its own checksum is recorded in {record.name} and checked from now on.",
            stacklevel=5,
        )
    return digest


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _by_hand(source: Source, path: Path) -> str:
    return (
        f"By hand: download {source.url}, on another machine if this one is offline, and put the "
        f"file as it is into {path.parent} under the name {path.name}. Another folder can be given "
        f"by data_home or by the environment variable {ENVIRONMENT}."
    )


def _download(source: Source, path: Path, n_retries: int, delay: float, verbose: int) -> None:
    """Bring a file to its place: all of it or nothing."""
    pooch, requests = _import_pooch(source, path)
    downloader = pooch.HTTPDownloader(progressbar=bool(verbose))
    known_hash = source.known_hash if source.verified else None
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # it would advise to pin a hash that only users of pooch can pin
    try:
        for attempt in range(1, n_retries + 2):
            try:
                pooch.retrieve(
                    source.url, known_hash, path.name, path.parent, downloader=downloader
                )
                return
            except requests.RequestException as error:
                if attempt > n_retries or not _may_pass(error):
                    raise ConnectionError(
                        f"{source.name} could not be downloaded from {source.url} (attempt "
                        f"{attempt}): {error}. {_by_hand(source, path)}"
                    ) from error
            except ValueError as error:  # pooch's word for another checksum
                raise DamagedFile(
                    f"What {source.url} sent is not {source.name} and was not kept: {error}. "
                    f"{_by_hand(source, path)}"
                ) from error
            time.sleep(delay)
    finally:
        logger.setLevel(level)


def _may_pass(error: Any) -> bool:
    """May another attempt succeed? Not where the server says that the request is wrong."""
    status = None if error.response is None else error.response.status_code
    return status is None or status >= 500 or status in WORTH_RETRYING


def _import_pooch(source: Source, path: Path) -> tuple[Any, Any]:
    try:
        import pooch
        import requests  # pooch downloads with it
    except ImportError as error:
        raise ImportError(
            f'Downloading {source.name} needs pooch: pip install "skdiffrec[datasets]". '
            f"{_by_hand(source, path)}"
        ) from error
    return pooch, requests
