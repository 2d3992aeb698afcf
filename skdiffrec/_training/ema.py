"""Running average of weights."""

from contextlib import contextmanager

import torch

from .threads import in_parts, in_turn


class EMA:
    """Running average of a module's parameters (its buffers, which do not train, are shared)."""

    def __init__(self, module, decay):
        self.module, self.decay, self.n_updates = module, decay, 0
        self.average = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, run=in_turn):
        """Once after each optimizer step; the first steps are forgotten faster.

        `run` is from `training_threads`.
        """
        self.n_updates += 1
        decay = min(self.decay, self.n_updates / (self.n_updates + 9))
        averages, weights = in_parts(self.average), in_parts(self.module.parameters())

        @torch.no_grad()
        def part(i):
            for average, weight in zip(averages[i], weights[i], strict=True):
                average.lerp_(weight, 1 - decay)

        run(part, len(averages))

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
