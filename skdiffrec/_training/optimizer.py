"""AdamW without what torch's optimizer objects bring along."""

import torch
from torch.optim.adamw import adamw

from .threads import N_PARTS, in_parts, in_turn, is_large

_PIECE = 2**19  # numbers of a table that are updated at once: 2 MB each of five arrays


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
        given = [(*parts, parts[0].grad) for parts in own if parts[0].grad is not None]
        tables = [(*parts[:4], _RowGradient(parts[4])) for parts in given if parts[4].is_sparse]
        dense = [parts for parts in given if not parts[4].is_sparse]
        update_dense = self._dense_parts(*zip(*dense, strict=True)) if dense else None

        def part(i):
            if update_dense is not None:
                update_dense(i)
            for table in tables:
                self._update_table(*table, i)

        run(part, N_PARTS)
        for _, _, _, count, _ in tables:
            count += 1

    def _dense_parts(self, parameters, first, second, steps, gradients):
        """``update(i)`` for part i of parameters with dense gradients."""
        parts = zip(*map(in_parts, (parameters, gradients, first, second)), strict=True)
        # each part counts its steps, the first one for good
        counts = [list(steps)]
        for _ in range(1, N_PARTS):
            pairs = zip(steps, parameters, strict=True)
            counts.append([count.clone() for count, own in pairs if is_large(own)])
        given = [(*tensors, count) for tensors, count in zip(parts, counts, strict=True)]
        return lambda i: self._update(*given[i])

    def _update_table(self, table, first, second, count, gradient, i):
        """Part i of a table with a sparse gradient: every second piece of its rows."""
        n = len(table)
        if table.device.type == "cpu":  # elsewhere a piece costs more than the memory it saves
            n = max(1, _PIECE // table.shape[1])
        for start in range(i * n, len(table), N_PARTS * n):
            rows = slice(start, min(start + n, len(table)))
            own = [tensor.detach()[rows] for tensor in (table, first, second)]
            self._update(own[:1], [gradient.dense(rows)], own[1:2], own[2:], [count.clone()])

    def _update(self, parameters, gradients, first, second, steps):
        if not steps:
            return
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


class _RowGradient:
    """A sparse gradient of a table, dense where and when its rows are updated."""

    def __init__(self, gradient):
        self.rows, self.order = gradient._indices()[0].sort(stable=True)
        self.values = gradient._values()

    def dense(self, rows):
        """The gradient of a slice of the rows."""
        ends = self.rows.new_tensor([rows.start, rows.stop])
        first, last = torch.searchsorted(self.rows, ends).tolist()
        dense = self.values.new_zeros(rows.stop - rows.start, self.values.shape[1])
        values = self.values[self.order[first:last]]
        return dense.index_add_(0, self.rows[first:last] - rows.start, values)
