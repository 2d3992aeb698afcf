"""What a host process has set in torch, and how the library computes apart from it.

Threads are set for the calling thread alone: `torch.set_num_threads` also sets what new threads of
the process begin with, which nothing can read back.
"""

import ctypes
import functools
import inspect
from contextlib import ExitStack, contextmanager

import torch

from .threads import in_forked_process


def _calls_of_torch():
    """Functions that set OpenMP's and MKL's number of threads and return the second's last one."""
    process_wide = torch.set_num_threads, int  # of both; there is nothing else
    if not torch.backends.openmp.is_available():
        return process_wide
    try:
        library = ctypes.CDLL(torch._C.__file__)
    except OSError:
        return process_wide
    openmp = getattr(library, "omp_set_num_threads", None)
    mkl = getattr(library, "MKL_Set_Num_Threads_Local", None)
    if openmp is None or (mkl is None and torch.backends.mkl.is_available()):
        return process_wide
    return openmp, mkl or int


set_openmp, set_mkl = _calls_of_torch()


@contextmanager
def torch_threads(n_threads):
    """Compute with so many of torch's threads, in the calling thread alone.

    In a process made by fork it is always one.
    """
    n_threads, before = 1 if in_forked_process() else n_threads, torch.get_num_threads()
    if n_threads != before:
        set_openmp(n_threads)
    mkl_before = set_mkl(n_threads)
    try:
        yield
    finally:
        if n_threads != before:
            set_openmp(before)
        set_mkl(mkl_before)


@contextmanager
def own_state(*, gradients=False, device=False):
    """Torch as the library needs it, in the calling thread, whatever the host has set.

    Parameters
    ----------
    gradients : bool
        Whether they are computed.
    device : bool
        Whether tensors are made without saying where; else the host's default device is not asked.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.is_grad_enabled() != gradients:
            stack.enter_context(torch.set_grad_enabled(gradients))
        # torch.get_default_device fails in some versions once it was set back
        if device and torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if in_forked_process():
            stack.enter_context(torch_threads(1))
        yield


@contextmanager
def float32_by_default():
    """For calls of torch that ask for the default dtype themselves; it is that of all threads."""
    before = torch.get_default_dtype()
    if before == torch.float32:
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def in_own_state(**state):
    """Decorate a function, or every step of a generator, to run in `own_state`."""

    def decorate(function):
        if not inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def run(*args, **kwargs):
                with own_state(**state):
                    return function(*args, **kwargs)

            return run

        @functools.wraps(function)
        def steps(*args, **kwargs):
            iterator = function(*args, **kwargs)
            while True:
                with own_state(**state):
                    try:
                        value = next(iterator)
                    except StopIteration:
                        return
                yield value

        return steps

    return decorate
