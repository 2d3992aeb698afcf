"""Seconds that each holdout and splitter takes, next to a bare sort of as many numbers.

    python benchmarks/holdouts.py --json results/holdouts.json

The default size, 1 million users with 50 interactions each, needs about 8 GB of memory.
"""

import argparse
import json
import os
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from skdiffrec.model_selection import (
    LastFraction,
    LastN,
    LeaveOneOut,
    SampleFraction,
    SampleN,
    TimeCut,
    UnseenUsers,
)

HOLDOUTS = (
    SampleFraction(random_state=0),
    SampleN(random_state=0),
    LeaveOneOut(random_state=0),
    LastFraction(),
    LastN(),
    LastN(by="order"),
    TimeCut(),
)


def random_histories(n_users, per_user, n_items, seed=0):
    """Canonical CSR: `per_user` items of each user, drawn one from each slice of the items."""
    rng = np.random.default_rng(seed)
    width = n_items // per_user
    items = rng.integers(width, size=(n_users, per_user), dtype=np.int32)
    items += np.arange(per_user, dtype=np.int32) * width
    times = rng.integers(1_000_000_000, 1_700_000_000, size=items.size).astype(np.float64)
    indptr = np.arange(0, items.size + 1, per_user)
    return sp.csr_array((times, items.ravel(), indptr), shape=(n_users, n_items))


def stored_in_reverse(X, per_user):
    """The same matrix, each row stored from the last item to the first."""
    data, indices = (part.reshape(-1, per_user)[:, ::-1].ravel() for part in (X.data, X.indices))
    return sp.csr_array((data, indices, X.indptr), shape=X.shape)


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--per-user", type=int, default=50)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--json", type=Path, help="file to save the table in")
    options = parser.parse_args()

    X = random_histories(options.users, options.per_user, options.items)
    sort = seconds(lambda: np.sort(X.data))
    rows = []

    def report(name, duration):
        rows.append({"splitter": name, "seconds": duration, "ratio": duration / sort})
        print(f"{name:36s} {options.users:9,d} {X.nnz:12,d} {duration:8.2f} {duration / sort:6.1f}")

    print(f"{'splitter':36s} {'users':>9s} {'interactions':>12s} {'seconds':>8s} {'ratio':>6s}")
    report("np.sort of float64", sort)
    for holdout in HOLDOUTS:
        by_order = getattr(holdout, "by", None) == "order"
        given = stored_in_reverse(X, options.per_user) if by_order else X
        report(f"{holdout}.hide", seconds(lambda h=holdout, given=given: h.hide(given)))
    users = UnseenUsers(random_state=0)
    report("UnseenUsers().split, 5 splits", seconds(lambda: sum(1 for _ in users.split(X))))
    report("UnseenUsers().parts, first split", seconds(lambda: next(users.parts(X))))
    if options.json:
        about = {
            "users": options.users,
            "interactions": X.nnz,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
        }
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
