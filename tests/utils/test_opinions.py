"""Ratings as opinions: who likes what, and how much."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._inference.onnx import _signed
from skdiffrec._utils.canonical import canonical_csr
from skdiffrec._utils.opinions import Opinions

N_ITEMS = 9
ratings = st.lists(
    st.dictionaries(
        st.integers(0, N_ITEMS - 1), st.sampled_from([0.1, 0.5, 1, 1.7, 2, 2.5, 3, 4.1, 5])
    ),
    min_size=1,
    max_size=6,
).filter(any)
properties = settings(max_examples=40, deadline=None)


def to_csr(rows):
    X = sp.lil_array((len(rows), N_ITEMS))
    for i, row in enumerate(rows):
        for item, rating in row.items():
            X[i, item] = rating
    return canonical_csr(X.tocsr(), "rating")


def slow_signs(rows, liked_from):
    """What each row likes (+) and dislikes (−), and how much, one rating after the other."""
    every = [rating for row in rows for rating in row.values()]
    lowest, highest = min(every), max(every)
    signed = np.zeros((len(rows), N_ITEMS))
    for i, row in enumerate(rows):
        own = list(row.values())
        threshold = np.mean(every) if liked_from == "auto" else liked_from
        if liked_from == "auto" and len(own) >= 5 and max(own) - min(own) > 1e-6:
            threshold = np.mean(own)
        for item, rating in row.items():
            liked = rating >= threshold - 1e-6 * highest
            end = highest if liked else lowest
            span = abs(end - threshold)
            away = abs(rating - threshold) / span if span > 1e-6 * highest else 0.0
            signed[i, item] = (1 if liked else -1) * (0.5 + 0.5 * min(away, 1.0))
    return signed


@properties
@given(rows=ratings, liked_from=st.sampled_from(["auto", 0.1, 2, 2.2]))
def test_against_a_loop(rows, liked_from):
    X = to_csr(rows)
    opinions = Opinions.learned(X, liked_from, np.ones(len(rows)))
    liked, disliked = opinions.split(X)
    assert_allclose((liked - disliked).toarray(), slow_signs(rows, liked_from), atol=2e-6)
    assert (liked.data > 0).all() and (disliked.data > 0).all()
    assert liked.nnz + disliked.nnz == X.nnz


@properties
@given(rows=ratings, liked_from=st.sampled_from(["auto", 2]), seed=st.integers(0, 99))
def test_rows_filled_up_are_read_alike(rows, liked_from, seed):
    """As a serving graph reads them: places in any order, with empty ones between."""
    X = to_csr(rows)
    opinions = Opinions.learned(X, liked_from, np.ones(len(rows)))
    order = np.random.default_rng(seed).permutation(N_ITEMS)
    dense = torch.from_numpy(X.toarray()[:, order])
    signed = _signed(opinions, dense, dense > 0).numpy() * (dense.numpy() > 0)
    liked, disliked = opinions.split(X)
    assert_allclose(signed, (liked - disliked).toarray()[:, order], atol=2e-6)


@properties
@given(rows=ratings, factor=st.sampled_from([0.1, 3, 20]))
def test_the_unit_does_not_matter(rows, factor):
    X = to_csr(rows)
    parts = Opinions.learned(X, "auto", np.ones(len(rows))).split(X)
    scaled = Opinions.learned(factor * X, "auto", np.ones(len(rows))).split(factor * X)
    for one, other in zip(parts, scaled, strict=True):
        assert_array_equal(one.indices, other.indices)
        assert_allclose(one.data, other.data, atol=2e-6)


def test_weights_of_rows_count_as_copies():
    X = to_csr([{0: 1.0, 1: 5.0}, {2: 4.0}, {3: 2.0}])
    weighted = Opinions.learned(X, "auto", np.array([1.0, 2.0, 0.0]))
    copies = Opinions.learned(X[[0, 1, 1]], "auto", np.ones(3))
    assert weighted == copies == Opinions(3.5, True, 1.0, 5.0)


def test_a_row_of_ones_is_none_of_fives():
    """Five ratings that are all the same have a mean, but no opinion to read from it."""
    X = to_csr([dict.fromkeys(range(6), 1.0), dict.fromkeys(range(6), 5.0)])
    liked, disliked = Opinions.learned(X, "auto", np.ones(2)).split(X)
    assert_array_equal(np.diff(liked.indptr), [0, 6])
    assert_array_equal(np.diff(disliked.indptr), [6, 0])


def test_by_the_means_of_other_rows():
    history = to_csr([dict(enumerate([1.0, 1.0, 1.0, 1.0, 2.0]))])
    opinions = Opinions(4.0, True, 1.0, 5.0)
    liked, disliked = opinions.split(to_csr([{6: 3.0, 7: 1.0}]), by=history)
    assert_array_equal(liked.indices, [6])
    assert_array_equal(disliked.indices, [7])


def test_repeated_ratings_are_averaged():
    X = sp.coo_array(([1.0, 4.0, 2.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert_array_equal(canonical_csr(X, "rating").toarray(), [[0, 2.5], [2, 0]])


def test_what_lies_beyond_counts_as_the_nearest():
    opinions = Opinions(3.0, False, 1.0, 5.0)
    inside, outside = to_csr([{0: 1.0, 1: 5.0}]), to_csr([{0: 0.1, 1: 50.0}])
    for one, other in zip(opinions.split(inside), opinions.split(outside), strict=True):
        assert_array_equal(one.toarray(), other.toarray())
    with pytest.warns(UserWarning, match="0.1 to 50, but fit saw 1 to 5"):
        opinions.warn_of_others(outside)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opinions.warn_of_others(inside)


def test_the_ratings_of_fit_in_float32_are_no_others():
    opinions = Opinions(3.0, False, 0.7, 4.3)
    X = to_csr([{0: float(np.float32(0.7)), 1: float(np.float32(4.3))}])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opinions.warn_of_others(X)
