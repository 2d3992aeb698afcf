"""What the studies share: options, data, lists, values per user, effects with intervals, records.

Protocol of all: models are fitted on train, lists are made from train and leave out what they must;
settings are chosen by nDCG@10 on valid, results are those on test. A value of a user is a mean over
seeds; an effect is the mean difference over users, with a paired bootstrap's interval.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

from skdiffrec.baselines import (
    ALSRecommender,
    EASERecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)
from skdiffrec.datasets import load_npz, make_interactions
from skdiffrec.metrics import compare, ranking_report

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from protocol import longest, without  # noqa: E402
from timing import machine, markdown, merge  # noqa: E402

CUTOFFS = 5, 10, 20
GENERATED = "generated"
# Split at random, or inside orders by the item's number: no test of models that see times.
NOT_IN_TIME = "amazon-office", "citeulike-a", "onlineretail"
_EASE_ITEMS = 15_000  # its time grows with the third power of them
_RIDGES = 3.0, 10.0, 30.0, 100.0  # times the mean of the diagonal of XᵀX
_ALS = {"factors": (32, 64, 128), "alpha": (5.0, 10.0, 3.0), "regularization": (1.0, 20.0, 15.0)}
_SMALL_DATA = {"n_users": 150, "n_items": 80, "n_interactions_per_user": 15}
_SMALL_FIT = {"max_epochs": 2, "hidden_dims": (16,), "latent_dim": 8}


def arguments(description, sets):
    """The options that every study has; `sets` are the data sets that it takes by default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", nargs="?", type=pathlib.Path, help="folder of .npz files; without it, generated"
    )
    parser.add_argument("--sets", nargs="+", default=sets)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="a few users, in seconds")
    parser.add_argument("--again", action="store_true", help="also what the record holds already")
    parser.add_argument("--json", type=pathlib.Path, help="the record, one entry a data set")
    parser.add_argument("--plot", type=pathlib.Path)
    options = parser.parse_args()
    if options.data is None:
        options.sets = [GENERATED]
    options.fit = _SMALL_FIT if options.small else {}
    return options


def load(name, options, values="binary"):
    """A data set with train, valid and test."""
    if name == GENERATED:
        size = _SMALL_DATA if options.small else {}
        return make_interactions(values=values, random_state=0, **size)
    return load_npz(options.data / f"{name}.npz", values=values)


def values_of(name, options):
    """What the values of a set can be: sets of items, and times where it was split in time."""
    timed = load(name, options).has_times and name not in NOT_IN_TIME
    return ("binary", "time") if timed else ("binary",)


def simple_models(rows, seed):
    """{name: models to be fitted on rows, one a setting}; a stand-in for EASE with many items."""
    ridge = rows.nnz / rows.shape[1]
    few = rows.shape[1] <= _EASE_ITEMS
    linear = EASERecommender if few else NeighborhoodRecommender
    settings = (dict(zip(_ALS, each, strict=True)) for each in zip(*_ALS.values(), strict=True))
    return {
        "popularity": [PopularityRecommender()],
        "EASE" if few else "neighborhood": [linear(reg=times * ridge) for times in _RIDGES],
        "ALS": [ALSRecommender(random_state=seed, **each) for each in settings],
    }


def both_lists(recommend, data, k=20, left_out=None):
    """Lists to be evaluated on valid, and on test, where valid is left out.

    ``recommend(k=k, filter_items=csr or None)`` gives (ids, scores) of all rows of train;
    `left_out` are items that no list may hold besides.
    """
    for_valid, _ = recommend(k=k, filter_items=left_out)
    besides = data.valid if left_out is None else data.valid + left_out
    for_test, _ = recommend(k=k, filter_items=besides)
    return for_valid, for_test


def both_of_one_pass(recommend, data, k=20):
    """The same lists, cut from one that is long enough for both: for models that are slow."""
    ids, _ = recommend(k=k + longest(data.valid))
    return ids[:, :k], without(ids, data.valid, k)


def evaluated(ids, holdout, train=None):
    """{metric: a value for each user, or one for all (coverage, gini)}; NaN without a holdout."""
    report = ranking_report(ids, holdout, k=CUTOFFS, train=train)
    return {name: report.per_user.get(name, value) for name, value in report.items()}


def ndcg(ids, holdout):
    """nDCG@10 of every user."""
    return ranking_report(ids, holdout, k=10).per_user["ndcg@10"]


def matched(reference, cond):
    """Scores with the mean and the spread over items that others have in each row."""
    away = reference - reference.mean(axis=-1, keepdims=True)
    spread = cond.std(axis=1, keepdims=True) / away.std(axis=-1, keepdims=True)
    return cond.mean(axis=1, keepdims=True) + spread * away


def over_seeds(runs):
    """The mean of equal dicts of arrays, by key."""
    return {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}


def means(values, metrics):
    """{metric: mean over users} of some metrics."""
    return {name: float(np.nanmean(values[name])) for name in metrics}


def effect(of, before, after, metric="ndcg@10", **more):
    """A difference of two arrays of values per user, with its interval.

    `of` says in words what is compared; `more` goes into the record.
    """
    found = compare(before, after, random_state=0)._asdict()
    kept = ("mean_a", "mean_b", "difference", "low", "high", "p_value", "n_users")
    return {"of": of, "metric": metric} | more | {name: found[name] for name in kept}


def run(study, draw, options):
    """Do the study on every data set, print its tables, write its record and its picture.

    ``study(name, options)`` gives {name of a table: list of dicts}, of which "effects" holds those
    of `effect`; ``draw(record)`` a matplotlib figure of {data set: what `study` gave}. What the
    record holds already is not done again.
    """
    held = options.json and options.json.exists()
    record = json.loads(options.json.read_text()) if held else {}
    for name in options.sets:
        if name in record and not options.again:
            continue
        where = machine()
        found = study(name, options)
        record[name] = found | {"seeds": options.seeds, "machine": where}
        for title, rows in found.items():
            print(f"\n{name}: {title}\n{markdown(rows)}", flush=True)
        if options.json:
            merge(options.json, name, record[name])
    if options.plot:
        import matplotlib

        matplotlib.use("agg")
        draw(record).savefig(options.plot, dpi=100, metadata={"Date": None})
