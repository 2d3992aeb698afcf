"""Rows in the order of time, cut between their moments."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec._utils.cuts import (
    OrderedRows,
    comes_in_sets,
    divisible_rows,
    hide_share,
    moment_size,
)
from skdiffrec._utils.rows import hide_items, share_of_rows

properties = settings(max_examples=60, deadline=None)
rows_of_times = st.lists(
    st.dictionaries(st.integers(0, 11), st.integers(1, 6).map(float), max_size=10),
    min_size=1,
    max_size=6,
)


def to_csr(rows):
    dense = np.zeros((len(rows), 12))
    for row, times in zip(dense, rows, strict=True):
        row[list(times)] = list(times.values())
    return sp.csr_array(dense)


def moments_of(times):
    """Sets of items, in order."""
    return [{i for i, t in times.items() if t == moment} for moment in sorted({*times.values()})]


@properties
@given(rows_of_times, st.integers(0, 5))
def test_items_are_laid_out_in_order(rows, seed):
    ordered = OrderedRows(to_csr(rows), seed)
    at = 0
    for row, times in enumerate(rows):
        for moment in moments_of(times):
            here = slice(at, at + len(moment))
            assert {*ordered.items[here].tolist()} == moment
            assert_array_equal(ordered.begins[here], [True] + [False] * (len(moment) - 1))
            end = at + len(moment) - 1 - ordered.start[row]
            assert_array_equal(ordered.stands[here], np.full(len(moment), end))
            assert_array_equal(ordered.row[here], np.full(len(moment), row))
            at += len(moment)
    assert at == len(ordered.items)


@properties
@given(rows_of_times, st.integers(1, 4), st.floats(0.1, 0.9), st.integers(1, 3))
def test_the_last_moments_ask_for_the_next_items(rows, horizon, share, most):
    X = to_csr(rows)
    ordered = OrderedRows(X, 0)
    asked = ordered.latest_moments(share, most, horizon)
    history, holdout = ordered.next_items(asked, horizon)
    found = list(zip(ordered.row[asked], history.toarray(), holdout.toarray(), strict=True))
    expected = []
    for row, times in enumerate(rows):
        moments = moments_of(times)
        late = max(1, round(share * len(times))) + horizon - 1
        ends = np.cumsum([0, *map(len, moments)]).tolist()  # items before each moment
        full = [n for n in range(1, len(moments)) if ends[n] <= len(times) - horizon]
        full = full or [1] * (len(moments) > 1)
        for number in full[-most:]:
            if ends[number] >= len(times) - late or number == full[-1]:
                ahead, left = set(), moments[number:]
                while left and len(ahead) < horizon:
                    ahead |= left.pop(0)
                expected.append((row, set().union(*moments[:number]), ahead))
    assert len(found) == len(expected)
    for (row, before, after), (own, shown, ahead) in zip(found, expected, strict=True):
        assert row == own
        assert {*np.flatnonzero(before).tolist()} == shown
        assert {*np.flatnonzero(after).tolist()} == ahead
        for part in (before, after):  # with their times
            assert all(part[i] == rows[row][i] for i in np.flatnonzero(part).tolist())


@properties
@given(rows_of_times, st.integers(0, 5), st.integers(0, 3))
def test_whole_moments_are_hidden(rows, wanted, min_history):
    ordered = OrderedRows(to_csr(rows), 0)
    n_hidden = np.minimum(wanted, (ordered.length - min_history).clip(0))
    whole = ordered.whole_moments(n_hidden, min_history)
    for times, asked, hidden in zip(rows, n_hidden, whole, strict=True):
        ends = np.cumsum([0, *map(len, moments_of(times))])
        kept = len(times) - hidden
        assert not asked <= 0 or hidden == asked
        if asked > 0:
            assert kept in ends
            below = [end for end in ends if end <= len(times) - asked]
            above = [end for end in ends if end >= len(times) - asked]
            assert kept == (below[-1] if below[-1] >= min_history else above[0])


def orders(sizes, seed=0, n_items=60):
    """Rows of orders: for every row the sizes of its orders, whose times are 1, 2, ..."""
    rng, dense = np.random.default_rng(seed), np.zeros((len(sizes), n_items))
    for row, of_row in zip(dense, sizes, strict=True):
        times = np.repeat(np.arange(1.0, len(of_row) + 1), of_row)
        row[rng.permutation(n_items)[: len(times)]] = times
    return sp.csr_array(dense)


def test_orders_are_sets_and_clicks_are_not():
    assert moment_size(orders([[4, 4], [8, 2, 2]])) == 4
    assert moment_size(orders([[4, 4], [8, 2, 1]])) == 1
    assert (
        moment_size(orders([[4, 4], [9], [9], [9]])) == 35 / 5
    )  # a quarter of the rows come again
    assert moment_size(orders([[4] * 9, [9], [9], [9], [9]])) == 1
    assert moment_size(orders([[1] * 20, [1] * 9])) == 1
    assert moment_size(sp.csr_array((3, 5))) == 1
    X = orders([[4, 4], [8, 2, 2]])
    assert comes_in_sets(X, "time")
    assert not comes_in_sets(X, "weight") and not comes_in_sets(X, "binary")


def test_rows_that_can_be_divided():
    X = orders([[4], [4, 4], [1], [], [1, 9]])
    assert_array_equal(divisible_rows(X, sets=True), [1, 4])
    assert_array_equal(divisible_rows(X, sets=False), [0, 1, 4])


@properties
@given(rows_of_times, st.floats(0.1, 0.9), st.integers(0, 3))
def test_a_share_of_a_row_is_whole_sets(rows, fraction, seed):
    X = to_csr(rows)
    history, hidden = hide_share(X, "time", fraction, seed, sets=True)
    assert_array_equal((history + hidden).toarray(), X.toarray())
    wanted = share_of_rows(X, fraction)
    for row, (stays, goes) in enumerate(zip(history.toarray(), hidden.toarray(), strict=True)):
        stays, goes = stays[stays > 0], goes[goes > 0]
        if len(set(rows[row].values())) < 2:
            assert not len(goes)
            continue
        assert stays.max() < goes.min()
        first = (goes == goes.min()).sum()
        at_the_end = (stays == stays.max()).all()  # one moment alone could stay
        assert len(goes) - first < wanted[row] <= len(goes) or at_the_end
    for part, plain in zip(
        hide_share(X, "time", fraction, seed, sets=False),
        hide_items(X, "time", fraction, seed),
        strict=True,
    ):
        assert_array_equal(part.toarray(), plain.toarray())


@properties
@given(rows_of_times, st.integers(0, 3))
def test_cuts_fall_between_sets(rows, seed):
    X = to_csr(rows)
    ordered = OrderedRows(X, seed)
    places = ordered.cut_places()
    for row, times in enumerate(rows):
        ends = np.cumsum([0, *map(len, moments_of(times))]).tolist()
        for place in range(len(times)):
            cut = places[ordered.start[row] + place]
            if len(ends) == 2:  # one moment alone is cut inside
                assert cut == place
            else:
                before = max(end for end in ends if end <= place)
                assert cut == (before or ends[1])
