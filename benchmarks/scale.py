"""Cost against sampling steps, users and items on generated data, with fitted exponents.

    python benchmarks/scale.py steps
    python benchmarks/scale.py users --largest 1000000
    python benchmarks/scale.py items --largest 316228
    python benchmarks/scale.py million

steps: lists of 2,000 users at 1 to 1,000 sampling steps against the bare product. users: 2,000
items and 10^3 to 10^6 users; items: 10,000 users and 10^3 to 10^5.5 items; each point in a process
of its own: a default fit of one epoch, closed form and all, then lists of all users, and their
peaks of memory over the data; seconds per epoch are those of training alone. million: 1,000,000
users x 100,000 items, 50 interactions a user: the same but for seconds per epoch, lists of 100,000
users. Exponents are fitted to the larger half of the points. A mode's record replaces the one in
--json; pictures are docs/images/scale_MODE.png.
"""

import argparse
import functools
import pathlib

import numpy as np
from generated import generate
from speed_models import variant
from timing import (
    PeakMemory,
    bare_topk,
    in_child,
    in_turns,
    machine,
    markdown,
    merge,
    output_layer,
    timed,
    weights_mb,
)

from skdiffrec import CFGDiffusionRecommender

K = 20
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SIZES = {  # of each mode: (exponent of the largest, the other size)
    "users": (6.0, 2_000),
    "items": (5.5, 10_000),
}
PANELS = {
    "fit s": "fit, one epoch and closed form, s",
    "s/epoch": "an epoch of training, s",
    "lists s": "lists of all users, s",
    "peak MB": "peak memory over the data, MB",
}
EPOCH_USERS = 50_000  # that epochs are timed on, where fewer make one


def exponent(x, y):
    """Slope and offset of the larger half of the points on log axes; None if there is none."""
    half = len(x) // 2
    if len(x) - half < 2 or len(set(y)) == 1:
        return None
    return np.polyfit(np.log10(x[half:]), np.log10(y[half:]), 1)


def point(n_users, n_items, n_asked, with_epochs=True):
    """What one size costs; for a child process."""
    seconds, X = timed(lambda: generate(n_users, n_items))
    found = {"users": n_users, "items": n_items, "interactions": X.nnz, "generate s": seconds}
    model = CFGDiffusionRecommender(max_epochs=1, random_state=0)
    with PeakMemory() as memory:
        found["fit s"], model = timed(lambda: model.fit(X))
    found |= {"data MB": memory.before, "fit MB": memory.over, "weights MB": weights_mb(model)}
    asked = np.arange(min(n_asked, n_users))
    with PeakMemory() as memory:
        found["lists s"], _ = timed(lambda: model.recommend(asked, k=K))
    found |= {"lists MB": memory.over, "users/s": len(asked) / found["lists s"]}
    found["peak MB"] = max(found["fit MB"], found["weights MB"] + found["lists MB"])
    if with_epochs:
        found["s/epoch"] = epoch_seconds(X)
    return found


def epoch_seconds(X):
    """Difference of fits of one epoch and of more, without closed form and early stopping."""
    more = int(np.clip(EPOCH_USERS // X.shape[0], 1, 20))

    def fit(epochs):
        model = CFGDiffusionRecommender(
            max_epochs=epochs, early_stopping=False, closed_form=None, random_state=0
        )
        return timed(lambda: model.fit(X))[0]

    return (fit(1 + more) - fit(1)) / more


def by_size(mode, options):
    """users, items: one point after the other."""
    largest, other = SIZES[mode]
    sizes = np.round(10 ** np.arange(3, largest + 0.1, 0.5)).astype(int)
    rows = []
    for size in sizes[sizes <= (options.largest or sizes[-1])].tolist():
        n_users, n_items = (size, other) if mode == "users" else (other, size)
        rows.append(in_child(point, n_users, n_items, n_users))
        print(f"  {rows[-1]}", flush=True)
    x = [row[mode] for row in rows]
    lines = {label: {c: (x, [row[c] for row in rows])} for c, label in PANELS.items()}
    return {"rows": rows} | drawn(mode, mode, lines, options)


def steps(options):
    """Seconds of lists by the number of sampling steps, per 1,000 users."""
    n_users, n_items = options.users or 10_000, options.items or 20_000
    X = generate(n_users, n_items)
    model = CFGDiffusionRecommender(n_timesteps=1000, max_epochs=1, random_state=0).fit(X)
    users = np.arange(min(2_000, n_users))
    runs = {("bare product, topk", 1): bare_topk(output_layer(model), len(users), K)}
    asked = {"bare product, topk": len(users)}

    def add(name, users, n_steps, **parameters):
        asked[name] = len(users)
        sampled = variant(model, n_sampling_steps=n_steps, **parameters)
        runs[name, n_steps] = functools.partial(sampled.recommend, users, k=K)

    for n_steps in STEPS:
        add("scale 1", users, n_steps, guidance_scale=1.0)
        add("scale 1.5", users, n_steps, guidance_scale=1.5)
    seconds = in_turns(runs, options.repeats)
    per_1000 = {key: 1000 * float(np.median(s)) / asked[key[0]] for key, s in seconds.items()}
    bare = per_1000[("bare product, topk", 1)]
    rows = [
        {"lists": name, "steps": n, "s per 1,000 users": s, "/ bare": s / bare}
        for (name, n), s in per_1000.items()
    ]
    names = [name for name in asked if name != "bare product, topk"]
    lines = {
        n: (_steps_of(per_1000, n), [per_1000[n, s] for s in _steps_of(per_1000, n)]) for n in names
    }
    lines["bare product, topk"] = (list(STEPS), [bare] * len(STEPS))
    record = {"rows": rows, "users": n_users, "items": n_items}
    return record | drawn("steps", "sampling steps", {"s per 1,000 users": lines}, options)


def _steps_of(per_1000, name):
    return [n for other, n in per_1000 if other == name]


def million(options):
    """One large fit and 100,000 lists."""
    n_users, n_items = options.users or 1_000_000, options.items or 100_000
    return {"rows": [in_child(point, n_users, n_items, 100_000, False)]}


def drawn(mode, x_label, panels, options):
    """Log-log pictures of {panel: {line: (x, y)}} with fitted exponents, which are returned."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    n_rows, n_columns = (2, 2) if len(panels) > 1 else (1, 1)
    size = (4.2 * n_columns + 1.5, 3.3 * n_rows + 0.7)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained"
    )
    found = {}
    for ax, (panel, lines) in zip(axes.flat, panels.items(), strict=True):
        for name, (x, y) in lines.items():
            fit = exponent(x, y)
            found[name] = None if fit is None else float(fit[0])
            label = "" if len(lines) == 1 else name
            label += "" if fit is None else f"  ~ {x_label.split()[-1]}^{fit[0]:.2f}"
            (line,) = ax.plot(x, y, "o-", markersize=4, label=label.strip())
            if fit is not None:
                ends = np.array([x[len(x) // 2], x[-1]])
                fitted = 10 ** np.polyval(fit, np.log10(ends))
                ax.plot(ends, fitted, "--", color=line.get_color(), linewidth=3, alpha=0.4)
        ax.set(xscale="log", yscale="log", xlabel=x_label, ylabel=panel)
        ax.grid(True, which="both", alpha=0.2)
        if ax.get_legend_handles_labels()[1]:
            ax.legend(fontsize=8)
    path = pathlib.Path(options.images) / f"scale_{mode}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"  {path}; exponents {found}")
    return {"exponents": found}


MODES = {
    "steps": steps,
    "users": functools.partial(by_size, "users"),
    "items": functools.partial(by_size, "items"),
    "million": million,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--largest", type=int, help="users or items of the largest point")
    parser.add_argument("--users", type=int, help="of steps and million")
    parser.add_argument("--items", type=int, help="of steps and million")
    parser.add_argument("--repeats", type=int, default=3, help="of steps")
    parser.add_argument("--images", default="docs/images")
    parser.add_argument("--json", default="benchmarks/results/scale.json")
    options = parser.parse_args()
    where = machine()
    record = MODES[options.mode](options)
    merge(options.json, options.mode, {"machine": where} | record)
    print(markdown(record["rows"]))


if __name__ == "__main__":
    main()
