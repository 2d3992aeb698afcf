"""What the benchmarks share: lists made from train that leave out train and valid."""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np


def without(ids, left_out, k):
    """The first k of long lists (n_users, n_listed) that are not in the CSR `left_out`."""
    n_items = left_out.shape[1]
    rows = np.repeat(np.arange(left_out.shape[0]), np.diff(left_out.indptr))
    drop = np.isin(ids + np.arange(len(ids))[:, None] * n_items, rows * n_items + left_out.indices)
    order = np.argsort(drop | (ids < 0), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(np.where(drop, -1, ids), order, axis=1)


def longest(X):
    """Largest number of interactions of a user."""
    return int(np.diff(X.indptr).max())


def arguments(description):
    """Options of a benchmark of one data set: its path, the number of seeds, where to save."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", help="JSON")
    return parser.parse_args()


def save(path, record):
    """Write JSON, if there is a path."""
    if path:
        pathlib.Path(path).write_text(json.dumps(record, indent=1) + "\n")


def run_recbole(python, path, model, settings, more=()):
    """The arrays that `recbole_peers.py` makes in the environment of `python`, {name: array}."""
    script = pathlib.Path(__file__).parent / "recbole_peers.py"
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "lists.npz")
        command = [python, str(script), "--data", str(path), "--model", model, *more]
        command += ["--settings", json.dumps(settings), "--out", out]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        with np.load(out) as arrays:
            return {name: arrays[name] for name in arrays.files}
