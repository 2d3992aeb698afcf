"""A fit in one thread, questions in others: every answer is the old model's or the new one's."""

import threading
import warnings

import numpy as np
import pytest
from conftest import tiny_cfg

from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender


def table(X, names):
    """Events of a matrix, with names of users and items."""
    rows, columns = X.nonzero()
    return [
        (f"{names}{user:03}", f"{names}{item:03}") for user, item in zip(rows, columns, strict=True)
    ]


OLD = make_interactions(80, 60, n_interactions_per_user=10, random_state=0).train
NEW = make_interactions(50, 40, n_interactions_per_user=8, random_state=1).train

# (estimator, what it is fitted to, a question)
CASES = {
    "diffusion": (tiny_cfg(max_epochs=1), (OLD, NEW), lambda model: model.recommend(k=3)),
    "baseline": (EASERecommender(), (OLD, NEW), lambda model: model.recommend(k=3)),
    "similar items": (EASERecommender(), (OLD, NEW), lambda model: model.similar_items([1], 3)),
    "encoder": (
        InteractionEncoder(),
        (table(OLD, "a"), table(NEW, "b")),
        lambda encoder: (encoder.item_names([0, 3]),),
    ),
    "table": (
        TableRecommender(EASERecommender()),
        (table(OLD, "a"), table(NEW, "b")),
        lambda model: tuple(model.recommend(k=2).values()),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_old_or_new_while_another_thread_fits(name):
    model, data, ask = CASES[name]

    def asked():
        return tuple(np.asarray(part).tolist() for part in ask(model))

    valid = [(model.fit(X), asked())[1] for X in data]
    wrong, n_asked, fitting = [], [0] * 3, threading.Event()
    fitting.set()

    def go_on_asking(i):
        while fitting.is_set():
            try:
                found = asked()
                wrong.extend([] if found in valid else ["mixed"])
            except Exception as error:
                wrong.append(repr(error))
            n_asked[i] += 1

    threads = [threading.Thread(target=go_on_asking, args=(i,)) for i in range(len(n_asked))]
    for thread in threads:
        thread.start()
    for _ in range(3):
        for X in data:
            model.fit(X)
    fitting.clear()
    for thread in threads:
        thread.join()
    assert not wrong
    assert min(n_asked) > 0


def test_parameters_set_during_a_fit_stay():
    whole = []

    class SetDuringTheFit(EASERecommender):
        def _fit(self, X, **options):
            whole[0].set_params(reg=7.0)
            super()._fit(X, **options)

    whole.append(SetDuringTheFit(reg=1.0))
    whole[0].fit(OLD)
    assert whole[0].reg == 7.0


def test_a_fit_that_fails_leaves_what_was_learned():
    model = EASERecommender().fit(OLD)
    before = model.recommend(k=3)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="Negative"):
        warnings.simplefilter("ignore")
        model.fit(-NEW)
    assert model.n_features_in_ == OLD.shape[1]
    np.testing.assert_array_equal(model.recommend(k=3)[0], before[0])
