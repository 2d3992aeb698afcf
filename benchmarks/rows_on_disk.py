"""A fit of rows on disk within a limit of memory, against the same rows in memory.

    python benchmarks/rows_on_disk.py --json benchmarks/results/rows_on_disk.json

Rows are generated, 100 interactions each, and written as `RowBlocks`. The fit from disk runs under
a limit (`resource.RLIMIT_DATA`: all that a process allocates, not the files it maps) that is at
most half of what the rows take; that in memory has no limit. Each is a process of its own. One
epoch of a small network without the closed form, so that reading is not hidden behind products;
scores of both are compared bit by bit. Beside seconds stand those of the processor, which other
processes of the machine do not lengthen, and which do not count waiting for the disk.
"""

import argparse
import hashlib
import pathlib
import resource
import shutil
import tempfile
import time

from generated import generate
from timing import PeakMemory, in_child, machine, markdown, merge, timed

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import RowBlocks

PER_USER, BLOCK = 100, 50_000
SMALL = {"hidden_dims": (64,), "latent_dim": 32, "n_loss_items": 1024, "closed_form": None}


def write(folder, n_users, n_items):
    """RowBlocks of generated rows, another seed a block."""
    RowBlocks.write(
        folder,
        (
            generate(min(BLOCK, n_users - first), n_items, PER_USER, seed=first)
            for first in range(0, n_users, BLOCK)
        ),
    )


def fitted(folder, limit_mb):
    """A row of the table: a fit under a limit of memory, or (None) with all rows in memory."""
    blocks = RowBlocks(folder)
    asked = blocks[:50]
    model = CFGDiffusionRecommender(max_epochs=1, random_state=0, device="cpu", **SMALL)
    if limit_mb is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_mb * 2**20,) * 2)
    rows = blocks if limit_mb is not None else blocks[:]
    with PeakMemory() as memory:
        begun = time.process_time()
        seconds, _ = timed(lambda: model.fit(rows))
        processor = time.process_time() - begun
    scores = hashlib.sha256(model.decision_function(asked).tobytes()).hexdigest()
    found = {"s": seconds, "processor s": processor, "limit MB": limit_mb}
    return found | {"resident peak MB": memory.peak, "scores": scores}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=2_400_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--limit", type=int, default=800, help="MB")
    parser.add_argument("--folder", type=pathlib.Path, help="where to write; None is temporary")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    home = pathlib.Path(tempfile.mkdtemp(dir=options.folder))
    try:
        in_child(write, home / "rows", options.users, options.items)
        size = sum(file.stat().st_size for file in (home / "rows").iterdir()) / 2**20
        rows = []
        for name, limit in (("from disk", options.limit), ("in memory", None)):
            rows.append({"rows": name} | in_child(fitted, home / "rows", limit))
            print(rows[-1], flush=True)
    finally:
        shutil.rmtree(home)
    if len({row.pop("scores") for row in rows}) > 1:
        raise SystemExit("the two fits differ")
    found = {"users": options.users, "items": options.items, "rows MB": size}
    for name, seconds in (("time", "s"), ("processor time", "processor s")):
        found[f"{name}, disk over memory"] = rows[0][seconds] / rows[1][seconds]
    found["rows"] = rows
    print(f"{size:,.0f} MB of rows\n{markdown(rows)}")
    if options.json:
        merge(options.json, "fits", found | {"machine": machine()})


if __name__ == "__main__":
    main()
