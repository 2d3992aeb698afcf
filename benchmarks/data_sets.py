"""Size of the data sets of the benchmarks: users, items and the interactions of each part.

python benchmarks/data_sets.py ../shared/data/*.npz
"""

import argparse
import pathlib

from protocol import save
from timing import markdown

from skdiffrec.datasets import load_npz

PARTS = ("train", "valid", "test")


def size(path):
    """{users, items, train, valid, test, times}"""
    data = load_npz(path)
    found = {"users": data.n_users, "items": data.n_items}
    return found | {part: int(data[part].nnz) for part in PARTS} | {"times": data.has_times}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=pathlib.Path, help=".npz files")
    parser.add_argument("--json", default="benchmarks/results/data_sets.json")
    options = parser.parse_args()
    found = {path.stem: size(path) for path in options.data}
    save(options.json, found)
    print(markdown([{"data": name} | row for name, row in found.items()]))


if __name__ == "__main__":
    main()
