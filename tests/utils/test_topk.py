"""Masked top-k against sorting every row in Python."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec._utils.topk import best_columns, columns_above, masked_topk, row_blocks

properties = settings(max_examples=60, deadline=None)
# many ties, both zeros, neighbours of zero, and the infinities
awkward = st.sampled_from([-math.inf, -3.5, -1.0, -1e-40, -0.0, 0.0, 1e-40, 1.0, 2.0, math.inf])
any_float = st.floats(width=32, allow_nan=False)


def slow_topk(scores, k, seen, columns):
    ids, top = [], []
    for row in range(len(scores)):
        allowed = [
            item for item in columns if not seen[row, item] and scores[row, item] > -math.inf
        ]
        best = sorted(allowed, key=lambda item: (-scores[row, item], item))[:k]
        fill = k - len(best)
        ids.append(best + [-1] * fill)
        top.append([scores[row, item] for item in best] + [-math.inf] * fill)
    return ids, top


@st.composite
def problems(draw):
    n_rows, n_items = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    flat = draw(st.lists(awkward | any_float, min_size=n_rows * n_items, max_size=n_rows * n_items))
    scores = np.array(flat, np.float32).reshape(n_rows, n_items)
    seen = np.array(draw(st.lists(st.booleans(), min_size=len(flat), max_size=len(flat))))
    columns = draw(st.none() | st.sets(st.integers(0, n_items - 1)).map(sorted))
    return scores, draw(st.integers(1, n_items + 3)), seen.reshape(scores.shape), columns


@properties
@given(problems())
def test_against_a_slow_sort(problem):
    scores, k, seen, columns = problem
    ids, top = masked_topk(
        scores.copy(),
        k,
        sp.csr_array(seen),
        None if columns is None else np.array(columns, np.int64),
    )
    everything = range(scores.shape[1]) if columns is None else columns
    expected_ids, expected_top = slow_topk(scores, k, seen, everything)
    assert ids.dtype == np.int64 and top.dtype == np.float32
    assert ids.tolist() == expected_ids
    assert top.tolist() == expected_top


@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("levels", [3, 100_000])
def test_against_a_slow_sort_on_long_rows(k, levels):
    rng = np.random.default_rng(0)
    scores = (rng.integers(-levels, levels, (6, 300)) / 7).astype(np.float32)
    seen = rng.random(scores.shape) < 0.3
    ids, top = masked_topk(scores.copy(), k, sp.csr_array(seen))
    expected_ids, expected_top = slow_topk(scores, k, seen, range(300))
    assert ids.tolist() == expected_ids
    assert top.tolist() == expected_top


def test_ties_go_to_the_lower_id_and_the_zeros_are_one():
    scores = np.array([[0.0, -0.0, 5.0, 0.0, -0.0, 5.0]], np.float32)
    assert masked_topk(scores, 6)[0].tolist() == [[2, 5, 0, 1, 3, 4]]
    assert masked_topk(-scores, 3)[0].tolist() == [[0, 1, 3]]


def test_a_short_list_ends_in_no_item():
    scores = np.array([[1.0, 2.0, 3.0]], np.float32)
    seen = sp.csr_array(np.array([[0, 0, 1]]))
    ids, top = masked_topk(scores, 5, seen)
    assert ids.tolist() == [[1, 0, -1, -1, -1]]
    assert top.tolist() == [[2.0, 1.0, -math.inf, -math.inf, -math.inf]]


def test_without_any_column_there_is_nothing_to_list():
    ids, top = masked_topk(np.zeros((2, 3), np.float32), 2, columns=np.zeros(0, np.int64))
    assert ids.tolist() == [[-1, -1], [-1, -1]]
    assert np.isneginf(top).all()


def test_no_rows():
    ids, top = masked_topk(np.zeros((0, 3), np.float32), 2)
    assert ids.shape == top.shape == (0, 2)


def test_memory_order_does_not_matter():
    scores = np.random.default_rng(0).normal(size=(5, 20)).astype(np.float32)
    expected = masked_topk(scores.copy(), 4)
    for found, value in zip(masked_topk(np.asfortranarray(scores), 4), expected, strict=True):
        assert_array_equal(found, value)
    columns = np.arange(0, 20, 3)
    expected = masked_topk(scores.copy(), 4, columns=columns)
    strided = np.zeros((5, 40), np.float32)[:, ::2]
    strided[:] = scores
    for found, value in zip(masked_topk(strided, 4, columns=columns), expected, strict=True):
        assert_array_equal(found, value)


@pytest.mark.parametrize("width", [1, 15, 16, 17, 300])
def test_columns_above_a_floor(width):
    rng = np.random.default_rng(width)
    scores = rng.integers(-9, 9, (7, width)).astype(np.float32)
    floor = np.array([[9.0], [-9.0], [0.0], [3.0], [8.0], [-np.inf], [np.inf]], np.float32)
    rows, columns = columns_above(scores, floor, most=width)
    assert_array_equal((rows, columns), np.nonzero(scores > floor))


def test_where_many_columns_are_above_none_are_given():
    scores = np.ones((7, 300), np.float32)  # 18 groups of columns
    assert columns_above(scores, np.zeros((7, 1), np.float32), most=17) is None
    assert len(columns_above(scores, np.zeros((7, 1), np.float32), most=18)[0]) == 2100


@pytest.mark.parametrize("k", [1, 4, 18])
def test_best_columns_of_groups_and_of_few(k):
    scores = np.random.default_rng(k).integers(-3, 3, (9, 300)).astype(np.float32)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert_array_equal(best_columns(scores, k), expected)


def test_row_blocks_share_out_the_rows(monkeypatch):
    monkeypatch.setattr("skdiffrec._utils.topk._BLOCK_ELEMENTS", 100)
    assert row_blocks(23, 10) == [slice(0, 10), slice(10, 20), slice(20, 23)]
    assert row_blocks(5, 1_000) == [slice(i, i + 1) for i in range(5)]
    assert row_blocks(23, 10, most=8) == [slice(0, 8), slice(8, 16), slice(16, 23)]
    assert row_blocks(0, 10) == []
