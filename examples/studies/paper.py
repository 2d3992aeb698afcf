"""What of the published configuration does not work, and what is the least that repairs it?

    python examples/studies/paper.py ../shared/data \
--json benchmarks/results/studies/paper.json --plot docs/images/study_paper.svg

`CFGDiffusionRecommender.paper()`, one thing changed at a time and one after the other. Each fit is
asked for lists by draws and by the mean, and at several scales; one of these is chosen on valid.
"""

from itertools import pairwise

import numpy as np
from study import (
    GENERATED,
    arguments,
    both_of_one_pass,
    effect,
    evaluated,
    load,
    means,
    over_seeds,
    run,
)

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import PopularityRecommender

SETS = (GENERATED, "ml-100k", "ml-1m_clean")
LATENT, PART = {"latent_dim": 128}, {"target_share": "auto"}
PUBLISHED, REPAIRED, DEFAULT = "paper()", "paper(repaired=True)", "default"
POPULARITY = "popularity"
X0, OF_NOISE, LONGER = "x0 prediction", "latent space, part of the row", "repaired, longer"
FITS = {
    PUBLISHED: {},
    X0: {"prediction_type": "x0"},
    "part of the row": PART,
    "latent space": LATENT,
    OF_NOISE: LATENT | PART,
    REPAIRED: {"repaired": True},
    LONGER: {"repaired": True, "max_epochs": 60},
    DEFAULT: {},
}
# How lists are sampled, and the scales that are asked for.
DRAWN, MEAN = "50 steps with noise", "one step from the mean"
SAMPLING = {
    DRAWN: ({"n_sampling_steps": 50, "temperature": 1.0}, (1.0, 2.0)),
    MEAN: ({"n_sampling_steps": 1, "temperature": 0.0}, (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)),
}
PLAIN, CHOSEN = "1", "chosen"
SHOWN = ("ndcg@10", "ndcg@20", "recall@10", "recall@20", "coverage@10")

# Cases are (configuration, sampling, scale asked for).
POPULAR, FIRST = (POPULARITY, MEAN, PLAIN), (PUBLISHED, DRAWN, PLAIN)
OWN = (REPAIRED, MEAN, PLAIN)
CHAIN = [FIRST, (X0, DRAWN, PLAIN), (X0, MEAN, PLAIN), OWN, (DEFAULT, MEAN, PLAIN)]
ALONE = [(PUBLISHED, MEAN, PLAIN), *((name, DRAWN, PLAIN) for name in list(FITS)[2:5])]
WHOLE = [FIRST, *CHAIN[-2:]]  # configurations that can be had by name
COMPARED = [
    *pairwise(CHAIN),
    *((FIRST, case) for case in ALONE),
    ((OF_NOISE, MEAN, PLAIN), OWN),
    (OWN, (LONGER, MEAN, PLAIN)),
    *((case, (*case[:2], CHOSEN)) for case in WHOLE),
    *((POPULAR, case) for case in WHOLE),
]


def fitted(name, seed, data, options):
    """Where the noise lives is asked for, and so stays as it is where the study is small."""
    small = {key: value for key, value in options.fit.items() if key != "latent_dim"}
    make = CFGDiffusionRecommender if name == DEFAULT else CFGDiffusionRecommender.paper
    return make(random_state=seed, **FITS[name] | small).fit(data.train)


def answers(model, sampling, data):
    """{scale: (valid, test)}, each {metric: a value for each user}."""
    settings, scales = SAMPLING[sampling]
    found = {}
    for scale in scales:
        model.set_params(guidance_scale=scale, **settings)
        found[scale] = of_lists(model, data)
    return found


def of_lists(model, data):
    """(valid, test), each {metric: a value for each user}."""
    lists = both_of_one_pass(model.recommend, data)  # fifty steps in item space take their time
    return tuple(map(evaluated, lists, (data.valid, data.test), (data.train, data.train)))


def of_configuration(name, data, options):
    """{(configuration, sampling, scale asked for): (scale, valid, test)}, means over seeds."""
    found = {}
    runs = {s: [] for s in SAMPLING if s == MEAN or name not in (REPAIRED, LONGER, DEFAULT)}
    for seed in range(options.seeds):
        model = fitted(name, seed, data, options)
        for sampling, some in runs.items():
            some.append(answers(model, sampling, data))
    for sampling, some in runs.items():
        parts = {
            scale: [over_seeds(part) for part in zip(*(run[scale] for run in some), strict=True)]
            for scale in SAMPLING[sampling][1]
        }
        best = max(parts, key=lambda scale: np.nanmean(parts[scale][0]["ndcg@10"]))
        for asked, scale in ((PLAIN, 1.0), (CHOSEN, best)):
            found[name, sampling, asked] = scale, *parts[scale]
    return found


def study(name, options):
    data, rows = load(name, options), []
    popular = PopularityRecommender().fit(data.train)
    found = {POPULAR: (None, *of_lists(popular, data))}
    for configuration in FITS:
        found |= of_configuration(configuration, data, options)
    for (configuration, sampling, asked), (scale, valid, test) in found.items():
        row = {"configuration": configuration, "sampling": sampling, "asked": asked}
        row |= {"scale": scale, "valid ndcg@10": float(np.nanmean(valid["ndcg@10"]))}
        rows.append(row | means(test, SHOWN))
    effects = [
        effect(f"{named(a)} → {named(b)}", *(found[case][2]["ndcg@10"] for case in (a, b)))
        for a, b in COMPARED
    ]
    shown = [POPULAR, *((*case[:2], asked) for case in WHOLE for asked in (PLAIN, CHOSEN))]
    beside = [{"model": named(case)} | means(found[case][2], SHOWN) for case in shown]
    return {"rows": rows, "effects": effects, "beside published": beside}


def named(case):
    configuration, sampling, asked = case
    own = any(case[:2] == one[:2] for one in (POPULAR, *WHOLE))  # sampled as it comes
    parts = [configuration, "" if own else sampling, "chosen scale" if asked == CHOSEN else ""]
    return ", ".join(part for part in parts if part)


def draw(record):
    """nDCG@10 of every configuration, by sampling and scale."""
    import matplotlib.pyplot as plt

    size = {"figsize": (4 + 3 * len(record), 4), "layout": "constrained"}
    figure, axes = plt.subplots(1, len(record), sharey=True, squeeze=False, **size)
    names = [POPULARITY, *FITS]
    kinds = (DRAWN, PLAIN, "x"), (MEAN, PLAIN, "o"), (MEAN, CHOSEN, "|")
    for ax, (name, found) in zip(axes[0], record.items(), strict=True):
        for sampling, asked, marker in kinds:
            rows = [r for r in found["rows"] if (r["sampling"], r["asked"]) == (sampling, asked)]
            places = [names.index(row["configuration"]) for row in rows]
            label = sampling + (", chosen scale" if asked == CHOSEN else "")
            ax.plot([row["ndcg@10"] for row in rows], places, marker, ms=9, label=label)
        ax.set(xlabel="nDCG@10 on test", title=name)
        ax.grid(alpha=0.3)
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].invert_yaxis()
    marks = axes[0, 0].get_legend_handles_labels()
    figure.legend(*marks, loc="outside lower center", ncols=len(kinds))
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
