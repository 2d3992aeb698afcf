"""Training in one process and in two, started by torchrun.

    python benchmarks/processes.py --json benchmarks/results/processes.json

Strong scaling: the same rows and the same users in a step; of generated rows one epoch without the
closed form and early stopping, and of a data set the default fit, with nDCG@10 on valid. Weak
scaling: twice as many rows and users in a step for two processes. Every process has one thread;
the default of one process, two threads, stands beside them. "waiting" is the share of the fit that
the first process spends in exchanges, waiting for the other included.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from unittest import mock

import torch
from generated import generate
from timing import machine, markdown, merge, timed

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz

EXCHANGES = ("all_reduce", "all_gather", "broadcast", "broadcast_object_list", "all_gather_object")
PLAIN = {"max_epochs": 1, "closed_form": None, "early_stopping": False}


def in_exchanges(fit):
    """(seconds of a fit, seconds of it in exchanges between processes)."""
    inside = [0.0, 0]

    def noted(exchange):
        def run(*args, **options):
            begun, inside[1] = time.perf_counter(), inside[1] + 1
            try:
                return exchange(*args, **options)
            finally:
                inside[1] -= 1
                if not inside[1]:  # one may call another
                    inside[0] += time.perf_counter() - begun

        return run

    patched = {name: noted(getattr(torch.distributed, name)) for name in EXCHANGES}
    with mock.patch.multiple(torch.distributed, **patched):
        seconds, _ = timed(fit)
    return seconds, inside[0]


def worker(options):
    """One process: fits, and the first one writes down what it saw."""
    if options.data:
        data, parameters = load_npz(options.data), {}
        train = data.train
    else:
        data, parameters = None, PLAIN | {"batch_size": options.batch_size}
        train = generate(options.users, options.items)
    model = CFGDiffusionRecommender(random_state=0, device="cpu", **parameters)
    seconds, waiting = in_exchanges(lambda: model.fit(train))
    if int(os.environ.get("RANK", 0)):
        return
    row = {"s": seconds, "waiting": waiting / seconds, "epochs": len(model.history_)}
    row["loss"] = model.history_[-1]["loss"]
    if data is not None:
        row["valid nDCG@10"] = model.score(data.train, data.valid)
    options.worker.write_text(json.dumps(row))


def run(n_processes, n_threads, arguments):
    """What the first of some processes wrote down."""
    with tempfile.TemporaryDirectory() as folder:
        found = pathlib.Path(folder) / "row.json"
        command = [str(pathlib.Path(__file__).resolve()), "--worker", str(found), *arguments]
        if n_processes > 1:
            start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
            command = [*start, str(n_processes), *command]
        env = os.environ | {"OMP_NUM_THREADS": str(n_threads)}
        subprocess.run([sys.executable, *command], check=True, env=env)
        return json.loads(found.read_text())


def trials(options):
    """(name, processes, threads, arguments) of all runs."""

    def generated(times):
        sizes = {"users": times * options.users, "items": options.items, "batch-size": times * 512}
        return [text for name, size in sizes.items() for text in (f"--{name}", str(size))]

    for name, n_processes, n_threads in (
        ("1 process of 1 thread", 1, 1),
        ("2 processes of 1 thread", 2, 1),
        ("1 process of 2 threads", 1, 2),
    ):
        yield f"{name}, the same rows", n_processes, n_threads, generated(1)
        if n_processes == 2:
            yield f"{name}, twice the rows", n_processes, n_threads, generated(2)
        if options.data:
            yield f"{name}, {options.data.stem}", n_processes, n_threads, ["--data", options.data]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--data", type=pathlib.Path, help="an .npz file of interactions")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--worker", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options)
        return
    rows = []
    for name, n_processes, n_threads, arguments in trials(options):
        rows.append({"fit": name} | run(n_processes, n_threads, map(str, arguments)))
        print(rows[-1], flush=True)
    print(markdown(rows))
    if options.json:
        sizes = {"users": options.users, "items": options.items}
        merge(options.json, "fits", {"rows": rows, **sizes, "machine": machine()})


if __name__ == "__main__":
    main()
