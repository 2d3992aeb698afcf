"""Keys of rows: hashes of a seed and of what the row holds, so that a user's random choices are
the same whatever the batch, the order and the other users (SplitMix64, Steele et al. 2014).
"""

import numpy as np
from sklearn.utils import check_random_state

# as int64, which is what NumPy and torch both have
GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
MIX = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))


def draw_seed(random_state):
    """One int64 seed from anything scikit-learn calls a random_state."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def mix64(x):
    """SplitMix64's output function of int64 numbers, elementwise, of an ndarray or a tensor.

    Both wrap around in int64 as uint64 do; bits are those of unsigned numbers.
    """
    x = x + GOLDEN
    x = (x ^ shift_right(x, 30)) * MIX[0]
    x = (x ^ shift_right(x, 27)) * MIX[1]
    return x ^ shift_right(x, 31)


def shift_right(x, bits):
    """Logical right shift of int64 numbers; the operator keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def hash64(x):
    """`mix64` of uint64 numbers, elementwise."""
    numbers = np.asarray(x, np.uint64)
    mixed = mix64(np.atleast_1d(numbers).view(np.int64)).view(np.uint64)
    return mixed.reshape(numbers.shape)


def row_keys(X, seed):
    """One uint64 per row of a canonical CSR: a hash of `seed` and the row's items and values.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
    seed : int

    Returns
    -------
    keys : ndarray of uint64, shape (n_rows,)
    """
    entry = hash64(X.indices.astype(np.uint64) ^ hash64(_bits(X.data)))
    with np.errstate(over="ignore"):
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(entry, dtype=np.uint64)])
        sums = total[X.indptr[1:]] - total[X.indptr[:-1]]
    return hash64(sums ^ hash64(np.uint64(seed)))


def entry_keys(X, seed):
    """One uint64 per stored entry: a hash of its row's items and of its own item id."""
    rows = np.repeat(row_keys(X, seed), np.diff(X.indptr))
    return hash64(rows ^ hash64(X.indices.astype(np.uint64)))


def _bits(data):
    return np.ascontiguousarray(data, np.float64).view(np.uint64)
