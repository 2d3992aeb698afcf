"""Reading results, and numbers and tables as Markdown."""

import json
import pathlib
import re

RESULTS = pathlib.Path(__file__).parent.parent / "results"
NOT_MEASURED = "Not measured yet."
EARLIER = "measured with an earlier version"
NONE = "–"


def load(name):
    """The record in a file of results, by its name without .json; {} where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def score(value):
    """.1234: a metric between 0 and 1."""
    return NONE if value is None else re.sub(r"^0\.", ".", f"{value:.4f}")


def signed(value):
    return re.sub(r"^([+-])0\.", r"\1.", f"{value:+.4f}")


def interval(result):
    """+.0012 [+.0001, +.0023], of a bootstrap."""
    return f"{signed(result['difference'])} [{signed(result['low'])}, {signed(result['high'])}]"


def p_value(result):
    return re.sub(r"^0\.", ".", f"{result['p_value']:.2g}")


def amount(value):
    """Seconds, ratios and the like: three digits; whole numbers with commas."""
    if value is None:
        return NONE
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if abs(value) < 10 else f"{value:.1f}"


def tiny(value):
    """A difference of rounding: one digit and the power of ten."""
    return f"{value:.0e}".replace("e-0", "e-")


def bold_best(cells, values):
    """Cells of which those with the highest value are bold."""
    known = [v for v in values if v is not None]
    best = max(known, default=None)
    return [f"**{c}**" if v == best and v else c for c, v in zip(cells, values, strict=True)]


def table(header, rows):
    if not rows:
        return NOT_MEASURED
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def listing(names):
    """a, b and c"""
    *start, last = names
    return f"{', '.join(start)} and {last}" if start else last


def machine(record):
    """One line about where a record was measured."""
    found = record.get("machine")
    if not found:
        return ""
    threads = found["torch_threads"]
    parts = [
        found.get("processor"),
        f"{found['cores']} cores",
        f"{threads} thread{'s' if threads > 1 else ''} of torch",
        found.get("device"),
        f"load {found['load_before']:.1f} before the start",
        f"Python {found['python']}, torch {found['torch']}, numpy {found['numpy']}",
    ]
    return f"Machine: {found['system']}, {', '.join(part for part in parts if part)}."


def machine_of(name, *keys):
    """`machine` of a record in a file of results."""
    record = load(name)
    for key in keys:
        record = record.get(key, {})
    return machine(record)
