"""InteractionEncoder: duplicates, selection, and numbers of the cells."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from encoder_tables import NAMES, PAIRS, ROLES, cells, properties, table
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender
from skdiffrec.preprocessing._histories import extended_rows
from skdiffrec.preprocessing._interactions import _sorted_pairs, to_csr
from skdiffrec.preprocessing._values import warn_of_other_values

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
        assert times.toarray()[0].tolist() == [20, 0, 10]  # the first: see test_split_table.py
        ones = InteractionEncoder().fit_transform(table("pandas"))
        assert ones.toarray()[0].tolist() == [1, 0, 1] and ones.dtype == np.float32

    def test_error(self):
        with pytest.raises(ValueError, match="1 repeated pairs"):
            InteractionEncoder(duplicates="error").fit(PAIRS)
        assert InteractionEncoder(duplicates="error").fit(PAIRS[:3]).n_users_ == 2

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
        table = [event[:2] for event in events]
        pairs = set(table)
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
                encoder.fit(table)
            return
        X = encoder.fit_transform(table)
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

    @pytest.mark.parametrize("form", ["pandas", "polars", "pyarrow", "dict", "tuples", "dicts"])
    def test_min_weight_comes_before_anything_else(self, form):
        nan = None if form in ("polars", "pyarrow") else np.nan
        events = [
            ("ann", "tea", 5.0, 3.0),
            ("ann", "jam", -1.0, 2.0),
            ("ann", "rye", nan, 1.0),
            (None, "tea", 1.0, 4.0),
            ("eve", None, 3.0, 5.0),
            ("eve", "oat", 3.0, -5.0),
            ("bob", "tea", 4.0, 6.0),
        ]
        for values in ("weight", "time"):
            encoder = InteractionEncoder(**ROLES, min_weight=4, values=values)
            X = encoder.fit_transform(table(form, events))
            column = {"weight": 2, "time": 3}[values]
            expected = {event[:2]: event[column] for event in (events[0], events[-1])}
            assert cells(X, encoder.users_, encoder.items_) == expected
            assert_array_equal(encoder.transform(table(form, events)).toarray(), X.toarray())
            kept, users = encoder.transform(
                table(form, [("zoe", "new", 1.0, 1.0), ("ann", "jam", 9.0, 9.0), *events[:1]]),
                return_users=True,
            )
            assert users.tolist() == ["ann"] and kept.nnz == 1  # jam was left out in fit
        named = ROLES if form == "tuples" else dict(weight="weight")
        with pytest.raises(ValueError, match="'user': 1 id missing, in row 3"):
            InteractionEncoder(**named, min_weight=1, values="weight").fit(table(form, events))
        with pytest.raises(ValueError, match=r"weight below 0 \(-1\)"):
            InteractionEncoder(**ROLES, min_weight=-2).fit(table(form, events))

    def test_first_and_last_among_the_events_that_count(self):
        events = [("a", "x", 3, 9), ("a", "x", 1, 1), ("a", "x", 5, 2), ("b", "x", 0, 1)]
        for duplicates, expected in (("first", 5), ("last", 3)):
            encoder = InteractionEncoder(
                **ROLES, values="weight", min_weight=2, duplicates=duplicates
            )
            assert encoder.fit_transform(events).toarray().tolist() == [[expected]]

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
                dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
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

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_numpy_dates_as_objects(self, unit):
        days = np.array(["2020-01-01", "2020-01-02T00:00:01"], f"M8[{unit}]")
        encoder = InteractionEncoder(timestamp="t")
        for times in (list(days), [days[0], np.datetime64("2020-01-02T00:00:01", "s")]):
            X = encoder.fit_transform(list(zip("ab", "xy", times, strict=True)))
            assert X.data.tolist() == [1577836800, 1577923201]

    @pytest.mark.parametrize("role", ["weight", "timestamp"])
    def test_durations_become_seconds_whatever_their_unit(self, role):
        both = [dt.timedelta(seconds=90), dt.timedelta(milliseconds=500)]
        columns = [both, list(np.array(both, "m8[us]")), list(map(pd.Timedelta, both))]
        for unit in ("ms", "us", "ns"):
            columns += [
                np.array(both, f"m8[{unit}]"),
                pd.Series(both, dtype=f"m8[{unit}]"),
                pl.Series(both, dtype=pl.Duration(unit)),
                pa.array(both, pa.duration(unit)),
                pa.chunked_array([pa.array(both, pa.duration(unit))]),
                pd.Series(both, dtype=pd.ArrowDtype(pa.duration(unit))),
            ]
        for column in columns:
            X = InteractionEncoder(**{role: "x"}).fit_transform(
                {"user": [1, 2], "item": [1, 1], "x": column}
            )
            assert X.data.tolist() == [90, 0.5]

    @pytest.mark.parametrize("column", [pl.Series([dt.date(2020, 1, 1)]), [dt.date(2020, 1, 1)]])
    def test_days(self, column):
        X = InteractionEncoder(timestamp="t").fit_transform({"user": [1], "item": [1], "t": column})
        assert X.data.tolist() == [1577836800]

    @pytest.mark.parametrize(
        ("role", "column", "error", "says"),
        [
            ("weight", [1.0, -2.0], ValueError, r"'x': 1 weight below 0 \(-2\), in row 1"),
            ("weight", [1.0, np.nan], ValueError, "'x': 1 weight missing, in row 1"),
            ("weight", ["3", "4"], TypeError, "'x' must hold numbers .* got '3'"),
            ("timestamp", [0, 3], ValueError, "'x': 1 time of 0 or less .0., in row 0"),
            ("timestamp", pd.Series(["2020-01-01", "2021"]), TypeError, "pandas.to_datetime"),
            (
                "timestamp",
                pd.Series([pd.NaT, pd.Timestamp("2020")]),
                ValueError,
                "missing, in",
            ),
            (
                "timestamp",
                pl.Series([None, dt.datetime(2020, 1, 1)]),
                ValueError,
                "missing, in",
            ),
            ("timestamp", [dt.datetime(2020, 1, 1), "x"], TypeError, "must hold only dates"),
            ("timestamp", [np.datetime64("2020-01-01"), 5], TypeError, "must hold only dates"),
            ("timestamp", [5, np.datetime64("2020-01-01")], TypeError, "must hold only dates"),
            (
                "timestamp",
                [np.datetime64("NaT"), np.datetime64("2020")],
                ValueError,
                "missing, in",
            ),
            ("timestamp", [None, dt.datetime(2020, 1, 1)], ValueError, "missing, in"),
            (
                "timestamp",
                [dt.timedelta(1), dt.date(2020, 1, 1)],
                TypeError,
                "must hold only dates",
            ),
            ("timestamp", [3, "4"], TypeError, "got '4'"),
            ("weight", pd.Series([pd.NaT, pd.Timedelta(3)]), ValueError, "missing, in"),
            (
                "weight",
                np.array(["2020-01-01"] * 2, "M8[s]"),
                TypeError,
                "hold numbers or duration",
            ),
            ("weight", pl.Series([dt.date(2020, 1, 1)] * 2), TypeError, "hold numbers or duration"),
            ("weight", [dt.date(2020, 1, 1)] * 2, TypeError, "must hold numbers or durations"),
            ("weight", np.array([3, 4], "m8[M]"), TypeError, "must hold numbers or durations"),
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


class TestRatings:
    events = [
        ("ann", "tea", 2, 9),
        ("bob", "tea", 5, 1),
        ("ann", "tea", 4, 3),
        ("ann", "jam", 1, 5),
    ]

    def frame(self, n_columns=4):
        rows = [event[:n_columns] for event in self.events]
        return pd.DataFrame(rows, columns=["user", "item", "stars", "when"][:n_columns])

    @pytest.mark.parametrize(
        ("columns", "duplicates", "expected"),
        [
            (dict(timestamp="when"), "auto", 2),  # the latest by time
            ({}, "auto", 4),  # the last of the table
            ({}, "mean", 3),
            (dict(timestamp="when"), "first", 4),
        ],
    )
    def test_the_latest_opinion_counts(self, columns, duplicates, expected):
        encoder = InteractionEncoder(
            weight="stars", values="rating", duplicates=duplicates, **columns
        )
        X = encoder.fit_transform(self.frame())
        assert encoder.values_ == "rating"
        assert_array_equal(X.toarray(), [[1, expected], [0, 5]])

    def test_in_a_table_recommender(self, tmp_path):
        events = pd.concat([self.frame(3)] * 3 + [self.frame(3).assign(user=list("cdef"))])
        encoder = InteractionEncoder(weight="stars", values="rating")
        model = TableRecommender(PopularityRecommender(), encoder)
        assert model.fit(events).encoder_.values_ == "rating"
        model.save(tmp_path / "model")
        again = TableRecommender.load(tmp_path / "model")
        assert again.encoder_.values_ == "rating"
        later = pd.DataFrame({"user": ["ann"], "item": ["jam"], "stars": [5]})
        rows = extended_rows(
            encoder.fit(events),
            encoder.transform(events),
            np.array([0]),
            encoder.transform(later),
            "rating",
        )
        assert_array_equal(rows.toarray()[0], [5, 4])  # in place of 1

    @pytest.mark.parametrize(
        ("given", "taken", "held"),
        [
            (dict(weight="stars"), "rating", "sums of weights"),
            (dict(timestamp="when"), "rating", "times"),
            ({}, "rating", "ones"),
            (dict(weight="stars", values="rating"), "time", "ratings"),
            (dict(weight="stars", values="rating"), "binary", "ratings"),
        ],
    )
    def test_a_model_that_takes_them_for_something_else(self, given, taken, held):
        model = SimpleNamespace(values=taken)
        encoder = InteractionEncoder(**given).fit(self.frame())
        with pytest.warns(UserWarning, match=f"holds {held} .*takes them for\n? ?values=.{taken}"):
            warn_of_other_values(encoder, model)

    def test_they_need_a_column(self):
        with pytest.raises(ValueError, match='values="rating" needs a column; name it by weight='):
            InteractionEncoder(values="rating").fit(self.frame())
        with pytest.raises(ValueError, match="values=.rating. holds opinions"):
            InteractionEncoder(weight="stars", values="rating", returns="net").fit(self.frame())
