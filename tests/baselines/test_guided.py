"""Networks with a null condition: their guidance, their losses, what they learn."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import tiny_flow, tiny_vae
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch.distributions import Normal, kl_divergence

from skdiffrec.baselines import FlowRecommender, MultVAERecommender, PopularityRecommender
from skdiffrec.baselines._flow import euler, flow_loss, straight_path
from skdiffrec.baselines._guided import as_read
from skdiffrec.baselines._guided_training import Batch, Entries, batches
from skdiffrec.baselines._mult_vae import negative_elbo

MODELS = {"vae": tiny_vae(), "flow": tiny_flow()}
CUT = dict(cond_drop_prob=0.25, input_dropout=0.0, max_epochs=2, batch_size=50, seed=3)


@pytest.fixture(name="model", params=MODELS)
def model_fixture(request):
    return clone(MODELS[request.param])


@pytest.fixture(name="fitted", scope="module", params=MODELS)
def fitted_fixture(request, interactions):
    """Shared: never change it."""
    return clone(MODELS[request.param]).fit(interactions)


def one_batch(X, progress=0.5, **options):
    return next(batches(X, as_read, **{"target_share": (0.3, 0.7), **CUT, **options}))


class TestGuidance:
    def test_is_affine_in_the_scale(self, fitted, interactions):
        """uncond + s·(cond − uncond) of the scores."""
        X = interactions[1:]  # user 0 has no history
        uncond, cond = (fitted.decision_function(X, guidance_scale=s) for s in (0.0, 1.0))
        assert np.abs(cond - uncond).max() > 0.01
        for scale in (-1.0, 0.5, 2.0, 7.0):
            found = fitted.decision_function(X, guidance_scale=scale)
            assert_allclose(found, uncond + scale * (cond - uncond), rtol=1e-4, atol=1e-4)

    def test_without_condition_everybody_is_alike(self, fitted, interactions):
        scores = fitted.decision_function(interactions[1:], guidance_scale=0.0)
        assert (scores == scores[0]).all() and scores[0].std() > 0

    def test_of_a_call_is_that_of_the_estimator(self, fitted, interactions):
        other = clone(fitted).set_params(guidance_scale=2.0).fit(interactions)
        expected = other.recommend(k=5)
        for a, b in zip(fitted.recommend(k=5, guidance_scale=2.0), expected, strict=True):
            assert_array_equal(a, b)
        assert fitted.guidance_scale == 1.0
        assert (fitted.recommend(k=5)[1] != expected[1]).any()

    def test_can_be_searched(self, model, interactions):
        search = GridSearchCV(model.set_params(max_epochs=1), {"guidance_scale": [0, 1.5]}, cv=2)
        assert np.isfinite(search.fit(interactions).cv_results_["mean_test_score"]).all()

    @pytest.mark.parametrize("scale", [np.nan, 1001, "1", [1.0, 2.0], True])
    def test_what_is_no_scale(self, fitted, interactions, scale):
        with pytest.raises(ValueError, match="'guidance_scale' parameter of .* must be a float"):
            fitted.recommend(guidance_scale=scale)
        wrong = clone(fitted).fit(interactions).set_params(guidance_scale=scale)
        with pytest.raises(ValueError, match="guidance_scale"):
            wrong.decision_function(interactions)


class TestBatches:
    def test_rows_are_cut_in_two(self, interactions):
        X = csr_array((interactions > 0).astype(np.float32))
        seen = []
        for batch in batches(X, as_read, target_share=(0.3, 0.7), **CUT):
            parts = []
            for entries in (batch.shown, batch.target):
                part = np.zeros((len(batch.known), X.shape[1]))
                np.add.at(part, (entries.rows, entries.items), 1)
                parts.append(part)
            shown, target = parts
            assert batch.masked and not (shown * target).any()
            assert (target.sum(axis=1) > 0).all()
            assert_array_equal(shown.sum(axis=1) > 0, batch.known[:, 0])
            length = (shown + target).sum(axis=1)
            share = target.sum(axis=1)[length > 8] / length[length > 8]
            known = batch.known.numpy()[length > 8, 0]
            assert (share[~known] == 1).all() and 0.29 < share[known].min() < 0.5
            assert 0.5 < share[known].max() < 0.85
            seen.append(shown + target)
        rows = np.vstack(seen)
        n = rows.shape[0] // 2  # of an epoch: every row with an item once
        expected = np.sort(X.toarray()[X.sum(axis=1) > 0], axis=0)
        for epoch in (rows[:n], rows[n:]):
            assert_array_equal(np.sort(epoch, axis=0), expected)

    def test_a_whole_row_is_condition_and_target(self, interactions):
        batch = one_batch(interactions, target_share=(0, 0), input_dropout=0.0)
        assert_array_equal(batch.shown.items, batch.target.items)
        assert not batch.masked and 0.5 < batch.known.float().mean() < 0.95

    def test_dropout_keeps_the_mean(self, interactions):
        """Half of what is read, a row of length 5, is 0; the rest is twice as large."""
        X = csr_array((interactions > 0).astype(np.float32))
        shown = one_batch(X, target_share=(0, 0), input_dropout=0.5).shown
        kept = shown.weights != 0
        assert 0.4 < kept.float().mean() < 0.6
        length = shown.offsets.diff()[shown.rows]
        assert_allclose(shown.weights[kept], (10 / length.sqrt())[kept], rtol=1e-5)


def vae_problem(masked):
    """(weights as tensors, batch) of five rows, one of which has the null token."""
    rng = np.random.default_rng(0)
    model = tiny_vae(hidden_dims=(4,), latent_dim=3)
    weights = {
        name: torch.tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True)
        for name, shape in model._shapes(7, hidden_dims=(4,), latent_dim=3).items()
    }
    X = csr_array((rng.random((5, 7)) < 0.5).astype(np.float32) + np.eye(5, 7, dtype=np.float32))
    shown = X.copy()
    if masked:
        shown.data[::2] = 0
        shown.eliminate_zeros()
    known = torch.tensor([True, True, False, True, True])[:, None]
    generator = torch.Generator().manual_seed(5)
    return weights, Batch(Entries.of(shown), known, Entries.of(X), False, generator, 0.5)


class TestMultVAE:
    def test_loss_and_gradient_by_hand(self):
        """Back through s = Wh₂, h₂ = tanh(zD + d), z = μ + e^{l/2}ε, h₁ = tanh(r + b)."""
        weights, batch = vae_problem(masked=False)
        noise = batch.normal(3).numpy()
        batch.generator.manual_seed(5)
        loss = negative_elbo(weights, batch, 0.7, torch)
        loss.backward()
        w = {name: tensor.detach().numpy().astype(float) for name, tensor in weights.items()}
        x = np.zeros((5, 7))
        x[batch.target.rows, batch.target.items] = batch.target.weights
        known = batch.known.numpy()
        h1 = np.tanh(np.where(known, x @ w["read.weight"], w["null"]) + w["read.bias"])
        mu, log_var = (h1 @ w[f"{n}.weight"] + w[f"{n}.bias"] for n in ("mean", "log_variance"))
        z = mu + np.exp(log_var / 2) * noise
        h2 = np.tanh(z @ w["decoder.0.weight"] + w["decoder.0.bias"])
        s = h2 @ w["scores.weight"].T + w["scores.bias"]
        log_p = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
        kl = kl_divergence(
            Normal(*map(torch.tensor, (mu, np.exp(log_var / 2)))), Normal(0.0, 1.0)
        ).sum(1)
        assert_allclose(loss.item(), (0.7 * kl.numpy() - (x * log_p).sum(axis=1)).mean(), rtol=1e-5)

        ds = (x.sum(axis=1, keepdims=True) * np.exp(log_p) - x) / 5
        a2 = ds @ w["scores.weight"] * (1 - h2**2)
        dz = a2 @ w["decoder.0.weight"].T
        dmu = dz + 0.7 * mu / 5
        dlog = dz * noise * np.exp(log_var / 2) / 2 + 0.7 * (np.exp(log_var) - 1) / 10
        dh1 = dmu @ w["mean.weight"].T + dlog @ w["log_variance.weight"].T
        a1 = dh1 * (1 - h1**2)
        expected = {
            "scores.weight": ds.T @ h2,
            "scores.bias": ds.sum(axis=0),
            "decoder.0.weight": z.T @ a2,
            "decoder.0.bias": a2.sum(axis=0),
            "mean.weight": h1.T @ dmu,
            "mean.bias": dmu.sum(axis=0),
            "log_variance.weight": h1.T @ dlog,
            "log_variance.bias": dlog.sum(axis=0),
            "read.weight": x.T @ (a1 * known),
            "read.bias": a1.sum(axis=0),
            "null": (a1 * ~known).sum(axis=0),
        }
        assert set(expected) == set(weights)
        for name, gradient in expected.items():
            assert_allclose(weights[name].grad, gradient, rtol=1e-3, atol=1e-5, err_msg=name)

    def test_what_is_shown_is_no_target(self):
        """The softmax leaves it out: its scores have no gradient."""
        weights, batch = vae_problem(masked=True)
        batch = batch._replace(target=batch.shown, shown=batch.target, masked=True)
        shown = torch.zeros(5, 7, dtype=torch.bool)
        shown[batch.shown.rows, batch.shown.items] = True
        scores = torch.randn(5, 7, generator=batch.generator, requires_grad=True)
        target = Entries.of(csr_array((~shown).float().numpy()))
        found = batch._replace(target=target).log_likelihood(scores * 1.0)
        expected = [
            torch.log_softmax(row[~mask], 0).sum() for row, mask in zip(scores, shown, strict=True)
        ]
        assert_allclose(found.detach(), torch.stack(expected).detach(), rtol=1e-5)
        found.sum().backward()
        assert (scores.grad[shown] == 0).all() and (scores.grad[~shown] != 0).any()

    def test_the_divergence_has_its_weight(self, interactions):
        """With a large one, all that is left of a history is the prior's mean."""
        spread = []
        for beta in (0.0, 1e3):
            scores = tiny_vae(beta=beta, max_epochs=40, batch_size=16).fit(interactions)
            scores = scores.decision_function(interactions[1:])
            spread.append(scores.std(axis=0).mean())
        assert spread[1] < 0.1 * spread[0]


class TestFlow:
    MEAN, DEVIATION = 0.5, 2.0

    def known_velocity(self, x, t):
        """E[x₁ − x₀ | x_t = x] where x₀ ~ N(0, 1) and x₁ ~ N(m, σ²) are independent."""
        m, variance = self.MEAN, self.DEVIATION**2
        slope = (t * variance - (1 - t)) / ((1 - t) ** 2 + t**2 * variance)
        return m + slope * (x - t * m)

    @pytest.mark.parametrize("t", [0.0, 0.3, 0.9])
    def test_regression_on_paths_finds_the_known_velocity(self, t):
        rng = np.random.default_rng(0)
        x_0, x_1 = rng.normal(size=(2, 200_000))
        x_t, velocity = straight_path(x_0, self.MEAN + self.DEVIATION * x_1, t)
        slope, constant = np.polyfit(x_t, velocity, 1)
        ends = np.array([-1.0, 1.0])
        assert_allclose(slope * ends + constant, self.known_velocity(ends, t), atol=0.03)

    def test_euler_follows_the_known_velocity(self):
        """The flow carries x to m + σ·x; the error falls with the first power of the step."""
        x = np.linspace(-2, 2, 9)[:, None]
        expected = self.MEAN + self.DEVIATION * x
        errors = [np.abs(euler(self.known_velocity, x, n) - expected).max() for n in (50, 100, 200)]
        assert errors[2] < 0.04
        assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2, rtol=0.1)
        assert euler(self.known_velocity, np.zeros((1, 1)), 1) == self.MEAN

    def test_the_loss_is_that_of_the_velocity(self, interactions):
        """A network that says nothing errs by the mean square of x₁ − x₀, here 1 + 1."""
        model = tiny_flow(cond_drop_prob=0.0).fit(interactions)
        weights = {name: torch.tensor(array) for name, array in model.weights_.items()}
        for name in ("velocity.weight", "velocity.bias"):
            weights[name] = torch.zeros_like(weights[name])
        X = csr_array(np.repeat((interactions.toarray() > 0).astype(np.float32), 20, axis=0))
        options = dict(target_share=(0, 0), cond_drop_prob=0.0, batch_size=10_000)
        loss = flow_loss(weights, one_batch(X, **options), 0.0, torch)
        assert_allclose(loss, 2.0, rtol=0.1)

    def test_one_step_ends_at_the_velocity(self, interactions):
        """From the mean of the noise: the estimate of the row itself, in the latent space."""
        model = tiny_flow().fit(interactions)
        assert_allclose(
            model.weights_["latent.vectors"].T @ model.weights_["latent.vectors"],
            np.eye(8),
            atol=1e-5,
        )
        scores = model.decision_function(interactions[3:])
        V = model.weights_["latent.vectors"]
        assert_allclose(scores @ V @ V.T, scores, rtol=1e-3, atol=1e-4)
        steps = clone(model).fit(interactions).set_params(n_sampling_steps=5)
        assert np.abs(steps.decision_function(interactions[3:]) - scores).max() > 1e-3

    def test_noise_is_the_rows_own(self, interactions):
        model = tiny_flow(temperature=1.0).fit(interactions)
        X = interactions[3:9]
        drawn = model.decision_function(X)
        assert_array_equal(drawn[::-1], model.decision_function(X[::-1]))
        mean = model.set_params(temperature=0.0).decision_function(X)
        half = model.set_params(temperature=0.5).decision_function(X)
        assert np.abs(half - mean).max() > 1e-3 and np.abs(drawn - half).max() > 1e-3


class TestTraining:
    def test_learns_more_than_popularity(self, drift_data):
        train, test = drift_data.train, drift_data.test
        popularity = PopularityRecommender().fit(train).score(train, test)
        for model in (MultVAERecommender(random_state=0), FlowRecommender(random_state=0)):
            model.set_params(max_epochs=20, hidden_dims=(64,), latent_dim=32).fit(train)
            assert model.score(train, test) > 1.8 * popularity
            null = model.set_params(guidance_scale=0.0).score(train, test)
            assert 0.5 * popularity < null < 1.3 * popularity

    def test_random_state(self, model, interactions):
        seeds = (0, 0, 1, np.random.RandomState(0))
        scores = [
            clone(model).set_params(random_state=s).fit(interactions).decision_function(np.eye(50))
            for s in seeds
        ]
        assert_array_equal(scores[0], scores[1])
        assert_array_equal(scores[0], scores[3])
        assert (scores[0] != scores[2]).any()

    def test_threads_and_the_global_generator_do_not_matter(
        self, fitted, interactions, four_threads
    ):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        again = clone(fitted).fit(interactions)
        assert (torch.get_rng_state() == before).all() and torch.get_num_threads() == 4
        for name, array in fitted.weights_.items():
            assert_array_equal(array, again.weights_[name])

    def test_in_a_host_with_settings_of_its_own(self, fitted, interactions):
        torch.set_default_dtype(torch.float64)
        try:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                again = clone(fitted).fit(interactions)
        finally:
            torch.set_default_dtype(torch.float32)
        for name, array in fitted.weights_.items():
            assert array.dtype == np.float32
            assert_array_equal(array, again.weights_[name])

    @pytest.mark.parametrize(
        "parameters",
        [
            dict(hidden_dims=(16, 12)),
            dict(target_share=0.5),
            dict(target_share=(0.1, 0.2)),
            dict(cond_drop_prob=0.0),
            dict(cond_drop_prob=1.0),
            dict(dropout=0.0),
            dict(latent_dim=500),
            dict(batch_size=7),
        ],
        ids=str,
    )
    def test_settings(self, model, interactions, parameters):
        plain = clone(model).fit(interactions).decision_function(interactions)
        scores = model.set_params(**parameters).fit(interactions).decision_function(interactions)
        assert np.isfinite(scores).all() and (scores != plain).any()

    def test_no_share_is_the_whole_row(self, model, interactions):
        """As in the diffusion recommender, where it is 0."""
        expected, found = (
            clone(model).set_params(target_share=share).fit(interactions).recommend()[1]
            for share in (None, 0.0)
        )
        assert_array_equal(expected, found)

    def test_divergence_is_an_error(self, model, interactions):
        with pytest.raises(ValueError, match="diverged.*learning_rate=1e\\+30.*Lower"):
            model.set_params(learning_rate=1e30).fit(interactions)

    @pytest.mark.parametrize(
        ("parameters", "says"),
        [
            (dict(hidden_dims=()), "hidden_dims must be"),
            (dict(hidden_dims=(8, 0)), "hidden_dims must be"),
            (dict(hidden_dims=8), "hidden_dims"),
            (dict(target_share=(0.7, 0.3)), "target_share must be"),
            (dict(target_share=1.0), "target_share"),
            (dict(cond_drop_prob=1.5), r"'cond_drop_prob'.*\[0.0, 1.0\].*Got 1.5"),
            (dict(latent_dim=0), r"'latent_dim'.*\[1, inf\).*Got 0"),
            (dict(dropout=1.0), r"'dropout'.*\[0.0, 1.0\).*Got 1.0"),
            (dict(max_epochs=0), "'max_epochs'.*Got 0"),
            (dict(batch_size=2.5), "'batch_size'.*Got 2.5"),
            (dict(learning_rate=0), "'learning_rate'.*Got 0"),
            (dict(half_life=0), "'half_life'.*Got 0"),
            (dict(guidance_scale=2000), "'guidance_scale'.*Got 2000"),
        ],
        ids=str,
    )
    def test_bad_parameters(self, model, interactions, parameters, says):
        with pytest.raises(ValueError, match=f"(?s){says}"):
            model.set_params(**parameters).fit(interactions)

    def test_bad_parameters_of_one_model(self, interactions):
        for model in (tiny_vae(beta=-1), tiny_flow(n_sampling_steps=0), tiny_flow(temperature=-1)):
            with pytest.raises(ValueError, match="'(beta|n_sampling_steps|temperature)'.*Got"):
                model.fit(interactions)


class TestScores:
    def test_wide_layers_are_batch_invariant(self, drift_data):
        X = drift_data.train
        for kind in (MultVAERecommender, FlowRecommender):
            model = (
                kind(max_epochs=1, n_sampling_steps=3)
                if kind is FlowRecommender
                else kind(max_epochs=1)
            )
            expected = model.fit(X).decision_function(X)
            users = np.random.default_rng(0).permutation(X.shape[0])
            for size in (1, 5, 16, 37, 300):
                some = users[:size]
                assert_array_equal(expected[some], model.decision_function(X[some]))

    def test_a_loaded_model_needs_no_torch(self, fitted, interactions, tmp_path):
        """Nor does it change when parameters of the fit are set before it is saved."""
        other = clone(fitted).fit(interactions).set_params(hidden_dims=(3,), latent_dim=2)
        other.save(tmp_path / "model")
        code = (
            "import sys; from skdiffrec import persistence\n"
            f"model = persistence.load({str(tmp_path / 'model')!r})\n"
            "print(model.recommend(5, k=4)[0].tolist()); assert 'torch' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(fitted.recommend(5, k=4)[0].tolist())
