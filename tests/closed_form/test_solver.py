"""One solver for many settings."""

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import assert_same, random_times
from numpy.testing import assert_array_equal

from skdiffrec._closed_form.solver import PathSettings, PathSolver, solve_path
from skdiffrec._closed_form.transitions import transitions


def paths(kind):
    return [
        PathSettings(kind, 3.0, 0.0),
        PathSettings(kind, 10.0, 0.0),
        PathSettings(kind, 3.0, 0.5),
        PathSettings(kind, 3.0, 0.5, reg=2.0),
        PathSettings(kind, 3.0, 0.0, None, 0.7, 10.0),
        PathSettings(kind, 3.0, 0.0, None, 0.7, None),
        PathSettings(kind, 3.0, 0.0, None, 0.4, None),
        PathSettings(kind, 9.0, 0.0, None, 0.4, None),
    ]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_a_solver_of_many_settings_gives_each_its_own(kind, wide, monkeypatch):
    if wide:
        monkeypatch.setattr("skdiffrec._closed_form.solver.EASE_MAX_ITEMS", 0)
    X, weight = random_times(80, 30), np.arange(80) % 3 + 1.0
    moments = transitions(X, 5.0, 0)
    ones = sp.csr_array(X.astype(bool).astype(np.float32))
    columns = np.array([2, 3, 17])
    whole = list(PathSolver(ones, weight, moments).solve(paths(kind)))
    part = list(PathSolver(ones, weight, moments, columns).solve(paths(kind)))
    assert [tried for tried, _ in whole] == paths(kind)
    for (tried, B), (_, some) in zip(whole, part, strict=True):
        alone = solve_path(ones, weight, tried, moments)  # in the place of its Gram matrix
        assert_array_equal(*(M.toarray() if sp.issparse(M) else M for M in (B, alone)))
        assert_same(some, B[:, columns])


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_wide_catalogue_has_the_same_path(share, monkeypatch):
    X, weight = random_times(80, 30), np.arange(80) % 3 + 1.0
    moments = transitions(X, 5.0, 0)
    ones = sp.csr_array(X.astype(bool).astype(np.float32))
    chosen = PathSettings("neighborhood", 3.0, 0.5, None, share, 10.0)
    narrow = solve_path(ones, weight, chosen, moments)
    monkeypatch.setattr("skdiffrec._closed_form.solver.EASE_MAX_ITEMS", 0)
    assert_same(solve_path(ones, weight, chosen, moments), narrow)
