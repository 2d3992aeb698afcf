"""The same events as tables of every library."""

import datetime as dt
import decimal
import sqlite3
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import settings

properties = settings(max_examples=30, deadline=None)

EVENTS = [
    ("ann", "tea", 1.0, 30.0),
    ("bob", "jam", 5.0, 10.0),
    ("ann", "jam", 2.0, 20.0),
    ("ann", "tea", 4.0, 10.0),
    ("eve", "rye", 3.0, 50.0),
]
PAIRS = [event[:2] for event in EVENTS]
NAMES = ("user", "item", "weight", "timestamp")
ROLES = dict(weight="weight", timestamp="timestamp")


def structured(columns):
    array = np.empty(len(columns["user"]), [(n, np.asarray(v).dtype) for n, v in columns.items()])
    for name, values in columns.items():
        array[name] = values
    return array


def sqlite_rows(columns):
    """Rows of a database, with the columns in another order."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    rows = zip(*columns.values(), strict=True)
    places = ", ".join(f"column{n + 1} AS '{name}'" for n, name in enumerate(columns))
    table = ", ".join(f"({', '.join('?' * len(columns))})" for _ in columns["user"])
    query = f"SELECT {', '.join(reversed(places.split(', ')))} FROM (VALUES {table})"
    return connection.execute(query, [value for row in rows for value in row]).fetchall()


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
    "dicts": lambda c: [dict(zip(c, row, strict=True)) for row in zip(*c.values(), strict=True)],
    "itertuples": lambda c: list(pd.DataFrame(c).itertuples()),
    "sqlite": sqlite_rows,
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


# ids of every kind, three of each
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
    "mixed": [1, "a", ("x",)],
    "frozensets": [frozenset({1}), frozenset({2}), frozenset()],
    "uuids": [uuid.UUID(int=7), uuid.UUID(int=5), uuid.UUID(int=9)],
    "dates": [dt.date(2020, 1, 2), dt.date(2019, 1, 1), dt.date(1950, 1, 1)],
    "zoned": [dt.datetime(2020, 1, d, tzinfo=dt.UTC) for d in (3, 1, 2)],
    "decimals": [decimal.Decimal("1.5"), decimal.Decimal("0.1"), decimal.Decimal(3)],
    "datetime64": list(np.array(["2020-01-02", "2019-01-01", "2021-01-01"], "M8[ns]")),
}
