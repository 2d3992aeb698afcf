"""Work on the rows of a CSR, against loops over rows."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.stats import chisquare

from skdiffrec._utils.rows import (
    entry_rows,
    hide_items,
    last_tied_rank,
    pad_rows,
    rank_in_rows,
    select_entries,
    unit_free,
)
from skdiffrec._utils.validation import VALUES

N_ITEMS = 15
properties = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31 - 2)
# few different values, so that many are tied
tied_rows = st.lists(
    st.dictionaries(st.integers(0, N_ITEMS - 1), st.sampled_from([1.0, 2.0, 2.5, 7.0])),
    max_size=5,
)
all_values = pytest.mark.parametrize("values", VALUES)


def to_csr(rows, n_items=N_ITEMS):
    """A canonical CSR from one dict item -> value per row."""
    ordered = [sorted(row.items()) for row in rows]
    indptr = np.cumsum([0, *(len(row) for row in ordered)]).astype(np.int32)
    indices = np.array([item for row in ordered for item, _ in row], np.int32)
    data = np.array([value for row in ordered for _, value in row], np.float64)
    return sp.csr_array((data, indices, indptr), shape=(len(rows), n_items))


def to_rows(X):
    """One dict item -> value per row, in the order of storage."""
    pairs = list(zip(X.indices.tolist(), X.data.tolist(), strict=True))
    return [
        dict(pairs[start:stop]) for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True)
    ]


def random_rows(n, n_items, length, seed=0):
    """Rows of `length` distinct items at distinct times."""
    rng = np.random.default_rng(seed)
    return [
        dict(
            zip(
                rng.choice(n_items, length, replace=False).tolist(),
                (rng.permutation(length) + 1.0).tolist(),
                strict=True,
            )
        )
        for _ in range(n)
    ]


# Ranks


@properties
@given(tied_rows)
def test_entry_rows(rows):
    expected = [i for i, row in enumerate(rows) for _ in row]
    assert entry_rows(to_csr(rows)).tolist() == expected


@properties
@given(tied_rows, st.integers(0, 3))
def test_rank_in_rows_against_sorting_each_row(rows, seed):
    X = to_csr(rows)
    second = np.random.default_rng(seed).integers(0, 3, X.nnz)
    by_one, by_two, reversed_keys = [], [], []
    start = 0
    for row in rows:
        places = range(len(row))
        keys = [(X.data[start + p], second[start + p]) for p in places]
        # Python sorts stably, so what is tied keeps its order of storage
        for ranks, key in (
            (by_one, lambda p, keys=keys: keys[p][0]),
            (by_two, lambda p, keys=keys: keys[p]),
            (reversed_keys, lambda p, keys=keys: keys[p][::-1]),
        ):
            order = sorted(places, key=key)
            ranks += [order.index(p) for p in places]
        start += len(row)
    assert rank_in_rows(X, X.data).tolist() == by_one
    assert rank_in_rows(X, X.data, second).tolist() == by_two
    assert rank_in_rows(X, second, X.data).tolist() == reversed_keys


@properties
@given(tied_rows)
def test_last_tied_rank_counts_the_entries_not_greater(rows):
    X = to_csr(rows)
    expected = [
        sum(other <= row[item] for other in row.values()) - 1
        for row in rows
        for item in sorted(row)
    ]
    assert last_tied_rank(X, rank_in_rows(X, X.data)).tolist() == expected


def test_last_tied_rank_keeps_rows_with_equal_ends_apart():
    # the greatest of the first row equals the least of the second
    X = to_csr([{0: 1.0, 1: 3.0}, {0: 3.0, 1: 3.0, 2: 4.0}])
    assert last_tied_rank(X, rank_in_rows(X, X.data)).tolist() == [0, 1, 1, 1, 2]


@properties
@given(tied_rows, st.sampled_from([0.25, 3.0, 0.1, 1 / 7, 86_400.0]), st.sampled_from([0.0, 1e9]))
def test_unit_free_data_do_not_know_the_unit(rows, unit, origin):
    X = to_csr(rows)
    for values in VALUES:
        elsewhere = X.copy()
        elsewhere.data = X.data * unit + (origin if values == "time" else 0)
        free = unit_free(X, values)
        assert free.dtype == np.float64
        assert_array_equal(free.data, unit_free(elsewhere, values).data)
        for row, found in zip(rows, to_rows(free), strict=True):
            assert found == {
                item: {
                    "binary": 1.0,
                    "weight": max(round(value / max(row.values()), 6), 1e-6),
                    "time": sum(other <= value for other in row.values()) - 1,
                }[values]
                for item, value in row.items()
            }
    assert to_rows(X) == rows_in_order(rows)  # left alone


# Selecting and padding


@properties
@given(tied_rows, st.integers(0, 100))
def test_select_entries_keeps_what_the_mask_selects(rows, seed):
    X = to_csr(rows)
    mask = np.random.default_rng(seed).random(X.nnz) < 0.5
    kept = select_entries(X, mask)
    expected, place = [], 0
    for row in rows:
        expected.append({})
        for item in sorted(row):
            if mask[place]:
                expected[-1][item] = row[item]
            place += 1
    assert kept.shape == X.shape
    assert to_rows(kept) == expected


@properties
@given(tied_rows, st.integers(1, 6))
def test_pad_rows_appends_empty_rows(rows, multiple):
    X = to_csr(rows)
    padded = pad_rows(X, multiple)
    n_padded = multiple * int(np.ceil(len(rows) / multiple))
    assert padded.shape == (n_padded, N_ITEMS)
    assert to_rows(padded) == rows_in_order(rows) + [{}] * (n_padded - len(rows))
    padded.check_format()


def rows_in_order(rows):
    return [dict(sorted(row.items())) for row in rows]


def test_pad_rows_has_nothing_to_do_for_a_multiple():
    X = to_csr([{1: 1.0}] * 4)
    assert pad_rows(X, 2) is X


# Hiding


@all_values
@properties
@given(rows=tied_rows, fraction=st.floats(0, 1), seed=seeds)
def test_hidden_and_history_share_out_every_row(values, rows, fraction, seed):
    X = to_csr(rows)
    history, hidden = hide_items(X, values, fraction, seed)
    assert history.shape == hidden.shape == X.shape
    for row, stays, goes in zip(rows, to_rows(history), to_rows(hidden), strict=True):
        assert not stays.keys() & goes.keys()
        assert stays | goes == row
        if len(row) < 2:
            assert goes == {}
        else:
            wanted = max(round(fraction * len(row)), 1)
            assert len(goes) == min(wanted, len(row) - 1)


@properties
@given(tied_rows, st.floats(0, 1), seeds)
def test_the_latest_are_hidden_where_values_are_times(rows, fraction, seed):
    history, hidden = hide_items(to_csr(rows), "time", fraction, seed)
    for stays, goes in zip(to_rows(history), to_rows(hidden), strict=True):
        if goes:
            assert max(stays.values()) <= min(goes.values())


@all_values
@properties
@given(rows=tied_rows, seed=seeds, random=st.randoms())
def test_what_is_hidden_of_a_user_ignores_other_users(values, rows, seed, random):
    order = random.sample(range(len(rows)), random.randint(0, len(rows)))
    together = hide_items(to_csr(rows), values, 0.4, seed)
    apart = hide_items(to_csr([rows[i] for i in order]), values, 0.4, seed)
    for whole, part in zip(together, apart, strict=True):
        assert to_rows(part) == [to_rows(whole)[i] for i in order]


@properties
@given(tied_rows, seeds)
def test_what_is_hidden_ignores_the_unit_of_the_values(rows, seed):
    X = to_csr(rows)
    elsewhere = X.copy()
    for values, data in (("binary", X.data**2), ("weight", 4 * X.data), ("time", 3 * X.data + 5)):
        elsewhere.data = data
        _, hidden = hide_items(X, values, 0.4, seed)
        _, other = hide_items(elsewhere, values, 0.4, seed)
        assert [set(row) for row in to_rows(hidden)] == [set(row) for row in to_rows(other)]


@all_values
def test_the_seed_decides_what_is_hidden(values):
    X = to_csr(random_rows(50, 40, 10), 40)
    X.data[:] = 1.0  # all tied, so that times leave it to the seed too
    first, again, other = (to_rows(hide_items(X, values, 0.3, seed)[1]) for seed in (1, 1, 2))
    assert first == again
    assert sum(a != b for a, b in zip(first, other, strict=True)) > 40


def test_weights_do_not_decide_what_is_hidden():
    # distinct weights: were they an order, all rows would hide their largest
    rows = random_rows(200, 40, 10)
    _, hidden = hide_items(to_csr(rows, 40), "weight", 0.1, 0)
    n_largest = sum(10.0 in row.values() for row in to_rows(hidden))
    assert 5 <= n_largest <= 40  # 20 expected of 200


@pytest.mark.parametrize("values", ["binary", "time"])
def test_hidden_items_are_drawn_evenly(values):
    n, length = 2_000, 8
    X = to_csr(random_rows(n, 100, length), 100)
    X.data[:] = 1.0
    _, hidden = hide_items(X, values, 0.25, 3)
    places = [
        sorted(row).index(item)
        for row, goes in zip(to_rows(X), to_rows(hidden), strict=True)
        for item in goes
    ]
    assert chisquare(np.bincount(places, minlength=length)).pvalue > 1e-3


def test_hiding_leaves_the_input_alone():
    X = to_csr(random_rows(5, 20, 6), 20)
    before = X.copy()
    hide_items(X, "time", 0.5, 0)
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(X, name), getattr(before, name))


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
