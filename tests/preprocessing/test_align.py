"""Tables of features in the order of users and items."""

import narwhals as nw
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skdiffrec.preprocessing import InteractionEncoder

pandas = pytest.importorskip("pandas")

EVENTS = [("cem", "tea"), ("ann", "rye"), ("bob", "tea"), ("ann", "tea")]


@pytest.fixture(scope="module")
def encoder():
    return InteractionEncoder().fit(pandas.DataFrame(EVENTS, columns=["user", "item"]))


@pytest.fixture(scope="module")
def people():
    """Of three users, one of whom nobody has met."""
    columns = {"age": [50, 41, 9], "user": ["cem", "ann", "zoe"], "town": ["ulm", None, "graz"]}
    return pandas.DataFrame(columns, index=[7, 7, 7])


def tables(frame):
    """The frame in each library that is there."""
    yield frame
    try:
        import pyarrow

        yield pyarrow.Table.from_pandas(frame, preserve_index=False)
        import polars

        yield polars.from_pandas(frame)
    except ImportError:
        pass


def test_rows_of_users(encoder, people):
    """As a loop over dicts makes it."""
    known = {row["user"]: row for row in people.to_dict("records")}
    for table in tables(people):
        found = encoder.align(table)
        assert type(found) is type(table)
        columns = nw.from_native(found).to_dict(as_series=False)
        assert list(columns) == ["age", "town"]
        for name, values in columns.items():
            expected = [known.get(user, {}).get(name) for user in encoder.users_]
            found, expected = (
                [None if value != value else value for value in column]  # NaN is missing, too
                for column in (values, expected)
            )
            assert found == expected


def test_rows_of_items(encoder):
    shelf = pandas.DataFrame({"item": ["tea", "rye"], "price": [3, 5]})
    found = encoder.align(shelf, on="item")
    assert found.price.tolist() == [5, 3] and found.price.dtype == shelf.price.dtype
    assert list(shelf) == ["item", "price"]  # as it was


def test_numbers_and_many_rows():
    rng = np.random.default_rng(0)
    users = rng.permutation(1_000)[:300] * 10**12
    encoder = InteractionEncoder().fit(pandas.DataFrame({"user": users, "item": 1}))
    table = pandas.DataFrame({"user": rng.permutation(users), "x": 0.5})
    table["x"] = table.user / 10**12
    assert_array_equal(encoder.align(table).x, np.sort(users) / 10**12)


def test_refusals(encoder, people):
    with pytest.raises(ValueError, match="'cem' more than once.*Aggregate"):
        encoder.align(pandas.concat([people, people[:1]]))
    with pytest.raises(TypeError, match="DataFrame of pandas or polars.*got dict"):
        encoder.align({"user": ["ann"]})
    with pytest.raises(ValueError, match='on must be "user" or "item"'):
        encoder.align(people, on="town")
    with pytest.raises((KeyError, ValueError), match="user"):
        encoder.align(people.drop(columns="user"))
