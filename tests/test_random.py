"""Hashes and row generators: published values, slow Python integers, and independence."""

import math
import struct

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest

from skdiffrec._hashing import GOLDEN, draw_seed, entry_keys, hash64, row_keys
from skdiffrec._random import _hash_torch, row_normal

WRAP = 2**64
properties = settings(max_examples=60, deadline=None)
words = st.integers(0, WRAP - 1)
seeds = st.integers(0, 2**31 - 2)
values = st.floats(0.25, 1e10)
rows_of_values = st.dictionaries(st.integers(0, 30), values, max_size=8)


def slow_hash(x):
    """SplitMix64's output function in Python integers, from the paper's listing."""
    x = (x + 0x9E3779B97F4A7C15) % WRAP
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % WRAP
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % WRAP
    return x ^ (x >> 31)


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


def as_keys(numbers):
    """Python integers as the int64 tensor that holds their bits."""
    return torch.from_numpy(np.array(numbers, np.uint64).view(np.int64))


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
    in_torch = _hash_torch(as_keys(numbers)).numpy().view(np.uint64)
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
def test_keys_ignore_company_and_order_of_rows(rows, seed, random):
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


# Normal numbers


def slow_normal(key, place, stream):
    bits = slow_hash(slow_hash(key) ^ slow_hash((stream << 32) + place))
    radius = ((bits >> 32) + 0.5) / 2**32
    angle = 2 * math.pi * (bits & 0xFFFFFFFF) / 2**32
    return math.sqrt(-2 * math.log(radius)) * math.cos(angle)


@properties
@given(st.lists(words, min_size=1, max_size=4), st.integers(0, 2**20))
def test_row_normal_is_box_muller_of_the_hashed_counter(numbers, stream):
    z = row_normal(as_keys(numbers), 3, stream)
    assert z.dtype == torch.float32
    expected = [[slow_normal(key, place, stream) for place in range(3)] for key in numbers]
    assert_allclose(z, expected, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def draws():
    """Two streams of 2,000 neighbouring keys by 50 dimensions."""
    keys = torch.arange(2_000)
    return [row_normal(keys, 50, stream).double().numpy() for stream in (0, 1)]


def test_row_normal_is_standard_normal(draws):
    z = draws[0].ravel()
    n = z.size
    assert abs(z.mean()) < 4 / math.sqrt(n)
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96 / n)
    assert kstest(z, "norm").pvalue > 1e-3
    # as good along a column, across neighbouring keys, as along a row
    assert np.abs(draws[0].mean(axis=0)).max() < 4.5 / math.sqrt(2_000)


def correlations(a, b):
    a, b = ((x - x.mean(0)) / x.std(0) for x in (a, b))
    return a.T @ b / len(a)


def test_dimensions_and_streams_are_uncorrelated(draws):
    first, second = draws
    assert np.abs(correlations(first, second)).max() < 5 / math.sqrt(2_000)
    within = correlations(first, first) - np.eye(50)
    assert np.abs(within).max() < 5 / math.sqrt(2_000)


def test_rows_are_uncorrelated(draws):
    first = draws[0]
    n = first[1:].size
    for distance in (1, 2, 16, 256):
        product = first[distance:] * first[:-distance]
        assert abs(product.mean()) < 4.5 / math.sqrt(n / 2)
        # nor do the sizes of neighbours go together
        squares = (first[distance:] ** 2 - 1) * (first[:-distance] ** 2 - 1)
        assert abs(squares.mean()) < 4.5 * 2 / math.sqrt(n / 2)


def test_no_number_appears_twice_in_the_streams_of_a_row():
    z = torch.cat([row_normal(torch.tensor([11]), 20, stream)[0] for stream in range(20)])
    assert len(z.unique()) == 400


@properties
@given(st.lists(words, min_size=1, max_size=6), st.integers(0, 50), st.randoms())
def test_a_row_has_its_numbers_whatever_the_company(numbers, stream, random):
    order = random.sample(range(len(numbers)), random.randint(1, len(numbers)))
    whole = row_normal(as_keys(numbers), 4, stream)
    part = row_normal(as_keys([numbers[i] for i in order]), 4, stream)
    assert_array_equal(part, whole[order])


def test_more_dimensions_go_on_where_fewer_stop():
    keys = as_keys([1, 2**63 + 5])
    assert_array_equal(row_normal(keys, 3, 2), row_normal(keys, 9, 2)[:, :3])


def test_torchs_own_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    row_normal(torch.arange(3), 3, 0)
    assert_array_equal(torch.get_rng_state(), before)
