"""Parts c, d and e of `speed.py`: what needs training while the clock runs."""

import functools

import numpy as np
from speed_models import (
    EASE_ITEMS,
    epoch_runs,
    epoch_seconds,
    load,
    measure,
    measure_recbole,
    new_models,
    quality,
    recbole,
)
from timing import evaluation_clock, in_child, timed

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender
from skdiffrec.metrics import ndcg_at_k

EASE_REGS = tuple(50.0 * 2**i for i in range(9))
SEEDS = range(3)  # of ours
ALS_ROUNDS = (1, 2, 4, 8, 16, 32)
QUALITY_DATA, EPOCH_DATA, MODELS_DATA = "ml-1m_clean", "gowalla", ("ml-1m_clean", "gowalla")
MULTVAE_BATCHES = 48  # as many steps an epoch as ours has by default
DENSE_SHARE = 4  # the dense loss is timed on one user of so many
PEERS = {"MultVAE": "MultiVAE", "DiffRec": "DiffRec"}  # ours: RecBole's name
DIFFREC = {
    "defaults": {},
    "tuned on ml-100k": {  # benchmarks/results/accuracy/ml-100k/train__sets__diffrec.json
        "learning_rate": 0.0006381,
        "noise_max": 0.02,
        "noise_min": 0.001,
        "noise_scale": 0.001,
        "steps": 10,
    },
}


def ease_fits(data):
    """EASE with each reg: its quality and the seconds of the fit."""
    fits = []
    for reg in EASE_REGS:
        seconds, model = timed(lambda reg=reg: EASERecommender(reg=reg).fit(data.train))
        fits.append({"reg": reg, "seconds": seconds} | quality(model, data))
    return fits


def timed_fit(model, X):
    """Seconds of a fit without evaluation, those of evaluation (baselines: 0), and the model."""
    with evaluation_clock() as evaluation:
        seconds, model = timed(lambda: model.fit(X))
    return seconds - sum(evaluation), sum(evaluation), model


def ladder(make, sizes, data, target, X=None, seeds=(0,)):
    """Fits on X, by default train, of growing size until EASE's quality is reached.

    Quality is the mean over seeds, seconds are the median.
    """
    rungs, X = [], data.train if X is None else X
    for size in sizes:
        fits = [timed_fit(make(size, seed), X) for seed in seeds]
        found = [quality(model, data) for *_, model in fits]
        seconds, evaluation = np.median([fit[:2] for fit in fits], axis=0).tolist()
        rungs.append(
            {"size": size, "seconds": seconds, "evaluation": evaluation}
            | {name: float(np.mean([of_seed[name] for of_seed in found])) for name in found[0]}
            | {"by seed": found}
        )
        print(f"  {rungs[-1]}", flush=True)
        if all(rungs[-1][split] >= target[split] for split in ("valid", "test")):
            break
    return rungs


def first(rungs, split, target):
    """The first rung with EASE's quality, or None."""
    return next((rung for rung in rungs if rung[split] >= target[split]), None)


def ours(max_epochs, seed=0, values="binary"):
    return CFGDiffusionRecommender(max_epochs=max_epochs, values=values, random_state=seed)


def als(iterations, seed, factors):
    return ALSRecommender(factors=factors, iterations=iterations, random_state=seed)


def curve_seconds(found, reached):
    """Seconds of training of a RecBole run until its score on valid is `reached`, or None."""
    at = [int(epoch) for epoch, score in found["valid_curve"] if score >= reached]
    return float(found["epoch_seconds"][: at[0]].sum()) if at else None


def recbole_row(label, runs, target, data):
    """Medians over equal runs; a best score is the last epoch that improved."""
    best = float(runs[0]["valid_ndcg"])
    to = {
        name: [curve_seconds(run, score) for run in runs]
        for name, score in (("best", best), ("99 %", 0.99 * best), ("ease", target["watched"]))
    }
    median = {n: None if s[0] is None else float(np.median(s)) for n, s in to.items()}
    return {
        "model": label,
        "s to EASE's on valid": median["ease"],
        "s to its best": median["best"],
        "s to 99 % of its best": median["99 %"],
        "epochs": int(runs[0]["epochs"]),
        "cut short": bool(runs[0]["cut_short"]),
        "nDCG@10 on valid": ndcg_at_k(runs[0]["valid_ids"][:, :10], data.valid, 10),
        "nDCG@10 on test": ndcg_at_k(runs[0]["test_ids"][:, :10], data.test, 10),
        "nDCG@10 on 1,000 of valid": best,
    }


def to_quality(options):
    """c: seconds of training to EASE's nDCG@10; evaluation, early stopping's too, is apart.

    There is no look into a fit of ours, so it is made again with 1, 2, 4 ... epochs, closed form
    included; the evaluation of early stopping is timed inside. A model of RecBole is
    evaluated after every epoch, on its 1,000 users of valid, for which EASE's quality is taken too.
    Of all models only "ours, values=time" sees times.
    """
    data = load(options, QUALITY_DATA)
    eases = ease_fits(data)
    target = max(eases, key=lambda fit: fit["valid"])
    print(f"  EASE: {target}", flush=True)
    sizes = [n for n in (1, 2, 4, 8, 16, 32) if n < options.max_epochs] + [options.max_epochs]
    rungs = {"ours": ladder(ours, sizes, data, target, seeds=SEEDS)}
    for factors in (64, 256):
        make = functools.partial(als, factors=factors)
        rungs[f"ALS {factors}"] = ladder(make, ALS_ROUNDS, data, target)
    timed_ours, times = functools.partial(ours, values="time"), load(options, QUALITY_DATA, "time")
    rungs["ours, values=time"] = ladder(timed_ours, sizes, data, target, times.train)
    reached = {split: first(rungs["ours"], split, target) for split in ("valid", "test")}
    runs, fits = trained_in_turns(options, data, reached)
    medians = {}
    for name, fitted in fits.items():
        seconds, evaluation = np.median(fitted, axis=0).tolist()
        medians[name] = {"seconds": seconds, "evaluation": evaluation}
    alone = {f"s to EASE's on {split}": target["seconds"] for split in reached}
    rows = [{"model": "EASE"} | alone | _figures(target)]
    rows += [_ladder_row(name, steps, target) for name, steps in rungs.items()]
    rows[1] |= {
        f"s to EASE's on {split}": medians[split]["seconds"] if split in medians else None
        for split in reached
    }
    whole = rungs["ours"][-1]
    rows[1] |= {"epochs": whole["size"], "s of the default fit": whole["seconds"]}
    rows[1] |= {"evaluation in it, s": whole["evaluation"]} | _figures(whole)
    peers = [recbole_row(name, found, target, data) for name, found in runs.items()]
    diffrec = max(peers[: len(DIFFREC)], key=lambda row: row["nDCG@10 on 1,000 of valid"])
    return {
        "rows": rows + peers,
        "ease": target,
        "eases": eases,
        "rungs": rungs,
        "ours_seconds": medians,
        "diffrec_seconds": diffrec["s to its best"],
        "seconds": fits,
    }


def trained_in_turns(options, data, reached):
    """RecBole's runs, and in turn with them fits of ours: ({name: runs}, {name: fits}).

    Of a fit the seconds without evaluation and those of evaluation; `reached` are rungs by split.
    """
    settings = {f"DiffRec, {name}": ("DiffRec", s) for name, s in DIFFREC.items()}
    settings["MultVAE, defaults"] = ("MultiVAE", {})
    more = ["--eval-every", "1", "--patience", "10", "--max-epochs", str(5 * options.max_epochs)]
    sizes = {split: rung["size"] for split, rung in reached.items() if rung is not None}
    runs, fits = {name: [] for name in settings}, {name: [] for name in sizes}
    for repeat in range(options.slow_repeats):
        for name, (model, given) in settings.items():
            if repeat == 0 or model == "DiffRec":
                runs[name].append(recbole(options, QUALITY_DATA, model, given, *more))
        for name, size in sizes.items():
            fits[name].append(timed_fit(ours(size), data.train)[:2])
            print(f"  ours, {size} epochs at most: {fits[name][-1]}", flush=True)
    return runs, fits


def _figures(found):
    return {f"nDCG@10 on {split}": found[split] for split in ("valid", "test")} | {
        "nDCG@10 on 1,000 of valid": found["watched"]
    }


def _ladder_row(name, rungs, target):
    best = max(rungs, key=lambda rung: rung["valid"])
    row = {"model": name, "epochs": best["size"]}
    for split in ("valid", "test"):
        rung = first(rungs, split, target)
        row[f"s to EASE's on {split}"] = rung and rung["seconds"]
    return row | _figures(best)


def epochs(options):
    """d: an epoch on gowalla, of ours, of RecBole's MultVAE and of our dense loss.

    Ours is half of the difference of fits of 3 epochs and of 1, without early stopping and closed
    form. MultVAE has our width and batches, and its second and third epoch count.
    """
    X = load(options, EPOCH_DATA).train
    batch_size = max(64, X.shape[0] // MULTVAE_BATCHES)
    width = {"mlp_hidden_size": [256], "train_batch_size": batch_size}
    given = {"hidden_dims": (256,), "batch_size": batch_size}
    runs = {
        "ours": epoch_runs(X, **given),
        "ours, dense loss": epoch_runs(X[: X.shape[0] // DENSE_SHARE], n_loss_items=None, **given),
    }
    seconds = {name: [] for name in (*runs, "MultVAE")}
    more = ("--unevaluated", "--epochs", "3")
    for _ in range(options.slow_repeats):
        for name, fits in runs.items():
            seconds[name].append(float(epoch_seconds(*(timed(fit)[0] for fit in fits.values()))))
            print(f"  {name}: {seconds[name][-1]:.2f} s an epoch", flush=True)
        found = recbole(options, EPOCH_DATA, "MultiVAE", width, *more)
        seconds["MultVAE"].append(float(found["epoch_seconds"][1:].mean()))
        print(f"  MultVAE: {seconds['MultVAE'][-1]:.2f} s an epoch", flush=True)
    n_rows = {name: X.shape[0] for name in seconds}
    n_rows["ours, dense loss"] //= DENSE_SHARE
    rates = {name: np.divide(s, n_rows[name]) for name, s in seconds.items()}
    rows = [
        {
            "an epoch": name,
            "rows": n_rows[name],
            "s": float(np.median(seconds[name])),
            "ms a row": 1000 * float(np.median(rate)),
            "ours / it, per row": float(np.median(rates["ours"] / rate)),
        }
        for name, rate in rates.items()
    ]
    by_name = {row["an epoch"]: row["ours / it, per row"] for row in rows}
    return {
        "rows": rows,
        "to_multvae": by_name["MultVAE"],
        "to_dense": by_name["ours, dense loss"],
        "batch_size": batch_size,
        "seconds": seconds,
    }


def models(options):
    """e: every model with its defaults in a process of its own, one after the other."""
    rows = []
    for data in options.data:
        path, n_items = options.folder / f"{data}.npz", load(options, data).n_items
        for name in new_models(options.max_epochs):
            if name == "EASE" and n_items > EASE_ITEMS:
                continue
            found = in_child(measure, path, name, options.max_epochs, options.repeats)
            bare = found.pop("bare users/s", None)
            rows.append({"data": data, "model": name} | found)
            print(f"  {rows[-1]}", flush=True)
            if bare:
                rows.append({"data": data, "model": "bare product, topk", "users/s": bare})
        for name, peer in PEERS.items() if options.recbole_python else ():
            rows.append({"data": data, "model": name} | measure_recbole(options, data, peer))
    return {"rows": rows}
