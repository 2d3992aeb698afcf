"""Models that were fitted with features of users, in their kinds."""

import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from numpy.testing import assert_array_equal

from skdiffrec.baselines import NeighborhoodRecommender
from skdiffrec.datasets import make_interactions

N_USERS, N_ITEMS, N_FEATURES = 150, 60, 8
QUICK = "default", "horizon", "no head"
KINDS = {
    "default": {},
    "time": dict(values="time"),
    "horizon": dict(values="time", horizon=2, closed_form=NeighborhoodRecommender()),
    "steps": dict(n_sampling_steps=3, closed_form=NeighborhoodRecommender()),
    "drawn": dict(n_sampling_steps=2, temperature=1.0, eta=1.0, n_draws=2),
    "no closed form": dict(closed_form=None),
    "no head": dict(ranking_head=False, latent_dim=None, n_sampling_steps=2),
    "early stopping off": dict(early_stopping=False, values="weight"),
}


def data_of(**parameters):
    return make_interactions(
        N_USERS, N_ITEMS, n_interactions_per_user=10, n_tastes=4, random_state=3, **parameters
    )


PARAMS = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@pytest.fixture(name="fitted", scope="module", params=PARAMS)
def fitted_fixture(request):
    """(model, X, features); some users have no history, no features, or neither."""
    parameters = KINDS[request.param]
    data = data_of(values=parameters.get("values", "binary"))
    X, U = data.train.tolil(), data.user_features.tolil()
    X[[0, 1]] = 0
    U[[1, 2]] = 0
    X, U = sp.csr_array(X.tocsr()), sp.csr_array(U.tocsr())
    return tiny_cfg(**parameters).fit(X, user_features=U), X, U


@pytest.fixture(name="profiled", scope="module")
def profiled_fixture():
    data = data_of()
    return tiny_cfg().fit(data.train, user_features=data.user_features), data


def lists_of(model, **options):
    return model.recommend([0, 1, 2, 3, 4], 6, **options)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a, b)
