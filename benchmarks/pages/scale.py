"""Cost by steps, users and items, lists of a million users, GPUs: `scale.py` and others."""

from . import format as fmt

SIZE_COLUMNS = {
    "interactions": "interactions",
    "fit s": "fit of one epoch, s",
    "s/epoch": "an epoch, s",
    "lists s": "lists, s",
    "users/s": "users/s",
    "fit MB": "fit, MB over the data",
    "lists MB": "lists, MB",
    "weights MB": "tensors of the model, MB",
}
EXPONENTS = {
    "fit s": "a fit of one epoch",
    "s/epoch": "an epoch",
    "lists s": "the lists of all users",
    "peak MB": "peak memory over the data",
}


def by_size(mode):
    """A row for each number of users or items."""
    rows = []
    for row in fmt.load("scale").get(mode, {}).get("rows", ()):
        shape = f"{fmt.amount(row['users'])} × {fmt.amount(row['items'])}"
        rows.append([shape, *(fmt.amount(row.get(column)) for column in SIZE_COLUMNS)])
    return fmt.table(["users × items", *SIZE_COLUMNS.values()], rows)


def exponents(mode):
    """How cost grows, fitted to the larger half of the points."""
    found = fmt.load("scale").get(mode, {}).get("exponents", {})
    grown = [f"{EXPONENTS[name]} with {mode}^{e:.2f}" for name, e in found.items() if e]
    return f"Fitted to the larger half of the points, {fmt.listing(grown)}." if grown else ""


def by_steps():
    """Seconds of 1,000 users by the number of sampling steps."""
    rows = fmt.load("scale").get("steps", {}).get("rows", ())
    found = {(row["lists"], row["steps"]): row["s per 1,000 users"] for row in rows}
    names = [name for name in dict.fromkeys(name for name, _ in found) if "bare" not in name]
    steps = sorted({n for _, n in found})
    cells = [[fmt.amount(n), *(fmt.amount(found.get((x, n))) for x in names)] for n in steps]
    marked = [f"{x} (reference, {fmt.EARLIER})" if "item space" in x else x for x in names]
    return fmt.table(["steps", *marked], cells)


def bare():
    """Seconds of 1,000 users of the bare product, in words."""
    rows = fmt.load("scale").get("steps", {}).get("rows", ())
    seconds = next((r["s per 1,000 users"] for r in rows if "bare" in r["lists"]), None)
    return f"The bare product takes {fmt.amount(seconds)} s." if seconds else ""


def on_disk_sizes():
    """How large the rows of the table below are, in words."""
    found = fmt.load("rows_on_disk").get("fits")
    if not found:
        return ""
    sizes = fmt.amount(found["users"]), fmt.amount(found["items"]), fmt.amount(found["rows MB"])
    return "{} users × {} items, {} MB of rows.".format(*sizes)


def on_disk():
    """A fit from disk under a limit of memory, and one in memory."""
    columns = {"limit MB": "limit, MB", "s": "fit, s", "processor s": "of the processor, s"}
    rows = fmt.load("rows_on_disk").get("fits", {}).get("rows", ())
    cells = [[row["rows"], *(fmt.amount(row[column]) for column in columns)] for row in rows]
    return fmt.table(["rows", *columns.values()], cells)


def processes_sizes():
    """What the rows of the table below are, in words."""
    found = fmt.load("processes").get("fits")
    if not found:
        return ""
    sizes = fmt.amount(found["users"]), fmt.amount(found["items"])
    return "Generated rows: {} users × {} items, one epoch, no closed form.".format(*sizes)


def processes():
    """Fits by one process and by several."""
    columns = {
        "s": "fit, s",
        "waiting": "exchanges",
        "loss": "loss at the end",
        "valid nDCG@10": "valid nDCG@10",
    }
    rows = [
        [row["fit"], *(fmt.amount(row.get(column)) for column in columns)]
        for row in fmt.load("processes").get("fits", {}).get("rows", ())
    ]
    return fmt.table(["fit", *columns.values()], rows)


def cluster_sizes():
    """What the lists of the table below are of, in words."""
    found = fmt.load("cluster").get("lists")
    if not found:
        return ""
    sizes = fmt.amount(found["users"]), fmt.amount(found["items"])
    return f"Lists of {found['k']} for {sizes[0]} users of {sizes[1]} items, to Parquet."


def cluster():
    """Lists to Parquet by one process and by the workers of a cluster."""
    columns = {
        "s": "s",
        "users/s": "users/s",
        "of 1 thread": "times as many as one thread",
        "peak MB": "peak of a process or worker, MB",
        "caller MB": "peak of the caller, MB",
    }
    rows = [
        [row["lists by"], *(fmt.amount(row.get(column)) for column in columns)]
        for row in fmt.load("cluster").get("lists", {}).get("rows", ())
    ]
    return fmt.table(["lists by", *columns.values()], rows)


def catalogue():
    """Lists from an index against exact ones."""
    names = {
        "exact, ms a user": "exact, ms a user",
        "approximate, ms a user": "approximate, ms a user",
        "times as fast": "times as fast",
        "exact, one user, ms": "one user a call: exact, ms",
        "approximate, one user, ms": "approximate, ms",
        "index s": "index, s",
        "index MB": "index, MB",
    }
    first = "items, model", "guidance scale", "recall@20", "least recall of a user"
    rows = [
        [
            f"{row['items']:,}, {row['model']}",
            f"{row['guidance']:g}",
            fmt.score(row["recall@20"]),
            f"{row['least recall of a user']:.2f}",
            *(fmt.amount(row[name]) for name in names),
        ]
        for row in _rows()
    ]
    return fmt.table([*first, *names.values()], rows)


def catalogue_fits():
    """Where the table above was measured, and on what."""
    rows, record = _rows(), next(iter(fmt.load("catalogue").values()), None)
    if record is None:
        return ""
    largest = max(row["largest difference of a score"] for row in rows)
    return (
        f"Lists of {record['k']} for {rows[0]['users']:,} users in one call, medians of "
        f"{record['repeats']}; {record['data']}, fits of at most {record['max_epochs']} epochs, "
        "one seed; 50 neighbours in the closed form. Scores of items in the same place differ by "
        f"{fmt.tiny(largest)} at the most. {fmt.machine(record)}"
    )


def _rows():
    rows = [row for record in fmt.load("catalogue").values() for row in record["rows"]]
    return sorted(rows, key=lambda row: (row["items"], row["model"]))


def gpu():
    """Lists and epochs on a GPU, one table for each data set."""
    parts = []
    for name, record in fmt.load("gpu").items():
        rows = [
            [row["what"], *(fmt.amount(row.get(c)) for c in ("users/s", "of the rate", "s"))]
            for row in record["rows"]
        ]
        rate = f"bfloat16 products: {fmt.amount(record['bfloat16_flops'] / 1e12)} TFLOP/s."
        header = [name, "users/s", "share of the rate", "s"]
        parts.append(f"{fmt.table(header, rows)}\n\n{fmt.machine(record)} {rate}")
    return "\n\n".join(parts) or fmt.NOT_MEASURED


def screening():
    """Lists screened in bfloat16 against those of float32."""
    names = {
        "users": "users",
        "lists with other items": "lists with other items",
        "lists in another order": "lists in another order",
    }
    rows = [
        [
            f"{row['data']}, values={row['values']}",
            f"{row['guidance']:g}",
            *(fmt.amount(row[name]) for name in names),
            fmt.tiny(row["largest difference of a score"]),
            fmt.amount(row["spread of scores"]),
        ]
        for row in fmt.load("screening").get("rows", ())
    ]
    header = ["", "guidance scale", *names.values(), "largest difference of a score"]
    return fmt.table([*header, "standard deviation of scores"], rows)


def screening_fits():
    """Length of the lists and of the fits of the table above."""
    record = fmt.load("screening")
    if not record:
        return ""
    return f"Lists of {record['k']}; fits of at most {record['max_epochs']} epochs, one seed."
