"""Guided scores of all items for a block of histories: the denoiser, the guide and the sampler."""

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
    scale = np.where(np.diff(X.indptr) > 0, scale, 0.0)
    scores = np.empty(X.shape, np.float32)
    # Rows of one kind go together, so that the shapes a row meets do not depend on its company.
    for kind in (scale == 0, scale == 1, (scale != 0) & (scale != 1)):
        rows = np.flatnonzero(kind)
        if len(rows):
            chain = _Chain(denoiser, diffusion, X[rows], keys[rows], scale[rows], settings)
            scores[rows] = chain.scores()[: len(rows)].cpu().numpy()
    return scores


class _Chain:
    """The reverse process of rows that all need the same branches of the denoiser."""

    def __init__(self, denoiser, diffusion, X, keys, scale, settings):
        self.denoiser, self.diffusion, self.settings = denoiser, diffusion, settings
        device = denoiser.null.device
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

    def scores(self):
        """Item scores (n_padded, n_items) of the last estimate, averaged over draws."""
        total = None
        for draw in range(self.settings.n_samples):
            *_, last = self.estimates(draw)
            total = (
                last if total is None else tuple(a + b for a, b in zip(total, last, strict=True))
            )
        x_0, h = (estimate / self.settings.n_samples for estimate in total)
        if self.denoiser.write_items is None:
            return self.denoiser.space.decode(x_0)
        return self.denoiser.rank(h, self.bags, self.scale)


@torch.no_grad()
def path_scores(denoiser, X):
    """D·c of weighted histories, (n_rows, n_items), without its scale."""
    bags = Bags.from_csr(X, denoiser.null.device)
    return denoiser.item_path(bags).cpu().numpy()
