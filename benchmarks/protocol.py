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


def arguments(description, peers=()):
    """Options of a benchmark of one data set: its path, the number of seeds, where to save.

    Each of `peers`, {name: packages}, is a Python of an environment with them.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", help="JSON")
    for name, packages in dict(peers).items():
        parser.add_argument(f"--{name}-python", help=f"python with {packages}")
    return parser.parse_args()


def save(path, record):
    """Write JSON, if there is a path."""
    if path:
        pathlib.Path(path).write_text(json.dumps(record, indent=1) + "\n")


def run_recbole(python, path, model, settings, more=()):
    """The arrays that `recbole_peers.py` makes in the environment of `python`, {name: array}."""
    options = ["--data", str(path), "--model", model, *more, "--settings", json.dumps(settings)]
    return _arrays_of(python, "recbole_peers.py", options)


def feature_scores(python, script, train, known, new, *options):
    """Scores of users or items nobody has met that a script of feature-aware peers makes.

    Parameters
    ----------
    python : str
        Of the environment that it needs.
    script : {"irspack_peers.py", "lightfm_peers.py"}
    train, known, new : csr_array
        Users x items, features of those that are known and of new ones.
    """
    named = {"train": train, "train_features": known, "new_features": new}
    parts = {
        f"{name}_{part}": getattr(matrix, part)
        for name, matrix in named.items()
        for part in ("indices", "indptr", "shape")
    }
    with tempfile.TemporaryDirectory() as folder:
        rows = os.path.join(folder, "rows.npz")
        np.savez(rows, **parts)
        return _arrays_of(python, script, ["--rows", rows, *options])["scores"]


def _arrays_of(python, script, options):
    """What a script beside this one writes into its ``--out``, run by another Python."""
    script = pathlib.Path(__file__).parent / script
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.npz")
        command = [python, str(script), *options, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        with np.load(out) as arrays:
            return {name: arrays[name] for name in arrays.files}
