"""The hash in Python integers."""

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

WRAP = 2**64
properties = settings(max_examples=30, deadline=None)
words = st.integers(0, WRAP - 1)


def slow_hash(x):
    """SplitMix64's output function in Python integers, from the paper's listing."""
    x = (x + 0x9E3779B97F4A7C15) % WRAP
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % WRAP
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % WRAP
    return x ^ (x >> 31)


def as_keys(numbers):
    """Python integers as the int64 tensor that holds their bits."""
    return torch.from_numpy(np.array(numbers, np.uint64).view(np.int64))
