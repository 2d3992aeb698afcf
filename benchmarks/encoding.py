"""Encoding a table of events, and writing lists of a million users.

    python benchmarks/encoding.py encode --json benchmarks/results/encoding.json
    python benchmarks/encoding.py lists --json benchmarks/results/encoding.json

encode: 10 million events of a million users and 50,000 items in a pandas frame (strings; integers;
integers far apart): `InteractionEncoder` against `pandas.factorize` and scipy's COO to CSR. Each
runs in processes of its own, in turns; memory is the peak over the frame. lists: the lists of 10 of
a million users with text ids, of 2,000 items, written into a Parquet file batch by batch, after one
epoch of training; memory is the peak over what was there before the first list. A mode's record
replaces the one in --json.
"""

import argparse
import functools
import itertools
import pathlib
import tempfile
import time

import numpy as np
from generated import generate
from timing import PeakMemory, in_child, machine, markdown, merge, ratio, timed

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.preprocessing import InteractionEncoder, recommend_batches

KINDS = ("strings", "integers", "integers far apart")
N_ITEMS, PER_USER = 50_000, 10
LISTS_ITEMS, LISTS_PER_USER, K = 2_000, 20, 10


def events(kind, n_events, seed=0):
    """A pandas frame of events; popular items have most of them."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    n_users = n_events // PER_USER
    user = rng.integers(n_users, size=n_events)
    item = (N_ITEMS * rng.random(n_events) ** 3).astype(np.int64)
    if kind == "strings":
        users = pd.Series([f"user-{n:08d}" for n in rng.permutation(n_users)], dtype="str")
        items = pd.Series([f"item-{n:06d}" for n in rng.permutation(N_ITEMS)], dtype="str")
        return pd.DataFrame({"user": users.array.take(user), "item": items.array.take(item)})
    return pd.DataFrame({"user": user * 1_000_003 if "apart" in kind else user, "item": item})


def by_encoder(frame):
    return InteractionEncoder().fit_transform(frame)


def by_pandas(frame):
    """The usual way: ids in order of appearance, repeats summed and set to one."""
    import pandas as pd
    import scipy.sparse as sp

    rows, users = pd.factorize(frame["user"])
    columns, items = pd.factorize(frame["item"])
    ones = np.ones(len(rows), np.float32)
    X = sp.coo_array((ones, (rows, columns)), shape=(len(users), len(items))).tocsr()
    X.data[:] = 1
    return X


WAYS = {"InteractionEncoder": by_encoder, "pandas.factorize, scipy": by_pandas}


def one_encoding(way, kind, n_events):
    """Seconds and MB of one way; for a child process."""
    frame = events(kind, n_events)
    WAYS[way](frame.iloc[:1000])  # imports
    with PeakMemory() as memory:
        seconds, X = timed(lambda: WAYS[way](frame))
    return seconds, memory.over, X.nnz


def encode(options):
    rows, ratios = [], {}
    for kind in KINDS:
        found = {way: [] for way in WAYS}
        for repeat in range(options.repeats):
            for way in WAYS:
                found[way].append(in_child(one_encoding, way, kind, options.events))
                seconds, mb, _ = found[way][-1]
                print(
                    f"  {repeat + 1}/{options.repeats} {kind}, {way}: {seconds:.2f} s, {mb:.0f} MB"
                )
        seconds = {way: [run[0] for run in runs] for way, runs in found.items()}
        ratios[kind] = ratio(*seconds.values())
        for way, runs in found.items():
            rows.append({"ids": kind, "way": way, "s": float(np.median(seconds[way]))})
            rows[-1] |= {"MB": max(run[1] for run in runs), "interactions": runs[0][2]}
        assert len({run[2] for runs in found.values() for run in runs}) == 1
    print(markdown(rows))
    print("seconds over those of pandas and scipy:", ratios)
    return {"events": options.events, "rows": rows, "ratios": ratios}


def lists_table(n_users):
    """An Arrow table of events of generated users with text ids."""
    import pyarrow as pa

    X = generate(n_users, LISTS_ITEMS, LISTS_PER_USER).tocoo()
    names = pa.array([f"user-{n:08d}" for n in range(n_users)])
    items = pa.array([f"item-{n:05d}" for n in range(LISTS_ITEMS)])
    text = functools.partial(pa.DictionaryArray.from_arrays)
    return pa.table({"user": text(pa.array(X.row), names), "item": text(pa.array(X.col), items)})


def write_lists(n_users, batch_size):
    """Seconds and MB of the lists of all users; for a child process."""
    from pyarrow import parquet

    table = lists_table(n_users)
    encoder = InteractionEncoder()
    encode_seconds, X = timed(lambda: encoder.fit_transform(table))
    model = CFGDiffusionRecommender(max_epochs=1, random_state=0)
    fit_seconds, _ = timed(lambda: model.fit(X))
    ids, _ = model.recommend(np.arange(min(batch_size, n_users)), k=K)  # warm
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
        path = pathlib.Path(folder) / "lists.parquet"
        start, writing, n_rows = time.perf_counter(), 0.0, 0
        batches = recommend_batches(model, encoder, k=K, batch_size=batch_size)
        first = next(batches)
        with parquet.ParquetWriter(path, first.schema) as writer:
            for batch in itertools.chain([first], batches):
                seconds, _ = timed(functools.partial(writer.write_table, batch))
                writing, n_rows = writing + seconds, n_rows + len(batch)
        total = time.perf_counter() - start
        size = path.stat().st_size / 2**20
    labels, _ = timed(lambda: encoder.inverse_transform(ids, users=encoder.users_[: len(ids)]))
    return {
        "users": n_users,
        "encode s": encode_seconds,
        "fit s": fit_seconds,
        "lists s": total,
        "users/s": n_users / total,
        "of it tables s": labels * n_users / len(ids),
        "of it writing s": writing,
        "MB": memory.over,
        "file MB": size,
        "lines": n_rows,
    }


def lists(options):
    rows = [
        in_child(write_lists, n, options.batch_size) for n in (options.users // 10, options.users)
    ]
    print(markdown(rows))
    return {"batch_size": options.batch_size, "k": K, "items": LISTS_ITEMS, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("encode", "lists"))
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--batch-size", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", help="where to save the figures")
    options = parser.parse_args()
    run = {"encode": encode, "lists": lists}[options.what]
    record = {"machine": machine(), **run(options)}
    if options.json:
        merge(options.json, options.what, record)


if __name__ == "__main__":
    main()
