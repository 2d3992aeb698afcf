"""Dislikes: what steering away from them gives and costs, on ratings that are split in time.

    python benchmarks/dislikes.py ../shared/data/ml-100k.npz --out benchmarks/results/dislikes.json

Two settings. "later": models are fitted to the ratings of the train part and ranked items are
looked up in the test part, lists leaving out train and valid; the scale of the dislikes that is
marked is the largest at which nDCG@10 of the valid part is no lower than at scale 1. "five
ratings": five folds of users nobody has met, of whom five ratings drawn at random are known.

nDCG@10 counts items that users rated at their own mean or above (`liked_from="auto"`), disliked@10
is the share of a list that they rated below it. Means over seeds; differences with 95 % intervals
of a paired bootstrap over users.
"""

import numpy as np
import scipy.sparse as sp
from profiles import shortened
from protocol import arguments, save, without
from sklearn.model_selection import KFold
from timing import machine, markdown

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender
from skdiffrec.metrics import compare, disliked_at_k, ndcg_at_k

SCALES = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
PART = {"train": 0, "valid": 1, "test": 2}
DEPTH = 400  # of lists from which items of valid are left out


def load(path):
    """{part: csr_array of ratings}."""
    data = np.load(path)
    shape = int(data["user"].max()) + 1, int(data["item"].max()) + 1
    parts = {}
    for name, code in PART.items():
        at = data["split"] == code
        entries = data["rating"][at].astype(float), (data["user"][at], data["item"][at])
        parts[name] = sp.csr_array(entries, shape=shape)
    return parts


def quality(ids, history, holdout, liked):
    """(nDCG@10 of liked items, disliked@10) of every user."""
    options = {"k": 10, "per_user": True}
    bad = disliked_at_k(ids, holdout, train=history, **options)
    return np.asarray(ndcg_at_k(ids, liked, **options)), np.asarray(bad)


def told_apart(model, history, holdout):
    return model._model.opinions.split(holdout, by=history)[0]


def swept(model, history, holdout, left_out=None):
    """{scale: quality}, of all scales of the dislikes."""
    lists = model.recommend_scales({"disliked": SCALES}, X=history, k=DEPTH if left_out else 10)[0]
    liked = told_apart(model, history, holdout)
    for scale, ids in zip(SCALES, lists, strict=True):
        ids = without(ids, left_out[0], 10) if left_out else ids
        yield scale, quality(ids, history, holdout, liked)


def later(parts, seed):
    """({(model, scale): quality on test}, scale chosen on valid)."""
    train = parts["train"]
    model = CFGDiffusionRecommender(values="rating", random_state=seed).fit(train)
    on_valid = dict(swept(model, train, parts["valid"]))
    enough = [s for s in SCALES if np.nanmean(on_valid[s][0]) >= np.nanmean(on_valid[1.0][0])]
    found = {
        ("values='rating'", scale): each
        for scale, each in swept(model, train, parts["test"], [parts["valid"]])
    }
    liked, truth = told_apart(model, train, train), told_apart(model, train, parts["test"])
    others = {
        "every rating is a like": (CFGDiffusionRecommender(random_state=seed), train),
        "liked items alone": (CFGDiffusionRecommender(random_state=seed), liked),
        "EASE on liked items": (EASERecommender(reg=300.0), liked),
    }
    seen = train + parts["valid"]
    for name, (other, rows) in others.items():
        ids = other.fit(rows).recommend(k=DEPTH)[0]
        found[name, None] = quality(without(ids, seen, 10), train, parts["test"], truth)
    return found, max(enough)


def five_ratings(X, seed):
    """{("five ratings", scale): quality of every user}."""
    found = {}
    for train, test in KFold(5, shuffle=True, random_state=seed).split(np.arange(X.shape[0])):
        model = CFGDiffusionRecommender(values="rating", random_state=seed).fit(X[train])
        kept, rest = shortened(X[test], 5, np.random.default_rng(seed))
        history, holdout = (sp.csr_array(X[test] * part) for part in (kept, rest))
        for scale, each in swept(model, history, holdout):
            whole = found.setdefault(("five ratings", scale), np.full((2, X.shape[0]), np.nan))
            whole[:, test] = each
    return found


def table(values):
    """Rows of means, and of differences to scale 1 of the same setting."""
    rows = []
    for (name, scale), seeds in values.items():
        each = np.stack(seeds)  # (seeds, 2, users)
        setting = "five ratings" if name == "five ratings" else "values='rating'"
        base = np.stack(values[setting, 1.0])
        row = {"model": name, "scale": scale}
        for i, metric in enumerate(("nDCG@10", "disliked@10")):
            a, b = base[:, i].mean(0), each[:, i].mean(0)
            apart = compare(a, b, random_state=0)
            row[metric] = round(float(np.nanmean(each[:, i])), 4)
            mean = np.nanmean(a)
            interval = (apart.difference, apart.low, apart.high)
            row[f"{metric}, %"] = [round(100 * float(value / mean), 1) for value in interval]
        rows.append(row)
    return rows


def main():
    options = arguments(__doc__)
    parts = load(options.data)
    found: dict = {}
    chosen = []
    for seed in range(options.seeds):
        of_later, scale = later(parts, seed)
        chosen.append(scale)
        for key, each in (of_later | five_ratings(parts["train"], seed)).items():
            found.setdefault(key, []).append(np.asarray(each))
        record = {"data": options.data.stem, "seeds": seed + 1, "chosen": chosen}
        record |= {"rows": table(found), "machine": machine()}
        save(options.out, record)
    print(markdown(record["rows"]), "\nscales chosen on valid:", chosen)


if __name__ == "__main__":
    main()
