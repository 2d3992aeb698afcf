"""What features say in closed form, against scikit-learn's ridge and refits without a row."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from skdiffrec._closed_form import user_features
from skdiffrec._closed_form.user_features import column_factors, feature_lift

N_ROWS, N_ITEMS, N_FEATURES = 60, 15, 6
properties = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**31 - 1)


def problem(seed, n_features=N_FEATURES):
    """Rows that depend on features, every row with some of both."""
    rng = np.random.default_rng(seed)
    F = (rng.random((N_ROWS, n_features)) < 0.4) * rng.normal(1, 0.5, (N_ROWS, n_features))
    F[np.arange(N_ROWS), rng.integers(0, n_features, N_ROWS)] = 1.0
    taste = rng.normal(size=(n_features, N_ITEMS))
    X = (rng.random((N_ROWS, N_ITEMS)) < 1 / (1 + np.exp(1 - F @ taste))).astype(float)
    X[np.arange(N_ROWS), rng.integers(0, N_ITEMS, N_ROWS)] = 1.0
    return X, F, rng.integers(1, 4, N_ROWS).astype(float)


def lifted(X, F, weight):
    lift = feature_lift(sp.csr_array(X), sp.csr_array(F), weight, 0)
    return (F @ lift.project - lift.center) @ lift.lift.T


def smoothed(X, weight):
    share = weight @ X / weight.sum()
    return share + user_features._SMOOTHING * (share**2).sum() / share.sum()


@properties
@given(seeds)
def test_is_a_ridge_of_rows_on_features_over_the_shares(seed):
    X, F, weight = problem(seed)
    centred = F - weight @ F / weight.sum()
    unit = np.linalg.eigvalsh((centred * weight[:, None]).T @ centred).mean()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user_features, "_REGS", (3.0,))
        found = lifted(X, F, weight)
    ridge = Ridge(alpha=3.0 * unit).fit(F, X, sample_weight=weight)
    expected = ridge.predict(F) - weight @ X / weight.sum()
    assert_allclose(found, expected / smoothed(X, weight), atol=1e-6)


def test_the_ridge_predicts_rows_without_themselves_best():
    X, F, _ = problem(3)
    weight = np.ones(N_ROWS)
    centred = F - F.mean(0)
    unit = np.linalg.eigvalsh(centred.T @ centred).mean()
    errors = []
    for reg in user_features._REGS:
        error = 0.0
        for row in range(N_ROWS):
            others = np.arange(N_ROWS) != row
            # the mean too is that of the others
            own = Ridge(alpha=unit * reg).fit(F[others], X[others])
            error += ((own.predict(F[[row]]) - X[row]) ** 2).sum()
        errors.append(error)
    best = user_features._REGS[int(np.argmin(errors))]
    ridge = Ridge(alpha=unit * best).fit(F, X)
    expected = (ridge.predict(F) - X.mean(0)) / smoothed(X, weight)
    assert_allclose(lifted(X, F, weight), expected, atol=1e-6)
    assert 0 < int(np.argmin(errors)) < len(errors) - 1


def test_weights_are_copies():
    X, F, weight = problem(5)
    copies = np.repeat(np.arange(N_ROWS), weight.astype(int))
    with pytest.MonkeyPatch.context() as patch:  # of copies, one predicts the other
        patch.setattr(user_features, "_REGS", (1.0,))
        found = lifted(X, F, weight)
        expected = lifted(X[copies], F[copies], np.ones(len(copies)))
    assert_allclose(found[np.repeat(np.arange(N_ROWS), weight.astype(int))], expected, atol=1e-6)


def test_users_of_whom_nothing_is_known_are_left_out():
    X, F, weight = problem(7)
    F[:20] = 0
    X[20:25] = 0
    kept = np.arange(25, N_ROWS)
    expected = lifted(X[kept], F[kept], weight[kept])
    lift = feature_lift(sp.csr_array(X), sp.csr_array(F), weight, 0)
    assert_allclose((F[kept] @ lift.project - lift.center) @ lift.lift.T, expected, atol=1e-9)


def test_features_that_say_nothing_change_little():
    rng = np.random.default_rng(0)
    X = (rng.random((2_000, 12)) < 0.3).astype(float)
    F = (rng.random((2_000, 5)) < 0.5).astype(float)
    assert np.abs(lifted(X, F, np.ones(2_000))).max() < 0.05


@pytest.mark.parametrize("constant", ["equal rows", "one user", "nobody"])
def test_features_without_a_spread(constant):
    X, F, weight = problem(1)
    if constant == "equal rows":
        F[:] = F[0]
    elif constant == "one user":
        X, F, weight = X[:1], F[:1], weight[:1]
    else:
        F[:] = 0
    assert_allclose(lifted(X, F, weight), 0, atol=1e-9)


def test_many_features_are_read_by_their_leading_directions():
    X, F, weight = problem(2, n_features=600)
    lift = feature_lift(sp.csr_array(X), sp.csr_array(F), weight, 0)
    assert lift.project.shape == (600, min(user_features._MAX_RANK, N_ITEMS))
    assert np.isfinite(lift.lift).all()
    found = (F @ lift.project - lift.center) @ lift.lift.T
    right = np.corrcoef(found.ravel(), (X - weight @ X / weight.sum()).ravel())[0, 1]
    assert right > 0.3  # of the rows that it was solved on


def test_many_rows_are_sampled(monkeypatch):
    """Sums over some of the users differ little from those over all."""
    rng = np.random.default_rng(0)
    F = np.eye(3)[rng.integers(0, 3, 4_000)]
    X = (rng.random((4_000, 6)) < 0.2 + 0.5 * np.tile(F, 2)).astype(float)
    every = lifted(X, F, np.ones(4_000))
    monkeypatch.setattr(user_features, "_MAX_CELLS", 3 * 2_000)
    some = lifted(X, F, np.ones(4_000))
    assert 0 < np.abs(some - every).max() < 0.15 < np.abs(every).max()


def test_factors_give_entries_a_size_of_one():
    F = sp.csr_array(np.array([[1.0, 0.0, 0.0], [8.0, -0.6, 0.0], [0.0, 0.5, 0.0], [9e9, 1, 1]]))
    # mean squares of (1 + 64)/2 and (.36 + .25)/2: 5.7 and .55, to the nearest powers of two
    assert_allclose(column_factors(F, np.array([1.0, 1.0, 1.0, 0.0])), [1 / 8, 2.0, 0.0])
    # of users that weigh more
    assert_allclose(column_factors(F, np.array([1.0, 1e6, 1.0, 0.0]))[0], 1 / 8)
    assert_allclose(column_factors(F, np.array([1e6, 1.0, 1.0, 0.0]))[0], 1.0)
