"""Is it diffusion, or guidance? The same guidance on models without diffusion.

    python examples/studies/other_models.py ../shared/data \\
        --json benchmarks/results/studies/other_models.json

A diffusion recommender with its defaults and its network alone (no closed form), a variational
autoencoder and a flow that are trained with a null condition, and EASE, whose unconditional branch
is popularity with the spread of its own scores. The scale of each is chosen on valid.
"""

import time

import numpy as np
from sklearn.base import clone
from study import (
    arguments,
    both_lists,
    effect,
    evaluated,
    load,
    matched,
    means,
    ndcg,
    over_seeds,
    run,
    simple_models,
)

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.base import BaseRecommender
from skdiffrec.baselines import FlowRecommender, MultVAERecommender

SETS = "ml-100k lastfm amazon-office ml-1m_clean citeulike-a amazon-beauty".split()
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
ONE = SCALES.index(1.0)
SHOWN = ("ndcg@10", "recall@20", "coverage@10", "popularity_bias@10")
DEFAULT, NETWORK = "diffusion, default", "diffusion, network alone"
OTHERS = {"MultVAE": MultVAERecommender, "flow": FlowRecommender}


class GuidedLinear(BaseRecommender):
    """A linear model whose unconditional branch is popularity, as widely spread as its scores."""

    def __init__(self, model, *, guidance_scale=1.0):
        self.model = model
        self.guidance_scale = guidance_scale

    def _fit(self, X):
        self.model_ = clone(self.model).fit(X)
        self.popularity_ = np.bincount(X.indices, minlength=X.shape[1])

    def _score_rows(self, X):
        cond = self.model_.decision_function(X)
        uncond = matched(self.popularity_, cond)
        return (uncond + self.guidance_scale * (cond - uncond)).astype(np.float32)


def linear_of(train, data):
    """(name, the linear model whose ridge is best on valid)."""
    name, models = list(simple_models(train, 0).items())[1]
    found = [ndcg(m.fit(train).recommend(k=10)[0], data.valid) for m in models]
    return name, models[int(np.argmax([np.nanmean(values) for values in found]))]


def models_of(data, seed, options, linear):
    """{name: model}, not fitted; `linear` is the same for every seed."""
    settings = {"random_state": seed} | options.fit
    return {
        DEFAULT: CFGDiffusionRecommender(**settings),
        NETWORK: CFGDiffusionRecommender(closed_form=None, **settings),
        **{name: make(**settings) for name, make in OTHERS.items()},
        linear[0]: GuidedLinear(linear[1]),
    }


def answers(model, data):
    """For valid and for test, {metric: (n_scales, n_users), or (n_scales,) of all}."""
    found = [], []
    for scale in SCALES:
        lists = both_lists(model.set_params(guidance_scale=scale).recommend, data)
        for part, ids, holdout in zip(found, lists, (data.valid, data.test), strict=True):
            part.append(evaluated(ids, holdout, data.train))
    return tuple({name: np.array([at[name] for at in part]) for name in part[0]} for part in found)


def fitted(data, options):
    """({model: (valid, test), means over seeds, as in `answers`}, {model: seconds of a fit})."""
    runs, seconds, linear = {}, {}, linear_of(data.train, data)
    for seed in range(options.seeds):
        for name, model in models_of(data, seed, options, linear).items():
            start = time.perf_counter()
            model.fit(data.train)
            seconds.setdefault(name, []).append(time.perf_counter() - start)
            runs.setdefault(name, []).append(answers(model, data))
    means_of = {
        name: tuple(over_seeds(part) for part in zip(*of, strict=True)) for name, of in runs.items()
    }
    return means_of, {name: float(np.mean(each)) for name, each in seconds.items()}


def study(name, options):
    found, seconds = fitted(load(name, options), options)
    rows, effects, guided = [], [], {}
    for model, (valid, test) in found.items():
        curve = np.nanmean(valid["ndcg@10"], axis=1)
        for i, scale in enumerate(SCALES):
            row = {"model": model, "scale": scale, "valid ndcg@10": float(curve[i])}
            row |= means({metric: test[metric][i] for metric in SHOWN}, SHOWN)
            rows.append(row | {"fit, s": seconds[model]})
        best = int(curve.argmax())
        guided[model] = test["ndcg@10"][best]
        of = f"{model}: guided against scale 1"
        effects.append(effect(of, test["ndcg@10"][ONE], guided[model], scale=SCALES[best]))
    for ours, others in ((DEFAULT, list(guided)[1:]), (NETWORK, list(guided)[2:])):
        for other in others:
            of = f"{ours} against {other}, both guided"
            effects.append(effect(of, guided[other], guided[ours], scale=None))
    return {"rows": rows, "effects": effects}


def draw(record):
    """nDCG@10 by scale, one panel a data set."""
    import matplotlib.pyplot as plt

    n = len(record)
    figure, axes = plt.subplots(
        1, n, figsize=(max(3 * n, 8), 3.6), layout="constrained", squeeze=False
    )
    for ax, (name, found) in zip(axes[0], record.items(), strict=True):
        for model in dict.fromkeys(row["model"] for row in found["rows"]):
            rows = [row for row in found["rows"] if row["model"] == model]
            scales, ndcg_of = ([row[of] for row in rows] for of in ("scale", "ndcg@10"))
            shown = "EASE or neighborhood" if model in ("EASE", "neighborhood") else model
            ax.plot(scales, ndcg_of, marker=".", label=shown)
        ax.set(title=name, xlabel="guidance scale", ylabel="nDCG@10")
        ax.grid(alpha=0.3)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
