"""One solver for many settings."""

import numpy as np
import pytest
from closed_form_problems import assert_same, dense, ones_of, random_times
from numpy.testing import assert_array_equal

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
