"""Guided scores of all items for a block of histories: the denoiser, the guide and the sampler."""

from collections import deque
from typing import NamedTuple

import numpy as np
import torch

from ._random import row_normal
from ._rows import ROW_MULTIPLE, pad_rows
from ._sampling import guide, sample
from ._schedules import sampling_timesteps
from ._spaces import Bags


class SamplingSettings(NamedTuple):
    """What may change after training."""

    n_sampling_steps: int
    start_timestep: int | None
    eta: float
    temperature: float
    n_samples: int


@torch.no_grad()
def guided_scores(denoiser, diffusion, X, keys, scale, settings):
    """Guided estimates for histories with weights `X`, n_samples draws averaged.

    Parameters
    ----------
    denoiser : Denoiser
    diffusion : Diffusion
    X : csr_array of float32, shape (n_rows, n_items)
        Weighted histories.
    keys : ndarray of uint64, shape (n_rows,)
        From which each row's random numbers come.
    scale : ndarray of float64, shape (n_rows,)
        Guidance scale of each row; empty rows are unconditional whatever it says.
    settings : SamplingSettings

    Returns
    -------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    scores = np.empty(X.shape, np.float32)
    for rows, chain in _chains(denoiser, diffusion, X, keys, scale, settings):
        scores[rows] = chain.scores(chain.last_estimate())
    return scores


@torch.no_grad()
def staged_scores(denoiser, diffusion, X, keys, scale, settings):
    """`guided_scores` after each sampling step, from the first to the last.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    stages = [
        (rows, chain, zip(*map(chain.estimates, range(settings.n_samples)), strict=True))
        for rows, chain in _chains(denoiser, diffusion, X, keys, scale, settings)
    ]
    for _ in range(settings.n_sampling_steps):
        scores = np.empty(X.shape, np.float32)
        for rows, chain, draws in stages:
            scores[rows] = chain.scores(_mean_of_draws(next(draws)))
        yield scores


def swept_scores(denoiser, diffusion, X, keys, scales, settings):
    """`guided_scores` at each of several scales, the same for all rows.

    After one step the estimate is affine in the scale: the two branches are computed once, and
    each scale costs a sum. Where a later step starts depends on the scale, so that with more steps
    each scale has a chain of its own.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """

    def at(scale):
        scale = np.full(X.shape[0], float(scale))
        return guided_scores(denoiser, diffusion, X, keys, scale, settings)

    if settings.n_sampling_steps > 1:
        yield from map(at, scales)
        return
    unconditional, conditional = at(0), at(1)
    lift = conditional - unconditional
    for scale in scales:
        if scale == 1:
            yield conditional.copy()
        else:
            yield unconditional + np.float32(scale) * lift


def _chains(denoiser, diffusion, X, keys, scale, settings):
    """(rows, chain) of the rows of each kind; empty rows are unconditional."""
    scale = np.where(np.diff(X.indptr) > 0, scale, 0.0)
    # Rows of one kind go together, so that the shapes a row meets do not depend on its company.
    for kind in (scale == 0, scale == 1, (scale != 0) & (scale != 1)):
        rows = np.flatnonzero(kind)
        if len(rows):
            yield rows, _Chain(denoiser, diffusion, X[rows], keys[rows], scale[rows], settings)


def _mean_of_draws(estimates):
    return tuple(sum(parts) / len(estimates) for parts in zip(*estimates, strict=True))


class _Chain:
    """The reverse process of rows that all need the same branches of the denoiser."""

    def __init__(self, denoiser, diffusion, X, keys, scale, settings):
        self.denoiser, self.diffusion, self.settings = denoiser, diffusion, settings
        device = denoiser.null.device
        self.n_rows = len(keys)
        n_padded = -(-len(keys) // ROW_MULTIPLE) * ROW_MULTIPLE
        self.bags = Bags.from_csr(pad_rows(X, ROW_MULTIPLE), device)
        self.keys = torch.zeros(n_padded, dtype=torch.int64, device=device)
        self.keys[: len(keys)] = torch.from_numpy(keys.view(np.int64)).to(device)
        self.scale = torch.zeros(n_padded, 1, device=device)
        self.scale[: len(keys), 0] = torch.from_numpy(scale).to(device)
        self.denoise = self._guided(float(scale[0]))

    def _guided(self, scale):
        """The denoiser as ``denoise(x_t, t) -> (x̂_0, h)``, guided where the scale asks for it."""
        n = len(self.keys)
        if scale == 0:
            return self._branch(self.denoiser.unconditional(n))
        conditional = self.denoiser.condition(self.bags)
        if scale == 1:
            return self._branch(conditional)
        both = self._branch(torch.cat([conditional, self.denoiser.unconditional(n)]))
        return guide(lambda x_t, t: both(torch.cat([x_t, x_t]), torch.cat([t, t])), self.scale)

    def _branch(self, u):
        def denoise(x_t, t):
            raw, h = self.denoiser(x_t, t, self.diffusion.input_scale(t), u)
            return self.diffusion.to_x0(x_t, raw, t), h

        return denoise

    def _noise(self, draw):
        """``noise(step)`` of one draw: each row's own numbers, times the temperature."""
        temperature = self.settings.temperature
        n_steps, dim = self.settings.n_sampling_steps, self.denoiser.space.dim
        return lambda step: (
            temperature * row_normal(self.keys, dim, draw * (n_steps + 1) + step + 1)
        )

    def _start(self, noise):
        """x at the first timestep: noise alone, or the history partly noised (DiffRec's T′)."""
        start = self.settings.start_timestep
        z = noise(-1)
        if start is None:
            return z
        t = torch.full((len(z),), start, device=z.device)
        return self.diffusion.add_noise(self.denoiser.space.encode(self.bags), z, t)

    def estimates(self, draw=0):
        """(x̂_0, h) at every step of one draw."""
        settings = self.settings
        start = settings.start_timestep
        first = self.diffusion.n_timesteps if start is None else start
        noise = self._noise(draw)
        timesteps = sampling_timesteps(first, settings.n_sampling_steps)
        return sample(
            self.denoise,
            self._start(noise),
            timesteps,
            self.diffusion,
            eta=settings.eta,
            noise=noise if settings.temperature else None,
        )

    def last_estimate(self):
        """(x̂_0, h) after the last step, averaged over draws."""
        return _mean_of_draws(
            [deque(self.estimates(draw), maxlen=1)[0] for draw in range(self.settings.n_samples)]
        )

    def scores(self, estimate):
        """Item scores of an estimate, ndarray of float32 (n_rows, n_items)."""
        x_0, h = estimate
        if self.denoiser.write_items is None:
            scores = self.denoiser.space.decode(x_0)
        else:
            scores = self.denoiser.rank(h, self.bags, self.scale)
        return scores[: self.n_rows].cpu().numpy()


@torch.no_grad()
def path_scores(denoiser, X):
    """D·c of weighted histories, (n_rows, n_items), without its scale."""
    bags = Bags.from_csr(X, denoiser.null.device)
    return denoiser.path(bags).cpu().numpy()
