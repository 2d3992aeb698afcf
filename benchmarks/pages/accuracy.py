"""Accuracy over data sets, models and seeds: the records of `accuracy.py`."""

import statistics

from accuracy_records import (
    CHOSEN,
    FACTORS,
    INPUTS,
    LINEAR,
    OURS,
    TABLES,
    best_baseline,
    better,
    bootstraps,
    records,
)

from . import format as fmt

KNN = "ItemKNN"
METRICS = ("R@10", "R@20", "N@10", "N@20")
LENGTHS = ("0", "1-5", "6-20", "21-100", "more")
HEADINGS = {"sets": "no model sees times", "times": "models may see times"}
SIGNIFICANT = 0.05
SPLITS = {
    "amazon-beauty": "Amazon Beauty, 5-core; in time",
    "amazon-office": "Amazon Office Products, 5-core; random",
    "citeulike-a": "CiteULike; random",
    "gowalla": "LightGCN's test; valid is a tenth of its train, drawn at random",
    "lastfm": "HetRec Last.fm; likewise",
    "ml-100k": "MovieLens 100K; in time",
    "ml-1m_clean": "MovieLens 1M, ratings of 4 and more; DiffRec's, in time",
    "ml-1m_noisy": "the same, with low ratings left in train and valid",
    "onlineretail": "UCI Online Retail; in time, but inside orders",
    "onlineretail-orders": "the same; in time, between orders",
    "yelp2018-13k": "the first users of Yelp2018; as gowalla",
}


def _all():
    return records(fmt.RESULTS / "accuracy")


def _between():
    return bootstraps(fmt.RESULTS / "accuracy")


def data_sets():
    rows = []
    for name, size in fmt.load("data_sets").items():
        parts = " / ".join(fmt.amount(size[part]) for part in ("train", "valid", "test"))
        shape = f"{fmt.amount(size['users'])} × {fmt.amount(size['items'])}"
        times = "yes" if size["times"] else "no"
        rows.append([name, shape, parts, SPLITS.get(name, fmt.NONE), times])
    header = ["", "users × items", "train / valid / test", "source and split", "times"]
    return fmt.table(header, rows)


def trials():
    """How many random settings of the tuned baselines were tried, by data set."""
    found = {}
    for (data, *_), models in _all().items():
        n = max(models[name]["n_trials"] for name in (KNN, LINEAR, FACTORS) if name in models)
        found.setdefault(n, {})[data] = None
    parts = [f"{n} on {fmt.listing(list(found[n]))}" for n in sorted(found, reverse=True)]
    return f"Trials: {'; '.join(parts)}."


def _comparison(a, b):
    """[difference with its interval, p] of nDCG@10 from record a to record b."""
    result = None if a is None or a is b else _between()(a, b)
    return [fmt.interval(result), fmt.p_value(result)] if result else [fmt.NONE, fmt.NONE]


def _settings(record):
    named = ", ".join(f"{name} {value}" for name, value in record["settings"].items())
    return f"{named} (of {record['n_trials']})" if named else fmt.NONE


def _one_table(group, models):
    """All models on one data set, against the baseline that is best on valid."""
    data, kind, given = group
    best, rows = best_baseline(models), []
    highest = {m: max(r["test"][m] for r in models.values()) for m in METRICS}
    for name, record in models.items():
        cells = [fmt.score(record["test"][m]) for m in METRICS]
        marked = [record["test"][m] == highest[m] for m in METRICS]
        row = [f"**{c}**" if m else c for c, m in zip(cells, marked, strict=True)]
        row += [fmt.score(record["test"]["coverage@10"]), fmt.score(record["valid"]["N@10"])]
        row += [_settings(record), str(record["n_seeds"]), f"{record['fit_seconds']:.1f}"]
        rows.append([name, *row, *_comparison(best, record)])
    against = f"N@10 − {best['model']}" if best else fmt.NONE
    header = ["", *METRICS, "coverage@10", "valid N@10", "settings (of trials)", "seeds"]
    header += ["fit, s", against, "p"]
    users = fmt.amount(next(iter(models.values()))["n_users"])
    title = f"## {data}, {HEADINGS[kind]}, input = {given}"
    return f"{title}\n\n{users} users with a test item.\n\n{fmt.table(header, rows)}"


def all_tables():
    return "\n\n".join(_one_table(group, models) for group, models in _all().items())


def _of(kind, given):
    """{data: models} of one table and input where CFG was evaluated."""
    found = _all().items()
    return {g[0]: models for g, models in found if g[1:] == (kind, given) and OURS in models}


def gains(kind, given):
    """nDCG@10 of CFG beside the baselines on all data sets."""
    names, rows, ratios = (KNN, LINEAR, FACTORS, OURS), [], []
    for data, models in _of(kind, given).items():
        values = [models[n]["test"]["N@10"] if n in models else None for n in names]
        cells = fmt.bold_best(map(fmt.score, values), values)
        best = better(models)
        if best is None:
            rows.append([data, *cells, fmt.NONE, fmt.NONE])
            continue
        ratios.append(values[-1] / best["test"]["N@10"] - 1)
        rows.append([data, *cells, f"{ratios[-1]:+.1%}", _comparison(best, models[OURS])[1]])
    if ratios:
        rows.append(["median", "", "", "", "", f"{statistics.median(ratios):+.1%}", ""])
    return fmt.table(["", *names, "CFG over the better of EASE and ALS", "p"], rows)


def standing(kind, given):
    """Where CFG is ahead, behind or level, in words."""
    found = {"better": [], "worse": [], "level": []}
    others = {}
    for data, models in _of(kind, given).items():
        best, ours = better(models), models[OURS]
        result = _between()(best, ours) if best else None
        if result:
            level = result["p_value"] >= SIGNIFICANT
            found["level" if level else "better" if result["difference"] > 0 else "worse"] += [data]
        for name, record in models.items():
            higher = record["test"]["N@10"] > ours["test"]["N@10"]
            if record["baseline"] and name not in (LINEAR, FACTORS) and higher:
                others.setdefault(name, []).append(data)
    ahead = [f"{name} on {fmt.listing(data)}" for name, data in others.items()]
    words = [
        (found["better"], "CFG is better than the better of EASE and ALS (p < .05) on"),
        (found["worse"], "It is worse on"),
        (found["level"], "The two do not differ (p ≥ .05) on"),
        (ahead, "Other baselines with a higher nDCG@10 than CFG:"),
    ]
    return " ".join(f"{start} {fmt.listing(names)}." for names, start in words if names)


def scales():
    """The guidance scale that valid chooses against the default, on the same fits."""
    rows = []
    for group, models in _all().items():
        if not {OURS, CHOSEN} <= set(models):
            continue
        plain, chosen = models[OURS], models[CHOSEN]
        scale = f"{chosen['settings']['guidance_scale']:g}"
        scores = [fmt.score(r["test"]["N@10"]) for r in (plain, chosen)]
        rows.append([", ".join(group), scale, *scores, *_comparison(plain, chosen)])
    header = ["", "scale", "N@10 at the default", "N@10 at the scale", "difference", "p"]
    return fmt.table(header, rows)


def lengths():
    """nDCG@10 and recall@20 of EASE, ALS and CFG by length of history, one table a kind."""
    parts = []
    for kind, given in ((kind, given) for kind in TABLES for given in INPUTS):
        rows = [
            [f"{group[0]}, {name}", *map(_length_cell, models[name]["by_length"])]
            for group, models in _all().items()
            for name in (LINEAR, FACTORS, OURS)
            if group[1:] == (kind, given) and name in models
        ]
        if rows:
            header = ["N@10 / R@20 (users)", *(f"{name} items" for name in LENGTHS)]
            title = f"## By length of history, {HEADINGS[kind]}, input = {given}"
            parts.append(f"{title}\n\n{fmt.table(header, rows)}")
    return "\n\n".join(parts)


def _length_cell(group):
    if not group["users"]:
        return fmt.NONE
    users = fmt.amount(group["users"])
    return f"{fmt.score(group['N@10'])} / {fmt.score(group['R@20'])} ({users})"


def versions():
    """Versions of the packages that the records were made with."""
    found = {}
    for models in _all().values():
        for record in models.values():
            for package, version in record["versions"].items():
                found.setdefault(package, set()).add(version)
    named = ", ".join(f"{package} {' or '.join(sorted(v))}" for package, v in found.items())
    return f"Measured with {named}."


def some(data, kind, given, *names):
    """nDCG@10 on valid and test of a few models, names with _ for a blank."""
    models, rows = _all().get((data, kind, given), {}), []
    for name in (name.replace("_", " ") for name in names):
        if name in models:
            record = models[name]
            scores = [fmt.score(record[part]["N@10"]) for part in ("valid", "test")]
            rows.append([name, *scores, _settings(record), str(record["n_seeds"])])
    return fmt.table(["", "valid N@10", "test N@10", "settings (of trials)", "seeds"], rows)
