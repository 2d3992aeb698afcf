"""What does guidance add to the same network without it?

    python examples/studies/with_without.py ../shared/data \
--json benchmarks/results/studies/with_without.json --plot docs/images/study_with_without.svg

One fit a seed of every share of dropped conditions, of the default and of its network alone (no
closed form). All that is compared needs no further fit: the conditional and the unconditional
branch alone, guidance, and the same with lists that start from the partly noised history. What a
model is asked with (scale, start, steps) is chosen on valid.
"""

from itertools import product

import numpy as np
from study import arguments, both_lists, effect, evaluated, load, means, over_seeds, run

from skdiffrec import CFGDiffusionRecommender

SETS = "ml-100k lastfm amazon-office ml-1m_clean citeulike-a amazon-beauty".split()
SCALES = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
FEW_SCALES = (0.0, 1.0, 1.5)
STARTS = (10, 20, 40, 60, 80, 90)  # of 100 timesteps
STEPS = (1, 5)
DROPS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
DEFAULT, NETWORK = "default", "network alone"
SHOWN = ("ndcg@10", "ndcg@20", "recall@20", "mrr@10", "coverage@10", "popularity_bias@10")

# A question to a model is a scale, a start (None: the noise) and a number of steps.
FROM_NOISE = [(scale, None, 1) for scale in SCALES]
FROM_HISTORY = list(product((0.0,), STARTS, STEPS))
BOTH = list(product(FEW_SCALES[1:], STARTS, STEPS))
ASKED = {"unconditional": FROM_NOISE[:1], "conditional": [(1.0, None, 1)], "guided": FROM_NOISE}
STARTED = {"pseudo-guided": FROM_HISTORY, "guided from the history": BOTH}
CASES = [
    *((DEFAULT, drop, asked) for drop in DROPS for asked in ASKED),
    *((NETWORK, drop, asked) for drop in (0.0, 0.2) for asked in ASKED),
    *((NETWORK, 0.2, asked) for asked in STARTED),
    (NETWORK, 1.0, "pseudo-guided"),
]
PLAIN, GUIDED, PSEUDO = (
    (NETWORK, 0.0, "conditional"),
    (NETWORK, 0.2, "guided"),
    (NETWORK, 1.0, "pseudo-guided"),
)
COMPARED = [
    ((DEFAULT, 0.0, "conditional"), (DEFAULT, 0.2, "conditional")),
    ((DEFAULT, 0.0, "conditional"), (DEFAULT, 0.0, "guided")),
    ((DEFAULT, 0.0, "conditional"), (DEFAULT, 0.2, "guided")),
    *(((DEFAULT, 0.2, "guided"), (DEFAULT, drop, "guided")) for drop in DROPS if drop != 0.2),
    (PLAIN, (NETWORK, 0.2, "conditional")),
    (PLAIN, GUIDED),
    (PSEUDO, GUIDED),
    (PSEUDO, PLAIN),
    (PSEUDO, (NETWORK, 0.2, "pseudo-guided")),
    ((NETWORK, 0.2, "unconditional"), PSEUDO),
    (GUIDED, (NETWORK, 0.2, "guided from the history")),
]


def named(case):
    kind, drop, asked = case
    return f"{kind}, dropped {drop:g}: {asked}"


def fitted(kind, drop, data, seed, options):
    settings = options.fit | {"cond_drop_prob": drop, "random_state": seed}
    if kind == NETWORK:
        settings["closed_form"] = None
    if drop == 1:  # the branch that early stopping evaluates is not trained
        settings["early_stopping"] = False
    return CFGDiffusionRecommender(**settings).fit(data.train)


def answers(model, questions, data):
    """{question: (valid, test)}, each {metric: a value for each user}."""
    found = {}
    for question in questions:
        scale, start, steps = question
        model.set_params(guidance_scale=scale, start_timestep=start, n_sampling_steps=steps)
        lists = both_lists(model.recommend, data)
        holdouts = data.valid, data.test
        found[question] = tuple(map(evaluated, lists, holdouts, (data.train, data.train)))
    return found


def chosen(runs, questions):
    """(question that is best on valid, its valid, its test) of one fit a seed."""
    valid = {question: over_seeds([run[question][0] for run in runs]) for question in questions}
    best = max(questions, key=lambda question: np.nanmean(valid[question]["ndcg@10"]))
    return best, valid[best], over_seeds([run[best][1] for run in runs])


def study(name, options):
    data, of_case = load(name, options), {}
    for kind, drop in dict.fromkeys(case[:2] for case in CASES):
        asked = {case: (ASKED | STARTED)[case[2]] for case in CASES if case[:2] == (kind, drop)}
        questions = dict.fromkeys(question for some in asked.values() for question in some)
        runs = [
            answers(fitted(kind, drop, data, seed, options), questions, data)
            for seed in range(options.seeds)
        ]
        of_case |= {case: chosen(runs, some) for case, some in asked.items()}
    rows = []
    for case, ((scale, start, steps), valid, test) in of_case.items():
        settings = {"scale": scale, "start": start, "steps": steps}
        rows.append(dict(zip(("model", "dropped", "asked"), case, strict=True)) | settings)
        rows[-1] |= {"valid ndcg@10": float(np.nanmean(valid["ndcg@10"]))} | means(test, SHOWN)
    effects = []
    for before, after in COMPARED:
        ndcg = (of_case[case][2]["ndcg@10"] for case in (before, after))
        effects.append(effect(f"{named(before)} → {named(after)}", *ndcg))
    return {"rows": rows, "effects": effects}


def draw(record):
    """nDCG@10 over that of the conditional branch alone: forms of guidance, and dropped shares."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    kinds = [case for case in CASES if case[0] == NETWORK and case != PLAIN]
    for i, (name, found) in enumerate(record.items()):
        ndcg = {(r["model"], r["dropped"], r["asked"]): r["ndcg@10"] for r in found["rows"]}
        shift = (i + 0.5) / len(record) - 0.5
        places = np.arange(len(kinds)) + 0.8 * shift
        left.plot([ndcg[case] / ndcg[PLAIN] for case in kinds], places, "o", label=name)
        curves = (("conditional", "--"), ("guided", "-"))
        for asked, line in curves:
            curve = [ndcg[DEFAULT, d, asked] / ndcg[DEFAULT, 0.0, "conditional"] for d in DROPS]
            right.plot(DROPS, curve, line, marker=".", color=f"C{i}")
    left.axvline(1, color="gray", lw=1)
    left.set_yticks(range(len(kinds)), [f"{asked}, dropped {drop:g}" for _, drop, asked in kinds])
    left.invert_yaxis()
    left.set(xlabel="nDCG@10 over that of the conditional network", title="network alone")
    left.legend(fontsize=7, loc="center left")
    right.set(xlabel="share of dropped conditions", title="default: scale 1 (dashed), chosen scale")
    right.set_ylabel("nDCG@10 over that of scale 1, none dropped")
    for ax in (left, right):
        ax.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
