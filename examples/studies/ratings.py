"""What are ratings for: all of them alike, the liked items alone, weights, or opinions?

    python examples/studies/ratings.py ../shared/data \\
        --json benchmarks/results/studies/ratings.json --plot docs/images/study_ratings.svg

One model a reading of the same ratings. The truth is what users will rate 4 or 5; disliked@10 is
the share of a list that they will rate 1 or 2. No list holds a rated item, whatever the reading.
Scales, those of dislikes among them, are chosen by nDCG@10 on valid. Data sets are those whose
ratings are opinions, and generated ones.
"""

from functools import partial
from itertools import product

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import rankdata
from study import GENERATED, arguments, both_lists, effect, load, means, over_seeds, run

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.metrics import disliked_at_k, ndcg_at_k

SETS = ["ml-100k", GENERATED]
LIKED_FROM, NEITHER_FROM = 4.0, 3.0
HISTORY = {"history": (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)}
OPINIONS = HISTORY | {"disliked": (-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0)}
CHOSEN = {  # which scales are chosen on valid, the others being 1
    "": set(),
    ", guided": {"history"},
    ", steered": {"disliked"},
    ", guided and steered": {"history", "disliked"},
}
METRICS = "ndcg@10", "disliked@10"


def liked(ratings):
    """The items that are liked, 1 each."""
    kept = ratings.copy()
    kept.data = (kept.data >= LIKED_FROM).astype(np.float32)
    kept.eliminate_zeros()
    return kept


def ranks(ratings):
    """Ratings as their places among all ratings: the share below, and half of those that equal."""
    placed = (rankdata(ratings.data) - 0.5) / ratings.nnz
    return csr_array((placed, ratings.indices, ratings.indptr), shape=ratings.shape)


def readings(train):
    """{name: (rows, parameters of the model, scales by condition)}."""
    as_opinions = {"values": "rating"}
    return {
        "all rated": (train, {}, HISTORY),
        "liked alone": (liked(train), {}, HISTORY),
        "ratings as weights": (train, {"values": "weight"}, HISTORY),
        "ranks as weights": (ranks(train), {"values": "weight"}, HISTORY),
        "opinions": (train, as_opinions | {"liked_from": LIKED_FROM}, OPINIONS),
        "opinions by own mean": (train, as_opinions, OPINIONS),
    }


def settings(grid):
    """All combinations, as dicts."""
    return [dict(zip(grid, each, strict=True)) for each in product(*grid.values())]


def quality(for_valid, for_test, data):
    """{metric: (n_settings, n_users)} of lists (n_settings, n_users, 10)."""
    ndcg = partial(ndcg_at_k, k=10, per_user=True)
    bad = partial(disliked_at_k, k=10, liked_from=NEITHER_FROM, per_user=True)
    valid, test = liked(data.valid), liked(data.test)
    found = {
        "valid ndcg@10": [ndcg(ids, valid) for ids in for_valid],
        "ndcg@10": [ndcg(ids, test) for ids in for_test],
        "disliked@10": [bad(ids, data.test) for ids in for_test],
    }
    return {name: np.array(each) for name, each in found.items()}


def answers(data, seed, options):
    """{reading: quality} at all settings of its grid."""
    found = {}
    for name, (rows, parameters, grid) in readings(data.train).items():
        model = CFGDiffusionRecommender(random_state=seed, **parameters, **options.fit).fit(rows)
        lists = both_lists(partial(model.recommend_scales, grid), data, 10, data.train)
        found[name] = quality(*(ids.reshape(-1, *ids.shape[-2:]) for ids in lists), data)
    return found


def chosen(grid, free, on_valid):
    """Index of the setting that is best on valid, where all scales but the free ones are 1."""
    allowed = [all(each[c] == 1 for c in each if c not in free) for each in settings(grid)]
    return int(np.where(allowed, np.nanmean(on_valid, axis=1), -np.inf).argmax())


def row(reading, scales, values):
    return {"reading": reading} | scales | means(values, ["valid ndcg@10", *METRICS])


def compared(found):
    """Effects of {reading, and what is chosen: (scales, {metric: values})}."""
    effects = []
    for model, (scales, values) in found.items():
        reading = model.partition(",")[0]
        before = "all rated" if model == reading else reading
        if model != before:
            a, what = found[before][1], f"{model} against {before}"
            chosen = {"kind": "reading" if model == reading else "choice"} | scales
            effects += [effect(what, a[m], values[m], m, **chosen) for m in METRICS]
    return effects


def study(name, options):
    data = load(name, options, "rating")
    runs = [answers(data, seed, options) for seed in range(options.seeds)]
    found, sweep = {}, []
    for reading, (_, _, grid) in readings(data.train).items():
        values = over_seeds([each[reading] for each in runs])
        at = [
            (scales, {metric: each[i] for metric, each in values.items()})
            for i, scales in enumerate(settings(grid))
        ]
        for suffix, free in CHOSEN.items():
            if free <= grid.keys():
                found[reading + suffix] = at[chosen(grid, free, values["valid ndcg@10"])]
        if "disliked" in grid:
            sweep += [row(reading, *each) for each in at if each[0]["history"] == 1]
    rows = [row(model, *each) for model, each in found.items()]
    return {"rows": rows, "sweep": sweep, "effects": compared(found)}


def draw(record):
    """Accuracy and what users dislike, by reading, and as the scale of the dislikes moves."""
    import matplotlib.pyplot as plt

    n = len(record)
    size = 5 * n + 1, 5
    figure, axes = plt.subplots(1, n, figsize=size, layout="constrained", squeeze=False)
    for ax, (name, found) in zip(axes[0], record.items(), strict=True):
        colors = iter(plt.colormaps["tab10"].colors)
        for row in found["rows"]:
            reading, _, chosen = row["reading"].partition(",")
            if not chosen:
                color = next(colors)
                line = [each for each in found["sweep"] if each["reading"] == reading]
                ax.plot(*([each[m] for each in line] for m in METRICS[::-1]), color=color)
            if chosen in ("", " guided"):
                face = "none" if chosen else color
                label = None if chosen else reading
                at = row["disliked@10"], row["ndcg@10"]
                ax.scatter(*at, 40, facecolor=face, edgecolor=color, label=label)
        ax.set(title=name, xlabel="disliked@10", ylabel="nDCG@10 of liked items")
        ax.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
