"""Users of whom little is known: which model, which guidance scale, and what do features add?

    python examples/studies/few_items.py ../shared/data \\
        --json benchmarks/results/studies/few_items.json --plot docs/images/study_few_items.svg

Each seed leaves another fifth of the users with twenty items and more out of the fit. Of these the
first 0, 1, 2, 3, 5 and 10 items are shown (at random and, where a set was split in time, in time
too), and what comes after the tenth is the truth, for all lengths alike; no list holds one of the
ten. Half of the users choose the settings, for every length by itself; results are those of the
other half.
"""

from functools import partial
from itertools import product

import numpy as np
from scipy.sparse import csr_array
from study import GENERATED, arguments, effect, load, means, run, simple_models, values_of

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.metrics import ndcg_at_k, recall_at_k
from skdiffrec.model_selection import KeepN, UnseenUsers

SETS = "ml-100k lastfm amazon-office ml-1m_clean citeulike-a".split()
LENGTHS = (0, 1, 2, 3, 5, 10)
SHOWN = {"at random": "random", "first in time": "value"}  # which items, and `by` of KeepN
LEAST = 20
FOLDS = 5
SCALES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0)
GRID = {
    "user_features": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0),
    "history": (0.1, 0.25, 0.5, 1, 1.5, 2, 3),
}
GUIDED, INFORMED = "guided", "guided, features"
SETTINGS = {  # those that need no fit, in words
    GUIDED: [f"{scale:g}" for scale in SCALES],
    INFORMED: [f"features {a:g}, history {b:g}" for a, b in product(*GRID.values())],
}
AT_ONE = {GUIDED: "1", INFORMED: "features 1, history 1"}
ASKED = {"k": 10, "per_user": True}
METRICS = {"ndcg@10": partial(ndcg_at_k, **ASKED), "recall@10": partial(recall_at_k, **ASKED)}
PAIRS = [  # before, after
    ("scale 1", GUIDED),
    *product(("popularity", "EASE", "neighborhood", "ALS"), ("scale 1", GUIDED)),
    ("scale 1", "scale 1, features"),
    ("scale 1, features", INFORMED),
    (GUIDED, INFORMED),
    ("popularity", INFORMED),
]


def user_features(name, options, data):
    """What is known of users besides their items (n_users, n_features), or None."""
    if name == GENERATED:
        return data.user_features
    path = options.data / f"{name}.features.npz"
    parts = np.load(path) if path.exists() else {}
    if "user_indptr" not in parts:
        return None
    indices, indptr = parts["user_indices"], parts["user_indptr"]
    shape = data.n_users, len(parts["user_names"])
    return csr_array((np.ones(len(indices)), indices, indptr), shape=shape)


def fitted(rows, features, seed, options):
    """{name: functions of histories, their features and what no list may hold}.

    Each gives the lists at one setting or several, (n_settings, n_users, 10).
    """

    def simple(model):
        model.fit(rows)
        return lambda X, F, hidden: model.recommend(X=X, k=10, filter_items=hidden)[0][None]

    models = simple_models(rows, seed)
    found = {name: [simple(model) for model in settings] for name, settings in models.items()}
    plain = CFGDiffusionRecommender(random_state=seed, **options.fit).fit(rows)
    sweep = partial(plain.recommend_scales, SCALES, k=10)
    found[GUIDED] = [lambda X, F, hidden: sweep(X=X, filter_items=hidden)[0]]
    if features is not None:
        told = CFGDiffusionRecommender(random_state=seed, **options.fit)
        told.fit(rows, user_features=features)
        grid = partial(told.recommend_scales, GRID, k=10)
        found[INFORMED] = [
            lambda X, F, hidden: np.concatenate(grid(X=X, user_features=F, filter_items=hidden)[0])
        ]
    return found


def answers(data, whole, features, seed, options, orders):
    """{(order, length, name): {metric: (n_settings, n_users)}}, NaN but for users left out."""
    folds = list(UnseenUsers(FOLDS, holdout=KeepN(LEAST - 1), random_state=0).split(whole))
    met, unseen = folds[seed % FOLDS]
    known = {"met": None, "unseen": None}
    if features is not None:
        known = {"met": features[met], "unseen": features[unseen]}
    models = fitted(data.train[met], known["met"], seed, options)
    found = {}
    for order, length in product(orders, LENGTHS):
        # of equal seeds, so that the shorter lies within the longer
        keep = partial(KeepN, by=SHOWN[order], random_state=seed)
        shown, truth = keep(max(LENGTHS)).hide(whole[unseen])
        history, _ = keep(length).hide(whole[unseen])
        for name, settings in models.items():
            lists = np.concatenate(
                [make((history > 0) * 1.0, known["unseen"], shown) for make in settings]
            )
            values = {m: np.full((len(lists), data.n_users), np.nan) for m in METRICS}
            for metric, of in METRICS.items():
                values[metric][:, unseen] = [of(ids, truth) for ids in lists]
            found[order, length, name] = values
    return found


def picked(models, choosing):
    """{name: (its setting in words, {metric: values})} of the settings that some users choose."""
    found = {}
    for name, values in models.items():
        best = int(np.nanmean(values["ndcg@10"][:, choosing], axis=1).argmax())
        settings = SETTINGS.get(name)
        found[name] = settings and settings[best], {m: each[best] for m, each in values.items()}
        if settings:
            one = settings.index(AT_ONE[name])
            at_one = AT_ONE[name], {m: each[one] for m, each in values.items()}
            found[name.replace(GUIDED, "scale 1")] = at_one
    return found


def compared(models, order, length, choosing):
    """(rows, effects) of one length: `choosing` users choose, the others are the result."""
    found, asked = picked(models, choosing), {"shown": order, "items": length}
    valid, test = (
        {
            name: {m: each[users] for m, each in values.items()}
            for name, (_, values) in found.items()
        }
        for users in (choosing, ~choosing)
    )
    rows = [
        asked
        | {"model": name, "setting": found[name][0]}
        | {"valid ndcg@10": means(valid[name], ["ndcg@10"])["ndcg@10"]}
        | means(test[name], METRICS)
        for name in found
    ]
    effects = [
        effect(
            f"{after} against {before}",
            test[before]["ndcg@10"],
            test[after]["ndcg@10"],
            **asked,
            model=after,
            against=before,
            setting=found[after][0],
        )
        for before, after in PAIRS
        if before in found and after in found and (length or after.endswith("features"))
    ]
    return rows, effects


def study(name, options):
    data = load(name, options)
    in_time = "time" in values_of(name, options)
    parts = load(name, options, "time") if in_time else data
    orders = list(SHOWN) if in_time else ["at random"]
    whole = parts.train + parts.valid + parts.test
    features = user_features(name, options, data)
    runs = [answers(data, whole, features, seed, options, orders) for seed in range(options.seeds)]
    asked = ~np.isnan([run[orders[0], 0, GUIDED]["ndcg@10"][0] for run in runs]).all(axis=0)
    choosing = np.random.default_rng(0).random(data.n_users)[asked] < 0.5
    rows, effects = [], []
    for case in product(orders, LENGTHS):
        models = {
            model: {
                metric: np.nanmean([run[*case, model][metric][:, asked] for run in runs], axis=0)
                for metric in METRICS
            }
            for *of, model in runs[0]
            if tuple(of) == case
        }
        found = compared(models, *case, choosing)
        rows += found[0]
        effects += found[1]
    return {"rows": rows, "effects": effects}


def draw(record):
    """Accuracy by length, and below it what guidance adds to scale 1."""
    import matplotlib.pyplot as plt

    cases = {
        f"{name}, {order}": {
            part: [row for row in found[part] if row["shown"] == order]
            for part in ("rows", "effects")
        }
        for name, found in record.items()
        for order in dict.fromkeys(row["shown"] for row in found["rows"])
    }
    n = len(cases)
    size = max(2.6 * n, 9), 6
    figure, axes = plt.subplots(2, n, figsize=size, layout="constrained", squeeze=False)
    models = dict.fromkeys(row["model"] for found in cases.values() for row in found["rows"])
    colors = dict(zip(models, plt.colormaps["tab10"].colors, strict=False))
    lines = {}
    for (name, found), (above, below) in zip(cases.items(), axes.T, strict=True):
        for model in models:
            line = [row["ndcg@10"] for row in found["rows"] if row["model"] == model]
            if line:
                (lines[model],) = above.plot(line, marker=".", color=colors[model])
        for model, base in ((GUIDED, "scale 1"), (INFORMED, "scale 1, features")):
            rows = [e for e in found["effects"] if (e["model"], e["against"]) == (model, base)]
            at = [LENGTHS.index(row["items"]) for row in rows]
            line, low, high = (
                [100 * row[part] / row["mean_a"] for row in rows]
                for part in ("difference", "low", "high")
            )
            below.plot(at, line, marker=".", color=colors.get(model))
            below.fill_between(at, low, high, alpha=0.2, color=colors.get(model))
        above.set_title(name, fontsize=9)
        above.set_ylabel("nDCG@10")
        below.axhline(0, color="black", linewidth=0.7)
        below.set(xlabel="items known of the user", ylabel="best scale against 1, %")
        for ax in (above, below):
            ax.set_xticks(range(len(LENGTHS)), map(str, LENGTHS))
            ax.set_xlim(-0.2, len(LENGTHS) - 0.8)
            ax.grid(alpha=0.3)
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4)
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
