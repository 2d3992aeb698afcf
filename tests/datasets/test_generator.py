"""The generator: its shares, its seeds, its tastes, and what models can learn of it."""

import numpy as np
import pytest
from dataset_checks import SPLITS, assert_canonical, entries
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec.datasets import make_interactions


def history_lengths(data):
    return sum(np.diff(data[split].indptr) for split in SPLITS)


def same(a, b):
    return all((a[split] != b[split]).nnz == 0 for split in SPLITS)


def as_bytes(data):
    parts = [data[k].tobytes() for k in ("preferences", "user_tastes", "item_tastes", "item_names")]
    for split in SPLITS:
        matrix = data[split]
        parts += [a.tobytes() for a in (matrix.data, matrix.indices, matrix.indptr)]
    return b"".join(parts)


@settings(max_examples=25, deadline=None)
@given(
    n_users=st.integers(1, 25),
    n_items=st.integers(10, 60),
    length=st.integers(5, 30),
    n_tastes=st.integers(1, 10),
    popularity_exponent=st.floats(0, 3),
    taste_strength=st.floats(0, 1),
    drift=st.floats(0, 1),
    valid_fraction=st.sampled_from([0, 0.1, 0.3, 0.49]),
    test_fraction=st.sampled_from([0, 0.2, 0.5]),
    random_state=st.integers(0, 2**32 - 1),
)
def test_histories_are_split_without_loss(n_users, n_items, length, **parameters):
    data = make_interactions(
        n_users,
        n_items,
        n_interactions_per_user=min(length, n_items // 2),
        values="time",
        **parameters,
    )
    assert (data.n_users, data.n_items) == (n_users, n_items)
    assert_canonical(data, np.float64)
    assert len(entries(data)) == sum(data[split].nnz for split in SPLITS)
    lengths = history_lengths(data)
    assert lengths.min() >= 5
    assert lengths.max() <= 0.75 * n_items
    for user, length in enumerate(lengths):
        # Joined in the order of the splits, the positions count 1, 2, ...: nothing is lost, and
        # the later splits hold the later items.
        positions = [np.sort(data[split][[user]].data) for split in SPLITS]
        np.testing.assert_array_equal(np.concatenate(positions), np.arange(1, length + 1))
        assert len(positions[0]) >= 1
        assert (len(positions[1]) > 0) == (parameters["valid_fraction"] > 0)
        assert (len(positions[2]) > 0) == (parameters["test_fraction"] > 0)
    assert data.preferences.min() > 0
    np.testing.assert_allclose(data.preferences.sum(axis=1), 1, rtol=1e-5)


def test_shapes_and_types():
    data = make_interactions(30, 50, n_interactions_per_user=8, n_tastes=7)
    assert_canonical(data, np.float32)
    assert all((data[split].data == 1).all() for split in SPLITS)
    for key, shape in (
        ("preferences", (30, 50)),
        ("user_tastes", (30, 7)),
        ("item_tastes", (50, 7)),
    ):
        assert data[key].shape == shape
        assert data[key].dtype == np.float32
        np.testing.assert_allclose(data[key].sum(axis=1), 1, rtol=1e-5)
    assert set((data.user_tastes > 0).sum(axis=1)) == {1, 2}
    assert data.item_tastes.max(axis=1).min() >= 0.9
    main_taste = data.item_tastes.argmax(axis=1)
    np.testing.assert_array_equal(np.sort(np.bincount(main_taste)), [7] * 6 + [8])
    assert (np.diff(main_taste) % 7 != 1).any()  # ids tell nothing about tastes
    assert data.has_times is True
    assert "30 users x 50 items" in data.DESCR


def test_split_shares():
    data = make_interactions(200, 100, valid_fraction=0.25, test_fraction=0.5)
    lengths = history_lengths(data)
    np.testing.assert_array_equal(np.diff(data.test.indptr), np.rint(0.5 * lengths))
    np.testing.assert_array_equal(np.diff(data.valid.indptr), np.rint(0.25 * lengths))


@pytest.mark.parametrize(("valid", "test"), [(0.01, 0.01), (0.49, 0.5), (0.01, 0.98), (0.98, 0.01)])
def test_no_split_of_a_user_is_empty(valid, test):
    data = make_interactions(
        400, 40, n_interactions_per_user=8, valid_fraction=valid, test_fraction=test
    )
    for split in SPLITS:
        assert np.diff(data[split].indptr).min() >= 1


def test_history_lengths_are_skewed_around_their_mean():
    lengths = history_lengths(make_interactions(3000, 400, n_interactions_per_user=30))
    assert abs(lengths.mean() - 30) < 1.5
    assert np.median(lengths) < 0.93 * lengths.mean()
    assert np.percentile(lengths, 95) > 2 * np.median(lengths)


def test_same_seed_same_bytes():
    small = {"n_users": 40, "n_items": 60, "n_interactions_per_user": 10}
    base = as_bytes(make_interactions(**small))
    assert as_bytes(make_interactions(**small, random_state=0)) == base
    assert as_bytes(make_interactions(**small, random_state=np.random.RandomState(0))) == base
    assert as_bytes(make_interactions(**small, random_state=1)) != base
    rng = np.random.RandomState(0)
    make_interactions(**small, random_state=rng)
    assert as_bytes(make_interactions(**small, random_state=rng)) != base


def test_global_random_state_is_used_only_when_asked_for():
    small = {"n_users": 5, "n_items": 20, "n_interactions_per_user": 5}
    before = np.random.get_state()
    try:
        np.random.seed(3)
        expected = np.random.RandomState(3).random_sample()
        make_interactions(**small, random_state=0)
        assert np.random.random_sample() == expected
        np.random.seed(3)
        from_global = make_interactions(**small, random_state=None)
    finally:
        np.random.set_state(before)
    assert as_bytes(from_global) == as_bytes(make_interactions(**small, random_state=3))


def test_values_do_not_change_the_interactions():
    sets = {v: make_interactions(50, 80, values=v) for v in ("binary", "weight", "time")}
    for data in sets.values():
        pattern = {split: data[split].astype(bool) for split in SPLITS}
        assert same(pattern, {split: sets["binary"][split].astype(bool) for split in SPLITS})
        np.testing.assert_array_equal(data.preferences, sets["binary"].preferences)
    assert_canonical(sets["weight"], np.float32)
    assert_canonical(sets["time"], np.float64)


def test_weights_are_counts_that_grow_with_the_match():
    data = make_interactions(500, 200, values="weight")
    coo = data.test.tocoo()  # drawn from the tastes at the end, which are the ones returned
    assert coo.data.min() == 1
    np.testing.assert_array_equal(coo.data, np.rint(coo.data))
    users, items = coo.coords
    match = (data.user_tastes[users] * data.item_tastes[items]).sum(axis=1)
    slope, level = np.polyfit(match, coo.data, 1)
    assert slope == pytest.approx(3, abs=0.3)
    assert level == pytest.approx(1, abs=0.2)


def test_preferences_without_tastes_are_the_popularity():
    data = make_interactions(4, 100, taste_strength=0, popularity_exponent=1.3)
    assert (data.preferences == data.preferences[0]).all()
    power_law = np.arange(1, 101) ** -1.3
    np.testing.assert_allclose(
        np.sort(data.preferences[0])[::-1], power_law / power_law.sum(), rtol=1e-5
    )
    # Ids tell nothing about it: a tie broken by id must not look like a popularity model.
    ranks = np.argsort(np.argsort(data.preferences[0]))
    assert abs(np.corrcoef(ranks, np.arange(100))[0, 1]) < 0.25


def test_preferences_are_what_the_tastes_say():
    same_draws = {"n_users": 20, "n_items": 60, "n_interactions_per_user": 10}
    popularity = make_interactions(**same_draws, taste_strength=0).preferences[0]
    data = make_interactions(**same_draws, taste_strength=0.7)
    expected = 0.3 * popularity
    for taste, share in enumerate(data.user_tastes.T):
        of_taste = popularity * data.item_tastes[:, taste]
        expected = expected + 0.7 * share[:, None] * of_taste / of_taste.sum()
    np.testing.assert_allclose(data.preferences, expected, rtol=1e-4)


def taste_z_scores(data, drawn, gone):
    """Compare the tastes of items drawn, one per user, with those `preferences` predicts.

    Under the null the z-scores (n_tastes,) are about standard normal: the sum over users of
    (1 if the item is of the taste, less its probability), over its standard deviation. `gone`
    (n_users, n_items) says which items could not be drawn any more.
    """
    p = np.where(gone, 0, data.preferences.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    main = data.item_tastes.argmax(axis=1)
    of_taste = np.equal.outer(main, np.arange(data.item_tastes.shape[1])).astype(float)
    # Weighted by the taste mix, so that a mismatch of users cannot cancel over them.
    weight = data.user_tastes.astype(float)
    expected = p @ of_taste
    variance = (weight**2 * expected * (1 - expected)).sum(axis=0)
    return (weight * (of_taste[drawn] - expected)).sum(axis=0) / np.sqrt(variance)


@pytest.mark.parametrize("drift", [0.0, 0.8])
def test_the_end_of_a_history_is_drawn_from_preferences(drift):
    data = make_interactions(6000, 100, n_tastes=4, values="time", drift=drift, random_state=5)
    past = (data.train + data.valid).toarray()
    times = past + data.test.toarray()
    first_test = np.where(times == past.max(axis=1, keepdims=True) + 1)[1]
    assert len(first_test) == 6000
    assert np.abs(taste_z_scores(data, first_test, past > 0)).max() < 4
    # The last one of all, too: tastes stand still within the test split.
    last = times.argmax(axis=1)
    gone = times > 0
    gone[np.arange(6000), last] = False
    assert np.abs(taste_z_scores(data, last, gone)).max() < 4
    # The beginning follows them only where tastes do not drift.
    very_first = np.where(times == 1)[1]
    z = taste_z_scores(data, very_first, np.zeros_like(gone))
    if drift:
        assert z.max() < -20
    else:
        assert np.abs(z).max() < 4


def test_drift_moves_step_by_step():
    data = make_interactions(
        3000, n_interactions_per_user=20, n_tastes=6, values="time", drift=1.0, valid_fraction=0
    )
    match = data.user_tastes @ data.item_tastes.T
    times = (data.train + data.valid + data.test).toarray()
    share = times / times.max(axis=1, keepdims=True)
    tenths = [match[(share > low) & (share <= low + 0.2)].mean() for low in (0, 0.2, 0.4, 0.6, 0.8)]
    assert (np.diff(tenths) > 0.05).all()


def test_item_names():
    data = make_interactions(10, 300, n_tastes=30)
    assert data.item_names.shape == (300,)
    assert data.item_names.dtype.kind == "U"
    assert len(set(data.item_names)) == 300
    assert len(set(data.taste_names)) == 30
    for name, taste in zip(data.item_names, data.item_tastes.argmax(axis=1), strict=True):
        head, number = name.rsplit(" ", 1)
        assert head == data.taste_names[taste]
        assert 1 <= int(number) <= 10
    assert "space opera 07" in data.item_names
    assert "space opera 3 07" in data.item_names  # the third round through twelve words


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("n_users", 0, "at least 1"),
        ("n_users", 2.5, "integer"),
        ("n_users", True, "integer"),
        ("n_items", 9, "at least 10"),
        ("n_items", "many", "integer"),
        ("n_interactions_per_user", 4, "from 5 to 30"),
        ("n_interactions_per_user", 31, "from 5 to 30"),
        ("n_tastes", 0, "from 1 to 60"),
        ("n_tastes", 61, "from 1 to 60"),
        ("popularity_exponent", -0.1, "from 0 to 3"),
        ("popularity_exponent", 3.1, "from 0 to 3"),
        ("taste_strength", 1.1, "from 0 to 1"),
        ("taste_strength", np.nan, "from 0 to 1"),
        ("drift", -1, "from 0 to 1"),
        ("drift", None, "from 0 to 1"),
        ("values", "count", "one of"),
        ("valid_fraction", -0.1, "from 0 to below 1"),
        ("valid_fraction", 0.8, "less than 1"),
        ("test_fraction", 1, "from 0 to below 1"),
    ],
)
def test_bad_parameters(name, value, valid):
    parameters = {"n_users": 20, "n_items": 60, "n_interactions_per_user": 10, name: value}
    with pytest.raises(ValueError, match=f"{name} .*{valid}.* {value!r}"):
        make_interactions(**parameters)


def test_limits_of_the_parameters_are_valid():
    data = make_interactions(
        np.int64(1), 10, n_interactions_per_user=5, n_tastes=10, popularity_exponent=3,
        taste_strength=1, drift=1,
    )  # fmt: skip
    assert history_lengths(data).tolist() == [5]


# ------------------------------------------------------------------- what models can learn of it


def ndcg_at_10(scores, seen, holdout):
    top = np.argsort(np.where(seen, np.inf, -scores), axis=1, kind="stable")[:, :10]
    discount = 1 / np.log2(np.arange(10) + 2)
    gain = (np.take_along_axis(holdout, top, axis=1) * discount).sum(axis=1)
    ideal = np.cumsum(discount)[np.minimum(holdout.sum(axis=1), 10) - 1]
    return (gain / ideal).mean()


def ease(X, l2):
    gram = X.T @ X + l2 * np.eye(X.shape[1])
    inverse = np.linalg.inv(gram)
    B = -inverse / np.diag(inverse)
    np.fill_diagonal(B, 0)
    return B


def recency(times, half_life):
    age = np.argsort(np.argsort(-times, axis=1), axis=1)  # in items; 0 is the latest
    return np.where(times > 0, np.maximum(0.1, 0.5 ** (age / half_life)), 0)


def measure(data):
    times = data.train.toarray()
    X = (times > 0).astype(float)
    seen = (times + data.valid.toarray()) > 0
    holdout = data.test.toarray() > 0
    B = ease(X, 200)
    scores = {
        "popularity": np.tile(X.sum(axis=0), (len(X), 1)),
        "ease": X @ B,
        "recency": recency(times, 10) @ B,
        "oracle": data.preferences,
    }
    return {name: ndcg_at_10(s, seen, holdout) for name, s in scores.items()}


def test_default_set_separates_models():
    found = measure(make_interactions(values="time"))
    assert found["popularity"] + 0.08 < found["ease"]
    assert found["ease"] + 0.025 < found["recency"]
    assert found["recency"] + 0.06 < found["oracle"]
    assert found["oracle"] < 0.5


def test_recency_is_worth_nothing_without_drift():
    found = measure(make_interactions(values="time", drift=0.0))
    assert found["popularity"] + 0.08 < found["recency"] < found["ease"] < found["oracle"]


@pytest.mark.parametrize("strength", [0.0, 0.8, 1.0])
def test_features_name_the_taste_as_often_as_asked(strength):
    data = make_interactions(
        3_000, 60, n_interactions_per_user=6, n_tastes=4, feature_strength=strength
    )
    U, main = data.user_features.toarray(), data.user_tastes.argmax(1)
    assert U.shape == (3_000, 8) and (U[:, :4].sum(1) == 1).all() and (U[:, 4:].sum(1) == 1).all()
    honest = (U[:, :4].argmax(1) == main).mean()
    assert abs(honest - (strength + (1 - strength) / 4)) < 0.03
    # regions and decades say nothing
    assert abs(np.corrcoef(U[:, 4], main == 0)[0, 1]) < 0.06
    V = data.item_features.toarray()
    assert (V[:, :4].argmax(1) == data.item_tastes.argmax(1)).all() and (V[:, 4:].sum(1) == 1).all()
    assert data.user_feature_names[0] == f"taste={data.taste_names[0]}"
    assert len(data.item_feature_names) == V.shape[1] == 9


@pytest.mark.parametrize("values", ["weight", "time"])
def test_features_do_not_depend_on_the_values(values):
    one, other = (
        make_interactions(50, 40, n_interactions_per_user=8),
        make_interactions(50, 40, n_interactions_per_user=8, values=values),
    )
    for name in ("user_features", "item_features"):
        assert (one[name] != other[name]).nnz == 0


def test_feature_strength_is_a_share():
    with pytest.raises(ValueError, match="feature_strength must be a number from 0 to 1, got 2"):
        make_interactions(feature_strength=2)


class TestRatings:
    def test_the_interactions_do_not_depend_on_them(self):
        sizes = dict(n_users=80, n_items=60, n_interactions_per_user=12, random_state=4)
        plain, rated = make_interactions(**sizes), make_interactions(**sizes, values="rating")
        for name in ("train", "valid", "test"):
            assert (plain[name] != (rated[name] > 0)).nnz == 0
        for name in ("user_dislikes", "item_moods", "mood_names"):
            assert_array_equal(plain[name], rated[name])
        assert (plain.user_features != rated.user_features).nnz == 0

    def test_nine_in_ten_of_a_disliked_mood_are_rated_low(self):
        data = make_interactions(400, 100, n_interactions_per_user=20, values="rating")
        X = data.train.tocoo()
        assert set(X.data) == {1.0, 2.0, 4.0, 5.0} and X.data.dtype == np.float32
        disliked = data.user_dislikes[X.row] == data.item_moods[X.col]
        assert 0.2 < disliked.mean() < 0.3
        assert np.mean((X.data < 3) == disliked) == pytest.approx(0.9, abs=0.02)
