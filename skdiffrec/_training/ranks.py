"""Processes that train one model together, each on rows of its own, as `torchrun` starts them.

Weights are the same in all of them, bit by bit: they begin with those of the first process, and
every step adds the mean of all gradients. What is not training (the closed form, early stopping,
calibration) is the work of the first, which tells the others.
"""

import atexit
import multiprocessing
import os
import time
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from torch import distributed as dist

_PATIENCE = timedelta(hours=2)  # of the others, while the first solves a closed form
_NONE, _SPARSE, _DENSE = range(3)  # kinds of gradients; of two kinds the later is taken


def training_ranks(device):
    """The `Ranks` of this process, or the `OneProcess` that most trainings have.

    Only of a process that `torchrun` or the like started itself: one that it started in turn, such
    as a worker of a search, inherits its variables.
    """
    if not dist.is_available() or multiprocessing.current_process().name != "MainProcess":
        return OneProcess()
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", 1)) < 2 or "RANK" not in os.environ:
            return OneProcess()
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
        atexit.register(_leave)
    return Ranks(device) if dist.get_world_size() > 1 else OneProcess()


def _leave():
    if dist.is_initialized():
        # gloo's threads free the last tensors, which takes Python's lock. Before torch 2.8 the
        # group waits for them while it holds that lock: forever, unless they had it before.
        time.sleep(0.25)
        dist.destroy_process_group()


def is_first():
    """Whether this process is the one that prints and saves."""
    return not (dist.is_available() and dist.is_initialized() and dist.get_rank() > 0)


class OneProcess:
    """A training in one process, with the methods of `Ranks`."""

    first, size = True, 1

    def agree(self, key):
        pass

    def device(self, device):
        return device

    def equal(self, module):
        pass

    def share(self, rows, weight):
        return rows, weight

    def total(self, number):
        return number

    most = total

    def steps(self, batches, n_steps):
        return batches

    def averaged(self, parameters, loss, n_rows):
        return loss.detach()

    def from_first(self, make):
        return make()

    def resume(self, state, rows):
        pass


class Ranks:
    """What the processes of a training have to say to one another.

    Parameters
    ----------
    device : torch.device
        On which tensors travel.

    Attributes
    ----------
    first : bool
        Whether this is the first of them.
    size : int
        How many there are.
    """

    def __init__(self, device):
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.first = self.rank == 0
        self._device = self.device(device)

    def device(self, device):
        """The GPU of this process, where several are to be used."""
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(device)
        return device

    def agree(self, key):
        """An error in all processes unless {what: hash} is the same in all of them."""
        keys: list[Any] = [None] * self.size
        with _told():
            dist.all_gather_object(keys, key)
        for rank, other in enumerate(keys):
            differ = sorted(k for k in {*keys[0], *other} if keys[0].get(k) != other.get(k))
            if differ:
                raise ValueError(
                    f"{', '.join(differ)} of process {rank} "
                    f"{'is' if len(differ) == 1 else 'are'} not what process 0 has. Processes that "
                    "train one model must call fit with the same rows (each trains on its share), "
                    "parameters and versions; a random_state that is no int differs always."
                )

    @torch.no_grad()
    def equal(self, module):
        """Give a module the weights and buffers that it has in the first process."""
        with _told():
            for tensor in chain(module.parameters(), module.buffers()):
                dist.broadcast(tensor.data, 0)

    def share(self, rows, weight):
        """The rows that this process trains on, one after the other in the order of all."""
        n = len(weight)
        if n < self.size:
            raise ValueError(
                f"X has {n} different users to train on, fewer than the {self.size} processes. "
                "Start fewer processes."
            )
        own = np.arange(self.rank * n // self.size, (self.rank + 1) * n // self.size)
        return rows.pick(own), weight[own]

    def total(self, number):
        """The sum of the numbers of all processes."""
        return self._reduced(number, dist.ReduceOp.SUM)

    def most(self, number):
        """The largest number of all processes."""
        return self._reduced(number, dist.ReduceOp.MAX)

    def _reduced(self, number, operation):
        tensor = torch.tensor(number, device=self._device)
        with _told():
            dist.all_reduce(tensor, operation)
        return tensor.item()

    def steps(self, batches, n_steps):
        """So many batches: where a process has fewer, it takes part without any."""
        batches = chain(batches, repeat(None))
        return (next(batches) for _ in range(n_steps))

    @torch.no_grad()
    def averaged(self, parameters, loss, n_rows):
        """Give all processes the mean gradient over all rows of a step; returns the mean loss."""
        kinds = torch.tensor([_kind(p.grad) for p in parameters], device=self._device)
        with _told():
            dist.all_reduce(kinds, dist.ReduceOp.MAX)
            dense = [
                p for p, kind in zip(parameters, kinds.tolist(), strict=True) if kind == _DENSE
            ]
            total, loss = self._average_dense(dense, loss, n_rows)
            for parameter, kind in zip(parameters, kinds.tolist(), strict=True):
                if kind == _SPARSE:
                    self._average_sparse(parameter, n_rows, total)
        return loss

    def _average_dense(self, parameters, loss, n_rows):
        """(rows of all processes, their mean loss), after one exchange of all dense gradients."""
        flat = [_dense_gradient(p).reshape(-1) for p in parameters]
        own = torch.tensor([1.0, 0.0 if loss is None else float(loss)], device=self._device)
        sums = torch.cat([own, *flat]) * n_rows
        dist.all_reduce(sums)
        total = sums[0].item()
        sums /= total
        parts = sums[2:].split([p.numel() for p in parameters])
        for parameter, gradient in zip(parameters, parts, strict=True):
            parameter.grad = gradient.view_as(parameter)
        return total, sums[1].clone()

    def _average_sparse(self, parameter, n_rows, total):
        """The mean of a table's gradients, of the rows that any process met."""
        shape, gradient = parameter.shape, parameter.grad
        met, values = torch.empty(0, dtype=torch.int64), torch.empty(0, *shape[1:])
        if gradient is not None:
            met, values = gradient._indices()[0], gradient._values() * (n_rows / total)
        met, values = met.to(self._device), values.to(self._device)
        # several times as fast as torch's coalesce
        rows, place = met.unique(return_inverse=True)
        if self.total(len(rows)) >= shape[0]:  # then the table is less
            parameter.grad = values.new_zeros(shape).index_add_(0, met, values)
            dist.all_reduce(parameter.grad)
            return
        values = values.new_zeros(len(rows), *shape[1:]).index_add_(0, place, values)
        rows, values = self._gathered(rows), self._gathered(values)
        parameter.grad = torch.sparse_coo_tensor(rows[None], values, shape)

    def _gathered(self, tensor):
        """The tensors of all processes, which differ in length, one after the other."""
        lengths = [tensor.new_zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(lengths, lengths[0] + len(tensor))
        most = max(map(int, lengths))
        padded = tensor.new_zeros(most, *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        found = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(found, padded)
        return torch.cat([own[: int(n)] for own, n in zip(found, lengths, strict=True)])

    def from_first(self, make):
        """``make()`` of the first process, for all; an error there is one in all."""
        found: list[Any] = [None, None]
        if self.first:
            try:
                found[0] = make()
            except Exception as error:
                found[1] = error
        with _told():
            dist.broadcast_object_list(found, 0)
        if found[1] is not None:
            raise found[1]
        return found[0]

    def resume(self, state, rows):
        """Let the others go on where the first does, if its `TrainingState` came from a file."""
        found = self.from_first(lambda: state.packed() if state.ema.n_updates else None)
        if found is None or self.first:
            return
        state.restore(*found)
        rows.generator.manual_seed(rows.generator.initial_seed() + state.ema.n_updates)
        if state.position.order is not None:  # of the first one's rows
            state.position.order = rows.shuffled()


def _dense_gradient(parameter):
    """A parameter's gradient as a tensor of its shape."""
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(parameter)
    if not gradient.is_sparse:
        return gradient
    rows, values = gradient._indices()[0], gradient._values()
    return torch.zeros_like(parameter).index_add_(0, rows, values)


def _kind(gradient):
    if gradient is None:
        return _NONE
    return _SPARSE if gradient.is_sparse else _DENSE


@contextmanager
def _told():
    """Say what it means that an exchange failed."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            f"A process of this training ended, or cannot be reached: {str(error).splitlines()[0]} "
            "Its own message says why. Start all of them again; with checkpoint= they go on."
        ) from error
