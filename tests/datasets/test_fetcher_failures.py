"""Fetchers when something goes wrong: no network, damaged archives, wrong checksums."""

import dataclasses
import gzip
import hashlib
import io
import os
import sys
import warnings
import zipfile
from functools import partial

import pytest
from fetcher_server import (  # noqa: F401
    GOWALLA_TEXT,
    LASTFM_FILE,
    Handler,
    home_fixture,
    lastfm,
    movielens,
    online_retail,
    point,
    server_fixture,
    zipped,
)

from skdiffrec.datasets import (
    _archive,
    _lastfm,
    fetch_gowalla,
    fetch_lastfm,
    fetch_movielens,
    fetch_online_retail,
)
from skdiffrec.datasets._sources import GOWALLA, LASTFM, MOVIELENS, ONLINE_RETAIL

pytest.importorskip("pooch")


def assert_says_what_to_do(message, home):
    assert str(home) in message and LASTFM.filename in message
    assert "SKDIFFREC_DATA" in message and "data_home" in message
    assert "http" in message


class TestFailures:
    def nothing_left(self, home):
        assert not home.exists() or not list(home.iterdir())

    def test_offline(self, home, monkeypatch):
        point(monkeypatch, "http://127.0.0.1:1")  # nobody listens there
        with pytest.raises(ConnectionError) as caught:
            fetch_lastfm(n_retries=2, delay=0, verbose=0)
        assert_says_what_to_do(str(caught.value), home)
        assert "attempt 3" in str(caught.value)
        self.nothing_left(home)

    def test_not_allowed_to_download(self, server, home):
        with pytest.raises(FileNotFoundError) as caught:
            lastfm(download_if_missing=False)
        assert_says_what_to_do(str(caught.value), home)
        assert not server.requests

    def test_without_pooch(self, home, monkeypatch):
        monkeypatch.setitem(sys.modules, "pooch", None)
        with pytest.raises(ImportError, match=r"skdiffrec\[datasets\]") as caught:
            lastfm()
        assert_says_what_to_do(str(caught.value), home)

    def test_404_is_not_retried(self, server, home):
        del server.files[LASTFM.filename]
        with pytest.raises(ConnectionError, match="404"):
            fetch_lastfm(n_retries=3, delay=0, verbose=0)
        assert len(server.requests) == 1
        self.nothing_left(home)

    def test_a_busy_server_is_retried(self, server, home):
        server.failures[LASTFM.filename] = [503, 429]
        assert fetch_lastfm(n_retries=2, delay=0, verbose=0).X.nnz == 3
        assert len(server.requests) == 3

    def test_connection_cut(self, server, home):
        server.cut.add(LASTFM.filename)
        with pytest.raises(ConnectionError):
            fetch_lastfm(n_retries=1, delay=0, verbose=0)
        assert len(server.requests) == 2
        self.nothing_left(home)
        server.cut.clear()
        assert lastfm().X.nnz == 3

    @pytest.mark.parametrize(
        ("fetch", "source"),
        [
            (lastfm, LASTFM),
            (partial(fetch_gowalla, verbose=0), GOWALLA),
            (partial(fetch_online_retail, verbose=0), ONLINE_RETAIL),
            (partial(fetch_movielens, verbose=0), MOVIELENS["100k"]),
        ],
    )
    @pytest.mark.parametrize("damage", ["half", "page", "empty"])
    def test_a_damaged_download_does_not_stay(self, server, home, fetch, source, damage):
        """Such as half a file whose length nobody said, or the page of a portal."""
        whole = server.files[source.filename]
        damaged = {"half": whole[: len(whole) // 2], "page": b"<html>Log in</html>", "empty": b""}
        server.files[source.filename] = damaged[damage]
        with pytest.raises(ValueError, match="has been deleted"):
            fetch()
        self.nothing_left(home)

    def test_a_damaged_file_of_the_user_stays(self, server, home):
        home.mkdir()
        (home / LASTFM.filename).write_bytes(LASTFM_FILE[:100])
        with pytest.raises(ValueError, match="Delete it and call again") as caught:
            lastfm()
        assert_says_what_to_do(str(caught.value), home)
        assert os.listdir(home) == [LASTFM.filename]

    def test_broken_tables(self, server, home):
        table = "userID\tartistID\tweight\n2\tfive\t1\n"
        server.files[LASTFM.filename] = zipped(**{"user_artists.dat": table, "artists.dat": "id\n"})
        with pytest.raises(ValueError, match="table is not as expected"):
            lastfm()
        server.files[LASTFM.filename] = zipped(**{"artists.dat": "id\n"})
        with pytest.raises(ValueError, match="0 members named 'user_artists.dat'"):
            lastfm()
        server.files[GOWALLA.filename] = gzip.compress(b"0\tyesterday\t0\t0\t1\n")
        with pytest.raises(ValueError, match="time"):
            fetch_gowalla(verbose=0)


class TestArchives:
    @pytest.mark.parametrize(
        "name", ["../evil.dat", "a/../../evil.dat", "/evil.dat", "..\\evil.dat", "C:\\evil.dat"]
    )
    def test_paths_that_escape(self, server, home, tmp_path, name):
        with zipfile.ZipFile(io.BytesIO(LASTFM_FILE)) as archive:
            members = {n: archive.read(n) for n in archive.namelist()}
        server.files[LASTFM.filename] = zipped(**members, **{name: "evil"})
        with pytest.raises(ValueError, match="points out of the archive"):
            lastfm()
        assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
        self_made = zipped(**members, **{"..fine.dat": "", "a/b..": ""})
        server.files[LASTFM.filename] = self_made
        assert lastfm().X.nnz == 3

    @pytest.mark.parametrize("fetch", [lastfm, partial(fetch_gowalla, k_core=1, verbose=0)])
    def test_bombs(self, server, home, monkeypatch, fetch):
        monkeypatch.setattr(_archive, "MAX_UNPACKED", 1000)
        big = GOWALLA_TEXT * 1000
        server.files[GOWALLA.filename] = gzip.compress(big.encode())
        server.files[LASTFM.filename] = zipped(**{"user_artists.dat": big, "artists.dat": ""})
        with pytest.raises(ValueError, match="unpacks to more than 1,000 bytes"):
            fetch()

    def test_real_sizes_pass(self):
        assert _archive.MAX_UNPACKED > 0.7e9


class TestChecksums:
    """Of checked files: verified checksums bind, unverified ones warn, the first reading counts."""

    good = "md5:" + hashlib.md5(LASTFM_FILE).hexdigest()
    wrong = "md5:" + "0" * 32

    def source(self, monkeypatch, **changes):
        monkeypatch.setattr(_lastfm, "LASTFM", dataclasses.replace(_lastfm.LASTFM, **changes))

    @pytest.mark.parametrize("verified", [False, True])
    def test_right(self, server, home, monkeypatch, verified):
        self.source(monkeypatch, known_hash=self.good, verified=verified)
        with warnings.catch_warnings(action="error"):
            lastfm()
            lastfm()
        assert (home / (LASTFM.filename + ".sha256")).exists() == (not verified)

    def test_wrong_and_verified(self, server, home, monkeypatch):
        self.source(monkeypatch, known_hash=self.wrong, verified=True)
        with pytest.raises(ValueError, match="was not kept") as caught:
            lastfm()
        assert_says_what_to_do(str(caught.value), home)
        assert not home.exists() or not list(home.iterdir())
        home.mkdir(exist_ok=True)
        (home / LASTFM.filename).write_bytes(LASTFM_FILE)
        with pytest.raises(ValueError, match="checksum") as caught:
            lastfm()
        assert self.wrong in str(caught.value) and self.good in str(caught.value)

    def test_wrong_and_unverified(self, server, home, monkeypatch):
        """A good file must not fail for a checksum that nobody verified; both values are said."""
        self.source(monkeypatch, known_hash=self.wrong)
        with pytest.warns(UserWarning, match="unverified") as caught:
            assert fetch_lastfm(verbose=0).X.nnz == 3
        assert self.wrong in str(caught[0].message) and self.good in str(caught[0].message)
        assert caught[0].filename == __file__
        with warnings.catch_warnings(action="error"):  # from now on its own counts
            lastfm()

    @pytest.mark.parametrize("known_hash", [None, good], ids=["unknown", "known"])
    def test_a_file_that_changed(self, server, home, monkeypatch, known_hash):
        self.source(monkeypatch, known_hash=known_hash)
        lastfm()
        (home / LASTFM.filename).write_bytes(LASTFM_FILE + b" ")
        with pytest.raises(ValueError, match="has changed since it was first read"):
            lastfm()
        (home / (LASTFM.filename + ".sha256")).unlink()  # replaced on purpose
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert lastfm().X.nnz == 3
        assert len(caught) == (known_hash is not None)
