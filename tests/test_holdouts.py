"""Holdouts and splitters, against loops over rows."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.stats import chisquare
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from skdiffrec._rows import hide_items, rank_in_rows
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.model_selection import (
    LastFraction,
    LastN,
    LeaveOneOut,
    SampleFraction,
    SampleN,
    TimeCut,
    UnseenUsers,
)

N_ITEMS = 12
properties = settings(max_examples=60, deadline=None)
# few different values, so that many are tied
rows_of_times = st.lists(
    st.dictionaries(st.integers(0, N_ITEMS - 1), st.sampled_from([1.0, 2.0, 2.5, 7.0])),
    max_size=6,
)
counts = st.integers(1, 4)
histories = st.integers(0, 3)
fractions = st.floats(0.01, 0.99)

HOLDOUTS = {
    "sample-fraction": SampleFraction(0.4, random_state=0),
    "sample-n": SampleN(2, random_state=0),
    "leave-one-out": LeaveOneOut(random_state=0),
    "leave-last-out": LeaveOneOut(by="value"),
    "last-n": LastN(2),
    "last-fraction": LastFraction(0.4),
    "time-cut": TimeCut(2.5),
    "time-share": TimeCut(fraction=0.3),
}
BY_ORDER = {
    "last-n-by-order": LastN(2, by="order"),
    "last-fraction-by-order": LastFraction(0.4, by="order"),
    "leave-last-out-by-order": LeaveOneOut(by="order"),
}
every_holdout = pytest.mark.parametrize("holdout", HOLDOUTS.values(), ids=HOLDOUTS)
RANDOM = {
    "fraction": lambda random_state: SampleFraction(0.4, random_state=random_state),
    "n": lambda random_state: SampleN(2, random_state=random_state),
    "one": lambda random_state: LeaveOneOut(random_state=random_state),
    "users": lambda random_state: UnseenUsers(3, random_state=random_state),
}
every_random = pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)


def to_csr(rows, order=sorted):
    """A CSR from one dict item -> value per row; `order` says how a row's pairs are stored."""
    pairs = [order(row.items()) for row in rows]
    indptr = np.cumsum([0, *map(len, pairs)])
    items = [item for row in pairs for item, _ in row]
    values = [value for row in pairs for _, value in row]
    return sp.csr_array(
        (np.array(values, float), np.array(items, np.int32), indptr), shape=(len(rows), N_ITEMS)
    )


def to_rows(X):
    return [
        dict(zip(X.indices[a:b].tolist(), X.data[a:b].tolist(), strict=True))
        for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)
    ]


def hide(holdout, rows):
    return [to_rows(part) for part in holdout.hide(to_csr(rows))]


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        assert_array_equal(x.toarray(), y.toarray())


def lengths(X):
    return np.diff(X.indptr)


def hidden_pattern(splitter, X):
    """What a splitter hides or tests, to compare two of its answers."""
    if isinstance(splitter, UnseenUsers):
        return np.concatenate([test for _, test in splitter.split(X)])
    return splitter.hide(X)[1].toarray()


@pytest.fixture(scope="module")
def many():
    """300 users with 4 to 20 items at distinct times."""
    rng = np.random.default_rng(0)
    dense = rng.permutation(300 * 40).reshape(300, 40) + 1.0
    kept = rng.permuted(np.tile(np.arange(40), (300, 1)), axis=1) < rng.integers(4, 21, (300, 1))
    return sp.csr_array(dense * kept)


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
    assert to_rows(history + holdout_) == [{0: 3.0, 2: 4.0, 3: 2.0, 4: 5.0 if timed else 6.0}]
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
        _, hidden = hide(make(fraction, min_history=min_history), rows)
        for row, goes in zip(rows, hidden, strict=True):
            wanted = max(round(fraction * len(row)), 1)
            assert len(goes) == max(min(wanted, len(row) - min_history), 0)


@properties
@given(rows_of_times, counts, histories)
def test_the_number_of_each_user(rows, n, min_history):
    for make in (SampleN, LastN):
        _, hidden = hide(make(n, min_history=min_history), rows)
        for row, goes in zip(rows, hidden, strict=True):
            assert len(goes) == (n if len(row) >= n + min_history else 0)


# At random


@every_random
def test_an_int_gives_the_same_each_time(make, many):
    first, again, other = (hidden_pattern(make(seed), many) for seed in (1, 1, 2))
    assert_array_equal(first, again)
    assert (first != other).any()
    splitter = make(1)
    hidden_pattern(splitter, many)
    assert_array_equal(hidden_pattern(splitter, many), first)  # nothing is used up


@every_random
@pytest.mark.parametrize(
    "random_state", [None, np.random.RandomState(0), np.random.default_rng(0)], ids=type
)
def test_none_and_instances_give_another_each_time(make, random_state, many):
    splitter = make(random_state)
    assert (hidden_pattern(splitter, many) != hidden_pattern(splitter, many)).any()


@every_random
@pytest.mark.parametrize("rng", [np.random.RandomState, np.random.default_rng])
def test_an_instance_decides_what_follows(make, rng, many):
    a, b = make(rng(0)), make(rng(0))
    for _ in range(2):
        assert_array_equal(hidden_pattern(a, many), hidden_pattern(b, many))


def test_users_with_equal_rows_get_different_items():
    hidden = SampleN(1, random_state=0).hide(np.ones((200, 10)))[1]
    assert len(np.unique(hidden.indices)) == 10


@pytest.mark.parametrize("length", [2, 7, 40])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_items_are_drawn_evenly(length, share):
    hidden = SampleFraction(share, random_state=5).hide(np.ones((4000, length)))[1]
    assert chisquare(np.bincount(hidden.indices, minlength=length)).pvalue > 1e-4


def test_pairs_of_items_are_drawn_evenly():
    hidden = SampleN(2, random_state=1).hide(np.ones((6000, 5)))[1]
    a, b = hidden.indices.reshape(-1, 2).T
    pairs = np.bincount(5 * a + b, minlength=25).reshape(5, 5)
    assert chisquare(pairs[np.triu_indices(5, 1)]).pvalue > 1e-4


def test_values_do_not_say_what_is_sampled():
    X = np.tile(np.arange(1.0, 11.0), (1000, 1))
    hidden = SampleN(1, random_state=0).hide(X)[1]
    assert chisquare(np.bincount(hidden.indices, minlength=10)).pvalue > 1e-4
    assert_same([SampleN(1, random_state=0).hide(X > 0)[1]], [hidden.astype(bool)])


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
    hidden = LastN(1).hide(X)[1]
    place = (np.cumsum(X, axis=1)[np.arange(3000), hidden.indices] - 1).astype(int)
    assert chisquare(np.bincount(place, minlength=6)).pvalue > 1e-4
    assert_same(LastN(1).hide(X), LastN(1).hide(X))
    # a user's ties ignore the company
    assert_array_equal(LastN(1).hide(X[7:9])[1].toarray(), hidden[7:9].toarray())


@properties
@given(rows_of_times, fractions)
def test_the_same_is_hidden_as_in_score(rows, fraction):
    X = to_csr(rows)
    assert_same(LastFraction(fraction).hide(X), hide_items(X, "time", fraction, seed=0))


def test_by_order_hides_what_is_stored_last():
    items = [3, 0, 5, 1, 2, 4, 7]
    X = sp.csr_array(([9, 1, 2, 8, 3, 6, 5.0], items, [0, 4, 4, 6, 7]), shape=(4, 8))
    assert to_rows(LastN(1, by="order").hide(X)[1]) == [{1: 8.0}, {}, {4: 6.0}, {}]
    assert to_rows(LastN(2, by="order").hide(X)[1]) == [{5: 2.0, 1: 8.0}, {}, {}, {}]
    assert to_rows(LastFraction(0.5, by="order").hide(X)[0]) == [{0: 1, 3: 9}, {}, {2: 3}, {7: 5}]
    assert_same(LeaveOneOut(by="order").hide(X), LastN(1, by="order").hide(X))


def test_by_order_a_repeated_item_counts_where_it_is_stored_last():
    def last(items, values):
        X = sp.csr_array((values, items, [0, len(items)]), shape=(1, 4))
        return to_rows(LastN(1, by="order").hide(X)[1])

    assert last([2, 1, 0, 2], [1.0, 2, 4, 8]) == [{2: 9.0}]
    assert last([3, 1, 1, 0], [1.0, 2, 4, 8]) == [{0: 8.0}]
    assert last([2, 1, 0, 2], [1.0, 2, 4, 0]) == [{0: 4.0}]  # a zero is none


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


# As cv=


def test_grid_search_over_the_same_users():
    X = make_interactions(150, 90, random_state=0).train
    holdout = SampleFraction(0.2, random_state=0)
    history, hidden = holdout.hide(X)
    search = GridSearchCV(EASERecommender(), {"reg": [1.0, 100.0]}, cv=holdout)
    search.fit(history, hidden)
    for reg, score in zip([1.0, 100.0], search.cv_results_["mean_test_score"], strict=True):
        assert score == EASERecommender(reg=reg).fit(history).score(history, hidden)
    assert search.n_splits_ == 1


@every_holdout
def test_split_gives_all_rows_once(holdout, many):
    history, hidden = holdout.hide(many)
    ((train, test),) = holdout.split(history, hidden)
    assert_array_equal(train, np.arange(300))
    assert_array_equal(test, np.arange(300))
    assert holdout.get_n_splits() == 1
    list(holdout.split(history.toarray().tolist(), hidden.toarray()))  # dense too


def test_split_refuses_what_it_cannot_use(many):
    holdout = SampleN(random_state=0)
    for y in (None, np.ones(300)):
        with pytest.raises(ValueError, match="cannot hide items.*search.fit"):
            list(holdout.split(many, y))
    _, hidden = holdout.hide(many)
    with pytest.raises(ValueError, match="overlap in 300 interactions"):
        list(holdout.split(many, hidden))
    with pytest.raises(ValueError, match="y has shape"):
        list(holdout.split(many[:7], hidden))


# Unseen users


@properties
@given(rows_of_times, st.integers(2, 3), st.booleans())
def test_every_judged_user_is_tested_once(rows, n_splits, shuffle):
    X = to_csr(rows)
    judged = np.flatnonzero(lengths(X) > 1)
    assume(len(judged) >= n_splits)
    splitter = UnseenUsers(n_splits, shuffle=shuffle)
    folds = list(splitter.split(X))
    assert len(folds) == n_splits == splitter.get_n_splits(X)
    assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), judged)
    for train, test in folds:
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(rows)))
        assert abs(len(test) - len(judged) / n_splits) < 1


@pytest.mark.parametrize("holdout", [None, LastN(2), SampleN(3)])
def test_parts_are_those_rows(holdout, many):
    splitter = UnseenUsers(4, holdout=holdout, random_state=0)
    parts, folds = list(splitter.parts(many)), list(splitter.split(many))
    assert len(parts) == len(folds) == 4
    for (train, history, hidden), (train_rows, test_rows) in zip(parts, folds, strict=True):
        assert_array_equal(train.toarray(), many[train_rows].toarray())
        assert_array_equal((history + hidden).toarray(), many[test_rows].toarray())
        assert not history.multiply(hidden).nnz
        if holdout is None:
            expected = SampleFraction(0.2, random_state=0).hide(many)[1]
            assert_array_equal(hidden.toarray(), expected[test_rows].toarray())
        else:
            assert (lengths(hidden) == holdout.n).all()


def test_blocks_of_users_without_shuffling(many):
    tests = [test for _, test in UnseenUsers(3, shuffle=False).split(many)]
    assert_array_equal(np.concatenate(tests), np.arange(300))


def test_cross_val_score_over_unseen_users():
    X = make_interactions(150, 90, random_state=0).train
    cv = UnseenUsers(3, random_state=0)
    scores = cross_val_score(EASERecommender(), X, cv=cv)
    expected = [EASERecommender().fit(X[train]).score(X[test]) for train, test in cv.split(X)]
    assert_array_equal(scores, expected)
    assert (scores > 0).all()


def test_users_who_cannot_be_judged():
    few = np.vstack([np.eye(4), np.ones((2, 4))])
    with pytest.raises(ValueError, match="n_splits=3, but only 2 of the 6 users"):
        list(UnseenUsers(3).split(few))
    with pytest.raises(ValueError, match="only 0 of the 4 users"):
        next(UnseenUsers(2).parts(np.eye(4)))
    for train, test in UnseenUsers(2).split(few):
        assert {0, 1, 2, 3} <= set(train) and len(test) == 1


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
        ([[1, np.nan]], "X contains NaN"),
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
    expected = hidden_pattern(splitter, many)
    for copy in (clone(splitter), pickle.loads(pickle.dumps(splitter))):
        assert_array_equal(hidden_pattern(copy, many), expected)
    assert type(splitter).__name__ in repr(splitter)


# Many entries: ranks are found block by block


def test_ranks_do_not_know_the_blocks():
    # several blocks; rows longer than one, and gaps of empty rows at both ends
    lengths_ = np.array([0, 0, 5, 20_000, 0, 1, *[7] * 3000, 0, 9000, 0, 0])
    indptr = np.concatenate([[0], np.cumsum(lengths_)])
    keys = np.random.default_rng(0).integers(50, size=(2, indptr[-1])).astype(float)
    X = sp.csr_array((keys[0], np.zeros(indptr[-1], int), indptr), shape=(len(lengths_), 1))
    ranks = rank_in_rows(X, keys[0], keys[1])
    row = np.repeat(np.arange(len(lengths_)), lengths_)
    order = np.lexsort((keys[1], keys[0], row))
    assert_array_equal(row[order], row)
    assert_array_equal(ranks[order], np.arange(indptr[-1]) - indptr[:-1][row])


@pytest.mark.parametrize("hides", [LastN(1), LastFraction(0.2), TimeCut(fraction=0.5)])
def test_values_that_say_nothing_of_time_are_warned_of(hides):
    with pytest.warns(UserWarning, match="All values of X are 1, but .* takes them for times"):
        hides.hide(np.ones((3, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hides.hide(np.arange(12.0).reshape(3, 4))
        hides.hide(np.eye(1, 4))
