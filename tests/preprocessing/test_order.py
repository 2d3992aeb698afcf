"""InteractionEncoder: rows in order of time, and times with offsets from UTC."""

import datetime as dt
import zoneinfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from encoder_tables import cells
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec.model_selection import LeaveOneOut
from skdiffrec.preprocessing import InteractionEncoder

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
# the night in which the clock goes from 3 back to 2, and the one in which 2 becomes 3
SECONDS = [1729987199, 1729990800, 1729990801, 1711846799, 1711846800]
UTC = [dt.datetime.fromtimestamp(seconds, dt.UTC) for seconds in SECONDS]
LOCAL = [time.astimezone(BERLIN) for time in UTC]
OFFSETS = [
    time.astimezone(dt.timezone(dt.timedelta(hours=hours)))
    for time, hours in zip(UTC, (0, 2, -7, 5.5, 14), strict=True)
]


class TestOrder:
    @settings(max_examples=20, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=15),
        st.sampled_from(["auto", "last", "first", "max", "min"]),
    )
    def test_places_as_pandas_counts_them(self, events, duplicates):
        frame = pd.DataFrame(events, columns=["user", "item"])
        frame["place"] = frame.groupby("user").cumcount() + 1.0
        pick = "max" if duplicates in ("last", "max") else "min"
        expected = frame.groupby(["user", "item"])["place"].agg(pick).to_dict()
        encoder = InteractionEncoder(order=True, duplicates=duplicates)
        X = encoder.fit_transform(frame)
        assert cells(X, encoder.users_, encoder.items_) == expected
        assert encoder.values_ == "time" and X.dtype == np.float64
        assert cells(encoder.transform(events), encoder.users_, encoder.items_) == expected
        table = encoder.inverse_transform(X)
        assert list(table) == ["user", "item", "time"]

    def test_among_the_events_that_count(self):
        events = [("a", "x", 5), ("a", "y", 1), ("a", "z", 4), ("b", "z", 0), ("b", "x", 3)]
        encoder = InteractionEncoder(weight="weight", order=True, min_weight=2)
        X = encoder.fit_transform(events)
        assert cells(X, encoder.users_, encoder.items_) == {
            ("a", "x"): 1,
            ("a", "z"): 2,
            ("b", "x"): 1,
        }

    def test_lines_of_a_user_and_its_items(self):
        lines = ["1 7 3 9", "2 3 4"]
        events = [(user, item) for user, *items in map(str.split, lines) for item in items]
        encoder = InteractionEncoder(order=True)
        _, last = LeaveOneOut(by="value").hide(encoder.fit_transform(events))
        assert list(cells(last, encoder.users_, encoder.items_)) == [("1", "9"), ("2", "4")]

    @pytest.mark.parametrize(
        "parameters",
        [
            dict(timestamp="timestamp"),
            dict(values="binary"),
            dict(values="weight", weight="weight"),
            dict(duplicates="sum"),
            dict(order="yes"),
        ],
    )
    def test_refused(self, parameters):
        with pytest.raises(ValueError, match="order|of times means nothing"):
            InteractionEncoder(**dict(order=True) | parameters).fit([("a", "x", 1, 1)])
        with pytest.raises(ValueError, match="order=True"):
            InteractionEncoder(values="time").fit([("a", "x")])


class TestZones:
    @pytest.mark.parametrize(
        "column",
        [
            pd.Series(UTC).dt.tz_convert("Europe/Berlin"),
            pd.Series(UTC).dt.tz_convert("Europe/Berlin").dt.as_unit("s"),
            pd.Series(UTC).dt.tz_convert("Europe/Berlin").astype(object),
            pd.Series(OFFSETS, dtype=object),
            pd.Series(list(map(pd.Timestamp, OFFSETS)), dtype=object),
            pd.Series(UTC, dtype=pd.ArrowDtype(pa.timestamp("ms", "Europe/Berlin"))),
            pl.Series(UTC, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Berlin"),
            pa.array(UTC, pa.timestamp("ns", "Europe/Berlin")),
            LOCAL,
            OFFSETS,
        ],
        ids=lambda column: type(column).__module__,
    )
    def test_to_the_second(self, column):
        users = list(range(len(SECONDS)))
        encoder = InteractionEncoder(timestamp="t")
        X = encoder.fit_transform({"user": users, "item": users, "t": column})
        assert X.diagonal().tolist() == SECONDS
        rows = list(zip(users, users, column, strict=True))
        if not isinstance(column, pa.Array):
            assert encoder.fit_transform(rows).diagonal().tolist() == SECONDS

    def test_with_and_without_a_zone(self):
        table = [("a", "x", UTC[0]), ("b", "x", dt.datetime(2024, 1, 1))]
        with pytest.raises(TypeError, match=r"have none.*utc=True"):
            InteractionEncoder(timestamp="timestamp").fit(table)

    def test_text_with_offsets(self):
        text = ["2024-01-01T12:00+00:00", "2024-01-01T12:00+02:00"]
        table = pd.DataFrame({"user": [1, 2], "item": [1, 2], "t": text})
        encoder = InteractionEncoder(timestamp="t")
        with pytest.raises(TypeError, match="utc=True"):
            encoder.fit(table)
        X = encoder.fit_transform(table.assign(t=pd.to_datetime(table["t"], utc=True)))
        assert X.diagonal().tolist() == [1704110400, 1704103200]
