"""Feature-aware ALS of irspack on rows of users nobody has met: their scores.

    python benchmarks/irspack_peers.py --rows rows.npz --out scores.npz

Stands alone and does not import skdiffrec: irspack 0.5.2 needs an environment of its own.
``rows.npz`` has CSR parts (``_indptr``, ``_indices``, ``_shape``) of ``train`` (users x items),
``train_features`` and ``new_features``. Its settings are chosen by nDCG@10 on a fifth of the
training users, held out whole, of the grid below; then it is fitted on all of them. The out file
has ``scores``, float32 (new users, items), and ``settings``.
"""

import argparse
import itertools
import json

import numpy as np
import scipy.sparse as sp
from irspack import IALSRecommender

GRID = {
    "n_components": (8, 32, 64),
    "alpha0": (0.03, 0.1, 0.3),
    "reg": (1e-3, 1e-2),
    "lambda_user_feature": (1.0, 10.0, 100.0),
}


def csr(file, name):
    indices, indptr, shape = (file[f"{name}_{part}"] for part in ("indices", "indptr", "shape"))
    return sp.csr_matrix((np.ones(len(indices)), indices, indptr), shape=tuple(shape))


def scores_of(rows, features, new, settings):
    model = IALSRecommender(rows, user_features=features, random_seed=0, n_threads=1, **settings)
    return model.learn().get_score_cold_user_from_features(new)


def ndcg(scores, truth, k=10):
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(truth.toarray() > 0, top, axis=1)
    gains = 1 / np.log2(np.arange(k) + 2)
    ideal = gains.cumsum()[np.minimum(np.diff(truth.indptr), k) - 1]
    return (hits @ gains / ideal).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    file = np.load(options.rows)
    train, features, new = (csr(file, n) for n in ("train", "train_features", "new_features"))
    held = np.random.default_rng(0).random(train.shape[0]) < 0.2
    found = []
    for values in itertools.product(*GRID.values()):
        settings = dict(zip(GRID, values, strict=True))
        scores = scores_of(train[~held], features[~held], features[held], settings)
        found.append((ndcg(scores, train[held]), values))
    best = dict(zip(GRID, max(found)[1], strict=True))
    scores = scores_of(train, features, new, best).astype(np.float32)
    np.savez_compressed(options.out, scores=scores, settings=json.dumps(best))


if __name__ == "__main__":
    main()
