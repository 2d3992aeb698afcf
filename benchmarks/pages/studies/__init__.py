"""Tables of the studies, from the records of `examples/studies`."""

from published import DIFFUSION

from .. import format as fmt

_BOUNDED = ("ndcg", "recall", "precision", "mrr", "coverage")


def load(study):
    """{data set: what the study found} of a record; {} where there is none."""
    return fmt.load(f"studies/{study}")


def rows(study, *columns):
    """A table of the rows of a study; see `table`."""
    return table(study, "rows", *columns)


def table(study, part, *columns):
    """A table of one part of the record of each data set.

    A column is a name of the record's, with "~" for a blank; "name=value" is no column, but picks
    the rows that are shown.
    """
    columns = [column.replace("~", " ") for column in columns]
    picked = [column.split("=") for column in columns if "=" in column]
    columns = [column for column in columns if "=" not in column]
    lines = [
        [name, *(cell(row.get(column), column) for column in columns)]
        for name, found in load(study).items()
        for row in found[part]
        if all(str(row.get(key)) == value for key, value in picked)
    ]
    return fmt.table(["data", *columns], lines)


def effects(study, *columns):
    """All effects of a study, those told from 0 in bold; more columns of the record before them."""
    columns = [column.replace("~", " ") for column in columns]
    lines = [
        [name, found["of"], *(cell(found.get(c), c) for c in columns), *difference(found)]
        for name, record in load(study).items()
        for found in record["effects"]
    ]
    return fmt.table(["data", "what", *columns, "before", "after", "difference", "p"], lines)


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


def beside_published(study, *metrics):
    """What a study has to compare with published figures of diffusion models, and these below."""
    lines = []
    for name, published in DIFFUSION.items():
        own = load(study).get(name, {}).get("beside published", ())
        models = {row["model"]: row for row in own}
        if own:
            models |= {f"{model} (published)": figures for model, figures in published.items()}
        lines += [
            [name, model, *(fmt.score(figures.get(m)) for m in metrics)]
            for model, figures in models.items()
        ]
    return fmt.table(["data", "model", *metrics], lines)


def machine(study):
    """Seeds, and where the last data set was run."""
    record = load(study)
    if not record:
        return ""
    last = list(record.values())[-1]
    return f"{last['seeds']} seeds. {fmt.machine(last)}"
