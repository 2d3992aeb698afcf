"""InteractionEncoder: missing and bad ids, weights and times are all named at once."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from encoder_tables import ROLES, cells
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec.preprocessing import InteractionEncoder

NAN, INF = float("nan"), float("inf")
COLUMNS = {
    "user": ["ann", None, "eve", "eve", "bob", "kim"],
    "item": ["tea", "jam", None, "rye", "oat", None],
    "weight": [1.0, None, 2.0, -1.0, INF, 0.0],
    "timestamp": [5.0, 6.0, None, -3.0, 2.0, -1.0],
}
EXPECTED = [
    "'user': 1 id missing, in row 1",
    "'item': 1 id missing, in row 2",
    "'weight': 1 weight missing, in row 1",
    "'weight': 1 weight infinite, in row 4",
    "'weight': 1 weight below 0 (-1), in row 3",
    "'timestamp': 1 time missing, in row 2",
    "'timestamp': 1 time of 0 or less (-3), in row 3",
]
ROWS = list(zip(*COLUMNS.values(), strict=True))
FORMS = {
    "pandas": pd.DataFrame(COLUMNS),
    "pandas Arrow": pd.DataFrame(COLUMNS).convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.DataFrame(COLUMNS),
    "polars lazy": pl.LazyFrame(COLUMNS),
    "pyarrow": pa.table(COLUMNS),
    "dict": COLUMNS,
    "tuples": ROWS,
    "dicts": [dict(zip(COLUMNS, row, strict=True)) for row in ROWS],
    "categories": pd.DataFrame(COLUMNS).astype({"user": "category", "item": "category"}),
}


def error_of(encoder, table):
    with pytest.raises(ValueError) as caught:
        encoder.fit(table)
    return str(caught.value)


class TestBadRows:
    @pytest.mark.parametrize("form", FORMS)
    def test_all_at_once_in_every_form(self, form):
        encoder = InteractionEncoder(**ROLES, values="time")
        text = error_of(encoder, FORMS[form])
        assert text.startswith("4 of the 6 rows of X cannot be read.")  # a weight of 0 is no event
        assert [line.removeprefix("  column ") for line in text.splitlines()[1:8]] == EXPECTED
        with pytest.raises(ValueError, match="4 of the 6 rows"):
            InteractionEncoder(**ROLES, values="time").fit(ROWS[:1]).transform(FORMS[form])

    @pytest.mark.parametrize("form", ["pandas", "polars", "polars lazy", "pyarrow"])
    @pytest.mark.parametrize("gap", [None, NAN])
    def test_what_it_says_to_do_does_it(self, form, gap):
        ids, numbers = ["ann", None, "eve", "eve"], [1.0, 2.0, gap, 4.0]
        columns = {"user": ids, "item": list("xyzx"), "timestamp": numbers}
        make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "polars lazy": pl.LazyFrame}
        X = make.get(form, pa.table)(columns)
        encoder = InteractionEncoder(timestamp="timestamp")
        advice = error_of(encoder, X).partition("missing out, by ")[2].partition(", or fill")[0]
        whole = eval(advice.partition(", with")[0], {"X": X, "pl": pl, "pc": pc})
        matrix = encoder.fit_transform(whole)
        assert cells(matrix, encoder.users_, encoder.items_) == {
            ("ann", "x"): 1,
            ("eve", "x"): 4,
        }

    def test_advice_for_what_is_no_frame(self):
        encoder = InteractionEncoder(user=1, item=0)
        assert "pandas.DataFrame(X).dropna(subset=[1])" in error_of(encoder, [("x", None)])
        assert "dropna(subset=['item'])" in error_of(
            InteractionEncoder(), [{"user": 1, "item": None}]
        )

    def test_labels_of_the_index(self):
        labels = ["p", "q", "r", "s"]
        frame = pd.DataFrame({"user": [1, None, None, 4], "item": [1, 2, 3, None]}, index=labels)
        text = error_of(InteractionEncoder(), frame)
        assert "by the index of X" in text
        assert "2 ids missing, in rows 'q', 'r'" in text and "1 id missing, in row 's'" in text
        many = pd.DataFrame({"user": [None] * 9, "item": 1}, index=range(100, 109))
        assert "in rows 100, 101, 102, 103, 104, ..." in error_of(InteractionEncoder(), many)
        levels = frame.set_index([labels, [1, 2, 3, 4]])
        assert "in rows ('q', 2), ('r', 3)" in error_of(InteractionEncoder(), levels)

    @settings(max_examples=20, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b", None]),
                st.sampled_from(["x", "y", None]),
                st.sampled_from([1.0, 0.0, 5.0, -1.0, NAN, INF]),
                st.sampled_from([1.0, 9.0, 0.0, NAN]),
            ),
            min_size=1,
            max_size=8,
        ),
        st.sampled_from([None, 2]),
    )
    def test_rows_as_a_plain_loop_counts_them(self, events, min_weight):
        bad = 0
        for user, item, weight, time in events:
            if weight == 0 or (min_weight is not None and not weight >= min_weight):
                continue
            fine = 0 < weight < INF and 0 < time < INF
            bad += user is None or item is None or not fine
        encoder = InteractionEncoder(**ROLES, values="time", min_weight=min_weight)
        try:
            encoder.fit(events)
        except ValueError as error:
            expected = f"{bad} of the {len(events)} rows" if bad else "nothing is left"
            assert expected in str(error)
        else:
            assert not bad

    def test_a_failing_call_changes_nothing(self):
        frame = pd.DataFrame(COLUMNS)
        before, encoder = frame.copy(), InteractionEncoder().fit([("ann", "tea")])
        error_of(encoder, frame)
        pd.testing.assert_frame_equal(frame, before)
        assert encoder.users_.tolist() == ["ann"]


class TestIdsThatAreSomethingElse:
    @pytest.mark.parametrize(
        "gap", [None, NAN, pd.NA, pd.NaT, np.datetime64("NaT"), np.float32("nan")]
    )
    def test_gaps_among_objects(self, gap):
        for table in ([("a", "x"), (gap, "y")], pd.DataFrame({"user": ["a", gap], "item": 1})):
            assert "'user': 1 id missing, in row 1" in error_of(InteractionEncoder(), table)

    @pytest.mark.parametrize("gap", ["", "nan", "None", "<NA>", "NaT", "NULL"])
    def test_gaps_as_text(self, gap):
        for users in (["ann", gap, "zoe"], [("a", 1), gap, 7]):
            with pytest.warns(
                UserWarning, match=f"'user' holds '{gap}' as an id, perhaps a missing"
            ):
                InteractionEncoder().fit({"user": users, "item": [1, 2, 3]})
        with pytest.warns(UserWarning, match="'item'"):
            InteractionEncoder().fit(pl.DataFrame({"user": [1, 2], "item": [gap, "x"]}))

    def test_numbers_and_text(self):
        for five, text in ((5, "5"), (5.0, "5"), (np.int64(5), "5"), (True, "True")):
            frame = pd.DataFrame({"user": pd.Series([five, text, "b"], dtype=object), "item": 1})
            with pytest.warns(UserWarning, match=r"1 ids both as numbers and as text.*dtype=str"):
                InteractionEncoder().fit(frame)

    @pytest.mark.parametrize(
        "users",
        [
            ["5", "6", "banana", "Nan"],
            [5, "6", "b", ("5",)],
            [0.5, 7.0, 2.0**52, 3.0],
            np.float32([1, 2, 3, 4]),
            [False, True, False, True],
            [dt.date(2020, 1, 1)] * 4,
        ],
    )
    def test_no_false_alarm(self, users):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            InteractionEncoder().fit({"user": users, "item": [1, 2, 3, 4]})

    @pytest.mark.parametrize("ids", [[2.0**60, 1.0], np.float32([2**25, 1]), [2.0**53, 2.0**53]])
    def test_rounded_numbers(self, ids):
        with pytest.raises(ValueError, match="cannot tell such numbers from their neighbours"):
            InteractionEncoder().fit({"user": np.asarray(ids), "item": [1, 2]})

    def test_a_gap_makes_floats_that_are_still_the_same_ids(self):
        frame = pd.DataFrame({"user": [7, 8, None], "item": [1, 2, 3]}).dropna()
        encoder = InteractionEncoder().fit(frame)
        assert encoder.user_index([7, 8]).tolist() == [0, 1]
        assert encoder.transform([(8, 1)], users=[7, 8]).toarray().tolist() == [[0, 0], [1, 0]]

    def test_numbers_where_fit_saw_text(self):
        encoder = InteractionEncoder(unknown_items="ignore").fit([("7", 1), ("8", 2)])
        with pytest.warns(UserWarning, match="'user' holds numbers, but the ids of fit are text"):
            encoder.transform([(7, 1)])
        with pytest.warns(UserWarning, match="'user' holds numbers"):
            encoder.transform([("7", 1)], users=[7, 8])
        with pytest.warns(UserWarning, match="'item' holds text, but the ids of fit are numbers"):
            encoder.transform([("7", "1")])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encoder.transform([("7", 1.0), ("new", 2.0)])
            encoder.transform([])

    def test_tensors(self):
        class Tensor:
            __hash__ = object.__hash__

            def __array__(self):
                return np.array(1)

        with pytest.raises(TypeError, match="ids of type Tensor"):
            InteractionEncoder().fit([(Tensor(), "x")])
