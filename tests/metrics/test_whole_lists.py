"""R-precision and AUC, which read lists of any length."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from metric_cases import (
    CASES,
    cases,
    listed,
    properties,
    random_case,
    random_train,
    same_mean,
    to_dense,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score

from skdiffrec.metrics import auc, precision_at_k, r_precision

# --- R-precision ---------------------------------------------------------------------------------


@given(cases())
@properties
def test_r_precision_is_precision_at_the_users_own_t(case):
    ids, holdouts, n_items, _ = case
    holdout = to_dense(holdouts, n_items)
    expected = np.full(len(ids), np.nan)
    for user, held in enumerate(holdouts):
        if held:  # at the width of the lists where the holdout is longer
            k = min(len(held), ids.shape[1])
            expected[user] = precision_at_k(ids[[user]], holdout[[user]], k)
    assert_allclose(same_mean(r_precision, ids, holdout), expected, rtol=1e-12)


def test_r_precision_counts_users_without_holdout_as_asked():
    ids, holdout = [[0, 1], [0, 1]], [[1, 0, 0], [0, 0, 0]]
    assert_array_equal(r_precision(ids, holdout, per_user=True), [1, np.nan])
    assert r_precision(ids, holdout) == 1.0
    assert r_precision(ids, holdout, empty="zero") == 0.5
    with pytest.raises(ValueError, match="empty must be one of 'nan', 'zero', got None"):
        r_precision(ids, holdout, empty=None)


# --- AUC -----------------------------------------------------------------------------------------


def slow_auc(row, held, seen, n_items):
    place = {item: rank for rank, item in enumerate(row)}
    others = set(range(n_items)) - held - seen
    if not held or not others:
        return np.nan
    score = [
        (place.get(a, n_items) < place.get(b, n_items))
        + 0.5 * (place.get(a, n_items) == place.get(b, n_items))
        for a, b in itertools.product(held, others)
    ]
    return np.mean(score)


@given(cases(), st.data())
@properties
def test_auc_agrees_with_all_pairs(case, data):
    ids, holdouts, n_items, _ = case
    holdout = to_dense(holdouts, n_items)
    train = random_train(data, len(ids), n_items)  # may overlap lists and holdout
    rows = listed(ids, None)
    for given_train in (None, sp.csr_array(train)):
        seen = [set() if given_train is None else set(np.flatnonzero(row)) for row in train]
        expected = [
            slow_auc(row, held, s, n_items)
            for row, held, s in zip(rows, holdouts, seen, strict=True)
        ]
        values = auc(ids, holdout, train=given_train, per_user=True)
        assert_allclose(values, expected, rtol=1e-12, atol=1e-15)


def test_auc_of_complete_lists_agrees_with_sklearn():
    rng = np.random.default_rng(0)
    scores = rng.random((20, 30))
    _, holdout, train = (part[:20, :30] for part in random_case())
    holdout[holdout.sum(axis=1) == 0, 0] = 1
    train[holdout > 0] = 0
    ids = np.argsort(-scores, axis=1)
    values = auc(ids, holdout, train=train, per_user=True)
    unseen = train == 0
    expected = [roc_auc_score(holdout[u][m], scores[u][m]) for u, m in enumerate(unseen)]
    assert_allclose(values, expected, rtol=1e-12)
    plain = [roc_auc_score(holdout[u], scores[u]) for u in range(20)]
    assert_allclose(auc(ids, holdout, per_user=True), plain, rtol=1e-12)


@pytest.mark.parametrize(("case", "value"), [("fixture", 0.74444444444), ("random", 0.49607254347)])
def test_auc_of_implicit(case, value):
    # "auc" of implicit 0.7.3 by the recipe of test_metrics_conventions.PINNED: lists cut at k.
    ids, holdout, _ = CASES[case]
    assert auc(ids, holdout) == pytest.approx(value, abs=1e-10)


def test_auc_needs_something_to_compare_with():
    ids, holdout, train = [[0, 1], [0, 1]], [[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 1, 0]]
    assert_array_equal(auc(ids, holdout, train=train, per_user=True), [np.nan, 1])
    assert auc(ids, holdout, train=train) == 1.0
    with pytest.raises(ValueError, match="at least one user with a holdout item and another"):
        auc([[0]], [[1]])
    with pytest.raises(ValueError, match="holdout must hold an item"):
        auc([[0]], [[0]])
