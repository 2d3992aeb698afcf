"""The reverse process of a batch of rows: the denoiser, guidance and the sampler together."""

from collections import deque
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from .._diffusion.guidance import guide
from .._diffusion.multistep import multistep_sample, plan_leaps
from .._diffusion.samplers import sample
from .._diffusion.schedules import sampling_timesteps
from .._network.conditions import Known
from .._network.sparse_rows import SparseRows, UserRows, to_device
from .._utils.condition_names import WANTED
from .noise import row_normal


class SamplingTables:
    """What sampling computes from the weights of a model, once.

    Parameters
    ----------
    denoiser : Denoiser
    diffusion : Diffusion
    space : chain space
    scores : HeadScores or EstimateScores
    """

    def __init__(self, denoiser, diffusion, space, scores):
        self.space, self.scores = space, scores
        timesteps = torch.arange(diffusion.n_timesteps + 1, device=denoiser.device)
        self.time = denoiser.time(timesteps)
        self.input_scale = diffusion.input_scale(timesteps)
        self._planned: tuple[Any, Any] = (None, None)  # timesteps and eta, leaps

    def leaps(self, timesteps, diffusion, eta):
        """The leaps of `multistep_sample` (None: all steps are taken); the last plan is kept."""
        wanted, planned = (*map(int, timesteps), eta), self._planned  # read once: threads
        if planned[0] != wanted:
            planned = self._planned = wanted, plan_leaps(timesteps, diffusion, eta)
        return planned[1]


def copied(estimate):
    """An estimate in memory of its own."""
    return tuple(part.clone() for part in estimate)


def mean_of_draws(estimates):
    """The mean of estimates, each a tuple of tensors, summed up as they come."""
    total, n = None, 0
    for n, estimate in enumerate(estimates, start=1):  # noqa: B007
        total = estimate if total is None else added(total, estimate)
    assert total is not None
    return tuple(part / n for part in total)


def added(total, estimate):
    """The sum of two estimates."""
    return tuple(a + b for a, b in zip(total, estimate, strict=True))


def mean_of_several(draws):
    """Means of estimates of which every draw has the same number."""
    totals: list[Any] = []
    n = 0
    for n, estimates in enumerate(draws, start=1):  # noqa: B007
        found = map(copied, estimates)
        totals = list(found) if n == 1 else list(map(added, totals, found))
    return [tuple(part / n for part in total) for total in totals]


class ReverseProcess:
    """The steps of sampling for rows that all need the same branches of the denoiser.

    Branch j of the denoiser knows the first j of the model's conditions.

    Parameters
    ----------
    model : FittedModel
    rows : UserRows
        Histories as weights or ages, from `HistoryReader.read`.
    keys : ndarray of uint64, shape (n_rows,), or None
        From which each row's random numbers come; not needed without `temperature`.
    scale : ndarray of float64, shape (n_rows, n_conditions)
        Guidance scales.
    settings : SamplingSettings
    branches : list of int
        Those that these scales need, ascending, from `needed_branches`.
    """

    reuses_memory = True  # new memory costs more than what is computed in it

    takes_all_steps = False

    def __init__(self, model, rows, keys, scale, settings, branches):
        device = model.denoiser.device
        self.n_rows = rows.shape[0]
        history = model.reader.rows(rows.history, device)
        self.n_padded = len(history.offsets) - 1
        besides = {
            name: SparseRows.from_csr(getattr(rows, name), device, self.n_padded)
            for name in model.denoiser.besides
        }
        if rows.wanted is not None:
            besides[WANTED] = SparseRows.from_csr(rows.wanted, device, self.n_padded)
        self.keys = None
        if keys is not None:
            self.keys = self._padded(keys.view(np.int64), np.int64, device)
        scales = self._padded(scale, np.float32, device)
        self._effective = partial(effective_scales, rows=rows, conditions=model.conditions)
        self._begin(model, Known(history, **besides), scales, settings, branches)
        if branches == [0] and not settings.temperature:  # drawn rows begin from noise
            self.unknown = known_of_nobody(self.known)

    def _begin(self, model, known, scale, settings, branches):
        """Prepare the steps of rows that are on the device."""
        self.denoiser, self.diffusion, self.settings = model.denoiser, model.diffusion, settings
        self.device, self.known, self.scale = model.denoiser.device, known, scale
        self.unknown = None  # rows that get what is popular, bool (n_padded, 1)
        self.half_life, self.tables = model.half_life, model.tables(settings.reference)
        self.space = self.tables.space
        start = settings.start_timestep
        self.start = self.denoiser.n_timesteps if start is None else start
        self.hidden = self._guided(scale, branches)

    @cached_property
    def timesteps(self):
        """Those at which the denoiser may be called, then 0."""
        return sampling_timesteps(self.start, self.settings.n_sampling_steps)

    @cached_property
    def leaps(self):
        """The plan of a multistep sampler; None where every step is taken."""
        settings = self.settings
        without_noise = settings.temperature == 0 or settings.eta == 0  # but at the start
        if not without_noise or settings.reference or self.takes_all_steps:
            return None
        return self.tables.leaps(self.timesteps, self.diffusion, settings.eta)

    @cached_property
    def denoise(self):
        """``denoise(x_t, t) -> (x̂_0, h)``, guided; what it returns lives until the next call."""
        return self._denoise(self.hidden)

    def _padded(self, values, dtype, device):
        padded = np.zeros((self.n_padded, *values.shape[1:]), dtype)
        padded[: self.n_rows] = values
        return to_device(padded, device)

    def _guided(self, scale, branches):
        """``hidden(x_t, t) -> (h,)`` of one branch, or of several, guided at scales of the rows."""
        chain = self.denoiser.chain(self.known)
        hidden = self._hidden(torch.stack([chain[j] for j in branches]))
        if len(branches) > 1:
            # the scales of two conditions that a row has no branch between are equal
            scale = self.denoiser.network_scales(scale)
            scales = [scale[:, j - 1, None] for j in branches[1:]]
            memory = self._memory(self.n_padded, self.denoiser.hidden_dims[-1])
            hidden = guide(hidden, scales, out=memory)
        return hidden

    def _denoise(self, hidden):
        raw = self._memory(self.n_padded, self.space.dim)
        # what a process keeps must not know the process: memory would wait for the collector
        diffusion, space = self.diffusion, self.space

        def denoise(x_t, t):
            # x̂_0 is affine in h: to guide h is to guide both
            (h,) = hidden(x_t, t[:1])
            return diffusion.to_x0(x_t, space.write(h, out=raw), t[:1]), h

        return denoise

    def _hidden(self, conditions):
        """``hidden(x_t, t) -> (h,)``, the rows of one branch (n, H) below those of another."""
        time, input_scale = self.tables.time, self.tables.input_scale
        denoiser, space = self.denoiser, self.space
        read, sums = self._memory(*conditions.shape[1:]), self._memory(*conditions.shape)

        def hidden(x_t, t):
            if x_t is None:  # the mean of the noise, which reads as nothing
                of_state = time[t]
            else:
                of_state = space.read(x_t, out=read)
                of_state = torch.addcmul(time[t], of_state, input_scale[t], out=read)
            both = torch.add(conditions, of_state, out=sums)
            return (denoiser.hidden(both.flatten(0, 1)),)

        return hidden

    def _memory(self, *shape):
        """What results are written to, call after call; None where each has memory of its own."""
        if not self.reuses_memory:
            return None
        return torch.empty(shape, dtype=torch.float32, device=self.device)

    def _normal(self, dim, draw, step):
        """Standard normal numbers (n, dim) of each row for a step of a draw."""
        return row_normal(self.keys, dim, draw * (self.settings.n_sampling_steps + 1) + step + 1)

    def _noise(self, draw):
        """``noise(step)`` of one draw, in the space of the steps; None where there is none."""
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
            return self.scale.new_zeros(self.n_padded, self.space.dim)
        x_0 = self.space.encode(self.known.history.weighted(self.half_life))
        t = torch.full((1,), self.start, device=self.device)
        z = torch.zeros_like(x_0) if noise is None else noise(-1)
        return self.diffusion.add_noise(x_0, z, t)

    def estimates(self, draw=0):
        """(x̂_0, h) at every step of one draw."""
        yield from map(copied, self._steps(draw, self.denoise))

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
        estimate, trusted = multistep_sample(self.denoise, first, self.start, self.leaps)
        estimate = copied(estimate)
        if not trusted.all():
            pairs = zip(estimate, self._stepped_estimate(draw), strict=True)
            estimate = tuple(torch.where(trusted[:, None], a, b) for a, b in pairs)
        return estimate

    def _stepped_estimate(self, draw):
        return copied(deque(self._steps(draw, self.denoise), maxlen=1)[0])

    def last_estimate(self):
        """(x̂_0, h) after the last step, averaged over draws.

        Where one step from the mean of the noise is all, and scores are read off h, x̂_0 is None.
        """
        steps, start, _, temperature, *_ = self.settings
        if (steps, start, temperature) == (1, None, 0) and self.tables.scores.read_hidden:
            t = torch.full((1,), self.start, device=self.device)
            return None, *self.hidden(None, t)
        return mean_of_draws(map(self.drawn_estimate, range(self.settings.n_draws)))

    def last_branches(self):
        """Estimates of every branch in the last step, averaged over draws; the unconditional first.

        All start from where the guided steps have come to: guided, they are `last_estimate`, up to
        rounding.
        """
        return mean_of_several(self._branches())

    def _branches(self):
        """Estimates of every branch in the last step of every draw."""
        branches = [self._denoise(self._guided(*self._branch(j))) for j in range(self._n_branches)]
        for draw in range(self.settings.n_draws):
            states: deque[tuple[Any, Any]] = deque(maxlen=1)

            def denoise(x_t, t, states=states):
                states.append((x_t, t))
                return self.denoise(x_t, t)

            deque(self._steps(draw, denoise), maxlen=0)
            yield [copied(branch(*states[0])) for branch in branches]

    @property
    def _n_branches(self):
        return self.scale.shape[1] + 1

    def _branch(self, j):
        """(scales, branches that they need) that give what is known by the first j conditions.

        Of all rows the same must be known.
        """
        scale = np.repeat(np.arange(self._n_branches - 1)[None] < j, self.n_rows, 0)
        scale = self._effective(scale.astype(np.float32))
        ((branches, _),) = needed_branches(self.denoiser.network_scales(scale))
        return self._padded(scale, np.float32, self.device), branches

    def tiles(self, estimate, step=-1, *, branch=None, draw=0, screen=False):
        """`Tiles` of item scores of the estimate after a step, padded rows too.

        `branch` is that of the estimate, None where it is guided; `draw` says which noise the space
        of the steps has left out.
        """
        unseen: Callable[[int], torch.Tensor] | None = None
        if self.settings.temperature:
            spread, last = self._spread(step), self.settings.n_sampling_steps - 1
            # no step draws these numbers
            unseen = lambda dim: spread * self._normal(dim, draw, last)  # noqa: E731

        scale = self.scale if branch is None else self._branch(branch)[0]
        return self.tables.scores.tiles(
            estimate, self.known, scale, unseen, unknown=self.unknown, screen=screen
        )

    def _spread(self, step):
        """Standard deviation of an item's noise in x̂_0 after a step."""
        settings = self.settings
        from_noise = settings.start_timestep is None
        spread = self.diffusion.noise_spread(self.timesteps, settings.eta, from_noise=from_noise)
        return settings.temperature * spread[step] / settings.n_draws**0.5


def known_of_nobody(known):
    """The rows of whom nothing is known, bool (n, 1); what is wanted says nothing of them."""
    filled = known.history.filled
    for rows in (known.user_features, known.disliked):
        filled = filled if rows is None else filled | rows.filled
    return ~filled[:, None]


def effective_scales(scale, rows, conditions):
    """Guidance scales (n_rows, n_conditions) where what is not known of a row adds no link.

    A condition that is not known has the branch of the one before it in the chain: the scale of the
    one after it, or 0 at the end, changes nothing and needs one branch less. What is wanted has no
    branch.
    """
    scale = np.array(scale if np.ndim(scale) > 1 else np.repeat(scale[:, None], len(conditions), 1))
    after: Any = 0.0
    for j in reversed(range(len(conditions))):
        scale[:, j] = np.where(rows.known(conditions[j]), scale[:, j], after)
        after = 0.0 if conditions[j] == WANTED else scale[:, j]
    return scale


def needed_branches(scale):
    """(branches, rows) of the rows that need the same branches at scales of the network.

    Branch j counts by the difference of the scales of conditions j and j + 1.
    """
    steps = np.pad(scale, ((0, 0), (1, 1)))
    steps[:, 0] = 1.0
    n_branches = steps.shape[1] - 1
    kinds = (steps[:, :-1] != steps[:, 1:]) @ (1 << np.arange(n_branches))
    for kind in range(1, 1 << n_branches):
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            yield [j for j in range(n_branches) if kind >> j & 1], rows


def reverse_processes(model, rows, keys, scale, settings, *, by_known=False):
    """(which rows, process) of the rows of each kind of scale.

    With one condition these are scales of 0, of 1, and others. Rows of one kind go together, so
    that the shapes a row meets do not depend on other rows; `by_known` those of whom the same is
    known.
    """
    rows = UserRows.of(rows)
    scale = effective_scales(scale, rows, model.conditions)
    kinds = list(needed_branches(model.denoiser.network_scales(scale)))
    if by_known:
        known = np.stack([rows.known(name) for name in model.conditions], axis=1)
        pattern = known @ (1 << np.arange(known.shape[1]))
        kinds = [
            (branches, some[pattern[some] == value])
            for branches, some in kinds
            for value in np.unique(pattern[some])
        ]
    for branches, some in kinds:
        own = rows if len(some) == len(scale) else rows[some]  # a slice of a CSR costs its time
        own_keys = None if keys is None else keys[some]
        yield some, ReverseProcess(model, own, own_keys, scale[some], settings, branches)
