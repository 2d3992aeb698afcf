"""Random numbers that belong to a row: they depend on its key (`_utils.hashing.row_keys`) alone.

A counter-based generator needs no state. Vectorised over rows, on any device.
"""

import math

import torch

from .._utils.hashing import GOLDEN, MIX


def _signed(value):
    """A 64-bit constant as the int64 that torch understands."""
    return value - (1 << 64) if value >> 63 else value


def _shift(x, bits):
    """Logical right shift; torch's own keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _hash_torch(x):
    """`hash64` on int64 tensors, which wrap around as uint64 do."""
    x = x + _signed(GOLDEN)
    x = (x ^ _shift(x, 30)) * _signed(MIX[0])
    x = (x ^ _shift(x, 27)) * _signed(MIX[1])
    return x ^ _shift(x, 31)


def row_normal(keys, dim, stream):
    """Standard normal numbers, each row from its own key (Box and Muller 1958).

    Parameters
    ----------
    keys : int64 tensor of shape (n_rows,)
    dim : int
        Numbers per row.
    stream : int
        Which draw of that row: distinct streams give independent numbers.

    Returns
    -------
    z : float32 tensor of shape (n_rows, dim)
    """
    counter = torch.arange(dim, device=keys.device) + (int(stream) << 32)
    bits = _hash_torch(_hash_torch(keys)[:, None] ^ _hash_torch(counter)[None, :])
    radius = (_shift(bits, 32).double() + 0.5) / 2.0**32
    angle = (bits & 0xFFFFFFFF).double() * (2 * math.pi / 2.0**32)
    return (torch.sqrt(-2 * torch.log(radius)) * torch.cos(angle)).float()
