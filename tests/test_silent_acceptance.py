"""What means nothing is refused: switches that are no switch, True as a number, dates as ones."""

import datetime
import inspect

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_cfg
from sklearn.base import clone

from skdiffrec import CFGDiffusionRecommender, metrics
from skdiffrec._utils.validation import Interval
from skdiffrec.baselines import (
    EASERecommender,
    FlowRecommender,
    ItemKNNRecommender,
    MultVAERecommender,
    NeighborhoodRecommender,
)
from skdiffrec.datasets import make_interactions
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender

DATA = make_interactions(40, 30, n_interactions_per_user=6, random_state=0)
EVENTS = [("a", "x"), ("b", "y"), ("a", "y")]
ESTIMATORS = (
    CFGDiffusionRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    MultVAERecommender,
    FlowRecommender,
    InteractionEncoder,
)
NO_FLAGS = ["no", 0, 1, None, "True"]


@pytest.fixture(scope="module")
def models():
    return {
        "cfg": tiny_cfg(max_epochs=1).fit(DATA.train),
        "ease": EASERecommender().fit(DATA.train),
        "table": TableRecommender(EASERecommender()).fit(EVENTS),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in ESTIMATORS
        for name, valid in kind._parameter_constraints.items()
        if any(isinstance(constraint, Interval) for constraint in valid)
    ],
)
@pytest.mark.parametrize("value", [True, np.False_])
def test_true_is_no_number(kind, name, value):
    model = clone(kind()).set_params(**{name: value})
    with pytest.raises(ValueError, match=name):
        model.fit(EVENTS if kind is InteractionEncoder else DATA.train)


@pytest.mark.parametrize("value", NO_FLAGS, ids=repr)
class TestSwitches:
    def test_of_lists(self, models, value, tmp_path):
        for model in models.values():
            with pytest.raises(TypeError, match="filter_seen must be True or False"):
                model.recommend(k=1, filter_seen=value)
        with pytest.raises(TypeError, match="filter_seen"):
            models["cfg"].recommend_scales([1.0], k=1, filter_seen=value)
        with pytest.raises(TypeError, match="filter_seen"):
            models["cfg"].export_onnx(tmp_path / "graph", filter_seen=value)

    def test_of_files(self, models, value, tmp_path):
        for model in models.values():
            with pytest.raises(TypeError, match="include_data"):
                model.save(tmp_path / "model", include_data=value)
        with pytest.raises(TypeError, match="include_training"):
            models["cfg"].save(tmp_path / "model", include_training=value)
        assert not list(tmp_path.iterdir())

    def test_of_the_encoder(self, value):
        with pytest.raises(TypeError, match="return_users"):
            InteractionEncoder().fit(EVENTS).transform(EVENTS, return_users=value)

    def test_of_metrics(self, models, value):
        ids, _ = models["ease"].recommend(k=5)
        given = {
            "holdout": DATA.test,
            "train": DATA.train,
            "k": 3,
            "similarity": DATA.train.T @ DATA.train,
            "liked_from": 3.0,
        }
        tried = 0
        for name in metrics.__all__:
            known = inspect.signature(getattr(metrics, name)).parameters
            if "per_user" not in known:
                continue
            options = {key: entry for key, entry in given.items() if key in known}
            tried += 1
            with pytest.raises(TypeError, match="per_user must be True or False"):
                getattr(metrics, name)(ids, per_user=value, **options)
        assert tried > 10


@pytest.mark.parametrize(
    "scale", [True, "1", [True], {"history": True}, {"history": "2"}], ids=repr
)
class TestScales:
    def test_of_a_call(self, models, scale):
        with pytest.raises(TypeError, match="guidance_scale"):
            models["cfg"].recommend([0], k=1, guidance_scale=scale)

    def test_of_a_model(self, scale):
        with pytest.raises((TypeError, ValueError), match="guidance_scale"):
            tiny_cfg(guidance_scale=scale).fit(DATA.train)

    def test_of_a_sweep(self, models, scale):
        scales = {"history": [True]} if isinstance(scale, dict) else [scale]
        with pytest.raises((TypeError, ValueError), match="scale"):
            models["cfg"].recommend_scales(scales, [0], k=1)


@pytest.mark.parametrize(
    "X",
    [
        np.array([["2020-01-01", "2021-01-01"]], "datetime64[D]"),
        np.array([[1, 2]], "timedelta64[s]"),
        pd.DataFrame({"a": [pd.Timestamp("2020-01-01")], "b": [pd.Timestamp("2021-01-01")]}),
        pd.DataFrame({"a": [1.0], "b": [pd.Timestamp("2021-01-01")]}),
        np.array([["1", "2"]]),
        np.array([[datetime.date(2020, 1, 1), 0]], object),
    ],
    ids=["dates", "spans", "frame of dates", "a column of dates", "text", "objects"],
)
@pytest.mark.parametrize("model", [tiny_cfg(), EASERecommender()], ids=["cfg", "ease"])
def test_what_is_no_number(model, X):
    with pytest.raises((TypeError, ValueError)):
        clone(model).fit(X)


@pytest.mark.parametrize(
    "columns",
    [
        dict(user="user", item="user"),
        dict(item="item", weight="item"),
        dict(weight="time", timestamp="time"),
        dict(user=0, item="user"),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["frame", "dict"])
def test_one_column_for_two(columns, form):
    table = {"user": ["a", "b"], "item": ["x", "y"], "time": [1, 2]}
    if form == "dict" and 0 in columns.values():
        pytest.skip("a dict has no positions")
    with pytest.raises(ValueError, match="are both column"):
        InteractionEncoder(**columns).fit(pd.DataFrame(table) if form == "frame" else table)


@pytest.mark.parametrize("device", ["xyz", "cuda:x", "", 3])
def test_a_device_that_does_not_exist(models, tmp_path, device):
    for name in ("cfg", "ease"):
        models[name].save(tmp_path / name)
        with pytest.raises((ValueError, TypeError), match="device"):
            type(models[name]).load(tmp_path / name, device=device)
    assert EASERecommender.load(tmp_path / "ease", device="cuda:1").recommend(0)[0].size


@pytest.mark.parametrize(
    ("scoring", "refit"),
    [(None, "zz"), ("ndcg", "ndcg"), (RankingScorer(["ndcg", "recall"]), True)],
)
def test_a_refit_that_names_no_metric(scoring, refit):
    search = GuidanceScaleCV(tiny_cfg(), scales=[0.0, 1.0], cv=2, scoring=scoring, refit=refit)
    with pytest.raises(ValueError, match="refit must be one of"):
        search.fit(DATA.train)
