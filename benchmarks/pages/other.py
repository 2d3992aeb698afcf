"""Searches, determinism, data frames, metrics and holdouts."""

import statistics

from . import format as fmt


def sweep():
    """`GuidanceScaleCV` over 8 scales against 1."""
    rows = []
    for size in ("100k", "1m"):
        for name, found in fmt.load(f"selection_sweep_{size}").items():
            seconds = [fmt.amount(statistics.median(found["seconds"][n])) for n in ("8", "1")]
            ratios = [f"{found[key]:.2f}" for key in ("ratio", "ratio_evaluation")]
            runs = str(len(found["seconds"]["8"]))
            rows.append([name.removesuffix(".npz"), runs, *seconds, *ratios])
    header = ["", "runs", "8 scales, s", "1 scale, s", "ratio", "ratio of evaluation alone"]
    return fmt.table(header, rows)


def memory():
    """`GridSearchCV` with and without `memory`."""
    rows = []
    for name, found in fmt.load("selection_memory_100k").items():
        for row in found["rows"]:
            used = "with" if row["memory"] else "without"
            figures = [str(row["trainings"]), fmt.amount(row["seconds"])]
            rows.append([name.removesuffix(".npz"), used, str(row["n_jobs"]), *figures])
    return fmt.table(["", "`memory`", "`n_jobs`", "trainings", "s"], rows)


def equal_scores():
    found = fmt.load("selection_memory_100k").values()
    if not found:
        return ""
    equal = all(record["equal_scores"] for record in found)
    return f"The scores of all runs are {'' if equal else 'not '}equal."


def scorers():
    """`cross_validate` with three metrics, as one scorer and as three."""
    rows = []
    for found in fmt.load("selection_metrics_100k").values():
        for form, record in found.items():
            cells = [_spread(record[metric]) for metric in record if "@" in metric]
            rows.append([form, *cells, fmt.amount(record["score_seconds"])])
    return fmt.table(["", "nDCG@10", "recall@20", "coverage@10", "evaluation, s"], rows)


def _spread(values):
    return f"{fmt.score(statistics.mean(values))} ± {fmt.score(statistics.pstdev(values))}"


def determinism():
    """How far fits agree with the first."""
    rows = []
    for data, record in fmt.load("determinism").items():
        for row in record["rows"]:
            figures = [f"{row['equal lists']:.1%}", fmt.score(row["nDCG@10 on valid"])]
            rows.append([data, str(record["max_epochs"]), row["fit"], *figures])
    header = ["", "epochs at most", "fit", "users with the list of the first fit", "valid N@10"]
    return fmt.table(header, rows)


def encoding():
    """`InteractionEncoder` against pandas and scipy."""
    record = fmt.load("encoding").get("encode", {})
    rows = []
    for row in record.get("rows", ()):
        ratio = f"{record['ratios'][row['ids']]:.2f}" if row["way"] == "InteractionEncoder" else ""
        rows.append([row["ids"], row["way"], fmt.amount(row["s"]), fmt.amount(row["MB"]), ratio])
    return fmt.table(["ids", "", "s", "peak, MB over the frame", "time / pandas and scipy"], rows)


def written_lists():
    """Lists of all users written into a Parquet file."""
    columns = ("users", "encode s", "fit s", "lists s", "users/s", "of it tables s")
    columns += ("of it writing s", "MB", "file MB")
    rows = [
        [fmt.amount(row[column]) for column in columns]
        for row in fmt.load("encoding").get("lists", {}).get("rows", ())
    ]
    header = ["users", "encoding, s", "fit of one epoch, s", "lists, s", "users/s"]
    header += ["of it tables, s", "of it writing, s", "peak, MB", "file, MB"]
    return fmt.table(header, rows)


def metrics():
    """Seconds of metrics against `np.sort` of the lists."""
    seconds = fmt.load("metrics").get("seconds", {})
    base = seconds.get("np.sort of the lists")
    rows = [[name, fmt.amount(s), f"{s / base:.1f}"] for name, s in seconds.items()]
    return fmt.table(["", "s", "times `np.sort`"], rows)


def holdouts():
    """Seconds of holdouts and splitters against `np.sort` of as many numbers."""
    rows = [
        [f"`{row['splitter']}`", fmt.amount(row["seconds"]), f"{row['ratio']:.1f}"]
        for row in fmt.load("holdouts").get("rows", ())
    ]
    return fmt.table(["", "s", "times `np.sort`"], rows)
