"""The models of `accuracy.py`: what each is, what is searched, and how its lists are made.

A `Spec` names a model; its ``fit(task, settings, seed)`` gives an object with ``seconds`` (of
fitting), ``extra`` (to be recorded), ``valid_ids(settings)`` and ``lists(settings)``, where lists
are int64 arrays (n_users, 20) that end in -1.
"""

import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from protocol import longest, run_recbole, without
from scipy.linalg.lapack import spotrf, spotri
from scipy.stats import loguniform

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import (
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularityRecommender,
)

K = 20
USER_SPACE_ITEMS = 15_000  # above, EASE in user space if there are fewer users than items
BLOCK = 128  # users ranked at once by the adapters
SCALES = (0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0, 4.0)
STARTS = (2, 5, 10, 20, 40, 60, 80)


@dataclass(eq=False)
class Task:
    """One data set in one table with one input; `fits` are kept for models that share them."""

    path: pathlib.Path
    table: str
    input: str
    data: object
    recbole_python: str | None = None
    fits: dict = field(default_factory=dict)

    @property
    def name(self):
        return self.path.stem

    @property
    def values(self):
        return "time" if self.table == "times" else "binary"

    @property
    def rows(self):
        """What is fitted, and what the lists of test are made from and leave out."""
        if self.input == "train":
            return self.data.train
        return self.data.train + self.data.valid


@dataclass(frozen=True)
class Spec:
    """A model: `space` is searched by training, `free` are settings that need no training."""

    name: str
    fit: Callable
    space: dict = field(default_factory=dict)
    free: tuple = ({},)
    times_space: dict = field(default_factory=dict)
    tables: tuple = ("sets",)
    random: bool = False
    baseline: bool = True
    family: str | None = None  # models of one family share their fits
    recbole: bool = False

    def space_of(self, table):
        return {**self.space, **(self.times_space if table == "times" else {})}


class LibraryFit:
    """A fitted model with scikit-learn's interface and `recommend`."""

    def __init__(self, model, task):
        self.task, self.extra = task, {}
        self._as_made = model.get_params() if hasattr(model, "get_params") else {}
        start = time.perf_counter()
        self._model = model.fit(task.rows)
        self.seconds = time.perf_counter() - start

    def _recommend(self, k, free):
        if self._as_made:  # what another model that shares the fit has set is set back
            self._model.set_params(**(self._as_made | free))
        return self._model.recommend(k=k)[0]

    def valid_ids(self, free):
        return self._recommend(K, free)

    def lists(self, free):
        """(for valid or None, for test): one ranking where the items of valid must be left out."""
        if self.task.input != "train":
            return None, self._recommend(K, free)
        valid = self.task.data.valid
        ids = self._recommend(K + longest(valid), free)
        return ids[:, :K], without(ids, valid, K)


def library(make, random=False):
    """`Spec.fit` of a class, or of a function that gets the task and the parameters."""

    def fit(task, settings, seed):
        seeded = {"random_state": seed} if random else {}
        return LibraryFit(make(task, **settings, **seeded), task)

    return fit


def ranked(scores_of, rows, k):
    """The k best unseen items of all rows (n_users, k), block by block; ties in no set order."""
    ids = np.full((rows.shape[0], k), -1, np.int64)
    for start in range(0, rows.shape[0], BLOCK):
        block = slice(start, min(start + BLOCK, rows.shape[0]))
        scores, seen = scores_of(block), rows[block]
        scores[np.repeat(np.arange(len(scores)), np.diff(seen.indptr)), seen.indices] = -np.inf
        best = np.argpartition(-scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k]
        top = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-top, axis=1, kind="stable")
        top, best = np.take_along_axis(top, order, axis=1), np.take_along_axis(best, order, axis=1)
        ids[block, : best.shape[1]] = np.where(np.isneginf(top), -1, best)
    return ids


class EASEInUserSpace:
    """EASE's scores of the training rows, exactly, where there are fewer users than items.

    With K = (XXᵀ + λI)⁻¹ the Woodbury identity gives P = (XᵀX + λI)⁻¹ = (I − XᵀKX) / λ and XP = KX,
    so that the scores X·B of B = I − P / diag(P) are X − KX / diag(P).
    """

    def __init__(self, *, reg):
        self.reg = reg

    def fit(self, X):
        self._X, self._by_item = X, X.T.tocsr()
        kernel = (X @ X.T).toarray(order="F")
        kernel[np.diag_indices_from(kernel)] += np.float32(self.reg)
        kernel, failed = spotrf(kernel, lower=1, overwrite_a=1)
        if not failed:
            kernel, failed = spotri(kernel, lower=1, overwrite_c=1)
        if failed:
            raise ValueError(f"XXᵀ + reg·I cannot be inverted with reg={self.reg}; use a larger.")
        self._kernel = _mirrored(kernel)
        explained = np.zeros(X.shape[1])  # diagonal of XᵀKX
        for start in range(0, X.shape[0], BLOCK):
            block = slice(start, start + BLOCK)
            explained += X[block].multiply(self._smoothed(block)).sum(axis=0)
        self._diagonal = ((1 - explained) / self.reg).astype(np.float32)
        return self

    def _smoothed(self, block):
        """KX of a block of users, (n, n_items)."""
        return (self._by_item @ np.ascontiguousarray(self._kernel[:, block])).T

    def scores(self, block):
        scores = self._smoothed(block) / -self._diagonal
        rows = self._X[block]
        scores[np.repeat(np.arange(len(scores)), np.diff(rows.indptr)), rows.indices] += 1
        return scores

    def recommend(self, k):
        return ranked(self.scores, self._X, k), None


def _mirrored(lower):
    """A symmetric matrix from its lower triangle, in place."""
    for start in range(0, len(lower), 1024):
        stop = start + 1024
        lower[start:stop, stop:] = lower[stop:, start:stop].T
        corner = np.tril(lower[start:stop, start:stop])
        lower[start:stop, start:stop] = corner + np.tril(corner, -1).T
    return lower


class BPR:
    """Bayesian personalised ranking of the package `implicit`; the users of the fit only."""

    def __init__(self, *, random_state, **parameters):
        self._parameters = parameters | {"random_state": random_state}

    def fit(self, X):
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        from scipy.sparse import csr_matrix

        self._X = X
        self._model = BayesianPersonalizedRanking(num_threads=1, **self._parameters)
        self._model.fit(csr_matrix(X), show_progress=False)
        return self

    def recommend(self, k):
        users, items = self._model.user_factors, self._model.item_factors
        return ranked(lambda block: users[block] @ items.T, self._X, k), None


class RecBoleFit:
    """Lists of a model of RecBole, which `recbole_peers.py` makes in an environment of its own."""

    def __init__(self, model, task, settings, seed):
        settings = dict(settings)
        epochs = settings.pop("epochs", None)  # of the fit on train that was stopped early
        more = ["--seed", str(seed), "--input", task.input]
        more += [] if epochs is None else ["--epochs", str(epochs)]
        self._lists = run_recbole(task.recbole_python, task.path, model, settings, more)
        self.seconds = float(self._lists["fit_seconds"])
        self.extra = {"epochs": int(self._lists["epochs"])} if "epochs" in self._lists else {}

    def valid_ids(self, free):
        return self._lists["valid_ids"][:, :K]

    def lists(self, free):
        valid = self._lists.get("valid_ids")
        return None if valid is None else valid[:, :K], self._lists["test_ids"][:, :K]


def recbole(name, space, table="sets", peer=None):
    """Spec of a model of RecBole; `peer` is its name there."""

    def fit(task, settings, seed):
        return RecBoleFit(peer or name, task, settings, seed)

    return Spec(name, fit, space=space, tables=(table,), random=True, recbole=True)


def whole_numbers(low, high):
    """Whole numbers spread evenly by ratio."""
    return sorted({int(n) for n in np.geomspace(low, high, 25).round()})


def _popularity(task):
    return PopularityRecommender()


def _knn(task, **settings):
    return ItemKNNRecommender(values=task.values, **settings)


def _ease(task, **settings):
    n_users, n_items = task.data.train.shape
    if task.table == "sets" and n_items > USER_SPACE_ITEMS and n_users < n_items:
        return EASEInUserSpace(**settings)
    return EASERecommender(values=task.values, **settings)


def _als(task, **settings):
    return ALSRecommender(values=task.values, iterations=15, **settings)


def _bpr(task, **settings):
    return BPR(**settings)


def _cfg(task, **settings):
    return CFGDiffusionRecommender(values=task.values, **settings)


def _paper(task, **settings):
    return CFGDiffusionRecommender.paper(**settings)


def _pseudo_guidance(task, **settings):
    """No condition: the history is the row that is partly noised and then denoised.

    Every item of such a row is shown. Early stopping evaluates the conditional branch, which is not
    trained here, so the number of epochs is searched instead.
    """
    return CFGDiffusionRecommender(
        guidance_scale=0.0,
        cond_drop_prob=1.0,
        target_share=0.0,
        closed_form=None,
        early_stopping=False,
        **settings,
    )


HALF_LIFE = {"half_life": [1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0]}
BOTH = ("sets", "times")
LEARNING_RATE = {"learning_rate": loguniform(1e-4, 3e-3)}
DIFFREC = {
    **LEARNING_RATE,
    "steps": [2, 5, 10, 40],
    "noise_scale": [1e-4, 1e-3, 1e-2, 0.1],
    "noise_min": [1e-4, 1e-3],
    "noise_max": [5e-3, 0.02],
}
SEQUENTIAL = {**LEARNING_RATE, "hidden_size": [64, 128]}
GUIDED = tuple({"guidance_scale": scale} for scale in SCALES)

SPECS = [
    Spec("popularity", library(_popularity)),
    Spec(
        "ItemKNN",
        library(_knn),
        {"n_neighbors": whole_numbers(20, 500), "shrinkage": [0.0, 1.0, 3.0, 10.0, 30.0, 100.0]},
        times_space=HALF_LIFE,
        tables=BOTH,
    ),
    Spec("EASE", library(_ease), {"reg": loguniform(10, 5000)}, times_space=HALF_LIFE, tables=BOTH),
    Spec(
        "ALS",
        library(_als, random=True),
        {
            "factors": whole_numbers(16, 256),
            "regularization": loguniform(1e-3, 100),
            "alpha": loguniform(0.1, 40),
        },
        times_space=HALF_LIFE,
        tables=BOTH,
        random=True,
    ),
    Spec(
        "BPR",
        library(_bpr, random=True),
        {
            "factors": whole_numbers(16, 256),
            "learning_rate": loguniform(5e-3, 0.2),
            "regularization": loguniform(1e-4, 0.1),
            "iterations": whole_numbers(50, 400),
        },
        random=True,
    ),
    recbole(
        "MultVAE",
        {
            **LEARNING_RATE,
            "latent_dimension": [64, 128, 200],
            "dropout_prob": [0.3, 0.5, 0.7],
            "anneal_cap": [0.1, 0.2, 0.5],
        },
        peer="MultiVAE",
    ),
    recbole(
        "RecVAE",
        {**LEARNING_RATE, "latent_dimension": [64, 128, 200], "gamma": [0.003, 0.005, 0.01]},
    ),
    recbole("DiffRec", DIFFREC),
    recbole("LDiffRec", DIFFREC),
    recbole("SLIMElastic", {"alpha": loguniform(0.01, 1), "l1_ratio": loguniform(1e-3, 0.3)}),
    recbole("SASRec", {**SEQUENTIAL, "hidden_dropout_prob": [0.2, 0.5]}, "times"),
    recbole("GRU4Rec", {**SEQUENTIAL, "dropout_prob": [0.0, 0.2, 0.5]}, "times"),
    Spec(
        "pseudo-guidance",
        library(_pseudo_guidance, random=True),
        {"max_epochs": [10, 20, 40], "learning_rate": loguniform(3e-4, 3e-3)},
        free=tuple({"start_timestep": start} for start in STARTS),
        random=True,
        baseline=False,
    ),
    Spec(
        "paper, no guidance",
        library(_paper, random=True),
        random=True,
        baseline=False,
        family="paper",
    ),
    Spec(
        "paper",
        library(_paper, random=True),
        free=GUIDED,
        random=True,
        baseline=False,
        family="paper",
    ),
    Spec("CFG", library(_cfg, random=True), tables=BOTH, random=True, baseline=False, family="cfg"),
    Spec(
        "CFG, scale chosen",
        library(_cfg, random=True),
        free=GUIDED,
        tables=BOTH,
        random=True,
        baseline=False,
        family="cfg",
    ),
]
