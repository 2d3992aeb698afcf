"""The short cut for one step, and the tables that all steps read."""

import numpy as np
import pytest
import torch
from denoiser_problems import CLOSED_FORMS, LATENT, make_model, random_csr
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._diffusion.process import PREDICTION_TYPES
from skdiffrec._inference.ranking import HeadScores, guided_lists
from skdiffrec._inference.reverse_process import copied, reverse_processes
from skdiffrec._inference.scoring import guided_scores
from skdiffrec._inference.settings import SamplingSettings
from skdiffrec._utils.hashing import row_keys
from skdiffrec._utils.topk import EVERY_ITEM

SINGLE = SamplingSettings()
SCALES = {
    "0": np.zeros(21),
    "1": np.ones(21),
    "others": np.linspace(1.5, 3.5, 21),
    "mixed": np.random.default_rng(0).choice([0.0, 1.0, 0.4, 2.5], 21),
}
all_scales = pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)


def assert_same_bits(one, other):
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a.numpy().view(np.int32), b.numpy().view(np.int32))


@all_scales
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("latent_dim", [None, LATENT])
@pytest.mark.parametrize("widths", [(8,), (8, 8), (16, 5)])
@torch.no_grad()
def test_the_short_cut_has_the_bits_of_a_step(latent_dim, prediction_type, scale, widths):
    """One step from x = 0, of which x̂_0 is not needed, against the sampler's own step."""
    model = make_model(latent_dim, prediction_type=prediction_type, widths=widths)
    X, n_rows = random_csr(21, seed=1, weighted=True), 0
    for rows, process in reverse_processes(model, X, None, scale, SINGLE):
        nothing, *found = process.last_estimate()
        assert nothing is None
        found = copied(found)
        assert not process._first(None).any()
        ((_, *expected),) = process.estimates()
        assert_same_bits(found, expected)
        assert_same_bits(found, process.drawn_estimate(0)[1:])
        n_rows += len(rows)
    assert n_rows == 21


@all_scales
@pytest.mark.parametrize("closed_form", [*CLOSED_FORMS, None])
@pytest.mark.parametrize("seed", range(3))
def test_scores_and_lists_of_the_short_cut(scale, closed_form, seed):
    model = make_model(closed_form=closed_form, seed=seed)
    X = random_csr(21, seed)
    given = model, X, None, scale, SINGLE
    masks = dict(k=5, filter_seen=True, items=EVERY_ITEM)
    found = guided_scores(*given), *guided_lists(*given, **masks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeadScores, "read_hidden", False)
        expected = guided_scores(*given), *guided_lists(*given, **masks)
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize(
    "settings",
    [
        SamplingSettings(2),
        SamplingSettings(1, start_timestep=7),
        SamplingSettings(1, temperature=0.5),
        SamplingSettings(1, eta=1.0, temperature=1e-3, n_draws=2),
    ],
)
@torch.no_grad()
def test_all_else_takes_the_steps(settings):
    model, X = make_model(), random_csr(6, seed=1)
    for _, process in reverse_processes(model, X, row_keys(X, 0), np.full(6, 1.5), settings):
        assert process.last_estimate()[0] is not None


@torch.no_grad()
def test_scores_that_are_read_off_x_0_take_the_step():
    model, X = make_model(ranking_head=False), random_csr(6, seed=1)
    for _, process in reverse_processes(model, X, None, np.full(6, 1.5), SINGLE):
        assert process.last_estimate()[0].shape == (16, LATENT)


@pytest.mark.parametrize("settings", [SINGLE, SINGLE._replace(n_draws=3)])
def test_draws_without_noise_are_one(settings):
    model, X = make_model(), random_csr(6, seed=1)
    found, expected = (
        guided_scores(model, X, None, np.full(6, 1.5), each) for each in (settings, SINGLE)
    )
    assert_array_equal(found, expected)


@torch.no_grad()
def test_branches_guided_are_the_last_estimate():
    for settings in (SINGLE, SamplingSettings(3), SamplingSettings(2, 7, 0.5, 1.0, 2)):
        model, X = make_model(), random_csr(6, seed=1)
        scale = np.array([2.5, 1.7, 0.0, -0.5, 3.0, 1.5])
        for rows, process in reverse_processes(model, X, row_keys(X, 0), scale, settings):
            of_rows = torch.from_numpy(scale[rows])[:, None]
            unknown, known = (h[: len(rows)] for _, h in process.last_branches())
            guided = unknown + of_rows * (known - unknown)
            assert_allclose(guided, process.last_estimate()[1][: len(rows)], atol=1e-5)


def test_rows_of_one_kind_of_scale_go_together():
    X = random_csr(6)  # the third is empty, and so unconditional
    scale = np.array([1.0, 2.0, 5.0, 0.0, 1.0, -3.0])
    found = [rows.tolist() for rows, _ in reverse_processes(make_model(), X, None, scale, SINGLE)]
    assert found == [[2, 3], [0, 4], [1, 5]]
