"""Several scales from one sampling pass, and the scores after each sampling step."""

import numpy as np
import pytest
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._inference import scoring

SAMPLING = {
    "one step": {},
    "steps": {"n_sampling_steps": 3},
    "draws": {"temperature": 1.0, "n_draws": 3},
    "drawn steps": {"n_sampling_steps": 3, "eta": 1.0, "temperature": 0.5, "n_draws": 2},
    "from the history": {"start_timestep": 30, "n_sampling_steps": 2},
}


@pytest.fixture(scope="module")
def cfg(interactions):
    return tiny_cfg().fit(interactions)


@pytest.fixture(scope="module")
def item_space(interactions):
    return tiny_cfg(latent_dim=None, ranking_head=False, prediction_type="v").fit(interactions)


@pytest.fixture(params=["cfg", "item_space"])
def fitted(request):
    return request.getfixturevalue(request.param)


class TestSweep:
    @pytest.mark.parametrize("sampling", SAMPLING.values(), ids=SAMPLING)
    def test_each_scale_is_as_recommended(self, fitted, sampling):
        model = fitted.set_params(**tiny_cfg().get_params() | fitted.get_params() | sampling)
        scales = [0.0, 0.5, 1.0, 2.5, 1.0]
        try:
            ids, scores = model.recommend_scales(scales, k=50, filter_seen=False)
            for i, scale in enumerate(scales):
                expected_ids, expected = model.recommend(
                    k=50, filter_seen=False, guidance_scale=scale
                )
                assert_allclose(scores[i], expected, rtol=1e-4, atol=1e-4)
                assert (ids[i] == expected_ids).mean() > 0.99  # but for ties that rounding breaks
        finally:
            model.set_params(
                n_sampling_steps=1, eta=0.0, temperature=0.0, n_draws=1, start_timestep=None
            )

    @given(scale=st.floats(-5, 5))
    @settings(max_examples=20, deadline=None)
    def test_ends_are_exact_whatever_is_in_between(self, cfg, scale):
        ids, scores = cfg.recommend_scales([scale, 0, 1, scale], k=10)
        for i, end in ((1, 0.0), (2, 1.0)):
            expected = cfg.recommend(k=10, guidance_scale=end)
            assert_array_equal(ids[i], expected[0])
            assert_array_equal(scores[i], expected[1])
        assert_array_equal(scores[0], scores[3])

    def test_users_rows_and_seen_items(self, cfg, interactions):
        everybody = cfg.recommend_scales([0.5, 2.0], k=5)[0]
        assert everybody.shape == (2, interactions.shape[0], 5)
        assert_array_equal(cfg.recommend_scales([0.5, 2.0], [7, 3], k=5)[0], everybody[:, [7, 3]])
        assert_array_equal(cfg.recommend_scales([0.5, 2.0], 7, k=5)[0], everybody[:, 7])
        again = cfg.recommend_scales([0.5, 2.0], X=interactions[[7, 3]], k=5)[0]
        assert_array_equal(again, everybody[:, [7, 3]])
        seen = interactions.toarray() > 0
        for lists in everybody:
            assert not np.take_along_axis(seen, np.maximum(lists, 0), axis=1)[lists >= 0].any()

    def test_blocks_make_no_difference(self, cfg, monkeypatch):
        expected = cfg.recommend_scales([0.0, 0.7, 1.0], k=6)
        monkeypatch.setattr("skdiffrec._utils.topk._BLOCK_ELEMENTS", 50 * 16)
        found = cfg.recommend_scales([0.0, 0.7, 1.0], k=6)
        assert_array_equal(found[0], expected[0])
        assert_array_equal(found[1], expected[1])

    @pytest.mark.parametrize(("steps", "calls"), [(1, 2), (2, 8)])
    def test_branches_are_shared(self, cfg, monkeypatch, steps, calls):
        """Two passes for eight scales after one step; one each where they cannot be shared."""
        counted, guided_scores = [], scoring.guided_scores

        def count(*args):
            counted.append(1)
            return guided_scores(*args)

        monkeypatch.setattr(scoring, "guided_scores", count)
        model = cfg.set_params(n_sampling_steps=steps)
        try:
            model.recommend_scales(np.linspace(0, 3, 8), k=3)
        finally:
            cfg.set_params(n_sampling_steps=1)
        assert len(counted) == calls

    @pytest.mark.parametrize(
        ("scales", "message"),
        [
            ([], "at least one"),
            (1.0, "1-D"),
            ([[1.0]], "1-D"),
            ([1, 1e9], "between"),
            (["a"], "number"),
        ],
    )
    def test_refusals(self, cfg, scales, message):
        with pytest.raises((ValueError, TypeError), match=message):
            cfg.recommend_scales(scales)


class TestStages:
    @pytest.mark.parametrize("scale", [0.0, 1.0, 1.7])
    @pytest.mark.parametrize("sampling", SAMPLING.values(), ids=SAMPLING)
    def test_the_last_is_the_decision_function(self, interactions, cfg, sampling, scale):
        model = tiny_cfg(**sampling, guidance_scale=scale)
        model.__dict__.update(
            {k: v for k, v in vars(cfg).items() if k.endswith("_") or k[0] == "_"}
        )
        stages = list(model.staged_decision_function(interactions))
        assert len(stages) == model.n_sampling_steps
        assert_array_equal(stages[-1], model.decision_function(interactions))

    def test_the_first_is_one_step(self, interactions, cfg):
        """From the same start the first of several steps is what a single step gives."""
        three = tiny_cfg(n_sampling_steps=3).fit(interactions)
        first = next(three.staged_decision_function(interactions))
        assert_array_equal(first, cfg.decision_function(interactions))
