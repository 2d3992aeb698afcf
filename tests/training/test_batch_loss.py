"""The loss of a batch: squared error, ranking head, drawn timesteps."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.stats import chisquare
from training_problems import N_ITEMS, marked_rows, slow_loss, to_csr, to_dicts, training_rows

from skdiffrec._diffusion.process import PREDICTION_TYPES, Diffusion
from skdiffrec._diffusion.schedules import linear_schedule
from skdiffrec._network.heads import EstimateHead, RankingHead
from skdiffrec._network.spaces import ItemSpace
from skdiffrec._training.batches import Batch
from skdiffrec._training.loop import _draw_timesteps, batch_loss


def test_timesteps_are_uniform_but_for_a_share_at_the_last():
    generator = torch.Generator().manual_seed(0)
    n = 20_000
    for last_share, expected in ((0.0, [0.25] * 4), (0.5, [0.125] * 3 + [0.625])):
        t = _draw_timesteps(n, 4, last_share, generator, torch.device("cpu"))
        assert t.dtype == torch.int64 and t.shape == (n,)
        counts = np.bincount(t, minlength=5)
        assert counts[0] == 0
        assert chisquare(counts[1:], np.array(expected) * n).pvalue > 1e-3


class FixedDenoiser:
    """A denoiser with one timestep's answer, whatever it is shown; it notes what that was."""

    def __init__(self, raw, scores=None):
        self.raw = raw
        self.scores, self.n_items, self.head = scores, N_ITEMS, EstimateHead(N_ITEMS)
        if scores is not None:  # its table leaves them as they are
            self.head = RankingHead(N_ITEMS, N_ITEMS)
            with torch.no_grad():
                self.head.write.weight.copy_(torch.eye(N_ITEMS))
                self.head.write.bias.zero_()
        self.space = ItemSpace(N_ITEMS)

    def condition(self, history, known, generator):
        self.known = known
        return history

    def __call__(self, x_t, t, alpha, u, generator):
        self.x_t, self.t, self.alpha, self.u = x_t, t, alpha, u
        return self.raw, self.scores


ONE_STEP = [1.0, 0.3]  # t is always 1, so the noise level is known


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("ranking", [False, True])
def test_batch_loss_is_the_squared_error_and_that_of_the_ranking_head(prediction_type, ranking):
    rows, row_weight = marked_rows(5, N_ITEMS, 6), [1.0, 2.0, 0.5, 0.0, 1.5]
    cutter = training_rows(to_csr(rows), cond_drop_prob=0.4)
    condition, known, target, _ = cutter.cut(torch.arange(5))[:4]
    raw, scores = torch.randn(2, 5, N_ITEMS, generator=torch.Generator().manual_seed(1))
    denoiser = FixedDenoiser(raw, scores if ranking else None)
    loss = batch_loss(
        denoiser,
        Diffusion(ONE_STEP, prediction_type),
        Batch(condition, known, target, torch.tensor(row_weight)),
        masked=True,
        generator=torch.Generator().manual_seed(2),
    )
    assert denoiser.u is condition and denoiser.known is known
    assert_allclose(denoiser.alpha, math.sqrt(0.3) if prediction_type == "x0" else 1, rtol=1e-6)
    # what was shown is x_0 with noise, from which the noise follows
    x_0 = np.zeros((5, N_ITEMS))
    for row, goal in enumerate(to_dicts(target)):
        x_0[row, list(goal)] = list(goal.values())
    noise = (denoiser.x_t.numpy() - math.sqrt(0.3) * x_0) / math.sqrt(0.7)
    assert abs(noise.mean()) < 0.5 and 0.7 < noise.std() < 1.3
    goal = {
        "x0": x_0,
        "epsilon": noise,
        "v": math.sqrt(0.3) * noise - math.sqrt(0.7) * x_0,
    }[prediction_type]
    expected = (((raw.numpy() - goal) ** 2).mean(1) * row_weight).mean()
    if ranking:
        # the ranking term counts by the share of noise, 1 − ᾱ
        expected += slow_loss(
            scores.tolist(),
            to_dicts(condition),
            to_dicts(target),
            True,
            [0.7 * w for w in row_weight],
        )
    assert_allclose(float(loss.detach()), expected, rtol=1e-4)


@pytest.mark.parametrize(("ranking", "at_last"), [(False, 0.25), (True, 0.625)])
def test_the_ranking_head_learns_where_sampling_starts(ranking, at_last):
    n = 4_000
    cutter = training_rows(to_csr(marked_rows(1, N_ITEMS, 6)))
    denoiser = FixedDenoiser(torch.zeros(n, N_ITEMS), torch.zeros(n, N_ITEMS) if ranking else None)
    batch = cutter.cut(torch.zeros(n, dtype=torch.int64))
    diffusion = Diffusion(linear_schedule(4, 0.1, 0.2), "x0")
    batch_loss(denoiser, diffusion, batch, masked=True, generator=cutter.generator)
    share = float((denoiser.t == 4).float().mean())
    assert abs(share - at_last) < 4 * math.sqrt(at_last * (1 - at_last) / n)
