"""Lists from an index against exact ones: `python benchmarks/catalogue.py DATA.npz --items 10000`.

A model is fitted to the data on one thread, with and without its closed form, and its catalogue
grown: every new item has .8 of the vectors of one trained item and .6 of those of another, about
their mean, so that all vectors together have the mean and the covariances of the trained ones. Its
neighbours in the closed form are made from those of the first. Histories keep their users, each
item in them changed for one that was made of it. 0 items is the trained catalogue itself.

Both kinds of lists are made in turns, for many users in one call and for one user a call. Recall is
the share of the exact lists' items that the others have. Each model of each size is a process of
its own and a record in --json, which replaces the one before.
"""

import argparse
import functools
import pathlib
import tempfile

import numpy as np
import torch
from timing import (
    PeakMemory,
    grown,
    in_child,
    in_turns,
    machine,
    markdown,
    merge,
    n_fitted_users,
    timed,
)

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import NeighborhoodRecommender
from skdiffrec.datasets import load_npz

K, N_USERS, N_SINGLE, REPEATS = 20, 1024, 5, 5
SCALES = (1.0, 1.5, 0.5)
MODELS = {  # half of the default neighbours, so that a million items have room
    "network alone": None,
    "with a closed form": NeighborhoodRecommender(n_neighbors=50),
}


def measured(name, path, n_items):
    """A row a guidance scale; for a child process."""
    torch.set_num_threads(1)
    model = grown(CFGDiffusionRecommender.load(path, device="cpu"), n_items)
    users = np.random.default_rng(0).choice(n_fitted_users(model), N_USERS, replace=False)
    model.recommend(users[:1], k=K)
    with PeakMemory() as memory:
        seconds, _ = timed(lambda: model.recommend(users[:1], k=K, search="approximate"))
    shared = {"model": name, "items": model.n_features_in_, "users": N_USERS}
    shared |= {"index s": seconds, "index MB": memory.over}
    return [shared | {"guidance": scale} | compared(model, users, scale) for scale in SCALES]


def compared(model, users, scale):
    """What both kinds of lists take, and how much of one is in the other."""
    lists = {}

    def many(search):
        lists[search] = model.recommend(users, k=K, guidance_scale=scale, search=search)

    def single(search):
        for user in users[:N_SINGLE]:
            model.recommend(user, k=K, guidance_scale=scale, search=search)

    runs = {
        f"{run.__name__}, {kind}": functools.partial(run, kind)
        for run in (many, single)
        for kind in ("exact", "approximate")
    }
    seconds = {name: np.median(times) for name, times in in_turns(runs, REPEATS).items()}
    exact, found = lists["exact"], lists["approximate"]
    same = exact[0] == found[0]
    shares = [np.isin(*pair).mean() for pair in zip(exact[0], found[0], strict=True)]
    return {
        "recall@20": float(np.mean(shares)),
        "least recall of a user": float(np.min(shares)),
        "largest difference of a score": float(np.abs(exact[1] - found[1])[same].max()),
        "exact, ms a user": 1e3 * seconds["many, exact"] / N_USERS,
        "approximate, ms a user": 1e3 * seconds["many, approximate"] / N_USERS,
        "times as fast": seconds["many, exact"] / seconds["many, approximate"],
        "exact, one user, ms": 1e3 * seconds["single, exact"] / N_SINGLE,
        "approximate, one user, ms": 1e3 * seconds["single, approximate"] / N_SINGLE,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, help=".npz file")
    parser.add_argument("--items", type=int, default=0)
    parser.add_argument("--max-epochs", type=int, default=6)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", type=pathlib.Path, default="benchmarks/results/catalogue.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    X = load_npz(options.data).train
    about = {"machine": machine(), "data": options.data.stem, "k": K, "repeats": REPEATS}
    about["max_epochs"] = options.max_epochs
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.safetensors")
        for name in options.models:
            model = CFGDiffusionRecommender(
                closed_form=MODELS[name], max_epochs=options.max_epochs, random_state=0
            )
            model.fit(X).save(path)
            rows = in_child(measured, name, path, options.items)
            merge(options.json, f"{options.items or X.shape[1]} {name}", about | {"rows": rows})
            print(markdown(rows), flush=True)


if __name__ == "__main__":
    main()
