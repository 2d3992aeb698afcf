"""Dislikes, intent and new items."""

from . import format as fmt


def _change(values):
    """−2.8 % [−4.5, −1.2]."""
    change, low, high = (f"{value:+.1f}" for value in values)
    return f"{change} % [{low}, {high}]"


def dislikes(setting):
    """Accuracy and dislikes by scale, of later ratings or of users with five."""
    rows = []
    for row in fmt.load("dislikes").get("rows", ()):
        if (row["model"] == "five ratings") != (setting == "five"):
            continue
        named = row["model"] if row["scale"] is None else f"scale {row['scale']:g}"
        cells = [named]
        for metric in ("nDCG@10", "disliked@10"):
            base = row["scale"] == 1
            change = fmt.NONE if base else _change(row[f"{metric}, %"])
            cells += [fmt.score(row[metric]), change]
        rows.append(cells)
    header = ["", "nDCG@10", "against scale 1", "disliked@10", "against scale 1"]
    return fmt.table(header, rows)


def intent():
    """Lists by the scale of what is wanted, beside filtered ones."""
    rows = [
        [
            row["lists"] if row["scale"] is None else f"scale {row['scale']:g}",
            f"{100 * row['share']:.0f} %",
            fmt.score(row["of the genre"]),
            fmt.score(row["of all"]),
        ]
        for row in fmt.load("intent").get("rows", ())
    ]
    header = ["", "share of the genre", "nDCG@10 of its items", "nDCG@10 of all items"]
    return fmt.table(header, rows)


def monotone():
    record = fmt.load("intent")
    return f"{100 * record['monotone']:.1f} %" if record else ""


def new_items():
    """Recall of new items, and accuracy of known ones."""
    rows = [
        [row["lists"], fmt.score(row["value"]), fmt.interval(row) if "low" in row else fmt.NONE]
        for row in fmt.load("new_items").get("rows", ())
    ]
    return fmt.table(["", "recall@20 or nDCG@10", "difference"], rows)


def machine(name):
    record = fmt.load(name)
    return f"{record['seeds']} seeds. {fmt.machine(record)}" if record else ""


def chosen():
    """Scales that the valid part chose."""
    return ", ".join(f"{scale:g}" for scale in fmt.load("dislikes").get("chosen", ()))
