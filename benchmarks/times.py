"""What the times of interactions are worth: models that see them against the same without.

    python benchmarks/times.py ../shared/data/ml-1m_clean.npz ../shared/data/ml-100k.npz

The train part is split again: the latest fifth of every user's items is held out, and the latest
fifth of the rest chooses the settings of EASE and ALS, half-life included. One seed. Without files:
generated users whose taste changes. The difference is of a paired bootstrap over users. A model's
row replaces the one in --json, where the others stay.
"""

import argparse
import itertools
import json
import pathlib

import numpy as np
from timing import machine, markdown, merge

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender
from skdiffrec.datasets import load_npz, make_interactions
from skdiffrec.metrics import compare, ndcg_at_k
from skdiffrec.model_selection import LastFraction

K = 10
HALF_LIVES = (1.0, 2.0, 5.0, 10.0)
EASE_REGS, ALS_REGS = (100.0, 300.0, 1000.0, 3000.0), (0.1, 10.0)
MODELS = ("EASE", "ALS", "CFG")


def generated():
    """All interactions of generated users, with times."""
    data = make_interactions(1000, 400, n_interactions_per_user=30, values="time", random_state=0)
    return data.train + data.valid + data.test


def candidates(name, values, cache=None):
    """The models to choose from; CFG has its defaults."""
    half_lives = HALF_LIVES if values == "time" else (5.0,)  # the default, without effect
    if name == "CFG":
        return [CFGDiffusionRecommender(values=values, memory=cache, random_state=0)]
    if name == "EASE":
        pairs = itertools.product(EASE_REGS, half_lives)
        return [EASERecommender(reg=reg, values=values, half_life=h) for reg, h in pairs]
    pairs = itertools.product(ALS_REGS, half_lives)
    return [
        ALSRecommender(regularization=reg, values=values, half_life=h, random_state=0)
        for reg, h in pairs
    ]


def measured(name, times, cache=None):
    """A row of one model: nDCG@10 without and with times, and the difference."""
    history, test = LastFraction(0.2).hide(times)
    earlier, valid = LastFraction(0.2).hide(history)
    per_user = {}
    for values in ("binary", "time"):
        models = candidates(name, values, cache)
        best = models[0]
        if len(models) > 1:
            best = max(models, key=lambda model: model.fit(earlier).score(earlier, valid))
        ids, _ = best.fit(history).recommend(k=K)
        per_user[values] = ndcg_at_k(ids, test, K, per_user=True)
    means = {values: float(np.nanmean(of_user)) for values, of_user in per_user.items()}
    found = compare(per_user["binary"], per_user["time"], random_state=0)._asdict()
    return {"model": name} | means | found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", type=pathlib.Path, help=".npz files with times")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--cache", help="folder for fits of CFG; default none")
    parser.add_argument("--json", type=pathlib.Path, default="benchmarks/results/times.json")
    options = parser.parse_args()
    for path in options.data or [None]:
        data = path.stem if path else "generated"
        times = load_npz(path, values="time").train if path else generated()
        before = json.loads(options.json.read_text()) if options.json.exists() else {}
        rows = {row["model"]: row for row in before.get(data, {}).get("rows", ())}
        for name in options.models:
            rows[name] = measured(name, times, options.cache)
            record = {"machine": machine(), "seed": 0, "rows": list(rows.values())}
            merge(options.json, data, record)
        print(f"{data}\n{markdown(record['rows'])}", flush=True)


if __name__ == "__main__":
    main()
