"""How far two fits agree: the same settings twice, and one thread against two.

    python benchmarks/determinism.py ../shared/data/ml-1m_clean.npz

Prints the share of users with equal top-10 lists, the share of equal items, and nDCG@10 on valid.
"""

import argparse

import numpy as np
import torch

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.metrics import ndcg_at_k


def lists(data, n_threads, max_epochs):
    torch.set_num_threads(n_threads)
    model = CFGDiffusionRecommender(random_state=0, max_epochs=max_epochs).fit(data.train)
    return model.recommend(k=10)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--max-epochs", type=int, default=40)
    options = parser.parse_args()
    data = load_npz(options.data)
    reference = lists(data, 1, options.max_epochs)
    print(f"1 thread: nDCG@10 {ndcg_at_k(reference, data.valid):.4f}")
    for name, n_threads in (("1 thread again", 1), ("2 threads", 2), ("2 threads again", 2)):
        other = lists(data, n_threads, options.max_epochs)
        shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(reference, other, strict=True)])
        print(
            f"{name}: equal lists {(other == reference).all(axis=1).mean():.4f}, "
            f"equal items {shared / 10:.4f}, nDCG@10 {ndcg_at_k(other, data.valid):.4f}"
        )


if __name__ == "__main__":
    main()
