"""Lists of all users to Parquet: workers of a Dask cluster against one process.

    python benchmarks/cluster.py --json benchmarks/results/cluster.json
    python benchmarks/cluster.py --users 20000 --items 20000 --fitted 5000

1,000,000 users x 100,000 items, 50 interactions a user, lists of 10. The model is trained for one
epoch on the first 20,000 users and then given the rows of all: what lists cost does not depend on
how good they are. Each run is in processes of its own: one process of one thread; one of two; two
workers of one thread. Seconds are those from the file of the model to the last file of lists, with
all checks, without the start of processes and their imports; peak memory is the whole of a
process's, the largest of the workers'. "caller MB" is that of the process that called the workers.
All files are compared at the end.
"""

import argparse
import pathlib
import tempfile

import numpy as np
import pyarrow
import pyarrow.parquet as pq
import torch
from generated import generate
from threadpoolctl import threadpool_limits
from timing import PeakMemory, in_child, machine, markdown, merge, peak_memory, timed, with_rows

from skdiffrec import CFGDiffusionRecommender, persistence
from skdiffrec.distributed import recommend_dask

K = 10


def prepare(path, n_users, n_items, n_fitted):
    """Save a model that knows all users."""
    X = generate(n_users, n_items)
    model = CFGDiffusionRecommender(max_epochs=1, random_state=0).fit(X[:n_fitted])
    with_rows(model, X).save(path)
    return X.nnz


def in_one_process(path, folder, n_users, batch_size, n_threads):
    """What a loop over batches of users takes."""
    torch.set_num_threads(n_threads)

    def write_all():
        model = persistence.load(path)
        for number, start in enumerate(range(0, n_users, batch_size)):
            users = np.arange(start, min(start + batch_size, n_users))
            ids, scores = model.recommend(users, k=K)
            row, rank = np.nonzero(ids >= 0)
            columns = {"user": users[row], "rank": rank + 1}
            columns |= {"item": ids[row, rank], "score": scores[row, rank]}
            pq.write_table(pyarrow.table(columns), f"{folder}/part-{number:05d}.parquet")

    pathlib.Path(folder).mkdir()
    with threadpool_limits(n_threads), PeakMemory() as memory:
        seconds, _ = timed(write_all)
    return {"s": seconds, "peak MB": memory.peak}


def on_dask(path, folder, n_users, batch_size, n_workers):
    """What `recommend_dask` takes, workers of one thread each having started."""
    from distributed import Client

    options = {"n_workers": n_workers, "threads_per_worker": 1, "memory_limit": 0}
    with Client(dashboard_address=":0", **options) as client, PeakMemory() as memory:
        client.run(load_imports)
        seconds, _ = timed(
            lambda: recommend_dask(path, folder, k=K, batch_size=batch_size, client=client)
        )
        peak = max(client.run(peak_memory).values())
    return {"s": seconds, "peak MB": peak, "caller MB": memory.peak}


def load_imports():
    """On a worker, what a process that has read this file has imported too."""
    import pyarrow.parquet  # noqa: F401
    import torch

    import skdiffrec.distributed

    assert torch and skdiffrec.CFGDiffusionRecommender


def check_equal(folders):
    """All folders must hold the same lists."""
    first, *others = [pq.read_table(folder) for folder in folders]
    if not all(first.equals(other) for other in others):
        raise SystemExit("The lists differ.")
    return first.num_rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--fitted", type=int, default=20_000, help="users that the model learns of")
    parser.add_argument("--batch-size", type=int, default=10_000)
    parser.add_argument("--folder", help="for the model and the lists; a temporary one by default")
    parser.add_argument("--json")
    options = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        disk = pathlib.Path(folder)
        path = str(disk / "model.safetensors")
        nnz = in_child(prepare, path, options.users, options.items, options.fitted)
        print(f"{nnz:,} interactions", flush=True)
        runs = {
            "one process, 1 thread": (in_one_process, 1),
            "one process, 2 threads": (in_one_process, 2),
            "Dask, 2 workers of 1 thread": (on_dask, 2),
        }
        rows = []
        for name, (run, n) in runs.items():
            given = options.users, options.batch_size, n
            found = in_child(run, path, str(disk / str(len(rows))), *given)
            found["users/s"] = options.users / found["s"]
            found["of 1 thread"] = found["users/s"] / (rows[0] if rows else found)["users/s"]
            rows.append({"lists by": name} | found)
            print(f"  {rows[-1]}", flush=True)
        listed = check_equal([disk / str(number) for number in range(len(rows))])
    sizes = {"users": options.users, "items": options.items, "interactions": nnz, "k": K}
    record = sizes | {"batch_size": options.batch_size, "listed": listed, "rows": rows}
    if options.json:
        merge(options.json, "lists", {"machine": where} | record)
    print(markdown(rows))


if __name__ == "__main__":
    main()
