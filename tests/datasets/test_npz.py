"""`load_npz`: splits, time order, damaged files, and the benchmark files."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from benchmark_files import shared_file
from dataset_checks import SPLITS, assert_canonical, entries
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec.datasets import load_npz

# n_users, n_items, then interactions in train, valid and test, from the files' documentation.
DOCUMENTED = {
    "ml-100k": (943, 1682, 70_012, 9_988, 20_000),
    "ml-1m_clean": (5_949, 2_810, 403_277, 110_722, 57_532),
    "amazon-office": (4_905, 2_420, 36_328, 6_464, 10_466),
    "lastfm": (1_880, 4_489, 37_927, 4_208, 10_533),
}


def write(path, user=(0, 0, 1), item=(1, 0, 1), split=(0, 1, 2), **more):
    np.savez(path, user=user, item=item, split=split, **more)
    return path


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


@settings(max_examples=30, deadline=None)
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
    assert load_npz(path).train.nnz == 1  # ratings that are not asked for are not checked


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
    with pytest.raises(ValueError, match="no array 'rating', so values=\"rating\""):
        load_npz(path, values="rating")
    with pytest.raises(ValueError, match="values must be one of .*'ratings'"):
        load_npz(path, values="ratings")
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
