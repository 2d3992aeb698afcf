"""Tables of the studies, from the records of `examples/studies`."""

from published import DIFFUSION

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
    seeds = max(found["seeds"] for found in record.values())
    fewer = [
        f"{name}: {found['seeds']}" for name, found in record.items() if found["seeds"] < seeds
    ]
    of_some = f" ({', '.join(fewer)})" if fewer else ""
    return f"{seeds} seeds{of_some}. {fmt.machine(list(record.values())[-1])}"


def best_scales(study):
    """By data set: the scale that valid chooses, the best on test in hindsight, how flat it is."""
    lines = []
    for name, found in load(study).items():
        for values in dict.fromkeys(row["values"] for row in found["rows"]):
            rows = [row for row in found["rows"] if row["values"] == values]
            chosen, best = (
                max(rows, key=lambda row: row[of]) for of in ("valid ndcg@10", "ndcg@10")
            )
            at_1 = next(row["ndcg@10"] for row in rows if row["scale"] == 1)
            flat = [row["scale"] for row in rows if row["ndcg@10"] >= 0.99 * best["ndcg@10"]]
            more = [f"{100 * (row['ndcg@10'] / at_1 - 1):+.1f} %" for row in (chosen, best)]
            scales = f"{chosen['scale']:g}", more[0], f"{best['scale']:g}", more[1]
            lines.append([name, values, *scales, f"{flat[0]:g} to {flat[-1]:g}"])
    header = ["data", "values", "chosen on valid", "over 1, on test", "best on test", "over 1"]
    return fmt.table([*header, "as good on test"], lines)
