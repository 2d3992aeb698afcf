"""Speed and memory beside other libraries: the record of `speed.py`."""

import statistics

from . import format as fmt

BARE = "bare product, topk"
PARTS = {
    "a": "Sampling steps",
    "b": "Lists of all users",
    "c": "Training to EASE's quality",
    "d": "An epoch",
    "e": "All models side by side",
    "f": "One user",
}
EPOCHS = {
    "ours": "ours",
    "ours, dense loss": "ours with every item in the loss (`n_loss_items=None`)",
    "MultVAE": "RecBole's MultVAE",
}


def _part(part):
    return fmt.load("speed").get(part, {})


def machine(part):
    return fmt.machine(_part(part))


def _ratio(above, below):
    """Median over the turns of a ratio of seconds."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def lists():
    """b: lists of all users, per second, and how many times as many as ALS."""
    record = _part("b")
    rows = []
    for data, seconds in record.get("seconds", {}).items():
        found = {
            row["lists of 20"].split(", BLAS")[0].split(", no limit")[0]: row
            for row in record["rows"]
            if row["data"] == data
        }
        width = found["ours"]["width"]
        labels = ("ours", BARE, f"ALS {width}", "ALS 256", "ALS 64", "ALS 256 unfiltered")
        ours = seconds["ours"]
        ratios = [_over_als(seconds, found, label, ours) for label in (f"ALS {width}", "ALS 256")]
        rows.append([data, *(fmt.amount(found[x]["users/s"]) for x in labels), *ratios])
    header = ["users per second", "ours", BARE, "ALS, as wide as ours", "ALS 256", "ALS 64"]
    header += ["ALS 256, seen items not filtered", "ours / ALS as wide", "ours / ALS 256"]
    return fmt.table(header, rows)


def behind():
    """Which of ALS's batch lists are faster than ours, in words."""
    record, found = _part("b"), {}
    for data in record.get("seconds", {}):
        rows = [row for row in record["rows"] if row["data"] == data]
        ours = next(row["users/s"] for row in rows if row["lists of 20"] == "ours")
        for row in rows:
            name = row["lists of 20"].split(",")[0]
            if name.startswith("ALS") and row["users/s"] > ours:
                label = name.replace(" unfiltered", " with seen items not filtered")
                found.setdefault(label, []).append(data)
    faster = [f"{name} on {fmt.listing(data)}" for name, data in found.items()]
    return f"Faster than ours: {'; '.join(faster)}." if faster else ""


def _over_als(seconds, found, label, ours):
    return f"{_ratio(seconds[found[label]['lists of 20']], ours):.2f}"


def widths():
    """The width of our last layer, which ALS as wide as ours has too."""
    found = {row["width"] for row in _part("b").get("rows", ()) if row["width"]}
    return fmt.listing(sorted(map(str, found))) if found else fmt.NONE


def steps():
    """a: sampling steps against the bare product."""
    rows = []
    for row in _part("a").get("rows", ()):
        name = row["guidance 1.5"]
        if "item space" in name:
            name += f" (reference implementation, {fmt.EARLIER})"
        figures = [fmt.amount(row[c]) for c in ("users", "s", "users/s")]
        rows.append([name, *figures, fmt.amount(row["/ bare, per user"])])
    return fmt.table(["", "users", "s", "users/s", "time per user / bare product"], rows)


def epochs():
    """d: an epoch against RecBole's MultVAE and the dense loss."""
    rows = [
        [
            EPOCHS.get(row["an epoch"], row["an epoch"]),
            *(fmt.amount(row[c]) for c in ("rows", "s", "ms a row", "ours / it, per row")),
        ]
        for row in _part("d").get("rows", ())
    ]
    return fmt.table(["an epoch", "users", "s", "ms a user", "ours / it, per user"], rows)


def latency():
    """f: one user after the other."""
    rows = [
        [row["data"], *(fmt.amount(row[c]) for c in ("users", "median ms", "95 % ms"))]
        for row in _part("f").get("rows", ())
    ]
    return fmt.table(["", "users asked", "median, ms", "95th percentile, ms"], rows)


def quality():
    """c: seconds and quality of every model, ours after each number of epochs."""
    record = _part("c")
    if not record:
        return fmt.NOT_MEASURED
    rows = [_ease_row(fit, record) for fit in _eases(record)]
    for name, rungs in record["rungs"].items():
        shown = rungs if name == "ours" else [max(rungs, key=lambda rung: rung["valid"])]
        rows += [_rung_row(name, rung) for rung in shown]
    for row in record["rows"]:
        if "s to its best" in row:
            scores = [fmt.score(row[f"nDCG@10 on {split}"]) for split in ("valid", "test")]
            seconds = fmt.amount(row["s to its best"])
            rows.append([f"RecBole's {row['model']}", str(row["epochs"]), seconds, "", *scores])
    header = ["", "epochs", "training, s", "evaluation, s", "valid N@10", "test N@10"]
    return fmt.table(header, rows)


def _eases(record):
    """EASE with the λ that valid chooses, and with the one that is best on test."""
    best = max(record["eases"], key=lambda fit: fit["test"])
    return [record["ease"]] + ([best] if best["reg"] != record["ease"]["reg"] else [])


def _ease_row(fit, record):
    how = "chosen on valid" if fit["reg"] == record["ease"]["reg"] else "best on test, in hindsight"
    name = f"EASE, λ {fmt.amount(fit['reg'])} ({how})"
    scores = [fmt.score(fit[split]) for split in ("valid", "test")]
    return [name, fmt.NONE, fmt.amount(fit["seconds"]), "", *scores]


def _rung_row(name, rung):
    scores = [fmt.score(rung[split]) for split in ("valid", "test")]
    evaluation = fmt.amount(rung["evaluation"]) if rung["evaluation"] else ""
    return [name, str(rung["size"]), fmt.amount(rung["seconds"]), evaluation, *scores]


def regs():
    """The range of λ that EASE's is chosen from."""
    found = [fit["reg"] for fit in _part("c").get("eases", ())]
    return f"{fmt.amount(min(found))} to {fmt.amount(max(found))}" if found else fmt.NONE


def reached():
    """When ours has EASE's quality, in words."""
    record, parts = _part("c"), []
    for split in ("test", "valid") if record else ():
        name = f"EASE's nDCG@10 on {split} ({fmt.score(record['ease'][split])})"
        ours = record["ours_seconds"].get(split)
        if ours is None:
            best = fmt.score(max(rung[split] for rung in record["rungs"]["ours"]))
            parts.append(f"{name} is not reached: the best is {best}.")
            continue
        seconds, diffrec = ours["seconds"], record["diffrec_seconds"]
        whole = seconds + ours["evaluation"]
        parts.append(
            f"{name} is reached after {fmt.amount(seconds)} s of training, "
            f"{fmt.amount(whole)} s with evaluation: {fmt.amount(seconds / diffrec)} and "
            f"{fmt.amount(whole / diffrec)} of the {fmt.amount(diffrec)} s that the better of the "
            "two DiffRecs trains until its best."
        )
    return " ".join(parts)


def models():
    """e: all models, each with its defaults in a process of its own."""
    columns = ("fit s", "s/epoch", "users/s", "fit MB", "lists MB")
    rows = []
    for row in _part("e").get("rows", ()):
        figures = [fmt.amount(row.get(column)) for column in columns]
        rows.append([row["data"], row["model"], *figures])
    header = ["", "", "fit, s", "an epoch, s", "users/s", "fit, MB", "lists, MB"]
    return fmt.table(header, rows)


def targets():
    """What the project aims at, and whether it is met."""
    rows = []
    for part, name in PARTS.items():
        for bar in _part(part).get("bars", ()):
            what = bar["bar"].partition(": ")[2]
            limit = bar["limit"].replace("<=", "≤").replace(">=", "≥")
            value = "not reached" if bar["value"] is None else fmt.amount(bar["value"])
            rows.append([name, what, limit, value, "yes" if bar["met"] else "**no**"])
    return fmt.table(["", "what", "target", "measured", "met"], rows)


AGAINST = {
    "fit s": "fit",
    "fit MB": "memory of fit",
    "lists s": "lists of all users",
    "lists MB": "memory of lists",
    "one user ms": "one user",
    "one user p99 ms": "one user, 99th percentile",
}


def against():
    """This version over an earlier one: ratios of the medians over the turns."""
    record = fmt.load("speed_against")
    rows = []
    for row in record.get("ratios", ()):
        if row["data"] == "import":
            continue
        turns = record["turns"][row["data"]]
        seconds = [
            fmt.amount(statistics.median(turn["fit s"] for turn in turns[version]))
            for version in ("other", "this")
        ]
        quality = [f"{100 * row[name]:+.1f} %" for name in ("valid nDCG@10", "test nDCG@10")]
        ratios = [fmt.amount(row[name]) for name in AGAINST]
        to_als = fmt.amount(row.get("fit / ALS"))
        rows.append([row["data"].replace(":", ", "), *seconds, *ratios, *quality, to_als])
    header = ["", "fit then, s", "fit now, s", *AGAINST.values()]
    return fmt.table([*header, "valid N@10", "test N@10", "fit / ALS 256"], rows)


def against_import():
    """Seconds of importing the package, then and now, with the commit of then."""
    record = fmt.load("speed_against")
    turns = record.get("turns", {}).get("import")
    if not turns:
        return fmt.NOT_MEASURED
    then, now = (
        fmt.amount(statistics.median(turn["import s"] for turn in turns[version]))
        for version in ("other", "this")
    )
    return (
        f"`import skdiffrec` took {then} s at commit {record['revision']} and takes {now} s: torch "
        "is imported when a diffusion model is asked for."
    )


def against_machine():
    """Where it was measured."""
    return fmt.machine(fmt.load("speed_against"))
