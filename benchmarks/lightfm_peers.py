"""LightFM on rows of users, or of items, that nobody has met: their scores.

    python benchmarks/lightfm_peers.py --rows rows.npz --out scores.npz

Stands alone and does not import skdiffrec: LightFM 1.17 needs an environment of its own, with
Python 3.9. ``rows.npz`` has CSR parts (``_indptr``, ``_indices``, ``_shape``) of ``train`` (users x
items), ``train_features`` and ``new_features``, of users or, with ``--items``, of items. Every
known user and item has a vector of its own besides; one that is new has those of its features
alone. Its settings are chosen by nDCG@10 (of items: recall@20 among them) on a tenth of the known
ones, held out whole, of the grid below; then it is fitted on all. The out file has ``scores``,
float32 (new users, items) or (users, new items), and ``settings``.
"""

import argparse
import itertools
import json

import numpy as np
import scipy.sparse as sp
from lightfm import LightFM

GRID = {
    "no_components": (32, 96),
    "epochs": (10, 40),
    "alpha": (0.0, 1e-5),
    "own_vectors": (True, False),
}


def csr(file, name):
    indices, indptr, shape = (file[f"{name}_{part}"] for part in ("indices", "indptr", "shape"))
    ones = np.ones(len(indices), np.float32)
    return sp.csr_matrix((ones, indices, indptr), shape=tuple(shape))


def scores_of(rows, features, new, items, settings):
    """Scores of what is new, (new users, items) or (users, new items)."""
    n_known, n_new = features.shape[0], new.shape[0]
    own = sp.identity(n_known if settings["own_vectors"] else 0, dtype=np.float32)
    known = sp.hstack([features, own], format="csr") if settings["own_vectors"] else features
    unmet = sp.hstack([new, sp.csr_matrix((n_new, own.shape[1]), dtype=np.float32)], format="csr")
    side, other = ("item", "user") if items else ("user", "item")
    alphas = dict.fromkeys(("user_alpha", "item_alpha"), settings["alpha"])
    model = LightFM(settings["no_components"], loss="warp", random_state=0, **alphas)
    model.fit(rows.tocoo(), epochs=settings["epochs"], **{f"{side}_features": known})
    bias, vectors = getattr(model, f"get_{side}_representations")(unmet)
    other_bias, other_vectors = getattr(model, f"get_{other}_representations")()
    scores = vectors @ other_vectors.T + bias[:, None] + other_bias
    return scores.T if items else scores


def quality(scores, truth, k, recall):
    """Recall, or nDCG, of the best k; rows without truth do not count."""
    kept = np.diff(truth.indptr) > 0
    scores, truth = scores[kept], truth[kept]
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(truth.toarray() > 0, top, axis=1)
    counts = np.diff(truth.indptr)
    if recall:
        return (hits.sum(axis=1) / counts).mean()
    gains = 1 / np.log2(np.arange(k) + 2)
    return (hits @ gains / gains.cumsum()[np.minimum(counts, k) - 1]).mean()


def held_out_quality(rows, features, held, items, settings):
    """Of users, or of items, that are held out whole."""
    known = rows[:, ~held] if items else rows[~held]
    scores = scores_of(known, features[~held], features[held], items, settings)
    truth = (rows[:, held] if items else rows[held]).tocsr()
    return quality(scores, truth, 20 if items else 10, recall=items)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--items", action="store_true")
    options = parser.parse_args()
    file, items = np.load(options.rows), options.items
    rows, features, new = (csr(file, n) for n in ("train", "train_features", "new_features"))
    held = np.random.default_rng(0).random(features.shape[0]) < 0.1
    best, most = None, -1.0
    for values in itertools.product(*GRID.values()):
        settings = {name: values[i] for i, name in enumerate(GRID)}
        found = held_out_quality(rows, features, held, items, settings)
        if found > most:
            best, most = settings, found
    scores = scores_of(rows, features, new, items, best).astype(np.float32)
    np.savez_compressed(options.out, scores=scores, settings=json.dumps(best))


if __name__ == "__main__":
    main()
