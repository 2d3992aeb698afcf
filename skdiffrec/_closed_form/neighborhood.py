"""Ridge regression of every item on its nearest items, from rows of a Gram matrix.

All work goes by blocks of stated size, so that memory does not grow with users or items beyond X
and the weights themselves; block sizes change no result.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from .._utils.threads import blas_threads, side_by_side
from .gram import SEARCH_ENTRIES, slices_of_size

N_NEIGHBORS = 100
_BLOCK_NUMBERS = 100_000_000  # of local Gram matrices, held at once: 400 MB
_MOST_THREADS = 8
_PAIRS = 256  # rows of local Gram matrices that are copied at once: few enough for the cache


def neighborhood_matrices(gram, regs, n_neighbors, columns=None, shrinkage=None):
    """Weights for several λ from one pass over the data, and cosines of the same neighbours.

    Column j solves ``min ‖Y_j − X_N·b‖² + λ‖b‖²`` over the `n_neighbors` items N that are most
    similar to j by cosine (the neighbourhood form of SLIM, Ning and Karypis 2011, with a ridge
    alone). It costs n_items · n_neighbors³ operations and n_items · n_neighbors numbers.

    Parameters
    ----------
    gram : SparseGram or DenseGram
    regs : sequence of float or ndarray of shape (n_items,)
        λ, added to the diagonal of XᵀX: one for all items, or one for each.
    n_neighbors : int
    columns : ndarray of int, default=None
        The items whose columns are solved; None is all.
    shrinkage : float, default=None
        Added to the product of norms that a cosine divides by; None wants no cosines.

    Returns
    -------
    matrices : list of csr_array of float32, shape (n_items, n_columns)
        One for each λ, with the same pattern. Scores are ``X @ B``; an item's weight for itself is
        zero. With `shrinkage` the last one holds cosines.
    """
    columns = np.arange(gram.n_items) if columns is None else columns
    n_neighbors = max(1, min(n_neighbors, gram.n_items - 1))  # memory grows with them
    n_threads = min(blas_threads(), _MOST_THREADS)
    size = max(1, _BLOCK_NUMBERS // n_threads // n_neighbors**2)
    batches = np.array_split(columns, max(n_threads, -(-len(columns) // size)))
    parts: list[Any] = [None] * len(batches)
    buffers: list[np.ndarray] = []  # of threads that are done with a batch

    def fill(i):
        n_local = len(batches[0]) * n_neighbors if len(regs) else 0
        buffer = buffers.pop() if buffers else np.empty((n_local, n_neighbors), np.float32)
        parts[i] = _batch(gram, batches[i], regs, n_neighbors, shrinkage, buffer)
        buffers.append(buffer)

    side_by_side(fill, range(len(batches)), n_threads)
    counts, neighbors = (np.concatenate(part) for part in list(zip(*parts, strict=True))[:2])
    # SciPy gives indices the wider type of the two
    index = np.int32 if len(neighbors) < 2**31 else np.int64
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(index)
    shape = gram.n_items, len(columns)
    return [
        sp.csc_array(
            (np.concatenate([w[i] for _, _, w in parts]), neighbors, indptr), shape
        ).tocsr()
        for i in range(len(parts[0][2]))
    ]


def _batch(gram, items, regs, n_neighbors, shrinkage, buffer):
    """(how many, neighbours, weights for every λ) of the columns `items`, laid end to end."""
    neighbors, common, counts = nearest_items(gram, items, n_neighbors)
    local = _local_grams(gram, neighbors, counts, buffer) if len(regs) else None
    weights = _solved(local, common, counts, neighbors, regs)
    if shrinkage is not None:
        cosines = shrunk_cosines(gram, items, neighbors, common, shrinkage)
        weights = np.concatenate([weights, cosines[None]])
    filled = np.arange(n_neighbors) < counts[:, None]
    return counts, neighbors[filled], weights[:, filled]


def shrunk_cosines(gram, items, neighbors, common, shrinkage):
    """Cosines of `items` and their neighbours, with `shrinkage` added to the product of norms."""
    norms = np.sqrt(gram.diagonal)
    product = norms[neighbors] * norms[items, None] + shrinkage
    return np.divide(common, product, out=np.zeros_like(common), where=product > 0)


def nearest_items(gram, items, n_neighbors):
    """The items most similar to each of `items` by cosine, of those met with it at all.

    Returns
    -------
    neighbors : ndarray of int32, shape (n, n_neighbors)
        In ascending order, then zeros that mean nothing. Of equal cosines lower ids come first.
    common : ndarray of float32, shape (n, n_neighbors)
        Their entries of XᵀY.
    counts : ndarray of int64, shape (n,)
        How many there are.
    """
    norms = np.sqrt(gram.diagonal).astype(np.float32)
    found = [
        _nearest_in(gram.cross(items[part]), items[part], norms, n_neighbors)
        for part in slices_of_size(gram.cross_sizes(items), SEARCH_ENTRIES)
    ]
    if not found:
        empty = np.zeros((0, n_neighbors))
        return empty.astype(np.int32), empty.astype(np.float32), np.zeros(0, np.int64)
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


def _nearest_in(cross, items, norms, n_neighbors):
    """`nearest_items` for rows of XᵀY."""
    own = cross.indices == np.repeat(items, np.diff(cross.indptr))
    cosine = cross.data / norms[cross.indices]
    cosine[own] = -np.inf
    # One integer that sorts by (cosine descending, item ascending)
    bits = (cosine + np.float32(0)).view(np.int32)
    key = (~np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)).astype(np.int64)
    key <<= 32
    key |= cross.indices
    n_own = np.diff(np.concatenate([[0], np.cumsum(own)])[cross.indptr])
    counts = np.minimum(np.diff(cross.indptr) - n_own, n_neighbors).astype(np.int64)
    entry = np.zeros((len(items), n_neighbors), np.int64)
    bounds = cross.indptr.tolist()
    for row, (count, start, stop) in enumerate(
        zip(counts.tolist(), bounds[:-1], bounds[1:], strict=True)
    ):
        if count < stop - start:
            entry[row, :count] = start + np.argpartition(key[start:stop], count)[:count]
        else:
            entry[row, :count] = np.arange(start, stop)
    filled = np.arange(n_neighbors) < counts[:, None]
    neighbors = np.full(entry.shape, len(norms), np.int32)
    neighbors[filled] = cross.indices[entry[filled]]
    order = np.argsort(neighbors, axis=1)
    entry, neighbors = (np.take_along_axis(part, order, axis=1) for part in (entry, neighbors))
    common = np.zeros(entry.shape, np.float32)
    common[filled] = cross.data[entry[filled]]
    neighbors[~filled] = 0
    return neighbors, common, counts


def _local_grams(gram, neighbors, counts, buffer):
    """XᵀX among the neighbours of each item: (n, n_neighbors, n_neighbors) of float32.

    A row of XᵀX is computed once, and copied to all neighbourhoods that its item is in. Memory new
    to the process can cost more than what is written to it, hence the `buffer`.
    """
    n, k = neighbors.shape
    local = buffer[: n * k]  # beyond `counts` never read
    places = np.flatnonzero(np.arange(k) < counts[:, None])
    places = places[np.argsort(neighbors.ravel()[places], kind="stable")]
    members, starts = np.unique(neighbors.ravel()[places], return_index=True)
    starts = np.append(starts, len(places))
    for block, rows in gram.row_blocks(members):
        first, last = block.start, block.stop
        offset = np.repeat(np.arange(last - first), np.diff(starts[first : last + 1]))
        offset *= gram.n_items
        for start in range(0, len(offset), _PAIRS):
            part = places[starts[first] + start : starts[last]][:_PAIRS]
            cells = offset[start : start + _PAIRS, None] + neighbors[part // k]
            local[part] = rows.take(cells, mode="clip")
    return local.reshape(n, k, k)


def _solved(local, common, counts, neighbors, regs):
    """(local + λ)⁻¹·common for every λ: (n_regs, n, n_neighbors) of float32."""
    weights = np.zeros((len(regs), *common.shape), np.float32)
    added = [np.asarray(reg, np.float32) for reg in regs]
    for item, n in enumerate(counts.tolist()):
        for i, reg in enumerate(added if n else ()):
            matrix = local[item, :n, :n].copy()
            matrix.ravel()[:: n + 1] += reg[neighbors[item, :n]] if reg.ndim else reg
            # transposed it is in LAPACK's order, and the same, being symmetric
            solution, info = lapack.sposv(matrix.T, common[item, :n], overwrite_a=1)[1:]
            if info != 0:
                least = np.min(regs[i])
                raise ValueError(
                    f"XᵀX + reg·I of a neighbourhood cannot be inverted with reg={least}; "
                    "use a larger value."
                )
            weights[i, item, :n] = solution
    return weights
