"""Data frames in an evaluation: their columns are those of fit, in their order."""

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_cfg
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skdiffrec.baselines import EASERecommender
from skdiffrec.model_selection import GuidanceScaleCV, LastN, RankingScorer

EASE = EASERecommender(reg=20.0)


@pytest.fixture(scope="module")
def frame(interactions):
    return pd.DataFrame(interactions.toarray()).add_prefix("item")


def evaluators():
    tiny = tiny_cfg(max_epochs=1)
    yield "scorer", lambda X: lambda *rows: RankingScorer()(EASE.fit(X), *rows)
    pipeline = make_pipeline(Binarizer(), EASE)
    yield "pipeline", lambda X: lambda *rows: RankingScorer()(pipeline.fit(X), *rows)
    search = GridSearchCV(EASE, {"reg": [20.0]}, cv=2, scoring=RankingScorer(holdout=LastN(1)))
    yield "search", lambda X: search.fit(X).score
    yield "scales", lambda X: GuidanceScaleCV(tiny, scales=[1.0], cv=2).fit(X).score


EVALUATORS = dict(evaluators())


@pytest.mark.parametrize("name", EVALUATORS)
def test_another_order_is_refused(frame, name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        score = EVALUATORS[name](frame)
        score(frame)
    assert not [w for w in caught if "feature names" in str(w.message)]
    with pytest.raises(ValueError, match="same order"):
        score(frame[frame.columns[::-1]])
    y = (frame == 0).astype(float)
    assert score(frame, y) > 0
    with pytest.raises(ValueError, match="columns of y"):
        score(frame, y[y.columns[::-1]])


def test_arrays_give_the_warning_of_score(frame):
    model = EASERecommender().fit(frame)
    with pytest.warns(UserWarning, match="does not have valid feature names") as caught:
        RankingScorer()(model, frame.to_numpy())
    assert len(caught) == 1


def test_the_model_keeps_its_names(frame):
    model = EASERecommender().fit(frame)
    RankingScorer()(model, frame)
    assert list(model.feature_names_in_) == list(frame.columns)


def test_cross_validation_does_not_warn(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = cross_val_score(EASERecommender(), frame, cv=2, scoring=RankingScorer())
    assert np.isfinite(scores).all()
