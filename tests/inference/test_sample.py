"""Draws: what `decision_function` averages, whose they are, and what their summary counts."""

import copy

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

from skdiffrec._inference import reverse_process
from skdiffrec.baselines import EASERecommender
from skdiffrec.plotting import TopKCalibrationDisplay

properties = settings(max_examples=8, deadline=None)
N_USERS, N_ITEMS = 120, 50
CONFIGURATIONS = {
    "latent": dict(guidance_scale=1.5),
    "time": dict(values="time"),
    "item-space": dict(latent_dim=None, hidden_dims=(64,)),
    "hidden-space": dict(latent_dim=None, guidance_scale=0.5),
    "no-head": dict(latent_dim=None, ranking_head=False, prediction_type="epsilon"),
    "from-history": dict(start_timestep=40),
}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def cfg(request, interactions):
    return tiny_cfg(**CONFIGURATIONS[request.param]).fit(interactions)


@pytest.fixture(scope="module")
def plain(interactions):
    return tiny_cfg(guidance_scale=1.5).fit(interactions)


@pytest.fixture(scope="module")
def draws(plain, interactions):
    return plain.sample(interactions, 12, n_sampling_steps=4)


@pytest.fixture(scope="module")
def summary(plain, interactions):
    return plain.sample_summary(interactions, k=5, n_samples=12, n_sampling_steps=4)


class TestSample:
    def test_the_mean_is_the_decision_function(self, cfg, interactions):
        rows, n = interactions[:20], 4
        draws = cfg.sample(rows, n, n_sampling_steps=3)
        assert draws.shape == (n, 20, N_ITEMS) and draws.dtype == np.float32
        averaging = copy.copy(cfg).set_params(
            temperature=1.0, eta=1.0, n_sampling_steps=3, n_draws=n
        )
        expected = averaging.decision_function(rows)
        if cfg.ranking_head:
            assert_allclose(draws.mean(axis=0), expected, rtol=1e-4, atol=1e-4)
        else:  # noise that the network does not see is drawn once for the mean
            seen = draws.mean(axis=0)
            assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.6

    def test_draws_differ_and_do_not_depend_on_their_number(self, cfg, interactions):
        four = cfg.sample(interactions[:9], 4, n_sampling_steps=3)
        assert_array_equal(cfg.sample(interactions[:9], 2, n_sampling_steps=3), four[:2])
        assert (np.abs(np.diff(four, axis=0)).max(axis=(1, 2)) > 1e-3).all()

    def test_every_number_is_drawn_once(self, cfg, interactions, monkeypatch):
        """No draw sees the noise of another, nor a step that of another."""
        streams, inner = [], reverse_process.row_normal

        def spy(keys, dim, stream):
            streams.append(stream)
            return inner(keys, dim, stream)

        monkeypatch.setattr(reverse_process, "row_normal", spy)
        cfg.sample(interactions[3:9], 3, n_sampling_steps=3)
        assert len(streams) >= 9 and len(set(streams)) == len(streams)

    @given(users=st.lists(st.integers(0, N_USERS - 1), min_size=1, max_size=30))
    @properties
    def test_belong_to_the_row(self, plain, interactions, users):
        everybody = plain.sample(interactions, 2, n_sampling_steps=2)
        found = plain.sample(interactions[users], 2, n_sampling_steps=2)
        assert_array_equal(found, everybody[:, users])

    def test_without_temperature_all_are_the_mean(self, plain, interactions):
        draws = plain.sample(interactions[:5], 3, temperature=0.0, n_sampling_steps=1)
        for draw in draws:
            assert_array_equal(draw, plain.decision_function(interactions[:5]))

    def test_temperature_widens(self, plain, interactions):
        spread = [
            plain.sample(interactions[:30], 8, temperature=t).std(0).mean() for t in (0.3, 1.0)
        ]
        assert 0 < spread[0] < spread[1]

    def test_the_scale(self, plain, interactions):
        rows = interactions[3:6]
        each = plain.sample(rows, 2, guidance_scale=[0.0, 1.0, 2.0])
        for i, scale in enumerate([0.0, 1.0, 2.0]):
            assert_array_equal(plain.sample(rows, 2, guidance_scale=scale)[:, i], each[:, i])
        own = plain.sample(rows, 2, guidance_scale=1.5)
        assert_array_equal(plain.sample(rows, 2), own)

    def test_short_schedules_and_the_estimator_is_left_alone(self, interactions):
        model = tiny_cfg(n_timesteps=7).fit(interactions)
        before = model.get_params()
        assert_array_equal(
            model.sample(interactions[:3], 2),
            model.sample(interactions[:3], 2, n_sampling_steps=7),
        )
        assert model.get_params() == before

    def test_refusals(self, plain, interactions):
        with pytest.raises(ValueError, match="n_samples must be at least 1"):
            plain.sample(interactions, 0)
        with pytest.raises(ValueError, match="n_sampling_steps must be at most"):
            plain.sample(interactions, 1, n_sampling_steps=101)
        with pytest.raises(ValueError, match="'temperature'"):
            plain.sample(interactions, 1, temperature=-1.0)
        with pytest.raises(ValueError, match="'eta'"):
            plain.sample_summary(interactions, eta=2.0)
        with pytest.raises(ValueError, match="guidance_scale"):
            plain.sample(interactions, 1, guidance_scale=[1.0, 2.0])
        with pytest.raises(NotFittedError):
            tiny_cfg().sample(interactions, 1)


class TestSummary:
    def test_moments(self, summary, draws):
        assert all(part.dtype == np.float32 for part in summary)
        assert_allclose(summary.mean, draws.mean(axis=0), rtol=1e-4, atol=1e-5)
        assert_allclose(summary.std, draws.std(axis=0), rtol=1e-3, atol=1e-5)

    def test_probability_is_the_share_of_lists(self, summary, draws, interactions):
        seen = interactions.toarray() > 0
        scores = np.where(seen, -np.inf, draws)
        listed = np.zeros(draws.shape)
        np.put_along_axis(listed, np.argsort(-scores, axis=-1, kind="stable")[..., :5], 1, axis=-1)
        listed[:, seen] = 0
        assert_allclose(summary.top_k_probability, listed.mean(axis=0), atol=1e-6)

    def test_sums_to_the_length_of_the_list(self, summary, interactions):
        unseen = (interactions.toarray() == 0).sum(axis=1)
        total = summary.top_k_probability.sum(axis=1)
        assert_allclose(total, np.minimum(unseen, 5), rtol=1e-5)

    def test_blocks_make_no_difference(self, plain, summary, interactions, monkeypatch):
        monkeypatch.setattr("skdiffrec._utils.topk._BLOCK_ELEMENTS", 16 * N_ITEMS)
        found = plain.sample_summary(interactions, k=5, n_samples=12, n_sampling_steps=4)
        for part, expected in zip(found, summary, strict=True):
            assert_array_equal(part, expected)


class TestDisplay:
    @pytest.fixture(autouse=True)
    def close_figures(self):
        yield
        plt.close("all")

    def test_counts_by_hand(self, plain, interactions, holdout):
        summary = plain.sample_summary(interactions, k=5, n_samples=10, n_sampling_steps=4)
        display = TopKCalibrationDisplay.from_predictions(
            summary, interactions, holdout, k=5, n_bins=10
        )
        hits = holdout.toarray() > 0
        evaluated = (interactions.toarray() == 0) & hits.any(axis=1)[:, None]
        share = np.round(summary.top_k_probability * 10) / 10
        shares = np.unique(share[evaluated])
        assert_allclose(display.predicted, shares, atol=1e-6)
        expected = [hits[evaluated & (share == s)].mean() for s in shares]
        assert_allclose(display.observed, expected)
        assert display.n_pairs.sum() == evaluated.sum()
        # every evaluated user's list is in some bin of the spread
        best = np.argsort(np.where(evaluated, -summary.mean, np.inf), axis=1, kind="stable")[:, :5]
        listed = np.zeros(evaluated.shape, bool)
        np.put_along_axis(listed, best, True, axis=1)
        listed &= evaluated
        assert display.n_listed.sum() == listed.sum()
        weights = display.n_listed
        assert np.average(display.hit_rate, weights=weights) == pytest.approx(hits[listed].mean())
        mean = np.average(display.spread, weights=weights)
        assert mean == pytest.approx(summary.std[listed].mean(), rel=1e-5)
        assert (np.diff(display.spread) > 0).all()

    def test_from_estimator(self, plain, interactions, holdout, monkeypatch):
        options = dict(k=5, n_samples=6, n_sampling_steps=2)
        summary = plain.sample_summary(interactions, **options)
        expected = TopKCalibrationDisplay.from_predictions(summary, interactions, holdout, k=5)
        monkeypatch.setattr("skdiffrec.plotting._calibration._BLOCK_ELEMENTS", 16 * N_ITEMS)
        found = TopKCalibrationDisplay.from_estimator(plain, interactions, holdout, **options)
        for name in ("predicted", "observed", "n_pairs", "spread", "hit_rate", "n_listed"):
            assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6)

    def test_what_is_given_for_each_user_stays_with_the_user(self, interactions, monkeypatch):
        """Where some have no holdout, and block by block."""
        n = N_USERS
        holdout = (interactions.toarray() == 0).astype(float)
        holdout[::3] = 0
        features = np.eye(2)[np.arange(n) % 2]
        model = tiny_cfg(item_features=np.eye(N_ITEMS)[:, :3])
        model.fit(interactions, user_features=features)
        scale = np.linspace(0.5, 2.0, n)
        wanted = csr_array(np.eye(3)[np.arange(n) % 3])
        for of_each in (
            dict(guidance_scale=scale),
            dict(guidance_scale=scale.tolist()),
            dict(guidance_scale={"history": scale, "wanted": 2.0}, wanted=wanted),
            dict(wanted=wanted.toarray().tolist()),
            dict(wanted={0: 1.0}, guidance_scale={"wanted": pd.Series(scale, scale)}),
        ):
            options = dict(k=5, n_samples=3, n_sampling_steps=2, user_features=features, **of_each)
            summary = model.sample_summary(interactions, **options)
            expected = TopKCalibrationDisplay.from_predictions(summary, interactions, holdout, k=5)
            with monkeypatch.context() as patch:
                patch.setattr("skdiffrec.plotting._calibration._BLOCK_ELEMENTS", 16 * N_ITEMS)
                found = TopKCalibrationDisplay.from_estimator(
                    model, interactions, holdout, **options
                )
            for name in ("predicted", "observed", "n_pairs", "spread", "hit_rate"):
                assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6)
        for name, value in (("guidance_scale", scale[1:]), ("user_features", features[1:])):
            with pytest.raises(ValueError, match=f"{name} has {n - 1} values for {n} users"):
                TopKCalibrationDisplay.from_estimator(model, interactions, holdout, **{name: value})

    def test_what_is_drawn(self, plain, interactions, holdout):
        _, axes = plt.subplots(1, 2)
        display = TopKCalibrationDisplay.from_estimator(
            plain, interactions, holdout, k=5, n_samples=4, ax=axes, line_kw=dict(color="red")
        )
        left, right = display.lines_
        assert_array_equal(left.get_ydata(), display.observed)
        assert_array_equal(right.get_xdata(), display.spread)
        assert left.get_color() == "red" and left.axes is axes[0]

    def test_refusals(self, plain, interactions, holdout):
        summary = plain.sample_summary(interactions, k=5, n_samples=2, n_sampling_steps=2)
        with pytest.raises(ValueError, match="each of shape"):
            TopKCalibrationDisplay.from_predictions(summary[:2], interactions, holdout)
        wrong = (*summary[:2], summary[0] + 100)
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            TopKCalibrationDisplay.from_predictions(wrong, interactions, holdout)
        with pytest.raises(TypeError, match="sample_summary"):
            TopKCalibrationDisplay.from_estimator(
                EASERecommender().fit(interactions), interactions, holdout
            )
