"""Generated interactions of any size: Zipf popularity, latent clusters, a set number a user.

`skdiffrec.datasets.make_interactions` knows the best ranking, for which it holds users x items
numbers; this holds little beside the result.
"""

import numpy as np
import scipy.sparse as sp

EXPONENT = 0.8  # of popularity
OWN_SHARE = 0.7  # of a user's draws, from the user's cluster; others come from all
SPARE = 1.6  # draws for each interaction wanted: some are of the same item
CHUNK = 20_000  # users drawn at once


def generate(n_users, n_items, per_user=50, seed=0):
    """csr_array of float32 ones, at most (nearly always exactly) `per_user` items in a row."""
    rng = np.random.default_rng(seed)
    items, ends = _clusters(n_items, rng)
    indices, lengths = [], []
    for start in range(0, n_users, CHUNK):
        n = min(CHUNK, n_users - start)
        drawn = items[_places(ends, n, int(SPARE * per_user), rng)]
        row = np.sort(_first_distinct(drawn, per_user, n_items), axis=1)
        indices.append(row[row < n_items])
        lengths.append((row < n_items).sum(axis=1))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    indices = np.concatenate(indices)
    index = np.int64 if len(indices) > np.iinfo(np.int32).max else np.int32
    data = np.ones(len(indices), np.float32)
    return sp.csr_array((data, indices, indptr.astype(index)), shape=(n_users, n_items))


def _clusters(n_items, rng):
    """Items by cluster, int32, and the ends of their stretches: cluster c is the unit c to c + 1"""
    n_clusters = int(np.clip(n_items // 100, 4, 50))
    cluster = np.sort(np.arange(n_items) % n_clusters)
    place = np.arange(n_items) - np.searchsorted(cluster, cluster)
    weight = (1.0 + place) ** -EXPONENT
    ends = np.cumsum(weight / np.bincount(cluster, weight)[cluster])
    return rng.permutation(n_items).astype(np.int32), ends


def _places(ends, n, m, rng):
    """Places in the list of items of m draws for n users, (n, m)."""
    n_clusters = round(ends[-1])
    own = rng.integers(n_clusters, size=(n, 1))
    cluster = np.where(rng.random((n, m)) < OWN_SHARE, own, rng.integers(n_clusters, size=(n, m)))
    return np.minimum(np.searchsorted(ends, cluster + rng.random((n, m))), len(ends) - 1)


def _first_distinct(drawn, count, none):
    """The first `count` distinct items of every row (n, m); `none` in place of the others."""
    order = np.argsort(drawn, axis=1, kind="stable")
    ordered = np.take_along_axis(drawn, order, axis=1)
    first = np.ones(drawn.shape, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    kept = np.empty_like(first)
    np.put_along_axis(kept, order, first, axis=1)
    kept &= np.cumsum(kept, axis=1) <= count
    return np.where(kept, drawn, none)
