"""Speed and memory against implicit's ALS, EASE, RecBole and a bare product, bar by bar.

    python benchmarks/speed.py ../shared/data --recbole-python ../recbole/bin/python
    python benchmarks/speed.py ../shared/data --parts a b f --cache ../speed_cache
    python benchmarks/speed.py ../shared/data --against b935f27

Parts: a, what sampling steps cost over one product with the output layer; b, lists of all users
against ALS; c, training to EASE's quality against RecBole's DiffRec; d, an epoch against RecBole's
MultVAE; e, all models, with peak memory; f, latency of one user. A ratio is the median of those of
the turns (A B A B) within one run, so that drift of a busy machine affects both. The record of a
part replaces the one in --json, where the others stay. c, d and RecBole's rows in e need
--recbole-python, an environment with RecBole 1.2.1. --cache keeps fitted models on disk, by data
and parameters; clear it when the library has changed. --quick cuts the data, to try the script.

--against REV compares this version with another commit instead: each in its own checkout and
process, in turns, with the import, default fits, lists and single users.

EASE's reg is chosen on valid. ALS recommends with random factors, which is as fast, with the
faster of two settings of threads. RecBole makes lists of 100 through `recbole_peers.py`, others
of 20.
"""

import argparse
import functools
import json
import pathlib
import tempfile

import numpy as np
from speed_against import against
from speed_models import K, als_runs, fastest, fitted, load, random_als, variant
from speed_training import MODELS_DATA, QUALITY_DATA, epochs, models, to_quality
from timing import (
    bare_topk,
    in_turns,
    machine,
    markdown,
    merge,
    n_fitted_users,
    output_layer,
    ratio,
    timed,
)

BATCH_DATA = ("gowalla", "ml-1m_clean", "amazon-beauty")
AGAINST_DATA = [
    f"{name}:{values}"
    for name, values in (
        ("ml-1m_clean", "binary"),
        ("ml-1m_clean", "time"),
        ("amazon-beauty", "binary"),
        ("amazon-beauty", "time"),
        ("gowalla", "binary"),
    )
]
LATENCY_MS = {"ml-1m_clean": 5, "gowalla": 25}
N_LATENCIES = 200
STEPS_USERS = 10_000
QUICK_USERS, QUICK_ITEMS = 600, 1500


def bar(what, value, limit, at_most=True):
    """A row of the table of bars; None is a value that was not reached."""
    met = value is not None and bool(value <= limit if at_most else value >= limit)
    return {
        "bar": what,
        "value": value,
        "limit": f"{'<=' if at_most else '>='} {limit}",
        "met": met,
    }


def sampling_steps(options):
    """a: guided sampling over gowalla's catalogue against the bare product."""
    model = fitted(options, "gowalla")
    longer = fitted(options, "gowalla", n_timesteps=1000, max_epochs=1)
    users = np.random.RandomState(0).permutation(n_fitted_users(model))[:STEPS_USERS]

    def lists(model, steps):
        sampled = variant(model, n_sampling_steps=steps, guidance_scale=1.5)
        return functools.partial(sampled.recommend, users, k=K)

    runs = {
        "bare product, topk": bare_topk(output_layer(model), len(users), K),
        "1 step": lists(model, 1),
        "50 steps": lists(model, 50),
        "1000 steps": lists(longer, 1000),
    }
    seconds = in_turns(runs, options.repeats)
    bare = seconds["bare product, topk"]
    rows = [
        {
            "guidance 1.5": name,
            "users": len(users),
            "s": float(np.median(s)),
            "users/s": len(users) / float(np.median(s)),
            "/ bare, per user": ratio(s, bare),
        }
        for name, s in seconds.items()
    ]
    bars = [
        bar("a: 50 steps / bare product", ratio(seconds["50 steps"], bare), 1.3),
        bar("a: 1,000 steps / bare product", ratio(seconds["1000 steps"], bare), 2.0),
    ]
    return {"rows": rows, "bars": bars, "seconds": seconds}


def batch_lists(options):
    """b: lists of all users against implicit's own batch recommend."""
    rows, bars, record = [], [], {}
    for name in BATCH_DATA:
        model, X = fitted(options, name), load(options, name).train
        table = output_layer(model)
        width = table.shape[1]
        runs = {"ours": functools.partial(model.recommend, k=K)}
        runs["bare product, topk"] = bare_topk(table, X.shape[0], K)
        labels = [f"ALS {factors}" for factors in dict.fromkeys((width, 256, 64))]
        for label in labels:
            als = random_als(X, int(label.split()[1]))
            runs |= als_runs(als, X, label) | als_runs(als, X, f"{label} unfiltered", False)
        record[name] = seconds = in_turns(runs, options.repeats)
        best = {label: fastest(seconds, label) for label in labels}
        best |= {f"{label} unfiltered": fastest(seconds, f"{label} unfiltered") for label in labels}
        for run in ("ours", "bare product, topk", *best.values()):
            median = float(np.median(seconds[run]))
            rows.append({"data": name, "lists of 20": run, "s": median})
            rows[-1] |= {
                "users/s": X.shape[0] / median,
                "width": width if "ALS" not in run else None,
            }
        for label, limit in ((f"ALS {width}", 0.9), ("ALS 256", 1.0)):
            value = ratio(seconds[best[label]], seconds["ours"])
            bars.append(bar(f"b: {name}: users/s, ours / {label}", value, limit, at_most=False))
    return {"rows": rows, "bars": bars, "seconds": record}


def latency(options):
    """f: `recommend` for one user after the other."""
    rows, bars = [], []
    for name, limit in LATENCY_MS.items():
        model = fitted(options, name)
        users = np.random.RandomState(0).permutation(n_fitted_users(model))[:N_LATENCIES]
        model.recommend(0, k=K)  # what a model makes once is not a user's latency
        ms = [1000 * timed(functools.partial(model.recommend, int(u), k=K))[0] for u in users]
        median, p95 = np.percentile(ms, [50, 95])
        rows.append({"data": name, "users": len(users), "median ms": median, "95 % ms": p95})
        bars.append(bar(f"f: {name}: median ms of one user", median, limit))
    return {"rows": rows, "bars": bars}


def trained_to_quality(options):
    """c."""
    found = to_quality(options)
    label = "c: ml-1m_clean: seconds to EASE's nDCG@10 on"
    bars = []
    for split in ("valid", "test"):
        ours = found["ours_seconds"].get(split)
        apart = ours and ours["seconds"]
        whole = ours and sum(ours.values())
        bars.append(bar(f"{label} {split}, evaluation included", whole, 30))
        for name, seconds in (("", apart), (", evaluation included", whole)):
            share = seconds and seconds / found["diffrec_seconds"]
            bars.append(bar(f"{label} {split}{name} / DiffRec's to its best", share, 0.1))
    return found | {"bars": bars}


def epoch_times(options):
    """d."""
    found = epochs(options)
    return found | {
        "bars": [
            bar("d: gowalla: epoch / MultVAE's", found["to_multvae"], 1.5),
            bar("d: gowalla: epoch / dense loss's, per row", found["to_dense"], 0.333),
        ]
    }


def all_models(options):
    """e."""
    found = models(options)
    _join_quality(found["rows"], options.json)
    bars = []
    for row in found["rows"]:
        if (row["data"], row["model"]) == ("gowalla", "ours"):
            fit = row["fit MB"] - row["weights MB"]
            bars.append(bar("e: gowalla: fit, peak over data and weights, MB", fit, 1500))
            lists = row["lists MB"]
            bars.append(bar("e: gowalla: lists, peak over data and weights, MB", lists, 1500))
    return found | {"bars": bars}


def _join_quality(rows, path):
    """Seconds to EASE's quality on test, from part c where it has run and evaluated on test."""
    path = pathlib.Path(path)
    before = json.loads(path.read_text()) if path.exists() else {}
    seconds = {
        row["model"].removesuffix(", defaults"): row.get("s to EASE's on test")
        for row in before.get("c", {}).get("rows", ())
    }
    for row in rows:
        if row["data"] == QUALITY_DATA:
            row["s to EASE's nDCG@10"] = seconds.get(row["model"])


PARTS = {
    "a": sampling_steps,
    "b": batch_lists,
    "c": trained_to_quality,
    "d": epoch_times,
    "e": all_models,
    "f": latency,
}


def cut(options, folder):
    """Write small copies of the data sets into a folder and point the options at them."""
    for name in BATCH_DATA:
        with np.load(options.folder / f"{name}.npz") as arrays:
            keep = (arrays["user"] < QUICK_USERS) & (arrays["item"] < QUICK_ITEMS)
            np.savez(folder / f"{name}.npz", **{n: arrays[n][keep] for n in arrays.files})
    options.folder, options.max_epochs, options.cache = folder, 2, None


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where the .npz files are")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--recbole-python", help="the Python of an environment with recbole")
    parser.add_argument("--against", metavar="REV", help="a commit to compare with, and no parts")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", nargs="+", help="of e, or NAME:VALUES of --against")
    parser.add_argument("--max-epochs", type=int, default=40, help="of our fits; memory needs one")
    parser.add_argument("--slow-repeats", type=int, default=2, help="of c and d")
    parser.add_argument("--cache", help="folder for fitted models; default none")
    parser.add_argument("--quick", action="store_true", help="on small parts of the data")
    parser.add_argument("--json", help="default benchmarks/results/speed.json or its like")
    options = parser.parse_args()
    if options.against:
        options.data = options.data or AGAINST_DATA
        options.json = options.json or "benchmarks/results/speed_against.json"
        return options
    options.data = options.data or MODELS_DATA
    options.json = options.json or "benchmarks/results/speed.json"
    if {"c", "d"} & set(options.parts) and not options.recbole_python:
        parser.error("parts c and d need --recbole-python: an environment with RecBole 1.2.1.")
    if min(options.repeats, options.slow_repeats) < 1:
        parser.error("--repeats and --slow-repeats must be at least 1.")
    return options


def main():
    options = parsed()
    if options.against:
        against(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            cut(options, pathlib.Path(folder))
        for part in options.parts:
            print(f"part {part}", flush=True)
            where = machine()
            record = PARTS[part](options)
            about = {"machine": where, "quick": options.quick, "max_epochs": options.max_epochs}
            merge(options.json, part, about | record)
            print(markdown(record["rows"]), flush=True)
    found = json.loads(pathlib.Path(options.json).read_text())
    print(markdown([row for part in sorted(found) for row in found[part]["bars"]]))


if __name__ == "__main__":
    main()
