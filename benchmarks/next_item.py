"""Next-item prediction, leave-one-out, full ranking: the library beside sequence models.

    python benchmarks/next_item.py ../shared/data/amazon-beauty.npz \\
        ../shared/data/ml-1m_clean.npz --rectools-python ENV/bin/python

Takes .npz files of the data folder and text files of lines "user item item ...". Protocol as in
`sequences.py`. Baselines choose their settings on valid, on fits of the rest, of a fixed grid;
CFGDiffusionRecommender has ``horizon=1`` and else its defaults for all data. Every model is then
fitted once a seed on the rest, lists of test are made from rest and valid without a new fit. A
curve holds the quality on valid of fits that end early, against their seconds. RecTools' models
(`rectools_peers.py`) need an environment of their own; they stop early on valid or after
`--max-minutes`. One JSON a data set and model in `--out`; what is there is not run again without
`--force`.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import scipy.sparse as sp
from protocol import save
from published import PUBLISHED
from sequences import CUTOFFS, evaluate, load
from sklearn.model_selection import ParameterGrid
from timing import machine, markdown

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import (
    EASERecommender,
    ItemItemRecommender,
    ItemKNNRecommender,
    PopularityRecommender,
)

K = max(CUTOFFS)
CHOSEN_BY = "N@10"
CURVE_EPOCHS = (1, 4)
PEERS = {"SASRec, sampled softmax": "sasrec", "eSASRec": "esasrec"}


class MarkovRecommender(ItemItemRecommender):
    """First-order Markov chain: ridge regression from an item to the one that came next."""

    _weights_name = "transitions_"

    def __init__(self, *, reg=10.0, values="time", half_life=1.0):
        self.reg = reg
        self.values = values
        self.half_life = half_life

    def _learn(self, X, row_weight=None):
        row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        order = np.lexsort((X.data, row))
        item, row = X.indices[order], row[order]
        same = row[1:] == row[:-1]
        pairs = sp.coo_array(
            (np.ones(same.sum()), (item[:-1][same], item[1:][same])), shape=(X.shape[1],) * 2
        )
        scale = 1 / (pairs.sum(axis=1) + self.reg)
        return (sp.diags_array(scale) @ pairs).tocsr().astype(np.float32)


HALF_LIVES = [0.5, 1.0, 2.0, 5.0]
GRIDS = {
    "popularity": (PopularityRecommender, {}),
    "ItemKNN": (
        ItemKNNRecommender,
        {"n_neighbors": [50, 200], "shrinkage": [0.0, 10.0], "half_life": HALF_LIVES},
    ),
    "EASE": (EASERecommender, {"reg": [50.0, 200.0, 800.0], "half_life": HALF_LIVES}),
    "Markov": (MarkovRecommender, {"reg": [1.0, 10.0, 100.0], "half_life": HALF_LIVES}),
}
OURS = "CFG"
NEXT = {"values": "time", "horizon": 1, "device": "cpu"}


def matrix(sequences, n_left_out):
    """CSR of the times of all but the last `n_left_out` items of every user."""
    user, item, time = sequences.history(n_left_out)
    return sp.csr_array((time, (user, item)), shape=(sequences.n_users, sequences.n_items))


class Task:
    """A data set: what is fitted, what lists are made from, what is to be found."""

    def __init__(self, path):
        self.sequences = load(path)
        self.name = self.sequences.name
        self.rest, self.with_valid = (matrix(self.sequences, n) for n in (2, 1))
        self.valid, self.test = (self.sequences.target(n) for n in (1, 0))

    def on_valid(self, model):
        return evaluate(model.recommend(k=K)[0], self.valid)

    def on_test(self, model):
        """(metrics, seconds a thousand users)"""
        start = time.perf_counter()
        ids = model.recommend(X=self.with_valid, k=K)[0]
        seconds = time.perf_counter() - start
        return evaluate(ids, self.test), 1000 * seconds / len(ids)


def fitted(model, X):
    """(model, seconds)"""
    start = time.perf_counter()
    model.fit(X)
    return model, time.perf_counter() - start


def baseline(name, task, options):
    """The settings that are best on valid, evaluated on test."""
    kind, grid = GRIDS[name]
    values = {} if kind is PopularityRecommender else {"values": "time"}
    best = None
    for settings in ParameterGrid(grid):
        model, seconds = fitted(kind(**values, **settings), task.rest)
        valid = task.on_valid(model)
        if best is None or valid[CHOSEN_BY] > best[0][CHOSEN_BY]:
            best = valid, settings, model, seconds
    valid, settings, model, seconds = best
    test, list_seconds = task.on_test(model)
    curve = [{"seconds": seconds, CHOSEN_BY: valid[CHOSEN_BY]}]
    return record_of([valid], [test], [seconds], [list_seconds], curve, settings)


def ours(task, options):
    """The defaults for the next item, every seed; the curve is that of seed 0."""
    runs = []
    for seed in range(options.seeds):
        model = CFGDiffusionRecommender(**NEXT, random_state=seed)
        model, seconds = fitted(model, task.rest)
        runs.append((task.on_valid(model), *task.on_test(model), seconds))
    valid, test, list_seconds, fit_seconds = map(list, zip(*runs, strict=True))
    curve = []
    for epochs in CURVE_EPOCHS:
        model = CFGDiffusionRecommender(**NEXT, random_state=0, max_epochs=epochs)
        model, seconds = fitted(model, task.rest)
        curve.append({"seconds": seconds, CHOSEN_BY: task.on_valid(model)[CHOSEN_BY]})
    curve.append({"seconds": fit_seconds[0], CHOSEN_BY: valid[0][CHOSEN_BY]})
    return record_of(valid, test, fit_seconds, list_seconds, curve, {})


def peer(name, path, task, options):
    """A model of RecTools, every seed."""
    runs, curve = [], None
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "lists.npz")
            script = pathlib.Path(__file__).parent / "rectools_peers.py"
            command = [options.rectools_python, str(script), str(path), "--model", PEERS[name]]
            command += ["--seed", str(seed), "--out", str(out)]
            command += ["--max-minutes", str(options.max_minutes)]
            subprocess.run(command, check=True)
            with np.load(out) as found:
                valid = evaluate(found["valid_ids"], task.valid)
                test = evaluate(found["test_ids"], task.test)
                runs.append((valid, test, float(found["seconds"]), float(found["list_seconds"])))
                if curve is None:
                    points = found["curve"].tolist()
                    curve = [{"seconds": s, CHOSEN_BY: quality} for s, quality in points]
                settings = json.loads(str(found["settings"]))
    valid, test, seconds, list_seconds = map(list, zip(*runs, strict=True))
    found = record_of(valid, test, seconds, list_seconds, curve, settings)
    return found | {"max_minutes": options.max_minutes}


def record_of(valid, test, fit_seconds, list_seconds, curve, settings):
    def means(of_seeds):
        return {m: float(np.mean([one[m] for one in of_seeds])) for m in of_seeds[0]}

    return {
        "settings": settings,
        "valid": means(valid),
        "test": means(test),
        "test_by_seed": test,
        "fit_seconds": float(np.mean(fit_seconds)),
        "seconds_per_1000_users": float(np.mean(list_seconds)),
        "curve": curve,
    }


def run(name, path, task, options):
    if name in PEERS:
        found = peer(name, path, task, options)
    else:
        found = ours(task, options) if name == OURS else baseline(name, task, options)
    return {"data": task.name, "model": name, **found, "machine": machine()}


def table(records, name):
    """Rows of measured and published figures of one data set."""
    rows = []
    for record in records:
        row = {"model": record["model"]}
        row |= {metric: f"{value:.4f}" for metric, value in record["test"].items()}
        row |= {"fit s": f"{record['fit_seconds']:.1f}"}
        rows.append(row | {"s / 1,000 users": f"{record['seconds_per_1000_users']:.3f}"})
    for model, figures in PUBLISHED.get(name, {}).items():
        row = dict.fromkeys(rows[0], "") if rows else {}
        rows.append(
            row
            | {"model": f"{model} (published)"}
            | {metric: f"{value:.4f}" for metric, value in figures.items()}
        )
    return markdown(rows)


def draw(records, path):
    """Quality on valid against seconds of training."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for record in records:
        curve = record["curve"]
        x, y = [p["seconds"] for p in curve], [p[CHOSEN_BY] for p in curve]
        ax.plot(x, y, marker="o", markersize=3, label=record["model"])
    ax.set(xscale="log", xlabel="seconds of training", ylabel="nDCG@10 on valid")
    ax.set_title(records[0]["data"])
    ax.legend(fontsize=8)
    figure.savefig(path)
    plt.close(figure)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=pathlib.Path, help=".npz or text files")
    names = [*GRIDS, OURS, *PEERS]
    parser.add_argument("--models", nargs="+", choices=names, default=names, metavar="MODEL")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rectools-python", help="the Python of an environment with rectools")
    parser.add_argument("--max-minutes", type=float, default=100, help="of each RecTools fit")
    parser.add_argument("--out", type=pathlib.Path, default="benchmarks/results/next_item")
    parser.add_argument("--force", action="store_true", help="run again what is there")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    missing = [str(path) for path in options.data if not path.is_file()]
    if missing:
        parser.error(f"there is no file {', '.join(missing)}")
    return options


def main():
    options = parsed()
    for path in options.data:
        task, records = Task(path), []
        for name in options.models:
            slug = "".join(c if c.isalnum() else "-" for c in name.lower())
            file = options.out / task.name / f"{slug}.json"
            if options.force or not file.exists():
                if name in PEERS and not options.rectools_python:
                    print(f"without --rectools-python, not run: {name}")
                    continue
                file.parent.mkdir(parents=True, exist_ok=True)
                save(file, run(name, path, task, options))
            records.append(json.loads(file.read_text()))
        print(f"\n{task.name}: {task.sequences.n_users:,} users, {task.sequences.n_items:,} items")
        print(table(records, task.name))
        if records:
            draw(records, options.out / task.name / "curves.png")


if __name__ == "__main__":
    main()
