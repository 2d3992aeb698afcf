"""Random numbers that belong to a row: they depend on its key (`_utils.hashing.row_keys`) alone.

A counter-based generator needs no state. Vectorised over rows, on any device.
"""

import math

import torch

from .._utils.hashing import mix64, shift_right


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
    bits = mix64(mix64(keys)[:, None] ^ mix64(counter)[None, :])
    radius = (shift_right(bits, 32).double() + 0.5) / 2.0**32
    angle = (bits & 0xFFFFFFFF).double() * (2 * math.pi / 2.0**32)
    return (torch.sqrt(-2 * torch.log(radius)) * torch.cos(angle)).float()
