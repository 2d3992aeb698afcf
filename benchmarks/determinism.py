"""How far two fits agree: the same settings twice, and one thread against two.

    python benchmarks/determinism.py ../shared/data/ml-1m_clean.npz --max-epochs 5

For each fit, against one on one thread: the share of users with equal top-10 lists, the share of
equal items, and nDCG@10 on valid.
"""

import argparse
import pathlib

import numpy as np
import torch
from timing import machine, markdown, merge

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.metrics import ndcg_at_k

K = 10
FITS = {"1 thread": 1, "1 thread, again": 1, "2 threads": 2, "2 threads, again": 2}


def lists(data, n_threads, max_epochs):
    """Top-10 lists of all users after a fit in which torch has `n_threads` threads."""
    torch.set_num_threads(n_threads)
    model = CFGDiffusionRecommender(random_state=0, max_epochs=max_epochs).fit(data.train)
    return model.recommend(k=K)[0]


def agreement(data, max_epochs):
    """A row a fit: how far its lists are those of the first."""
    rows, reference = [], None
    for name, n_threads in FITS.items():
        ids = lists(data, n_threads, max_epochs)
        reference = ids if reference is None else reference
        shared = [len(np.intersect1d(a, b)) for a, b in zip(reference, ids, strict=True)]
        rows.append(
            {
                "fit": name,
                "equal lists": float((ids == reference).all(axis=1).mean()),
                "equal items": float(np.mean(shared) / K),
                "nDCG@10 on valid": ndcg_at_k(ids, data.valid, K),
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--max-epochs", type=int, default=40)
    parser.add_argument("--json", default="benchmarks/results/determinism.json")
    options = parser.parse_args()
    where = machine()
    data = load_npz(options.data)
    rows = agreement(data, options.max_epochs)
    record = {"machine": where, "max_epochs": options.max_epochs, "users": data.n_users}
    merge(options.json, options.data.stem, record | {"rows": rows})
    print(markdown(rows))


if __name__ == "__main__":
    main()
