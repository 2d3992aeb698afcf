"""Lists come back in the types of the table of fit: they join to it and go to a file and back."""

import datetime as dt
import io
import pickle
import uuid
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, recommend_batches

DAYS = [dt.date(2024, 1, day) for day in (3, 1, 2)]
TIMES = [dt.time(8), dt.time(9, 30), dt.time(7)]
MOMENTS = [dt.datetime(2024, 7, 1, hour, 30) for hour in (9, 8, 7)]
ZONED = [moment.replace(tzinfo=dt.UTC) for moment in MOMENTS]
PRICES = [Decimal("1.50"), Decimal("0.10"), Decimal("3.00")]
SPANS = [dt.timedelta(seconds=seconds) for seconds in (5, 3, 4)]
TEXT, NUMBERS = ["b", "a" * 30, "ä"], [3, 1, 2]
UUIDS = [uuid.UUID(int=number) for number in NUMBERS]

ARROW = {
    "string": pa.array(TEXT),
    "large_string": pa.array(TEXT, pa.large_string()),
    "dictionary": pa.array(TEXT).dictionary_encode(),
    "small_dictionary": pa.DictionaryArray.from_arrays(
        pa.array([2, 0, 1], pa.uint8()),
        pa.array([*TEXT, "unused"], pa.large_string()),
        ordered=True,
    ),
    "int8": pa.array(NUMBERS, pa.int8()),
    "uint64": pa.array([2**63 + 1, 1, 2], pa.uint64()),
    "double": pa.array([0.5, 1.5, -1.0]),
    "bool": pa.array([True, False, True]),
    "binary": pa.array([b"b", b"\xff", b"c"]),
    "fixed": pa.array([b"bb", b"\xff\0", b"cc"], pa.binary(2)),
    "decimal": pa.array(PRICES, pa.decimal128(7, 2)),
    "date32": pa.array(DAYS),
    "date64": pa.array(DAYS, pa.date64()),
    "time": pa.array(TIMES, pa.time32("s")),
    "timestamp": pa.array(MOMENTS, pa.timestamp("ms")),
    "zoned": pa.array(ZONED, pa.timestamp("us", "Europe/Berlin")),
    "duration": pa.array(SPANS, pa.duration("ms")),
}
if hasattr(pa, "uuid"):
    ARROW["uuid"] = pa.ExtensionArray.from_storage(
        pa.uuid(), pa.array([value.bytes for value in UUIDS], pa.binary(16))
    )

POLARS = {
    "String": pl.Series(TEXT),
    "Categorical": pl.Series(TEXT, dtype=pl.Categorical),
    "Enum": pl.Series(TEXT, dtype=pl.Enum(["unused", *TEXT])),
    "Int8": pl.Series(NUMBERS, dtype=pl.Int8),
    "UInt64": pl.Series([2**63 + 1, 1, 2], dtype=pl.UInt64),
    "Float32": pl.Series([0.5, 1.5, -1.0], dtype=pl.Float32),
    "Boolean": pl.Series([True, False, True]),
    "Binary": pl.Series([b"b", b"\xff", b"c"]),
    "Decimal": pl.Series(PRICES, dtype=pl.Decimal(7, 2)),
    "Date": pl.Series(DAYS),
    "Time": pl.Series(TIMES),
    "Datetime": pl.Series(MOMENTS, dtype=pl.Datetime("ms")),
    "zoned": pl.Series(ZONED, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Berlin"),
    "Duration": pl.Series(SPANS, dtype=pl.Duration("ms")),
}


def pandas_series(values, dtype):
    return pd.Series(values, dtype=dtype)


PANDAS = {
    "object": pandas_series(TEXT, object),
    "string": pandas_series(TEXT, "string"),
    "string[python]": pandas_series(TEXT, "string[python]"),
    "inferred": pd.Series(TEXT),
    "category": pd.Series(TEXT).astype("category"),
    "ordered": pd.Series(pd.Categorical(TEXT, ["unused", *TEXT], ordered=True)),
    "categories of dates": pd.Series(pd.to_datetime(MOMENTS)).astype("category"),
    "int8": pandas_series(NUMBERS, "int8"),
    "Int64": pandas_series(NUMBERS, "Int64"),
    "boolean": pandas_series([True, False, True], "boolean"),
    "datetime64": pandas_series(MOMENTS, "datetime64[ns]"),
    "zoned": pandas_series(ZONED, "datetime64[us, UTC]").dt.tz_convert("Europe/Berlin"),
    "objects of dates": pandas_series(DAYS, object),
    "objects of moments": pandas_series(ZONED, object),
    "objects of numbers": pandas_series(NUMBERS, object),
    "objects of decimals": pandas_series(PRICES, object),
    "timedelta": pandas_series(SPANS, "timedelta64[ns]"),
    "period": pandas_series(
        pd.PeriodIndex(["2024-01", "2023-05", "2024-02"], freq="M"), "period[M]"
    ),
    **{
        f"arrow {name}": pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([values])))
        for name, values in ARROW.items()
        if "dictionary" not in name
    },
}
CASES = [
    *(("pyarrow", name, values) for name, values in ARROW.items()),
    *(("polars", name, values) for name, values in POLARS.items()),
    *(("pandas", name, values) for name, values in PANDAS.items()),
]


NOT_JOINED = ["arrow uuid"]  # by pandas
if pl.__version__.startswith("1.0."):
    NOT_JOINED.append("Decimal")


def events_of(library, values):
    """Three users with an item each, of the same type; the last has two events."""
    if library == "pyarrow":
        item = pa.chunked_array([values]).take(pa.array([1, 2, 0, 0]))
        return pa.table(
            {"user": pa.chunked_array([values]).take(pa.array([0, 1, 2, 2])), "item": item}
        )
    take = values.take if library == "pandas" else values.gather
    user, item = take([0, 1, 2, 2]), take([1, 2, 0, 0])
    if library == "pandas":
        return pd.DataFrame({"user": user.array, "item": item.array})
    return pl.DataFrame({"user": user, "item": item})


def joined(library, lists, events):
    """Number of rows of the join of lists to the users and to the items of events."""
    if library == "pandas":
        once = [events[[name]].drop_duplicates() for name in ("user", "item")]
        return [len(lists.merge(one, on=list(one))) for one in once]
    if library == "polars":
        once = [events.select(name).unique() for name in ("user", "item")]
        return [lists.join(one, on=one.columns).height for one in once]
    if str(lists.schema.field("user").type).startswith(("dictionary", "extension")):
        return [len(lists)] * 2
    once = [events.group_by(name).aggregate([]) for name in ("user", "item")]
    return [len(lists.join(one, one.column_names, join_type="inner")) for one in once]


def in_a_file(library, table):
    file = io.BytesIO()
    if library == "pandas":
        table.to_parquet(file)
        return pd.read_parquet(io.BytesIO(file.getvalue()))
    if library == "polars":
        table.write_parquet(file)
        return pl.read_parquet(io.BytesIO(file.getvalue()))
    pq.write_table(table, file)
    return pq.read_table(file)


def schema(library, table):
    """Types of user and item."""
    if library == "pyarrow":
        return [table.schema.field(name).type for name in ("user", "item")]
    return [table[name].dtype for name in ("user", "item")]


@pytest.mark.parametrize(
    ("library", "name", "values"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
def test_types(library, name, values):
    events = events_of(library, values)
    encoder = InteractionEncoder()
    model = PopularityRecommender().fit(encoder.fit_transform(events))
    encoder = pickle.loads(pickle.dumps(encoder))
    (lists,) = recommend_batches(model, encoder, k=1)
    assert schema(library, lists) == schema(library, events)
    n_lists = len(lists)
    assert n_lists == (1 if "bool" in name.lower() else 3)  # of two users, one has both items
    if name not in NOT_JOINED:
        assert joined(library, lists, events) == [n_lists] * 2
    same = lists["user"].to_pylist if library == "pyarrow" else lists["user"].to_list
    known = events["user"].to_pylist() if library == "pyarrow" else events["user"].to_list()
    assert set(same()) <= set(known)
    assert schema(library, encoder.inverse_transform(encoder.transform(events))) == schema(
        library, events
    )


def test_files():
    """One file of each library, of all types that Parquet has."""
    for library, unfit in (("pyarrow", ("date64", "time")), ("polars", ()), ("pandas", ())):
        for other, name, values in CASES[::2]:
            if other == library and name not in unfit and "arrow" not in name:
                events = events_of(library, values)
                encoder = InteractionEncoder()
                model = PopularityRecommender().fit(encoder.fit_transform(events))
                (lists,) = recommend_batches(model, encoder, k=1)
                found, expected = (in_a_file(library, table) for table in (lists, events))
                assert schema(library, found) == schema(library, expected), name


class TestOtherIds:
    @pytest.mark.parametrize(
        ("events", "users"),
        [
            (pl.DataFrame({"user": ["a"], "item": [1]}), [7]),
            (pl.DataFrame({"user": [1], "item": [1]}), ["zoe"]),
            (pl.DataFrame({"user": pl.Series(["a"], dtype=pl.Enum(["a"])), "item": [1]}), ["zoe"]),
            (pl.DataFrame({"user": pl.Series([1], dtype=pl.Int8), "item": [1]}), [300]),
            (pd.DataFrame({"user": ["a"], "item": [1]}).astype("category"), ["zoe"]),
            (pd.DataFrame({"user": [1], "item": [1]}).astype("int8"), [300]),
            (pd.DataFrame({"user": ["a"], "item": [1]}).astype({"user": "string"}), [7]),
            (pa.table({"user": pa.array([1], pa.int8()), "item": [1]}), [300]),
            (pa.table({"user": pa.array(PRICES[:1], pa.decimal128(3, 2)), "item": [1]}), [1]),
        ],
    )
    def test_a_user_that_the_type_cannot_hold(self, events, users):
        encoder = InteractionEncoder().fit(events)
        table = encoder.inverse_transform([[0]], users=users)
        column = table["user"]
        found = column.to_pylist() if isinstance(table, pa.Table) else column.to_list()
        assert found == users

    def test_objects_of_nanoseconds(self):
        stamps = pd.Series(pd.to_datetime([1, 10**18]))
        events = pd.DataFrame({"user": stamps, "item": [1, 2]})
        table = InteractionEncoder().fit(events).inverse_transform([[0], [1]])
        assert table["user"].tolist() == stamps.tolist()
