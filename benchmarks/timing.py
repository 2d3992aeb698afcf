"""How the benchmarks measure seconds and memory. Imports neither skdiffrec nor RecBole.

Whatever the benchmarks need from inside skdiffrec is reached here, and nowhere else.
"""

import concurrent.futures
import contextlib
import ctypes
import gc
import json
import multiprocessing
import os
import pathlib
import pkgutil
import platform
import time
from unittest import mock

import numpy as np
import torch
from protocol import save
from threadpoolctl import ThreadpoolController


def blas_and_torch_threads():
    """Threads of BLAS and of torch in the calling thread."""
    pools = ThreadpoolController().select(user_api="blas").info()
    return [pool["num_threads"] for pool in pools], torch.get_num_threads()


def checkpoints_of(fit, path):
    """The contents of all checkpoints at a path that a call of fit writes."""
    contents, write = [], pkgutil.resolve_name(CHECKPOINT_WRITE)

    def noted(self, state):
        write(self, state)
        contents.append(pathlib.Path(path).read_bytes())

    with mock.patch(CHECKPOINT_WRITE, noted):
        fit()
    return contents


def timed(run):
    """(seconds, result) of a call."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def in_turns(runs, repeats):
    """{name: seconds} of functions called in turns: drift of the machine affects all alike."""
    seconds = {name: [] for name in runs}
    for repeat in range(repeats):
        for name, run in runs.items():
            seconds[name].append(timed(run)[0])
            print(f"  {repeat + 1}/{repeats} {name}: {seconds[name][-1]:.3f} s", flush=True)
    return seconds


def ratio(above, below):
    """Median over the turns of a ratio of seconds."""
    return float(np.median(np.divide(above, below)))


def in_child(function, *args):
    """``function(*args)`` in a fresh process, which no other measurement's memory is in."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


class PeakMemory:
    """Resident memory of this process in a with block, in MB: `before`, `peak`, `over` = rise.

    Memory that is free already is given back and the kernel's high-water mark set back first.
    `ru_maxrss` would not do: a new process starts with that of the process that started it.
    """

    def __enter__(self):
        gc.collect()
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            pathlib.Path("/proc/self/clear_refs").write_text("5")
        except OSError as error:
            raise SystemExit(f"Peak memory is measured on Linux only ({error}).") from None
        self.before = _status("VmRSS")
        return self

    def __exit__(self, *exception):
        self.peak = _status("VmHWM")
        self.over = self.peak - self.before


def peak_memory():
    """The kernel's high-water mark of this process, in MB."""
    return _status("VmHWM")


def _status(field):
    """A field of the process's status, in MB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def bare_topk(table, n_users, k, block=512):
    """A function that does the least that lists take: ``h @ O.T`` and `topk`, block by block."""
    h = torch.randn(n_users, table.shape[1]).to(table)

    def run():
        for start in range(0, n_users, block):
            best = (h[start : start + block] @ table.T).topk(k)
        if table.is_cuda:
            torch.cuda.synchronize()
        return best

    return run


# Names inside skdiffrec, for mock.patch.
EVALUATION = [
    f"skdiffrec._training.early_stopping.Monitor.{name}" for name in ("evaluate", "best_scale")
]
CHECKPOINT_WRITE = "skdiffrec._training.checkpoint.Checkpoint.write"
SCREENS_IN_BFLOAT16 = "skdiffrec._inference.model.FittedModel.screens"


def output_layer(model):
    """The weights O (n_items, H) of a fitted CFGDiffusionRecommender's ranking head."""
    return model._model.denoiser.head.write.weight.detach()


def weights_mb(model):
    """What a fitted CFGDiffusionRecommender keeps in tensors, in MB."""
    modules = model._model.denoiser, model._model.closed_form
    tensors = [t for module in modules if module for t in module.state_dict().values()]
    return sum(t.nbytes for t in tensors) / 2**20


def with_rows(model, X):
    """A fitted recommender that knows other rows than those of its fit."""
    model._fit_X = model._check_rows(X)
    return model


def n_fitted_users(model):
    """Number of the users that a model was fitted on."""
    return model._fit_X.shape[0]


def grown(model, n_items, seed=0):
    """A fitted CFGDiffusionRecommender with more items, made of its own; see `catalogue.py`."""
    if not n_items:
        return model
    fitted, rng = model._model, np.random.default_rng(seed)
    n = model.n_features_in_
    first, second = rng.integers(n, size=(2, n_items))
    first[:n] = np.arange(n)  # every item is in some new one
    children = np.argsort(first, kind="stable")
    starts = np.searchsorted(first[children], np.arange(n + 1))

    def child(items):
        """A new item made of each of some."""
        counts = np.diff(starts)[items]
        return children[starts[items] + (rng.random(len(items)) * counts).astype(np.int64)]

    def mixed(array):
        new, mean = np.empty((n_items, *array.shape[1:]), array.dtype), array.mean(0)
        for part in np.array_split(np.arange(n_items), 32):
            new[part] = 0.8 * array[first[part]] + 0.6 * array[second[part]] - 0.4 * mean
        return new

    record, tensors = fitted.__getstate__()
    entries = ("closed_form.weights", "closed_form.items", "closed_form.offsets")
    for name in [name for name in tensors if not name.startswith("optimizer.")]:
        if name not in entries and tensors[name].shape[:1] == (n,):
            tensors[name] = mixed(tensors[name])
    if fitted.closed_form is not None:
        form = fitted.closed_form.csr[first]
        for part in np.array_split(np.arange(form.nnz), 32):
            form.indices[part] = child(form.indices[part])
        form.sort_indices()
        tensors |= dict(zip(entries, (form.data, form.indices, form.indptr), strict=True))
        tensors[entries[2]] = form.indptr.astype(np.int64)
        record["closed_form_entries"] = form.nnz
    record["n_items"], record["n_updates"] = n_items, None
    model._model = type(fitted).of_state(record, tensors)
    X = model._fit_X
    parts = X.data, child(X.indices).astype(X.indices.dtype), X.indptr
    model._fit_X = type(X)(parts, shape=(X.shape[0], n_items))
    model._fit_X.sort_indices()
    model.n_features_in_ = n_items
    return model


@contextlib.contextmanager
def evaluation_clock():
    """A list of the seconds that fits of ours spend on the held-out items of early stopping."""
    seconds = []

    def clocked(method):
        def run(*args):
            found = timed(lambda: method(*args))
            seconds.append(found[0])
            return found[1]

        return run

    with contextlib.ExitStack() as patches:
        for name in EVALUATION:
            patches.enter_context(mock.patch(name, clocked(pkgutil.resolve_name(name))))
        yield seconds


@contextlib.contextmanager
def screening(on):
    """`recommend` with or without screening in bfloat16, whatever the device."""
    with mock.patch(SCREENS_IN_BFLOAT16, on):
        yield


def machine():
    """Where, with what and beside how much else something ran."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "torch_threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _processor():
    """The processor's name and its widest vector instructions, where Linux tells them."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    halves = (line.partition(":") for line in text.splitlines())
    fields = {name.strip(): value for name, _, value in halves}
    flags = fields.get("flags", "").split()
    widest = next((flag for flag in ("avx512_bf16", "avx512f", "avx2") if flag in flags), "no AVX2")
    return f"{fields.get('model name', platform.machine()).strip()}, {widest}"


def merge(path, name, record):
    """Put a record under its name into a JSON file, beside the others there; returns all."""
    path = pathlib.Path(path)
    found = json.loads(path.read_text()) if path.exists() else {}
    found[name] = record
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, found)
    return found


def markdown(rows):
    """A table of dicts; columns in order of appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(row.get(name)) for name in columns] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _cell(value):
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)) and abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
