"""Classifier-free guidance: its two ends, its scale, and how it calls the denoiser."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skdiffrec._diffusion.guidance import guide

properties = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31 - 1)


def normal(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


class TwoBranches:
    """Estimates that do not depend on x_t: (n, 3) and (n, 2), unconditional rows first."""

    def __init__(self, seed, n=4):
        self.cond, self.uncond = (
            (normal([seed, branch, 0], n, 3), normal([seed, branch, 1], n, 2)) for branch in (0, 1)
        )
        self.calls = []

    def __call__(self, x_t, t):
        self.calls.append((x_t, t))
        return tuple(torch.cat(pair) for pair in zip(self.uncond, self.cond, strict=True))


@properties
@given(seeds)
def test_scale_1_is_conditional_and_0_is_unconditional(seed):
    both = TwoBranches(seed)
    for scale, expected in ((1.0, both.cond), (0.0, both.uncond)):
        estimates = guide(both, [torch.full((4, 1), scale)])(None, None)
        assert len(estimates) == 2
        for estimate, value in zip(estimates, expected, strict=True):
            assert_allclose(estimate, value, atol=1e-12)


@properties
@given(seeds, st.floats(-5, 5), st.floats(-5, 5), st.floats(-1, 2))
def test_guidance_is_affine_in_the_scale(seed, a, b, share):
    both = TwoBranches(seed)

    def at(scale):
        return guide(both, [torch.full((4, 1), scale, dtype=torch.float64)])(None, None)

    for mixed, first, second in zip(at(share * a + (1 - share) * b), at(a), at(b), strict=True):
        assert_allclose(mixed, share * first + (1 - share) * second, atol=1e-8)


@properties
@given(seeds, st.lists(st.floats(-5, 5), min_size=4, max_size=4))
def test_every_row_has_its_own_scale(seed, scales):
    both = TwoBranches(seed)
    estimates = guide(both, [torch.tensor(scales, dtype=torch.float64)[:, None]])(None, None)
    for estimate, cond, uncond in zip(estimates, both.cond, both.uncond, strict=True):
        for row, scale in enumerate(scales):
            assert_allclose(
                estimate[row], uncond[row] + scale * (cond[row] - uncond[row]), atol=1e-12
            )


def test_guidance_calls_the_denoiser_once_and_hands_on_its_arguments():
    both = TwoBranches(0)
    x_t, t = torch.zeros(4, 3), torch.ones(4)
    guide(both, [torch.ones(4, 1)])(x_t, t)
    assert len(both.calls) == 1
    assert both.calls[0][0] is x_t and both.calls[0][1] is t


@properties
@given(seeds, st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_several_conditions_are_guided_along_a_chain(seed, scales):
    branches = [normal([seed, j], 4, 3) for j in range(4)]
    columns = [torch.full((4, 1), scale, dtype=torch.float64) for scale in scales]
    expected = branches[0] + sum(
        scale * (above - below)
        for scale, below, above in zip(scales, branches, branches[1:], strict=False)
    )
    memory = torch.empty(4, 3, dtype=torch.float64)
    for out in (None, memory):
        (found,) = guide(lambda x_t, t: (torch.cat(branches),), columns, out)(None, None)
        assert_allclose(found, expected, atol=1e-12)
    assert found is memory
    (joint,) = guide(lambda x_t, t: (torch.cat(branches),), [torch.ones(4, 1)] * 3)(None, None)
    assert_allclose(joint, branches[-1], atol=1e-12)
