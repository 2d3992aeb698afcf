"""InteractionEncoder: net quantities of purchases and returns, against pandas and a plain loop."""

import numpy as np
import pandas as pd
import pytest
from encoder_tables import NAMES, ROLES, cells
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec.preprocessing import InteractionEncoder

some_examples = settings(max_examples=15, deadline=None)
# few users, items and times: many returns, repeats and events at the same time
EVENT = st.tuples(
    st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(-3, 3), st.integers(1, 5)
)
events = st.lists(EVENT, min_size=1, max_size=25)


def frame_of(events):
    return pd.DataFrame(events, columns=NAMES)


def encode(table, **parameters):
    """{(user, item): value}, empty if nothing is left; the same by `transform`."""
    encoder = InteractionEncoder(returns="net", **parameters)
    try:
        X = encoder.fit_transform(table)
    except ValueError as error:
        assert "nothing is left" in str(error)
        return {}
    again, users = encoder.transform(table, return_users=True)
    assert_array_equal(again.toarray(), X.toarray())
    assert_array_equal(users, encoder.users_)
    return cells(X, encoder.users_, encoder.items_)


def net_by_pandas(frame, min_weight=None):
    net = frame.groupby(["user", "item"])["weight"].sum()
    net = net[(net > 0) & (net >= (min_weight or 0))]
    return net.to_dict()


def times_left(frame, pair):
    """Times of the single pieces of an item that a user is left with."""
    rows = frame[(frame["user"] == pair[0]) & (frame["item"] == pair[1])]
    pieces, owed = [], 0
    for time, at_once in rows.groupby("timestamp")["weight"]:
        pieces += [time] * int(at_once.clip(lower=0).sum())
        owed -= int(at_once.clip(upper=0).sum())
        while pieces and owed:
            pieces.pop()
            owed -= 1
    return pieces


class TestNet:
    @some_examples
    @given(events, st.sampled_from([None, 0, 2]))
    def test_quantities_as_pandas_sums(self, events, min_weight):
        frame = frame_of(events)
        expected = net_by_pandas(frame, min_weight)
        found = encode(frame[["user", "item", "weight"]], weight="weight", min_weight=min_weight)
        assert found == expected
        ones = encode(frame, weight="weight", min_weight=min_weight, values="binary")
        assert ones == dict.fromkeys(expected, 1)

    @some_examples
    @given(events, st.sampled_from(["auto", "last"]), st.sampled_from([None, 2]), st.randoms())
    def test_times_of_what_is_left(self, events, duplicates, min_weight, random):
        frame = frame_of(events)
        pick = max if duplicates == "last" else min
        expected = {
            pair: pick(times_left(frame, pair)) for pair in net_by_pandas(frame, min_weight)
        }
        for table in (frame, frame.sample(frac=1, random_state=random.randrange(99))):
            found = encode(
                table, **ROLES, values="time", duplicates=duplicates, min_weight=min_weight
            )
            assert found == expected

    @some_examples
    @given(events, st.integers(1, 2), st.integers(1, 2))
    def test_minimum_counts_are_of_what_is_left(self, events, min_user, min_item):
        frame = frame_of(events)
        counts = dict(min_user_interactions=min_user, min_item_interactions=min_item)
        kept = pd.DataFrame([*net_by_pandas(frame)], columns=["user", "item"])
        expected = {}
        if len(kept):
            plain = InteractionEncoder(**counts)
            try:
                expected = cells(plain.fit_transform(kept), plain.users_, plain.items_)
            except ValueError:  # nothing is left
                pass
        found = encode(frame, weight="weight", values="binary", **counts)
        assert found == expected

    def test_what_a_return_takes_back(self):
        for quantities, times in [
            ([("tea", 1, 1), ("tea", 1, 5), ("tea", -1, 7)], {"tea": 1}),  # the latest
            ([("tea", 2, 1), ("tea", 2, 5), ("tea", -1, 7)], {"tea": 5}),  # a part of it
            ([("tea", -1, 1), ("tea", 1, 5), ("tea", 1, 9)], {"tea": 9}),  # booked before it
            ([("tea", 1, 1), ("tea", -1, 1), ("jam", 1, 3)], {"jam": 3}),
            ([("tea", -1, 1), ("jam", 1, 3)], {"jam": 3}),  # without a purchase
        ]:
            table = [("ann", *event) for event in quantities]
            found = encode(table, **ROLES, values="time", duplicates="last")
            assert found == {("ann", item): time for item, time in times.items()}

    def test_fractions_leave_nothing_by_rounding(self):
        table = [("ann", "rye", 0.1), ("ann", "rye", 0.2), ("ann", "rye", -0.3), ("ann", "tea", 1)]
        for values in ("weight", "binary"):
            assert encode(table, weight="weight", values=values) == {("ann", "tea"): 1}
        assert encode(table[:2], weight="weight", min_weight=0.3)
        timed = [(*event, place + 1) for place, event in enumerate(table)]
        assert encode(timed, **ROLES, values="time") == {("ann", "tea"): 4}

    def test_new_tables(self):
        encoder = InteractionEncoder(weight="weight", returns="net")
        encoder.fit([("ann", "tea", 1), ("bob", "jam", 2), ("bob", "jam", -2), ("bob", "tea", 1)])
        assert encoder.items_.tolist() == ["tea"]
        X, users = encoder.transform(
            [("eve", "tea", 3), ("max", "tea", 1), ("max", "tea", -1), ("eve", "new", -1)]
            + [("eve", "jam", 1)],  # seen and left out by fit
            return_users=True,
        )
        assert users.tolist() == ["eve"] and X.toarray().tolist() == [[3]]

    def test_order_of_rows_in_place_of_times(self):
        table = [("ann", "tea", 1), ("ann", "jam", 1), ("ann", "tea", 1), ("ann", "tea", -1)]
        assert encode(table, weight="weight", order=True) == {
            ("ann", "tea"): 1,
            ("ann", "jam"): 2,
        }


class TestRefused:
    def test_parameters(self):
        for parameters, says in [
            ({}, "name it by weight="),
            (dict(weight="weight", duplicates="last"), "duplicates='last'"),
            (dict(weight="weight", duplicates="error", values="binary"), "duplicates='error'"),
            (dict(weight="weight", returns="keep"), "returns"),
        ]:
            with pytest.raises(ValueError, match=says):
                InteractionEncoder(**dict(returns="net") | parameters).fit([("a", "x", 1)])

    def test_a_missing_quantity_is_none_below_the_minimum(self):
        encoder = InteractionEncoder(weight="weight", returns="net", min_weight=1)
        with pytest.raises(ValueError, match="1 weight missing, in row 0"):
            encoder.fit([("a", "x", np.nan), ("a", "y", 2)])

    def test_the_error_names_the_parameter(self):
        with pytest.raises(ValueError, match='returns="net"'):
            InteractionEncoder(weight="weight").fit([("a", "x", -1)])
