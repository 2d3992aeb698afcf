"""Holdouts, against loops over rows: the parts, how many, at random, refusals."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from holdout_problems import (
    BY_ORDER,
    HOLDOUTS,
    assert_same,
    counts,
    every_holdout,
    every_random,
    fractions,
    held_out_pattern,
    hide,
    histories,
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
from sklearn.base import clone

from skdiffrec.model_selection import (
    KeepN,
    LastFraction,
    LastN,
    LeaveOneOut,
    SampleFraction,
    SampleN,
    TimeCut,
    UnseenUsers,
)

# The parts


@every_holdout
@properties
@given(rows=rows_of_times)
def test_the_parts_make_up_the_whole(holdout, rows):
    for row, stays, goes in zip(rows, *hide(holdout, rows), strict=True):
        assert not stays.keys() & goes.keys()
        assert stays | goes == row


@pytest.mark.parametrize("holdout", BY_ORDER.values(), ids=BY_ORDER)
@pytest.mark.filterwarnings("ignore:Every row of X is stored")
@properties
@given(rows=rows_of_times)
def test_the_parts_make_up_the_whole_by_order(holdout, rows):
    X = to_csr(rows, order=list)
    for row, stays, goes in zip(rows, *map(to_rows, holdout.hide(X)), strict=True):
        assert not stays.keys() & goes.keys()
        assert stays | goes == row


@every_holdout
def test_the_parts_are_canonical(holdout, many):
    for part in holdout.hide(many):
        assert isinstance(part, sp.csr_array) and part.dtype == np.float64
        assert part.shape == many.shape
        assert part.has_canonical_format and part.data.all()
        part.check_format()


@every_holdout
@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "lil", "dok", "dense", "list", "int64"])
def test_every_format_gives_the_same(holdout, layout, kind, many):
    expected = holdout.hide(many)
    if layout in ("dense", "list"):
        given = many.toarray() if layout == "dense" else many.toarray().tolist()
    else:
        given = (sp.csr_matrix if kind == "matrix" else sp.csr_array)(many)
        if layout == "int64":
            given.indices, given.indptr = given.indices.astype("q"), given.indptr.astype("q")
        else:
            given = given.asformat(layout)
    assert_same(holdout.hide(given), expected)


@every_holdout
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16])
def test_every_dtype_gives_the_same(holdout, dtype, many):
    assert_same(holdout.hide(many.astype(dtype)), holdout.hide(many))


@pytest.mark.parametrize("holdout", (HOLDOUTS | BY_ORDER).values(), ids=HOLDOUTS | BY_ORDER)
def test_stored_zeros_and_duplicates_are_merged(holdout):
    # item 4 twice, once as a zero too; item 1 is a zero only
    items, values = [4, 1, 0, 4, 2, 4, 3], [1.0, 0.0, 3.0, 5.0, 4.0, 0.0, 2.0]
    X = sp.csr_array((values, items, [0, 7]), shape=(1, 5))
    before = X.copy()
    history, holdout_ = holdout.hide(X)
    timed = isinstance(holdout, TimeCut) or getattr(holdout, "by", None) == "value"
    assert to_rows(history + holdout_) == [{0: 3.0, 2: 4.0, 3: 2.0, 4: 1.0 if timed else 6.0}]
    assert history.nnz and holdout_.nnz and history.nnz + holdout_.nnz == 4
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(X, name), getattr(before, name))


@pytest.mark.parametrize("holdout", [SampleN(1, random_state=0), LastN(), SampleFraction(0.4)])
def test_the_order_of_storage_does_not_matter(holdout, many):
    holdout = clone(holdout).set_params(**dict.fromkeys({"random_state"} & {*vars(holdout)}, 3))
    rows = to_rows(many)
    backwards = to_csr_of(rows, many.shape)
    assert not backwards.has_sorted_indices
    assert_same(holdout.hide(backwards), holdout.hide(many))


def to_csr_of(rows, shape):
    """CSR of dicts, each row stored backwards."""
    indptr = np.cumsum([0, *map(len, rows)])
    pairs = [pair for row in rows for pair in reversed(row.items())]
    items, values = zip(*pairs, strict=True)
    return sp.csr_array((values, items, indptr), shape=shape)


@every_holdout
def test_x_is_not_modified_or_shared(holdout, many):
    X, before = many.copy(), many.copy()
    for part in holdout.hide(X):
        part.data[:] = -1
        part.indices[:] = 0
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(X, name), getattr(before, name))


@every_holdout
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0), (3, 4)])
def test_nothing_to_hide(holdout, shape):
    for X in (sp.csr_array(shape), np.zeros(shape)):
        for part in holdout.hide(X):
            assert part.shape == shape and part.nnz == 0


def test_nobody_has_enough_items():
    history, holdout = SampleN().hide(np.eye(4))
    assert holdout.nnz == 0
    assert_array_equal(history.toarray(), np.eye(4))


# How many


@properties
@given(rows_of_times, fractions, histories)
def test_the_share_of_each_user(rows, fraction, min_history):
    for make in (SampleFraction, LastFraction):
        _, held_out = hide(make(fraction, min_history=min_history), rows)
        for row, goes in zip(rows, held_out, strict=True):
            wanted = max(round(fraction * len(row)), 1)
            assert len(goes) == max(min(wanted, len(row) - min_history), 0)


@properties
@given(rows_of_times, counts, histories)
def test_the_number_of_each_user(rows, n, min_history):
    for make in (SampleN, LastN):
        _, held_out = hide(make(n, min_history=min_history), rows)
        for row, goes in zip(rows, held_out, strict=True):
            assert len(goes) == (n if len(row) >= n + min_history else 0)


# At random


@every_random
def test_an_int_gives_the_same_each_time(make, many):
    first, again, other = (held_out_pattern(make(seed), many) for seed in (1, 1, 2))
    assert_array_equal(first, again)
    assert (first != other).any()
    splitter = make(1)
    held_out_pattern(splitter, many)
    assert_array_equal(held_out_pattern(splitter, many), first)  # nothing is used up


@every_random
@pytest.mark.parametrize(
    "random_state", [None, np.random.RandomState(0), np.random.default_rng(0)], ids=type
)
def test_none_and_instances_give_another_each_time(make, random_state, many):
    splitter = make(random_state)
    assert (held_out_pattern(splitter, many) != held_out_pattern(splitter, many)).any()


@every_random
@pytest.mark.parametrize("rng", [np.random.RandomState, np.random.default_rng])
def test_an_instance_decides_what_follows(make, rng, many):
    a, b = make(rng(0)), make(rng(0))
    for _ in range(2):
        assert_array_equal(held_out_pattern(a, many), held_out_pattern(b, many))


def test_users_with_equal_rows_get_different_items():
    held_out = SampleN(1, random_state=0).hide(np.ones((200, 10)))[1]
    assert len(np.unique(held_out.indices)) == 10


@pytest.mark.parametrize("length", [2, 7, 40])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_items_are_drawn_evenly(length, share):
    held_out = SampleFraction(share, random_state=5).hide(np.ones((4000, length)))[1]
    assert chisquare(np.bincount(held_out.indices, minlength=length)).pvalue > 1e-4


def test_pairs_of_items_are_drawn_evenly():
    held_out = SampleN(2, random_state=1).hide(np.ones((6000, 5)))[1]
    a, b = held_out.indices.reshape(-1, 2).T
    pairs = np.bincount(5 * a + b, minlength=25).reshape(5, 5)
    assert chisquare(pairs[np.triu_indices(5, 1)]).pvalue > 1e-4


def test_values_do_not_say_what_is_sampled():
    X = np.tile(np.arange(1.0, 11.0), (1000, 1))
    held_out = SampleN(1, random_state=0).hide(X)[1]
    assert chisquare(np.bincount(held_out.indices, minlength=10)).pvalue > 1e-4
    assert_same([SampleN(1, random_state=0).hide(X > 0)[1]], [held_out.astype(bool)])


@properties
@given(rows_of_times, st.integers(0, 5), st.sampled_from(["random", "value"]))
def test_keep_n_keeps_n_items_or_the_first_ones(rows, n, by):
    history, holdout = hide(KeepN(n, by=by, random_state=0), rows)
    for row, kept, hidden in zip(rows, history, holdout, strict=True):
        assert len(kept) == min(n, len(row)) and kept | hidden == row
        if by == "value" and kept and hidden:
            assert max(kept.values()) <= min(hidden.values())


def test_keep_all_but_n_is_to_hide_n():
    X = np.ones((50, 6))
    kept, hidden = KeepN(4, random_state=3).hide(X)
    assert (hidden != SampleN(2, random_state=3).hide(X)[1]).nnz == 0
    assert KeepN(10**30).hide(X)[1].nnz == 0


# Parameters and refusals


BAD_PARAMETERS = [
    (SampleFraction(0.0), "fraction"),
    (SampleFraction(1.0), "fraction"),
    (SampleFraction("a"), "fraction"),
    (SampleFraction(min_history=-1), "min_history"),
    (SampleFraction(random_state="a"), "random_state"),
    (SampleN(0), "n"),
    (SampleN(1.5), "n"),
    (SampleN(min_history=0.5), "min_history"),
    (KeepN(-1), "n"),
    (KeepN(by="time"), "by"),
    (KeepN(random_state="a"), "random_state"),
    (LastN(0), "n"),
    (LastN(by="random"), "by"),
    (LastFraction(2), "fraction"),
    (LastFraction(by="time"), "by"),
    (LeaveOneOut(by="last"), "by"),
    (LeaveOneOut(random_state=-1), "random_state"),
    (TimeCut("2020-01-01"), "time"),
    (TimeCut(np.nan), "time"),
    (TimeCut(fraction=0), "fraction"),
]


@pytest.mark.parametrize("holdout, name", BAD_PARAMETERS, ids=lambda value: str(value))
def test_parameters_out_of_range(holdout, name):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of .* must be .* Got"):
        holdout.hide(np.ones((2, 3)))


def test_other_refusals():
    with pytest.raises(ValueError, match="time=1 and fraction=0.5 are both given"):
        TimeCut(1, fraction=0.5).hide(np.ones((2, 3)))
    with pytest.raises(ValueError, match="'n_splits' parameter"):
        list(UnseenUsers(1).split(np.ones((2, 3))))
    with pytest.raises(ValueError, match="random_state"):
        list(UnseenUsers(2, shuffle=False, random_state=0).split(np.ones((2, 3))))
    with pytest.raises(TypeError, match="holdout must have a method hide"):
        list(UnseenUsers(2, holdout=0.2).split(np.ones((2, 3))))


@every_holdout
@pytest.mark.parametrize(
    "X, match",
    [
        ([[1, -2.0]], "X holds -2.0"),
        (sp.csr_array([[1, -2.0]]), "X holds -2.0"),
        ([[1, np.nan]], r"X contains NaN.*no interaction: use fillna\(0\)"),
        (sp.coo_array([[1, np.inf]]), "X contains infinity"),
        ([1.0, 2.0], "2D array"),
        (sp.coo_array(np.ones(3)), "must be a matrix"),
    ],
    ids=str,
)
def test_histories_that_are_none(holdout, X, match):
    with pytest.raises(ValueError, match=match):
        holdout.hide(X)


@pytest.mark.parametrize("splitter", [*HOLDOUTS.values(), UnseenUsers(3, random_state=0)], ids=str)
def test_clone_and_pickle(splitter, many):
    expected = held_out_pattern(splitter, many)
    for copy in (clone(splitter), pickle.loads(pickle.dumps(splitter))):
        assert_array_equal(held_out_pattern(copy, many), expected)
    assert type(splitter).__name__ in repr(splitter)
