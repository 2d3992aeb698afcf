"""User features in all their forms, in files, refused, and routed by scikit-learn's tools."""

import copy
import io
import pickle
from itertools import product

import joblib
import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from persistence_files import contents, forge
from profiled_models import (  # noqa: F401
    N_FEATURES,
    N_USERS,
    data_of,
    fitted_fixture,
    lists_of,
    profiled_fixture,
    same,
)
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffrec import CFGDiffusionRecommender, persistence
from skdiffrec.baselines import PopularityRecommender
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer


class TestForms:
    def test_every_form_of_a_matrix(self, profiled):
        pandas = pytest.importorskip("pandas")
        model, data = profiled
        U = data.user_features
        forms = [
            U.tocsc(),
            U.tocoo(),
            sp.csr_matrix(U),
            U.toarray(),
            U.toarray().tolist(),
            U.toarray().astype(bool),
            pandas.DataFrame(U.toarray(), columns=data.user_feature_names),
        ]
        expected = lists_of(model)
        for form in forms:
            some = sp.csr_array(form)[:5] if sp.issparse(form) else form[:5]
            same(lists_of(model, user_features=some), expected)
            same(lists_of(tiny_cfg().fit(data.train, user_features=form)), expected)

    @pytest.mark.parametrize("include_data", [True, False])
    def test_files(self, fitted, include_data, tmp_path):
        model, X, U = fitted
        path = tmp_path / "model.safetensors"
        model.save(path, include_data=include_data)
        loaded = persistence.load(path)
        users = {"X": X[:7], "user_features": U[:7], "guidance_scale": {"user_features": 2.0}}
        same(loaded.recommend(k=6, **users), model.recommend(k=6, **users))
        assert loaded.n_user_features_in_ == N_FEATURES
        if include_data:
            same(lists_of(loaded), lists_of(model))
        again = tmp_path / "again.safetensors"
        loaded.save(again, include_data=include_data)
        assert again.read_bytes() == path.read_bytes()

    def test_names_and_dicts_in_files(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        data = data_of()
        frame = pandas.DataFrame(data.user_features.toarray(), columns=data.user_feature_names)
        model = tiny_cfg(guidance_scale={"user_features": 2.0})
        model.fit(data.train, user_features=frame).save(tmp_path / "m")
        loaded = CFGDiffusionRecommender.load(tmp_path / "m")
        assert_array_equal(loaded.user_feature_names_in_, data.user_feature_names)
        assert loaded.guidance_scale == {"user_features": 2.0}
        same(lists_of(loaded), lists_of(model))

    def test_pickles_and_copies(self, fitted):
        model, _, _ = fitted
        buffer = io.BytesIO()
        joblib.dump(model, buffer)
        buffer.seek(0)
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(buffer)):
            same(lists_of(other), lists_of(model))

    def test_memory_tells_features_apart(self, tmp_path):
        data = data_of()
        U = data.user_features
        model = tiny_cfg(memory=str(tmp_path))
        first = lists_of(model.fit(data.train, user_features=U))
        other = lists_of(model.fit(data.train, user_features=U[::-1]))
        none = lists_of(model.fit(data.train))
        same(first, lists_of(model.fit(data.train, user_features=U)))
        assert not np.array_equal(first[1], other[1]) and not np.array_equal(first[1], none[1])


def test_graphs(fitted, tmp_path):
    """Users with both, one, or none of the two; scales by user and condition."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model, X, U = fitted
    if model.temperature:
        with pytest.raises(ValueError, match="draws no random numbers"):
            model.export_onnx(tmp_path / "m")
        return
    model.export_onnx(tmp_path / "m", k=6)
    lengths = np.diff(X.indptr)
    filled = np.arange(lengths.max()) < lengths[:, None]
    items, values = np.full(filled.shape, -1), np.zeros(filled.shape)
    items[filled], values[filled] = X.indices, X.data
    scale = np.random.default_rng(0).choice([0, 0.5, 1, 2], (N_USERS, 2)).astype(np.float32)
    given = {"items": items, "values": values, "user_features": U.toarray()}
    given["guidance_scale"] = scale
    session = onnxruntime.InferenceSession(str(tmp_path / "m"))
    names = [entry.name for entry in session.get_inputs()]
    assert set(names) | {"values"} == set(given)
    ids, scores = session.run(None, {name: given[name] for name in names})
    by_condition = {"user_features": scale[:, 0], "history": scale[:, 1]}
    expected_ids, expected = model.recommend(k=6, guidance_scale=by_condition)
    assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)
    assert (ids == expected_ids).mean() > 0.95  # but for ties


def test_files_of_format_4(tmp_path):
    """What was saved before there were features: without the entries that these have."""
    data = data_of()
    model = tiny_cfg().fit(data.train)
    model.save(tmp_path / "new")
    record, tensors = contents(tmp_path / "new")
    for name in ("n_user_features", "has_user_features", "has_user_feature_names"):
        assert not record.pop(name)
    assert record["state"].pop("user_features") is None
    forge(tmp_path / "old", record | {"format_version": 4}, tensors)
    same(lists_of(persistence.load(tmp_path / "old")), lists_of(model))


class TestRefusals:
    BAD = [
        (np.ones((3, N_FEATURES)), ValueError, r"shape \(3, 8\), but there are 150 users"),
        (np.ones(N_USERS), ValueError, r"shape \(150,\)"),
        (np.ones((N_USERS, 0)), ValueError, "a column for each feature"),
        (np.zeros((N_USERS, 3)), ValueError, "zeros alone"),
        (np.full((N_USERS, 3), "rain"), TypeError, "no number.*OneHotEncoder"),
        (np.full((N_USERS, 2), np.nan), ValueError, "nan in column 0"),
        (sp.csr_array(np.full((N_USERS, 2), np.inf)), ValueError, "inf in column 0"),
        (np.full((N_USERS, 2), 1e300), ValueError, "1e[+]300 in column 0"),
        (np.ma.masked_equal(np.ones((N_USERS, 2)), 1), TypeError, "masked array. Fill"),
        (np.full((N_USERS, 1), np.datetime64("2020-01-01")), TypeError, "an age in years"),
        (np.ones((N_USERS, 1), complex), TypeError, "dtype complex128"),
        (pl.LazyFrame({"age": np.ones(N_USERS)}), TypeError, "lazy frame.*user_features.collect"),
    ]

    @pytest.mark.parametrize(("features", "error", "message"), BAD)
    def test_fit(self, profiled, features, error, message):
        fitted, data = profiled
        model = copy.deepcopy(fitted)
        with pytest.raises(error, match=message):
            model.fit(data.train, user_features=features)
        same(lists_of(model), lists_of(fitted))
        assert model.n_user_features_in_ == N_FEATURES

    def test_missing_values_of_pandas(self, profiled):
        pandas = pytest.importorskip("pandas")
        _, data = profiled
        age = pandas.array([pandas.NA] + [30] * (N_USERS - 1), dtype="Int64")
        for missing in (age, age.astype(object)):  # one becomes NaN by itself
            with pytest.raises(ValueError, match="(pd.NA|nan).*Fill"):
                tiny_cfg().fit(data.train, user_features=pandas.DataFrame({"age": missing}))
        born = pandas.DataFrame({"born": pandas.date_range("1970", periods=N_USERS)})
        with pytest.raises(TypeError, match="datetime64.*age in years"):
            tiny_cfg().fit(data.train, user_features=born)

    def test_the_column_is_named(self, profiled):
        pandas = pytest.importorskip("pandas")
        _, data = profiled
        frame = pandas.DataFrame({"age": np.ones(N_USERS), "income": np.full(N_USERS, np.nan)})
        with pytest.raises(ValueError, match="column 1 .'income'.*finite"):
            tiny_cfg().fit(data.train, user_features=frame)

    def test_questions(self, profiled):
        model, data = profiled
        users = {"X": data.train[:2]}
        for features, message in (
            (np.ones((3, N_FEATURES)), "there are 2 users"),
            (np.ones((2, 5)), "5 columns, but 8 in fit"),
            (np.full((2, N_FEATURES), np.nan), "nan in column 0"),
        ):
            with pytest.raises(ValueError, match=message):
                model.recommend(user_features=features, **users)
        with pytest.raises(
            ValueError, match="has a scale for 'wanted'.*'user_features', 'history'"
        ):
            model.recommend(0, guidance_scale={"wanted": 2.0})
        with pytest.raises(ValueError, match=r"guidance_scale\['history'\] has shape"):
            model.recommend([0, 1], guidance_scale={"history": [1.0, 2.0, 3.0]})
        with pytest.raises(ValueError, match="scales is an empty dict"):
            model.recommend_scales({}, [0])
        with pytest.raises(ValueError, match="has a scale for 'age'"):
            model.recommend_scales({"age": [1.0]}, [0])

    def test_columns_in_another_order(self):
        pandas = pytest.importorskip("pandas")
        data = data_of()
        frame = pandas.DataFrame(data.user_features.toarray(), columns=data.user_feature_names)
        model = tiny_cfg().fit(data.train, user_features=frame)
        with pytest.raises(ValueError, match="columns of user_features are"):
            model.recommend(range(N_USERS), user_features=frame.iloc[:, ::-1])

    def test_a_model_without_features(self):
        data = data_of()
        model = tiny_cfg().fit(data.train)
        with pytest.raises(ValueError, match="fitted without any"):
            model.recommend(X=data.train[:2], user_features=data.user_features[:2])
        with pytest.raises(ValueError, match="has a scale for 'user_features'.*'history'"):
            model.recommend(0, guidance_scale={"user_features": 2.0})

    def test_scales_of_conditions_that_are_not_fitted(self, profiled):
        _, data = profiled
        with pytest.raises(ValueError, match="a scale for 'user_features'"):
            tiny_cfg(guidance_scale={"user_features": 2.0}).fit(data.train)
        with pytest.raises(ValueError, match="dict of such sequences"):
            GuidanceScaleCV(tiny_cfg(), scales=[1.0, {"history": 2.0}]).fit(data.train)

    @pytest.mark.parametrize("scale", [{"history": "high"}, {"history": [1.0]}, {"history": 1e9}])
    def test_scales_of_an_estimator(self, scale):
        with pytest.raises((TypeError, ValueError), match="guidance_scale"):
            tiny_cfg(guidance_scale=scale).fit(data_of().train)


class TestRouting:
    """scikit-learn's metadata routing cuts the features with the rows."""

    def test_cross_validate_and_search(self):
        data = data_of()
        with config_context(enable_metadata_routing=True):
            model = tiny_cfg().set_fit_request(user_features=True)
            model.set_score_request(user_features=True)
            params = {"user_features": data.user_features}
            found = cross_validate(model, data.train, cv=3, params=params, return_estimator=True)
            assert all(m.n_user_features_in_ == N_FEATURES for m in found["estimator"])
            test = np.arange(N_USERS)[: N_USERS // 3]
            first = found["estimator"][0]
            score = first.score(data.train[test], user_features=data.user_features[test])
            assert found["test_score"][0] == score
            grid = {"guidance_scale": [0.5, {"user_features": 2.0}]}
            search = GridSearchCV(model, grid, cv=2).fit(data.train, **params)
            assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_the_scorer_asks_for_them(self):
        data = data_of()
        with config_context(enable_metadata_routing=True):
            strong = tiny_cfg(guidance_scale={"user_features": 5.0})
            model = strong.set_fit_request(user_features=True)
            params = {"user_features": data.user_features}
            scorer = RankingScorer("ndcg").set_score_request(user_features=True)
            found = cross_validate(model, data.train, cv=2, params=params, scoring=scorer)
            fitted = model.fit(data.train[75:], user_features=data.user_features[75:])
            expected = scorer(fitted, data.train[:75], user_features=data.user_features[:75])
            assert found["test_score"][0] == expected
            assert expected != RankingScorer("ndcg")(fitted, data.train[:75])

    def test_the_choice_of_a_scale_cuts_them_with_the_rows(self):
        data = data_of()
        U = data.user_features
        model = tiny_cfg(learning_rate=0.03)  # features say something after three epochs
        search = GuidanceScaleCV(model, scales=[0.5, 1.0, 2.0], cv=2, refit=True)
        search.fit(data.train, user_features=U)
        fitted = clone(model).fit(data.train[75:], user_features=U[75:])
        scorer = RankingScorer()
        history, holdout = scorer.split(fitted, data.train[:75])
        for i, scale in enumerate([0.5, 1.0, 2.0]):
            lists = fitted.recommend(X=history, user_features=U[:75], guidance_scale=scale)[0]
            expected = ndcg_at_k(lists, holdout, k=10)
            assert_allclose(search.cv_results_["split0_test_score"][i], expected)
        assert search.score(data.train, user_features=U) != search.score(data.train)
        prefit = GuidanceScaleCV(fitted, scales=[0.5, 1.0, 2.0], cv="prefit")
        prefit.fit(data.train[:75], user_features=U[:75])
        found = prefit.cv_results_["mean_test_score"]
        assert_allclose(found, search.cv_results_["split0_test_score"])

    def test_the_choice_of_scales_by_condition(self):
        data = data_of()
        X, U = data.train, data.user_features
        model = tiny_cfg(learning_rate=0.03).fit(X, user_features=U)
        axes = {"user_features": [0.0, 3.0], "history": [1.0, 0.2]}
        points = [dict(zip(axes, scales, strict=True)) for scales in product(*axes.values())]
        search = GuidanceScaleCV(model, scales=axes, cv="prefit").fit(X, user_features=U)
        scored = [
            RankingScorer()(model.set_params(guidance_scale=point), X, user_features=U)
            for point in points
        ]
        assert len(set(scored)) == 4
        assert_allclose(search.cv_results_["mean_test_score"], scored)
        assert search.best_guidance_scale_ == points[np.argmax(scored)]
        assert search.cv_results_["param_guidance_scale"].tolist() == points
        assert search.best_estimator_.guidance_scale == search.best_guidance_scale_
        asked = GuidanceScaleCV(model, scales=axes, cv="prefit", scoring=lambda m, X, y: m.score(X))
        with pytest.warns(UserWarning, match="evaluated without"):
            assert asked.fit(X).cv_results_["mean_test_score"].shape == (4,)
        folds = GuidanceScaleCV(tiny_cfg(), scales=axes, cv=2).fit(X, user_features=U)
        alone = GuidanceScaleCV(tiny_cfg(), scales=[1.0], cv=2).fit(X, user_features=U)
        one = points.index({"user_features": 3.0, "history": 1.0})
        assert folds.best_estimator_.guidance_scale in points
        assert folds.cv_results_["mean_test_score"][one] != alone.best_score_

    def test_a_pipeline_is_scored_with_them(self):
        data = data_of()
        U = data.user_features
        pipe = make_pipeline(FunctionTransformer(accept_sparse=True), tiny_cfg())
        pipe.fit(data.train, cfgdiffusionrecommender__user_features=U)
        history, holdout = RankingScorer().split(pipe, data.train)
        found = RankingScorer()(pipe, data.train, user_features=U)
        lists = pipe[-1].recommend(X=history, user_features=U, k=10)[0]
        assert found == ndcg_at_k(lists, holdout, k=10)
        search = GuidanceScaleCV(pipe, scales=[1.0], cv=2)
        search.fit(data.train, cfgdiffusionrecommender__user_features=U)
        other = GuidanceScaleCV(tiny_cfg(), scales=[1.0], cv=2).fit(data.train, user_features=U)
        assert search.best_score_ == other.best_score_
        with pytest.warns(UserWarning, match="fitted with user_features, but is evaluated without"):
            assert RankingScorer()(pipe, data.train) != found
        with pytest.warns(UserWarning, match="evaluated without"):
            pipe[-1].score(data.train)

    def test_a_scorer_of_what_cannot_read_them(self):
        data = data_of()
        model = PopularityRecommender().fit(data.train)
        with pytest.raises(TypeError, match="user_features"):
            RankingScorer()(model, data.train, user_features=data.user_features)
