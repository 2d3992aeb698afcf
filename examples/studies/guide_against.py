"""Sequences: what is worth guiding against when the next item is asked for?

    python examples/studies/guide_against.py ../shared/data \\
        --json benchmarks/results/studies/guide_against.json

Leave-one-out: a user's last item is test, the one before it valid, the model (``horizon=1``) is
fitted on the rest. Scores are ``cond + w * (cond - reference)``, where the reference is the
unconditional branch (then the guidance scale is 1 + w), the items' popularity in the last tenth of
all interactions, the same model after 2 epochs, or the same model that is shown the latest item
only (autoguidance, arXiv 2406.02507); the last three are brought to the mean and the spread that
the conditional scores have in a row. w is chosen on valid for each, and compared with 0 on test.
"""

import numpy as np
import scipy.sparse as sp
from study import GENERATED, arguments, effect, load, matched, over_seeds, run

from skdiffrec import CFGDiffusionRecommender

# isort: split
from sequences import Sequences  # of the benchmarks, whose folder `study` knows
from sequences import load as sequences_of

SETS = "ml-100k", "amazon-beauty", "ml-1m_clean"
WEIGHTS = (-0.5, -0.25, 0.0, 0.1, 0.25, 0.5, 1.0)
PLAIN = WEIGHTS.index(0.0)
REFERENCES = "unconditional", "recent popularity", "2 epochs", "latest item"
BLOCK = 512
K = 10


def read(name, options):
    """The `Sequences` of a data set."""
    if name != GENERATED:
        return sequences_of(options.data / f"{name}.npz")
    data = load(name, options, "time")
    X = (data.train + data.valid + data.test).tocoo()
    order = np.lexsort((X.data, X.row))
    user, item, time = X.row[order].astype(np.int64), X.col[order], X.data[order]
    return Sequences(name, user, item, time, *X.shape)


def histories(sequences, n_left_out):
    """CSR of the times of all but the last `n_left_out` items of every user."""
    user, item, time = sequences.history(n_left_out)
    return sp.csr_array((time, (user, item)), shape=(sequences.n_users, sequences.n_items))


def latest_only(sequences, n_left_out):
    """As `histories`, of the latest item of each."""
    at = sequences.from_end() == n_left_out
    parts = sequences.time[at], (sequences.user[at], sequences.item[at])
    return sp.csr_array(parts, shape=(sequences.n_users, sequences.n_items))


def recent_popularity(X):
    """Log of the items' shares of the latest tenth of all interactions, one of each added."""
    recent = X.data >= np.quantile(X.data, 0.9)
    count = np.bincount(X.indices[recent], minlength=X.shape[1]) + 1.0
    return np.log(count / count.sum()).astype(np.float32)


def gains(scores, seen, target):
    """nDCG@10 of a single target in the ranking of unseen items; ties go to the lower id."""
    rows = np.arange(len(target))
    own = scores[rows, target][:, None]
    ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < target[:, None]))
    ahead[np.repeat(rows, np.diff(seen.indptr)), seen.indices] = False
    rank = ahead.sum(axis=1)
    return np.where(rank < K, 1 / np.log2(rank + 2.0), 0.0)


def by_weight(models, sequences, left_out):
    """{reference: nDCG@10 (n_weights, n_users with a target)} of the items at one place."""
    model, early = models
    X, latest = histories(sequences, left_out + 1), latest_only(sequences, left_out + 1)
    target = sequences.target(left_out)
    users = np.flatnonzero(target >= 0)
    recent = recent_popularity(histories(sequences, 2))
    found = {name: [] for name in REFERENCES}
    for start in range(0, len(users), BLOCK):
        block = users[start : start + BLOCK]
        cond = model.decision_function(X[block])
        others = recent, early.decision_function(X[block]), model.decision_function(latest[block])
        of = (
            model.decision_function(X[block], guidance_scale=0),
            *(matched(o, cond) for o in others),
        )
        for name, reference in zip(REFERENCES, of, strict=True):
            away = cond - reference
            found[name].append([gains(cond + w * away, X[block], target[block]) for w in WEIGHTS])
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}


def study(name, options):
    sequences, runs = read(name, options), {0: [], 1: []}
    for seed in range(options.seeds):
        settings = {"values": "time", "horizon": 1, "random_state": seed} | options.fit
        models = [
            CFGDiffusionRecommender(**settings | epochs).fit(histories(sequences, 2))
            for epochs in ({}, {"max_epochs": 2})
        ]
        for left_out, found in runs.items():
            found.append(by_weight(models, sequences, left_out))
    test, valid = (over_seeds(runs[left_out]) for left_out in (0, 1))
    rows, effects = [], []
    for reference in REFERENCES:
        on_valid = valid[reference].mean(axis=1)
        for i, w in enumerate(WEIGHTS):
            row = {"against": reference, "w": w, "valid ndcg@10": float(on_valid[i])}
            rows.append(row | {"ndcg@10": float(test[reference][i].mean())})
        chosen = int(on_valid.argmax())
        before, after = test[reference][PLAIN], test[reference][chosen]
        effects.append(effect(f"against {reference}", before, after, w=WEIGHTS[chosen]))
    return {"rows": rows, "effects": effects}


def draw(record):
    """nDCG@10 on test over that of w = 0, by w, one panel a data set."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(record), figsize=(4 * len(record), 3.6), layout="constrained", squeeze=False
    )
    for ax, (name, found) in zip(axes[0], record.items(), strict=True):
        for reference in REFERENCES:
            curve = [row["ndcg@10"] for row in found["rows"] if row["against"] == reference]
            ax.plot(WEIGHTS, np.array(curve) / curve[PLAIN], marker=".", label=reference)
        ax.set(title=name, xlabel="w", ylabel="nDCG@10 over that of w = 0")
        ax.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
