"""Random tables in every form: one matrix, and lists by name as loops over dicts make them."""

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from encoder_tables import FORMS, NAMES, ROLES, as_dict
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender

texts = st.sampled_from(["", "007", "7", "Ü", "ann", "bob", "a longer name than fifteen bytes"])
ids = st.one_of(texts.filter(bool), st.just("ann"))
events_of = st.lists(
    st.tuples(ids, ids, st.integers(0, 3).map(float), st.integers(1, 9).map(float)),
    min_size=1,
    max_size=12,
)


def odd_dictionary(values):
    """A dictionary array whose dictionary holds every value twice, and one that no row has."""
    names = sorted(set(values), reverse=True)
    places = {name: place for place, name in enumerate(names)}
    codes = [places[v] + len(names) * (row % 2) for row, v in enumerate(values)]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int16()), [*names, *names, "nobody"])


def with_odd_dictionaries(columns):
    coded = {name: odd_dictionary(columns[name]) for name in ("user", "item")}
    return pa.table(columns | coded)


def chunked(columns):
    """An Arrow table in pieces of two rows."""
    whole = pa.table(columns)
    return pa.concat_tables(whole.slice(start, 2) for start in range(0, len(whole), 2))


ALL = FORMS | {
    "odd dictionaries": with_odd_dictionaries,
    "odd dictionaries of pandas": lambda c: with_odd_dictionaries(c).to_pandas(
        types_mapper=pd.ArrowDtype
    ),
    "chunks": chunked,
    "batch": lambda c: pa.table(c).to_batches()[0],
    "records": lambda c: pd.DataFrame(c).to_records(index=False),
}


def merged(events, values):
    """{(user, item): value} by loops."""
    found = {}
    for user, item, weight, time in events:
        if weight:
            pair = user, item
            if values == "weight":
                found[pair] = found.get(pair, 0) + weight
            else:
                found[pair] = min(found.get(pair, np.inf), time) if values == "time" else 1
    return found


def best_lists(pairs, k):
    """{user: names} of the most popular items that a user does not have."""
    popularity = Counter(item for _, item in pairs)
    order = sorted(popularity, key=lambda item: (-popularity[item], item))
    users = sorted({user for user, _ in pairs})
    return {user: [i for i in order if (user, i) not in pairs][:k] for user in users}


@settings(max_examples=8, deadline=None)
@given(events_of.filter(lambda events: any(event[2] for event in events)))
@pytest.mark.parametrize("values", ["binary", "weight", "time"])
def test_one_matrix_and_the_lists_of_loops(values, events):
    columns = dict(zip(NAMES, map(list, zip(*events, strict=True)), strict=True))
    pairs = merged(events, values)
    lists = best_lists(pairs, 2)
    for form, make in ALL.items():
        encoder = InteractionEncoder(**ROLES, values=values)
        X = encoder.fit_transform(make(columns)).tocoo()
        users, items = encoder.users_.tolist(), encoder.items_.tolist()
        found = {
            (users[row], items[column]): value
            for row, column, value in zip(X.row, X.col, X.data, strict=True)
        }
        assert found == pairs, form
        assert users == sorted(lists) and items == sorted({item for _, item in pairs}), form
        model = PopularityRecommender(values="binary").fit(X)
        for names, user in zip(encoder.item_names(model.recommend(k=2)[0]), users, strict=True):
            assert [name for name in names if name is not None] == lists[user], form


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(events_of.filter(lambda events: any(event[2] for event in events)))
def test_tables_of_lists(events):
    columns = dict(zip(NAMES, map(list, zip(*events, strict=True)), strict=True))
    expected = best_lists(merged(events, "binary"), 3)
    for form, make in ALL.items():
        encoder = InteractionEncoder(weight="weight", values="binary")
        table = {name: columns[name] for name in NAMES[:3]}
        model = TableRecommender(PopularityRecommender(), encoder).fit(make(table))
        found = as_dict(model.recommend(k=3))
        rows = {user: [] for user in expected}
        for user, rank, item in zip(found["user"], found["rank"], found["item"], strict=True):
            rows[user].append(item)
            assert rank == len(rows[user]), form
        assert rows == expected, form


def test_the_odd_dictionary_is_odd():
    array = odd_dictionary(["b", "a", "b"])
    assert_array_equal(array.to_pylist(), ["b", "a", "b"])
    assert len(array.dictionary) == 5
