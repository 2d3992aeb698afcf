"""Blocked and allowed items by name, for everybody and for each user."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, recommend_batches

USERS, ITEMS = ["ann", "bob", "eve"], ["jam", "oat", "rye", "tea"]
EVENTS = [("bob", "tea"), ("ann", "jam"), ("eve", "oat"), ("eve", "rye"), ("bob", "rye")]
PAIRS = st.lists(st.tuples(st.sampled_from(USERS), st.sampled_from(ITEMS)), max_size=6)
NAMES = st.none() | st.lists(st.sampled_from(ITEMS), max_size=4)


def fitted(**parameters):
    encoder = InteractionEncoder(**parameters)
    return encoder, PopularityRecommender().fit(encoder.fit_transform(EVENTS))


def listed(model, encoder, X=None, k=4, **options):
    """{(user, item)} of all batches."""
    tables = recommend_batches(model, encoder, X, k=k, **options)
    return {pair for t in tables for pair in zip(t["user"], t["item"], strict=True)}


class TestAgainstSets:
    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.sampled_from(USERS), min_size=1, max_size=4),
        NAMES,
        NAMES,
        st.none() | PAIRS,
        st.none() | PAIRS,
        st.integers(1, 3),
    )
    def test_all_together(self, users, items, filter_items, blocked, allowed, batch_size):
        encoder, model = fitted()
        found = listed(
            model,
            encoder,
            users=users,
            items=items,
            filter_items=filter_items,
            blocked=blocked,
            allowed=allowed,
            batch_size=batch_size,
        )
        expected = {(user, item) for user in users for item in ITEMS} - set(EVENTS)
        expected = {
            (user, item)
            for user, item in expected
            if (items is None or item in items)
            and item not in (filter_items or [])
            and (user, item) not in (blocked or [])
            and (allowed is None or (user, item) in allowed)
        }
        assert found == expected

    def test_beside_new_users_and_new_events(self):
        encoder, model = fitted()
        found = listed(
            model,
            encoder,
            [("zoe", "tea"), ("ann", "tea")],
            blocked=[("zoe", "jam"), ("ann", "rye"), ("bob", "oat")],
        )
        assert found == {("zoe", "oat"), ("zoe", "rye"), ("ann", "oat")}

    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_tables_with_names(self, frame):
        encoder = InteractionEncoder(user="who", item="sku")
        events = frame(
            {"day": [1] * 5, "sku": [i for _, i in EVENTS], "who": [u for u, _ in EVENTS]}
        )
        model = PopularityRecommender().fit(encoder.fit_transform(events))
        blocked = frame({"reason": ["returned"], "sku": ["tea"], "who": ["ann"]})
        (table,) = recommend_batches(model, encoder, users=["ann"], blocked=blocked)
        assert sorted(table["sku"]) == ["oat", "rye"]
        (table,) = recommend_batches(model, encoder, users=["ann"], allowed=blocked)
        assert list(table["sku"]) == ["tea"]
        with pytest.raises(ValueError, match="blocked= cannot be read.*no column 'who'"):
            recommend_batches(model, encoder, blocked=frame({"user": ["ann"], "item": ["tea"]}))

    def test_numbers_as_names(self):
        rng = np.random.default_rng(0)
        events = np.unique(rng.integers(0, 50, (400, 2)), axis=0)
        encoder = InteractionEncoder()
        model = PopularityRecommender().fit(encoder.fit_transform(events))
        users = rng.permutation(encoder.users_)
        blocked = np.unique(rng.choice(encoder.items_, (300, 2)), axis=0)
        blocked = blocked[np.isin(blocked[:, 0], users)]
        found = listed(model, encoder, users=users, blocked=blocked, batch_size=7, k=50)
        pairs = {(u, i) for u in encoder.users_ for i in encoder.items_}
        assert found == pairs - set(map(tuple, events)) - set(map(tuple, blocked))


class TestUnknownNames:
    @pytest.mark.parametrize("name", ["blocked", "allowed"])
    def test_in_tables(self, name):
        encoder, model = fitted()
        for pair, says in (
            (("ann", "gone"), f"{name} holds 1 items .*'gone'.*unknown_names='ignore'"),
            (("nobody", "tea"), f"{name} holds 1 users .*'nobody'"),
        ):
            table = [pair, ("ann", "tea")]
            with pytest.raises(ValueError, match=says):
                recommend_batches(model, encoder, **{name: table})
            found = listed(model, encoder, users=["ann"], unknown_names="ignore", **{name: table})
            known = {("ann", "tea")}
            assert found == (known if name == "allowed" else {("ann", "oat"), ("ann", "rye")})

    @pytest.mark.parametrize("name", ["items", "filter_items"])
    def test_in_lists(self, name):
        encoder, model = fitted()
        with pytest.raises(ValueError, match=f"{name} holds 1 items .*'gone'"):
            recommend_batches(model, encoder, **{name: ["tea", "gone"]})
        options = {"users": ["ann"], "unknown_names": "ignore"}
        found = listed(model, encoder, **options, **{name: ["tea", "gone"]})
        assert (("ann", "tea") in found) == (name == "items") and len(found) in (1, 2)
        only = listed(model, encoder, **options, **{name: ["gone"]})
        assert len(only) == (0 if name == "items" else 3)
        assert len(listed(model, encoder, users=["ann"], **{name: "tea"})) == len(found)

    def test_what_fit_left_out_is_known(self):
        encoder, model = fitted(min_user_interactions=2)
        assert encoder.users_.tolist() == ["bob", "eve"]
        assert listed(model, encoder, blocked=[("ann", "jam"), ("bob", "oat")]) == {("eve", "tea")}
        assert listed(model, encoder, filter_items=["jam", "tea"]) == {("bob", "oat")}

    def test_matrices(self):
        encoder, model = fitted()
        for name, other in (("items", "allowed"), ("filter_items", "blocked")):
            for matrix in (np.eye(3, 4), pd.DataFrame(np.eye(3, 4))):
                with pytest.raises(TypeError, match=f"{name} must be a list.*{other}=table"):
                    recommend_batches(model, encoder, **{name: matrix})

    def test_missing_ids(self):
        encoder, model = fitted()
        with pytest.raises(ValueError, match="blocked= cannot be read.*missing id"):
            recommend_batches(model, encoder, blocked=[("ann", None)])
