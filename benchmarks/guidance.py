"""Accuracy by guidance scale, against tuned baselines, on one data set.

    python benchmarks/guidance.py ../shared/data/ml-1m_clean.npz
    python benchmarks/guidance.py ../shared/data/ml-1m_clean.npz --models paper --scales 0 1 2

Protocol: fit on train; baselines' settings chosen by nDCG@10 on valid; lists made from train, and
leaving out train and valid, are evaluated on test; means over seeds. Prints a table and saves JSON.
"""

import argparse
import itertools
import pathlib
import resource
import time

import numpy as np
import torch
from protocol import longest, save, without

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender, PopularityRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.metrics import ndcg_at_k, recall_at_k

ALS_GRID = {
    "factors": (32, 64, 128),
    "regularization": (0.01, 1.0, 10.0),
    "alpha": (1.0, 4.0),
}
EASE_GRID = {"reg": (100.0, 200.0, 400.0, 800.0, 1000.0, 1500.0)}
RECENCY_GRID = {**EASE_GRID, "half_life": (1.0, 2.0, 5.0, 10.0)}
METRICS = ("R@10", "R@20", "N@10", "N@20")


def lists(model, data, k=20, **options):
    """Top k of every user from the training rows, as they are and without the items of valid."""
    ids, _ = model.recommend(k=k + longest(data.valid), **options)
    return ids[:, :k], without(ids, data.valid, k)


def evaluate(ids, holdout):
    recall = [recall_at_k(ids, holdout, k) for k in (10, 20)]
    return dict(zip(METRICS, recall + [ndcg_at_k(ids, holdout, k) for k in (10, 20)], strict=True))


def result(model, data, seconds, **options):
    for_valid, for_test = lists(model, data, **options)
    valid, test = evaluate(for_valid, data.valid), evaluate(for_test, data.test)
    return {"valid": valid, "test": test, "fit_seconds": seconds}


def tuned(make, grid, data):
    """The result of the model that is best on valid."""
    best = None
    for point in itertools.product(*grid.values()):
        settings = dict(zip(grid, point, strict=True))
        start = time.perf_counter()
        model = make(**settings).fit(data.train)
        found = result(model, data, time.perf_counter() - start) | {"settings": settings}
        if best is None or found["valid"]["N@10"] > best["valid"]["N@10"]:
            best = found
    return best


def mean_of(results):
    """One result from those of several seeds."""
    mean = {
        split: {m: float(np.mean([r[split][m] for r in results])) for m in METRICS}
        for split in ("valid", "test")
    }
    spread = float(np.std([r["test"]["N@20"] for r in results]))
    seconds = float(np.mean([r["fit_seconds"] for r in results]))
    return {**mean, "fit_seconds": seconds, "std_test_N@20": spread, "n_seeds": len(results)}


def by_scale(make, data, seeds, scales):
    """Results of one configuration, by guidance scale; one fit a seed."""
    found = {scale: [] for scale in scales}
    for seed in seeds:
        start = time.perf_counter()
        model = make(random_state=seed).fit(data.train)
        seconds = time.perf_counter() - start
        print(f"  seed {seed}: {model.n_iter_} epochs, {seconds:.0f} s", flush=True)
        for scale in scales:
            found[scale].append(result(model, data, seconds, guidance_scale=scale))
    return {scale: mean_of(results) for scale, results in found.items()}


def report(name, found, table):
    table[name] = found
    test, valid = found["test"], found["valid"]
    cells = "  ".join(f"{test[m]:.4f}" for m in METRICS)
    print(f"{name:28} {cells}   valid N@10 {valid['N@10']:.4f}  fit {found['fit_seconds']:.1f} s")


def run(options):
    table, seeds = {}, range(options.seeds)
    print(f"{'test':28} {'  '.join(f'{m:>6}' for m in METRICS)}")
    data = {values: None for values in ("binary", "time")}
    data["binary"] = load_npz(options.data)
    if data["binary"].has_times:
        data["time"] = load_npz(options.data, values="time")
    if "baselines" in options.models:
        report("popularity", tuned(PopularityRecommender, {}, data["binary"]), table)
        als = tuned(lambda **s: ALSRecommender(random_state=0, **s), ALS_GRID, data["binary"])
        report("ALS", als, table)
        report("EASE", tuned(EASERecommender, EASE_GRID, data["binary"]), table)
        if data["time"] is not None:
            ease = tuned(
                lambda **s: EASERecommender(values="time", **s), RECENCY_GRID, data["time"]
            )
            report("EASE, recency", ease, table)
    configurations = {
        "binary": (CFGDiffusionRecommender, "binary"),
        "time": (lambda **s: CFGDiffusionRecommender(values="time", **s), "time"),
        "paper": (CFGDiffusionRecommender.paper, "binary"),
    }
    for name in options.models:
        if name in configurations and data[configurations[name][1]] is not None:
            make, values = configurations[name]
            for scale, found in by_scale(make, data[values], seeds, options.scales).items():
                report(f"CFG {name}, scale {scale:g}", found, table)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scales", type=float, nargs="+", default=(0.0, 0.5, 1.0, 1.3, 2.0, 4.0))
    parser.add_argument("--models", nargs="+", default=("baselines", "binary", "time"))
    parser.add_argument("--json", help="where to save the table")
    options = parser.parse_args()
    table = run(options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{torch.get_num_threads()} threads, peak memory {peak:.2f} GB")
    record = {"data": pathlib.Path(options.data).name, "input": "train", "table": table}
    record |= {"threads": torch.get_num_threads(), "peak_memory_gb": peak}
    save(options.json, record)


if __name__ == "__main__":
    main()
