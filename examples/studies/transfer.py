r"""What is learned from other users, or from other items?

    python examples/studies/transfer.py ../shared/data \
        --json benchmarks/results/studies/transfer.json

Users: half of them are the source; of the other half, the target, a few are there to learn from and
most are listed for, all by their own histories. Models are fitted on the few, on the source, on
both, and on the source with a pass of `partial_fit` over the few. Source and target are halves at
random or apart in taste; of generated users a known share of the source has other tastes than the
target has. EASE is fitted on the same. Items: models are fitted on half of the items, and the other
half is listed by its features, where items have some.
"""

import copy

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd
from study import GENERATED, arguments, effect, evaluated, load, ndcg, over_seeds, run

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.base import BaseRecommender

# study.py lets benchmarks be imported
import new_items  # isort: skip

SETS = f"{GENERATED} ml-100k lastfm citeulike-a".split()
WITH_FEATURES = GENERATED, "ml-100k", "amazon-beauty"
SHIFTS = 0.0, 0.5, 1.0  # share of the source whose tastes are others, of generated users
SHARES = 0.01, 0.05, 0.2  # of the target that are learned from; the rest is listed for
SCALES = 0.5, 1.0, 1.5, 2.0, 3.0
ONE = SCALES.index(1.0)
REGS = 10.0, 50.0, 200.0, 1000.0, 5000.0
METRICS = "ndcg@10", "ndcg@20", "recall@10", "recall@20", "precision@10"
OURS, EASE = "diffusion", "EASE"
NEW, KNOWN, CONTENT = "new items by features", "items known", "content ItemKNN"
TARGET, SOURCE, BOTH, AFTER = "target alone", "source alone", "both", "source, then target"


class EASEOverUsers(BaseRecommender):
    """EASE for few users and many items: the scores of `EASERecommender`, of matrices of users.

    With K = (XXᵀ + λI)⁻¹ the inverse of XᵀX + λI is (I − XᵀKX) / λ.
    """

    def __init__(self, reg=300.0):
        self.reg = reg

    def _fit(self, X):
        self.rows_, gram = X, (X @ X.T).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.reg
        self.inverse_ = np.linalg.inv(gram).astype(np.float32)
        self.diagonal_ = 1 - X.multiply(self.inverse_ @ X).sum(0)

    def _score_rows(self, X):
        off = X - ((X @ self.rows_.T) @ self.inverse_) @ self.rows_
        return np.asarray(X - off / self.diagonal_, np.float32)


def populations(name, data):
    """(split, source, target): users in an order at random, the same for all seeds."""
    rng = np.random.default_rng(0)
    users = rng.permutation(data.n_users)
    if name == GENERATED:
        taste = data.user_tastes.argmax(1)[users]
        alike, other = (users[(taste % 2) == part] for part in (0, 1))
        target, rest = np.array_split(alike, 2)
        n = min(len(rest), len(other))
        for shift in SHIFTS:
            n_other = round(shift * n)
            yield f"shift {shift:g}", np.r_[rest[: n - n_other], other[:n_other]], target
        return
    yield "at random", *np.array_split(users, 2)
    direction = randomized_svd(normalize(data.train), 2, random_state=0)[0][:, 1]
    low = direction[users] < np.median(direction)
    yield "apart in taste", users[low], users[~low]


def unlike(train, source, target):
    """Total variation distance of the items' shares of two populations' interactions."""
    shares = [train[users].sum(0) / train[users].sum() for users in (source, target)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def measured(listed, valid, test):
    """{metric: (n_settings, n_users)}; ``listed(filter_items)`` gives lists at every setting."""
    on_valid = [ndcg(ids, valid) for ids in listed(None)]
    on_test = [evaluated(ids, test) for ids in listed(valid)]
    found = {metric: np.array([one[metric] for one in on_test]) for metric in METRICS}
    return found | {"valid": np.array(on_valid)}


def of_model(model, data, users):
    """Our lists at every scale."""
    valid, test = data.valid[users], data.test[users]

    def listed(blocked):
        return model.recommend_scales(SCALES, X=data.train[users], k=20, filter_items=blocked)[0]

    return measured(listed, valid, test)


def of_ease(rows, data, users):
    """EASE's lists at every ridge."""
    models = [EASEOverUsers(reg).fit(rows) for reg in REGS]
    valid, test = data.valid[users], data.test[users]

    def listed(blocked):
        more = {"X": data.train[users], "k": 20, "filter_items": blocked}
        return [model.recommend(**more)[0] for model in models]

    return measured(listed, valid, test)


def seeded(data, source, target, seed, options):
    """{(share of the target, fitted on, model): (number of users, values)} of a seed.

    The users that are listed for are the same for all seeds.
    """
    n_pool = round(max(SHARES) * len(target))
    pool, listed_for = target[:n_pool], target[n_pool:]
    pool = np.random.default_rng(seed).permutation(pool)
    of_source, found = data.train[source], {}

    def add(share, fitted_on, rows, model=None):
        if model is None:
            model = CFGDiffusionRecommender(random_state=seed, **options.fit).fit(rows)
            found[share, fitted_on, EASE] = rows.shape[0], of_ease(rows, data, listed_for)
        found[share, fitted_on, OURS] = rows.shape[0], of_model(model, data, listed_for)
        return model

    from_source = add(None, SOURCE, of_source)
    for share in SHARES:
        few = data.train[pool[: max(2, round(share * len(target)))]]
        both = sp.vstack([of_source, few], format="csr")
        add(share, TARGET, few)
        add(share, BOTH, both)
        add(share, AFTER, both, copy.copy(from_source).partial_fit(few))
    return found


def chosen(values):
    """Which setting valid chooses."""
    return int(np.nanmean(values["valid"], axis=1).argmax())


def rows_of(values, model, settings, **named):
    """A row of the setting that valid chooses and, of ours, one of scale 1 before it."""
    choices = {"on valid": chosen(values)}
    if model == OURS:
        choices = {"no": ONE} | choices
    for choice, i in choices.items():
        means = {metric: float(np.nanmean(values[metric][i])) for metric in METRICS}
        valid = {"valid ndcg@10": float(np.nanmean(values["valid"][i]))}
        setting = {"model": model, "scale or λ": settings[i], "chosen": choice}
        yield named | setting | valid | means


def of_users(name, data, options):
    """(rows, effects) of every pair of populations."""
    rows, effects = [], []
    for split, source, target in populations(name, data):
        runs = [seeded(data, source, target, seed, options) for seed in range(options.seeds)]
        found = {case: over_seeds([run[case][1] for run in runs]) for case in runs[0]}
        distance = unlike(data.train, source, target)
        for (share, fitted_on, model), values in found.items():
            named = {"split": split, "distance": distance, "share": shown(share)}
            named |= {"fitted on": fitted_on, "users": runs[0][share, fitted_on, model][0]}
            rows += rows_of(values, model, SCALES if model == OURS else REGS, **named)
        effects += effects_of(found, split)
    return rows, effects


def shown(share):
    return None if share is None else f"{100 * share:g} %"


def effects_of(found, split):
    """What each way to learn adds to another, what a chosen scale adds, and EASE beside it."""

    def ndcg_of(case, model=OURS, scale=None):
        values = found[*case, model]
        return values["ndcg@10"][chosen(values) if scale is None else SCALES.index(scale)]

    def fitted(of, before, after, share):
        values = ndcg_of(before, scale=1.0), ndcg_of(after, scale=1.0)
        return effect(f"{of}, scale 1", *values, split=split, share=shown(share))

    def guided(case):
        scale = SCALES[chosen(found[*case, OURS])]
        named = {"split": split, "share": shown(case[0]), "scale": scale}
        values = ndcg_of(case, scale=1.0), ndcg_of(case)
        yield effect(f"{case[1]}: chosen scale for 1", *values, **named)
        of = f"{case[1]}: diffusion, chosen scale, for EASE"
        yield effect(of, ndcg_of(case, EASE), ndcg_of(case), **named)

    source = None, SOURCE
    yield from guided(source)
    for share in SHARES:
        target, both, after = ((share, fitted_on) for fitted_on in (TARGET, BOTH, AFTER))
        yield fitted(f"{SOURCE} for {TARGET}", target, source, share)
        yield fitted(f"{BOTH} for {TARGET}", target, both, share)
        yield fitted(f"{BOTH} for {SOURCE}", source, both, share)
        yield fitted(f"{AFTER} for {SOURCE}", source, after, share)
        yield fitted(f"{AFTER} for {BOTH}", both, after, share)
        yield from guided(target)
        yield from guided(both)


class Halves:
    """Half of the items, which are known, and after them in every matrix the other half, new.

    Users are listed new items that they do not have in train, by their known items of train.
    """

    def __init__(self, name, data, options):
        if name == GENERATED:
            F = data.item_features
        else:
            _, F = new_items.load(options.data / f"{name}.npz")
        order = np.random.default_rng(0).permutation(data.n_items)
        self.n_known = data.n_items // 2
        self.of_known, self.of_new = F[order[: self.n_known]], F[order[self.n_known :]]
        self.train = data.train[:, order]
        self.new = np.arange(self.n_known, data.n_items)
        of_new = sp.diags_array((self.new[0] <= np.arange(data.n_items)).astype(np.float32))
        self.taken, self.valid, self.test = (
            sp.csr_array(part @ of_new)
            for part in (self.train, data.valid[:, order], data.test[:, order])
        )
        for part in (self.taken, self.valid, self.test):
            part.eliminate_zeros()
        self.history = self.train - self.taken
        self.history.eliminate_zeros()

    def measured(self, listed):
        """As `measured`, of lists without what a user has."""

        def without(blocked):
            return listed(self.taken if blocked is None else self.taken + blocked)

        return measured(without, self.valid, self.test)

    def of_model(self, model):
        """Our lists of new items at every scale."""
        more = {"X": self.history, "k": 20, "items": self.new}
        return self.measured(
            lambda blocked: model.recommend_scales(SCALES, filter_items=blocked, **more)[0]
        )

    def of_scores(self, *scores):
        """Lists of the new items by scores of them, at every setting; of equal ones any."""

        def listed(blocked):
            ties = np.random.default_rng(0).random(scores[0].shape)
            for of_setting in scores:
                kept = np.where(blocked[:, self.new].toarray() > 0, -np.inf, of_setting)
                yield self.n_known + np.lexsort((ties, -kept))[:, :20]

        return self.measured(listed)


def items_seeded(halves, seed, options):
    """{way: values} of lists of new items."""
    parameters = {"random_state": seed} | options.fit
    model = CFGDiffusionRecommender(item_features=halves.of_known, **parameters)
    model.fit(halves.history[:, : halves.n_known]).add_items(halves.of_new)
    found = {NEW: halves.of_model(model)}
    whole = CFGDiffusionRecommender(**parameters).fit(halves.train)
    found[KNOWN] = halves.of_model(whole)
    known = halves.history[:, : halves.n_known], halves.of_known, halves.of_new
    by_content = [new_items.content_scores(*known, idf) for idf in (False, True)]
    found[CONTENT] = halves.of_scores(*by_content)
    found["chance"] = halves.of_scores(np.zeros((halves.train.shape[0], len(halves.new))))
    return found


def of_items(name, data, options):
    """(rows, effects) of lists of items that nobody was met with in the fit."""
    if name not in WITH_FEATURES:
        return [], []
    halves = Halves(name, data, options)
    runs = [items_seeded(halves, seed, options) for seed in range(options.seeds)]
    found = {way: over_seeds([run[way] for run in runs]) for way in runs[0]}
    rows = []
    for way, values in found.items():
        ours = way in (NEW, KNOWN)
        settings = SCALES if ours else ("without idf", "with idf") if way == CONTENT else ("none",)
        rows += rows_of(values, OURS if ours else way, settings, lists=way)

    def compared(of, before, after):
        return effect(f"{NEW}: {of}", before, after, split="items")

    values = {way: each["ndcg@10"] for way, each in found.items()}
    best = {way: values[way][chosen(each)] for way, each in found.items()}
    return rows, [
        compared(f"for {KNOWN}, scale 1", values[KNOWN][ONE], values[NEW][ONE]),
        compared("chosen scale for 1", values[NEW][ONE], best[NEW]),
        compared(f"chosen scale, for {CONTENT}", best[CONTENT], best[NEW]),
        compared("chosen scale, for chance", best["chance"], best[NEW]),
    ]


def study(name, options):
    data = load(name, options)
    rows, effects = of_users(name, data, options)
    items, more = of_items(name, data, options)
    return {"rows": rows, "items": items, "effects": effects + more}


def draw(record):
    """A panel for each pair of populations: accuracy by the share of the target learned from."""
    import matplotlib.pyplot as plt

    panels = [
        (f"{name}, {split}", [row for row in found["rows"] if row["split"] == split])
        for name, found in record.items()
        for split in dict.fromkeys(row["split"] for row in found["rows"])
    ]
    n_rows = -(-len(panels) // 3)
    figure, axes = plt.subplots(
        n_rows, 3, figsize=(11, 3.2 * n_rows), layout="constrained", squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (title, rows) in zip(axes.flat, panels, strict=False):
        draw_panel(ax, [row for row in rows if row["chosen"] == "on valid"])
        ax.set_axis_on()
        ax.set(title=title, xlabel="share of the target learned from", ylabel="nDCG@10")
    axes[0, 0].legend(fontsize=6)
    return figure


def draw_panel(ax, rows):
    shares = [shown(share) for share in SHARES]
    for model, line in ((OURS, "-"), (EASE, ":")):
        for i, fitted_on in enumerate((TARGET, SOURCE, BOTH, AFTER)):
            of_way = [
                row["ndcg@10"]
                for row in rows
                if (row["fitted on"], row["model"]) == (fitted_on, model)
            ]
            if of_way:  # that of the source alone is one for all shares
                values = of_way if len(of_way) > 1 else of_way * len(shares)
                style = {"linestyle": line, "color": f"C{i}", "marker": "."}
                ax.plot(shares, values, label=f"{model}, {fitted_on}", **style)
    ax.set_ylim(0)
    ax.grid(alpha=0.3)


if __name__ == "__main__":
    options = arguments(__doc__, SETS)
    run(study, draw, options)
