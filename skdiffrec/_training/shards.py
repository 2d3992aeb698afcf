"""The rows of a training step in shards, side by side, each with its own gradient."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import joblib
import torch

from .._inference.host_state import own_state, torch_threads
from .._utils.threads import blas_limit, side_by_side

N_SHARDS = 2  # whatever the processors, so that these change no result
_LEAST_SCORES = 2**17  # of a step, from which shards pay: a few milliseconds of work

Run = Callable[[Callable[[int], Any], int], list[Any]]


def in_turn(work, n):
    """``[work(0), ..., work(n - 1)]``, one after the other."""
    return [work(i) for i in range(n)]


@contextmanager
def shard_threads(device: torch.device) -> Iterator[Run]:
    """Threads to train a model with: yields ``run(work, n)``, which does as `in_turn` does.

    A shard is computed from end to end on one thread. Threads that share every product wait for one
    another some hundred times a step, and for other processes that hold a processor.
    """
    n_threads = min(torch.get_num_threads(), joblib.cpu_count())
    n_workers = N_SHARDS if device.type == "cpu" and n_threads >= N_SHARDS else 1
    of_each = max(1, n_threads // (2 * n_workers))

    def run(work, n):
        results = [None] * n

        def shard(i):
            with torch_threads(of_each), own_state(gradients=True, device=True):
                results[i] = work(i)

        side_by_side(shard, range(n), n_workers)
        return results

    # NumPy's own threads would only wait beside them
    with torch_threads(of_each), blas_limit(of_each):
        yield run if n_workers > 1 else in_turn


def shards_of_step(device, n_examples, n_items):
    """How many shards there are of a step that computes so many examples' scores of items."""
    return N_SHARDS if device.type == "cpu" and n_examples * n_items >= _LEAST_SCORES else 1


def shard_gradients(rows, pieces, parameters, loss_of, run):
    """The loss of some rows and its gradients, shard by shard.

    Parameters
    ----------
    rows : RowBatches
        Every shard draws from a generator of its own, whose seed is drawn from that of the rows.
    pieces : sequence of int64 tensor
        The rows of each shard.
    parameters : sequence of torch.nn.Parameter
    loss_of : callable
        ``loss_of(batch, generator)`` is the mean loss of a `Batch`.
    run : callable
        From `shard_threads`.

    Returns
    -------
    loss : tensor of shape ()
    gradients : list of (float, tuple of (tensor or None))
        Of every shard: its share of the mean, and the gradient of each parameter.
    """
    n = len(pieces)
    seeds = torch.randint(2**62, (n,), generator=rows.generator, device=rows.device).tolist()

    def shard(i):
        generator = torch.Generator(rows.device).manual_seed(seeds[i])
        batch = rows.drawing_from(generator).cut(pieces[i])
        loss = loss_of(batch, generator)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        return len(batch.weight), loss.detach(), gradients

    sizes, losses, gradients = zip(*run(shard, n), strict=True)
    shares = [size / sum(sizes) for size in sizes]
    loss = sum(share * loss for share, loss in zip(shares, losses, strict=True))
    return loss, list(zip(shares, gradients, strict=True))
