"""Minimum counts in transform, and lists that stand beside the right names."""

import numpy as np
import pandas as pd
import pytest
from encoder_tables import properties
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, _identity, recommend_batches

EVENTS = [
    ("ann", "tea"),
    ("bob", "tea"),
    ("bob", "jam"),
    ("bob", "rye"),
    ("eve", "jam"),
    ("eve", "rye"),
    ("eve", "oat"),
]
NUMBERS = st.integers(0, 5)


class TestMinimumCounts:
    @properties
    @given(
        st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 3)), min_size=1, max_size=40),
        st.integers(1, 3),
        st.integers(1, 3),
        st.sampled_from([None, 2]),
    )
    def test_transform_of_the_table_of_fit_is_fit_transform(self, events, user, item, weight):
        encoder = InteractionEncoder(
            weight="weight",
            min_weight=weight,
            min_user_interactions=user,
            min_item_interactions=item,
        )
        for unknown_users in ("keep", "error", "ignore"):
            encoder.set_params(unknown_users=unknown_users)
            try:
                X = encoder.fit_transform(events)
            except ValueError as error:
                assert "nothing is left" in str(error)
                return
            again, users = encoder.transform(events, return_users=True)
            assert_array_equal(X.toarray(), again.toarray())
            assert users.tolist() == encoder.users_.tolist()

    def test_who_has_a_row(self):
        encoder = InteractionEncoder(min_user_interactions=2).fit(EVENTS)
        later = [("ann", "rye"), ("zoe", "rye"), ("eve", "jam")]
        assert encoder.transform(later, return_users=True)[1].tolist() == ["eve", "zoe"]
        enough = [*later, ("ann", "rye"), ("ann", "oat")]
        X, users = encoder.transform(enough, return_users=True)
        assert users.tolist() == ["ann", "eve", "zoe"] and X[[0]].nnz == 2
        assert encoder.transform(later, users=["ann"]).nnz == 1
        encoder = InteractionEncoder(min_user_interactions=2, unknown_users="error").fit(EVENTS)
        with pytest.raises(ValueError, match="users that fit did not see or keep, such as 'ann'"):
            encoder.transform(enough)


class TestModelRows:
    def test_lists_after_minimum_counts_have_nothing_that_is_owned(self):
        encoder = InteractionEncoder(min_user_interactions=2).fit(EVENTS)
        model = PopularityRecommender().fit(encoder.transform(EVENTS))
        (table,) = recommend_batches(model, encoder, k=4)
        assert table["user"].tolist() == ["bob", "eve"] and table["item"].tolist() == ["oat", "tea"]

    @pytest.mark.parametrize("users", [None, ["bob"]])
    def test_another_number_of_rows(self, users):
        encoder = InteractionEncoder()
        X = encoder.fit_transform(EVENTS)
        for rows in (X[1:], X[[0, 1, 2, 0]]):
            model = PopularityRecommender().fit(rows)
            says = f"fitted to {rows.shape[0]} rows, but encoder has 3 users.*users=encoder.users_"
            with pytest.raises(ValueError, match=says):
                recommend_batches(model, encoder, users=users)
            with pytest.raises(ValueError, match=says):
                recommend_batches(model, encoder, EVENTS, users=users)
            given = recommend_batches(model, encoder, EVENTS, users=users, history="replace")
            assert next(given)["user"].size

    def test_rows_in_another_order(self):
        encoder = InteractionEncoder()
        X = encoder.fit_transform(EVENTS)
        model = PopularityRecommender().fit(X[[0, 2, 1]])
        with pytest.raises(ValueError, match="in another order: row 1, user 'bob'"):
            recommend_batches(model, encoder)

    def test_other_events_of_the_same_users(self):
        encoder = InteractionEncoder(weight=2).fit([(*event, 2.0) for event in EVENTS])
        part = [(*event, 1.0) for event in EVENTS[2:]]
        model = PopularityRecommender().fit(encoder.transform(part, users=encoder.users_))
        (table,) = recommend_batches(model, encoder, users=["ann"], k=1)
        assert table["item"].tolist() == ["jam"]

    def test_a_model_is_checked_once(self, monkeypatch):
        encoder, calls = InteractionEncoder(), []
        model = PopularityRecommender().fit(encoder.fit_transform(EVENTS))
        found = _identity.row_hashes
        monkeypatch.setattr(_identity, "row_hashes", lambda X: calls.append(1) or found(X))
        for _ in range(3):
            recommend_batches(model, encoder)
        assert len(calls) == 1
        shuffled = PopularityRecommender().fit(encoder.transform(EVENTS)[[2, 1, 0]])
        with pytest.raises(ValueError, match="another order"):
            recommend_batches(shuffled, encoder)
        encoder.fit([(user, item) for user, item in EVENTS if user != "ann"])
        with pytest.raises(ValueError, match="3 rows, but encoder has 2"):
            recommend_batches(model, encoder)

    @properties
    @given(st.lists(st.lists(NUMBERS, max_size=5), min_size=1, max_size=30), st.integers(1, 9))
    def test_hashes_of_rows(self, rows, block):
        X = np.zeros((len(rows), 6), np.float32)
        for row, items in enumerate(rows):
            X[row, items] = 2
        sparse = pd.DataFrame(X).astype(pd.SparseDtype("float32", 0)).sparse.to_coo().tocsr()
        before, _identity._BLOCK_ENTRIES = _identity._BLOCK_ENTRIES, block
        found = _identity.row_hashes(sparse)
        _identity._BLOCK_ENTRIES = before
        sets = [frozenset(items) for items in rows]
        for row, one in enumerate(sets):
            assert [h == found[row] for h in found] == [other == one for other in sets]
