"""What does guidance cost, at fit and at serving, in operations and in seconds?

    python examples/studies/cost.py ../shared/data --json benchmarks/results/studies/cost.json

At fit: dropped conditions (`cond_drop_prob` .2, the default) against none. At serving: lists at
scale 1, which take the conditional branch alone, at scale 2, which take both, at scales of the
users' own, at five scales in one pass and in five, in ten sampling steps, and of one user after the
other. Seconds are medians of turns, ratios are within turns: run it alone on an idle machine.
Operations are multiplications with an addition in products and in sums of rows of tables, counted
as they are computed. Lists are those of 10,000 users at most.
"""

import functools

import numpy as np
import torch
from study import arguments, effect, load, ndcg, over_seeds, run
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: PLC2701 (documented there)

from skdiffrec import CFGDiffusionRecommender

# study.py lets benchmarks be imported
from speed_models import epoch_runs, epoch_seconds, variant  # isort: skip
from timing import in_turns, ratio, timed  # isort: skip

SETS = "ml-100k ml-1m_clean gowalla".split()
SCALES = 0.5, 1.0, 1.5, 2.0, 3.0
ONE = SCALES.index(1.0)
DROPPED = 0.0, 0.2
USERS, COUNTED, SINGLE = 10_000, 256, 200  # listed, counted, and asked for one by one
TURNS = 5
STEPS = 10
K = 10

aten = torch.ops.aten
_PRODUCTS = aten.mm, aten.addmm, aten.addmm_, aten.bmm
_SUMS_OF_ROWS = aten._embedding_bag, aten._embedding_bag_forward_only


class Operations(TorchDispatchMode):
    """Counts multiplications with an addition in this thread's calls of torch.

    Attributes
    ----------
    n : int
        So far. A product of (..., a, b) and (b, c) has a·b·c of them, a sum of n weighted rows of
        length d has n·d, its gradient too; a product of two sparse matrices is not counted.
    """

    def __init__(self):
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in _PRODUCTS:
            left, right = args[-2:]
            self.n += left.numel() * right.shape[-1]
        elif func.overloadpacket in _SUMS_OF_ROWS:
            table, indices = args[:2]
            self.n += len(indices) * table.shape[1]
        elif func.overloadpacket == aten._embedding_bag_backward:
            gradient, indices = args[:2]
            self.n += len(indices) * gradient.shape[1]
        return func(*args, **(kwargs or {}))


def counted(call):
    """Operations of a call; on one thread, as those of others are not seen."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Operations() as operations:
            call()
    finally:
        torch.set_num_threads(n_threads)
    return operations.n


def servings(model, users):
    """{what: a call} that makes lists of users."""
    of_each = np.where(np.arange(len(users)) % 2, 2.0, 1.0)
    longer = variant(model, n_sampling_steps=STEPS)
    lists = functools.partial(model.recommend, users, k=K)
    return {
        "scale 1": functools.partial(lists, guidance_scale=1.0),
        "scale 2": functools.partial(lists, guidance_scale=2.0),
        "half of the users at 1, half at 2": functools.partial(lists, guidance_scale=of_each),
        "five scales, one pass": functools.partial(model.recommend_scales, SCALES, users, k=K),
        "five scales, five passes": lambda: [lists(guidance_scale=scale) for scale in SCALES],
        f"{STEPS} steps, scale 1": functools.partial(
            longer.recommend, users, k=K, guidance_scale=1.0
        ),
        f"{STEPS} steps, scale 2": functools.partial(
            longer.recommend, users, k=K, guidance_scale=2.0
        ),
    }


def singles(model, users):
    """{what: a call} that makes the list of one user after the other."""

    def one_by_one(model, scale):
        return lambda: [model.recommend(int(u), k=K, guidance_scale=scale) for u in users]

    longer = variant(model, n_sampling_steps=STEPS)
    return {
        "one user, scale 1": one_by_one(model, 1.0),
        "one user, scale 2": one_by_one(model, 2.0),
        f"one user, {STEPS} steps, scale 2": one_by_one(longer, 2.0),
    }


def of_serving(calls, model, users, options):
    """Rows of calls, the first of which is what the others are compared with."""
    runs = calls(model, users)
    for call in calls(model, users[:COUNTED]).values():
        call()  # what a model makes once costs no list anything
    operations = {
        what: counted(call) / len(users[:COUNTED])
        for what, call in calls(model, users[:COUNTED]).items()
    }
    seconds = in_turns(runs, 1 if options.small else TURNS)
    first = next(iter(runs))
    for what, of_turns in seconds.items():
        yield {
            "what": what,
            "users": len(users),
            "ms a user": 1000 * float(np.median(of_turns)) / len(users),
            "time over scale 1": ratio(of_turns, seconds[first]),
            "operations a user": operations[what],
            "operations over scale 1": operations[what] / operations[first],
        }


def of_fits(seconds, n_epochs, data, options):
    """Rows of whole fits, in the turns of the seeds, and of an epoch alone."""
    given = {"hidden_dims": options.fit["hidden_dims"]} if options.small else {}
    fits = {p: epoch_runs(data.train, cond_drop_prob=p, **given).values() for p in DROPPED}
    epochs = {p: [] for p in DROPPED}
    for _ in range(1 if options.small else TURNS):
        for p, (few, more) in fits.items():
            epochs[p].append(float(epoch_seconds(timed(few)[0], timed(more)[0])))
    operations = {p: counted(few) for p, (few, _) in fits.items()}
    for p in DROPPED:
        yield {
            "cond_drop_prob": p,
            "fit, s": float(np.median(seconds[p])),
            "epochs": float(np.mean(n_epochs[p])),
            "fit, time over none dropped": ratio(seconds[p], seconds[0.0]),
            "epoch, s": float(np.median(epochs[p])),
            "epoch, time over none dropped": ratio(epochs[p], epochs[0.0]),
            "epoch, operations a user": operations[p] / data.n_users,
            "epoch, operations over none dropped": operations[p] / operations[0.0],
        }


def accuracy(model, data, users):
    """nDCG@10 (n_scales, n_users) on valid and on test."""
    for_valid, _ = model.recommend_scales(SCALES, users, k=K)
    for_test, _ = model.recommend_scales(SCALES, users, k=K, filter_items=data.valid[users])
    return {
        part: np.array([ndcg(ids, holdout[users]) for ids in lists])
        for part, lists, holdout in (
            ("valid", for_valid, data.valid),
            ("test", for_test, data.test),
        )
    }


def effects(found):
    """What dropped conditions change at scale 1, and what the scale that they allow is worth."""
    none, dropped = (over_seeds(found[p]) for p in DROPPED)
    chosen = int(np.nanmean(dropped["valid"], axis=1).argmax())
    test = dropped["test"]
    return [
        effect("conditions dropped for none, scale 1", none["test"][ONE], test[ONE]),
        effect("chosen scale for 1", test[ONE], test[chosen], scale=SCALES[chosen]),
        effect("chosen scale for none dropped", none["test"][ONE], test[chosen]),
    ]


def study(name, options):
    data = load(name, options)
    users = np.random.default_rng(0).permutation(data.n_users)[:USERS]
    found, seconds, n_epochs = ({p: [] for p in DROPPED} for _ in range(3))
    for seed in range(options.seeds):
        for p in DROPPED:
            model = CFGDiffusionRecommender(cond_drop_prob=p, random_state=seed, **options.fit)
            seconds[p].append(timed(lambda: model.fit(data.train))[0])  # noqa: B023
            n_epochs[p].append(model.n_iter_)
            found[p].append(accuracy(model, data, users))
    rows = [
        *of_serving(servings, model, users, options),  # of the last: as the default
        *of_serving(singles, model, users[:SINGLE], options),
    ]
    fits = list(of_fits(seconds, n_epochs, data, options))
    return {"rows": rows, "fits": fits, "effects": effects(found)}


def draw(record):
    """Seconds and operations of lists over those at scale 1, and of an epoch over none dropped."""
    import matplotlib.pyplot as plt

    figure, (ax, of_fit) = plt.subplots(
        1, 2, figsize=(12, 4.5), layout="constrained", width_ratios=(3, 1)
    )
    height = 0.8 / len(record)
    for i, (name, found) in enumerate(record.items()):
        style = {"height": height, "color": f"C{i}", "label": name}
        marks = {"color": "black", "marker": "|", "s": 80, "zorder": 3}
        if i == 0:
            marks["label"] = "operations"
        questions = [row["what"] for row in found["rows"]]
        place = np.arange(len(questions)) + i * height
        ax.barh(place, [row["time over scale 1"] for row in found["rows"]], **style)
        ax.scatter([row["operations over scale 1"] for row in found["rows"]], place, **marks)
        _, dropped = found["fits"]
        of_fit.barh([i], [dropped["epoch, time over none dropped"]], **style)
        of_fit.scatter([dropped["epoch, operations over none dropped"]], [i], **marks)
    ax.set_yticks(np.arange(len(questions)) + 0.4 - height / 2, questions)
    of_fit.set_yticks(range(len(record)), record)
    ax.set(xlabel="time of a user's lists over that at scale 1")
    of_fit.set(xlabel="time of an epoch,\nover none dropped")
    for each in (ax, of_fit):
        each.invert_yaxis()
        each.axvline(1, color="0.7", linewidth=1)
        each.grid(alpha=0.3, axis="x")
    ax.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
