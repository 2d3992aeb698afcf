"""CFGDiffusionRecommender: draws and the steps of sampling."""

import pickle

import numpy as np
import pytest
import torch
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from recommender_models import (  # noqa: F401
    DRAWN,
    N_ITEMS,
    N_USERS,
    assert_same_lists,
    changed,
    drawing_fixture,
    plain_fixture,
)
from scipy.sparse import csr_array, vstack

from skdiffrec._inference import reverse_process
from skdiffrec._utils import topk
from skdiffrec.baselines import NeighborhoodRecommender


class TestDraws:
    """Random numbers belong to a row: they depend on `random_state` and its content alone."""

    def test_reproducible(self, drawing):
        expected = drawing.recommend()
        assert_same_lists(expected, drawing.recommend())
        assert_same_lists(expected, pickle.loads(pickle.dumps(drawing)).recommend())
        np.random.seed(5)
        torch.manual_seed(5)
        assert_same_lists(expected, drawing.recommend())

    @pytest.mark.parametrize("parameters", [DRAWN, {"temperature": 0.7, "start_timestep": 50}])
    def test_belong_to_the_row(self, plain, interactions, parameters):
        """Guidance 0 sees no history, so rows differ by what they draw (and where they start)."""
        drawing = changed(plain, guidance_scale=0.0, **parameters)
        scores = drawing.decision_function(interactions)
        assert len(np.unique(scores, axis=0)) == N_USERS  # each row of its own
        twice = drawing.decision_function(vstack([interactions, interactions[::-1]]))
        assert_array_equal(twice[:N_USERS], scores)
        assert_array_equal(twice[N_USERS:], scores[::-1])

    def test_values_that_mean_nothing_draw_nothing(self, drawing, interactions):
        assert_array_equal(
            drawing.decision_function(interactions), drawing.decision_function(interactions > 0)
        )

    def test_random_state_matters(self, interactions):
        lists = [tiny_cfg(random_state=seed).fit(interactions).recommend()[1] for seed in (0, 1)]
        assert (lists[0] != lists[1]).any()

    def test_random_state_may_be_a_generator(self, interactions):
        lists = [
            tiny_cfg(random_state=np.random.RandomState(4)).fit(interactions).recommend()
            for _ in range(2)
        ]
        assert_same_lists(*lists)

    def test_n_draws_average(self, plain, interactions):
        """The error of a mean of n draws falls as 1/√n."""
        drawing = changed(plain, temperature=1.0, n_sampling_steps=2, eta=1.0)
        rows = interactions[3:40]
        at = {
            n: drawing.set_params(n_draws=n).decision_function(rows).astype(float)
            for n in (1, 2, 16, 512)
        }
        error = {n: np.sqrt(((at[n] - at[512]) ** 2).mean()) for n in (1, 2, 16)}
        assert error[1] / error[2] == pytest.approx(np.sqrt(2), rel=0.2)
        assert error[1] / error[16] == pytest.approx(4, rel=0.2)

    def test_mean_of_draws_without_temperature(self, plain):
        assert_allclose(
            changed(plain, n_draws=4).recommend()[1], plain.recommend()[1], rtol=1e-5, atol=1e-5
        )

    def test_every_number_is_drawn_once(self, drawing, interactions, monkeypatch):
        """No step and no draw sees the noise of another."""
        streams = []
        inner = reverse_process.row_normal

        def spy(keys, dim, stream):
            streams.append(stream)
            return inner(keys, dim, stream)

        monkeypatch.setattr(reverse_process, "row_normal", spy)
        drawing.decision_function(interactions[3:9])
        assert len(streams) == 6  # 2 draws of a start and, of 3 steps, the two before the last
        assert len(set(streams)) == 6

    def test_temperature_widens(self, plain, interactions):
        middle = plain.decision_function(interactions)
        away = [
            np.abs(changed(plain, temperature=t).decision_function(interactions) - middle).mean()
            for t in (0.1, 0.5, 1.0)
        ]
        assert 0 < away[0] < away[1] < away[2]


class TestSampling:
    @pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("n_steps", [2, 7, 100])
    def test_steps(self, plain, interactions, n_steps, eta):
        model = changed(plain, n_sampling_steps=n_steps, eta=eta)
        scores = model.decision_function(interactions)
        assert np.isfinite(scores).all()
        assert (scores != plain.decision_function(interactions)).any()

    def test_ddim_and_ddpm_differ(self, plain, interactions):
        ddim, ddpm = (
            changed(plain, n_sampling_steps=5, eta=eta).decision_function(interactions)
            for eta in (0.0, 1.0)
        )
        assert (ddim != ddpm).any()

    def test_a_single_step_knows_no_eta(self, plain):
        assert_same_lists(changed(plain, eta=1.0).recommend(), plain.recommend())

    def test_start_from_the_history(self, plain, interactions):
        """Even without condition the history shows through, the more the lower the level."""
        full = np.diff(interactions.indptr) > 0
        alike = changed(plain, guidance_scale=0.0).decision_function(interactions[full])
        assert (alike == alike[0]).all()
        spread = [
            changed(plain, guidance_scale=0.0, start_timestep=t)
            .decision_function(interactions[full])
            .std(axis=0)
            .mean()
            for t in (90, 50, 5)
        ]
        assert 0 < spread[0] < spread[1] < spread[2]

    def test_empty_rows_start_somewhere_too(self, plain):
        scores = changed(plain, start_timestep=40).decision_function(csr_array((2, N_ITEMS)))
        assert np.isfinite(scores).all() and (scores[0] == scores[1]).all()

    @pytest.mark.parametrize(
        ("parameters", "threads"),
        [
            ({}, 1),
            ({}, 2),
            ({"ranking_head": False, "latent_dim": None, "start_timestep": 40}, 1),
            ({"closed_form": NeighborhoodRecommender(), "hidden_dims": (70, 130)}, 1),
        ],
        ids=["default", "two threads", "item space", "odd widths"],
    )
    def test_wide_networks_are_batch_invariant(self, drift_data, parameters, threads):
        """Matrix products of other shapes may round differently: not here."""
        X = drift_data.train
        defaults = dict(hidden_dims=(600, 600), max_epochs=1, batch_size=500)
        wide = tiny_cfg(**{**defaults, **parameters})
        wide.fit(X).set_params(temperature=1.0, n_sampling_steps=2)
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(threads)
            scales = np.resize([0.0, 1.0, 1.7, 1.0, 3.0], X.shape[0])
            expected = wide.recommend(guidance_scale=scales)
            users = np.random.default_rng(0).permutation(X.shape[0])
            for size in (1, 5, 16, 37, 150):
                some = users[: 2 * size + 1]
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(topk, "_BLOCK_ELEMENTS", size * X.shape[1])
                    lists = wide.recommend(some, guidance_scale=scales[some])
                assert_same_lists([part[some] for part in expected], lists)
        finally:
            torch.set_num_threads(before)
