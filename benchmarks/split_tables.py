"""Item tables split over processes by torch's FSDP2, against whole ones with sparse gradients.

    python benchmarks/split_tables.py --json benchmarks/results/split_tables.json

A network of the shape that is trained here, and no more: a table that histories are summed from, a
layer, a table whose drawn rows are scored. "whole" has both tables in every process, gradients of
the rows that were met and torch's SparseAdam; "split" has `fully_shard` on both tables, which takes
dense gradients only, and torch's Adam. Memory is the highest of a process over that before the
tables were made, in tables; the network alone: nothing is exchanged in "whole".
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from timing import machine, markdown, merge, timed
from torch import distributed, nn

WIDTH, USERS, PER_USER, DRAWN, STEPS = 128, 256, 50, 1024, 4


class Network(nn.Module):
    def __init__(self, n_items, sparse):
        super().__init__()
        self.read = nn.EmbeddingBag(n_items, WIDTH, mode="sum", sparse=sparse)
        self.layer = nn.Linear(WIDTH, WIDTH)
        self.write = nn.Embedding(n_items, WIDTH, sparse=sparse)

    def forward(self, items, starts, drawn):
        return self.layer(self.read(items, starts)).tanh() @ self.write(drawn).T


def peak():
    """Highest resident memory so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def worker(options):
    """One process of a training; the first one writes down what it saw."""
    from torch.distributed.fsdp import fully_shard

    distributed.init_process_group("gloo")
    rank, before = distributed.get_rank(), peak()
    network = Network(options.items, sparse=not options.split)
    if options.split:
        for module in (network.read, network.write, network):
            fully_shard(module)
        optimizer = torch.optim.Adam(network.parameters())
    else:
        optimizer = torch.optim.SparseAdam([network.read.weight, network.write.weight])
    generator = torch.Generator().manual_seed(rank)

    def step():
        items = torch.randint(options.items, (USERS * PER_USER,), generator=generator)
        drawn = torch.randint(options.items, (DRAWN,), generator=generator)
        target = torch.randint(DRAWN, (USERS,), generator=generator)
        scores = network(items, torch.arange(0, len(items), PER_USER), drawn)
        F.cross_entropy(scores, target).backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = [timed(step)[0] for _ in range(STEPS)]
    if rank == 0:
        tables = 2 * options.items * WIDTH * 4
        found = {
            "s a step": float(np.median(seconds)),
            "memory, tables": (peak() - before) / tables,
        }
        options.worker.write_text(json.dumps(found))
    distributed.destroy_process_group()


def run(n_processes, split, n_items):
    with tempfile.TemporaryDirectory() as folder:
        found = pathlib.Path(folder) / "row.json"
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        command = [sys.executable, *start, str(n_processes), __file__, "--worker", str(found)]
        command += ["--items", str(n_items)] + ["--split"] * split
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        return json.loads(found.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--processes", type=int, nargs="+", default=(2, 4, 8))
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--worker", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--split", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options)
        return
    rows = []
    for n in options.processes:
        for split in (False, True):
            tables = "split" if split else "whole"
            rows.append({"tables": tables, "processes": n} | run(n, split, options.items))
            print(rows[-1], flush=True)
    print(markdown(rows))
    if options.json:
        merge(options.json, "rows", rows)
        merge(options.json, "about", {"items": options.items, "machine": machine()})


if __name__ == "__main__":
    main()
