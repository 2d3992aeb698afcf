"""Models of ratings, in their kinds, and histories of likes and dislikes."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg

from skdiffrec.baselines import EASERecommender, NeighborhoodRecommender
from skdiffrec.datasets import make_interactions

N_USERS, N_ITEMS = 150, 60
QUICK = ("with features",)
KINDS = {
    "default": {},
    "with features": dict(closed_form=NeighborhoodRecommender()),
    "a number": dict(liked_from=3, n_sampling_steps=3, closed_form=EASERecommender()),
    "drawn": dict(n_sampling_steps=2, temperature=1.0, eta=1.0, n_draws=2),
    "no closed form": dict(closed_form=None, early_stopping=False),
    "from the history": dict(start_timestep=40, n_sampling_steps=2),
    "no head": dict(ranking_head=False, latent_dim=None, n_sampling_steps=2),
    "some loss items": dict(n_loss_items=20, target_share=0.0),
}
PARAMS = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


def rated_data(n_users=N_USERS, n_items=N_ITEMS, **parameters):
    return make_interactions(
        n_users,
        n_items,
        **dict(n_interactions_per_user=10, n_tastes=4, values="rating", random_state=3)
        | parameters,
    )


@pytest.fixture(name="rated", scope="module", params=PARAMS)
def rated_fixture(request):
    """(model, X, options of rows): user 0 rated nothing, 1 and 2 only dislike and only like."""
    data, options = rated_data(), {}
    X = data.train.toarray()
    X[0], X[1], X[2] = 0.0, (X[1] > 0) * 1.0, (X[2] > 0) * 5.0
    X = sp.csr_array(X)
    if request.param == "with features":
        options = {"user_features": data.user_features}
    return tiny_cfg(values="rating", **KINDS[request.param]).fit(X, **options), X, options


def some(options, rows):
    """The options of some rows."""
    return {name: value[rows] for name, value in options.items()}


def opinions_of(model, X):
    """(liked, disliked) as dense weights."""
    return [part.toarray() for part in model._model.opinions.split(sp.csr_array(X))]


def one_row(**ratings):
    row = np.zeros((1, N_ITEMS))
    for item, rating in ratings.items():
        row[0, int(item[1:])] = rating
    return row
