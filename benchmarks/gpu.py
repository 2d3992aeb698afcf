"""Lists and epochs on a GPU, as a share of what its matrix products allow.

    python benchmarks/gpu.py --data ../shared/data/gowalla.npz ../shared/data/ml-1m_clean.npz
    python benchmarks/gpu.py --generated 100000x100000
    python benchmarks/gpu.py --device cpu --generated 500x1000 --json cpu.json

The rate of bfloat16 products is measured with large square ones. A list takes at the least
2 * n_items * H operations, H the width of the last hidden layer: "of the rate" is the users/s of
`recommend` over that rate / (2 * n_items * H). Lists of 20 of all users, default settings, medians
of turns, with "bare product": ``h @ O.T`` and `topk` in the same dtype, blocks of 512. An epoch is
half of the difference of fits of 3 epochs and of 1, without closed form and early stopping.
--device cpu tries the script where there is no GPU.
"""

import argparse
import functools
import pathlib

import numpy as np
import torch
from generated import generate
from speed_models import K, epoch_runs, epoch_seconds
from timing import (
    bare_topk,
    in_turns,
    machine,
    markdown,
    merge,
    output_layer,
    screening,
    timed,
)

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def synchronized(run, device):
    """`run`, and then all that it left for the GPU to do."""

    def whole():
        result = run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return result

    return whole


def matmul_rate(device, size, dtype=torch.bfloat16, products=10):
    """Operations a second of products of square matrices; the best of 5 rounds."""
    a = torch.randn(size, size, device=device).to(dtype)
    b = torch.randn(size, size, device=device).to(dtype)

    def run():
        for _ in range(products):
            a @ b.T

    run = synchronized(run, device)
    run()  # libraries load and choose their kernels
    return products * 2 * size**3 / min(timed(run)[0] for _ in range(5))


def lists(model, screened):
    """Lists of all users, with or without screening in bfloat16."""
    with screening(screened):
        return model.recommend(k=K)


def measured(name, X, device, rate, repeats):
    """Rows for one data set: lists in each precision, the bare product, an epoch."""
    model = CFGDiffusionRecommender(device=str(device), random_state=0)
    fit_seconds, model = timed(synchronized(lambda: model.fit(X), device))
    runs = {
        f"ours, {p}": functools.partial(lists, model, p == "bfloat16")
        for p in ("float32", "bfloat16")
    }
    model.recommend(0)  # to the device
    for p, dtype in DTYPES.items():
        runs[f"bare product, {p}"] = bare_topk(output_layer(model).to(dtype), X.shape[0], K)
    runs = {run_name: synchronized(run, device) for run_name, run in runs.items()}
    for run in runs.values():
        run()
    seconds = in_turns(runs, repeats)
    n_items, width = output_layer(model).shape
    allowed = rate / (2 * n_items * width)
    rows = []
    for run_name, times in seconds.items():
        users_s = X.shape[0] / float(np.median(times))
        rows.append({"data": name, "what": run_name, "users/s": users_s})
        rows[-1]["of the rate"] = users_s / allowed
    fits = [synchronized(run, device) for run in epoch_runs(X, device=str(device)).values()]
    epoch = [float(epoch_seconds(*(timed(fit)[0] for fit in fits))) for _ in range(repeats)]
    rows.append({"data": name, "what": "ours, an epoch", "s": float(np.median(epoch))})
    rows.append({"data": name, "what": f"ours, fit of {model.n_iter_} epochs", "s": fit_seconds})
    return rows, {"lists": seconds, "epoch": epoch}


def data_sets(options):
    """(name, training rows) of what is asked for."""
    for path in options.data:
        yield path.stem, load_npz(path).train
    for size in options.generated:
        yield size, generate(*map(int, size.split("x")))


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", type=pathlib.Path, default=[], help=".npz files")
    parser.add_argument("--generated", nargs="+", default=[], metavar="USERSxITEMS")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", default="benchmarks/results/gpu.json")
    options = parser.parse_args()
    options.device = torch.device(options.device)
    if options.device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "torch sees no GPU here. Install a build of torch with CUDA on a machine that has one, "
            "or try the script with --device cpu."
        )
    if not (options.data or options.generated):
        parser.error("give --data FILE.npz or --generated USERSxITEMS.")
    return options


def main():
    options = parsed()
    device = options.device
    gpu = device.type == "cuda"
    rate = matmul_rate(device, 8192 if gpu else 512)
    where = machine() | {"device": torch.cuda.get_device_name(device) if gpu else "cpu"}
    print(f"{where['device']}: {rate / 1e12:.3g} TFLOP/s in bfloat16", flush=True)
    for name, X in data_sets(options):
        rows, seconds = measured(name, X, device, rate, options.repeats)
        record = {"machine": where, "bfloat16_flops": rate, "rows": rows, "seconds": seconds}
        merge(options.json, name, record)
        print(markdown(rows), flush=True)


if __name__ == "__main__":
    main()
