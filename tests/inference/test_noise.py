"""Normal numbers of a row: Box-Muller of the hashed counter, and independence."""

import math

import numpy as np
import pytest
import torch
from hash_problems import as_keys, properties, slow_hash, words
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest

from skdiffrec._inference.noise import row_normal


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
def test_a_row_has_its_numbers_whatever_the_other_rows(numbers, stream, random):
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
