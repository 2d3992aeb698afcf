"""Users nobody has met, by their features."""

from . import format as fmt


def table():
    """All models for each length of the history."""
    rows = [
        [str(row["items"]), row["model"], fmt.score(row["nDCG@10"]), _difference(row)]
        for row in fmt.load("profiles").get("rows", ())
    ]
    return fmt.table(["items of history", "", "nDCG@10", "difference"], rows)


def _difference(row):
    if row["model"] == row["to"]:
        return fmt.NONE
    return f"{fmt.interval(row)} to {row['to']}"


def machine():
    record = fmt.load("profiles")
    return f"{record['seeds']} seeds. {fmt.machine(record)}" if record else ""
