"""The records of `accuracy.py`: where they lie, their order, and paired bootstraps between them.

Imports skdiffrec only where a bootstrap is made, so that `make_page.py` needs nothing but the JSON.
"""

import json
import math
import pathlib
import re

from protocol import save

INPUTS = ("train", "train+valid")
TABLES = ("sets", "times")
OURS, CHOSEN, LINEAR, FACTORS = "CFG", "CFG, scale chosen", "EASE", "ALS"
MODELS = (  # in the order of the tables; others come last
    "popularity",
    "ItemKNN",
    LINEAR,
    FACTORS,
    "BPR",
    "MultVAE",
    "RecVAE",
    "DiffRec",
    "LDiffRec",
    "SLIMElastic",
    "SASRec",
    "GRU4Rec",
    "pseudo-guidance",
    "paper, no guidance",
    "paper",
    OURS,
    CHOSEN,
)
SUMMARY = "summary.json"
TOLERANCE = 1e-5  # between a mean in a record and the mean of the float32 values per user


def path_of(folder, data, table, input, model, suffix=".json"):
    """Where the result of a model is, or a file beside it."""
    slug = re.sub("[^a-z0-9]+", "-", model.lower()).strip("-")
    return pathlib.Path(folder) / data / f"{input.replace('+', '-')}__{table}__{slug}{suffix}"


def records(out):
    """{(data, table, input): {model: record}} of all results, models in the order of MODELS."""
    found = {}
    for path in sorted(pathlib.Path(out).glob("*/*.json")):
        record = json.loads(path.read_text())
        group = record["data"], record["table"], record["input"]
        found.setdefault(group, {})[record["model"]] = record
    groups = sorted(found, key=lambda g: (TABLES.index(g[1]), INPUTS.index(g[2]), g[0]))
    return {group: dict(sorted(found[group].items(), key=_place)) for group in groups}


def _place(item):
    return (MODELS.index(item[0]), "") if item[0] in MODELS else (len(MODELS), item[0])


def best_baseline(models):
    """The baseline that is best on valid; None if there is no baseline."""
    baselines = [record for record in models.values() if record["baseline"]]
    return max(baselines, key=lambda r: r["valid"]["N@10"], default=None)


def better(models):
    """The better of EASE and ALS on test; None where one of them is missing."""
    if not {LINEAR, FACTORS} <= set(models):
        return None
    return max((models[LINEAR], models[FACTORS]), key=lambda r: r["test"]["N@10"])


def pairs(models):
    """The pairs of records that the tables compare."""
    best, ours = best_baseline(models), models.get(OURS)
    if best:
        yield from ((best, record) for record in models.values() if record is not best)
    if ours and better(models):
        yield better(models), ours
    if ours and CHOSEN in models:
        yield ours, models[CHOSEN]


def key_of(a, b):
    return " | ".join((a["data"], a["table"], a["input"], f"{a['model']} -> {b['model']}"))


def fits(result, a, b):
    """Whether a bootstrap is of these two records: their means are in it."""
    means = zip((result["mean_a"], result["mean_b"]), (a, b), strict=True)
    return all(math.isclose(m, r["test"]["N@10"], rel_tol=0, abs_tol=TOLERANCE) for m, r in means)


def bootstraps(out):
    """A function (a, b) -> {difference, low, high, p_value, ...} of nDCG@10, or None."""
    path = pathlib.Path(out) / SUMMARY
    found = json.loads(path.read_text()) if path.exists() else {}

    def between(a, b):
        result = found.get(key_of(a, b))
        return result if result and fits(result, a, b) else None

    return between


def update_bootstraps(out, cache):
    """Write summary.json: bootstraps that still fit their records stay, others are made again.

    Those whose values per user are not in the cache are left out, with a message.
    """
    before, summary = bootstraps(out), {}
    for models in records(out).values():
        for a, b in pairs(models):
            result = before(a, b) or _made(a, b, cache)
            if result and fits(result, a, b):
                summary[key_of(a, b)] = result
            else:
                print(f"no values per user for {key_of(a, b)}: run accuracy.py with --force")
    save(pathlib.Path(out) / SUMMARY, summary)


def _made(a, b, cache):
    import numpy as np

    from skdiffrec.metrics import compare

    names = [(r["data"], r["table"], r["input"], r["model"]) for r in (a, b)]
    paths = [path_of(cache, *name, suffix=".npy") for name in names]
    if not all(path.exists() for path in paths):
        return None
    return compare(*map(np.load, paths), random_state=0)._asdict()
