"""Tables of the studies, from the records of `examples/studies`."""

from .. import format as fmt

_BOUNDED = ("ndcg", "recall", "precision", "mrr", "coverage", "disliked@")


def load(study):
    """{data set: what the study found} of a record; {} where there is none."""
    return fmt.load(f"studies/{study}")


def rows(study, *columns):
    """A table of the rows of a study; see `table`."""
    return table(study, "rows", *columns)


def table(study, part, *columns):
    """A table of one part of the record of each data set; its columns as in `picked`."""
    columns, found = picked(study, part, columns)
    lines = [[name, *(cell(row.get(c), c) for c in columns)] for name, row in found]
    return fmt.table(["data", *columns], lines)


def effects(study, *columns):
    """Effects of a study, those told from 0 in bold; more columns, as in `picked`, before them."""
    columns, found = picked(study, "effects", columns)
    lines = [
        [name, row["of"], *(cell(row.get(c), c) for c in columns), *difference(row)]
        for name, row in found
    ]
    return fmt.table(["data", "what", *columns, "before", "after", "difference", "p"], lines)


def picked(study, part, columns):
    """(columns, [(data set, row)]) of one part of a record.

    A column is a name of the record's, with "~" for a blank; "name=value" is no column, but picks
    the rows that are shown.
    """
    columns = [column.replace("~", " ") for column in columns]
    wanted = [column.split("=") for column in columns if "=" in column]
    found = [
        (name, row)
        for name, record in load(study).items()
        for row in record[part]
        if all(str(row.get(key)) == value for key, value in wanted)
    ]
    return [column for column in columns if "=" not in column], found


def difference(found):
    """The two means, their difference with its interval, and p."""
    shown, known = fmt.interval(found), found["low"] * found["high"] > 0
    shown = f"**{shown}**" if known else shown
    return [fmt.score(found["mean_a"]), fmt.score(found["mean_b"]), shown, fmt.p_value(found)]


def cell(value, column):
    """A value as it stands in a table."""
    if value is None or isinstance(value, str):
        return value or fmt.NONE
    return fmt.score(value) if any(n in column for n in _BOUNDED) else fmt.amount(value)


def machine(study):
    """Seeds, and where the last data set was run."""
    record = load(study)
    if not record:
        return ""
    last = list(record.values())[-1]
    return f"{last['seeds']} seeds. {fmt.machine(last)}"
