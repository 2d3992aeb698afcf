"""Next-item prediction: measured figures of each data set, and published ones beside them."""

import json

from published import PUBLISHED

from . import format as fmt

METRICS = ("N@5", "R@5", "N@10", "R@10", "N@20", "R@20")
ORDER = ("popularity", "ItemKNN", "EASE", "Markov", "SASRec, sampled softmax", "eSASRec", "CFG")


def _records(data):
    folder = fmt.RESULTS / "next_item" / data
    records = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(records, key=lambda record: ORDER.index(record["model"]))


def table(data):
    """All models on one data set."""
    rows = []
    for record in _records(data):
        own = record["test"]
        figures = [fmt.score(own[metric]) for metric in METRICS]
        seconds = [fmt.amount(record[name]) for name in ("fit_seconds", "seconds_per_1000_users")]
        rows.append([record["model"], str(len(record["test_by_seed"])), *figures, *seconds])
    if rows:
        for model, own in PUBLISHED.get(data, {}).items():
            figures = [fmt.score(own.get(metric)) for metric in METRICS]
            rows.append([f"{model} (published)", fmt.NONE, *figures, fmt.NONE, fmt.NONE])
    seconds = ["fit, s", "lists of 1,000 users, s"]
    return fmt.table(["", "seeds", *METRICS, *seconds], rows)


def curve(data):
    """Quality on valid of our fits that end early."""
    for record in _records(data):
        if record["model"] == "CFG":
            points = [
                f"{fmt.score(point['N@10'])} after {fmt.amount(point['seconds'])} s"
                for point in record["curve"]
            ]
            return f"CFG's N@10 on valid: {fmt.listing(points)}."
    return ""


def limits(data):
    """How far models came whose training is limited in time."""
    found = []
    for record in _records(data):
        if "max_minutes" not in record:
            continue
        curve = [point["N@10"] for point in record["curve"]]
        best = max(curve)
        rising = "rising still" if best == curve[-1] else "its best"
        found.append(
            f"{record['model']} was trained for {fmt.amount(record['max_minutes'])} minutes, "
            f"{len(curve)} epochs: N@10 on valid {fmt.score(best)}, {rising}"
        )
    return "; ".join(found) + ("." if found else "")


def machine(data):
    return next((fmt.machine(record) for record in _records(data)), "")
