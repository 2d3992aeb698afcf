"""What are the noise schedule, the target of prediction and the sampling steps worth?

    python examples/studies/noise.py ../shared/data --json benchmarks/results/studies/noise.json

Every noise schedule with every target of prediction, ranked by the ranking head (the default) and
by the estimate of x_0. Of the default, and of what is best on valid among those without a head,
then the number of steps, DDIM and DDPM, noise and means of draws: all of one fit a seed. The
longest chain, a thousand timesteps, is fitted where the lists come from the chain, without a head.
"""

import itertools
import tempfile
from functools import partial
from typing import NamedTuple

import numpy as np
from study import arguments, both_lists, effect, evaluated, load, means, ndcg, over_seeds, run

from skdiffrec import CFGDiffusionRecommender

SETS = "ml-100k lastfm ml-1m_clean".split()
HEADS = {True: "ranking head", False: "estimate of x_0"}
PAIRS = list(itertools.product(("linear", "cosine", "linear_variance"), ("x0", "epsilon", "v")))
STEPS = 1, 2, 5, 10, 50, 100
SOME = 10  # steps: what is watched while a model without a ranking head is trained
LONG = 1000
SCALES = 1.0, 2.0
NOISE = [(1, 1), (1, 5), (1, 20)]  # temperature and draws
METRICS = [f"{m}@{k}" for m in ("ndcg", "recall", "precision", "mrr") for k in (5, 10, 20)]
METRICS += ["coverage@10"]


class Case(NamedTuple):
    """Parameters of a model; a fit depends on the first four."""

    ranking_head: bool = True
    noise_schedule: str = "cosine"
    prediction_type: str = "x0"
    n_timesteps: int = 100
    n_sampling_steps: int = 1
    eta: float = 0.0
    temperature: float = 0.0
    n_draws: int = 1
    guidance_scale: float = 1.0


DEFAULT = Case()
FIELDS = {  # as tables name them
    "noise_schedule": "schedule",
    "prediction_type": "prediction",
    "n_timesteps": "timesteps",
    "n_sampling_steps": "steps",
    "eta": "eta",
    "temperature": "temperature",
    "n_draws": "draws",
    "guidance_scale": "scale",
}


def measured(case, data, options, fits):
    """Values per user of a case, means over seeds; `fits` is a folder of those made so far."""
    runs = []
    for seed in range(options.seeds):
        given = case._asdict() | options.fit
        model = CFGDiffusionRecommender(random_state=seed, memory=fits, **given).fit(data.train)
        for_valid, for_test = both_lists(model.recommend, data)
        found = evaluated(for_test, data.test, data.train)
        runs.append(found | {"valid": ndcg(for_valid, data.valid)})
    return over_seeds(runs)


def grid():
    """Every schedule with every target, both kinds of lists, of one step and of some."""
    for head, (schedule, prediction), steps in itertools.product(HEADS, PAIRS, (1, SOME)):
        yield Case(head, schedule, prediction, n_sampling_steps=steps)


def samplings(case):
    """Other ways to sample a fit: the number of steps, and noise in some."""
    for steps, scale in itertools.product(STEPS, SCALES):
        yield case._replace(n_sampling_steps=steps, guidance_scale=scale)
    some = case._replace(n_sampling_steps=SOME)
    yield some._replace(eta=1)
    for eta, (temperature, n_draws) in itertools.product((0, 1), NOISE):
        yield some._replace(eta=eta, temperature=temperature, n_draws=n_draws)


def longer(case):
    """The same of a thousand timesteps: all of them, some, and some with the noise of DDPM."""
    for steps in (1, SOME, 50, LONG):
        yield case._replace(n_timesteps=LONG, n_sampling_steps=steps)
    yield case._replace(n_timesteps=LONG, n_sampling_steps=50, eta=1, temperature=1)


def best(found, cases):
    """The case that is best on valid."""
    return max(cases, key=lambda case: np.nanmean(found[case]["valid"]))


def against(found, of, before, after):
    """The effect of one case in place of another."""
    named = {"lists": HEADS[after.ranking_head], "steps": after.n_sampling_steps}
    return effect(of, *(found[case]["ndcg@10"] for case in (before, after)), **named)


def row(case, found):
    named = {shown: getattr(case, field) for field, shown in FIELDS.items()}
    valid = float(np.nanmean(found["valid"]))
    lists = {"lists": HEADS[case.ranking_head]}
    return lists | named | {"valid ndcg@10": valid} | means(found, METRICS)


def of_pairs(found):
    """Schedules and targets for the default, and what valid chooses of them."""
    for schedule, prediction in PAIRS:
        case = DEFAULT._replace(noise_schedule=schedule, prediction_type=prediction)
        if case != DEFAULT:
            yield against(found, f"{schedule}, {prediction} for cosine, x0", DEFAULT, case)
    for head in HEADS:
        chosen = best(found, [case for case in grid() if case.ranking_head == head])
        named = f"chosen ({chosen.noise_schedule}, {chosen.prediction_type})"
        yield against(found, f"{named} for the default", DEFAULT, chosen)
    asked = chosen._replace(noise_schedule="linear", prediction_type="epsilon")
    papers = best(found, [asked._replace(n_sampling_steps=steps) for steps in (1, SOME)])
    yield against(found, f"{named} for linear, epsilon", papers, chosen)


def of_sampling(found, case):
    """Steps for one, and noise for none, of one fit."""
    for scale in SCALES:
        first, *more = (
            case._replace(n_sampling_steps=steps, guidance_scale=scale) for steps in STEPS
        )
        chosen = best(found, [first, *more])
        yield against(found, f"chosen steps for one, scale {scale:g}", first, chosen)
        yield against(found, f"most steps for one, scale {scale:g}", first, more[-1])
    some = case._replace(n_sampling_steps=SOME)
    yield against(found, "eta 1 for 0", some, some._replace(eta=1))
    for eta, (temperature, n_draws) in itertools.product((0, 1), NOISE):
        noisy = some._replace(eta=eta, temperature=temperature, n_draws=n_draws)
        of = f"noise for none, eta {eta}, {n_draws} draw" + "s" * (n_draws > 1)
        yield against(found, of, some._replace(eta=eta), noisy)


def study(name, options):
    with tempfile.TemporaryDirectory() as fits:
        measure = partial(measured, data=load(name, options), options=options, fits=fits)
        found = {case: measure(case) for case in grid()}
        effects = list(of_pairs(found))
        rows = [row(case, values) for case, values in found.items()]
        chosen = best(found, [case for case in grid() if not case.ranking_head])
        sampled = []
        for start in (DEFAULT, chosen):
            found |= {case: measure(case) for case in samplings(start)}
            sampled += [row(case, found[case]) for case in samplings(start)]
            effects += of_sampling(found, start)
        found |= {case: measure(case) for case in longer(chosen)}
    sampled += [row(case, found[case]) for case in longer(chosen)]
    *_, longest, _ = longer(chosen)
    short = chosen._replace(n_sampling_steps=STEPS[-1])
    effects.append(against(found, f"{LONG:,} timesteps and steps for {STEPS[-1]}", short, longest))
    return {"rows": rows, "sampling": sampled, "effects": effects}


def draw(record):
    """Pairs over the default, steps over one step, noise over none."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.5), layout="constrained")
    for i, (name, found) in enumerate(record.items()):
        draw_pairs(axes[0], found["rows"], name, f"C{i}")
        for lists, line in zip(HEADS.values(), ("-", "--"), strict=True):
            sampled = picked(found["sampling"], lists=lists, timesteps=DEFAULT.n_timesteps)
            style = {"color": f"C{i}", "linestyle": line, "label": f"{name}, {lists}"}
            draw_steps(axes[1], sampled, style)
            draw_noise(axes[2], sampled, style)
    for ax in axes:
        ax.axhline(1, color="0.7", linewidth=1)
        ax.grid(alpha=0.3)
    axes[1].set(xscale="log", xlabel="sampling steps", ylabel="nDCG@10 over that of one step")
    axes[2].set(xscale="log", xlabel="draws", ylabel="nDCG@10 over that without noise")
    for ax, ticks in ((axes[1], STEPS), (axes[2], [n_draws for _, n_draws in NOISE])):
        ax.set_xticks(ticks, ticks, minor=False)
        ax.set_xticks([], minor=True)
    axes[1].set_title("number of steps, scale 1")
    axes[2].set_title(f"noise in {SOME} steps of DDIM")
    axes[0].legend(fontsize=7)
    axes[2].legend(fontsize=7, handlelength=4)
    return figure


def picked(rows, **values):
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def draw_pairs(ax, rows, name, color):
    """nDCG@10 of every pair over the default's, of the number of steps that valid chooses."""
    (default,) = picked(rows, lists=HEADS[True], schedule="cosine", prediction="x0", steps=1)
    names = [f"{schedule}\n{prediction}".replace("_", "\n") for schedule, prediction in PAIRS]
    for lists, marker in zip(HEADS.values(), ("o", "x"), strict=True):
        values = []
        for schedule, prediction in PAIRS:
            of_pair = picked(rows, lists=lists, schedule=schedule, prediction=prediction)
            chosen = max(of_pair, key=lambda row: row["valid ndcg@10"])
            values.append(chosen["ndcg@10"] / default["ndcg@10"])
        ax.plot(names, values, marker, color=color, label=f"{name}, {lists}")
    ax.tick_params("x", labelsize=6)
    ax.set(title="schedule and target", ylabel="nDCG@10 over the default's")


def draw_steps(ax, sampled, style):
    plain = picked(sampled, scale=1.0, eta=0, temperature=0)
    ax.plot(
        [row["steps"] for row in plain],
        [row["ndcg@10"] / plain[0]["ndcg@10"] for row in plain],
        marker=".",
        **style,
    )


def draw_noise(ax, sampled, style):
    (without,) = picked(sampled, scale=1.0, eta=0, temperature=0, steps=SOME)
    noisy = picked(sampled, eta=0, temperature=1)
    values = [row["ndcg@10"] / without["ndcg@10"] for row in noisy]
    ax.plot([row["draws"] for row in noisy], values, marker=".", **style)


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
