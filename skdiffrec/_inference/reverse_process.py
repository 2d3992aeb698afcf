"""The reverse process of a block of rows: the denoiser, the guide and the sampler together."""

import itertools
from collections import deque
from typing import NamedTuple

import numpy as np
import torch

from .._diffusion.multistep import leaping_walk, plan_leaps
from .._diffusion.samplers import guide, sample
from .._diffusion.schedules import sampling_timesteps
from .._network.spaces import Bags, to_device
from .._utils.rows import ROW_MULTIPLE, pad_rows
from ..preprocessing import RECENCY_FLOOR
from .chain_spaces import chain_space
from .noise import row_normal
from .tiles import HeadReadout, SpaceReadout


class SamplingSettings(NamedTuple):
    """What may change after training."""

    n_sampling_steps: int
    start_timestep: int | None
    eta: float
    temperature: float
    n_samples: int
    sampler: str = "hidden_space"


class Prepared:
    """What sampling makes of the weights of a denoiser and keeps."""

    def __init__(self, denoiser, diffusion, sampler):
        self.space = chain_space(denoiser, sampler)
        ranks = denoiser.write_items is not None
        self.readout = HeadReadout(denoiser) if ranks else SpaceReadout(self.space)
        timesteps = torch.arange(diffusion.n_timesteps + 1, device=denoiser.null.device)
        self.time = denoiser.time(timesteps)
        self.input_scale = diffusion.input_scale(timesteps)
        self.planned = None, None  # a walk, its leaps

    def leaps_of(self, timesteps, diffusion, eta):
        """The leaps of a walk (None: all steps are taken); those of the last walk are kept."""
        walk, planned = (*map(int, timesteps), eta), self.planned
        if planned[0] != walk:
            planned = self.planned = walk, plan_leaps(timesteps, diffusion, eta)
        return planned[1]


def prepared(denoiser, diffusion, sampler):
    """`Prepared` of a denoiser: made once, and anew where its weights have changed."""
    weights = itertools.chain(denoiser.parameters(), denoiser.buffers())
    version = (
        sampler,
        denoiser.path_scale,
        (diffusion.prediction_type, diffusion.n_timesteps, float(diffusion.alpha_bar.sum())),
        *((w._version, w.data_ptr()) for w in weights),
    )
    found = denoiser.prepared  # read once: other threads may put another there
    if found is None or found[0] != version:
        found = denoiser.prepared = version, Prepared(denoiser, diffusion, sampler)
    return found[1]


def kept(estimate):
    """An estimate in memory of its own."""
    return tuple(part.clone() for part in estimate)


def mean_of_draws(estimates):
    """The mean of estimates, each a tuple of tensors."""
    return tuple(sum(parts) / len(estimates) for parts in zip(*estimates, strict=True))


class Chain:
    """The reverse process of rows that all need the same branches of the denoiser.

    Parameters
    ----------
    denoiser : Denoiser
    diffusion : Diffusion
    X : csr_array of float32, shape (n_rows, n_items)
        Weighted histories.
    keys : ndarray of uint64, shape (n_rows,), or None
        From which each row's random numbers come; not needed without `temperature`.
    scale : ndarray of float64, shape (n_rows,)
        Guidance scales: all 0, all 1, or none of either.
    settings : SamplingSettings
    """

    reuses_memory = True  # new memory costs more than what is computed in it

    def __init__(self, denoiser, diffusion, X, keys, scale, settings):
        self.denoiser, self.diffusion, self.settings = denoiser, diffusion, settings
        self.device = denoiser.null.device
        self.n_rows = X.shape[0]
        self.n_padded = -(-self.n_rows // ROW_MULTIPLE) * ROW_MULTIPLE
        self.bags = Bags.from_csr(pad_rows(X, ROW_MULTIPLE), self.device)
        self.keys = None if keys is None else self._padded(keys.view(np.int64), np.int64)
        self.scale = self._padded(scale, np.float32)[:, None]
        self._begin(prepared(denoiser, diffusion, settings.sampler), float(scale[0]))

    def _begin(self, made, scale):
        """Set out with what was prepared; `scale` is 0 or 1 where all rows have that, or None."""
        self.prepared, self.space = made, made.space
        start = self.settings.start_timestep
        self.start = self.diffusion.n_timesteps if start is None else start
        self.timesteps = sampling_timesteps(self.start, self.settings.n_sampling_steps)
        self.denoise = self._guided(scale)
        self.leaps = None
        settings = self.settings
        without_noise = settings.temperature == 0 or settings.eta == 0  # but at the start
        if without_noise and settings.sampler != "item_space":  # the reference takes all steps
            self.leaps = made.leaps_of(self.timesteps, self.diffusion, settings.eta)

    def _padded(self, values, dtype):
        padded = np.zeros(self.n_padded, dtype)
        padded[: self.n_rows] = values
        return to_device(padded, self.device)

    def _guided(self, scale):
        """The denoiser as ``denoise(x_t, t) -> (x̂_0, h)``, guided where the scale asks for it.

        What it returns lives until the next call.
        """
        conditions = []
        if scale != 0:
            conditions.append(self.denoiser.condition(self.bags))
        if scale != 1:
            conditions.append(self.denoiser.unconditional(self.n_padded))
        hidden = self._hidden(torch.stack(conditions))
        if len(conditions) > 1:
            hidden = guide(
                hidden, self.scale, out=self._memory(self.n_padded, self.denoiser.hidden_dims[-1])
            )
        raw = self._memory(self.n_padded, self.space.dim)

        def denoise(x_t, t):
            # x̂_0 is affine in h: to guide h is to guide both
            (h,) = hidden(x_t, t[:1])
            return self.diffusion.to_x0(x_t, self.space.write(h, out=raw), t[:1]), h

        return denoise

    def _hidden(self, conditions):
        """``hidden(x_t, t) -> (h,)``, the rows of one condition (n, H) below those of another."""
        time, input_scale = self.prepared.time, self.prepared.input_scale
        read, sums = self._memory(*conditions.shape[1:]), self._memory(*conditions.shape)

        def hidden(x_t, t):
            of_state = self.space.read(x_t, out=read)
            of_state = torch.addcmul(time[t], of_state, input_scale[t], out=read)
            both = torch.add(conditions, of_state, out=sums)
            return (self.denoiser.hidden(both.flatten(0, 1)),)

        return hidden

    def _memory(self, *shape):
        """What results are written to, call after call; None where each has memory of its own."""
        return torch.empty(shape, device=self.device) if self.reuses_memory else None

    def _normal(self, dim, draw, step):
        """Standard normal numbers (n, dim) of each row for a step of a draw."""
        return row_normal(self.keys, dim, draw * (self.settings.n_sampling_steps + 1) + step + 1)

    def _noise(self, draw):
        """``noise(step)`` of one draw, in the chain's space; None where there is none."""
        temperature = self.settings.temperature
        if not temperature:
            return None
        dim = self.space.noise_dim
        return lambda step: temperature * self.space.noise(self._normal(dim, draw, step))

    def _first(self, noise):
        """x at the first timestep: noise alone, or the history partly noised (DiffRec's T′)."""
        if self.settings.start_timestep is None:
            if noise is not None:
                return noise(-1)
            return torch.zeros(self.n_padded, self.space.dim, device=self.device)
        half_life = self.denoiser.path_half_life
        x_0 = self.space.encode(self.bags.aged(half_life, RECENCY_FLOOR))  # ages are no weights
        t = torch.full((1,), self.start, device=self.device)
        z = torch.zeros_like(x_0) if noise is None else noise(-1)
        return self.diffusion.add_noise(x_0, z, t)

    def estimates(self, draw=0):
        """(x̂_0, h) at every step of one draw."""
        yield from map(kept, self._steps(draw, self.denoise))

    def _steps(self, draw, denoise):
        noise = self._noise(draw)
        return sample(
            denoise,
            self._first(noise),
            self.timesteps,
            self.diffusion,
            eta=self.settings.eta,
            noise=noise,
        )

    def drawn_estimate(self, draw):
        """(x̂_0, h) after the last step of one draw."""
        if self.leaps is None:
            return self._stepped_estimate(draw)
        first = self._first(self._noise(draw))
        estimate, trusted = leaping_walk(self.denoise, first, self.start, self.leaps)
        estimate = kept(estimate)
        if not trusted.all():
            pairs = zip(estimate, self._stepped_estimate(draw), strict=True)
            estimate = tuple(torch.where(trusted[:, None], a, b) for a, b in pairs)
        return estimate

    def _stepped_estimate(self, draw):
        return kept(deque(self._steps(draw, self.denoise), maxlen=1)[0])

    def last_estimate(self):
        """(x̂_0, h) after the last step, averaged over draws."""
        return mean_of_draws([*map(self.drawn_estimate, range(self.settings.n_samples))])

    def last_branches(self):
        """The conditional and the unconditional estimate of the last step, averaged over draws.

        Both start from where the guided walk has come to, step by step: guided, they are
        `last_estimate`, up to rounding.
        """
        return [mean_of_draws(draws) for draws in zip(*self._branches(), strict=True)]

    def _branches(self):
        """[conditional, unconditional] estimates of the last step of every draw."""
        branches = [self._guided(scale) for scale in (1.0, 0.0)]
        for draw in range(self.settings.n_samples):
            states = deque(maxlen=1)

            def denoise(x_t, t, states=states):
                states.append((x_t, t))
                return self.denoise(x_t, t)

            deque(self._steps(draw, denoise), maxlen=0)
            yield [kept(branch(*states[0])) for branch in branches]

    def tiles(self, estimate, stage=-1, *, scale=None, draw=0, low_precision=False):
        """`Tiles` of item scores of the estimate after a step, padded rows too.

        `scale` (a float, None for the rows' own) is that of what does not pass through h; `draw`
        says which noise the chain's space has left out.
        """
        unseen = None
        if self.settings.temperature:
            spread, step = self._spread(stage), self.settings.n_sampling_steps - 1

            def unseen(dim):  # no step draws these numbers
                return spread * self._normal(dim, draw, step)

        scale = self.scale if scale is None else torch.full_like(self.scale, scale)
        return self.prepared.readout.tiles(
            estimate, self.bags, scale, unseen, low_precision=low_precision
        )

    def _spread(self, stage):
        """Deviation of an item's noise in x̂_0 after a step."""
        settings = self.settings
        from_noise = settings.start_timestep is None
        spread = self.diffusion.noise_spread(self.timesteps, settings.eta, from_noise=from_noise)
        return settings.temperature * spread[stage] / settings.n_samples**0.5
