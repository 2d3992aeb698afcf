"""Time of the ranking report, and of its parts, for a million users on one core.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--users 1000000] [--json FILE]

The yardstick is a bare ``np.sort`` of the same lists. No model is involved: lists, holdouts (10
items, 3 of them listed) and histories (20 items) are drawn at random.
"""

import argparse
import json
import platform
import time

import numpy as np
import scipy.sparse as sp

from skdiffrec import metrics

N_ITEMS, N_LISTED, N_HELD, N_SEEN = 30_000, 20, 10, 20


def make_data(n_users, rng):
    """Distinct items per user: steps around the catalogue, cut into list, holdout and history."""
    n = N_LISTED + N_HELD - 3 + N_SEEN
    steps = np.cumsum(rng.integers(1, N_ITEMS // n, (n_users, n)), axis=1)
    items = (rng.integers(N_ITEMS, size=(n_users, 1)) + steps) % N_ITEMS
    items = rng.permuted(items, axis=1)
    ids = items[:, :N_LISTED]
    held = np.hstack([ids[:, [1, 7, 15]], items[:, N_LISTED : N_LISTED + N_HELD - 3]])
    return np.ascontiguousarray(ids), to_csr(held), to_csr(items[:, -N_SEEN:])


def to_csr(items):
    n_users, length = items.shape
    ends = np.arange(0, items.size + 1, length)
    data = np.ones(items.size, np.float32)
    return sp.csr_array((data, np.sort(items, axis=1).ravel(), ends), shape=(n_users, N_ITEMS))


def best_time(function, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--json", help="file to save the results in")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    ids, holdout, train = make_data(arguments.users, rng)
    values = rng.random((2, 30_000))
    cases = {
        "np.sort of the lists": lambda: np.sort(ids, axis=1),
        "ndcg_at_k, k=20": lambda: metrics.ndcg_at_k(ids, holdout, 20),
        "ranking_report, k=5, 10, 20": lambda: metrics.ranking_report(ids, holdout),
        "the same with train": lambda: metrics.ranking_report(ids, holdout, train=train),
        "compare, 30,000 users, 10,000 draws": lambda: metrics.compare(*values, random_state=0),
    }
    seconds = {name: best_time(function) for name, function in cases.items()}
    yardstick = seconds["np.sort of the lists"]
    print(f"{arguments.users:,} users, {N_LISTED} listed, {N_ITEMS:,} items, {platform.machine()}")
    print(f"{'':38}{'seconds':>9}{'x np.sort':>11}")
    for name, value in seconds.items():
        print(f"{name:38}{value:9.3f}{value / yardstick:11.1f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"n_users": arguments.users, "seconds": seconds}, file, indent=2)


if __name__ == "__main__":
    main()
