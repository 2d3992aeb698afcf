"""A local server that holds small files in the formats of the real ones."""

import dataclasses
import gzip
import io
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

import pytest

from skdiffrec.datasets import _gowalla, _lastfm, _movielens, _online_retail, fetch_lastfm
from skdiffrec.datasets._sources import GOWALLA, LASTFM, MOVIELENS, ONLINE_RETAIL

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


@pytest.fixture(name="server")
def server_fixture(monkeypatch):
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


@pytest.fixture(name="home")
def home_fixture(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("SKDIFFREC_DATA", str(folder))
    return folder


lastfm = partial(fetch_lastfm, n_retries=0, verbose=0)
