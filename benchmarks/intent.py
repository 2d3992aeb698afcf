"""What a wanted genre does to lists, beside filtering for it.

    python benchmarks/intent.py ../shared/data/ml-100k.npz --out benchmarks/results/intent.json

Beside NAME.npz lies NAME.features.npz, whose genres with 50 films and more are wanted, each by
every user. Models are fitted to the train part; lists leave out train and valid, and are evaluated
on the test part. "monotone": pairs of user and genre whose share of the genre in the list never
falls from scale 0 to 1, 2 and 4. "of the genre" is nDCG@10 of held-out items of the genre, "of all"
that of all held-out items; a filtered list has the genre alone. Means over genres and seeds.
"""

import numpy as np
import scipy.sparse as sp
from new_items import load
from protocol import arguments, save
from timing import machine, markdown

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender
from skdiffrec.metrics import ndcg_at_k

SCALES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
FEWEST = 50


def genres(path, F):
    names = np.load(path.with_suffix(".features.npz"))["item_names"]
    counts = np.asarray(F.sum(0)).ravel()
    return [j for j, n in enumerate(names) if str(n).startswith("genre=") and counts[j] >= FEWEST]


def seeded(parts, F, wanted, seed):
    """{(lists, scale): (share, of the genre, of all) of every genre}, share of monotone pairs."""
    train, truth = parts["train"], parts["test"]
    model = CFGDiffusionRecommender(item_features=F, random_state=seed).fit(train)
    ease = EASERecommender(reg=300.0).fit(train)
    found: dict = {}
    monotone = []
    for genre in wanted:
        has = F[:, [genre]].toarray().ravel() > 0
        of_genre = sp.csr_array(truth * has[None])
        blocked = {"filter_items": parts["valid"], "k": 10}
        lists = model.recommend_scales({"wanted": SCALES}, X=train, wanted={genre: 1}, **blocked)[0]
        only = np.flatnonzero(has)
        named = {("wanted", scale): ids for scale, ids in zip(SCALES, lists, strict=True)}
        named["filtered", None] = model.recommend(X=train, items=only, **blocked)[0]
        named["EASE, filtered", None] = ease.recommend(X=train, items=only, **blocked)[0]
        for key, ids in named.items():
            quality = ndcg_at_k(ids, of_genre), ndcg_at_k(ids, truth)
            found.setdefault(key, []).append((has[ids].mean(), *quality))
        shares = has[lists[[SCALES.index(s) for s in (0.0, 1.0, 2.0, 4.0)]]].mean(2)
        monotone.append((np.diff(shares, axis=0) >= 0).all(0).mean())
    return found, np.mean(monotone)


def main():
    options = arguments(__doc__)
    parts, F = load(options.data)
    wanted, found, monotone = genres(options.data, F), {}, []
    for seed in range(options.seeds):
        each, share = seeded(parts, F, wanted, seed)
        monotone.append(float(share))
        for key, values in each.items():
            found.setdefault(key, []).append(values)
        rows = []
        for (name, scale), values in found.items():
            share, of_genre, of_all = np.mean(values, (0, 1)).round(4).tolist()
            row = {"lists": name, "scale": scale, "share": share}
            rows.append(row | {"of the genre": of_genre, "of all": of_all})
        record = {"data": options.data.stem, "seeds": seed + 1, "n_genres": len(wanted)}
        record |= {"monotone": float(np.mean(monotone)), "rows": rows, "machine": machine()}
        save(options.out, record)
    print(markdown(rows), "\nmonotone:", record["monotone"])


if __name__ == "__main__":
    main()
