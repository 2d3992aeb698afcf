"""Which device to compute on, with how many threads and in which precision."""

import torch

from .._utils.host_state import own_state, torch_threads
from .._utils.threads import side_by_side
from .._utils.warning import warn_caller

_MAX_WORKERS = 8


def resolve_device(device, *, fitting=False):
    """A torch.device for "auto" or a device's name.

    A model that was fitted on a GPU and is used where there is none falls back to the CPU with a
    warning; fitting there is an error.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = str(device)
    try:
        device = torch.device(device)
    except RuntimeError:
        device = None
    if device is None or device.type == "meta":
        raise ValueError(
            f'device={name!r} is not a device to compute on. Valid are "auto", "cpu", "cuda", '
            '"cuda:0" and the like.'
        )
    if device.type == "cuda" and not torch.cuda.is_available():
        if fitting:
            raise ValueError(f'device={name!r}, but torch sees no GPU here. Use "auto" or "cpu".')
        warn_caller(
            f"device={name!r}, but torch sees no GPU here; computing on the CPU. "
            'set_params(device="auto") silences this.',
        )
        return torch.device("cpu")
    return device


def run_blocks(run, blocks, most=None):
    """``run(block)`` for each of independent blocks, side by side on torch's threads.

    Threads that each have a block of their own never wait for one another, as those that share a
    product do, nor for another process that holds a processor.

    Parameters
    ----------
    run : callable
    blocks : sequence
    most : int, default=None
        Threads at the most; None is `_MAX_WORKERS`, which bounds the memory.
    """
    n_threads = torch.get_num_threads()
    n_workers = min(n_threads, len(blocks), most or _MAX_WORKERS)
    if n_workers < 2:
        of_a_block = 1 if most is None else n_threads
    else:
        of_a_block = max(1, n_threads // n_workers)

    def run_with_threads(block):
        with torch_threads(of_a_block), own_state():
            run(block)

    side_by_side(run_with_threads, blocks, n_workers)


def screens_in_bfloat16(device):
    """Whether products that only screen the catalogue are in bfloat16: on GPUs that have it.

    The kind of the device alone decides, so that lists do not differ from one process to the next.
    On CPUs it never pays: torch's products are not faster with every set of instructions for it.
    """
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
