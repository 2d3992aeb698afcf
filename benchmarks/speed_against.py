"""This version of the library against another one, in turns: part of `speed.py --against`."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from timing import machine, markdown

from skdiffrec.datasets import load_npz

HERE = pathlib.Path(__file__).resolve().parent
SMALLER = ("fit s", "fit MB", "lists s", "lists MB", "one user ms", "one user p99 ms", "import s")


def against(options):
    """The record of both versions: every turn, and ratios of the medians."""
    record = {"revision": options.against, "machine": machine(), "turns": {}, "ratios": []}
    with tempfile.TemporaryDirectory() as folder:
        other = pathlib.Path(folder) / "other"
        git = ["git", "-C", str(HERE.parent), "worktree"]
        subprocess.run([*git, "add", "--detach", "-f", str(other), options.against], check=True)
        try:
            trees = {"other": other, "this": HERE.parent}
            record["turns"]["import"] = _imports(trees, options.repeats)
            record["ratios"].append(_ratios("import", record["turns"]["import"]))
            for name in options.data:
                turns = _turns(options, name, trees, folder)
                record["turns"][name] = turns
                record["ratios"].append(_ratios(name, turns))
                pathlib.Path(options.json).write_text(json.dumps(record, indent=1) + "\n")
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)
    print(markdown(record["ratios"]))
    return record


def _imports(trees, repeats):
    """Seconds of `import skdiffrec` alone."""
    found = {name: [] for name in trees}
    for _ in range(2 * repeats + 1):
        for name, tree in trees.items():
            start = time.perf_counter()
            _run(tree, "-c", "import skdiffrec")
            found[name].append({"import s": time.perf_counter() - start})
    return {name: rows[1:] for name, rows in found.items()}  # the first reads the disk


def _turns(options, name, trees, folder):
    """{version: what `one_revision.py` found in every turn, each with a seed of its own}"""
    data, values = name.split(":")
    path, out = pathlib.Path(folder) / "data.npz", pathlib.Path(folder) / "out.json"
    _write(load_npz(options.folder / f"{data}.npz", values=values), path)
    found = {version: [] for version in trees}
    if values == "binary":
        trees = trees | {"ALS": trees["this"]}
        found["ALS"] = []
    for seed in range(options.repeats):
        for version, tree in trees.items():
            kind = "als" if version == "ALS" else values
            _run(tree, str(HERE / "one_revision.py"), str(path), kind, str(seed), str(out))
            found[version].append(json.loads(out.read_text()))
            print(
                f"  {name} {seed + 1}/{options.repeats} {version}: {found[version][-1]}", flush=True
            )
    return found


def _write(data, path):
    arrays = {"shape": np.array(data.train.shape)}
    for name in ("train", "valid", "test"):
        for part in ("data", "indices", "indptr"):
            arrays[f"{name}_{part}"] = getattr(data[name], part)
    np.savez(path, **arrays)


def _run(tree, *arguments):
    paths = os.pathsep.join([str(tree), str(HERE)])
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
    if "als" in arguments:  # implicit's own threads would wait for those of BLAS
        environment |= {"OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *arguments], check=True, env=environment)


def _ratios(name, turns):
    """Medians of this version over those of the other; means of quality."""
    row: dict = {"data": name}
    for what in turns["this"][0]:
        this, other = ([turn[what] for turn in turns[version]] for version in ("this", "other"))
        if what in SMALLER:
            row[what] = float(np.median(this) / np.median(other))
        elif "nDCG" in what:
            row[what] = float(np.mean(this) / np.mean(other) - 1)
    if "ALS" in turns:
        als = np.median([turn["fit s"] for turn in turns["ALS"]])
        row["fit / ALS"] = float(np.median([turn["fit s"] for turn in turns["this"]]) / als)
    return row
