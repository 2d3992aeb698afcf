"""Running average of weights."""

from contextlib import contextmanager

import torch

from .shards import N_SHARDS, in_turn


class EMA:
    """Running average of a module's parameters (its buffers, which do not train, are shared)."""

    def __init__(self, module, decay):
        self.module, self.decay, self.n_updates = module, decay, 0
        self.average = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, run=in_turn):
        """Once after each optimizer step; the first steps are forgotten faster.

        `run` is from `shard_threads`.
        """
        self.n_updates += 1
        decay = min(self.decay, self.n_updates / (self.n_updates + 9))
        pairs = [
            tuple(zip(*(tensor.tensor_split(N_SHARDS) for tensor in pair), strict=True))
            for pair in zip(self.average, self._trained(), strict=True)
        ]

        def part(i):
            averages, weights = map(list, zip(*(pair[i] for pair in pairs), strict=True))
            with torch.no_grad():
                torch._foreach_lerp_(averages, weights, 1 - decay)

        run(part, N_SHARDS)

    def _trained(self):
        return [parameter.detach() for parameter in self.module.parameters()]

    @contextmanager
    def applied(self):
        """The module with its averaged weights, in evaluation mode."""
        parameters = list(self.module.parameters())
        trained = [p.data for p in parameters]
        for parameter, average in zip(parameters, self.average, strict=True):
            parameter.data = average
        self.module.eval()
        try:
            yield self.module
        finally:
            for parameter, data in zip(parameters, trained, strict=True):
                parameter.data = data

    @property
    def finite(self):
        """Whether all averaged weights are."""
        return all(bool(torch.isfinite(average.sum())) for average in self.average)

    def snapshot(self):
        """A copy of the averaged weights."""
        return [average.clone() for average in self.average]

    @torch.no_grad()
    def load(self, weights=None):
        """Give the module these weights, or its present average, for good."""
        for parameter, value in zip(self.module.parameters(), weights or self.average, strict=True):
            parameter.copy_(value)
        self.module.eval()
