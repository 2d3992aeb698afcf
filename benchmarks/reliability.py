"""What was tried to break the library: killed fits, damaged files, threads, an hour of questions.

    python benchmarks/reliability.py kills --n 60
    python benchmarks/reliability.py files --minutes 60
    python benchmarks/reliability.py threads --minutes 10
    python benchmarks/reliability.py soak --minutes 60

Each trial prints its row and adds it to --json; any failure ends it with an error. `kills` ends a
fit by SIGKILL at a random moment and calls it again, until it comes to its end, and compares all
bits. `files` flips bits of, cuts and mixes saved models and checkpoints; a file that loads must be
the one that was saved. `threads` asks one model from 16 threads while it is fitted again and again.
`soak` asks for an hour, watching memory and latency.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import warnings

import numpy as np
import torch
from timing import blas_and_torch_threads, checkpoints_of, machine

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.persistence import PersistenceError

COUNTS = ("cases", "refused", "unharmed", "failures", "went on", "fits", "minutes")
KINDS = {
    "binary": {},
    "time": {"values": "time"},
    "horizon": {"values": "time", "horizon": 1},
    "rating": {"values": "rating"},
    "user features": {},
}
FIT = """
import sys, warnings
sys.path.insert(0, {folder!r})
warnings.simplefilter("ignore")
import reliability
model = reliability.model_of({kind!r}, checkpoint={path!r}, checkpoint_every=0.0)
print("begin", flush=True)
print("end", reliability.digest(reliability.fitted(model, {kind!r})), flush=True)
"""


def model_of(kind, **parameters):
    """A model that trains some seconds."""
    options = {"max_epochs": 12, "hidden_dims": (64,), "random_state": 0, "device": "cpu"}
    return CFGDiffusionRecommender(**options | KINDS[kind] | parameters)


def fitted(model, kind):
    data = make_interactions(
        600, 400, n_interactions_per_user=30, values=model.values, random_state=0
    )
    known = {"user_features": data.user_features} if kind == "user features" else {}
    return model.fit(data.train, **known)


def digest(model):
    """A hash of all that a fit has learned."""
    import hashlib

    record, tensors = model._get_state(include_training=True)
    found = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].tobytes())
    return found.hexdigest()


def kills(options):
    """Fits that are killed at random moments end with the bits of one that was not."""
    rng, folder = random.Random(options.seed), tempfile.mkdtemp()
    row = {"trial": "kills", "cases": 0, "went on": 0, "fits": 0, "failures": 0}
    here = str(pathlib.Path(__file__).parent)
    while row["cases"] < options.n:
        kind = list(KINDS)[row["fits"] % len(KINDS)]
        begun = time.perf_counter()
        whole = digest(fitted(model_of(kind), kind))
        seconds = time.perf_counter() - begun
        path = os.path.join(folder, f"{row['fits']}.safetensors")
        while True:
            row["went on"] += os.path.exists(path)
            code = FIT.format(folder=here, kind=kind, path=path)
            lines, error = _killed_after(code, rng.uniform(0, 1.3 * seconds))
            if lines and lines[-1].startswith("end"):
                row["failures"] += lines[-1].split()[1] != whole or os.path.exists(path)
                break
            if error.strip():
                raise SystemExit(f"{kind}: {error}")
            row["cases"] += 1
        row["fits"] += 1
        print(row, flush=True)
    return row


def _killed_after(code, seconds):
    """(lines, errors) of a script that is killed so long after it says "begin"."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = [process.stdout.readline().strip()]
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    rest, error = process.communicate()
    return [line for line in (*lines, *rest.splitlines()) if line], error


def files(options):
    """Damaged files are refused, or were not damaged where it matters."""
    rng, row = np.random.default_rng(options.seed), {"trial": "files", "cases": 0, "refused": 0}
    row |= {"unharmed": 0, "failures": 0}
    with tempfile.TemporaryDirectory() as folder:
        originals = _originals(folder)
        end = time.monotonic() + 60 * options.minutes
        path = os.path.join(folder, "damaged")
        while time.monotonic() < end and row["cases"] < options.most:
            load, content, same = originals[rng.integers(len(originals))]
            damaged = _damaged(content, originals, rng)
            pathlib.Path(path).write_bytes(damaged)
            row["cases"] += 1
            try:
                found = load(path)
            except (PersistenceError, ValueError):
                row["refused"] += 1
                continue
            unharmed = damaged == content or same(found)
            row["unharmed" if unharmed else "failures"] += 1
            if row["cases"] % 5000 == 0:
                print(row, flush=True)
    return row


def _originals(folder):
    """[(load, content, same)] of a model, a baseline and a checkpoint."""
    X = make_interactions(40, 30, n_interactions_per_user=6, random_state=0).train
    small = {"hidden_dims": (8,), "latent_dim": 4, "max_epochs": 2, "random_state": 0}
    model = CFGDiffusionRecommender(**small).fit(X)
    ease = EASERecommender().fit(X)
    found = []
    for fitted_model in (model, ease):
        path = pathlib.Path(folder, type(fitted_model).__name__)
        fitted_model.save(path)
        expected = fitted_model.recommend(k=5)
        found.append(
            (
                type(fitted_model).load,
                path.read_bytes(),
                lambda other, expected=expected: all(
                    map(np.array_equal, other.recommend(k=5), expected)
                ),
            )
        )
    path = pathlib.Path(folder, "checkpoint")
    keep = CFGDiffusionRecommender(**small, checkpoint=path, checkpoint_every=0)
    content = checkpoints_of(lambda: keep.fit(X), path)[0]
    expected = model.recommend(k=5)

    def go_on(damaged):
        return CFGDiffusionRecommender(**small, checkpoint=damaged).fit(X)

    same = lambda other: all(map(np.array_equal, other.recommend(k=5), expected))  # noqa: E731
    return [*found, (go_on, content, same)]


def _damaged(content, originals, rng):
    """Flipped bits, a part that is missing, repeated or from another file, or garbage."""
    data = bytearray(content)
    kind = rng.integers(6)
    place = int(rng.integers(len(data)))
    n = int(rng.integers(1, 200))
    if kind <= 1:  # most of a file are numbers: every other time in the header
        places = rng.integers(len(data) if kind else 2000, size=int(rng.integers(1, 4)))
        for at in places:
            data[int(at) % len(data)] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        del data[place : place + n if rng.integers(2) else None]
    elif kind == 3:
        data[place:place] = data[place : place + n]
    elif kind == 4:
        other = originals[rng.integers(len(originals))][1]
        data[place : place + n] = other[place : place + n]
    else:
        data[place : place + n] = rng.bytes(n)
    return bytes(data)


def threads(options):
    """Sixteen threads ask one model that is fitted again and again; nothing global changes."""
    data = [
        make_interactions(n, n // 2, n_interactions_per_user=10, random_state=n).train
        for n in (120, 200)
    ]
    model = CFGDiffusionRecommender(max_epochs=2, hidden_dims=(32,), random_state=0, device="cpu")
    asks = [
        lambda: model.recommend(k=5)[0].tobytes(),
        lambda: model.recommend([0, 7, 3], k=3)[1].tobytes(),
        lambda: model.recommend_scales([0.0, 1.0, 2.0], k=4)[0].tobytes(),
        lambda: model.similar_items([1, 2], k=4)[0].tobytes(),
        lambda: model.score_parts([0, 1], item_ids=[3, 4]).conditional.tobytes(),
    ]
    valid = [set() for _ in asks]
    for X in data:
        model.fit(X)
        for ask, known in zip(asks, valid, strict=True):
            known.add(ask())
    before = _globals()
    row = {"trial": "threads", "cases": 0, "fits": 0, "failures": 0}
    wrong, counts, stop = [], [0] * 16, threading.Event()

    def go_on(i):
        rng = random.Random(i)
        while not stop.is_set():
            which = rng.randrange(len(asks))
            try:
                if asks[which]() not in valid[which]:
                    wrong.append(f"a mixture, of question {which}")
            except Exception as error:
                wrong.append(repr(error)[:200])
            counts[i] += 1

    workers = [threading.Thread(target=go_on, args=(i,)) for i in range(16)]
    for worker in workers:
        worker.start()
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        model.fit(data[row["fits"] % 2])
        row["fits"] += 1
        time.sleep(2)
        if row["fits"] % 20 == 0:
            print(sum(counts), row["fits"], len(wrong), wrong[:2], flush=True)
    stop.set()
    for worker in workers:
        worker.join()
    row["cases"], row["failures"] = sum(counts), len(wrong)
    row["globals as before"] = _globals() == before
    if wrong:
        print(wrong[:5])
    return row


def _globals():
    """What a process has set, for its present threads and for new ones."""
    found = []

    def look():
        found.append(blas_and_torch_threads())

    worker = threading.Thread(target=look)
    worker.start()
    worker.join()
    look()
    generators = torch.random.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes()
    return found, generators, torch.get_default_dtype(), np.geterr()


def soak(options):
    """Memory and latency of one model over a long time."""
    X = make_interactions(2000, 1000, n_interactions_per_user=30, random_state=0).train
    model = CFGDiffusionRecommender(max_epochs=2, random_state=0, device="cpu").fit(X)
    expected, rng = model.recommend(k=10)[0], np.random.default_rng(0)
    row = {"trial": "soak", "cases": 0, "failures": 0}
    begun, minutes, seconds, memory = time.monotonic(), [], [], []
    while time.monotonic() - begun < 60 * options.minutes:
        user = int(rng.integers(2000))
        start = time.perf_counter()
        ids, _ = model.recommend(user)
        seconds.append(time.perf_counter() - start)
        row["failures"] += not np.array_equal(ids, expected[user])
        row["cases"] += 1
        if row["cases"] % 500 == 0:
            some = rng.integers(2000, size=300)
            row["failures"] += not np.array_equal(model.recommend(some)[0], expected[some])
        if time.monotonic() - begun > 60 * (len(minutes) + 1):
            minutes.append([1000 * float(np.percentile(seconds, q)) for q in (50, 99)])
            memory.append(_resident())
            seconds.clear()
            if len(minutes) % 5 == 1:
                print(len(minutes), minutes[-1], f"{memory[-1]:.1f} MB", row, flush=True)
    if memory:
        row["memory, last to first minute"] = memory[-1] / memory[0]
        row["memory, last to middle minute"] = memory[-1] / memory[len(memory) // 2]
        row["median and p99 ms, first minute"] = minutes[0]
        row["median and p99 ms, last minute"] = minutes[-1]
    return row


def _resident():
    """Resident memory in MB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    trials = {"kills": kills, "files": files, "threads": threads, "soak": soak}
    parser.add_argument("trial", choices=trials)
    parser.add_argument("--n", type=int, default=60, help="kills")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--most", type=int, default=1_000_000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--more", action="store_true", help="add to the cases of an earlier run")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    row = trials[options.trial](options)
    row |= {"minutes": (time.monotonic() - begun) / 60, "machine": machine()}
    print(json.dumps(row, indent=1))
    if options.json:
        known = json.loads(options.json.read_text()) if options.json.exists() else {}
        if options.more:
            before = known.get(options.trial, {})
            row |= {name: row[name] + before.get(name, 0) for name in COUNTS if name in row}
        options.json.write_text(json.dumps(known | {options.trial: row}, indent=1) + "\n")
    if row["failures"]:
        raise SystemExit(f"{row['failures']} failures")


if __name__ == "__main__":
    main()
