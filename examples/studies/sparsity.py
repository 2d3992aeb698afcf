"""How sparse may data be, and where does guidance begin to help?

    python examples/studies/sparsity.py ../shared/data \\
        --json benchmarks/results/studies/sparsity.json --plot docs/images/study_sparsity.svg

The train part is thinned at random, down to a twentieth. At every share the guidance scale that is
best on valid is compared with 1, and the default at 1 with EASE (the neighbourhood form where there
are too many items for it) and ALS, of a few settings each by valid. The truth stays what it was,
and no list holds what was taken away. On the whole train part also precision and recall at 5.
"""

from functools import partial

import numpy as np
from study import arguments, both_lists, effect, load, means, over_seeds, run, simple_models

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.metrics import ndcg_at_k, precision_at_k, recall_at_k

SETS = "lastfm ml-1m_clean gowalla amazon-office".split()
SHARES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05)
SCALES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0)
ONE = SCALES.index(1.0)
METRICS = {
    "ndcg@10": partial(ndcg_at_k, k=10, per_user=True),
    "recall@10": partial(recall_at_k, k=10, per_user=True),
    "precision@5": partial(precision_at_k, k=5, per_user=True),
    "recall@5": partial(recall_at_k, k=5, per_user=True),
}


def thinned(train, share, seed):
    """A share of all interactions at random, within that of a larger one; one of a user at least.

    A share of 1 is all of them.
    """
    draw = np.random.default_rng(seed).random(train.nnz)
    length = np.diff(train.indptr)
    by_user = np.lexsort((draw, np.repeat(np.arange(len(length)), length)))
    kept = draw < share
    kept[by_user[train.indptr[:-1][length > 0]]] = True
    rows = train.copy()
    rows.data *= kept
    rows.eliminate_zeros()
    return rows


def quality(settings, data):
    """{metric: (n_settings, n_users)} of pairs of lists, for valid and for test."""
    for_valid, for_test = zip(*settings, strict=True)
    found = {name: [of(ids, data.test) for ids in for_test] for name, of in METRICS.items()}
    found["valid ndcg@10"] = [METRICS["ndcg@10"](ids, data.valid) for ids in for_valid]
    return {name: np.array(each) for name, each in found.items()}


def answers(data, rows, seed, options):
    """{model: quality} of the models fitted on rows."""
    found = {}
    for name, models in simple_models(rows, seed).items():
        fitted = (model.fit(rows) for model in models)
        lists = (both_lists(model.recommend, data, 10, data.train) for model in fitted)
        found[name] = quality(lists, data)
    ours = CFGDiffusionRecommender(random_state=seed, **options.fit).fit(rows)
    sweep = partial(ours.recommend_scales, SCALES)
    lists = zip(*both_lists(sweep, data, 10, data.train), strict=True)
    return found | {"CFG": quality(lists, data)}


def chosen(found):
    """The setting that is best on valid: its index."""
    return int(np.nanmean(found["valid ndcg@10"], axis=1).argmax())


def compared(models, share, where):
    """(rows, effects) of the models at one share of train; `where` goes into the record."""
    ours = models.pop("CFG")
    picked = {"guided": (ours, chosen(ours)), "scale 1": (ours, ONE)}
    picked |= {name: (found, chosen(found)) for name, found in models.items()}
    values = {name: {m: found[m][i] for m in found} for name, (found, i) in picked.items()}
    rows = [
        where | {"model": name} | means(each, ["valid ndcg@10", *METRICS])
        for name, each in values.items()
    ]
    where = where | {"scale": SCALES[picked["guided"][1]]}
    pairs = [("scale 1", "guided", "ndcg@10")]
    pairs += [(name, "scale 1", "ndcg@10") for name in models]
    if share == 1:
        pairs += [
            (name, "guided", f"{metric}@5")
            for metric in ("precision", "recall")
            for name in ("scale 1", *models)
        ]
    effects = [
        effect(
            f"{b} against {a}",
            values[a][metric],
            values[b][metric],
            metric,
            model=b,
            against=a,
            **where,
        )
        for a, b, metric in pairs
    ]
    return rows, effects


def study(name, options):
    data, rows, effects = load(name, options), [], []
    for share in SHARES:
        runs, kept = [], []
        for seed in range(options.seeds):
            thin = thinned(data.train, share, seed)
            kept.append(thin.nnz)
            runs.append(answers(data, thin, seed, options))
        models = {model: over_seeds([one[model] for one in runs]) for model in runs[0]}
        density = 100 * float(np.mean(kept)) / np.prod(data.train.shape)
        where = {"share": share, "density, %": density}
        where["items a user"] = float(np.mean(kept)) / data.train.shape[0]
        at = compared(models, share, where)
        rows += at[0]
        effects += at[1]
    return {"rows": rows, "effects": effects}


def draw(record):
    """Differences as shares of what they are compared with, by density."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    shown = {
        "Best scale on valid against 1": ["guided against scale 1"],
        "Default against EASE": [f"scale 1 against {name}" for name in ("EASE", "neighborhood")],
        "Default against ALS": ["scale 1 against ALS"],
    }
    for ax, (title, kinds) in zip(axes, shown.items(), strict=True):
        for name, study in record.items():
            found = [e for e in study["effects"] if e["of"] in kinds and e["metric"] == "ndcg@10"]
            density = [each["density, %"] for each in found]
            line, low, high = (
                [100 * each[part] / each["mean_a"] for each in found]
                for part in ("difference", "low", "high")
            )
            ax.plot(density, line, marker=".", label=name)
            ax.fill_between(density, low, high, alpha=0.2)
        ax.axhline(0, color="black", linewidth=0.7)
        ax.set(xscale="log", xlabel="entries of the matrix that are filled, %", title=title)
        ax.set_xticks(ticks := [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3], map(str, ticks))
        ax.minorticks_off()
        ax.set(ylim=(-50, 50), ylabel="difference in nDCG@10, %")
        ax.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
