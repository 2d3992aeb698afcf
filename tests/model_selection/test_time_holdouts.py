"""Holdouts in time: the latest items, and one moment for all."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from holdout_problems import (
    assert_same,
    counts,
    fractions,
    hide,
    histories,
    lengths,
    many_fixture,  # noqa: F401
    properties,
    rows_of_times,
    to_csr,
    to_rows,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.stats import chisquare

from skdiffrec._utils.rows import hide_items
from skdiffrec.model_selection import LastFraction, LastN, LeaveOneOut, SampleN, TimeCut

# The latest


@properties
@given(rows_of_times, counts)
def test_last_n_are_the_last(rows, n):
    for row, goes in zip(rows, hide(LastN(n), rows)[1], strict=True):
        if goes:
            assert sorted(goes.values()) == sorted(row.values())[-n:]


@properties
@given(rows_of_times, fractions)
def test_the_last_share_is_the_last(rows, fraction):
    for stays, goes in zip(*hide(LastFraction(fraction), rows), strict=True):
        if goes:
            assert max(stays.values()) <= min(goes.values())


def test_equal_times_are_told_apart_without_the_item_id():
    rng = np.random.default_rng(0)
    X = (np.argsort(rng.random((3000, 12)), axis=1) < 6).astype(float)  # 6 items at one time
    held_out = LastN(1).hide(X)[1]
    place = (np.cumsum(X, axis=1)[np.arange(3000), held_out.indices] - 1).astype(int)
    assert chisquare(np.bincount(place, minlength=6)).pvalue > 1e-4
    assert_same(LastN(1).hide(X), LastN(1).hide(X))
    # a user's ties do not depend on the other users
    assert_array_equal(LastN(1).hide(X[7:9])[1].toarray(), held_out[7:9].toarray())


@properties
@given(rows_of_times, fractions)
def test_the_same_is_held_out_as_in_score(rows, fraction):
    X = to_csr(rows)
    assert_same(LastFraction(fraction).hide(X), hide_items(X, "time", fraction, seed=0))


@properties
@given(rows_of_times, st.one_of(counts.map(LastN), fractions.map(LastFraction)), histories)
def test_ties_together_are_never_parted(rows, holdout, min_history):
    holdout.set_params(min_history=min_history)
    split = hide(holdout, rows)
    together = hide(holdout.set_params(ties="together"), rows)
    for row, apart, (stays, goes) in zip(rows, split[1], zip(*together, strict=True), strict=True):
        assert stays | goes == row and len(stays) + len(goes) == len(row)
        if goes and stays:
            assert max(stays.values()) < min(goes.values())
        if not apart:
            assert not goes
        elif goes:
            assert len(stays) >= min_history
            # the cut moves back, and forward only where too few would stay
            assert (
                len(goes) >= len(apart)
                or sum(t < sorted(row.values())[-len(apart)] for t in row.values()) < min_history
            )


def test_ties_together_need_times():
    X = to_csr([{1: 1.0, 3: 2.0}])
    for holdout in (
        LastN(1, by="order", ties="together"),
        LastFraction(by="order", ties="together"),
    ):
        with pytest.raises(ValueError, match='ties="together" needs times.*by=.order.*by="value"'):
            holdout.hide(X)
    with pytest.raises(ValueError, match="ties"):
        LastN(1, ties="keep").hide(X)
    order = {0: 1.0, 1: 1.0, 2: 2.0, 3: 2.0}  # two orders of two items
    assert hide(LastN(1, ties="together"), [order]) == [[{0: 1.0, 1: 1.0}], [{2: 2.0, 3: 2.0}]]
    assert hide(LastN(3, ties="together"), [order]) == [[{0: 1.0, 1: 1.0}], [{2: 2.0, 3: 2.0}]]
    assert hide(LastN(1, ties="together"), [{0: 1.0, 1: 1.0}]) == [[{0: 1.0, 1: 1.0}], [{}]]


def test_by_order_hides_what_is_stored_last():
    items = [3, 0, 5, 1, 2, 4, 7]
    X = sp.csr_array(([9, 1, 2, 8, 3, 6, 5.0], items, [0, 4, 4, 6, 7]), shape=(4, 8))
    assert to_rows(LastN(1, by="order").hide(X)[1]) == [{1: 8.0}, {}, {4: 6.0}, {}]
    assert to_rows(LastN(2, by="order").hide(X)[1]) == [{5: 2.0, 1: 8.0}, {}, {}, {}]
    assert to_rows(LastFraction(0.5, by="order").hide(X)[0]) == [{0: 1, 3: 9}, {}, {2: 3}, {7: 5}]
    assert_same(LeaveOneOut(by="order").hide(X), LastN(1, by="order").hide(X))


def test_by_order_a_repeated_item_counts_where_it_is_stored_first():
    def last(items, values):
        X = sp.csr_array((values, items, [0, len(items)]), shape=(1, 4))
        return to_rows(LastN(1, by="order").hide(X)[1])

    assert last([2, 1, 0, 2], [1.0, 2, 4, 8]) == [{0: 4.0}]
    assert last([3, 1, 1, 0], [1.0, 2, 4, 8]) == [{0: 8.0}]
    assert last([2, 1, 0, 2], [0.0, 2, 4, 8]) == [{2: 8.0}]  # a zero is none


def test_by_order_warns_where_the_order_is_that_of_the_items():
    with pytest.warns(UserWarning, match="ascending order of item id"):
        LastN(by="order").hide(sp.csr_array(np.eye(3) + np.eye(3, k=1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LastN(by="order").hide(sp.csr_array(np.eye(3)))  # no row has an order
        # one row of two is not ascending
        X = sp.csr_array(([1.0, 1, 1, 1], [0, 1, 1, 0], [0, 2, 4]), shape=(2, 2))
        LastN(by="order").hide(X)


@pytest.mark.parametrize("layout", ["csc", "coo", "lil", "dense"])
def test_by_order_needs_a_csr(layout):
    X = np.ones((2, 3)) if layout == "dense" else sp.csr_array(np.ones((2, 3))).asformat(layout)
    with pytest.raises(ValueError, match='needs a CSR matrix, got .*by="value"'):
        LastN(by="order").hide(X)


def test_leave_one_out_is_a_case_of_the_others(many):
    assert_same(LeaveOneOut(random_state=4).hide(many), SampleN(1, random_state=4).hide(many))
    assert_same(LeaveOneOut(by="value").hide(many), LastN(1).hide(many))


# One moment for all


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_an_item_that_is_met_again_after_the_cut_is_not_new(dtype):
    times = np.array([1, 2, 9], dtype)
    for X in (
        sp.coo_array((times, ([0, 0, 0], [0, 1, 0])), shape=(1, 2)),
        sp.csr_array((times, [0, 1, 0], [0, 3]), shape=(1, 2)),
        sp.csc_array((times[[0, 2, 1]], [0, 0, 0], [0, 2, 3]), shape=(1, 2)),
    ):
        history, holdout = TimeCut(5).hide(X)
        assert to_rows(history) == [{0: 1, 1: 2}] and holdout.nnz == 0
        assert to_rows(LastN(1).hide(X)[1]) == [{1: 2}]
        assert X.nnz == 3 and X.dtype == dtype  # the caller's stays as it was


@properties
@given(rows_of_times, st.sampled_from([0.5, 1.0, 2.0, 2.2, 7.0, 8.0]))
def test_the_cut_is_at_a_moment(rows, time):
    for row, stays, goes in zip(rows, *hide(TimeCut(time), rows), strict=True):
        assert stays == {item: t for item, t in row.items() if t < time}
        assert goes == {item: t for item, t in row.items() if t >= time}


def test_who_comes_after_the_cut_has_an_empty_history():
    history, holdout = TimeCut(5).hide([[6, 7, 0], [1, 6, 0], [1, 2, 0]])
    assert lengths(history).tolist() == [0, 1, 2]
    assert lengths(holdout).tolist() == [2, 1, 0]


@properties
@given(rows_of_times, fractions)
def test_the_share_after_the_cut_is_the_nearest(rows, fraction):
    history, holdout = TimeCut(fraction=fraction).hide(to_csr(rows))
    times = np.concatenate([history.data, holdout.data])
    shares = [(times >= t).mean() for t in set(times)]
    possible = [share for share in shares if share < 1]
    if not possible:
        assert holdout.nnz == 0
        return
    assert history.data.max() < holdout.data.min()
    found = holdout.nnz / len(times)
    assert abs(found - fraction) <= min(abs(share - fraction) for share in possible) + 1e-12


def test_the_share_is_a_fifth_unless_told(many):
    assert TimeCut().hide(many)[1].nnz == round(0.2 * many.nnz)
    assert TimeCut(fraction=0.3).hide(many)[1].nnz == round(0.3 * many.nnz)


@pytest.mark.parametrize("hides", [LastN(1), LastFraction(0.2), TimeCut(fraction=0.5)])
def test_values_that_are_no_times_are_warned_of(hides):
    says = "All values of X are 1, but .* takes them for times"
    with pytest.warns(UserWarning, match=says) as seen:
        hides.hide(np.ones((3, 4)))
    assert [warning.filename for warning in seen] == [__file__]  # the caller's line
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hides.hide(np.arange(12.0).reshape(3, 4))
        hides.hide(np.eye(1, 4))
