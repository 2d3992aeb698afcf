"""InteractionEncoder: forms of tables that people have are read rightly, or refused by name."""

import csv
import dataclasses
import io
import json
import sqlite3
import warnings
from collections import namedtuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from encoder_tables import cells

from skdiffrec.preprocessing import InteractionEncoder

FRAME = pd.DataFrame(
    {"user": ["ann", "bob", "bob"], "item": ["tea", "jam", "tea"], "price": [3.0, 2.0, 3.0]}
)
PAIRS = FRAME[["user", "item"]]
CELLS = dict.fromkeys(PAIRS.itertuples(index=False, name=None), 1)
TEXT = PAIRS.to_csv(index=False)
ADJACENCY = np.kron([[0, 1], [1, 0]], np.eye(3))


@dataclasses.dataclass
class Event:
    user: str
    item: str


class Fields:
    """A row whose iteration gives pairs of name and value, as pydantic's models do."""

    def __iter__(self):
        return iter([("user", "ann"), ("item", "tea")])


def sql_cursor():
    connection = sqlite3.connect(":memory:")
    PAIRS.to_sql("events", connection, index=False)
    return connection.execute("SELECT user, item FROM events")


def named(names, *rows):
    return [namedtuple("Row", names)(*row) for row in rows]


RIGHT = {
    "itertuples()": list(FRAME.itertuples()),
    "itertuples(index=False)": list(FRAME.itertuples(index=False)),
    "itertuples of pairs": list(PAIRS.itertuples(index=False, name=None)),
    "itertuples twice": [*FRAME[:1].itertuples(), *FRAME[1:].itertuples()],
    "reset_index": FRAME.reset_index(),
    "values": PAIRS.values,
    "to_numpy": PAIRS.to_numpy(str),
    "to_records": FRAME.to_records(),
    "rows of to_records": list(FRAME.to_records()),
    "to_dict(list)": FRAME.to_dict("list"),
    "to_dict(records)": FRAME.to_dict("records"),
    "to_dict(series)": FRAME.to_dict("series"),
    "rows of iterrows": [row for _, row in FRAME.iterrows()],
    "lists": PAIRS.values.tolist(),
    "arrays": list(PAIRS.values),
    "tuples in a tuple": tuple(map(tuple, PAIRS.values)),
    "JSON lines": [
        json.loads(line) for line in FRAME.to_json(orient="records", lines=True).split()
    ],
    "DictReader": list(csv.DictReader(io.StringIO(TEXT))),
    "reader without its header": list(csv.reader(io.StringIO(TEXT)))[1:],
    "SQL": sql_cursor().fetchall(),
    "record batch": pa.RecordBatch.from_pandas(FRAME),
    "dict of Arrow": dict(zip(PAIRS, pa.Table.from_pandas(PAIRS).columns, strict=True)),
    "dict of ranges": {"user": FRAME["user"].array, "item": pl.Series(FRAME["item"])},
    "dataclasses": list(map(dataclasses.asdict, [Event(*pair) for pair in PAIRS.values])),
}
POSITIONS = {
    "itertuples(name=None)": (list(FRAME.itertuples(name=None)), 1, 2),
    "values": (FRAME.values, 0, 1),
    "with prices": (FRAME.values.tolist(), 0, -2),
}
REFUSED = {
    "adjacency lists": ([["ann", "tea", "jam"], ["bob", "rye", "oat"]], r"3 columns without names"),
    "what to do": ([["ann", "tea", "jam"]], r"\[\(row\[0\], item\) for row in rows"),
    "ragged lists": ([["ann", "tea", "jam"], ["bob", "rye"]], "same length.*for item in row"),
    "itertuples(name=None)": (list(FRAME.itertuples(name=None)), r"itertuples\(index=False\)"),
    "values": (FRAME.values, r"3 columns .* InteractionEncoder\(user=0, item=1\)"),
    "columns": ([["ann", "bob", "eve"], ["tea", "jam", "rye"]], "Columns go into a dict"),
    "pivot": (np.eye(3), "users x items matrix needs no encoder"),
    "pivot frame": (FRAME.pivot(index="user", columns="item", values="price"), "reset_index"),
    "named pivot": (pd.crosstab(FRAME["user"], FRAME["item"]).reset_index(), "no column 'item'"),
    "many columns": (pd.DataFrame(np.eye(99)), r"\[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\]"),
    "sparse": (sp.csr_array(ADJACENCY), r"sparse matrix of shape \(6, 6\).*fit of a recommender"),
    "sparse matrix": (sp.coo_matrix(ADJACENCY), r"X\[:n_users, n_users:\]"),
    "dense adjacency": (ADJACENCY, "6 columns without names"),
    "in the index": (FRAME.set_index("user"), r"'user' is in the index of X.*reset_index"),
    "iterrows": (list(FRAME.iterrows()), "Give the frame itself"),
    "groups": (list(FRAME.groupby("user")), "Give the frame itself"),
    "groupby": (FRAME.groupby("user"), "DataFrameGroupBy, which is not a table"),
    "sizes": (FRAME.groupby(["user", "item"]).size(), r"Series, which is not a table; reset_index"),
    "index": (pd.MultiIndex.from_frame(PAIRS), r"MultiIndex, which is not a table; to_frame"),
    "column": (pl.Series(["a"]), "Series, which is not a table"),
    "Arrow column": (pa.array(["a"]), "StringArray, which is not a table"),
    "to_dict()": (FRAME.to_dict(), r'is dict.*to_dict\("list"\)'),
    "one event": ({"user": "ann", "item": "tea"}, r"for a single event, give \[X\]"),
    "one number": ({"user": 7, "item": 8}, r"for a single event, give \[X\]"),
    "sets": ({"user": {1, 2}, "item": {3, 4}}, "is set"),
    "items by user": ({"ann": ["tea", "jam"], "bob": ["rye"]}, "no column 'user'.*'ann'"),
    "items of each": ([("ann", ["tea", "jam"])], "cannot be hashed.*a row of its own"),
    "nested": ([{"user": {"id": 1}, "item": 2}], "cannot be hashed.*nested one"),
    "unequal": ({"user": [1, 2, 3], "item": [1, 2]}, "differ in length"),
    "header": (list(csv.reader(io.StringIO(TEXT))), "names of the columns.*csv.DictReader"),
    "header in an array": (np.array([["item", "user"], ["tea", "ann"]]), "names of the columns"),
    "path": ("events.csv", "is the path 'events.csv'"),
    "bytes": (b"events.csv", "is the path"),
    "file": (io.StringIO(TEXT), "is the open file.*DictReader"),
    "lines": (TEXT.split(), "A row of X is str, 'user,item'"),
    "a line among rows": ([("a", "x"), "bc"], "A row of X is str, 'bc'"),
    "generator": (row for row in [("a", "x")]),
    "zip": (zip("ab", "xy", strict=True), "zip, which can be read only once"),
    "iterrows()": (FRAME.iterrows(), "generator, which can be read only once"),
    "cursor": (sql_cursor(), "Cursor, which can be read only once"),
    "objects": ([Event("ann", "tea")], r"A row of X is Event.*vars\(row\)"),
    "fields": ([Fields(), Fields()], r"A row of X is Fields"),
    "two orders": (named("user item", "ax") + named("item user", "xa"), "differ in the names"),
    "mixed rows": ([*named("user item", "ax"), ("x", "a")], "differ in the names"),
    "number": (3, "X is int"),
    "nothing": (None, "X is NoneType"),
}
REFUSED["generator"] = (REFUSED["generator"], "generator, which can be read only once")


class TestForms:
    @pytest.mark.parametrize("form", RIGHT)
    def test_right(self, form):
        encoder = InteractionEncoder()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            X = encoder.fit_transform(RIGHT[form])
        assert cells(X, encoder.users_.tolist(), encoder.items_.tolist()) == CELLS

    @pytest.mark.parametrize("form", POSITIONS)
    def test_by_position(self, form):
        table, user, item = POSITIONS[form]
        encoder = InteractionEncoder(user=user, item=item)
        X = encoder.fit_transform(table)
        assert cells(X, encoder.users_.tolist(), encoder.items_.tolist()) == CELLS

    @pytest.mark.parametrize("form", REFUSED)
    def test_refused_by_name(self, form):
        table, says = REFUSED[form]
        for call in (InteractionEncoder().fit, InteractionEncoder().fit(PAIRS).transform):
            with pytest.raises((TypeError, ValueError), match=f"(?s){says}"):
                call(table)

    def test_a_column_that_is_set_by_position_says_that_others_are_meant_to_be_there(self):
        rows = [("ann", "tea", 5.0, 30.0), ("bob", "jam", 4.0, 20.0)]
        encoder = InteractionEncoder(timestamp=3)
        assert encoder.fit_transform(rows).data.tolist() == [30, 20]
        with pytest.raises(ValueError, match="only 3 are set, user, item, timestamp"):
            InteractionEncoder(timestamp="timestamp").fit(rows)

    def test_tensors(self):
        torch = pytest.importorskip("torch")
        encoder = InteractionEncoder()
        X = encoder.fit_transform(torch.tensor([[7, 3], [5, 3]]))
        assert cells(X, encoder.users_.tolist(), encoder.items_.tolist()) == {(7, 3): 1, (5, 3): 1}
        with pytest.raises(TypeError, match="Tensor"):
            encoder.fit([(torch.tensor(7), torch.tensor(3))])


class TestTimes:
    SECONDS = [1_700_000_000, 1_700_000_030]

    @pytest.mark.parametrize(
        "column",
        [
            np.float32(SECONDS),
            pd.Series(SECONDS, dtype="float32"),
            pd.Series(SECONDS, dtype="Float32"),
            pl.Series(SECONDS, dtype=pl.Float32),
            pa.array(np.float32(SECONDS)),
            list(np.float32(SECONDS)),
        ],
        ids=["numpy", "pandas", "Float32", "polars", "pyarrow", "objects"],
    )
    def test_float32_does_not_hold_seconds(self, column):
        table = {"user": [1, 2], "item": [1, 2], "t": column}
        with pytest.raises(ValueError, match="'t' holds times such as 1700000.* as float32"):
            InteractionEncoder(timestamp="t").fit(table)
        InteractionEncoder(weight="t").fit(table)

    def test_float32_holds_days(self):
        table = {"user": [1, 2], "item": [1, 2], "t": np.float32([19000.5, 2**24])}
        X = InteractionEncoder(timestamp="t").fit_transform(table)
        assert X.data.tolist() == [19000.5, 2**24]
