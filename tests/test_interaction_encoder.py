"""InteractionEncoder: tables in, a matrix out, lists back; against pandas and brute force."""

import datetime as dt
import decimal
import pickle
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.pipeline import Pipeline

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, _ids, recommend_batches
from skdiffrec.preprocessing._interactions import _sorted_pairs, to_csr

properties = settings(max_examples=60, deadline=None)

EVENTS = [
    ("ann", "tea", 1.0, 30.0),
    ("bob", "jam", 5.0, 10.0),
    ("ann", "jam", 2.0, 20.0),
    ("ann", "tea", 4.0, 10.0),
    ("eve", "rye", 3.0, 50.0),
]
NAMES = ("user", "item", "weight", "timestamp")
ROLES = dict(weight="weight", timestamp="timestamp")


def structured(columns):
    array = np.empty(len(columns["user"]), [(n, np.asarray(v).dtype) for n, v in columns.items()])
    for name, values in columns.items():
        array[name] = values
    return array


# every form of table, from {name: list}
FORMS = {
    "pandas": pd.DataFrame,
    "pandas-object": lambda c: pd.DataFrame({n: pd.Series(v, dtype=object) for n, v in c.items()}),
    "pandas-category": lambda c: pd.DataFrame(c).astype({"user": "category", "item": "category"}),
    "polars": pl.DataFrame,
    "polars-lazy": lambda c: pl.LazyFrame(c),
    "polars-category": lambda c: pl.DataFrame(c).with_columns(
        *(pl.col(n).cast(pl.String).cast(pl.Categorical) for n in ("user", "item"))
    ),
    "pyarrow": pa.table,
    "dict": dict,
    "dict-numpy": lambda c: {n: np.array(v) for n, v in c.items()},
    "structured": structured,
    "tuples": lambda c: list(zip(*c.values(), strict=True)),
}
BACK = {
    "pandas": lambda t: t.to_dict("list"),
    "polars": lambda t: t.to_dict(as_series=False),
    "pyarrow": lambda t: t.to_pydict(),
}


def table(form, events=EVENTS, names=NAMES):
    return FORMS[form](dict(zip(names, map(list, zip(*events, strict=True)), strict=True)))


def as_dict(found):
    for library, back in BACK.items():
        if type(found).__module__.partition(".")[0] == library:
            return back(found)
    return {name: values.tolist() for name, values in found.items()}


def cells(X, users, items):
    """{(user, item): value} of a matrix."""
    X = X.tocoo()
    users, items = list(users), list(items)
    return {(users[r], items[c]): v for r, c, v in zip(X.row, X.col, X.data.tolist(), strict=True)}


class TestTables:
    @pytest.mark.parametrize("form", FORMS)
    def test_every_form_gives_the_same_matrix(self, form):
        encoder = InteractionEncoder(**ROLES)
        X = encoder.fit_transform(table(form))
        assert encoder.users_.tolist() == ["ann", "bob", "eve"]
        assert encoder.items_.tolist() == ["jam", "rye", "tea"]
        assert_array_equal(X.toarray(), [[20, 0, 30], [10, 0, 0], [0, 50, 0]])
        assert X.format == "csr" and X.dtype == np.float64 and encoder.values_ == "time"
        assert encoder.users_.dtype.kind == encoder.items_.dtype.kind == "T"

    @pytest.mark.parametrize("form", FORMS)
    def test_lists_come_back_in_the_library_that_went_in(self, form):
        encoder = InteractionEncoder(**ROLES).fit(table(form))
        found = encoder.inverse_transform(
            [[2, 0], [1, -1]], np.float32([[9, 8], [7, -np.inf]]), users=["bob", "zoe"]
        )
        library = form.partition("-")[0]
        assert type(found).__module__.partition(".")[0] == (
            library if library in BACK else "builtins"
        )
        assert as_dict(found) == {
            "user": ["bob", "bob", "zoe"],
            "rank": [1, 2, 1],
            "item": ["tea", "jam", "rye"],
            "score": [9, 8, 7],
        }

    @pytest.mark.parametrize("form", FORMS)
    def test_the_matrix_goes_back_to_events(self, form):
        encoder = InteractionEncoder(**ROLES, values="weight", duplicates="max")
        found = as_dict(encoder.inverse_transform(encoder.fit_transform(table(form))))
        assert set(zip(*found.values(), strict=True)) == {
            ("ann", "tea", 4.0),
            ("ann", "jam", 2.0),
            ("bob", "jam", 5.0),
            ("eve", "rye", 3.0),
        }
        assert list(found) == ["user", "item", "weight"]

    def test_columns_by_other_names_and_by_position(self):
        frame = pd.DataFrame(EVENTS, columns=["who", "what", "stars", "when"])
        named = InteractionEncoder(user="who", item="what", weight="stars")
        placed = InteractionEncoder(user=0, item=1, weight=2)
        assert_array_equal(
            named.fit_transform(frame).toarray(), placed.fit_transform(EVENTS).toarray()
        )
        assert_array_equal(
            named.fit_transform(frame).toarray(), placed.fit_transform(frame).toarray()
        )
        assert list(named.inverse_transform([[0]], users=["ann"])) == ["who", "rank", "what"]
        swapped = InteractionEncoder(user=1, item=0).fit(EVENTS)
        assert swapped.users_.tolist() == ["jam", "rye", "tea"]

    def test_a_2d_array_of_numbers(self):
        encoder = InteractionEncoder(weight="weight")
        X = encoder.fit_transform(np.array([[7, 3, 2], [5, 3, 1]]))
        assert encoder.users_.tolist() == [5, 7] and X.toarray().tolist() == [[1], [2]]

    def test_other_columns_do_not_matter(self):
        frame = pd.DataFrame({"x": [[1]] * 5, **table("dict")})
        assert InteractionEncoder().fit(frame).n_users_ == 3

    @pytest.mark.parametrize(
        ("X", "error", "says"),
        [
            (pd.DataFrame({"userId": [1], "item": [2]}), ValueError, "no column 'user'.*'userId'"),
            ([(1, 2), (1,)], TypeError, "same length"),
            ([(1,), (2,)], ValueError, "1 columns, but 2"),
            (np.arange(3), ValueError, "shape"),
            ({"user": [1, 2], "item": [1]}, ValueError, "differ in length"),
            (3, TypeError, "Give a pandas"),
            ([], ValueError, "nothing is left"),
            (pd.DataFrame({"user": [], "item": []}), ValueError, "nothing is left"),
        ],
    )
    def test_bad_tables(self, X, error, says):
        with pytest.raises(error, match=says):
            InteractionEncoder().fit(X)


IDS = {
    "ints": [3, -1, 2**40],
    "huge": [2**63 + 1, 5, 2**70],
    "unsigned": [np.uint64(2**63 + 1), np.uint64(5), np.uint64(7)],
    "floats": [0.5, -1.5, 3.0],
    "bools": [True, False, True],
    "text": ["b", "a\0", "ä" * 40],
    "surrogate": ["\ud800", "b", "a"],
    "bytes": [b"b", b"a", b"\xff"],
    "tuples": [("b", 1), ("a", 2), ("a", 1)],
    "mixed": [1, "1", ("x",)],
    "frozensets": [frozenset({1}), frozenset({2}), frozenset()],
    "uuids": [uuid.UUID(int=7), uuid.UUID(int=5), uuid.UUID(int=9)],
    "dates": [dt.date(2020, 1, 2), dt.date(2019, 1, 1), dt.date(1950, 1, 1)],
    "zoned": [dt.datetime(2020, 1, d, tzinfo=dt.UTC) for d in (3, 1, 2)],
    "decimals": [decimal.Decimal("1.5"), decimal.Decimal("0.1"), decimal.Decimal(3)],
    "datetime64": list(np.array(["2020-01-02", "2019-01-01", "2021-01-01"], "M8[ns]")),
}
FRAMES = {
    "tuples": lambda users: [(u, "x") for u in users],
    "pandas": lambda users: pd.DataFrame({"user": pd.Series(users), "item": "x"}),
    "polars": lambda users: pl.DataFrame(
        {"user": pl.Series(users, dtype=pl.Object), "item": ["x"] * len(users)}
    ),
}


def as_kept(users):
    """A zone is not kept: date times are in UTC."""
    if isinstance(users[0], dt.datetime):
        return [np.datetime64(user.replace(tzinfo=None)) for user in users]
    return users


class TestLookUps:
    @settings(max_examples=30, deadline=None)
    @given(
        ids=st.sets(st.text(alphabet="abé ", max_size=45), min_size=1, max_size=30),
        length=st.sampled_from([0, 8, 40]),
        data=st.data(),
    )
    def test_any_part_of_texts_of_any_length(self, ids, length, data):
        """NumPy's own search goes wrong in text of over 15 bytes, but not where all is asked."""
        known = ["x" * length + text for text in sorted(ids)]
        asked = data.draw(st.lists(st.sampled_from([*known, "no", "y" * 50]), min_size=1))
        encoder = InteractionEncoder().fit(pd.DataFrame({"user": known, "item": known}))
        expected = [known.index(text) if text in known else -1 for text in asked]
        for form in (list, np.array, lambda a: np.array(a, np.dtypes.StringDType()), pd.Series):
            assert_array_equal(encoder.user_index(form(asked), unknown=-1), expected)
            assert_array_equal(encoder.item_index(form(asked), unknown=-1), expected)

    @pytest.mark.parametrize("length", [4, 30])
    def test_parts_of_a_table_keep_their_events(self, length):
        rng = np.random.default_rng(0)
        users, items = (rng.integers(n, size=2_000) for n in (200, 90))
        events = pd.DataFrame(
            {"user": [f"{u:0{length}d}" for u in users], "item": [f"{i:0{length}d}" for i in items]}
        )
        encoder = InteractionEncoder(unknown_items="ignore").fit(events)
        part = events.sample(150, random_state=0)
        X = encoder.transform(part, users=encoder.users_)
        assert X.nnz == len(part.drop_duplicates())
        back = encoder.inverse_transform(X)
        assert set(zip(back["user"], back["item"], strict=True)) == set(
            part.itertuples(index=False, name=None)
        )


class TestIds:
    @pytest.mark.parametrize("kind", IDS)
    @pytest.mark.parametrize("form", FRAMES)
    def test_any_hashable_type(self, kind, form):
        if kind == "surrogate" and form != "tuples":
            pytest.skip("frames hold text that is UTF-8")
        users = IDS[kind]
        encoder = InteractionEncoder().fit(FRAMES[form](users))
        assert encoder.n_users_ == len(set(users))
        rows = encoder.user_index(users)
        assert [encoder.users_[row] for row in rows] == as_kept(users)
        assert_array_equal(encoder.user_index(["no one", ("no", 1)], unknown=-1), [-1, -1])
        back = encoder.inverse_transform([[0]] * len(users), users=users)["user"]
        assert list(back) == (as_kept(users) if form == "tuples" else list(back))
        assert len(back) == len(users)
        assert_array_equal(pickle.loads(pickle.dumps(encoder)).user_index(users), rows)

    @pytest.mark.parametrize("kind", sorted(set(IDS) - {"mixed", "frozensets", "bools"}))
    def test_ascending_so_that_the_order_of_rows_does_not_matter(self, kind):
        events = [(u, "x") for u in IDS[kind]]
        one = InteractionEncoder().fit(events).users_
        other = InteractionEncoder().fit(events[::-1]).users_
        assert one.tolist() == other.tolist() == sorted(one.tolist())

    def test_numbers_keep_their_type_and_text_is_compact(self):
        frame = pd.DataFrame({"user": np.int16([5, 3]), "item": np.float32([0.5, 0.25])})
        encoder = InteractionEncoder().fit(frame)
        assert encoder.users_.dtype == np.int16 and encoder.items_.dtype == np.float32
        names = [f"user-{n:09d}" for n in range(1000)]
        assert InteractionEncoder().fit([(n, 1) for n in names]).users_.nbytes == 16_000

    def test_categories(self):
        for categories in (["b", "a", "unused"], [2, 1, 0], ["x", 1, 0.5]):
            column = pd.Series(pd.Categorical(categories[:2], categories=categories))
            encoder = InteractionEncoder().fit({"user": column, "item": [1, 1]})
            assert set(encoder.users_.tolist()) == set(categories[:2])
            assert encoder.user_index(categories[::-1], unknown=-1)[0] == -1

    def test_one_and_true_are_one_as_in_python(self):
        assert InteractionEncoder().fit([(1, "x"), (True, "x"), (1.0, "x")]).n_users_ == 1

    @pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
    @pytest.mark.parametrize("form", ["tuples", "pandas"])
    def test_missing_ids(self, missing, form):
        with pytest.raises(ValueError, match="'user' has a missing id .* in row 1"):
            InteractionEncoder().fit(FRAMES[form](["a", missing, "b"]))

    @pytest.mark.parametrize(
        "column",
        [
            pd.Series([1, np.nan]),
            pd.Series([1, None], dtype="Int64"),
            pd.Series(["a", None], dtype="category"),
            pl.Series([1, None]),
            pl.Series([1.0, float("nan")]),
            pl.Series(["a", None]),
            pa.chunked_array([["a"], [None]]),
            np.array(["2020-01-01", "NaT"], "M8[s]"),
        ],
    )
    def test_missing_ids_of_columns(self, column):
        with pytest.raises(ValueError, match="'item' has a missing id .* in row 1"):
            InteractionEncoder().fit({"user": [1, 2], "item": column})

    def test_ids_that_cannot_be_hashed(self):
        with pytest.raises(TypeError, match="'item' holds an id that cannot be hashed"):
            InteractionEncoder().fit([("a", [1]), ("b", [2])])

    @properties
    @given(
        st.lists(
            st.one_of(
                st.text(max_size=20),
                st.integers(-(2**70), 2**70),
                st.tuples(st.integers(0, 3), st.text(max_size=2)),
                st.booleans(),
            ),
            min_size=1,
            max_size=30,
        )
    )
    def test_round_trip_of_mixed_ids(self, ids):
        column = np.fromiter(ids, object)
        codes, distinct = _ids.factorize(column, "user")
        assert [distinct[c] for c in codes] == ids
        assert_array_equal(_ids.positions(distinct, column), codes)

    @properties
    @given(st.lists(st.text(max_size=20), min_size=1, max_size=30))
    def test_round_trip_of_text_in_every_library(self, ids):
        _, expected = np.unique(np.array(ids, object), return_inverse=True)
        for make in (pd.Series, pl.Series, pa.array, list):
            frame = {"user": make(ids), "item": ids}
            encoder = InteractionEncoder()
            X, users = encoder.fit(frame).transform(frame, return_users=True)
            assert_array_equal(encoder.user_index(ids), expected)
            assert users.tolist() == sorted(set(ids))

    @pytest.mark.parametrize("absent", ["pyarrow", "pandas", "both"])
    @pytest.mark.parametrize("form", ["pandas", "polars", "pandas-category", "dict-numpy"])
    def test_the_same_without_the_fast_way(self, form, absent, monkeypatch):
        expected = InteractionEncoder().fit_transform(table(form)).toarray()
        found = _ids._import
        monkeypatch.setattr(
            _ids, "_import", lambda name: None if absent in (name, "both") else found(name)
        )
        if absent == "both" and form.startswith("pandas"):
            pytest.skip("a pandas column comes with pandas")
        assert_array_equal(InteractionEncoder().fit_transform(table(form)).toarray(), expected)

    @properties
    @given(st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=20), st.data())
    def test_integers_far_apart_and_close(self, ids, data):
        kinds = [np.int8, np.int32, np.int64, np.uint8, np.uint64]
        info = np.iinfo(data.draw(st.sampled_from(kinds)))
        column = np.array([i % (info.max + 1) for i in ids], info.dtype)
        codes, distinct = _ids.factorize(column, "user")
        assert_array_equal(distinct, np.unique(column))
        assert distinct.dtype == column.dtype
        assert_array_equal(distinct[codes], column)


events = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 5), st.integers(1, 9).map(float), st.integers(1, 9)
    ),
    min_size=1,
    max_size=40,
)


class TestDuplicates:
    RULES = ["first", "last", "sum", "mean", "max", "min"]

    @pytest.mark.parametrize("rule", RULES)
    @properties
    @given(events=events)
    def test_as_pandas_groups(self, rule, events):
        frame = pd.DataFrame(events, columns=NAMES)
        grouped = frame.groupby(["user", "item"])["weight"].agg(rule)
        encoder = InteractionEncoder(weight="weight", duplicates=rule)
        X = encoder.fit_transform(frame)
        assert cells(X, encoder.users_, encoder.items_) == pytest.approx(grouped.to_dict())

    @pytest.mark.parametrize("rule", ["first", "last"])
    @properties
    @given(events=events)
    def test_first_and_last_go_by_time(self, rule, events):
        frame = pd.DataFrame(events, columns=NAMES)
        in_time = frame.sort_values("timestamp", kind="stable")
        for values in ("weight", "time"):
            column = {"time": "timestamp"}.get(values, values)
            expected = in_time.groupby(["user", "item"])[column].agg(rule).to_dict()
            encoder = InteractionEncoder(**ROLES, values=values, duplicates=rule)
            X = encoder.fit_transform(frame)
            assert cells(X, encoder.users_, encoder.items_) == expected

    def test_auto(self):
        weights = InteractionEncoder(weight="weight").fit_transform(table("pandas"))
        assert weights.toarray()[0].tolist() == [2, 0, 5]
        times = InteractionEncoder(**ROLES).fit_transform(table("pandas"))
        assert times.toarray()[0].tolist() == [20, 0, 30]
        ones = InteractionEncoder().fit_transform(table("pandas"))
        assert ones.toarray()[0].tolist() == [1, 0, 1] and ones.dtype == np.float32

    def test_error(self):
        with pytest.raises(ValueError, match="1 repeated pairs"):
            InteractionEncoder(duplicates="error").fit(EVENTS)
        assert InteractionEncoder(duplicates="error").fit(EVENTS[:3]).n_users_ == 2

    def test_pairs_too_many_to_pack_with_their_places(self):
        rows, columns = np.array([2**30, 2**30, 3]), np.array([2**31, 2**31, 5])
        shape = (2**31, 2**32)
        pairs, order = _sorted_pairs(rows, columns, 32, shape, True)
        assert_array_equal(order, [2, 0, 1])
        small = to_csr(np.array([1, 1, 0]), np.array([1, 1, 0]), np.arange(3.0), (2, 2), "last")
        assert small.toarray().tolist() == [[2, 0], [0, 1]]


class TestSelection:
    @properties
    @given(events, st.integers(1, 3), st.integers(1, 3))
    def test_k_core_by_brute_force(self, events, min_user, min_item):
        pairs = {event[:2] for event in events}
        while True:
            kept = {
                (u, i)
                for u, i in pairs
                if sum(u == v for v, _ in pairs) >= min_user
                and sum(i == j for _, j in pairs) >= min_item
            }
            if kept == pairs:
                break
            pairs = kept
        encoder = InteractionEncoder(min_user_interactions=min_user, min_item_interactions=min_item)
        if not pairs:
            with pytest.raises(ValueError, match="nothing is left"):
                encoder.fit(events)
            return
        X = encoder.fit_transform(events)
        assert set(cells(X, encoder.users_, encoder.items_)) == pairs
        assert set(encoder.users_) == {u for u, _ in pairs}
        assert set(encoder.items_) == {i for _, i in pairs}

    def test_min_weight(self):
        encoder = InteractionEncoder(weight="weight", min_weight=3, values="binary")
        X = encoder.fit_transform(table("polars"))
        assert set(cells(X, encoder.users_, encoder.items_)) == {
            ("ann", "tea"),
            ("bob", "jam"),
            ("eve", "rye"),
        }

    def test_a_weight_of_zero_is_no_event(self):
        encoder = InteractionEncoder(weight="weight")
        encoder.fit([("a", "x", 0.0), ("a", "y", 1.0), ("b", "x", 0.0)])
        assert encoder.users_.tolist() == ["a"] and encoder.items_.tolist() == ["y"]


class TestNumbers:
    @pytest.mark.parametrize(
        "column",
        [
            pd.Series(pd.to_datetime(["2020-01-01 00:00:00", "2020-01-02 00:00:01"])),
            pd.Series(
                pd.to_datetime(["2020-01-01 00:00:00", "2020-01-02 00:00:01"])
            ).dt.tz_localize("UTC"),
            pl.Series([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2, 0, 0, 1)]),
            pa.array([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2, 0, 0, 1)]),
            np.array(["2020-01-01T00:00:00", "2020-01-02T00:00:01"], "M8[s]"),
            [
                dt.datetime(2020, 1, 1),
                dt.datetime(2020, 1, 2, 1, 0, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            ],
            [1577836800, 1577923201],
        ],
    )
    def test_dates_become_seconds(self, column):
        X = InteractionEncoder(timestamp="t").fit_transform(
            {"user": ["a", "b"], "item": [1, 1], "t": column}
        )
        assert X.data.tolist() == [1577836800, 1577923201]

    @pytest.mark.parametrize("column", [pl.Series([dt.date(2020, 1, 1)]), [dt.date(2020, 1, 1)]])
    def test_days(self, column):
        X = InteractionEncoder(timestamp="t").fit_transform({"user": [1], "item": [1], "t": column})
        assert X.data.tolist() == [1577836800]

    @pytest.mark.parametrize(
        ("role", "column", "error", "says"),
        [
            ("weight", [1.0, -2.0], ValueError, "'x' holds -2; a weight must be >= 0"),
            ("weight", [1.0, np.nan], ValueError, "'x' holds nan in row 1"),
            ("weight", ["3", "4"], TypeError, "'x' must hold numbers .* got '3'"),
            ("timestamp", [0, 3], ValueError, "holds the time 0, but a time must be > 0"),
            ("timestamp", pd.Series(["2020-01-01", "2021"]), TypeError, "pandas.to_datetime"),
            ("timestamp", pd.Series([pd.NaT, pd.Timestamp("2020")]), ValueError, "nan in row 0"),
            ("timestamp", pl.Series([None, dt.datetime(2020, 1, 1)]), ValueError, "nan in row 0"),
            ("timestamp", [dt.datetime(2020, 1, 1), "x"], TypeError, "must hold only dates"),
        ],
    )
    def test_bad_numbers(self, role, column, error, says):
        encoder = InteractionEncoder(**{role: "x"})
        with pytest.raises(error, match=says):
            encoder.fit({"user": [1, 2], "item": [1, 2], "x": column})

    @pytest.mark.parametrize(
        ("parameters", "says"),
        [
            (dict(values="weight"), "name it by weight="),
            (dict(values="time"), "name it by timestamp="),
            (dict(min_weight=2), "name it by weight="),
            (dict(timestamp="timestamp", duplicates="sum"), "of times means nothing"),
            (dict(min_user_interactions=0), "min_user_interactions"),
            (dict(duplicates="latest"), "duplicates"),
            (dict(unknown_items="keep"), "unknown_items"),
            (dict(user=None), "user"),
        ],
    )
    def test_bad_parameters(self, parameters, says):
        with pytest.raises(ValueError, match=says):
            InteractionEncoder(**parameters).fit(table("pandas"))


class TestTransform:
    def test_the_same_table_gives_the_same_matrix(self):
        for form in FORMS:
            encoder = InteractionEncoder(**ROLES)
            X = encoder.fit_transform(table(form))
            again, users = encoder.transform(table(form), return_users=True)
            assert_array_equal(X.toarray(), again.toarray())
            assert users.tolist() == encoder.users_.tolist()

    def test_new_users_have_rows_of_their_own(self):
        encoder = InteractionEncoder().fit(EVENTS)
        X, users = encoder.transform([("zoe", "tea"), ("ann", "rye")], return_users=True)
        assert users.tolist() == ["ann", "zoe"]
        assert X.toarray().tolist() == [[0, 1, 0], [0, 0, 1]]

    def test_rows_that_are_asked_for(self):
        encoder = InteractionEncoder().fit(EVENTS)
        new = [("zoe", "tea"), ("bob", "rye"), ("ann", "rye")]
        X = encoder.transform(new, users=["zoe", "nobody", "ann"])
        assert X.toarray().tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0]]
        aligned = encoder.transform(new, users=encoder.users_)
        assert aligned.toarray().tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
        with pytest.raises(ValueError, match="more than once"):
            encoder.transform(new, users=["zoe", "zoe"])

    def test_unknown_users(self):
        new = [("zoe", "tea"), ("ann", "rye")]
        encoder = InteractionEncoder(unknown_users="ignore").fit(EVENTS)
        X, users = encoder.transform(new, return_users=True)
        assert users.tolist() == ["ann"] and X.toarray().tolist() == [[0, 1, 0]]
        X, users = encoder.transform(new, users=["zoe", "eve", "ann"], return_users=True)
        assert users.tolist() == ["eve", "ann"]
        assert X.toarray().tolist() == [[0, 0, 0], [0, 1, 0]]
        encoder = InteractionEncoder(unknown_users="error").fit(EVENTS)
        with pytest.raises(ValueError, match="1 users that fit did not see or keep, such as 'zoe'"):
            encoder.transform(new)

    def test_unknown_items(self):
        new = [("ann", "ale"), ("ann", "rye"), ("zoe", "ale")]
        with pytest.raises(ValueError, match="1 items .* 'ale'.*unknown_items='ignore'"):
            InteractionEncoder().fit(EVENTS).transform(new)
        encoder = InteractionEncoder(unknown_items="ignore").fit(EVENTS)
        X, users = encoder.transform(new, return_users=True)
        assert users.tolist() == ["ann", "zoe"]
        assert X.toarray().tolist() == [[0, 1, 0], [0, 0, 0]]  # zoe is new, and has no history

    def test_items_that_fit_left_out_are_no_surprise(self):
        encoder = InteractionEncoder(min_item_interactions=2).fit(EVENTS)
        assert encoder.items_.tolist() == ["jam"]
        assert encoder.transform(EVENTS).sum() == 2
        with pytest.raises(ValueError, match="'ale'"):
            encoder.transform([("ann", "ale")])

    def test_look_ups(self):
        encoder = InteractionEncoder().fit(EVENTS)
        assert encoder.user_index("bob") == 1 and isinstance(encoder.user_index("bob"), int)
        assert_array_equal(encoder.item_index(["tea", "tea", "jam"]), [2, 2, 0])
        assert encoder.item_index([]).tolist() == []
        with pytest.raises(ValueError, match="1 items are unknown, such as 'ale'"):
            encoder.item_index(["ale", "tea"])
        with pytest.raises(ValueError, match='"error" or an int'):
            encoder.item_index(["ale"], unknown="ignore")
        numbers = InteractionEncoder().fit([(1, 10), (2, 20)])
        assert_array_equal(numbers.user_index([2.0, 1.5, "1"], unknown=-1), [1, -1, -1])

    def test_an_empty_table(self):
        empty = pd.DataFrame({"user": pd.Series([], dtype=str), "item": pd.Series([], dtype=str)})
        encoder = InteractionEncoder().fit(EVENTS)
        assert encoder.transform(empty).shape == (0, 3)
        assert encoder.transform(empty, users=["ann", "zoe"]).shape == (2, 3)
        assert encoder.transform([]).shape == (0, 3)


class TestInverse:
    encoder = InteractionEncoder().fit(EVENTS)

    def test_one_list(self):
        found = as_dict(self.encoder.inverse_transform(np.array([2, 1, -1]), users="zoe"))
        assert found == {"user": ["zoe"] * 2, "rank": [1, 2], "item": ["tea", "rye"]}
        tuples = InteractionEncoder().fit([(("a", 1), "x")])
        assert tuples.inverse_transform([0], users=("a", 1))["user"].tolist() == [("a", 1)]

    def test_all_users(self):
        found = as_dict(self.encoder.inverse_transform([[0], [-1], [1]]))
        assert found == {"user": ["ann", "eve"], "rank": [1, 1], "item": ["jam", "rye"]}

    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            (([[0]],), ValueError, "1 lists, but 3 users"),
            (([[0.5]] * 3,), ValueError, "must be integers"),
            (([[3]] * 3,), IndexError, "columns 0 to 2"),
            (([[0]] * 3, [[1.0]]), ValueError, r"scores has shape \(1, 1\)"),
        ],
    )
    def test_bad_lists(self, arguments, error, says):
        with pytest.raises(error, match=says):
            self.encoder.inverse_transform(*arguments)


class TestConventions:
    def test_clone_repr_and_pickle(self):
        encoder = InteractionEncoder(user="who", min_item_interactions=2)
        assert clone(encoder).get_params() == encoder.get_params()
        assert repr(encoder) == "InteractionEncoder(min_item_interactions=2, user='who')"
        encoder = InteractionEncoder(**ROLES).fit(table("polars"))
        again = pickle.loads(pickle.dumps(encoder))
        assert_array_equal(
            again.transform(table("polars")).toarray(), encoder.transform(table("polars")).toarray()
        )
        assert isinstance(again.inverse_transform([[0]], users=["ann"]), pl.DataFrame)
        encoder._repr_html_()

    @pytest.mark.parametrize("method", ["transform", "inverse_transform", "user_index"])
    def test_not_fitted(self, method):
        with pytest.raises(NotFittedError):
            getattr(InteractionEncoder(), method)([[0, 1]])

    def test_a_failing_fit_leaves_what_was(self):
        encoder = InteractionEncoder().fit(EVENTS)
        with pytest.raises(ValueError, match="missing id"):
            encoder.fit([(None, 1)])
        assert encoder.users_.tolist() == ["ann", "bob", "eve"]

    def test_input_is_left_as_it_was(self):
        frame = table("pandas")
        before = frame.copy()
        InteractionEncoder(**ROLES).fit_transform(frame)
        pd.testing.assert_frame_equal(frame, before)


@pytest.fixture(scope="module")
def shop():
    """Events of 200 users with two tastes, so that there is something to learn."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(200), 12)
    items = rng.integers(0, 30, len(users)) + 30 * (users % 2)
    return pd.DataFrame({"user": [f"u{u:03d}" for u in users], "item": [f"i{i}" for i in items]})


class TestPipeline:
    def pipeline(self, **parameters):
        steps = [("encode", InteractionEncoder(**parameters)), ("model", EASERecommender(reg=5.0))]
        return Pipeline(steps)

    def test_fit_and_score_are_those_of_the_parts(self, shop):
        pipeline = self.pipeline().fit(shop)
        X = InteractionEncoder().fit_transform(shop)
        model = EASERecommender(reg=5.0).fit(X)
        assert pipeline.score(shop) == model.score(X) > 0.1
        assert_array_equal(pipeline.decision_function(shop), model.decision_function(X))

    def test_cross_validation_over_users(self, shop):
        scores = cross_validate(
            self.pipeline(unknown_items="ignore"),
            shop,
            groups=shop["user"],
            cv=GroupKFold(3),
            error_score="raise",
        )["test_score"]
        assert (scores > 0.1).all()  # of users that fit has not seen

    @pytest.mark.parametrize("form", ["pandas", "polars", "pyarrow", "dict"])
    def test_batches_are_the_lists_of_recommend(self, shop, form):
        frame = FORMS[form](shop.to_dict("list"))
        encoder, model = self.pipeline().fit(frame)
        ids, scores = model.recommend(k=4)
        expected = as_dict(encoder.inverse_transform(ids, scores))
        batches = list(recommend_batches(model, encoder, k=4, batch_size=70))
        assert len(batches) == 3
        joined = {name: sum((as_dict(b)[name] for b in batches), []) for name in expected}
        assert joined == expected and len(joined["user"]) == 800

    def test_new_users_in_batches(self, shop):
        encoder, model = self.pipeline().fit(shop)
        new = pd.DataFrame({"user": ["new", "new", "u001"], "item": ["i1", "i2", "i31"]})
        (found,) = recommend_batches(model, encoder, new, k=3)
        assert found["user"].tolist() == ["new"] * 3 + ["u001"] * 3
        assert not {"i1", "i2"} & set(found["item"][:3])
        (only,) = recommend_batches(model, encoder, new, users=["u001"], k=3)
        assert only["item"].tolist() == found["item"][3:].tolist()

    def test_chosen_users_and_items(self, shop):
        encoder, model = self.pipeline().fit(shop)
        (found,) = recommend_batches(
            model,
            encoder,
            users=["u007", "u003"],
            items=["i1", "i2", "i31"],
            k=3,
            filter_seen=False,
            filter_items=["i2"],
        )
        assert found["user"].tolist() == ["u007"] * 2 + ["u003"] * 2
        assert set(found["item"]) == {"i1", "i31"}

    def test_one_value_per_user_is_split(self, shop):
        class Recorder(PopularityRecommender):
            seen = []

            def recommend(self, user_ids=None, k=10, *, X=None, dial=None):
                self.seen.append(dial)
                return super().recommend(user_ids, k, X=X)

        encoder = InteractionEncoder()
        model = Recorder().fit(encoder.fit_transform(shop))
        list(recommend_batches(model, encoder, batch_size=150, dial=list(range(200))))
        assert model.seen == [list(range(150)), list(range(150, 200))]

    def test_errors_come_at_the_call(self, shop):
        encoder, model = self.pipeline().fit(shop)
        with pytest.raises(ValueError, match="model has 2 items"):
            recommend_batches(PopularityRecommender().fit([[1, 1]]), encoder)
        with pytest.raises(ValueError, match="users are unknown, such as 'nobody'"):
            recommend_batches(model, encoder, users=["nobody"])
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            recommend_batches(model, encoder, batch_size=0)
