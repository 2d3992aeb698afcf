"""One solver for many settings."""

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import assert_same, dense, ones_of, random_times
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.blending import popularity_discounts
from skdiffrec._closed_form.solver import ClosedFormSettings, ClosedFormSolver
from skdiffrec._closed_form.transitions import transitions


def all_settings(kind):
    return [
        ClosedFormSettings(kind, 3.0, 0.0),
        ClosedFormSettings(kind, 10.0, 0.0),
        ClosedFormSettings(kind, 3.0, 0.5),
        ClosedFormSettings(kind, 3.0, 0.5, reg=2.0),
        ClosedFormSettings(kind, 3.0, 0.0, None, 0.7, 10.0),
        ClosedFormSettings(kind, 3.0, 0.0, None, 0.7, None),
        ClosedFormSettings(kind, 3.0, 0.0, None, 0.4, None),
        ClosedFormSettings(kind, 9.0, 0.0, None, 0.4, None),
        ClosedFormSettings(kind, 3.0, 0.0, ridge_exponent=0.5),
        ClosedFormSettings(kind, 3.0, 0.0, ridge_exponent=0.5, discount=0.2),
        ClosedFormSettings(kind, 3.0, 0.0, ridge_exponent=0.5, cosine_share=0.3),
        ClosedFormSettings(kind, 3.0, 0.5, None, 0.4, None, discount=0.3, cosine_share=1.0),
    ]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_a_solver_of_many_settings_gives_each_its_own(kind, wide, monkeypatch):
    if wide:
        monkeypatch.setattr("skdiffrec._closed_form.solver.EASE_MAX_ITEMS", 0)
    X, weight = random_times(80, 30), np.arange(80) % 3 + 1.0
    cuts = transitions(X, 5.0, 0)
    ones = ones_of(X)
    columns = np.array([2, 3, 17])
    whole = list(ClosedFormSolver(ones, weight, cuts).solve(all_settings(kind)))
    part = list(ClosedFormSolver(ones, weight, cuts, columns).solve(all_settings(kind)))
    assert [tried for tried, _ in whole] == all_settings(kind)
    for (tried, B), (_, some) in zip(whole, part, strict=True):
        # in the place of its Gram matrix
        alone = ClosedFormSolver(ones, weight, cuts).solve_once(tried)
        assert_array_equal(dense(B), dense(alone))
        if not tried.cosine_share:  # whose factor is that of the columns alone
            assert_same(some, B[:, columns])


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_wide_catalogue_has_the_same_closed_form(share, monkeypatch):
    X, weight = random_times(80, 30), np.arange(80) % 3 + 1.0
    cuts = transitions(X, 5.0, 0)
    ones = ones_of(X)
    chosen = ClosedFormSettings("neighborhood", 3.0, 0.5, None, share, 10.0)
    narrow = ClosedFormSolver(ones, weight, cuts).solve_once(chosen)
    monkeypatch.setattr("skdiffrec._closed_form.solver.EASE_MAX_ITEMS", 0)
    assert_same(ClosedFormSolver(ones, weight, cuts).solve_once(chosen), narrow)


def solved(X, weight, kind, **settings):
    settings = ClosedFormSettings(kind, settings.pop("ridge", 3.0), 0.0, **settings)
    return dense(ClosedFormSolver(X, weight).solve_once(settings)).astype(np.float64)


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_a_ridge_of_every_item(kind):
    """λ·(popularity / mean)^α: as λI with every item divided by the root of its share."""
    X, weight = ones_of(random_times(300, 12)), np.arange(300) % 3 + 1.0
    counts = X.T @ weight
    factor = (counts / counts.mean()) ** -0.25
    rows = X.toarray() * np.sqrt(weight)[:, None]
    gram = rows.T @ rows
    inverse = np.linalg.inv(gram + np.diag(3 * counts.mean() / factor**2))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    assert_same(solved(X, weight, kind, ridge_exponent=0.5), expected)


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_weights_are_discounted_by_the_popularity_of_what_they_predict(kind):
    X, weight = ones_of(random_times(80, 30)), np.arange(80) % 3 + 1.0
    counts = X.T @ weight
    expected = solved(X, weight, kind) * (counts / counts.mean()) ** -0.2
    assert_same(solved(X, weight, kind, discount=0.2), expected)


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_cosines_spread_so_far_beside_the_ridge(kind, factor):
    """Shrunk by 10 users, whatever a user weighs; with fewer items than neighbours, all of them."""
    X = ones_of(random_times(80, 30))
    weight = np.full(80, factor)
    gram = (X.T @ X).toarray()
    norms = np.sqrt(np.diag(gram))
    cosine = gram / (np.outer(norms, norms) + 10)
    np.fill_diagonal(cosine, 0)
    B, rows = solved(X, weight, kind), X.toarray()
    spread = [(rows @ part).std(axis=1).mean() for part in (B, cosine)]
    expected = B + 0.3 * spread[0] / spread[1] * cosine
    found = solved(X, weight, kind, cosine_share=0.3)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()  # of a sample of rows


def test_cosines_of_the_nearest(monkeypatch):
    """EASE gets the nearest of every item that is read, neighbourhoods their own."""
    monkeypatch.setattr("skdiffrec._closed_form.solver.N_NEIGHBORS", 3)
    X, weight = ones_of(random_times(80, 30)), np.ones(80)
    with_cosines = solved(X, weight, "ease", cosine_share=0.5)
    added = with_cosines - solved(X, weight, "ease")
    assert ((np.abs(added) > 1e-6).sum(axis=1) == 3).all()
    sparse = solved(X, weight, "neighborhood", cosine_share=0.5)
    assert (np.count_nonzero(sparse, axis=0) == 3).all()


def test_items_that_nobody_took_are_discounted_as_the_rarest():
    factors = popularity_discounts(np.array([0.0, 1.0, 4.0, 7.0]), 0.5)
    assert_allclose(
        factors, [0.5 * factors[0] * 2, factors[1], factors[1] / 2, factors[1] / 7**0.5]
    )
    assert factors[0] == factors[1]
    assert_array_equal(popularity_discounts(np.zeros(3), 0.5), np.ones(3))
    assert_array_equal(popularity_discounts(np.arange(3.0), 0.0), np.ones(3))


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_degenerate_tables_have_a_closed_form(kind):
    """One item, one user, items that were never met together."""
    given = dict(ridge_exponent=0.5, discount=0.2, cosine_share=0.3)
    for X in (np.ones((3, 1)), np.ones((1, 4)), np.eye(4), np.eye(4)[:, [0, 0, 1, 2]]):
        X = sp.csr_array(X.astype(np.float32))
        assert np.isfinite(solved(X, np.ones(X.shape[0]), kind, **given)).all()
