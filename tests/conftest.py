"""Small models and data that several test files share."""

import os

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._training import loop
from skdiffrec.baselines import (
    ALSRecommender,
    EASERecommender,
    FlowRecommender,
    ItemKNNRecommender,
    MultVAERecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)
from skdiffrec.datasets import make_interactions

# The models here are so small that a second thread costs more than it gains, and ten times as much
# where another process holds a processor.
torch.set_num_threads(1)
if "PYTEST_XDIST_WORKER" in os.environ:  # every worker has a processor, and BLAS its threads
    threadpool_limits(1, "blas")


def tiny_cfg(**parameters):
    """A CFGDiffusionRecommender that fits in a moment."""
    defaults = dict(
        hidden_dims=(32, 32),
        latent_dim=16,
        max_epochs=3,
        batch_size=32,
        device="cpu",
        random_state=0,
    )
    return CFGDiffusionRecommender(**{**defaults, **parameters})


def tiny_als(**parameters):
    return ALSRecommender(**{**dict(factors=8, iterations=5, random_state=0), **parameters})


def tiny_vae(**parameters):
    """A MultVAERecommender that fits in a moment."""
    defaults = dict(hidden_dims=(24,), latent_dim=8, max_epochs=3, random_state=0)
    return MultVAERecommender(**{**defaults, **parameters})


def tiny_flow(**parameters):
    """A FlowRecommender that fits in a moment."""
    defaults = dict(hidden_dims=(24, 24), latent_dim=8, max_epochs=3, random_state=0)
    return FlowRecommender(**{**defaults, **parameters})


# One instance of each kind of arithmetic: branches, spaces, heads, closed forms, draws, values.
MODELS = {
    "cfg": tiny_cfg(),
    "cfg-guided": tiny_cfg(
        guidance_scale=2.0, closed_form=NeighborhoodRecommender(), n_sampling_steps=3
    ),
    "cfg-drawn": tiny_cfg(
        guidance_scale=1.5, n_sampling_steps=3, eta=1.0, temperature=1.0, n_draws=2
    ),
    "cfg-item-space": tiny_cfg(
        latent_dim=None,
        ranking_head=False,
        prediction_type="epsilon",
        start_timestep=40,
        n_sampling_steps=2,
        temperature=0.5,
    ),
    "cfg-weight": tiny_cfg(values="weight"),
    "cfg-time": tiny_cfg(values="time", guidance_scale=1.5),
    "cfg-horizon": tiny_cfg(
        values="time", horizon=2, guidance_scale=1.5, closed_form=NeighborhoodRecommender()
    ),
    "popularity": PopularityRecommender(),
    "ease": EASERecommender(reg=20.0),
    "ease-weight": EASERecommender(reg=20.0, values="weight"),
    "knn": ItemKNNRecommender(n_neighbors=20),
    "knn-time": ItemKNNRecommender(n_neighbors=20, shrinkage=5.0, values="time"),
    "neighborhood": NeighborhoodRecommender(n_neighbors=20),
    "als": tiny_als(),
    "als-time": tiny_als(values="time", half_life=2.0),
    "vae": tiny_vae(),
    "vae-weight": tiny_vae(values="weight", guidance_scale=1.5, target_share=0.4),
    "flow-time": tiny_flow(values="time", guidance_scale=1.5),
    "flow-drawn": tiny_flow(temperature=1.0, n_sampling_steps=3),
}


@pytest.fixture(scope="session")
def interactions():
    """Training rows that do as times and as weights; users 0, 1, 2 have 0, 1 and most items."""
    data = make_interactions(120, 50, n_interactions_per_user=12, values="time", random_state=0)
    dense = data.train.toarray()
    dense[0] = 0
    dense[1] = 0
    dense[1, 7] = 3
    dense[2] = np.arange(50)
    dense[2, :4] = 0
    return csr_array(dense)


@pytest.fixture(scope="session")
def holdout(interactions):
    """Items of the same users that `interactions` does not hold."""
    rng = np.random.default_rng(1)
    unseen = interactions.toarray() == 0
    dense = unseen & (rng.random(unseen.shape) < 0.1)
    dense[3] = False  # somebody without a holdout
    return csr_array(dense.astype(np.float32))


# Their arithmetic is that of two others: weights as in "ease-weight", times as in "knn-time".
PARAMS = [
    pytest.param(name, marks=pytest.mark.slow) if name in ("cfg-weight", "als-time") else name
    for name in MODELS
]


@pytest.fixture(params=PARAMS)
def model(request):
    """Every model of the list, not fitted."""
    return clone(MODELS[request.param])


@pytest.fixture(scope="session", params=PARAMS)
def fitted(request, interactions):
    """Every model of the list, fitted to `interactions`; shared, so never change it."""
    return clone(MODELS[request.param]).fit(interactions)


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def blas_threads():
    """The numbers of threads of all libraries of BLAS."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(scope="module")
def one_rate():
    """One learning rate: a longer training then begins as a shorter one does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "one_cycle", lambda share: 1.0)
        yield


@pytest.fixture(scope="session")
def drift_data():
    """Users whose taste moves: split in time, values are times."""
    return make_interactions(1000, 300, n_interactions_per_user=30, values="time", random_state=0)
