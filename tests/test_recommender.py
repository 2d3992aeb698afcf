"""CFGDiffusionRecommender: guidance, and parameters that are changed after the fit."""

import copy

import numpy as np
import pytest
from conftest import tiny_cfg
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from recommender_models import (  # noqa: F401
    DRAWN,
    N_ITEMS,
    N_USERS,
    assert_same_lists,
    cfg_fixture,
    changed,
    plain_fixture,
    properties,
)
from scipy.sparse import csr_array, vstack
from sklearn.base import clone

from skdiffrec._utils import topk
from skdiffrec.baselines import PopularityRecommender

scales_drawn = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, 3.0]) | st.floats(-5, 10)


class TestGuidance:
    @given(scale=st.floats(-3, 8))
    @properties
    def test_scores_are_affine_in_the_scale(self, cfg, interactions, scale):
        """uncond + s·(cond − uncond), with the branches that 0 and 1 give."""
        at = {
            s: changed(cfg, guidance_scale=s).decision_function(interactions)
            for s in (0.0, 1.0, scale)
        }
        expected = at[0.0] + scale * (at[1.0].astype(float) - at[0.0])
        assert_allclose(at[scale], expected, rtol=1e-4, atol=1e-3)

    def test_one_is_the_conditional_branch_alone(self, cfg, interactions):
        """Whatever the unconditional branch gives: here, NaN."""
        broken = copy.deepcopy(cfg)
        broken._model.denoiser.null.data.fill_(np.nan)
        full = np.diff(interactions.indptr) > 0
        assert_array_equal(
            broken.decision_function(interactions[full]), cfg.decision_function(interactions[full])
        )
        broken.set_params(guidance_scale=1.5)
        assert np.isnan(broken.decision_function(interactions[full])).all()

    def test_zero_is_the_unconditional_branch_alone(self, cfg, interactions):
        broken = copy.deepcopy(cfg).set_params(guidance_scale=0.0)
        broken._model.denoiser.read_history.tables[0].data.fill_(np.nan)
        broken._model.closed_form.weights.fill_(1e6)
        cfg = changed(cfg, guidance_scale=0.0)
        assert_array_equal(
            broken.decision_function(interactions), cfg.decision_function(interactions)
        )

    @pytest.mark.parametrize("parameters", [{}, {"n_sampling_steps": 4, "eta": 0.5}])
    def test_zero_ranks_alike_for_everybody(self, cfg, interactions, parameters):
        """Whoever has a history; the first user, without one, gets what is popular."""
        cfg = changed(cfg, **parameters)
        ids, scores = cfg.recommend(k=N_ITEMS, guidance_scale=0, filter_seen=False)
        filled = np.diff(interactions.indptr) > 0
        ids, scores = ids[filled], scores[filled]
        assert (ids == ids[0]).all() and (scores == scores[0]).all()

    @given(scale=st.floats(-1e3, 1e3))
    @properties
    def test_empty_rows_are_what_is_popular_at_any_scale(self, cfg, interactions, scale):
        expected = cfg.recommend(0, k=N_ITEMS)
        popular = PopularityRecommender().fit(interactions).recommend(0, k=N_ITEMS)[0]
        assert_array_equal(expected[0], popular)
        assert_same_lists(expected, cfg.recommend(0, k=N_ITEMS, guidance_scale=scale))
        rows = vstack([interactions[[3]], csr_array((1, N_ITEMS)), interactions[[4]]])
        ids, scores = cfg.recommend(X=rows, k=N_ITEMS, guidance_scale=scale)
        assert_same_lists(expected, (ids[1], scores[1]))

    @given(asked=st.lists(st.tuples(st.integers(0, N_USERS - 1), scales_drawn), min_size=1))
    @properties
    def test_a_scale_per_user(self, cfg, interactions, asked):
        """As if every user had been asked for alone."""
        users, scales = [list(column) for column in zip(*asked, strict=True)]
        ids, scores = cfg.recommend(users, guidance_scale=scales)
        for row, (user, scale) in enumerate(asked):
            expected = cfg.recommend(user, guidance_scale=scale)
            assert_same_lists(expected, (ids[row], scores[row]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(topk, "_BLOCK_ELEMENTS", 3 * N_ITEMS)
            other = cfg.recommend(X=interactions[users], guidance_scale=np.array(scales))
        assert_same_lists((ids, scores), other)

    def test_forms_of_a_scale(self, cfg):
        expected = cfg.recommend([3, 4], guidance_scale=2.0)
        for scale in (2, np.float32(2), np.array(2.0), [2, 2], (2.0, 2.0), np.array([2, 2])):
            assert_same_lists(expected, cfg.recommend([3, 4], guidance_scale=scale))
        assert_same_lists(
            cfg.recommend(3, guidance_scale=[2.0]), cfg.recommend(3, guidance_scale=2.0)
        )

    def test_none_is_the_estimators(self, cfg):
        dialled = changed(cfg, guidance_scale=2.5)
        assert_same_lists(dialled.recommend(), cfg.recommend(guidance_scale=2.5))
        assert (dialled.recommend()[1] != cfg.recommend()[1]).any()

    @pytest.mark.parametrize("scale", [1e30, 1e39, -1e300])
    def test_a_huge_scale(self, cfg, scale):
        """Refused, or lists of items with finite scores; never NaN, nor gaps before items."""
        try:
            ids, scores = cfg.recommend([3, 4], guidance_scale=scale)
        except ValueError as error:
            assert "guidance_scale" in str(error)
        else:
            assert (ids >= 0).all() and np.isfinite(scores).all()

    def test_fitted_at_zero_and_turned_up(self, interactions):
        """The dial needs no refit: the closed form is there, as `closed_form_weight_` says."""
        parameters = dict(guidance_scale=0.0, early_stopping=False)
        model = tiny_cfg(closed_form_weight=1.0, **parameters).fit(interactions)
        alone = tiny_cfg(closed_form=None, **parameters).fit(interactions)
        assert model.closed_form_weight_ == 1.0
        for each in (model, alone):
            each.set_params(guidance_scale=1.0)
        difference = model.decision_function(interactions) - alone.decision_function(interactions)
        assert np.abs(difference).max() > 1e-3


class TestSettingsAfterFit:
    """Six parameters take effect without a refit, and are checked when they are used."""

    CHANGES = {
        "guidance_scale": {"guidance_scale": 3.0},
        "n_sampling_steps": {"n_sampling_steps": 5},
        "start_timestep": {"start_timestep": 30},
        "eta": {"eta": 1.0, "n_sampling_steps": 5},
        "temperature": {"temperature": 1.0},
        "n_draws": {"n_draws": 3, "temperature": 1.0},
    }

    @pytest.mark.parametrize("parameters", CHANGES.values(), ids=CHANGES)
    def test_takes_effect(self, plain, interactions, parameters):
        """As if it had been fitted so."""
        now = changed(plain, **parameters)
        refitted = clone(plain).set_params(**parameters).fit(interactions)
        assert_same_lists(refitted.recommend(), now.recommend())
        name = next(iter(parameters))
        before = changed(now, **{name: getattr(plain, name)})
        assert (before.recommend()[1] != now.recommend()[1]).any()
        assert_array_equal(
            refitted.decision_function(interactions), now.decision_function(interactions)
        )

    def test_and_back(self, plain):
        model = copy.deepcopy(plain)
        model.set_params(**DRAWN, guidance_scale=2.0).recommend()
        model.set_params(**{name: getattr(plain, name) for name in (*DRAWN, "guidance_scale")})
        assert_same_lists(plain.recommend(), model.recommend())

    BAD = {
        "scale nan": (
            {"guidance_scale": np.nan},
            "guidance_scale must lie between -1000 and 1000, got nan",
        ),
        "scale inf": (
            {"guidance_scale": -np.inf},
            "guidance_scale must lie between -1000 and 1000, got -inf",
        ),
        "scale text": ({"guidance_scale": "2"}, "'guidance_scale'.*Got '2'"),
        "scale list": ({"guidance_scale": [1.0, 2.0]}, r"'guidance_scale'.*Got \[1.0, 2.0\]"),
        "scale none": ({"guidance_scale": None}, "guidance_scale.*(None|nan)"),
        "steps 0": ({"n_sampling_steps": 0}, r"'n_sampling_steps'.*\[1, inf\).*Got 0"),
        "steps 2.0": ({"n_sampling_steps": 2.0}, "'n_sampling_steps'.*int.*Got 2.0"),
        "steps > T": (
            {"n_sampling_steps": 101},
            "n_sampling_steps must be at most n_timesteps.*=101 and n_timesteps=100",
        ),
        "steps > start": (
            {"n_sampling_steps": 11, "start_timestep": 10},
            "n_sampling_steps must be at most start_timestep.*=11 and start_timestep=10",
        ),
        "start 0": ({"start_timestep": 0}, r"'start_timestep'.*\[1, inf\).*Got 0"),
        "start > T": (
            {"start_timestep": 101},
            "start_timestep must be at most n_timesteps.*=101 and n_timesteps=100",
        ),
        "eta": ({"eta": 1.5}, r"'eta'.*\[0.0, 1.0\].*Got 1.5"),
        "temperature": ({"temperature": -0.1}, r"'temperature'.*\[0.0, 100.0\].*Got -0.1"),
        "temperature nan": ({"temperature": np.nan}, "'temperature'.*Got nan"),
        "n_draws": ({"n_draws": 0}, r"'n_draws'.*\[1, inf\).*Got 0"),
    }

    @pytest.mark.parametrize(("parameters", "says"), BAD.values(), ids=BAD)
    def test_bad_values(self, cfg, interactions, parameters, says):
        model = changed(cfg, **parameters)
        for use in (
            model.recommend,
            lambda: model.decision_function(interactions),
            lambda: model.score(interactions),
            lambda: model.fit(interactions),
        ):
            with pytest.raises(ValueError, match=f"(?s){says}"):
                use()
        model.set_params(**{name: getattr(cfg, name) for name in parameters})
        assert_same_lists(cfg.recommend(), model.recommend())

    def test_the_fitted_schedule_counts(self, cfg):
        """`n_timesteps` belongs to training, so changing it afterwards changes nothing yet."""
        model = changed(cfg, n_timesteps=10, n_sampling_steps=60)
        expected = changed(cfg, n_sampling_steps=60).recommend()
        assert_same_lists(expected, model.recommend())

    @pytest.mark.parametrize(
        ("scale", "error", "says"),
        [
            (np.nan, ValueError, "guidance_scale must lie between -1000 and 1000, got nan"),
            ([1.0, np.inf], ValueError, "guidance_scale must lie between -1000 and 1000, got inf"),
            ([1.0, 2.0, 3.0], ValueError, r"guidance_scale has shape \(3,\), but 2 users"),
            ([1.0], ValueError, r"guidance_scale has shape \(1,\), but 2 users"),
            ([], ValueError, r"guidance_scale has shape \(0,\), but 2 users"),
            ([[1.0, 2.0]], ValueError, r"guidance_scale has shape \(1, 2\), but 2 users"),
            ("strong", TypeError, "guidance_scale must be a number.*'strong'"),
            ([1.0, None], (TypeError, ValueError), "guidance_scale"),
            (1j, TypeError, "guidance_scale must be a number"),
        ],
    )
    def test_bad_scale_of_a_call(self, cfg, interactions, scale, error, says):
        with pytest.raises(error, match=says):
            cfg.recommend([3, 4], guidance_scale=scale)
        with pytest.raises(error, match=says):
            cfg.recommend(X=interactions[:2], guidance_scale=scale)
