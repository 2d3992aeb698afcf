"""How rows in order are cut at many moments, each an example of what came next."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from training_problems import filled_rows, properties, ranges, seeds, to_csr, to_dicts

from skdiffrec._training.prefix_rows import PrefixRows

EVERY_CUT = (0.0, 1.0)


def prefix_rows(X, seed=0, **changed):
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(horizon=1, target_share=EVERY_CUT, cond_drop_prob=0.0, row_weight=None)
    return PrefixRows(X, generator=generator, **parameters | changed)


def examples(rows, X_rows=None, seed=0, **changed):
    """(row, items shown, known, targets) of every cut of all rows."""
    cutter = prefix_rows(to_csr(rows), seed, **changed)
    batch = cutter.cut(torch.arange(len(rows)))
    read = batch.condition
    row_of_place = np.cumsum(read.place.numpy() == 0) - 1
    found = []
    for place, known, target in zip(
        read.cuts.tolist(), batch.known.tolist(), to_dicts(batch.target), strict=True
    ):
        stop, start = place + 1, place - int(read.place[place])
        shown = set(read.items[start:stop].tolist()) if known else set()
        found.append((int(row_of_place[place]), shown, known, {*target}))
    return found


def moments_of(times):
    return [{i for i, t in times.items() if t == moment} for moment in sorted({*times.values()})]


@properties
@given(filled_rows, seeds, st.integers(1, 5))
def test_every_moment_is_an_example_of_the_next_items(rows, seed, horizon):
    # after the first moment; there nothing is known, and it may lie anywhere
    found = [e for e in examples(rows, seed=seed, horizon=horizon) if e[2]]
    expected = []
    for row, times in enumerate(rows):
        moments = moments_of(times)
        for number in range(1, len(moments)):
            ahead, left = set(), moments[number:]
            while left and len(ahead) < horizon:
                ahead |= left.pop(0)
            expected.append((row, set().union(*moments[:number]), ahead))
    assert len(found) == len(expected)
    for (row, shown, _, targets), (own, before, ahead) in zip(found, expected, strict=True):
        assert (row, shown) == (own, before)
        assert targets <= ahead and len(targets) == min(4, len(ahead))


@properties
@given(filled_rows, seeds, st.floats(0, 1))
def test_before_the_first_item_nothing_is_known(rows, seed, rate):
    cutter = prefix_rows(to_csr(rows), seed, cond_drop_prob=rate)
    batch = cutter.cut(torch.arange(len(rows)))
    n_moments = [len({*times.values()}) for times in rows]
    firsts = np.cumsum([0, *n_moments[:-1]])
    assert len(batch.known) == sum(n_moments)
    assert not batch.known[torch.from_numpy(firsts)].any()
    for times, target in zip(rows, [to_dicts(batch.target)[i] for i in firsts], strict=True):
        assert {*target} <= moments_of(times)[0]


def test_the_condition_is_dropped_as_often_as_asked():
    X = to_csr([{item: 1.0 + item for item in range(12)}] * 400)
    batch = prefix_rows(X, cond_drop_prob=0.3).cut(torch.arange(400))
    n = 400 * 11
    assert abs(int(batch.known.sum()) - 0.7 * n) < 4 * math.sqrt(0.21 * n)


@properties
@given(filled_rows, ranges, seeds)
def test_the_share_that_follows_lies_in_the_range(rows, target_share, seed):
    low, high = target_share
    cutter = prefix_rows(to_csr(rows), seed, target_share=target_share)
    for row, times in enumerate(rows):
        ends = np.cumsum([0, *map(len, moments_of(times))])[:-1]
        at = cutter.cut_place[cutter.cut_indptr[row] : cutter.cut_indptr[row + 1]].tolist()
        n = len(times)
        nearest = min(math.floor((1 - low) * n), n - 1)
        farthest = math.floor((1 - high) * n)
        within = [end for end in ends if farthest <= end <= nearest]
        assert at == (within or [max(end for end in ends if end <= nearest)])


def test_a_long_row_is_cut_at_fifty_places_that_change():
    row = {item: 1.0 + item for item in range(450)}
    cutter = prefix_rows(to_csr([row], 450))
    first, again = (cutter.cut(torch.zeros(1, dtype=torch.int64)).condition.cuts for _ in "ab")
    assert len(first) == len(again) == 50
    assert (first != again).any()
    edges = np.arange(51) * 450 // 50
    for cuts in (first, again):  # one in every stretch of nine items
        at = cuts[1:].numpy() + 1
        assert ((edges[1:-1] <= at) & (at < edges[2:])).all()


def test_targets_of_a_wide_horizon_are_drawn_evenly():
    row = {item: 1.0 + item for item in range(9)}
    cutter = prefix_rows(to_csr([row]), horizon=8, target_share=(0.88, 0.88))
    counts = np.zeros(15)
    for _ in range(500):
        target = cutter.cut(torch.zeros(1, dtype=torch.int64)).target
        assert len(target.items) == 4
        assert len(target.offsets) == 2
        counts[target.items.numpy()] += 1
    assert_allclose(counts[:9] / 500, [0, *[0.5] * 8], atol=4 * 0.5 / math.sqrt(500))


@pytest.mark.parametrize("weight", [[1.0, 1.0], [3.0, 1.0], [0.5, 0.125]])
def test_a_row_counts_as_its_users_do(weight):
    X = to_csr([{0: 1.0, 1: 2.0, 2: 3.0}, {3: 1.0, 4: 2.0}])
    cutter = prefix_rows(X, row_weight=np.array(weight))
    total = np.zeros(2)
    for batch in cutter.batches(2):
        owner = np.isin(batch.target.items.numpy(), [3, 4])
        np.add.at(total, owner.astype(int), batch.weight.numpy())
    assert_allclose(total[0] / total[1], 3 / 2 * weight[0] / weight[1], rtol=1e-5)


def test_steps_hold_about_as_many_cuts_for_short_rows_as_for_long_ones():
    short, long = (to_csr([{i: 1.0 + i for i in range(n)}] * 9, 300) for n in (4, 256))
    assert prefix_rows(short).rows_of_step_of(1) == 512
    assert prefix_rows(long).rows_of_step_of(1) == 40
