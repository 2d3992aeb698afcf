"""CFGDiffusionRecommender: combinations of parameters, and bad ones."""

import numpy as np
import pytest
import torch
from conftest import tiny_cfg
from recommender_models import assert_same_lists, cfg_fixture, changed, plain_fixture  # noqa: F401
from sklearn.base import clone

from skdiffrec import CFGDiffusionRecommender, cosine_schedule
from skdiffrec.baselines import (
    EASERecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)


class TestConfigurations:
    @pytest.mark.slow
    @pytest.mark.parametrize("latent_dim", [None, 8])
    @pytest.mark.parametrize("ranking_head", [True, False])
    @pytest.mark.parametrize("noise_schedule", ["linear", "cosine", "linear_variance"])
    @pytest.mark.parametrize("prediction_type", ["x0", "epsilon", "v"])
    def test_every_combination(
        self, interactions, prediction_type, noise_schedule, ranking_head, latent_dim
    ):
        model = tiny_cfg(
            prediction_type=prediction_type,
            noise_schedule=noise_schedule,
            ranking_head=ranking_head,
            latent_dim=latent_dim,
            max_epochs=1,
        ).fit(interactions)
        before = model.decision_function(interactions)
        assert np.isfinite(before).all() and np.isfinite(model.history_[0]["loss"])
        assert len(np.unique(before[3:], axis=0)) > 100  # personal
        for parameters in (
            {"n_sampling_steps": 4, "guidance_scale": 2.0},
            {"n_sampling_steps": 4, "eta": 1.0, "temperature": 1.0, "n_draws": 2},
            {"start_timestep": 25, "n_sampling_steps": 2},
        ):
            scores = changed(model, **parameters).decision_function(interactions)
            assert np.isfinite(scores).all() and (scores != before).any()

    @pytest.mark.parametrize(
        "parameters",
        [
            {"hidden_dims": [16]},
            {"hidden_dims": np.array([16, 16, 8])},
            {"latent_dim": 500},
            {"latent_dim": 1},
            {"batch_size": 1000},
            {"batch_size": 1},
            {"n_timesteps": 1},
            {"cond_drop_prob": 0.0},
            {"cond_drop_prob": 1.0, "early_stopping": False},
            {"target_share": 0.0},
            {"target_share": 0.9},
            {"target_share": (0.0, 0.5)},
            {"target_share": [0.2, 0.2]},
            {"values": "time", "target_share": 0.0},
            {"values": "time", "half_life": None},
            {"dropout": 0.0},
            {"closed_form": NeighborhoodRecommender(), "latent_dim": None},
            {"closed_form": ItemKNNRecommender(n_neighbors=5)},
            {"noise_schedule": [1.0, 0.5]},
            {"noise_schedule": cosine_schedule(7)},
            {"device": torch.device("cpu")},
            {"random_state": None},
        ],
        ids=str,
    )
    def test_edges_of_parameters(self, interactions, parameters):
        model = tiny_cfg(**{"max_epochs": 1, **parameters}).fit(interactions[:40])
        assert np.isfinite(model.decision_function(interactions)).all()
        assert clone(model).get_params().keys() == model.get_params().keys()

    @pytest.mark.parametrize(
        "parameters",
        [
            {"cond_drop_prob": 0.6},
            {"target_share": 0.5},
            {"n_timesteps": 50},
            {"noise_schedule": "linear"},
            {"prediction_type": "v"},
            {"ranking_head": False},
            {"latent_dim": 8},
            {"dropout": 0.1},
            {"batch_size": 50},
            {"learning_rate": 5e-3},
            {"hidden_dims": (32,)},
            {"random_state": 1},
        ],
        ids=str,
    )
    def test_training_parameters_matter(self, plain, interactions, parameters):
        other = clone(plain).set_params(**parameters).fit(interactions)
        differs = other.decision_function(interactions) != plain.decision_function(interactions)
        assert differs.mean() > 0.9

    def test_null_token_is_learned_from_dropped_conditions(self, interactions):
        rows = interactions[3:]  # all long enough to show something
        for probability in (0.0, 0.3):
            model = tiny_cfg(cond_drop_prob=probability, early_stopping=False).fit(rows)
            assert bool(model._model.denoiser.null.any()) == (probability > 0)

    def test_the_papers(self, interactions):
        """arXiv 2409.10494, as the docstring of `paper` tells it."""
        paper = CFGDiffusionRecommender.paper()
        assert paper.noise_schedule == "linear" and paper.prediction_type == "epsilon"
        assert paper.cond_drop_prob == 0.2 and paper.target_share == 0.0
        assert paper.latent_dim is None and paper.closed_form is None
        assert paper.early_stopping is True
        model = CFGDiffusionRecommender.paper(
            hidden_dims=(32,), max_epochs=2, device="cpu", random_state=0, guidance_scale=2.0
        )
        assert model.guidance_scale == 2.0 and model.prediction_type == "epsilon"
        model.fit(interactions)
        assert model.best_validation_score_ is not None
        ids, scores = model.recommend(k=5)
        assert np.isfinite(scores[3:]).all() and (ids[3:] >= 0).all()

    def test_the_papers_repaired(self):
        """It keeps schedule, space, network and null token, and has no head."""
        paper, repaired = (
            CFGDiffusionRecommender.paper(repaired=flag).get_params() for flag in (False, True)
        )
        changed = {name for name in paper if paper[name] != repaired[name]}
        sampled = {"temperature", "n_sampling_steps"}
        assert changed == {"prediction_type", "target_share", *sampled}
        assert repaired["prediction_type"] == "x0" and repaired["temperature"] == 0
        assert CFGDiffusionRecommender.paper(repaired=True, max_epochs=2).max_epochs == 2
        with pytest.raises(TypeError, match="repaired must be True or False, got 'yes'"):
            CFGDiffusionRecommender.paper(repaired="yes")

    def test_defaults_may_be_shared(self):
        """No default is mutable, and every parameter is keyword-only."""
        for value in CFGDiffusionRecommender().get_params().values():
            hash(value)
        with pytest.raises(TypeError):
            CFGDiffusionRecommender(1.5)


class TestBadParameters:
    BAD = {
        "steps > T": (
            {"n_timesteps": 5, "n_sampling_steps": 6},
            "n_sampling_steps must be at most n_timesteps.*=6 and n_timesteps=5",
        ),
        "start > T": (
            {"n_timesteps": 5, "start_timestep": 6},
            "start_timestep must be at most n_timesteps.*=6 and n_timesteps=5",
        ),
        "n_timesteps": ({"n_timesteps": 0}, "'n_timesteps'.*Got 0"),
        "noise_schedule": ({"noise_schedule": "sine"}, "'noise_schedule'.*'linear'.*Got 'sine'"),
        "prediction_type": ({"prediction_type": "x"}, "'prediction_type'.*'x0'.*Got 'x'"),
        "ranking_head": ({"ranking_head": "yes"}, "'ranking_head'.*Got 'yes'"),
        "closed_form": ({"closed_form": "ease"}, "'closed_form'.*'auto'.*Got 'ease'"),
        "closed_form class": (
            {"closed_form": EASERecommender},
            "'closed_form'.*ItemItemRecommender.*Got <class",
        ),
        "closed_form of no such kind": (
            {"closed_form": PopularityRecommender()},
            r"'closed_form'.*ItemItemRecommender.*Got PopularityRecommender\(\)",
        ),
        "closed_form reg": (
            {"closed_form": EASERecommender(reg=-1.0)},
            "'reg' parameter of EASERecommender.*Got -1.0",
        ),
        "closed_form neighbours": (
            {"closed_form": NeighborhoodRecommender(n_neighbors=0)},
            "'n_neighbors' parameter of NeighborhoodRecommender.*Got 0",
        ),
        "closed_form without head": (
            {"closed_form": EASERecommender(), "ranking_head": False},
            r"closed_form=EASERecommender\(.*ranking_head=False.*closed_form=None",
        ),
        "closed_form_weight": ({"closed_form_weight": -1.0}, "'closed_form_weight'.*Got -1.0"),
        "latent_dim": ({"latent_dim": 0}, "'latent_dim'.*Got 0"),
        "half_life": ({"half_life": 0.0}, "'half_life'.*Got 0.0"),
        "cond_drop_prob": ({"cond_drop_prob": 1.5}, r"'cond_drop_prob'.*\[0.0, 1.0\].*Got 1.5"),
        "target_share 1": ({"target_share": 1.0}, "'target_share'.*Got 1.0"),
        "target_share < 0": ({"target_share": -0.1}, "'target_share'.*Got -0.1"),
        "target_share text": ({"target_share": "half"}, "'target_share'.*'half'"),
        "target_share order": (
            {"target_share": (0.5, 0.3)},
            r"target_share must be.*0 <= low <= high < 1, got \(0.5, 0.3\)",
        ),
        "target_share high": (
            {"target_share": (0.5, 1.0)},
            r"target_share must be.*got \(0.5, 1.0\)",
        ),
        "target_share nan": (
            {"target_share": (0.1, np.nan)},
            r"target_share must be.*got \(0.1, nan\)",
        ),
        "target_share of 3": (
            {"target_share": (0.1, 0.2, 0.3)},
            r"target_share must be.*got \(0.1, 0.2, 0.3\)",
        ),
        "target_share of 0": ({"target_share": ()}, r"target_share must.*got \(\)"),
        "target_share of texts": (
            {"target_share": ("low", "high")},
            r"target_share must be.*got \('low', 'high'\)",
        ),
        "hidden_dims none": ({"hidden_dims": ()}, r"hidden_dims must be.*got \(\)"),
        "hidden_dims 0": ({"hidden_dims": (32, 0)}, r"hidden_dims must be.*got \(32, 0\)"),
        "hidden_dims < 0": ({"hidden_dims": (-8,)}, r"hidden_dims must be.*got \(-8,\)"),
        "hidden_dims float": ({"hidden_dims": (32.0,)}, r"hidden_dims must be.*got \(32.0,\)"),
        "hidden_dims bool": ({"hidden_dims": (True,)}, r"hidden_dims must be.*got \(True,\)"),
        "hidden_dims int": ({"hidden_dims": 32}, "'hidden_dims'.*array-like.*Got 32"),
        "hidden_dims text": ({"hidden_dims": "32"}, "'?hidden_dims'?.*32"),
        "hidden_dims 2-D": ({"hidden_dims": [[32], [32]]}, "hidden_dims must be"),
        "hidden_dims ragged": ({"hidden_dims": [[32], [32, 8]]}, "hidden_dims must be"),
        "dropout": ({"dropout": 1.0}, r"'dropout'.*\[0.0, 1.0\).*Got 1.0"),
        "max_epochs": ({"max_epochs": 0}, "'max_epochs'.*Got 0"),
        "batch_size": ({"batch_size": 0}, "'batch_size'.*Got 0"),
        "learning_rate": ({"learning_rate": 0.0}, "'learning_rate'.*Got 0.0"),
        "early_stopping": ({"early_stopping": "yes"}, "'early_stopping'.*Got 'yes'"),
        "validation_fraction": ({"validation_fraction": 1.0}, "'validation_fraction'.*Got 1.0"),
        "n_iter_no_change": ({"n_iter_no_change": 0}, "'n_iter_no_change'.*Got 0"),
        "device name": ({"device": "gpu"}, "device='gpu' is not a device.*\"cpu\""),
        "device empty": ({"device": ""}, "device='' is not a device"),
        "device int": ({"device": 0}, "'device'.*Got 0"),
        "device meta": ({"device": "meta"}, "device='meta'"),
        "random_state": ({"random_state": "dice"}, "'random_state'.*Got 'dice'"),
    }

    @pytest.mark.parametrize(("parameters", "says"), BAD.values(), ids=BAD)
    def test_fit(self, cfg, interactions, parameters, says):
        """A fitted model keeps its lists through the failed refit."""
        model = changed(cfg, **parameters)
        with pytest.raises(ValueError, match=f"(?s){says}"):
            model.fit(interactions)
        model.set_params(**{name: getattr(cfg, name) for name in parameters})
        assert_same_lists(cfg.recommend(), model.recommend())

    def test_unknown_parameter(self):
        with pytest.raises(TypeError, match="guidance"):
            CFGDiffusionRecommender(guidance=2.0)
        with pytest.raises(ValueError, match="Invalid parameter 'guidance'"):
            CFGDiffusionRecommender().set_params(guidance=2.0)

    @pytest.mark.parametrize("temperature", [np.inf, 1e300])
    def test_endless_temperature(self, cfg, temperature):
        """Refused, or lists of items with finite scores."""
        model = changed(cfg, temperature=temperature)
        try:
            ids, scores = model.recommend([3, 4])
        except ValueError as error:
            assert "temperature" in str(error)
        else:
            assert (ids >= 0).all() and np.isfinite(scores).all()
