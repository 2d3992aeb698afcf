"""Guided scores against a slow sampler in item space."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from denoiser_problems import (
    ALPHA_BAR,
    CLOSED_FORMS,
    LATENT,
    N_ITEMS,
    T,
    make_model,
    properties,
    random_csr,
    seeds,
    slow_forward,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.ease import ease_matrix
from skdiffrec._diffusion.process import PREDICTION_TYPES
from skdiffrec._inference.chain_spaces import HiddenChainSpace
from skdiffrec._inference.noise import row_normal
from skdiffrec._inference.scoring import guided_scores
from skdiffrec._inference.settings import SamplingSettings
from skdiffrec._utils.hashing import row_keys
from skdiffrec._utils.recency import history_weights
from skdiffrec._utils.validation import VALUES

SINGLE = SamplingSettings(1, None, 0.0, 0.0, 1)
SETTINGS = {
    "one step": SINGLE,
    "DDIM": SamplingSettings(4, None, 0.0, 0.0, 1),
    "DDIM from a draw": SamplingSettings(4, None, 0.0, 1.0, 1),
    "ancestral": SamplingSettings(4, None, 1.0, 0.5, 1),
    "ancestral, no noise": SamplingSettings(4, None, 1.0, 0.0, 1),
    "mean of 3 draws": SamplingSettings(3, None, 0.6, 1.0, 3),
    "from the noised history": SamplingSettings(3, 7, 0.0, 0.0, 1),
    "from the noised history, random": SamplingSettings(2, 5, 1.0, 1.0, 2),
}
all_settings = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
all_types = pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
SCALE = np.array([0.0, 1.0, 2.5, 1.7, -0.5, 1.0])
TIME = dict(values="time", half_life=2.0)


def scores_of(model, X, scale, settings=SINGLE, seed=3, keys=None):
    """`guided_scores` of histories as the model's reader gives them."""
    keys = row_keys(X, seed) if keys is None else keys
    return guided_scores(model, X, keys, np.broadcast_to(np.float64(scale), X.shape[:1]), settings)


def history_of(model, seed=1):
    """Six histories: ages where the model reads ages, else weights."""
    X = random_csr(6, seed=seed, weighted=True)
    return model.reader.read(X) if model.reader.aged else X


@torch.no_grad()
def slow_scores(model, X, scale, settings, seed=3):
    """One row after the other and one branch after the other, guided in item space at the end."""
    scores = np.zeros(X.shape)
    for row in range(X.shape[0]):
        key = torch.from_numpy(row_keys(X[[row]], seed).view(np.int64))
        for draw in range(settings.n_draws):
            scores[row] += slow_draw(model, X[[row]], scale[row], settings, key, draw)
    return scores / settings.n_draws


def slow_draw(model, X, scale, settings, key, draw):
    denoiser, prediction_type = model.denoiser, model.diffusion.prediction_type
    n_steps, dim, ranks = settings.n_sampling_steps, denoiser.space.dim, denoiser.head.ranks
    history = model.reader.rows(X, "cpu")  # 16 rows, of which the first is asked for
    weighted = history.weighted(model.half_life)
    form = unknown = 0
    if ranks:
        unknown = denoiser.head.null_offset.numpy()
    if model.closed_form is not None:
        form = model.closed_form_scale * model.closed_form(weighted)[0].numpy()
        unknown = unknown + model.closed_form_scale * model.closed_form.unknown.numpy()
    if ranks and not X.nnz and not settings.temperature:
        return denoiser.head.popularity.numpy()
    scale = scale if X.nnz else 0.0

    def fresh(step):
        z = row_normal(key, dim, draw * (n_steps + 1) + step)[0]
        return settings.temperature * z.double().numpy()

    def branch(x, t, u):
        """x̂_0 and item scores of one branch."""
        bar = ALPHA_BAR[t]
        seen = math.sqrt(bar) if prediction_type == "x0" else 1.0  # noise to predict is not scaled
        raw, h = slow_forward(denoiser, x[None], [t], seen, u)
        x_0 = {
            "x0": lambda: raw,
            "epsilon": lambda: (x - math.sqrt(1 - bar) * raw) / math.sqrt(bar),
            "v": lambda: math.sqrt(bar) * x - math.sqrt(1 - bar) * raw,
        }[prediction_type]()
        if ranks:
            ranked = denoiser.head.write(torch.from_numpy(h).float()).double()
        else:
            ranked = denoiser.space.decode(torch.from_numpy(x_0).float()).double()
        return x_0[0], ranked[0].numpy()

    start = settings.start_timestep
    first, x = (T, fresh(0)) if start is None else (start, None)
    if x is None:
        x_0 = denoiser.space.encode(weighted)[0].double().numpy()
        x = math.sqrt(ALPHA_BAR[first]) * x_0 + math.sqrt(1 - ALPHA_BAR[first]) * fresh(0)
    times = [round(first * (n_steps - i) / n_steps) for i in range(n_steps + 1)]
    known = denoiser.condition(history)[:1].double().numpy()
    for step, (t, t_next) in enumerate(zip(times[:-1], times[1:], strict=True)):
        cond, cond_scores = branch(x, t, known)
        uncond, uncond_scores = branch(x, t, denoiser.unconditional(1).double().numpy())
        x_0 = uncond + scale * (cond - uncond)
        bar, after = ALPHA_BAR[t], ALPHA_BAR[t_next]
        r = settings.eta * math.sqrt((1 - after) / (1 - bar) * (1 - bar / after))
        epsilon = (x - math.sqrt(bar) * x_0) / math.sqrt(1 - bar)
        x = math.sqrt(after) * x_0 + math.sqrt(1 - after - r**2) * epsilon + r * fresh(step + 1)
    uncond_scores = uncond_scores + unknown
    return uncond_scores + scale * (cond_scores + form - uncond_scores)


@pytest.mark.slow
@all_settings
@all_types
@pytest.mark.parametrize(
    ("latent_dim", "ranking_head", "values"),
    [
        (LATENT, True, {}),
        (None, False, {}),
        (LATENT, False, {}),
        (LATENT, True, TIME),
    ],
)
def test_guided_scores_against_a_slow_sampler(
    settings, prediction_type, latent_dim, ranking_head, values
):
    model = make_model(latent_dim, ranking_head, prediction_type=prediction_type, **values)
    X = history_of(model)
    expected = slow_scores(model, X, SCALE, settings)
    settings = settings._replace(reference=True)  # the same noise, whatever the space
    found = scores_of(model, X, SCALE, settings)
    assert found.dtype == np.float32
    assert_allclose(found, expected, rtol=1e-3, atol=2e-3)


def test_a_noised_history_of_ages_is_one_of_recency_weights():
    ages = sp.csr_array(np.array([[3.0, 0, 1, 2] + [0] * (N_ITEMS - 4)], np.float32))
    recency = ages.copy()
    recency.data = 0.5 ** ((ages.data - 1) / 2)
    settings = SETTINGS["from the noised history"]
    model = make_model(closed_form=None)
    expected = scores_of(model, recency, 0.0, settings)  # without a history as condition
    aged = replace(model, values="time", half_life=2.0)
    assert_allclose(scores_of(aged, ages, 0.0, settings), expected, rtol=1e-5)


@pytest.mark.parametrize("settings", [SINGLE, SETTINGS["DDIM"]])
def test_a_latent_space_wider_than_the_network_is_ranked_by_its_own_scores(settings):
    model = make_model(10, ranking_head=False, widths=(4, 4))
    X = random_csr(6, seed=1)
    expected = scores_of(model, X, SCALE, settings._replace(reference=True))
    assert_allclose(scores_of(model, X, SCALE, settings), expected, rtol=1e-3, atol=1e-4)


SPACES = pytest.mark.parametrize(
    ("latent_dim", "ranking_head"), [(None, False), (None, True), (LATENT, True)]
)


@SPACES
@all_types
@pytest.mark.parametrize("values", [{}, TIME], ids=["weights", "ages"])
@pytest.mark.parametrize("settings", [s for s in SETTINGS.values() if not s.temperature])
def test_scores_of_the_hidden_space_are_those_of_item_space(
    settings, values, prediction_type, latent_dim, ranking_head
):
    """Ages are read as recency weights in both, also where x starts from the noised history."""
    model = make_model(latent_dim, ranking_head, prediction_type=prediction_type, **values)
    X = history_of(model)
    assert isinstance(model.tables().space, HiddenChainSpace) == (latent_dim is None)
    hidden, items = (
        scores_of(model, X, SCALE, settings._replace(reference=reference))
        for reference in (False, True)
    )
    assert_allclose(hidden, items, rtol=1e-3, atol=2e-3)


@all_types
@pytest.mark.parametrize("settings", [s for s in SETTINGS.values() if not s.temperature])
def test_a_latent_space_wider_than_the_network(settings, prediction_type):
    """Then the steps run in the hidden space of the latent one."""
    model = make_model(12, prediction_type=prediction_type, **TIME)
    X = history_of(model)
    assert isinstance(model.tables().space, HiddenChainSpace)
    hidden, items = (
        scores_of(model, X, SCALE, settings._replace(reference=reference))
        for reference in (False, True)
    )
    assert_allclose(hidden, items, rtol=1e-3, atol=2e-3)


@pytest.mark.slow
@SPACES
@all_types
@pytest.mark.parametrize("settings", [s for s in SETTINGS.values() if s.temperature])
def test_noise_of_the_hidden_space_has_the_moments_of_that_in_item_space(
    settings, prediction_type, latent_dim, ranking_head
):
    """Mean and covariance of the scores, over draws for one user."""
    model, n = make_model(latent_dim, ranking_head, prediction_type=prediction_type), 8_000
    X = random_csr(6, seed=1, weighted=True)[np.zeros(n, int)]
    keys = np.random.default_rng(0).integers(2**63, size=(2, n)).astype(np.uint64)
    hidden, items = (
        scores_of(model, X, 1.5, settings._replace(reference=reference), keys=own)
        for own, reference in zip(keys, (False, True), strict=True)
    )
    spread = items.std(axis=0)
    assert spread.min() > 1e-3
    assert_allclose((hidden.mean(0) - items.mean(0)) / spread, 0, atol=6 * (2 / n) ** 0.5)
    hidden, items = ((scores - scores.mean(0)) / spread for scores in (hidden, items))
    covariances = [scores.T @ scores / n for scores in (hidden, items)]
    # variance of one draw's product
    of_products = (items**2).T @ items**2 / n - covariances[1] ** 2
    errors = (covariances[0] - covariances[1]) / (2 * of_products / n) ** 0.5
    assert np.abs(errors).max() < 6


@pytest.mark.parametrize("closed_form", [*CLOSED_FORMS, None])
@properties
@given(scale=st.floats(-3, 6), seed=seeds)
def test_guidance_moves_along_the_line_of_the_two_branches(closed_form, scale, seed):
    model = make_model(closed_form=closed_form, seed=seed)
    X = random_csr(6, seed)
    settings = SINGLE._replace(temperature=1.0)
    cond, uncond, guided = (scores_of(model, X, s, settings) for s in (1.0, 0.0, scale))
    assert_allclose(guided, uncond + scale * (cond - uncond), rtol=1e-4, atol=1e-4)


def test_the_unconditional_branch_does_not_know_the_history():
    model = make_model()
    a, b = scores_of(model, random_csr(6, 1), 0.0), scores_of(model, random_csr(6, 2), 0.0)
    assert_allclose(a, b, atol=1e-5)
    assert not np.allclose(
        scores_of(model, random_csr(6, 1), 1.0), scores_of(model, random_csr(6, 2), 1.0)
    )


@all_settings
def test_a_user_without_history_is_unconditional_whatever_the_scale(settings):
    model = make_model()
    X = random_csr(6)  # the third row is empty
    unconditional = scores_of(model, X, 0.0, settings)[2]
    for scale in (1.0, 4.0):
        assert_allclose(scores_of(model, X, scale, settings)[2], unconditional, atol=1e-5)


@all_settings
def test_scores_do_not_depend_on_other_users_in_the_call(settings):
    model = make_model()
    X = random_csr(20, seed=1)
    scale = np.random.default_rng(0).choice([0.0, 1.0, 1.5, 3.0], 20)
    together = scores_of(model, X, scale, settings)
    order = np.random.default_rng(1).permutation(20)[:7]
    apart = scores_of(model, X[order], scale[order], settings)
    assert_allclose(apart, together[order], rtol=1e-5, atol=1e-5)


def test_scores_are_bit_equal_in_any_batch_of_one_kind():
    # widths in multiples of 4: with others the product itself rounds odd and even rows differently
    model = make_model(widths=(16, 16))
    X = random_csr(40, seed=1)
    rng = np.random.default_rng(0)
    for scale in (0.0, 1.0, 2.0):
        together = scores_of(model, X, scale)
        for n in (1, 2, 3, 7, 17, 40):
            rows = rng.permutation(40)[:n]
            assert_array_equal(scores_of(model, X[rows], scale), together[rows])


def test_draws_depend_on_the_key():
    model = make_model()
    X = random_csr(6)
    settings = SINGLE._replace(temperature=1.0)
    first = scores_of(model, X, 1.0, settings)
    assert_array_equal(first, scores_of(model, X, 1.0, settings))
    assert np.abs(first - scores_of(model, X, 1.0, settings, seed=4)).max(axis=1).min() > 1e-3


def network_calls(denoiser):
    """Collects the number of rows of every call."""
    sizes = []
    denoiser.body[0].register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    return sizes


@pytest.mark.parametrize(("n", "padded"), [(5, 16), (16, 16), (17, 32)])
@pytest.mark.parametrize(("n_steps", "n_draws"), [(1, 1), (4, 1), (3, 2)])
def test_denoiser_calls_and_their_sizes(n, padded, n_steps, n_draws):
    model = make_model()
    sizes = network_calls(model.denoiser)
    X = sp.csr_array(np.ones((n, N_ITEMS), np.float32))
    settings = SINGLE._replace(n_sampling_steps=n_steps, n_draws=n_draws)
    for scale, expected in ((0.0, padded), (1.0, padded), (2.0, 2 * padded), (-1.0, 2 * padded)):
        sizes.clear()
        scores_of(model, X, scale, settings)
        assert sizes == [expected] * (n_steps * n_draws)


def test_rows_that_need_one_branch_do_not_pay_for_two():
    model = make_model()
    sizes = network_calls(model.denoiser)
    dense = np.ones((40, N_ITEMS), np.float32)
    dense[:3] = 0  # unconditional, whatever their scale
    scores_of(model, sp.csr_array(dense), np.repeat([2.0, 1.0, 0.0], [20, 18, 2]))
    assert sorted(sizes) == [16, 32, 64]  # 5 rows, 18 rows, twice 17 rows, padded


def test_no_rows_no_scores():
    scores = scores_of(make_model(), sp.csr_array((0, N_ITEMS), dtype=np.float32), 1.0)
    assert scores.shape == (0, N_ITEMS)


@pytest.mark.parametrize("values", VALUES)
def test_scores_of_the_closed_form_are_without_its_factor(values):
    half_life = 2.0 if values == "time" else None
    model = make_model(closed_form_scale=0.7, values=values, half_life=half_life)
    X = random_csr(6, weighted=True)
    expected = history_weights(X, values, half_life) @ ease_matrix(random_csr(30, seed=99), 3.0)
    assert_allclose(model.closed_form_scores(X), expected, atol=1e-5)


def test_scoring_leaves_no_gradient_and_no_global_draws():
    model = make_model()
    state = torch.get_rng_state()
    scores_of(model, random_csr(6), 2.0, SETTINGS["mean of 3 draws"])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.denoiser.parameters())


@all_types
def test_the_calibrated_unconditional_branch_ranks_by_popularity(prediction_type):
    model = make_model(closed_form=None, prediction_type=prediction_type)
    counts = np.arange(N_ITEMS) * 3.0
    model.denoiser.calibrate(counts, T, model.diffusion.input_scale(torch.tensor([T])))
    found = scores_of(model, random_csr(6), 0.0)
    share = np.log((counts + 0.5) / (counts + 0.5).sum())
    filled = np.diff(random_csr(6).indptr) > 0
    assert_allclose(found[filled], np.tile(share, (filled.sum(), 1)), atol=1e-4)
    assert not filled.all()
    assert_array_equal(found[~filled], [model.denoiser.head.popularity])
