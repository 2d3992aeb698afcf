"""Tests of skdiffrec.datasets: the file loader and the generator."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from skdiffrec.datasets import load_npz, make_interactions

SPLITS = ("train", "valid", "test")
# Benchmark files are not part of the project; they may lie in a folder beside it.
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# n_users, n_items, then interactions in train, valid and test, from the files' documentation.
DOCUMENTED = {
    "ml-100k": (943, 1682, 70_012, 9_988, 20_000),
    "ml-1m_clean": (5_949, 2_810, 403_277, 110_722, 57_532),
    "amazon-office": (4_905, 2_420, 36_328, 6_464, 10_466),
    "lastfm": (1_880, 4_489, 37_927, 4_208, 10_533),
}


def shared_file(name):
    path = SHARED_DATA / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"benchmark file {name}.npz is not beside the project")
    return path


def write(path, user=(0, 0, 1), item=(1, 0, 1), split=(0, 1, 2), **more):
    np.savez(path, user=user, item=item, split=split, **more)
    return path


def entries(data):
    """Return {(user, item): (split, value)}; fails if a pair stands in two splits."""
    found = {}
    for name in SPLITS:
        coo = data[name].tocoo()
        for user, item, value in zip(*coo.coords, coo.data, strict=True):
            assert (user, item) not in found
            found[int(user), int(item)] = (name, float(value))
    return found


def assert_canonical(data, dtype):
    for name in SPLITS:
        matrix = data[name]
        assert isinstance(matrix, csr_array)
        assert matrix.shape == (data.n_users, data.n_items)
        assert matrix.dtype == dtype
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        # Strictly increasing within a row: sorted and without duplicates.
        assert (np.diff(matrix.indices)[np.diff(rows) == 0] > 0).all()


# ------------------------------------------------------------------------------------- load_npz


@st.composite
def interactions(draw):
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, 12), st.integers(0, 9)), min_size=1, max_size=60, unique=True
        )
    )
    splits = draw(st.lists(st.integers(0, 2), min_size=len(pairs), max_size=len(pairs)))
    dtype = draw(st.sampled_from(["int8", "int32", "int64", "uint16", "uint64"]))
    user, item = np.array(pairs, dtype=dtype).T
    return user, item, np.array(splits, dtype=draw(st.sampled_from(["int8", "uint8", "int64"])))


@settings(max_examples=60, deadline=None)
@given(interactions())
def test_splits_add_up_to_the_file(arrays):
    user, item, split = arrays
    n = len(user)
    rating, timestamp = np.arange(1, n + 1) / 4, np.arange(n) + 1_300_000_001
    seen = {}
    positions = []
    for u in user.tolist():
        seen[u] = seen.get(u, 0) + 1
        positions.append(seen[u])
    with tempfile.TemporaryDirectory() as folder:
        timed = write(Path(folder) / "a.npz", *arrays, rating=rating, timestamp=timestamp)
        plain = write(Path(folder) / "b.npz", *arrays)
        loaded = {
            "binary": (load_npz(timed), np.float32, np.ones(n)),
            "weight": (load_npz(timed, values="weight"), np.float32, rating),
            "time": (load_npz(timed, values="time"), np.float64, timestamp),
            "rows": (load_npz(plain, values="time", rows_in_time_order=True), float, positions),
        }
    for data, dtype, stored in loaded.values():
        assert (data.n_users, data.n_items) == (int(user.max()) + 1, int(item.max()) + 1)
        assert_canonical(data, dtype)
        rows = zip(user.tolist(), item.tolist(), split.tolist(), stored, strict=True)
        assert entries(data) == {(u, i): (SPLITS[s], float(v)) for u, i, s, v in rows}


def test_order_of_rows_matters_only_for_positions(tmp_path):
    user, item, split = np.array([0, 0, 1, 0, 1]), np.array([3, 1, 2, 0, 1]), np.arange(5) % 3
    a = load_npz(write(tmp_path / "a.npz", user, item, split))
    b = load_npz(write(tmp_path / "b.npz", user[::-1], item[::-1], split[::-1]))
    assert entries(a) == entries(b)
    times = [
        entries(load_npz(tmp_path / name, values="time", rows_in_time_order=True))
        for name in ("a.npz", "b.npz")
    ]
    assert times[0][0, 3] == ("train", 1.0)
    assert times[1][0, 3] == ("train", 3.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ml-1m_x.npz", True), ("amazon-x.npz", True), ("ml-100k.npz", False), ("x.npz", False)],
)
def test_time_order_is_known_for_some_names(tmp_path, name, expected):
    path = write(tmp_path / name)
    assert load_npz(path).has_times is expected
    assert load_npz(path, rows_in_time_order=True).has_times is True
    assert load_npz(path, rows_in_time_order=False).has_times is False
    with pytest.raises(ValueError, match="pass rows_in_time_order=True"):
        load_npz(path, values="time", rows_in_time_order=False)
    if expected:
        assert entries(load_npz(path, values="time"))[0, 0] == ("valid", 2.0)
    else:
        with pytest.raises(ValueError, match="no array 'timestamp'"):
            load_npz(path, values="time")


@pytest.mark.parametrize("rows_in_time_order", [None, True, False])
def test_timestamps_win_over_positions(tmp_path, rows_in_time_order):
    path = write(tmp_path / "ml-1m_x.npz", timestamp=np.array([30, 20, 10]))
    data = load_npz(path, values="time", rows_in_time_order=rows_in_time_order)
    assert data.has_times is True
    assert entries(data) == {(0, 1): ("train", 30), (0, 0): ("valid", 20), (1, 1): ("test", 10)}


def test_path_types_and_description(tmp_path, monkeypatch):
    path = write(tmp_path / "some.npz")
    monkeypatch.setenv("HOME", str(tmp_path))
    for given_path in (path, str(path), "~/some.npz"):
        data = load_npz(given_path)
        assert data.filename == str(path)
    assert data.DESCR == (
        "some.npz: 2 users x 2 items; 1 train, 1 valid, 1 test interactions; values='binary'."
    )


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz.*ending included"):
        load_npz(tmp_path / "nowhere.npz")
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path)


@pytest.mark.parametrize("missing", ["user", "item", "split"])
def test_missing_array(tmp_path, missing):
    arrays = {"user": [0], "item": [0], "split": [0]}
    del arrays[missing]
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=f"no array '{missing}'"):
        load_npz(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"user": [0, 0]}, r"one length.*'user': 2, 'item': 3"),
        ({"timestamp": [1, 2]}, r"one length.*'timestamp': 2"),
        ({"user": [0, -4, 1]}, r"'user' of x.npz has the value -4 at index 1"),
        ({"item": [0, 1, -7]}, r"'item' of x.npz has the value -7 at index 2"),
        ({"split": [0, 1, 3]}, r"'split' of x.npz has the value 3 at index 2"),
        ({"split": [-1, 1, 2]}, r"'split' of x.npz has the value -1 at index 0"),
        ({"user": [0.0, 0.0, 1.0]}, r"'user' .* must hold integers, got dtype float64"),
        ({"split": [True, False, True]}, r"'split' .* must hold integers, got dtype bool"),
        ({"item": [[1], [0], [1]]}, r"'item' .* one-dimensional, got shape \(3, 1\)"),
        ({"user": [2, 5, 5], "item": [8, 8, 8]}, r"repeat 1 pair.* user 5, item 8"),
        ({"item": np.array([1, "a", None], dtype=object)}, r"'item' .* not readable"),
    ],
)
def test_malformed_arrays(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        load_npz(write(tmp_path / "x.npz", **arrays))


def test_equal_user_and_item_ids_are_no_repeated_pair(tmp_path):
    data = load_npz(write(tmp_path / "x.npz", user=[0, 0, 1, 1], item=[0, 1, 0, 1], split=[0] * 4))
    assert data.train.nnz == 4


def test_empty_file(tmp_path):
    empty = np.array([], dtype=int)
    with pytest.raises(ValueError, match="no interactions"):
        load_npz(write(tmp_path / "x.npz", empty, empty, empty))


def test_files_of_another_kind(tmp_path):
    (tmp_path / "text.npz").write_text("user item\n0 0\n")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "single.npy", np.arange(3))
    truncated = write(tmp_path / "truncated.npz").read_bytes()
    (tmp_path / "truncated.npz").write_bytes(truncated[: len(truncated) // 2])
    for name in ("text.npz", "empty.npz", "single.npy", "truncated.npz"):
        with pytest.raises(ValueError, match=name):
            load_npz(tmp_path / name)


def test_damaged_array(tmp_path):
    raw = bytearray(write(tmp_path / "x.npz", user=[7, 7, 7]).read_bytes())
    raw[raw.index(np.int64(7).tobytes())] = 9  # no longer matches the checksum
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(ValueError, match="'user' of x.npz is not readable"):
        load_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, 1e300, 1e-300])
def test_weights_must_be_positive(tmp_path, bad):
    path = write(tmp_path / "x.npz", rating=[1.0, 2.0, bad])
    with pytest.raises(ValueError, match=r"'rating' .* at index 2; valid: finite values > 0"):
        load_npz(path, values="weight")
    assert load_npz(path).train.nnz == 1  # ratings that are not asked for are not judged


@pytest.mark.parametrize("bad", [0, -5])
def test_times_must_be_positive(tmp_path, bad):
    path = write(tmp_path / "x.npz", timestamp=[bad, 2, 3])
    with pytest.raises(ValueError, match=f"'timestamp' .* the value {bad} at index 0"):
        load_npz(path, values="time")


def test_values_must_be_numbers(tmp_path):
    path = write(tmp_path / "x.npz", rating=["1", "2", "3"])
    with pytest.raises(ValueError, match="'rating' .* must hold numbers"):
        load_npz(path, values="weight")


def test_values_not_available(tmp_path):
    path = write(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="no array 'rating'"):
        load_npz(path, values="weight")
    with pytest.raises(ValueError, match="values must be one of .*'rating'"):
        load_npz(path, values="rating")
    with pytest.raises(ValueError, match="rows_in_time_order must be .* got 'yes'"):
        load_npz(path, rows_in_time_order="yes")


# ------------------------------------------------------------------------------ benchmark files


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_documented_counts(name):
    data = load_npz(shared_file(name))
    assert_canonical(data, np.float32)
    counts = tuple(data[split].nnz for split in SPLITS)
    assert (data.n_users, data.n_items, *counts) == DOCUMENTED[name]
    whole = data.train + data.valid + data.test
    assert whole.nnz == sum(counts)
    assert whole.max() == 1.0
    assert data.has_times is (name != "lastfm")


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m_clean"])
def test_benchmark_splits_follow_each_other_in_time(name):
    data = load_npz(shared_file(name), values="time")
    assert_canonical(data, np.float64)
    latest, total = np.zeros(data.n_users), np.zeros(data.n_users, dtype=int)
    for split in SPLITS:
        matrix = data[split]
        has = np.diff(matrix.indptr) > 0
        first = np.full(data.n_users, np.inf)
        first[has] = np.minimum.reduceat(matrix.data, matrix.indptr[:-1][has])
        assert (first[has] >= latest[has]).all()
        latest[has] = np.maximum.reduceat(matrix.data, matrix.indptr[:-1][has])
        total += np.diff(matrix.indptr)
    if name == "ml-1m_clean":  # without timestamps: positions up to the length of the history
        np.testing.assert_array_equal(latest, total)
    else:
        assert data.train.data.min() == 874_724_710
        assert latest.max() == 893_286_638


def test_benchmark_counts_as_weights():
    path = shared_file("lastfm")
    data = load_npz(path, values="weight")
    assert_canonical(data, np.float32)
    assert max(data[split].max() for split in SPLITS) == 324_660
    assert min(data[split].data.min() for split in SPLITS) == 1
    with pytest.raises(ValueError, match="rows_in_time_order"):
        load_npz(path, values="time")


# ---------------------------------------------------------------------------- make_interactions


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


@settings(max_examples=40, deadline=None)
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
