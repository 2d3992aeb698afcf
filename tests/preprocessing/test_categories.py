"""InteractionEncoder: columns of categories, dictionaries of Arrow."""

import uuid

import pandas as pd
import pyarrow as pa
import pytest
from encoder_tables import IDS
from numpy.testing import assert_array_equal

from skdiffrec.preprocessing import InteractionEncoder


def as_pandas_arrow(chunks):
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array(chunks)))


class TestCategories:
    @pytest.mark.parametrize("kind", [*sorted(set(IDS) - {"surrogate", "bools"}), "periods"])
    def test_ids_are_the_same_with_and_without_categories(self, kind):
        plain = pd.Series(IDS.get(kind, list(pd.period_range("2020-01", periods=3, freq="M"))))
        column = plain.astype("category")
        expected = InteractionEncoder().fit({"user": [1, 2, 3], "item": plain})
        encoder = InteractionEncoder().fit({"user": [1, 2, 3], "item": column})
        assert encoder.items_.dtype == expected.items_.dtype
        assert set(encoder.items_.tolist()) == set(expected.items_.tolist())
        assert sorted(encoder.item_index(column)) == [0, 1, 2]
        assert_array_equal(encoder.item_index(plain), encoder.item_index(column))

    @pytest.mark.parametrize("make", [pa.chunked_array, as_pandas_arrow])
    @pytest.mark.parametrize(
        "values",
        [["b", "a", "b", "no"], [7, 5, 7, 0], [0.5, 0.25, 0.5, 0.0], [b"b", b"a", b"b", b""]],
    )
    def test_a_dictionary_that_repeats_a_value(self, values, make):
        part = pa.DictionaryArray.from_arrays(pa.array([2, 1, 0, 2], pa.int8()), pa.array(values))
        other = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array(values[1:2]))
        for chunks in ([part], [part, other]):
            users = list(range(len(chunks) + 3))
            encoder = InteractionEncoder().fit({"user": users, "item": make(chunks)})
            assert encoder.items_.tolist() == [values[1], values[0]]
            expected = [1, 0, 1, 1, 0][: len(users)]
            assert_array_equal(encoder.item_index(make(chunks)), expected)

    @pytest.mark.parametrize("make", [pa.chunked_array, as_pandas_arrow])
    def test_a_dictionary_with_a_missing_value(self, make):
        column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None]))
        with pytest.raises(ValueError, match="'item': 1 id missing, in row 1"):
            InteractionEncoder().fit({"user": [1, 2, 3], "item": make([column])})
        unused = pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(["a", None]))
        encoder = InteractionEncoder().fit({"user": [1, 2], "item": make([unused])})
        assert encoder.items_.tolist() == ["a"]

    @pytest.mark.skipif(not hasattr(pa, "uuid"), reason="Arrow 18 and later")
    def test_uuids_of_arrow(self):
        ids = [uuid.UUID(int=n) for n in (4, 3)]
        storage = pa.array([one.bytes for one in ids], pa.binary(16))
        array = pa.ExtensionArray.from_storage(pa.uuid(), storage)
        dictionary = pa.DictionaryArray.from_arrays(pa.array([0, 1]), array)
        for column in (
            array,
            pa.chunked_array([array]),
            pa.chunked_array([dictionary]),
            as_pandas_arrow([array]),
        ):
            encoder = InteractionEncoder().fit({"user": [1, 2], "item": column})
            assert encoder.items_.tolist() == sorted(ids)
            assert_array_equal(encoder.item_index(column), [1, 0])
