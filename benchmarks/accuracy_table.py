"""Markdown tables of the results of `accuracy.py`.

    python benchmarks/accuracy_table.py --out benchmarks/results/accuracy --md accuracy.md

One table for each data set, table and input: every model against the baseline with the best nDCG@10
on valid, by a paired bootstrap over users (values of a user are means over seeds). Then the gain of
CFG over the better of EASE and ALS, and nDCG@10 by length of history. The bootstraps are kept in
summary.json, so that the tables can be made again without the values per user.
"""

import argparse
import json
import pathlib

import numpy as np
from accuracy import INPUTS, LENGTHS, METRICS, TABLES, path_of
from accuracy_models import SPECS
from protocol import save

from skdiffrec.metrics import compare

OURS, LINEAR, FACTORS = "CFG", "EASE", "ALS"
CHOSEN = "CFG, scale chosen"
COLUMNS = (*METRICS, "coverage@10")
HEADINGS = {"sets": "no model sees times", "times": "models may see times"}
TOLERANCE = 1e-5  # between a mean in a record and the mean of the float32 values per user


def records(out):
    """{(data, table, input): {model: record}} of all results, models in the order of SPECS."""
    order = [spec.name for spec in SPECS]
    found = {}
    for path in sorted(out.glob("*/*.json")):
        record = json.loads(path.read_text())
        group = record["data"], record["table"], record["input"]
        found.setdefault(group, {})[record["model"]] = record
    groups = sorted(found, key=lambda g: (TABLES.index(g[1]), INPUTS.index(g[2]), g[0]))
    return {
        group: {name: found[group][name] for name in order if name in found[group]}
        for group in groups
    }


class Bootstraps:
    """Comparisons from the values per user, or from summary.json where those are not at hand.

    One whose means are no longer those of the records is made again, or else left out.
    """

    def __init__(self, out, cache):
        self._cache, self._path = cache, out / "summary.json"
        self._kept = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.used = {}

    def __call__(self, a, b):
        """{difference, low, high, p_value, ...} of nDCG@10 from record a to record b, or None."""
        key = " | ".join((a["data"], a["table"], a["input"], f"{a['model']} -> {b['model']}"))
        means = a["test"]["N@10"], b["test"]["N@10"]
        result = self._kept.get(key)
        if result is None or not self._fits(result, means):
            result = self._made(a, b)
        if result is None or not self._fits(result, means):
            print(f"no values per user for {key}: run accuracy.py again with --force")
            return None
        self.used[key] = result
        return result

    def _made(self, a, b):
        values = []
        for r in (a, b):
            path = path_of(self._cache, r["data"], r["table"], r["input"], r["model"], ".npy")
            if not path.exists():
                return None
            values.append(np.load(path))
        return compare(*values, random_state=0)._asdict()

    @staticmethod
    def _fits(result, means):
        return np.allclose((result["mean_a"], result["mean_b"]), means, rtol=0, atol=TOLERANCE)

    def save(self):
        save(self._path, self.used)


def number(value):
    """.1234, as the other tables of the project have it."""
    return f"{value:.4f}".replace("0.", ".", 1)


def signed(value):
    return f"{value:+.4f}".replace("0.", ".", 1)


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def settings_of(record):
    named = ", ".join(f"{name} {value}" for name, value in record["settings"].items())
    return f"{named} (of {record['n_trials']})" if named else "–"


def best_baseline(models):
    """The baseline that is best on valid; None if there is no baseline."""
    baselines = [record for record in models.values() if record["baseline"]]
    return max(baselines, key=lambda r: r["valid"]["N@10"], default=None)


def comparison(bootstraps, best, record):
    if best is None or record is best:
        return ["–", "–"]
    result = bootstraps(best, record)
    if result is None:
        return ["?", "?"]
    ends = f"[{signed(result['low'])}, {signed(result['high'])}]"
    return [f"{signed(result['difference'])} {ends}", f"{result['p_value']:.2g}"]


def accuracy_table(group, models, bootstraps):
    data, table, input = group
    best = best_baseline(models)
    highest = {m: max(r["test"][m] for r in models.values()) for m in COLUMNS}
    rows = []
    for name, record in models.items():
        cells = [number(record["test"][m]) for m in COLUMNS]
        for i, metric in enumerate(COLUMNS):
            if metric in METRICS and record["test"][metric] == highest[metric]:
                cells[i] = f"**{cells[i]}**"
        cells += [number(record["valid"]["N@10"]), settings_of(record)]
        cells += [f"{record['fit_seconds']:.1f}", *comparison(bootstraps, best, record)]
        rows.append([name, *cells])
    users = next(iter(models.values()))["n_users"]
    against = f"N@10 − {best['model']}" if best else "–"
    header = ["", *COLUMNS, "valid N@10", "settings (of trials)", "fit, s", against, "p"]
    title = f"## {data}, {HEADINGS[table]}, input = {input}\n\n{users:,} users with a test item.\n"
    return f"{title}\n{markdown(header, rows)}"


def gain_table(found, table, input, bootstraps):
    """nDCG@10 of CFG, EASE and ALS for all data sets, with the gain over the better of the two."""
    rows, gains = [], []
    for (data, *rest), models in found.items():
        if rest != [table, input] or not {OURS, LINEAR, FACTORS} <= set(models):
            continue
        scores = {m: models[m]["test"]["N@10"] for m in (LINEAR, FACTORS, OURS)}
        better = max((LINEAR, FACTORS), key=scores.get)
        gains.append(scores[OURS] / scores[better] - 1)
        _, p_value = comparison(bootstraps, models[better], models[OURS])
        rows.append([data, *map(number, scores.values()), f"{gains[-1]:+.1%}", p_value])
    if not rows:
        return ""
    rows.append(["median", "", "", "", f"{np.median(gains):+.1%}", ""])
    header = ["", LINEAR, FACTORS, OURS, "gain over the better", "p"]
    title = f"## nDCG@10 of CFG, {HEADINGS[table]}, input = {input}\n"
    return f"{title}\n{markdown(header, rows)}"


def scale_table(found, bootstraps):
    """The guidance scale that valid chooses against the default, on the same fits."""
    rows = []
    for group, models in found.items():
        if not {OURS, CHOSEN} <= set(models):
            continue
        plain, chosen = models[OURS], models[CHOSEN]
        scale = f"{chosen['settings']['guidance_scale']:g}"
        scores = [number(r["test"]["N@10"]) for r in (plain, chosen)]
        rows.append([", ".join(group), scale, *scores, *comparison(bootstraps, plain, chosen)])
    if not rows:
        return ""
    header = ["", "scale", "N@10 at the default", "N@10 at the scale", "difference", "p"]
    return f"## CFG at the guidance scale that valid chooses\n\n{markdown(header, rows)}"


def length_table(found, table, input):
    """nDCG@10 (and recall@20) of EASE, ALS and CFG by length of history."""
    rows = []
    for (data, *rest), models in found.items():
        if rest != [table, input]:
            continue
        for name in (LINEAR, FACTORS, OURS):
            if name in models:
                groups = models[name]["by_length"]
                rows.append([f"{data}, {name}", *map(length_cell, groups)])
    if not rows:
        return ""
    header = ["N@10 / R@20 (users)", *(f"{name} items" for name in LENGTHS)]
    title = f"## By length of history, {HEADINGS[table]}, input = {input}\n"
    return f"{title}\n{markdown(header, rows)}"


PAGE_HEAD = """# Accuracy: all tables

Written by `python benchmarks/accuracy_table.py --md docs/accuracy.md`; what they mean is on the
[benchmarks page](benchmarks.md#accuracy-data-sets--models--seeds).

"""


def length_cell(group):
    if not group["users"]:
        return "–"
    return f"{number(group['N@10'])} / {number(group['R@20'])} ({group['users']:,})"


def tables(found, bootstraps):
    """All tables as one Markdown text."""
    parts = [accuracy_table(group, models, bootstraps) for group, models in found.items()]
    kinds = [(table, input) for table in TABLES for input in INPUTS]
    parts += [gain_table(found, *kind, bootstraps) for kind in kinds]
    parts.append(scale_table(found, bootstraps))
    parts += [length_table(found, *kind) for kind in kinds]
    return "\n".join(part for part in parts if part)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default="benchmarks/results/accuracy")
    parser.add_argument("--cache", type=pathlib.Path, help="default .cache in --out")
    parser.add_argument("--md", help="where to write the tables; default: print them")
    options = parser.parse_args()
    found = records(options.out)
    if not found:
        parser.error(f"no results in {options.out}; run accuracy.py first")
    bootstraps = Bootstraps(options.out, options.cache or options.out / ".cache")
    text = tables(found, bootstraps)
    bootstraps.save()
    if options.md:
        pathlib.Path(options.md).write_text(PAGE_HEAD + text)
    else:
        print(text)


if __name__ == "__main__":
    main()
