"""AdamW without what torch's optimizer objects bring along."""

import math

import torch
from torch.optim.adamw import adamw

from .shards import N_SHARDS, in_turn

_WARM_UP = 0.1


def one_cycle(share):
    """Factor of the learning rate after a share of all steps.

    It rises to 1 over the first tenth, then falls as half a cosine to 0.
    """
    if share < _WARM_UP:
        return share / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))


class AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), a thin loop around torch's own step.

    ``torch.optim.AdamW`` imports torch's compiler when it is made: three seconds in every process
    that fits a model, for nothing here.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
        All on one device.
    learning_rate, weight_decay : float
    """

    def __init__(self, parameters, *, learning_rate, weight_decay=0.0):
        self.parameters = list(parameters)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.dense = {}  # dense gradients, zero between steps: cheaper to clear than to make
        device = self.parameters[0].device
        self.steps = [torch.zeros((), dtype=torch.float32, device=device) for _ in self.parameters]
        self.fused = device.type in ("cpu", "cuda")  # a third of the time

    @torch.no_grad()
    def step(self, gradients, run=in_turn):
        """One step.

        Parameters
        ----------
        gradients : list of (float, sequence of (tensor or None))
            Of each shard of the rows: its share, and its gradient of every parameter, which may be
            overwritten. Sparse ones are taken as the dense ones they stand for. Parameters without
            one stay.
        run : callable
            From `shard_threads`; every part of the parameters is a work of its own.
        """
        of_parameter = zip(*(own for _, own in gradients), strict=True)
        shares = [share for share, _ in gradients]
        given = []
        for i, parts in enumerate(of_parameter):
            found = [pair for pair in zip(shares, parts, strict=True) if pair[1] is not None]
            if found:
                given.append((i, self._split(self.parameters[i], found)))

        def update(part):
            self._step(
                [self.parameters[i].detach().tensor_split(N_SHARDS)[part] for i, _ in given],
                [_mean([(share, own[part]) for share, own in pairs]) for _, pairs in given],
                [self.first[i].tensor_split(N_SHARDS)[part] for i, _ in given],
                [self.second[i].tensor_split(N_SHARDS)[part] for i, _ in given],
                [self.steps[i].clone() for i, _ in given],
            )

        if given:
            run(update, N_SHARDS)
            torch._foreach_add_([self.steps[i] for i, _ in given], 1)
        self._clear(gradients)

    def _step(self, parameters, gradients, first, second, steps):
        adamw(
            parameters,
            gradients,
            first,
            second,
            [],
            steps,
            fused=self.fused,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def _split(self, parameter, found):
        """(share, parts) of every gradient of a parameter; sparse ones are summed up."""
        dense, split = None, []
        for share, gradient in found:
            if gradient.is_sparse:
                dense = self.dense.setdefault(parameter, None)
                if dense is None:
                    dense = self.dense[parameter] = torch.zeros_like(parameter)
                dense.index_add_(0, gradient._indices()[0], gradient._values(), alpha=share)
            else:
                split.append((share, gradient.tensor_split(N_SHARDS)))
        if dense is not None:
            split.append((1.0, dense.tensor_split(N_SHARDS)))
        return split

    def _clear(self, gradients):
        for _, own in gradients:
            for parameter, gradient in zip(self.parameters, own, strict=True):
                if gradient is not None and gradient.is_sparse:
                    self.dense[parameter].index_fill_(0, gradient._indices()[0], 0.0)


def _mean(weighted):
    """The sum of (share, tensor) pairs, in the place of the first."""
    (share, total), *others = weighted
    if share != 1.0:
        total = total.mul_(share)
    for share, other in others:
        total.add_(other, alpha=share)
    return total
