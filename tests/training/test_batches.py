"""How training rows are cut into a condition and a target."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import chisquare
from training_problems import (
    N_ITEMS,
    all_values,
    cut,
    filled_rows,
    marked_rows,
    properties,
    ranges,
    seeds,
    to_csr,
    to_dicts,
    training_rows,
)

from skdiffrec._network.sparse_rows import AgedRows, SparseRows
from skdiffrec.preprocessing import recency_weights


@all_values
@properties
@given(rows=filled_rows, target_share=ranges, seed=seeds)
def test_condition_and_target_share_out_the_row(values, rows, target_share, seed):
    for row, shown, known, target in zip(
        rows, *cut(rows, values, seed, target_share=target_share, cond_drop_prob=0.4), strict=True
    ):
        assert not shown.keys() & target.keys()
        assert shown.keys() | target.keys() == row.keys()
        assert target  # there is always something to learn
        assert known == bool(shown)


@all_values
@properties
@given(rows=filled_rows, target_share=ranges, seed=seeds)
def test_the_share_shown_lies_in_the_range(values, rows, target_share, seed):
    low, high = target_share
    shown, _, _ = cut(rows, values, seed, target_share=target_share, cond_drop_prob=0.0)
    for row, condition in zip(rows, shown, strict=True):
        length = len(row)
        assert len(condition) >= math.floor((1 - high) * length - 1e-4)
        assert len(condition) <= min(length - 1, math.floor((1 - low) * length + 1e-4))


def test_orders_are_shown_whole():
    """Items of one time are neither before nor after one another, if a row has several times."""
    orders = {item: 1.0 + item // 5 for item in range(14)}
    rows = [orders] * 9 + [{item: 3.0 for item in range(6)}]
    changed = dict(target_share=(0.0, 1.0), cond_drop_prob=0.0, sets=True)
    shown, _, target = cut(rows, "time", repeats=20, **changed)
    sizes = [len(condition) for condition in shown]
    whole = np.arange(len(sizes)) % 10 < 9
    assert {size for size, of_orders in zip(sizes, whole, strict=True) if of_orders} == {5, 10}
    single = {size for size, of_orders in zip(sizes, whole, strict=True) if not of_orders}
    assert len(single) > 2 and all(target)


@all_values
def test_however_small_the_share_something_is_left_to_learn(values):
    rows = [{item: 1.0 + item for item in range(length)} for length in (2, 5, 14)]
    _, _, target = cut(rows, values, target_share=(0.0, 1e-9), cond_drop_prob=0.0)
    assert [len(goal) for goal in target] == [1, 1, 1]


def test_every_row_draws_its_own_share_from_the_range():
    rows = [{item: 1.0 for item in range(10)}]
    shown, _, _ = cut(rows, repeats=1_000, target_share=(0.25, 0.75), cond_drop_prob=0.0)
    sizes = [len(condition) for condition in shown]
    # floor of 2.5 … 7.5: half a share for 2 and 7, one for each size between
    expected = np.array([0.5, 1, 1, 1, 1, 0.5]) * 200
    assert set(sizes) == set(range(2, 8))
    assert chisquare(np.bincount(sizes)[2:], expected).pvalue > 1e-3


def test_a_fixed_share_is_the_same_for_every_row():
    rows = [{item: 1.0 for item in range(10)}]
    shown, _, _ = cut(rows, repeats=50, target_share=(0.4, 0.4), cond_drop_prob=0.0)
    assert {len(condition) for condition in shown} == {6}


@all_values
def test_the_papers_condition_is_the_whole_row_which_is_the_target_too(values):
    rows = marked_rows(40, 60, 6)
    shown, known, target = cut(rows, values, target_share=(0.0, 0.0), half_life=None)
    assert 0 < sum(known) < 40
    for row, condition, is_known, goal in zip(rows, shown, known, target, strict=True):
        assert goal.keys() == row.keys()
        assert condition == (goal if is_known else {})


@all_values
@pytest.mark.parametrize("target_share", [(0.3, 0.7), (0.0, 0.0)])
def test_unknown_rows_have_an_empty_condition_and_the_whole_row_as_target(values, target_share):
    rows = marked_rows(10, 60, 6)
    shown, known, target = cut(rows, values, target_share=target_share, cond_drop_prob=1.0)
    assert not any(known) and not any(shown)
    assert [goal.keys() for goal in target] == [row.keys() for row in rows]


@pytest.mark.parametrize("target_share", [(0.3, 0.7), (0.0, 0.0)])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.7])
def test_the_condition_is_dropped_as_often_as_asked(target_share, rate):
    n = 5_000
    row = {0: 1.0, 1: 1.0, 4: 1.0, 5: 1.0}
    _, known, _ = cut([row], repeats=n, target_share=target_share, cond_drop_prob=rate)
    assert abs(n - sum(known) - rate * n) <= 4 * math.sqrt(rate * (1 - rate) * n)


@pytest.mark.parametrize("values", ["binary", "weight"])
def test_every_item_is_shown_equally_often(values):
    row = {item: 1.0 + item for item in range(8)}
    shown, _, _ = cut([row], values, repeats=4_000, target_share=(0.5, 0.5), cond_drop_prob=0.0)
    counts = np.bincount([item for condition in shown for item in condition], minlength=8)
    assert chisquare(counts).pvalue > 1e-3
    # and so is every pair: one item does not bring its neighbour along
    together = np.sum([0 in condition and 1 in condition for condition in shown])
    assert abs(together / 4_000 - 3 / 14) < 4 * math.sqrt(3 / 14 * 11 / 14 / 4_000)


@properties
@given(filled_rows, ranges, seeds)
def test_the_target_is_never_earlier_than_the_condition(rows, target_share, seed):
    shown, _, target = cut(rows, "time", seed, target_share=target_share, cond_drop_prob=0.2)
    for row, condition, goal in zip(rows, shown, target, strict=True):
        if condition:
            assert max(row[item] for item in condition) <= min(row[item] for item in goal)


@properties
@given(filled_rows, ranges | st.just((0.0, 0.0)), seeds, st.floats(0.3, 8))
@example([dict.fromkeys(range(13), 1.0) | {2: 2.0}], (0.5, 0.5), 1, 0.375)  # long past the floor
def test_the_condition_has_its_own_ages_and_near_targets_weigh_more(
    rows, target_share, seed, half_life
):
    shown, _, target = cut(rows, "time", seed, target_share=target_share, half_life=half_life)
    for row, condition, goal in zip(rows, shown, target, strict=True):
        times = np.zeros((1, N_ITEMS))
        times[0, list(condition)] = [row[item] for item in condition]
        expected = recency_weights(times, half_life).toarray()[0]
        ages = AgedRows(
            torch.tensor([0]), torch.tensor(list(condition.values())), torch.tensor([0])
        )
        assert_allclose(ages.weighted(half_life).weights, expected[list(condition)], rtol=1e-5)
        weights = (
            0.5 ** (np.arange(len(goal)) / (2 * half_life)) if condition else np.ones(len(goal))
        )
        if target_share[1] > 0:
            assert_allclose(sorted(goal.values())[::-1], np.maximum(weights, 0.02), rtol=1e-5)
        # beyond the floor of the weights all are level
        nearest_first = sorted(goal, key=lambda item: (-goal[item], row[item]))
        if condition and target_share[1] > 0:
            assert sorted(row[item] for item in goal) == [row[item] for item in nearest_first]


@properties
@given(filled_rows, ranges, seeds)
def test_without_a_half_life_all_items_weigh_alike(rows, target_share, seed):
    shown, _, target = cut(rows, "time", seed, target_share=target_share, half_life=None)
    for part in (*shown, *target):
        assert set(part.values()) <= {1.0}


def test_items_of_one_moment_fall_on_either_side_by_chance():
    # not by item id, or the model would learn that late items have high ids
    row = {item: 1.0 for item in range(6)}
    shown = [
        cut([row], "time", seed, target_share=(0.5, 0.5), cond_drop_prob=0.0)[0][0]
        for seed in range(60)
    ]
    assert len({tuple(condition) for condition in shown}) > 10
    assert all(set(condition.values()) == {1.0} for condition in shown)


def test_weights_are_shares_of_the_whole_row():
    rows = [{0: 2.0, 3: 8.0, 4: 4.0, 7: 1.0}]
    shown, _, target = cut(rows, "weight", repeats=30, half_life=2.0)
    for condition, goal in zip(shown, target, strict=True):
        assert condition | goal == {0: 0.25, 3: 1.0, 4: 0.5, 7: 0.125}


@all_values
def test_a_row_of_one_item_teaches_the_unconditional_branch(values):
    shown, known, target = cut([{3: 2.0}], values, cond_drop_prob=0.0, target_share=(0.0, 0.5))
    assert (shown, known, target) == ([{}], [False], [{3: 1.0}])


def test_cuts_differ_from_time_to_time_but_not_from_run_to_run():
    X = to_csr(marked_rows(10, 60, 8), 60)
    runs = []
    for _ in range(2):
        cutter = training_rows(X)
        runs.append([to_dicts(cutter.cut(torch.arange(10))[0]) for _ in range(2)])
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]


def test_the_unit_of_the_times_does_not_change_a_cut():
    rows = [{item: 1.0 + item // 3 for item in range(12)}]  # three items at a time
    later = [{item: 5.0 + 86_400 * time for item, time in rows[0].items()}]
    assert cut(rows, "time", repeats=20) == cut(later, "time", repeats=20)


def test_rows_may_be_cut_in_any_selection():
    rows = marked_rows(10, 60, 6)
    cutter = training_rows(to_csr(rows, 60), cond_drop_prob=0.0)
    chosen = [7, 2, 2, 9]
    condition, _, target, _ = cutter.cut(torch.tensor(chosen))[:4]
    for i, shown, goal in zip(chosen, to_dicts(condition), to_dicts(target), strict=True):
        assert shown.keys() | goal.keys() == rows[i].keys()


def test_batches_go_once_through_the_filled_rows_in_a_fresh_order():
    rows = marked_rows(23, 60, 4)
    rows[5] = rows[22] = {}
    cutter = training_rows(to_csr(rows, 60))
    orders = []
    for _ in range(2):
        sizes, order = [], []
        for condition, known, target, *_ in cutter.batches(8):
            sizes.append(len(known))
            for shown, goal in zip(to_dicts(condition), to_dicts(target), strict=True):
                order.append(min(shown.keys() | goal.keys()))  # its mark
        assert sizes == [8, 8, 5]
        assert sorted(order) == [i for i in range(23) if rows[i]]
        orders.append(order)
    assert orders[0] != orders[1] != sorted(orders[1])


@all_values
@pytest.mark.parametrize("half_life", [None, 5.0])
def test_a_condition_has_ages_where_recency_counts(values, half_life):
    rows = to_csr([{0: 3.0, 2: 1.0, 5: 2.0}])
    batch = training_rows(rows, values, half_life=half_life).cut(torch.tensor([0]))
    aged = values == "time" and half_life is not None
    assert isinstance(batch.condition, AgedRows if aged else SparseRows)
    assert isinstance(batch.target, SparseRows)
