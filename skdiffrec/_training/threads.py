"""The long parts of a training step, on two threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import joblib
import torch

from .._utils.host_state import own_state, torch_threads
from .._utils.threads import blas_limit, side_by_side

N_PARTS = 2  # whatever the processors, so that these change no result
_LARGE = 2**19  # numbers

Run = Callable[[Callable[[int], Any], int], list[Any]]


def in_turn(work, n):
    """``[work(0), ..., work(n - 1)]``, one after the other."""
    return [work(i) for i in range(n)]


@contextmanager
def training_threads(device: torch.device) -> Iterator[Run]:
    """Threads to train a model with: yields ``run(work, n)``, which does as `in_turn` does.

    What is run takes milliseconds and few steps. Threads that share every product wait for one
    another some hundred times a step of training, and for other processes that hold a processor;
    threads that each compute half of a batch from end to end wait for Python's lock.
    """
    n_threads = min(torch.get_num_threads(), joblib.cpu_count())
    n_workers = N_PARTS if device.type == "cpu" and n_threads >= N_PARTS else 1
    of_each = max(1, n_threads // (2 * n_workers))

    def run(work, n):
        results = [None] * n

        def part(i):
            with torch_threads(of_each), own_state(device=True):
                results[i] = work(i)

        side_by_side(part, range(n), n_workers)
        return results

    # NumPy's own threads would only wait beside them
    with torch_threads(of_each), blas_limit(of_each):
        yield run if n_workers > 1 else in_turn


def is_large(tensor):
    """Whether halves of a tensor are worth a thread each."""
    return tensor.numel() >= _LARGE


def in_parts(tensors):
    """Lists of views that are tensors together: halves of large ones, small ones in the first."""
    parts: list[list[torch.Tensor]] = [[] for _ in range(N_PARTS)]
    for tensor in tensors:
        halves = tensor.detach().tensor_split(N_PARTS) if is_large(tensor) else (tensor.detach(),)
        for part, half in zip(parts, halves, strict=False):
            part.append(half)
    return parts
