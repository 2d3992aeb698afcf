"""Holdouts of every kind, and small rows to hide items of."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

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

N_ITEMS = 12
properties = settings(max_examples=30, deadline=None)
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
    "keep-n": KeepN(2, random_state=0),
    "keep-first": KeepN(2, by="value"),
    "last-fraction": LastFraction(0.4),
    "time-cut": TimeCut(2.5),
    "time-share": TimeCut(fraction=0.3),
}
BY_ORDER = {
    "last-n-by-order": LastN(2, by="order"),
    "keep-first-by-order": KeepN(2, by="order"),
    "last-fraction-by-order": LastFraction(0.4, by="order"),
    "leave-last-out-by-order": LeaveOneOut(by="order"),
}
every_holdout = pytest.mark.parametrize("holdout", HOLDOUTS.values(), ids=HOLDOUTS)
RANDOM = {
    "fraction": lambda random_state: SampleFraction(0.4, random_state=random_state),
    "n": lambda random_state: SampleN(2, random_state=random_state),
    "keep": lambda random_state: KeepN(2, random_state=random_state),
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


def held_out_pattern(splitter, X):
    """What a splitter hides or tests, to compare two of its answers."""
    if isinstance(splitter, UnseenUsers):
        return np.concatenate([test for _, test in splitter.split(X)])
    return splitter.hide(X)[1].toarray()


@pytest.fixture(name="many", scope="module")
def many_fixture():
    """300 users with 4 to 20 items at distinct times."""
    rng = np.random.default_rng(0)
    dense = rng.permutation(300 * 40).reshape(300, 40) + 1.0
    kept = rng.permuted(np.tile(np.arange(40), (300, 1)), axis=1) < rng.integers(4, 21, (300, 1))
    return sp.csr_array(dense * kept)
