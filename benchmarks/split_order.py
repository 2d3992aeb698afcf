"""In which order in time do the parts of a split lie?

    python benchmarks/split_order.py ../shared/data/ml-1m_clean.npz ../shared/data/ml-100k.npz

Neighbours in time are alike: prints the mean similarity (cosine over the users of train) between
the last item of one part and the first of another, over users. Where parts adjoin it is high.
"""

import argparse
import itertools
import pathlib

import numpy as np
from protocol import save
from sklearn.preprocessing import normalize

from skdiffrec.datasets import load_npz

PARTS = ("train", "valid", "test")


def ends(X):
    """(first, last) item of every row by its time, and which rows have any."""
    filled = np.flatnonzero(np.diff(X.indptr))
    first, last = np.zeros(X.shape[0], int), np.zeros(X.shape[0], int)
    for user in filled:
        row = slice(X.indptr[user], X.indptr[user + 1])
        items, times = X.indices[row], X.data[row]
        first[user], last[user] = items[times.argmin()], items[times.argmax()]
    return first, last, filled


def nearness(path):
    """{"last train -> first valid": mean similarity, ...}"""
    data = load_npz(path, values="time")
    items = normalize(data.train.astype(bool).astype(float).T.tocsr())
    parts = {part: ends(data[part]) for part in PARTS}
    found = {}
    for one, other in itertools.permutations(PARTS, 2):
        users = np.intersect1d(parts[one][2], parts[other][2])
        a, b = items[parts[one][1][users]], items[parts[other][0][users]]
        found[f"last {one} -> first {other}"] = float(a.multiply(b).sum(axis=1).mean())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=pathlib.Path)
    parser.add_argument("--json", help="where to save the figures")
    options = parser.parse_args()
    record = {}
    for path in options.data:
        record[path.name] = nearness(path)
        cells = "  ".join(f"{name} {value:.4f}" for name, value in record[path.name].items())
        print(f"{path.name}: {cells}")
    save(options.json, record)


if __name__ == "__main__":
    main()
