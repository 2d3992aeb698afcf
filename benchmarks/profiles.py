"""Users nobody has met, by their features: five folds of unseen users, with 0, 1, 3 and 5 items.

    python benchmarks/profiles.py ../shared/data/ml-100k.npz \
        --irspack-python ENV/bin/python --lightfm-python OTHER/bin/python

Beside NAME.npz lies NAME.features.npz (its README says what they hold). Rows are the train part. Of
each fold the test users' rows are hidden: without any history the truth is the whole row, else all
but 1, 3 or 5 items drawn at random. CFGDiffusionRecommender has its defaults, with and without
`user_features`; the ridge is popularity plus a ridge regression of centred rows on centred
features, its λ of a grid by nDCG@10 on a fifth of the training users, as irspack's settings
(`irspack_peers.py`) and LightFM's on a tenth (`lightfm_peers.py`), each in an environment of its
own. Means over folds and seeds (other folds), differences with 95 % intervals of a paired bootstrap
over users.
"""

import numpy as np
import scipy.sparse as sp
from protocol import arguments, feature_scores, save
from sklearn.model_selection import KFold
from timing import machine, markdown

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.metrics import compare, ndcg_at_k

LENGTHS = (0, 1, 3, 5)
RIDGES = (10.0, 30.0, 100.0, 300.0)


def load(path):
    """(rows of the train part, features of users), two csr_arrays."""
    data = np.load(path)
    features = np.load(path.with_suffix(".features.npz"))
    kept = data["split"] == 0
    n_users, n_items = data["user"].max() + 1, data["item"].max() + 1
    entries = np.ones(kept.sum()), (data["user"][kept], data["item"][kept])
    n_items = max(n_items, len(features["item_indptr"]) - 1)
    parts = features["user_indices"], features["user_indptr"]
    U = sp.csr_array(
        (np.ones(len(parts[0])), *parts), shape=(len(parts[1]) - 1, len(features["user_names"]))
    )
    return sp.csr_array(entries, shape=(max(n_users, U.shape[0]), n_items)), U


def shortened(X, length, rng):
    """(histories of `length` items each, the rest) of a CSR."""
    dense = X.toarray() > 0
    rank = (-rng.random(X.shape) * dense).argsort(1).argsort(1)
    history = dense & (rank < length)
    return sp.csr_array(history.astype(float)), sp.csr_array((dense & ~history).astype(float))


def quality(scores_or_ids, truth):
    ids = scores_or_ids
    if ids.dtype.kind == "f":
        ids = np.argsort(-ids, axis=1, kind="stable")[:, :10]
    return np.asarray(ndcg_at_k(ids, truth, k=10, per_user=True))


def ridge_scores(X, F, new, reg):
    share, mean = np.asarray(X.mean(0)).ravel(), np.asarray(F.mean(0)).ravel()
    centred = F.toarray() - mean
    gram = centred.T @ centred + reg * np.eye(len(mean))
    return share + (new.toarray() - mean) @ np.linalg.solve(gram, centred.T @ (X.toarray() - share))


def chosen_ridge(X, F, rng):
    held = rng.random(X.shape[0]) < 0.2
    found = [
        quality(ridge_scores(X[~held], F[~held], F[held], reg), X[held]).mean() for reg in RIDGES
    ]
    return RIDGES[int(np.argmax(found))]


def fold(X, F, train, test, seed, peers):
    """{(length, model): nDCG@10 of every test user}."""
    rng, found = np.random.default_rng(seed), {}
    rows, features, new = X[train], F[train], F[test]
    plain = CFGDiffusionRecommender(random_state=seed).fit(rows)
    model = CFGDiffusionRecommender(random_state=seed).fit(rows, user_features=features)
    for length in LENGTHS:
        history, truth = shortened(X[test], length, rng)
        lists = {
            "CFG": plain.recommend(X=history)[0],
            "CFG, user_features": model.recommend(X=history, user_features=new)[0],
            "CFG fitted with features, not given": model.recommend(X=history)[0],
        }
        if not length:
            share = np.tile(np.asarray(rows.mean(0)), (len(test), 1))
            lists["popularity"] = share
            reg = chosen_ridge(rows, features, rng)
            lists["ridge"] = ridge_scores(rows, features, new, reg)
            for name, (python, script) in peers.items():
                lists[name] = feature_scores(python, script, rows, features, new)
        found |= {(length, name): quality(made, truth) for name, made in lists.items()}
    return found


def table(values):
    """Rows of means and of differences to what each length is compared with."""
    rows = []
    for (length, name), each in values.items():
        against = "popularity" if not length else "CFG"
        # a user is tested once a seed: users are resampled, not their repeats
        a, b = values[length, against].mean(0), each.mean(0)
        found = compare(a, b, random_state=0)
        rows.append(
            {
                "items": length,
                "model": name,
                "nDCG@10": round(float(np.nanmean(each)), 4),
                "difference": round(found.difference, 5),
                "low": round(found.low, 5),
                "high": round(found.high, 5),
                "to": against,
            }
        )
    return rows


def main():
    options = arguments(__doc__, {"irspack": "irspack==0.5.2", "lightfm": "lightfm==1.17"})
    peers = {}
    if options.irspack_python:
        peers["irspack ALS with features"] = options.irspack_python, "irspack_peers.py"
    if options.lightfm_python:
        peers["LightFM"] = options.lightfm_python, "lightfm_peers.py"
    X, F = load(options.data)
    found: dict = {}
    for seed in range(options.seeds):
        folds = KFold(5, shuffle=True, random_state=seed).split(np.arange(X.shape[0]))
        for train, test in folds:
            for key, each in fold(X, F, train, test, seed, peers).items():
                by_user = found.setdefault(key, np.full((options.seeds, X.shape[0]), np.nan))
                by_user[seed, test] = each
        rows = table({key: each[: seed + 1] for key, each in found.items()})
        record = {"data": options.data.stem, "seeds": seed + 1, "rows": rows, "machine": machine()}
        save(options.out, record)
    print(markdown(rows))


if __name__ == "__main__":
    main()
