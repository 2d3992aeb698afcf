"""Accuracy of all models on all data sets, one JSON each.

    python benchmarks/accuracy.py ../shared/data
    python benchmarks/accuracy.py ../shared/data --data ml-100k lastfm --models EASE ALS CFG \\
        --inputs train --trials 10 --seeds 3 --out benchmarks/results/accuracy

Protocol: of settings drawn at random, as many for every model that is tuned, those with the best
nDCG@10 on valid are chosen, with models fitted on train and lists made from train. The chosen ones
are evaluated on test, once: means over the users with a test item, and over seeds where a model is
random. Input "train": fitted on train, lists made from train, leaving out train and valid. Input
"train+valid": the same settings, fitted on both, lists made from both. The table "sets" is of
models that see which items a user took, the table "times" of models that also see when.
What is in the output folder already is not run again; with --again it is, without a search, with
the settings that are there. At the end the paired bootstraps between the records are written into
summary.json beside them; `make_page.py` makes the tables.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
import time
import warnings

import numpy as np
from accuracy_models import SPECS, Task
from accuracy_records import INPUTS, TABLES, path_of, update_bootstraps
from protocol import save
from sklearn.model_selection import ParameterSampler
from timing import machine
from tqdm import tqdm

from skdiffrec.datasets import load_npz
from skdiffrec.metrics import coverage_at_k, ndcg_at_k, recall_at_k

METRICS = {
    "R@10": (recall_at_k, 10),
    "R@20": (recall_at_k, 20),
    "N@10": (ndcg_at_k, 10),
    "N@20": (ndcg_at_k, 20),
}
LENGTHS = {"0": (0, 0), "1-5": (1, 5), "6-20": (6, 20), "21-100": (21, 100), "more": (101, np.inf)}
LARGE_ITEMS = 10_000  # above, --trials-large
SAMPLER_SEED = 0
PACKAGES = ("skdiffrec", "numpy", "scipy", "scikit-learn", "torch", "implicit")


def candidates(spec, task, options):
    """Settings to be fitted: drawn at random, or only the defaults where nothing is searched."""
    space = spec.space_of(task.table)
    if not space:
        return [{}]
    large = task.data.n_items > LARGE_ITEMS
    n = options.trials_large if large else options.trials
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The total space of parameters")
        drawn = list(ParameterSampler(space, n, random_state=SAMPLER_SEED))
    return [{name: plain(value) for name, value in settings.items()} for settings in drawn]


def plain(value):
    """A number that JSON knows; floats with the digits that matter."""
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.4g}") if isinstance(value, float) else value


def fitted(spec, task, settings, seed):
    """A fit; kept where models of one family need the same."""
    if spec.family is None:
        return spec.fit(task, settings, seed)
    key = spec.family, json.dumps(settings, sort_keys=True), seed
    if key not in task.fits:
        task.fits[key] = spec.fit(task, settings, seed)
    return task.fits[key]


def search(spec, task, options, step):
    """All trials, in order: settings, nDCG@10 on valid, seconds.

    Settings that need no training are evaluated on the fits of all seeds if nothing else is
    searched.
    """
    spaces, trials = candidates(spec, task, options), []
    if spaces == [{}] and len(spec.free) == 1:
        return []
    seeds = range(options.seeds if spec.family and spec.random else 1)
    for i, settings in enumerate(spaces):
        step(f"trial {i + 1}")
        fits = [fitted(spec, task, settings, seed) for seed in seeds]
        for free in spec.free:
            start = time.perf_counter()
            found = [ndcg_at_k(fit.valid_ids(free), task.data.valid, 10) for fit in fits]
            seconds = time.perf_counter() - start + sum(fit.seconds for fit in fits)
            trials.append({"settings": settings | free, "valid N@10": float(np.mean(found))})
            trials[-1] |= {"seconds": round(seconds, 2)} | fits[0].extra
    return trials


def evaluate(ids, holdout):
    """{metric: value per user}, NaN without a holdout."""
    return {name: metric(ids, holdout, k, per_user=True) for name, (metric, k) in METRICS.items()}


def means(per_user):
    return {name: float(np.nanmean(values)) for name, values in per_user.items()}


def by_length(per_user, rows):
    """nDCG@10 and recall@20 by the number of items in the row that the list was made from."""
    length, table = np.diff(rows.indptr), []
    evaluated = ~np.isnan(per_user["N@10"])
    for name, (low, high) in LENGTHS.items():
        group = evaluated & (length >= low) & (length <= high)
        row = {"length": name, "users": int(group.sum())}
        if group.any():
            row |= {m: float(per_user[m][group].mean()) for m in ("N@10", "R@20")}
        table.append(row)
    return table


def test(spec, task, chosen, options, step):
    """(figures on test, per-user nDCG@10), once with the chosen settings for every seed."""
    free_names = set().union(*spec.free)
    settings = {name: value for name, value in chosen.items() if name not in free_names}
    free = {name: value for name, value in chosen.items() if name in free_names}
    runs, valid, coverage, seconds, extra = [], [], [], [], []
    for seed in range(options.seeds if spec.random else 1):
        step(f"test, seed {seed}")
        fit = fitted(spec, task, settings, seed)
        for_valid, for_test = fit.lists(free)
        if for_valid is not None and task.input == "train":
            valid.append(means(evaluate(for_valid, task.data.valid)))
        runs.append(evaluate(for_test, task.data.test))
        coverage.append(coverage_at_k(for_test, task.data.n_items, 10))
        seconds.append(fit.seconds)
        extra.append(fit.extra)
    of_user = {name: np.mean([run[name] for run in runs], axis=0) for name in METRICS}
    record = {
        "test": means(of_user) | {"coverage@10": float(np.mean(coverage))},
        "test_by_seed": [
            means(run) | {"coverage@10": c} for run, c in zip(runs, coverage, strict=True)
        ],
        "n_users": int((~np.isnan(of_user["N@10"])).sum()),
        "by_length": by_length(of_user, task.rows),
        "fit_seconds": float(np.mean(seconds)),
        "extra": extra,
    }
    if valid:
        record["valid"] = {name: float(np.mean([v[name] for v in valid])) for name in METRICS}
    return record, of_user["N@10"].astype(np.float32)


def chosen_before(spec, task, options):
    """Settings, trials and valid of the record of input "train"."""
    path = path_of(options.out, task.name, task.table, "train", spec.name)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: settings are chosen with input train. Run --inputs train first."
        )
    before = json.loads(path.read_text())
    settings = dict(before["settings"])
    epochs = [extra["epochs"] for extra in before["extra"] if "epochs" in extra]
    if spec.recbole and epochs:  # without valid there is nothing to stop by
        settings["epochs"] = int(np.median(epochs))
    return settings, before["trials"], before["valid"]


def run(spec, task, options, step):
    """Search or look up the settings, evaluate them on test, write the record."""
    if task.input == "train" and not options.again:
        trials, valid = search(spec, task, options, step), None
        chosen = max(trials, key=lambda t: t["valid N@10"])["settings"] if trials else {}
    else:
        chosen, trials, valid = chosen_before(spec, task, options)
    found, per_user = test(spec, task, chosen, options, step)
    record = {
        "data": task.name,
        "input": task.input,
        "table": task.table,
        "model": spec.name,
        "baseline": spec.baseline,
        "settings": chosen,
        "n_seeds": len(found["test_by_seed"]),
        "n_trials": len(trials),
        "valid": found.pop("valid", valid),
        **found,
        "trials": trials,
        "versions": versions(),
        "machine": machine(),
    }
    cached = path_of(options.cache, task.name, task.table, task.input, spec.name, ".npy")
    cached.parent.mkdir(parents=True, exist_ok=True)
    np.save(cached, per_user)
    path = path_of(options.out, task.name, task.table, task.input, spec.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path.with_suffix(".part"), record)
    os.replace(path.with_suffix(".part"), path)


def versions():
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def jobs(options):
    """(file, table, input, specs to run) in the order of running, and the number of steps."""
    todo, n_steps = [], 0
    wanted = [spec for spec in SPECS if spec.name in options.models]
    for path in options.files:
        data = load_npz(path)
        for table in options.tables:
            if table == "times" and not data.has_times:
                continue
            for input in options.inputs:
                task = Task(path, table, input, data)
                specs = [s for s in wanted if table in s.tables and needed(s, task, options)]
                n_steps += sum(n_steps_of(spec, task, options) for spec in specs)
                if specs:
                    todo.append((path, table, input, specs))
    return todo, n_steps


def needed(spec, task, options):
    if spec.recbole and not options.recbole_python:
        return False
    path = path_of(options.out, task.name, task.table, task.input, spec.name)
    return options.force or (path.exists() if options.again else not path.exists())


def n_steps_of(spec, task, options):
    """Trials and fits for test, for the progress bar."""
    searches = task.input == "train" and not options.again
    spaces = candidates(spec, task, options) if searches else []
    searched = 0 if spaces == [{}] and len(spec.free) == 1 else len(spaces)
    return searched + (options.seeds if spec.random else 1)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where the .npz files are")
    parser.add_argument("--data", nargs="+", help="names of data sets; default all")
    names = [spec.name for spec in SPECS]
    parser.add_argument(
        "--models",
        nargs="+",
        choices=names,
        default=names,
        metavar="MODEL",
        help=f"default all: {'; '.join(names)}",
    )
    parser.add_argument("--inputs", nargs="+", choices=INPUTS, default=INPUTS)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--trials", type=int, default=20, help="settings tried of each model")
    parser.add_argument(
        "--trials-large", type=int, help=f"the same with more than {LARGE_ITEMS:,} items"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default="benchmarks/results/accuracy")
    parser.add_argument("--cache", help="for values per user; default .cache in --out")
    parser.add_argument("--recbole-python", help="the Python of an environment with recbole")
    parser.add_argument("--force", action="store_true", help="run again what is there")
    parser.add_argument("--again", action="store_true", help="the same, with the settings there")
    options = parser.parse_args()
    options.trials_large = options.trials_large or options.trials
    if min(options.trials, options.trials_large, options.seeds) < 1:
        parser.error("--trials, --trials-large and --seeds must be at least 1")
    options.inputs = [input for input in INPUTS if input in options.inputs]  # train comes first
    options.cache = options.cache or pathlib.Path(options.out) / ".cache"
    paths = sorted(options.folder.glob("*.npz"))
    found = {path.stem: path for path in paths if ".features" not in path.name}
    unknown = sorted(set(options.data or ()) - set(found))
    if unknown or not found:
        parser.error(f"no data set {unknown} in {options.folder}; it holds {sorted(found)}")
    options.files = [found[name] for name in options.data or found]
    return options


def main():
    options = parsed()
    skipped = [s.name for s in SPECS if s.recbole and s.name in options.models]
    if skipped and not options.recbole_python:
        print(f"without --recbole-python, not run: {', '.join(skipped)}", file=sys.stderr)
    todo, n_steps = jobs(options)
    with tqdm(total=n_steps) as bar:
        for path, table, input, specs in todo:
            values = "time" if table == "times" else "binary"
            data = load_npz(path, values=values)
            task = Task(path, table, input, data, options.recbole_python)
            for spec in specs:

                def step(what, label=f"{path.stem}, {input}, {table}, {spec.name}"):
                    bar.set_description(f"{label}, {what}")
                    bar.update()

                run(spec, task, options, step)
    update_bootstraps(pathlib.Path(options.out), pathlib.Path(options.cache))


if __name__ == "__main__":
    main()
