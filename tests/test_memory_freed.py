"""Memory is given back when a call ends, not when the garbage collector comes round.

It comes the less often the more objects a program holds; what waits for it looks like a leak.
"""

import gc

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import tiny_cfg

from skdiffrec.datasets import make_interactions

X = make_interactions(200, 150, n_interactions_per_user=15, random_state=0).train
TIMES = sp.csr_array((np.arange(1.0, X.nnz + 1), X.indices, X.indptr), X.shape)
RATINGS = sp.csr_array((1.0 + np.arange(X.nnz) % 5, X.indices, X.indptr), X.shape)
KINDS = {
    "binary": (X, {}),
    "drawn": (X, {"temperature": 1.0, "n_draws": 2}),
    "steps": (X, {"n_sampling_steps": 4, "start_timestep": 5, "n_timesteps": 10}),
    "time": (TIMES, {"values": "time"}),
    "horizon": (TIMES, {"values": "time", "horizon": 1}),
    "rating": (RATINGS, {"values": "rating"}),
}
QUESTIONS = {
    "one user": lambda model: model.recommend(3),
    "all users": lambda model: model.recommend(),
    "rows": lambda model: model.recommend(X=X[:5]),
    "scale by user": lambda model: model.recommend([1, 2, 3], guidance_scale=[0.0, 1.0, 2.0]),
    "scales": lambda model: model.recommend_scales([0.5, 1.0, 2.0], [1, 2]),
    "decision_function": lambda model: model.decision_function(X[:5]),
    "explain": lambda model: model.explain(3, 0),
    "score_parts": lambda model: model.score_parts([3]),
    "similar_items": lambda model: model.similar_items(3),
    "sample": lambda model: model.sample(X[:3], 2),
    "score": lambda model: model.score(model._fit_X),
}


def left_behind(call):
    """What only the garbage collector frees after a call, by type."""
    call()  # what is made once
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        call()
        gc.collect()
        return [type(thing) for thing in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("kind", KINDS)
def test_questions_leave_nothing_for_the_collector(kind):
    rows, given = KINDS[kind]
    model = tiny_cfg(**given).fit(rows)

    def asked():
        for question in QUESTIONS.values():
            question(model)

    assert left_behind(asked) == []


@pytest.mark.parametrize("kind", ["binary", "horizon", "rating"])
def test_training_leaves_no_weights_or_rows_for_the_collector(kind):
    rows, given = KINDS[kind]
    model = tiny_cfg(**given)
    found = left_behind(lambda: model.fit(rows).partial_fit(rows))
    assert not [kind for kind in found if issubclass(kind, (torch.Tensor, np.ndarray, sp.sparray))]
