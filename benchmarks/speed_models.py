"""The models of `speed.py`: ours, implicit's ALS, EASE and RecBole's, to be timed alike."""

import copy
import functools

import numpy as np
from protocol import longest, run_recbole, without
from scipy.sparse import csr_matrix
from threadpoolctl import ThreadpoolController
from timing import (
    PeakMemory,
    bare_topk,
    output_layer,
    timed,
    weights_mb,
)

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender
from skdiffrec.datasets import load_npz
from skdiffrec.metrics import ndcg_at_k

K = 20
EASE_ITEMS = 15_000  # above, EASE takes gigabytes and many minutes
# (BLAS threads, its own threads); None and 0 are all. implicit asks for the first, the faster one.
ALS_THREADS = {"BLAS 1": (1, 0), "no limit": (None, 0)}
ALS_ITERATIONS = 15
WATCHED_USERS = 1000  # as in recbole_peers.py
FEW, MORE = 1, 3  # epochs, of whose difference an epoch's seconds are half


_load = functools.cache(load_npz)


def load(options, name, values="binary"):
    return _load(options.folder / f"{name}.npz", values=values)


def fitted(options, name, **parameters):
    """Our model, default but for `parameters`, fitted on train; kept in this run and in --cache."""
    parameters = {"max_epochs": options.max_epochs, "memory": options.cache} | parameters
    return _fitted(options.folder / f"{name}.npz", tuple(parameters.items()))


@functools.cache
def _fitted(path, parameters):
    model = CFGDiffusionRecommender(random_state=0, **dict(parameters))
    seconds, model = timed(lambda: model.fit(_load(path).train))
    print(f"  {path.stem}: {model.n_iter_} epochs, fitted or read in {seconds:.1f} s", flush=True)
    return model


def variant(model, **parameters):
    """The same fitted model with other settings of sampling."""
    return copy.copy(model).set_params(**parameters)


def epoch_runs(X, **parameters):
    """{name: fit} of `FEW` and `MORE` epochs without closed form and early stopping."""

    def fit(epochs):
        model = CFGDiffusionRecommender(
            max_epochs=epochs, early_stopping=False, closed_form=None, random_state=0, **parameters
        )
        return model.fit(X)

    return {epochs: functools.partial(fit, epochs) for epochs in (FEW, MORE)}


def epoch_seconds(few, more):
    return np.subtract(more, few) / (MORE - FEW)


def random_als(X, factors):
    """implicit's ALS with random factors: as fast as with learned ones."""
    from implicit.cpu.als import AlternatingLeastSquares

    als = AlternatingLeastSquares(factors=factors)
    rng = np.random.default_rng(0)
    als.user_factors = rng.standard_normal((X.shape[0], factors), np.float32)
    als.item_factors = rng.standard_normal((X.shape[1], factors), np.float32)
    return als


def als_runs(als, X, label, filter_seen=True):
    """{name: batch recommend of all users} for each of `ALS_THREADS`."""
    X, users, controller = csr_matrix(X), np.arange(X.shape[0]), ThreadpoolController()

    def run(blas, own):
        als.num_threads = own
        with controller.limit(limits=blas, user_api="blas"):
            return als.recommend(users, X, N=K, filter_already_liked_items=filter_seen)

    return {f"{label}, {name}": functools.partial(run, *at) for name, at in ALS_THREADS.items()}


def fastest(seconds, label):
    """Of the settings of threads that `als_runs` made, the one with the lowest median."""
    return min((f"{label}, {name}" for name in ALS_THREADS), key=lambda n: np.median(seconds[n]))


def quality(model, data):
    """nDCG@10 on valid, on test (leaving out valid too), and on valid of RecBole's users."""
    ids = model.recommend(k=10 + longest(data.valid))[0]
    of_user = ndcg_at_k(ids[:, :10], data.valid, 10, per_user=True)
    users = np.flatnonzero(np.diff(data.valid.indptr))
    if len(users) > WATCHED_USERS:
        users = np.random.RandomState(0).choice(users, WATCHED_USERS, replace=False)
    return {
        "valid": float(np.nanmean(of_user)),
        "test": ndcg_at_k(without(ids, data.valid, 10), data.test, 10),
        "watched": float(of_user[users].mean()),
    }


def recbole(options, name, model, settings, *more):
    """A run of `recbole_peers.py`."""
    path = (options.folder / f"{name}.npz").resolve()
    found = run_recbole(options.recbole_python, path, model, settings, more)
    print(f"  {name}: RecBole's {model}, {found['fit_seconds']:.1f} s in all", flush=True)
    return found


def new_models(max_epochs):
    """{name: a function that makes the model}; all but ours are baselines."""
    return {
        "ours": lambda: CFGDiffusionRecommender(max_epochs=max_epochs, random_state=0),
        "ALS 64": lambda: ALSRecommender(factors=64, iterations=ALS_ITERATIONS, random_state=0),
        "ALS 256": lambda: ALSRecommender(factors=256, iterations=ALS_ITERATIONS, random_state=0),
        "EASE": EASERecommender,
    }


def measure(path, name, max_epochs, repeats):
    """A model of `new_models` from fit to lists of all users: seconds, MB. For a child process."""
    data, model = load_npz(path), new_models(max_epochs)[name]()
    X, found = data.train, {}
    with PeakMemory() as memory:
        found["fit s"], model = timed(lambda: model.fit(X))
    found |= {"fit peak MB": memory.peak, "fit MB": memory.over}
    lists = {"": functools.partial(model.recommend, k=K)}
    if name.startswith("ALS"):
        found["s/epoch"] = found["fit s"] / ALS_ITERATIONS
        # the wrapper keeps no user factors; the speed of implicit's own is asked for
        lists = als_runs(random_als(X, model.factors), X, "")
    with PeakMemory() as memory:
        seconds = {s: [timed(run)[0] for _ in range(repeats)] for s, run in lists.items()}
    found["users/s"] = X.shape[0] / float(min(np.median(s) for s in seconds.values()))
    found |= {"lists peak MB": memory.peak, "lists MB": memory.over}
    if name == "ours":
        found["weights MB"] = weights_mb(model)
        bare = bare_topk(output_layer(model), X.shape[0], K)
        bare = float(np.median([timed(bare)[0] for _ in range(repeats)]))
        found["bare users/s"] = X.shape[0] / bare
        seconds = [timed(run)[0] for run in epoch_runs(X).values()]
        found["s/epoch"] = float(epoch_seconds(*seconds))
    return found


def measure_recbole(options, name, model):
    """The same columns for a model of RecBole, three epochs."""
    found = recbole(options, name, model, {}, "--unevaluated", "--epochs", "3")
    n_users = load(options, name).n_users
    return {
        "s/epoch": float(found["epoch_seconds"][1:].mean()),
        "users/s": n_users / float(found["list_seconds"]),
        "fit MB": float(found["fit_mb"]),
        "lists MB": float(found["list_mb"]),
    }
