"""Hashes and keys of rows: published values and slow Python integers."""

import struct

import numpy as np
import pytest
import scipy.sparse as sp
from hash_problems import WRAP, as_keys, properties, slow_hash, words
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec._utils.hashing import GOLDEN, draw_seed, entry_keys, hash64, mix64, row_keys

seeds = st.integers(0, 2**31 - 2)
values = st.floats(0.25, 1e10)
rows_of_values = st.dictionaries(st.integers(0, 30), values, max_size=8)


def slow_row_key(row, seed):
    bits = {item: struct.unpack("<Q", struct.pack("<d", value))[0] for item, value in row.items()}
    total = sum(slow_hash(item ^ slow_hash(word)) for item, word in bits.items()) % WRAP
    return slow_hash(total ^ slow_hash(seed))


def to_csr(rows, n_items=31):
    """A canonical CSR from one dict item -> value per row."""
    ordered = [sorted(row.items()) for row in rows]
    indptr = np.cumsum([0, *(len(row) for row in ordered)]).astype(np.int32)
    indices = np.array([item for row in ordered for item, _ in row], np.int32)
    data = np.array([value for row in ordered for _, value in row], np.float64)
    return sp.csr_array((data, indices, indptr), shape=(len(rows), n_items))


# Hashes

SPLITMIX64 = {
    # java.util.SplittableRandom / Vigna's splitmix64.c with state 0
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F],
    # the task's own check values at Rosetta Code, "Pseudo-random numbers/Splitmix64"
    1234567: [6457827717110365317, 3203168211198807973, 9817491932198370423],
}


@pytest.mark.parametrize("seed", SPLITMIX64)
def test_hash64_gives_the_published_sequences(seed):
    states = [(seed + step * GOLDEN) % WRAP for step in range(3)]
    expected = SPLITMIX64[seed]
    assert [int(word) for word in hash64(np.array(states, np.uint64))] == expected
    assert [int(hash64(np.uint64(state))) for state in states] == expected


@properties
@given(st.lists(words, min_size=1, max_size=5))
def test_numpy_torch_and_python_hashes_agree(numbers):
    expected = [slow_hash(number) for number in numbers]
    assert hash64(np.array(numbers, np.uint64)).tolist() == expected
    in_torch = mix64(as_keys(numbers)).numpy().view(np.uint64)
    assert in_torch.tolist() == expected


def test_hash64_leaves_its_input_alone():
    numbers = np.arange(4, dtype=np.uint64)
    hash64(numbers)
    assert_array_equal(numbers, np.arange(4))


# Keys


@properties
@given(st.lists(rows_of_values, min_size=1, max_size=4), seeds)
def test_row_and_entry_keys_against_python_integers(rows, seed):
    X = to_csr(rows)
    keys, entries = row_keys(X, seed), entry_keys(X, seed)
    assert keys.dtype == entries.dtype == np.uint64
    expected = [slow_row_key(row, seed) for row in rows]
    assert keys.tolist() == expected
    assert entries.tolist() == [
        slow_hash(key ^ slow_hash(item))
        for key, row in zip(expected, rows, strict=True)
        for item in sorted(row)
    ]


@properties
@given(st.lists(rows_of_values, min_size=1, max_size=6), seeds, st.randoms())
def test_keys_ignore_other_rows_and_their_order(rows, seed, random):
    keys = row_keys(to_csr(rows), seed)
    order = random.sample(range(len(rows)), random.randint(1, len(rows)))
    assert_array_equal(row_keys(to_csr([rows[i] for i in order]), seed), keys[order])


@properties
@given(rows_of_values, seeds, st.randoms())
def test_keys_ignore_how_a_row_is_stored(row, seed, random):
    shuffled = list(row.items())
    random.shuffle(shuffled)
    items, data = [item for item, _ in shuffled], [value for _, value in shuffled]
    for index in (np.int32, np.int64):
        X = sp.csr_array(
            (np.array(data, float), np.array(items, index), np.array([0, len(items)], index)),
            shape=(1, 31),
        )
        assert_array_equal(row_keys(X, seed), row_keys(to_csr([row]), seed))


def test_keys_ignore_the_width_of_the_floats():
    X = to_csr([{1: 0.5, 4: 3.0}])
    assert_array_equal(row_keys(X, 0), row_keys(X.astype(np.float32), 0))


@properties
@given(rows_of_values, rows_of_values, seeds, seeds)
def test_keys_tell_rows_and_seeds_apart(row, other, seed, other_seed):
    assume(row != other and seed != other_seed)
    X = to_csr([row, other])
    assert len({*row_keys(X, seed).tolist(), *row_keys(X, other_seed).tolist()}) == 4


def test_keys_see_one_changed_item_value_or_exchange():
    rows = [
        {1: 2.0, 4: 3.0},
        {1: 2.0, 5: 3.0},
        {1: 2.0, 4: 3.5},
        {1: 3.0, 4: 2.0},
        {1: 2.0},
        {4: 3.0},
        {0: 2.0, 1: 2.0, 4: 3.0},
        {},
    ]
    assert len(set(row_keys(to_csr(rows), 7).tolist())) == len(rows)


def test_empty_rows_share_a_key_that_depends_on_the_seed():
    X = to_csr([{}, {3: 1.0}, {}, {}])
    keys = row_keys(X, 5)
    assert keys[0] == keys[2] == keys[3] != keys[1]
    assert_array_equal(row_keys(to_csr([{}]), 5), keys[:1])
    assert row_keys(X, 6)[0] != keys[0]
    assert len(row_keys(to_csr([]), 5)) == 0


def test_many_rows_of_two_items_have_different_keys():
    rows = [{i: 1.0, j: 1.0} for i in range(31) for j in range(i)]
    X = to_csr(rows)
    assert len(np.unique(row_keys(X, 0))) == len(rows)
    assert len(np.unique(entry_keys(X, 0))) == X.nnz


def test_draw_seed_repeats_for_an_int_and_moves_a_random_state_on():
    assert draw_seed(3) == draw_seed(3) != draw_seed(4)
    state = np.random.RandomState(3)
    first, second = draw_seed(state), draw_seed(state)
    assert first == draw_seed(3) and second != first
    assert isinstance(first, int) and 0 <= first < 2**31
