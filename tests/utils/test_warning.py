"""Warnings name the line that called the library, whatever is between."""

import copy
import sys

import numpy as np
import pytest
from conftest import tiny_cfg
from rated_models import rated_data

from skdiffrec.baselines import EASERecommender
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender

X = rated_data().train


@pytest.fixture(name="model", scope="module")
def model_fixture():
    return tiny_cfg(values="rating", max_epochs=1).fit(X)


CALLS = {
    "recommend": lambda m: m.recommend(X=3 * X[:4]),
    "recommend_scales": lambda m: m.recommend_scales([0, 1], X=3 * X[:4]),
    "decision_function": lambda m: m.decision_function(3 * X[:4]),
    "score": lambda m: m.score(3 * X[:40]),
    "score_parts": lambda m: m.score_parts(X=3 * X[:4]),
    "explain": lambda m: m.explain(item_ids=[1], X=3 * X[[0]]),
    "sample": lambda m: m.sample(3 * X[:4], 2),
    "partial_fit": lambda m: copy.deepcopy(m).partial_fit(3 * X[:4], user_ids=range(4)),
}


@pytest.mark.parametrize("name", CALLS)
def test_ratings_beyond_those_of_fit(name, model):
    with pytest.warns(UserWarning, match="but fit saw") as seen:
        CALLS[name](model)
    line = CALLS[name].__code__.co_firstlineno
    assert {(one.filename, one.lineno) for one in seen} == {(__file__, line)}


def test_an_encoder_in_a_model():
    events = {"user": ["a", "b"], "item": ["x", "y"], "when": [1, 2]}
    model = TableRecommender(EASERecommender(), InteractionEncoder(timestamp="when"))
    with pytest.warns(UserWarning, match="takes them for") as seen:
        line = sys._getframe().f_lineno + 1
        model.fit(events)
    assert [(one.filename, one.lineno) for one in seen] == [(__file__, line)]
    with pytest.warns(UserWarning, match="look like times") as seen:
        EASERecommender().fit(np.array([[1.5e9, 1.6e9], [0, 1.55e9]]))
    assert [one.filename for one in seen] == [__file__]
