"""Files of public data sets: location, download and checksums."""

import errno
import gzip
import hashlib
import os
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .._utils.warning import warn_caller
from ._sources import Source

__all__ = ["DamagedFile", "get_data_home", "open_source"]

ENVIRONMENT = "SKDIFFREC_DATA"
DEFAULT_HOME = "~/skdiffrec_data"
WORTH_RETRYING = {408, 425, 429}  # client errors to retry; all server errors are retried


class DamagedFile(ValueError):
    """A data file is damaged or does not have the expected content."""


_UNREADABLE = (
    DamagedFile,
    EOFError,
    UnicodeDecodeError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    zlib.error,
)


def get_data_home(data_home: str | os.PathLike | None = None) -> Path:
    """Folder of downloaded data files.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. None uses the environment variable SKDIFFREC_DATA, or ``~/skdiffrec_data`` if it
        is not set.

    Returns
    -------
    data_home : pathlib.Path
        Absolute path. The folder need not exist; the first download creates it.

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
    """Context manager: path of the checked file of a source, downloaded first if it is missing.

    If the body of the ``with`` statement reads the file successfully, its checksum is recorded. If
    the file is not readable, the error names it, and it is deleted if it was just downloaded.
    """
    path = get_data_home(data_home) / source.filename
    fresh = not path.is_file()
    if fresh:
        if not download_if_missing:
            raise FileNotFoundError(
                errno.ENOENT, f"{source.name} is not at {path}. {_by_hand(source, path)}"
            )
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
        with suppress(OSError):  # a shared data home may be read-only
            _record_of(path).write_text(digest + "\n")


def check_file(source: Source, path: Path) -> str:
    """Check a file against its known checksums, and return its SHA-256.

    A verified checksum must match. Otherwise, the file must be the same as at the first successful
    read, whose checksum is recorded beside it. At the first read, a mismatch with a known but
    unverified checksum only causes a warning, since the known checksum may be wrong.
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
        warn_caller(
            f"{path} has the checksum {actual}, but {expected} is expected for {source.name}. The "
            "expected one is unverified, so the file is used; compare it with what the source "
            f"publishes. Its own checksum is recorded in {record.name} and checked from now on.",
        )
    return digest


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _by_hand(source: Source, path: Path) -> str:
    return (
        f"To install it by hand, download {source.url}, on another machine if this one is offline, "
        f"and save the file unchanged in {path.parent} as {path.name}. To use another folder, set "
        f"data_home or the environment variable {ENVIRONMENT}."
    )


def _download(source: Source, path: Path, n_retries: int, delay: float, verbose: int) -> None:
    """Download a file, completely or not at all."""
    pooch, requests = _import_pooch(source, path)
    downloader = pooch.HTTPDownloader(progressbar=bool(verbose))
    known_hash = source.known_hash if source.verified else None
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # below, it advises to pin a hash, which callers cannot do
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
            except ValueError as error:  # what pooch raises if the checksum differs
                raise DamagedFile(
                    f"What {source.url} sent is not {source.name} and was not kept: {error}. "
                    f"{_by_hand(source, path)}"
                ) from error
            time.sleep(delay)
    finally:
        logger.setLevel(level)


def _may_pass(error: Any) -> bool:
    """Whether another attempt may succeed: not if the server rejects the request itself."""
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
