"""Data frames in an evaluation: their columns are those of fit, in their order."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer

from skdiffrec.baselines import EASERecommender, PopularityRecommender
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


@pytest.mark.parametrize("framed", [False, True])
def test_steps_that_give_frames_keep_their_names(frame, framed):
    dense = FunctionTransformer(lambda X: X.toarray() if sp.issparse(X) else X)
    steps = dense, Binarizer().set_output(transform="pandas"), EASERecommender()
    pipeline = make_pipeline(*steps).fit(frame if framed else frame.to_numpy())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="X has feature names, but")
        score = RankingScorer()(pipeline, frame if framed else frame.to_numpy())
    plain = make_pipeline(Binarizer(), EASERecommender()).fit(frame)
    assert score == RankingScorer()(plain, frame)


class Counts:
    """A recommender that knows nothing of scikit-learn but its names of columns."""

    def fit(self, X):
        self.feature_names_in_ = np.array(X.columns)
        self.counts = (X.to_numpy() > 0).sum(axis=0)
        return self

    def decision_function(self, X):
        return np.tile(self.counts, (X.shape[0], 1))


def test_recommenders_of_other_kinds_are_scored(frame):
    score = RankingScorer()(Counts().fit(frame), frame)
    assert score == RankingScorer()(PopularityRecommender().fit(frame), frame)
