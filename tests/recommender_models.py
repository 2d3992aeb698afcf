"""Fitted models that several files change copies of, and a recommender of one's own."""

import copy

import pytest
from conftest import tiny_cfg
from hypothesis import settings
from numpy.testing import assert_array_equal

from skdiffrec.baselines import ItemItemRecommender

N_USERS, N_ITEMS = 120, 50
properties = settings(max_examples=25, deadline=None)
DRAWN = dict(temperature=1.0, eta=1.0, n_sampling_steps=3, n_draws=2)


@pytest.fixture(name="cfg", scope="module")
def cfg_fixture(interactions):
    """Shared: never change it."""
    return tiny_cfg().fit(interactions)


@pytest.fixture(name="plain", scope="module")
def plain_fixture(interactions):
    """Trained without regard to how it will be sampled: no held-out items, no closed form."""
    return tiny_cfg(early_stopping=False, closed_form=None).fit(interactions)


def changed(fitted, **parameters):
    """A copy with other parameters, not fitted again."""
    return copy.deepcopy(fitted).set_params(**parameters)


def assert_same_lists(one, other):
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a, b)


@pytest.fixture(name="drawing", scope="module")
def drawing_fixture(plain):
    return changed(plain, **DRAWN, guidance_scale=1.5)


class OwnRecommender(ItemItemRecommender):
    """Somebody's, whose parameters are those of the base class."""

    _weights_name = "own_"

    def __init__(self, *, values="binary", half_life=5.0):
        self.values = values
        self.half_life = half_life

    def _solve(self, rows):
        return rows.T @ rows
