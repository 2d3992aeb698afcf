"""What screening the catalogue in bfloat16 changes: `python benchmarks/screening.py DATA.npz ...`.

GPUs that have bfloat16 screen the catalogue in it and rescore what is left in float32; CPUs use
float32 only. This script runs both ways for every user, on any machine, and compares the lists.
"""

import argparse
import json
import pathlib

import numpy as np
from speed_models import K
from timing import machine, markdown, screening

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz

SCALES = (1.0, 1.5)


def compared(name, X, values, options):
    """A row a guidance scale: how many lists, places and scores differ."""
    model = CFGDiffusionRecommender(values=values, max_epochs=options.max_epochs, random_state=0)
    model.fit(X)
    for scale in SCALES:
        lists = []
        for on in (False, True):
            with screening(on):
                lists.append(model.recommend(k=K, guidance_scale=scale))
        (ids, scores), (screened_ids, screened_scores) = lists
        differ = ids != screened_ids
        other = [np.setdiff1d(a, b).size for a, b in zip(ids, screened_ids, strict=True)]
        yield {
            "data": name,
            "values": values,
            "guidance": scale,
            "users": len(ids),
            "lists with other items": int(np.count_nonzero(other)),
            "lists in another order": int(differ.any(1).sum() - np.count_nonzero(other)),
            "largest difference of a score": float(np.abs(scores - screened_scores).max()),
            "spread of scores": float(scores.std()),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=pathlib.Path, help=".npz files")
    parser.add_argument("--max-epochs", type=int, default=40)
    parser.add_argument("--json", type=pathlib.Path, default="benchmarks/results/screening.json")
    options = parser.parse_args()
    rows = []
    for path in options.data:
        for values in ("binary", "time"):
            rows += compared(path.stem, load_npz(path, values=values).train, values, options)
            record = {"machine": machine(), "k": K, "max_epochs": options.max_epochs, "rows": rows}
            options.json.write_text(json.dumps(record, indent=1) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
