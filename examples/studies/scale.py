"""Which guidance scale is best, how flat is the curve, and what moves it?

    python examples/studies/scale.py ../shared/data --json benchmarks/results/studies/scale.json

Every scale from 0 to 10 on every data set, with times and without: one fit a seed. The scale that
is best on valid is also asked for by the length of the history (thirds of the users) and, of up to
10,000 items, by the number of epochs and of sampling steps.
"""

import numpy as np
from study import arguments, effect, evaluated, load, means, over_seeds, run, values_of

from skdiffrec import CFGDiffusionRecommender

SETS = (
    "ml-100k lastfm amazon-office ml-1m_clean ml-1m_noisy onlineretail-orders citeulike-a "
    "amazon-beauty gowalla onlineretail yelp2018-13k"
).split()
SCALES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)
ONE = SCALES.index(1.0)
SHOWN = [f"{m}@{k}" for m in ("ndcg", "recall", "precision", "mrr") for k in (5, 10, 20)]
SHOWN += ["coverage@10", "novelty@10", "popularity_bias@10"]
EPOCHS = 2, 5
STEPS = 5, 20
MANY_ITEMS = 10_000
FLAT = 0.99  # of the best


def curves(model, data):
    """For valid and for test, {metric: (n_scales, n_users) or (n_scales,)}."""
    for_valid, _ = model.recommend_scales(SCALES, k=20)
    for_test, _ = model.recommend_scales(SCALES, k=20, filter_items=data.valid)
    return tuple(
        over_scales([evaluated(ids, holdout, data.train) for ids in lists])
        for lists, holdout in ((for_valid, data.valid), (for_test, data.test))
    )


def over_scales(found):
    return {name: np.array([at[name] for at in found]) for name in found[0]}


def best(valid, users=slice(None)):
    """(index of the best scale, the least and the highest that are nearly as good) on valid."""
    curve = np.nanmean(valid["ndcg@10"][:, users], axis=1)
    flat = np.flatnonzero(curve >= FLAT * curve.max())
    return int(curve.argmax()), SCALES[flat[0]], SCALES[flat[-1]]


def verdict(case, values, valid, test, users=slice(None)):
    """What valid chooses among the scales, against 1 on test."""
    chosen, low, high = best(valid, users)
    ndcg = test["ndcg@10"][:, users]
    flat = {"values": values, "scale": SCALES[chosen], "flat from": low, "flat to": high}
    return effect(case, ndcg[ONE], ndcg[chosen], **flat)


def thirds(train):
    """{name: users} of the shortest, the middle and the longest histories."""
    rank = np.argsort(np.argsort(np.diff(train.indptr), kind="stable"))
    third = rank * 3 // train.shape[0]
    return {
        name: third == i for i, name in enumerate(("short histories", "middle", "long histories"))
    }


def of_values(name, values, options):
    """(rows by scale, effects) of one data set with times or without."""
    data = load(name, options, values)
    epochs_tried, steps_tried = ((), ()) if data.n_items > MANY_ITEMS else (EPOCHS, STEPS)
    runs = {case: [] for case in ("default", *epochs_tried, *(f"{n} steps" for n in steps_tried))}
    for seed in range(options.seeds):
        for epochs in (None, *epochs_tried):
            settings = options.fit | ({} if epochs is None else {"max_epochs": epochs})
            model = CFGDiffusionRecommender(values=values, random_state=seed, **settings)
            model.fit(data.train)
            runs[epochs or "default"].append(curves(model, data))
            for n in steps_tried if epochs is None else ():
                runs[f"{n} steps"].append(curves(model.set_params(n_sampling_steps=n), data))
    valid, test = (over_seeds(part) for part in zip(*runs["default"], strict=True))
    rows = [
        {"values": values, "scale": scale, "valid ndcg@10": float(np.nanmean(v))}
        | means({metric: test[metric][i] for metric in SHOWN}, SHOWN)
        for i, (scale, v) in enumerate(zip(SCALES, valid["ndcg@10"], strict=True))
    ]
    effects = [verdict("all users", values, valid, test)]
    for case, users in thirds(data.train).items():
        effects.append(verdict(case, values, valid, test, users))
    for case in list(runs)[1:]:
        parts = (over_seeds(part) for part in zip(*runs[case], strict=True))
        named = f"{case} epochs" if case in EPOCHS else case
        effects.append(verdict(named, values, *parts))
    return rows, effects


def study(name, options):
    found = [of_values(name, values, options) for values in values_of(name, options)]
    rows, effects = ([one for part in parts for one in part] for parts in zip(*found, strict=True))
    return {"rows": rows, "effects": effects}


def draw(record):
    """Accuracy over that of scale 1, and popularity of what is listed, by scale."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    shown = ("binary", "ndcg@10"), ("time", "ndcg@10"), ("binary", "popularity_bias@10")
    for ax, (values, metric) in zip(axes, shown, strict=True):
        for i, (name, found) in enumerate(record.items()):
            rows = [row for row in found["rows"] if row["values"] == values]
            curve = np.array([row[metric] for row in rows])
            if rows:
                over = curve[ONE] if metric == "ndcg@10" else 1
                ax.plot(
                    [row["scale"] for row in rows],
                    curve / over,
                    marker=".",
                    color=plt.get_cmap("tab20")(2 * i % 20 + i // 10),  # as many sets as there are
                    label=name,
                )
        ax.set_xscale("symlog", linthresh=1)
        ax.set(xlabel="guidance scale", xticks=(0, 0.5, 1, 2, 4, 10))
        ax.set_xticklabels(["0", "0.5", "1", "2", "4", "10"])
        ax.set_ylabel("nDCG@10 over that of scale 1" if metric == "ndcg@10" else "popularity bias")
        ax.set_title({"binary": "without times", "time": "with times"}[values])
        ax.grid(alpha=0.3)
    for ax in axes[:2]:
        ax.set_ylim(0.5, 1.1)
    axes[0].legend(fontsize=7)
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
