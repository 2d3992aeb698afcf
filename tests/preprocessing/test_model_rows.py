"""Minimum counts in transform, and lists that stand beside the right names."""

import numpy as np
import pandas as pd
import pytest
from encoder_tables import properties
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.utils import resample

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.model_selection import LastN, SampleFraction, SampleN, TimeCut
from skdiffrec.preprocessing import (
    InteractionEncoder,
    TableRecommender,
    _identity,
    recommend_batches,
)

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


def table(n_users, n_items, most, seed=0):
    """Events in time: each user has between 1 and `most` items."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(n_items)[: rng.integers(1, most + 1)] for _ in range(n_users)]
    events = [(user, item) for user, row in enumerate(rows) for item in row]
    events += [(0, item) for item in range(n_items)]  # every item
    return [(user, item, 1.0 + place) for place, (user, item) in enumerate(events)]


SIZES = [(30, 12, 6), (60, 400, 150)]


def timed_encoder():
    return InteractionEncoder(timestamp=2)


@pytest.mark.parametrize("size", SIZES)
class TestOtherRows:
    @pytest.mark.parametrize(
        "other",
        [
            lambda X, order: resample(X, random_state=0),
            lambda X, order: SampleN(1, random_state=0).hide(X)[0][order],
            lambda X, order: X[:, np.random.default_rng(1).permutation(X.shape[1])],
            lambda X, order: X[:, np.roll(np.arange(X.shape[1]), 1)],
            lambda X, order: timed_encoder().fit_transform(
                table(*X.shape, np.diff(X.indptr[1:]).max(), seed=7)
            ),
        ],
    )
    def test_refused(self, size, other):
        encoder = timed_encoder()
        X = encoder.fit_transform(table(*size))
        model = PopularityRecommender().fit(other(X, np.roll(np.arange(X.shape[0]), 1)))
        says = "other rows than those of encoder: row .*, user .* rows"
        for _ in range(2):
            with pytest.raises(ValueError, match=says):
                recommend_batches(model, encoder)
        with pytest.raises(ValueError, match=says):
            recommend_batches(model, encoder, [(1, 2, 3.0)])
        with pytest.raises(ValueError, match=says):
            TableRecommender.from_fitted(model, encoder)

    @pytest.mark.parametrize(
        "part",
        [
            lambda X: X,
            lambda X: X * 2,
            lambda X: TimeCut(np.median(X.data)).hide(X)[0],
            lambda X: TimeCut(np.median(X.data)).hide(X)[1],
            lambda X: LastN(1).hide(X)[0],
            lambda X: SampleFraction(0.3, random_state=0).hide(X)[0],
            lambda X: SampleFraction(0.9, random_state=0).hide(X)[1],
        ],
    )
    def test_parts_of_the_rows(self, size, part):
        encoder = timed_encoder()
        model = PopularityRecommender().fit(part(encoder.fit_transform(table(*size))))
        assert next(recommend_batches(model, encoder, k=1))["user"].size

    def test_more_events(self, size):
        events = table(*size)
        more = [*events, *table(*size, seed=3)]
        few = [event for place, event in enumerate(events) if place % 3 or not event[0]]
        encoder = timed_encoder().fit(few)
        for others in (events, more):
            X = timed_encoder().fit(few).transform(others, users=encoder.users_)
            model = PopularityRecommender().fit(X)
            assert next(recommend_batches(model, encoder, k=1))["user"].size


def test_approval_ends_with_the_fit_of_the_encoder():
    encoder, events = timed_encoder(), table(30, 12, 6)
    model = PopularityRecommender().fit(encoder.fit_transform(events))
    recommend_batches(model, encoder)
    encoder.fit([((user * 7) % 30, item, time) for user, item, time in events])
    with pytest.raises(ValueError, match="in another order"):
        recommend_batches(model, encoder)
    encoder.fit(events)
    recommend_batches(model, encoder)


@properties
@given(st.integers(0, 9), st.sampled_from([3, 50, 2**20]), st.integers(0, 3))
def test_masks_of_rows(seed, block, level):
    X = timed_encoder().fit_transform(table(12, 300, 200, seed))
    counts = np.diff(X.indptr)
    levels = _identity.row_levels(X)
    assert levels.tolist() == [max(0, int(n // 16).bit_length() - 1) for n in counts]
    levels[::2] = level
    before, _identity._BLOCK_ENTRIES = _identity._BLOCK_ENTRIES, block
    found = _identity.row_masks(X, levels)
    _identity._BLOCK_ENTRIES = before
    hashes = [int(h) for h in _identity.hash64(np.arange(300))]
    for row in range(12):
        items, expected = X.indices[X.indptr[row] : X.indptr[row + 1]], 0
        for h in (hashes[item] for item in items):
            expected |= (h % 2 ** int(levels[row]) == 0) << (h >> 32 & 63)
        assert int(found[row]) == expected


@pytest.mark.parametrize("user", ["eve", b"eve", 7, np.int64(7), "zoe"])
def test_one_user_of_transform(user):
    encoder = InteractionEncoder().fit([(user, "tea"), (user, "jam")] if user != "zoe" else EVENTS)
    events = [(user, "tea"), (user, "jam")]
    X, users = encoder.transform(events, users=user, return_users=True)
    assert (
        users.tolist() == [user]
        and X.toarray().tolist() == encoder.transform(events, users=[user]).toarray().tolist()
        and X.nnz == 2
    )
