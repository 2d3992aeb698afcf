"""From a CSV file of events to a file of recommendations, written in batches.

    python examples/csv_to_recommendations.py                        on generated events
    python examples/csv_to_recommendations.py --users 1000000        a million users
    python examples/csv_to_recommendations.py --events events.csv    on your own events

The CSV file has columns for user, item and timestamp; --columns gives their names. Recommendations
are written to --output, a .csv or .parquet file with columns user, rank, item and score. The file
appears when it is complete. Lists are made and written in batches, so the memory for them does not
grow with the number of users. In a program of your own you need `main` and `write`; the rest
generates events.
"""

import argparse
import pathlib
import time

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.preprocessing import InteractionEncoder, recommend_batches


def main(options):
    user, item, timestamp = options.columns
    start = time.perf_counter()
    text = pa.dictionary(pa.int32(), pa.string())  # stores every id once
    wanted = csv.ConvertOptions(
        column_types={user: text, item: text}, include_columns=[user, item, timestamp]
    )
    events = csv.read_csv(options.events, convert_options=wanted)
    encoder = InteractionEncoder(
        user=user, item=item, timestamp=timestamp, min_item_interactions=options.min_item
    )
    X = encoder.fit_transform(events)
    print(f"{len(events):,} events of {X.shape[0]:,} users and {X.shape[1]:,} items", flush=True)
    del events
    model = CFGDiffusionRecommender(
        values="time", max_epochs=options.max_epochs, random_state=0
    ).fit(X)
    print(f"encoded and fitted in {time.perf_counter() - start:.1f} s", flush=True)
    start = time.perf_counter()
    write(recommend_batches(model, encoder, k=options.k), options.output)
    seconds = time.perf_counter() - start
    print(f"lists in {options.output}: {seconds:.1f} s, {X.shape[0] / seconds:,.0f} users/s")


def write(tables, path):
    """Write Arrow tables one by one into a CSV or Parquet file."""
    part = path.with_name(path.name + ".part")
    writer = None
    for table in tables:
        if writer is None:
            new = parquet.ParquetWriter if path.suffix == ".parquet" else csv.CSVWriter
            writer = new(part, table.schema)
        writer.write_table(table)
    writer.close()
    part.replace(path)


def generate(path, n_users, n_items=2_000, n_tastes=20, per_user=20, batch=50_000, seed=0):
    """Write a CSV file of events of users with one taste each; ids are text, times are seconds."""
    rng = np.random.default_rng(seed)
    items = pa.array([f"item-{n:05d}" for n in range(n_items)])
    writer = None
    for first in range(0, n_users, batch):
        users = np.repeat(np.arange(first, min(first + batch, n_users)), per_user)
        place = (n_items // n_tastes * rng.random(len(users)) ** 3).astype(int)
        taste = np.where(
            rng.random(len(users)) < 0.8, users, rng.integers(n_users, size=len(users))
        )
        table = pa.table(
            {
                "user": pa.array(np.char.add("user-", np.char.zfill(users.astype(str), 8))),
                "item": items.take(pa.array(place * n_tastes + taste % n_tastes)),
                "timestamp": 1_600_000_000 + rng.integers(100_000_000, size=len(users)),
            }
        )
        writer = writer or csv.CSVWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=pathlib.Path, help="a CSV file; default: generate one")
    parser.add_argument("--columns", nargs=3, default=["user", "item", "timestamp"])
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("recommendations.parquet")
    )
    parser.add_argument("--users", type=int, default=3_000, help="number of users to generate")
    parser.add_argument("--min-item", type=int, default=5, help="minimum users of an item")
    parser.add_argument("--max-epochs", type=int, default=3)
    parser.add_argument("-k", type=int, default=10)
    options = parser.parse_args()
    if options.events is None:
        options.events = pathlib.Path("events.csv")
        generate(options.events, options.users)
    main(options)
