"""Seconds and memory of one version of the library, for `speed.py --against`.

    PYTHONPATH=/path/to/a/checkout python benchmarks/one_revision.py data.npz time 0 out.json

Run as a process of its own for every turn, on what all versions have: `fit` and `recommend`. The
file holds train, valid and test as (data, indices, indptr), as `speed.py` writes them. "als" in
place of the kind of values fits implicit's ALS of 256 factors instead.
"""

import json
import pathlib
import sys
import time
import warnings

import numpy as np
import scipy.sparse as sp
from timing import PeakMemory

K = 20
N_LATENCIES = 300


def matrices(path):
    """train, valid and test of a file, each csr_array (n_users, n_items)."""
    with np.load(path) as arrays:
        shape = tuple(arrays["shape"])
        return [
            sp.csr_array(
                tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr")), shape
            )
            for name in ("train", "valid", "test")
        ]


def ndcg(ids, holdout, k=10):
    """Mean nDCG@k of lists over users with held-out items."""
    found = np.zeros((len(ids), k), bool)
    for row in range(len(ids)):
        found[row] = np.isin(
            ids[row, :k], holdout.indices[holdout.indptr[row] : holdout.indptr[row + 1]]
        )
    gains = 1 / np.log2(np.arange(2, k + 2))
    best = np.concatenate([[0], np.cumsum(gains)])[np.minimum(np.diff(holdout.indptr), k)]
    some = best > 0
    return float(np.mean((found @ gains)[some] / best[some]))


def main():
    path, values, seed, out = sys.argv[1:]
    warnings.simplefilter("ignore")
    parts = matrices(path)
    row = als(*parts) if values == "als" else ours(*parts, values, int(seed))
    pathlib.Path(out).write_text(json.dumps(row))


def als(train, *_):
    """Seconds of implicit's ALS, its threads and iterations by default."""
    from implicit.als import AlternatingLeastSquares

    X = sp.csr_matrix(train.astype(np.float32))
    model = AlternatingLeastSquares(factors=256, random_state=0)
    start = time.perf_counter()
    model.fit(X, show_progress=False)
    return {"fit s": time.perf_counter() - start}


def ours(train, valid, test, values, seed):
    """What one version of the library takes, and how good its lists are."""
    from skdiffrec import CFGDiffusionRecommender

    model = CFGDiffusionRecommender(values=values, random_state=seed, device="cpu")
    row = {}
    with PeakMemory() as memory:
        start = time.perf_counter()
        model.fit(train)
        row["fit s"] = time.perf_counter() - start
    row["fit MB"], row["epochs"] = memory.over, len(model.history_)
    model.recommend(0, k=K)  # what a model makes once
    ids, _ = model.recommend(k=K + int(np.diff(valid.indptr).max()))
    seconds = []
    for _ in range(3):
        with PeakMemory() as memory:
            start = time.perf_counter()
            model.recommend(k=K)
            seconds.append(time.perf_counter() - start)
    row["lists s"], row["lists MB"] = float(np.median(seconds)), memory.over
    rng, ms = np.random.default_rng(0), []
    for user in rng.integers(train.shape[0], size=N_LATENCIES).tolist():
        start = time.perf_counter()
        model.recommend(user, k=K)
        ms.append(1000 * (time.perf_counter() - start))
    row["one user ms"], row["one user p99 ms"] = map(float, np.percentile(ms, [50, 99]))
    row["valid nDCG@10"] = ndcg(ids, valid)
    row["test nDCG@10"] = ndcg(_without(ids, valid), test)
    return row


def _without(ids, known):
    """Lists without what is known of each user in `known`."""
    left = np.full((len(ids), K), -1)
    for row in range(len(ids)):
        own = known.indices[known.indptr[row] : known.indptr[row + 1]]
        kept = ids[row][~np.isin(ids[row], own)][:K]
        left[row, : len(kept)] = kept
    return left


if __name__ == "__main__":
    main()
