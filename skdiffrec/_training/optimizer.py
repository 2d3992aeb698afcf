"""AdamW without what torch's optimizer objects bring along."""

import math

import torch
from torch.optim.adamw import adamw

from .threads import in_parts, in_turn, is_large

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
        All on one device. Sparse gradients are taken too, as the dense ones they stand for.
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

    def zero_grad(self):
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, run=in_turn):
        """One step, large parameters in parts; those without a gradient stay.

        `run` is from `training_threads`.
        """
        own = zip(self.parameters, self.first, self.second, self.steps, strict=True)
        given = [parts for parts in own if parts[0].grad is not None]
        if not given:
            return
        parameters, first, second, steps = map(list, zip(*given, strict=True))
        gradients = [parameter.grad for parameter in parameters]
        dense = [self._dense(parameter) for parameter in parameters]
        parts = list(zip(*map(in_parts, (parameters, dense, first, second)), strict=True))
        # each part counts its steps, the first one for good
        counts = [steps]
        for _ in parts[1:]:
            pairs = zip(steps, parameters, strict=True)
            counts.append([count.clone() for count, own in pairs if is_large(own)])
        run(lambda i: self._update(parts[i], counts[i]), len(parts))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient.is_sparse:
                self.dense[parameter].index_fill_(0, gradient._indices()[0], 0.0)

    def _update(self, tensors, steps):
        if not steps:
            return
        parameters, gradients, first, second = tensors
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

    def _dense(self, parameter):
        gradient = parameter.grad
        if not gradient.is_sparse:
            return gradient
        if parameter not in self.dense:
            self.dense[parameter] = torch.zeros_like(parameter)
        return self.dense[parameter].index_add_(0, gradient._indices()[0], gradient._values())
