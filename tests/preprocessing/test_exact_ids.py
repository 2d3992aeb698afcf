"""Ids stay exactly what they are: none is rounded to another's."""

import datetime
import decimal as decimals

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skdiffrec.preprocessing import InteractionEncoder

LARGE = [2**63, 2**63 + 1, 5]


@pytest.mark.parametrize("form", [list, tuple, lambda ids: np.array(ids, object)])
def test_large_integers_are_not_rounded(form):
    encoder = InteractionEncoder().fit({"user": np.array(LARGE, np.uint64), "item": [*"xyz"]})
    np.testing.assert_array_equal(encoder.user_index(form([2**63 + 1, 5])), [2, 0])
    X = encoder.transform({"user": [2**63 + 1], "item": ["x"]}, users=form([5, 2**63 + 1]))
    np.testing.assert_array_equal(X.toarray(), [[0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("ids", [LARGE, [*LARGE, -1], [*LARGE, 2**70], [-(2**63), 2**63 - 1]])
def test_integers_of_any_size_are_ids_of_their_own(ids):
    encoder = InteractionEncoder().fit([(user, "a") for user in ids])
    assert encoder.users_.tolist() == sorted(ids)
    assert encoder.user_index(ids).tolist() == [sorted(ids).index(user) for user in ids]


def test_times_are_not_the_numbers_that_store_them():
    encoder = InteractionEncoder().fit({"user": np.array([5], "M8[ns]"), "item": ["x"]})
    assert encoder.user_index([5], unknown=-1) == [-1]
    assert encoder.user_index(np.array([5], "m8[ns]"), unknown=-1) == [-1]


def new_types():
    """(ids of fit, id of another type that the type of fit would round) by name."""
    decimal, time = decimals.Decimal, datetime.time

    def series(kind):
        return lambda ids: pd.DataFrame({"user": pd.Series(ids, dtype=kind), "item": ["x"]})

    def polars(kind):
        return lambda ids: pl.DataFrame({"user": pl.Series(ids, dtype=kind), "item": ["x"]})

    def arrow(kind):
        return lambda ids: pa.table({"user": pa.array(ids, kind), "item": ["x"]})

    moment = pd.Timestamp(10**18, tz="UTC")
    late = pd.Timestamp(10**18 + 1, tz="UTC")
    return {
        "float32": (series("f4"), 1.5, series("f8"), 1.50000001),
        "Float32": (series("Float32"), 1.5, series("Float64"), 1.50000001),
        "zone": (series("M8[us, UTC]"), moment, series("M8[ns, UTC]"), late),
        "pandas Arrow": (series("float[pyarrow]"), 1.5, series("double[pyarrow]"), 1.50000001),
        "polars Float32": (polars(pl.Float32), 1.5, polars(pl.Float64), 1.50000001),
        "polars Float32, huge": (polars(pl.Float32), 1.5, polars(pl.Float64), 1e300),
        "polars Decimal": (
            *(polars(pl.Decimal(12, 3)), decimal("1.235")),
            *(polars(pl.Decimal(12, 5)), decimal("1.23456")),
        ),
        "halffloat": (arrow(pa.float16()), np.float16(1.5), arrow(pa.float64()), 1.50000001),
        "time32": (
            *(arrow(pa.time32("s")), time(1, 2, 3)),
            *(arrow(pa.time64("us")), time(1, 2, 3, 7)),
        ),
    }


@pytest.mark.parametrize("name", new_types())
def test_new_ids_are_not_rounded_to_the_type_of_fit(name):
    make, known, make_new, new = new_types()[name]
    encoder = InteractionEncoder().fit(make([known]))
    for table, user in ((make([known]), known), (make_new([new]), new)):
        lists = encoder.inverse_transform(np.array([[0]]), users=table["user"])
        assert nw.from_native(lists)["user"].to_list() == [user]


MOMENTS = [pd.Timestamp(10**18 + k) for k in range(3)]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_nanoseconds_of_pandas_are_kept(zone):
    moments = [moment.tz_localize("UTC").tz_convert(zone) for moment in MOMENTS]
    forms = (
        [(moment, "a") for moment in moments],
        {"user": moments, "item": [*"abc"]},
        pd.DataFrame({"user": pd.Series(moments, dtype=object), "item": [*"abc"]}),
    )
    for table in forms:
        encoder = InteractionEncoder().fit(table)
        assert encoder.users_.dtype == "datetime64[ns]"
        assert encoder.users_.astype(int).tolist() == [10**18, 10**18 + 1, 10**18 + 2]
        assert encoder.user_index(moments[::-1]).tolist() == [2, 1, 0]


def test_plain_datetimes_stay_microseconds_and_mixed_ones_keep_all():
    plain = datetime.datetime(2020, 1, 1)
    assert InteractionEncoder().fit([(plain, 1)]).users_.dtype == "datetime64[us]"
    far = datetime.datetime(3000, 1, 1)  # which 64 bits of nanoseconds do not hold
    encoder = InteractionEncoder().fit([(far, 1), (MOMENTS[1], 1), (MOMENTS[2], 1)])
    assert encoder.users_.tolist() == [*MOMENTS[1:], far]


def test_times_of_day_that_python_would_merge_are_refused():
    times = pl.Series([3600 * 10**9, 3600 * 10**9 + 1]).cast(pl.Time)
    with pytest.raises(ValueError, match="hold nanoseconds"):
        InteractionEncoder().fit(pl.DataFrame({"user": times, "item": [1, 2]}))


@pytest.mark.parametrize("kind", ["i8", "f4", "U4", "M8[ns]", "m8[s]", object])
def test_masked_ids_are_missing(kind):
    ids = np.ma.array(np.array([1, 2, 3], "i8").astype(kind), mask=[0, 1, 0])
    with pytest.raises(ValueError, match="column 'user': 1 id missing, in row 1"):
        InteractionEncoder().fit({"user": ids, "item": [1, 2, 3]})
    whole = InteractionEncoder().fit({"user": ids[[0, 2]], "item": [1, 3]})
    assert whole.user_index(ids.data[[2]]).tolist() == [1]


def test_masked_cells_of_arrays_and_weights_are_missing():
    table = np.ma.masked_equal([[1, 2], [-999, 4]], -999)
    with pytest.raises(ValueError, match="column 'user': 1 id missing, in row 1"):
        InteractionEncoder().fit(table)
    weights = np.ma.masked_equal([1, 999], 999)
    with pytest.raises(ValueError, match="column 'w': 1 weight missing, in row 1"):
        InteractionEncoder(weight="w").fit({"user": [1, 2], "item": [1, 2], "w": weights})


def lists_of(table):
    encoder = InteractionEncoder().fit(table)
    return encoder.inverse_transform(np.array([[0], [1]]))


@pytest.mark.parametrize("make", [pl.Series, pd.Series, pa.array, lambda v: pa.chunked_array([v])])
def test_a_dict_of_columns_gives_a_dict_of_arrays(make):
    lists = lists_of({"user": make(["a", "b"]), "item": make([1, 2])})
    assert set(map(type, lists.values())) == {np.ndarray}
    assert {name: array.tolist() for name, array in lists.items()} == {
        "user": ["a", "b"],
        "rank": [1, 1],
        "item": [1, 2],
    }


@pytest.mark.parametrize("kind", ["string_view", "binary_view"])
def test_views_of_arrow_are_given_back(kind):
    kind = getattr(pa, kind)()
    lists = lists_of(pa.table({"user": pa.array(["a", "b"], kind), "item": [1, 2]}))
    assert lists["user"].type == kind and len(lists) == 2


def test_errors_of_floating_point_set_by_the_host_do_not_matter():
    with np.errstate(all="raise"):
        encoder = InteractionEncoder(timestamp="t").fit({"user": [1], "item": [1], "t": [1]})
        with pytest.raises(ValueError, match="'t': 1 time"):
            encoder.fit({"user": [1], "item": [1], "t": [0]})


@pytest.mark.parametrize("kind", ["Struct", "Array", "List"])
def test_nested_ids_are_refused_by_name(kind):
    ids = {
        "Struct": pl.Series([{"a": 1}]),
        "Array": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)),
        "List": pl.Series([[1, 2]]),
    }[kind]
    with pytest.raises(TypeError, match=f"'user' holds an id that cannot be hashed: it is {kind}"):
        InteractionEncoder().fit(pl.DataFrame({"user": ids, "item": [1]}))


@pytest.mark.skipif(not hasattr(pl, "Int128"), reason="polars is too old")
@pytest.mark.parametrize("ids", [[1, 2], [2**64, 2**100]])
def test_integers_of_128_bits_are_given_back(ids):
    lists = lists_of(pl.DataFrame({"user": pl.Series(ids, dtype=pl.Int128), "item": [1, 2]}))
    assert lists["user"].dtype == pl.Int128 and lists["user"].to_list() == ids
