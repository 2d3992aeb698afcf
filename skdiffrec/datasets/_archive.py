"""Read members of archives in place. Nothing is extracted, so no member can write elsewhere."""

import gzip
import io
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from ._download import DamagedFile

__all__ = ["open_gzip", "open_member", "open_zip"]

MAX_UNPACKED = 2**30  # bytes of one member; the largest real one, ratings.csv of 25M, has 0.7e9


def open_zip(file: Path | IO[bytes]) -> zipfile.ZipFile:
    """Open a zip archive; an error if the path of a member points outside it."""
    archive = zipfile.ZipFile(file)
    for name in archive.namelist():
        windows = PureWindowsPath(name)
        if windows.anchor or ".." in windows.parts:  # these parts split at / and at \
            archive.close()
            raise DamagedFile(
                f"its member {name!r} points out of the archive, as in no valid data set."
            )
    return archive


def open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """The only member of that name, in any folder, as a stream of bytes."""
    found = [info for info in archive.infolist() if PurePosixPath(info.filename).name == name]
    if len(found) != 1:
        raise DamagedFile(
            f"it holds {len(found)} members named {name!r}, and 1 is needed; its members are "
            f"{archive.namelist()[:20]}."
        )
    if found[0].file_size > MAX_UNPACKED:  # zipfile reads at most the stated size
        raise _too_large(name)
    return archive.open(found[0])


def open_gzip(path: Path) -> IO[bytes]:
    """The content of a gzip file, as a stream of bytes."""
    return io.BufferedReader(_Limited(gzip.open(path)))


class _Limited(io.RawIOBase):
    """A stream that raises an error beyond MAX_UNPACKED, since gzip has no reliable size field."""

    def __init__(self, file):
        self._file, self._left = file, MAX_UNPACKED

    def readable(self):
        return True

    def readinto(self, buffer):
        n_bytes = self._file.readinto(buffer)
        self._left -= n_bytes
        if self._left < 0:
            raise _too_large("its content")
        return n_bytes

    def close(self):
        self._file.close()
        super().close()


def _too_large(what):
    return DamagedFile(
        f"{what!r} unpacks to more than {MAX_UNPACKED:,} bytes, which no valid data set does."
    )
