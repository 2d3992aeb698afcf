"""New items by their features: a tenth of the items is taken out of training altogether.

    python benchmarks/new_items.py ../shared/data/amazon-beauty.npz \
        --lightfm-python ENV/bin/python --out benchmarks/results/new_items.json

Beside NAME.npz lies NAME.features.npz. Models are fitted to the train part without these items,
which `add_items` then adds. "new": recall@20 of lists of new items alone, of users who took some of
them in the test part, among all new items. "known": nDCG@10 of the other items of the test part,
before new items are added and after, where they compete for the places. Content ItemKNN scores a
new item by the cosines of its features with those of the history, rare features weighing more
(idf) or not, which the valid part chooses; LightFM (`lightfm_peers.py`, in an environment of its
own) learns from the same features. Means over seeds (other items, other weights), with 95 %
intervals of a paired bootstrap over users.
"""

import numpy as np
import scipy.sparse as sp
from protocol import arguments, feature_scores, save
from timing import machine, markdown

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.metrics import compare, ndcg_at_k, recall_at_k


def load(path):
    """({part: csr_array of ones}, features of items)."""
    data, features = np.load(path), np.load(path.with_suffix(".features.npz"))
    shape = int(data["user"].max()) + 1, len(features["item_indptr"]) - 1
    parts = {}
    for code, name in enumerate(("train", "valid", "test")):
        at = data["split"] == code
        entries = np.ones(at.sum()), (data["user"][at], data["item"][at])
        parts[name] = sp.csr_array(entries, shape=shape)
    indices, indptr = features["item_indices"], features["item_indptr"]
    F = (np.ones(len(indices)), indices, indptr)
    return parts, sp.csr_array(F, shape=(shape[1], len(features["item_names"])))


def unit_rows(F):
    return sp.csr_array(F / np.maximum(np.sqrt((F * F).sum(1)), 1e-12)[:, None])


def content_scores(history, known, new, idf):
    """Scores of new items, the sum of cosines with the items of the history."""
    n = known.shape[0]
    weight = np.log(n / np.maximum(known.sum(0), 1)) if idf else np.ones(known.shape[1])
    a, b = unit_rows(sp.csr_array(known * weight)), unit_rows(sp.csr_array(new * weight))
    return (history @ (a @ b.T)).toarray()


def recall(scores_or_ids, truth, seed):
    ids = scores_or_ids
    if ids.dtype.kind == "f":
        ties = np.random.default_rng(seed).random(ids.shape)
        ids = np.lexsort((ties, -ids))[:, :20]
    return np.asarray(recall_at_k(ids, truth, 20, per_user=True))


def seeded(parts, F, seed, lightfm):
    """{model: value of every user}."""
    n_items = F.shape[0]
    new = np.sort(np.random.default_rng(seed).choice(n_items, n_items // 10, replace=False))
    known = np.setdiff1d(np.arange(n_items), new)
    train, found = sp.csr_array(parts["train"][:, known]), {}
    model = CFGDiffusionRecommender(item_features=F[known], random_state=seed).fit(train)
    seen = parts["train"] + parts["valid"]
    before = model.recommend(k=10, filter_items=sp.csr_array(seen[:, known]))[0]
    truth = sp.csr_array(parts["test"][:, known])
    found["known items, before"] = np.asarray(ndcg_at_k(before, truth, per_user=True))
    model.add_items(F[new])
    order = np.concatenate([known, new])
    blocked = sp.csr_array(seen[:, order])
    after = model.recommend(k=10, filter_items=blocked)[0]
    truth = sp.hstack([truth, sp.csr_array((truth.shape[0], len(new)))], format="csr")
    found["known items, after"] = np.asarray(ndcg_at_k(after, truth, per_user=True))
    ids = model.recommend(k=20, items=np.arange(len(known), n_items), filter_items=blocked)[0]
    of_new = {name: sp.csr_array(parts[name][:, new]) for name in parts}
    found["new items, add_items"] = recall(ids - len(known), of_new["test"], seed)
    content = {idf: content_scores(train, F[known], F[new], idf) for idf in (False, True)}
    valid = {idf: np.nanmean(recall(s, of_new["valid"], seed)) for idf, s in content.items()}
    best = content[max(valid, key=valid.get)]
    best[of_new["valid"].nonzero()] = -np.inf
    found["new items, content ItemKNN"] = recall(best, of_new["test"], seed)
    if lightfm:
        given = train, F[known], F[new], "--items"
        scores = feature_scores(lightfm, "lightfm_peers.py", *given)
        scores[of_new["valid"].nonzero()] = -np.inf
        found["new items, LightFM"] = recall(scores, of_new["test"], seed)
    return found


def main():
    options = arguments(__doc__, {"lightfm": "lightfm==1.17"})
    parts, F = load(options.data)
    found: dict = {}
    for seed in range(options.seeds):
        for key, each in seeded(parts, F, seed, options.lightfm_python).items():
            found.setdefault(key, []).append(each)
        rows = []
        for key, seeds in found.items():
            against = "known items, before" if "known" in key else "new items, content ItemKNN"
            # users of all seeds: other items are new in each
            a, b = np.concatenate(found.get(against, seeds)), np.concatenate(seeds)
            row = {"lists": key, "value": round(float(np.nanmean(b)), 4)}
            if against in found and against != key:
                apart = compare(a, b, random_state=0)
                row |= {
                    name: round(getattr(apart, name), 5) for name in ("difference", "low", "high")
                }
            rows.append(row)
        record = {"data": options.data.stem, "seeds": seed + 1, "rows": rows, "machine": machine()}
        save(options.out, record)
    print(markdown(rows))


if __name__ == "__main__":
    main()
