"""Nightly updates, and what was tried to break the library."""

from . import format as fmt

_TRIED = {
    "kills": "fits killed by SIGKILL at random moments, then called again: all bits compared",
    "files": "models and checkpoints damaged: flipped bits, parts cut, repeated, mixed, garbage",
    "threads": "questions from 16 threads to one model while it is fitted again and again",
    "soak": "lists of one user, one after the other; now and then of 300",
}


def trials():
    """A row for each trial: cases, minutes, failures."""
    rows = []
    for name, what in _TRIED.items():
        found = fmt.load("reliability").get(name)
        if found:
            cases = f"{found['cases']:,}"
            rows.append([what, cases, f"{found['minutes']:.0f}", str(found["failures"])])
    return fmt.table(["tried", "cases", "minutes", "failures"], rows)


def details():
    """What the trials say beside failures."""
    found, said = fmt.load("reliability"), []
    if "kills" in found:
        kills = found["kills"]
        said.append(
            f"Of the killed fits' {kills['cases'] + kills['fits']:,} calls {kills['went on']:,} "
            "went on from a checkpoint."
        )
    if "files" in found:
        files = found["files"]
        said.append(
            f"Of the files {files['refused']:,} were refused; {files['unharmed']:,} loaded, and "
            "were damaged in nothing that is read, or not at all."
        )
    if "threads" in found:
        threads = found["threads"]
        same = "were" if threads["globals as before"] else "were not"
        said.append(
            f"The model of the threads was fitted {threads['fits']:,} times; the process's "
            f"settings and random numbers {same} what they had been."
        )
    if "median and p99 ms, last minute" in found.get("soak", {}):
        soak = found["soak"]
        first, last = (
            "{:.1f} and {:.1f} ms".format(*soak[f"median and p99 ms, {when} minute"])
            for when in ("first", "last")
        )
        change, late = (
            100 * (soak[f"memory, last to {minute} minute"] - 1) for minute in ("first", "middle")
        )
        said.append(
            f"Over the long run memory changed by {change:+.2f} %, in its second half by "
            f"{late:+.2f} %; median and 99th percentile of a list were {first} in the first "
            f"minute, {last} in the last."
        )
    return " ".join(said)


def updates():
    """Ten days of every data set."""
    rows = []
    for name, found in fmt.load("updates").items():
        for row in found["rows"]:
            rows.append(
                [
                    name if found["times"] else f"{name} (shuffled)",
                    str(found["seeds"]),
                    row["model"],
                    fmt.NONE if row["nDCG@10"] is None else fmt.score(row["nDCG@10"]),
                    fmt.score(row["on days of a new fit"]),
                    fmt.score(row["users who stay away"]),
                    fmt.amount(row["s a night"]) if row["s a night"] else fmt.NONE,
                ]
            )
    header = [
        "data",
        "seeds",
        "model",
        "nDCG@10",
        "on days of a new fit",
        "who stay away",
        "s a night",
    ]
    return fmt.table(header, rows)


def machine(name):
    """Of the first record of a file."""
    records = list(fmt.load(name).values())
    return fmt.machine(records[0]) if records else ""
