"""As an estimator among scikit-learn's: checks, searches, cross-validation, pipelines."""

import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from common_checks import plain_parameters
from conftest import MODELS, tiny_als, tiny_cfg, tiny_flow, tiny_vae
from numpy.testing import assert_allclose, assert_array_equal
from packaging.version import Version
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
    learning_curve,
    train_test_split,
    validation_curve,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import (
    EASERecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)

SCALES = [0.0, 1.0, 2.0]
CHECKED = [
    tiny_cfg(hidden_dims=(16, 16), latent_dim=8, max_epochs=2),
    tiny_cfg(hidden_dims=(16,), latent_dim=8, max_epochs=1, values="time"),
    tiny_cfg(hidden_dims=(16,), latent_dim=8, max_epochs=1, closed_form=EASERecommender(reg=5.0)),
    PopularityRecommender(),
    EASERecommender(),
    EASERecommender(values="weight"),
    ItemKNNRecommender(),
    NeighborhoodRecommender(n_neighbors=3),
    tiny_als(factors=4, iterations=2),
    tiny_vae(),
    tiny_flow(),
]


@parametrize_with_checks(CHECKED)
def test_estimator_checks(estimator, check):
    """No failure is expected. check_array_api_input is skipped here and runs below."""
    check(estimator)


@pytest.mark.slow
@pytest.mark.skipif(
    Version(sklearn.__version__) < Version("1.9"),
    reason="before 1.9 scikit-learn has the check for estimators that support array API only",
)
def test_array_api_check():
    """scipy reads SCIPY_ARRAY_API when it is imported, so this takes a process of its own."""
    code = """
from sklearn.utils.estimator_checks import estimator_checks_generator
from test_sklearn import CHECKED
for estimator in CHECKED:
    for estimator, check in estimator_checks_generator(estimator):
        if check.func.__name__ == "check_array_api_input":
            check(estimator)
            print("passed")
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=os.path.dirname(__file__),
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["passed"] * len(CHECKED)


@pytest.fixture(scope="module")
def everybody(interactions):
    """The one split of the same users with held-out items: train and test on all rows."""
    rows = np.arange(interactions.shape[0])
    return [(rows, rows)]


def search(model=None, **parameters):
    model = tiny_cfg() if model is None else model
    return GridSearchCV(model, {"guidance_scale": SCALES}, error_score="raise", **parameters)


class TestSearch:
    @pytest.mark.slow
    def test_users_split_items_held_out(self, interactions):
        """y=None: every fold's users are new and a part of their rows is held out."""
        found = search(cv=3).fit(interactions)
        for split, (train, test) in enumerate(KFold(3).split(interactions)):
            for i, scale in enumerate(SCALES):
                model = tiny_cfg(guidance_scale=scale).fit(interactions[train])
                expected = model.score(interactions[test])
                assert found.cv_results_[f"split{split}_test_score"][i] == expected

    def test_default_folds(self, interactions):
        found = GridSearchCV(tiny_cfg(max_epochs=1), {"eta": [0.5]}).fit(interactions)
        assert found.n_splits_ == 5
        assert np.isfinite(found.cv_results_["mean_test_score"]).all()

    def test_same_users_with_a_holdout(self, interactions, holdout, everybody):
        """`fit` is handed the holdout and must not look; `score` evaluates on it."""
        found = search(cv=everybody).fit(interactions, holdout)
        for i, scale in enumerate(SCALES):
            model = tiny_cfg(guidance_scale=scale).fit(interactions)
            expected = model.score(interactions, holdout)
            assert found.cv_results_["mean_test_score"][i] == expected

    @pytest.mark.slow
    def test_folds_with_a_holdout(self, interactions, holdout):
        """The rows of a sparse y go with those of X."""
        found = search(cv=3).fit(interactions, holdout)
        for split, (train, test) in enumerate(KFold(3).split(interactions)):
            model = tiny_cfg(guidance_scale=2.0).fit(interactions[train])
            expected = model.score(interactions[test], holdout[test])
            assert found.cv_results_[f"split{split}_test_score"][2] == expected

    def test_finds_the_good_corner(self, drift_data):
        """Personal beats popular on data with tastes."""
        rows = np.arange(300)
        found = GridSearchCV(
            tiny_cfg(max_epochs=5), {"guidance_scale": [-1.0, 0.0, 1.5]}, cv=[(rows, rows)]
        ).fit(drift_data.train[:300], drift_data.valid[:300])
        assert found.best_params_ == {"guidance_scale": 1.5}
        assert found.best_estimator_.guidance_scale == 1.5
        best = found.best_estimator_.score(drift_data.train[:300], drift_data.valid[:300])
        assert best == found.best_score_

    def test_the_refitted_model_recommends(self, interactions):
        found = search(cv=2).fit(interactions)
        ids, scores = found.best_estimator_.recommend([4, 5], k=3)
        assert ids.shape == (2, 3) and np.isfinite(scores).all()
        assert_array_equal(
            found.decision_function(interactions),
            found.best_estimator_.decision_function(interactions),
        )

    @pytest.mark.slow  # workers of other searches are tested in any case
    def test_workers_change_nothing(self, interactions):
        one, two = (search(cv=2, n_jobs=n).fit(interactions).cv_results_ for n in (1, 2))
        assert_array_equal(one["mean_test_score"], two["mean_test_score"])

    def test_random_search_over_training_parameters(self, interactions):
        space = {"hidden_dims": [(8,), (16, 16)], "latent_dim": [4, None]}
        space["ranking_head"] = [True, False]
        found = RandomizedSearchCV(
            tiny_cfg(max_epochs=1), space, n_iter=3, cv=2, random_state=0, error_score="raise"
        ).fit(interactions)
        assert np.isfinite(found.cv_results_["mean_test_score"]).all()

    def test_over_a_closed_form(self, interactions):
        """Its parameters as those of any nested estimator, and the forms themselves."""
        forms = [EASERecommender(reg=5.0), NeighborhoodRecommender(n_neighbors=5)]
        space = [{"closed_form__reg": [5.0, 500.0]}, {"closed_form": forms}]
        model = tiny_cfg(closed_form=EASERecommender(), closed_form_weight=4.0, max_epochs=1)
        found = GridSearchCV(model, space, cv=2, error_score="raise").fit(interactions)
        scores = found.cv_results_["mean_test_score"]
        assert scores[0] == scores[2] and len({*scores}) == 3
        assert model.closed_form.reg == 300.0

    def test_of_a_baseline(self, interactions, holdout, everybody):
        regs = [1.0, 50.0]
        found = GridSearchCV(EASERecommender(), {"reg": regs}, cv=everybody)
        found.fit(interactions, holdout)
        expected = [
            EASERecommender(reg=reg).fit(interactions).score(interactions, holdout) for reg in regs
        ]
        assert_array_equal(found.cv_results_["mean_test_score"], expected)


class TestCrossValidation:
    @pytest.mark.slow
    def test_cross_val_score(self, fitted, interactions):
        scores = cross_val_score(clone(fitted), interactions, cv=2, error_score="raise")
        for score, (train, test) in zip(scores, KFold(2).split(interactions), strict=True):
            expected = clone(fitted).fit(interactions[train]).score(interactions[test])
            assert score == expected

    def test_cross_validate(self, interactions):
        result = cross_validate(
            tiny_cfg(), interactions, cv=2, return_estimator=True, return_train_score=True
        )
        for model, score in zip(result["estimator"], result["train_score"], strict=True):
            assert isinstance(model, CFGDiffusionRecommender) and 0 < score < 1

    def test_curves(self, interactions):
        _, train, test = learning_curve(
            tiny_cfg(max_epochs=1),
            interactions,
            None,
            train_sizes=[0.5, 1.0],
            cv=2,
            error_score="raise",
        )
        assert train.shape == test.shape == (2, 2) and np.isfinite(test).all()
        _, test = validation_curve(
            EASERecommender(), interactions, None, param_name="reg", param_range=[1.0, 10.0], cv=2
        )
        assert np.isfinite(test).all()

    def test_train_test_split(self, interactions, holdout):
        X_train, X_test, _, y_test = train_test_split(interactions, holdout, random_state=0)
        score = EASERecommender(reg=20.0).fit(X_train).score(X_test, y_test)
        assert 0 < score < 1


class TestPipeline:
    def test_alone(self, interactions, holdout):
        pipeline = make_pipeline(tiny_cfg()).fit(interactions, holdout)
        model = tiny_cfg().fit(interactions)
        assert_array_equal(
            pipeline.decision_function(interactions), model.decision_function(interactions)
        )
        assert pipeline.score(interactions, holdout) == model.score(interactions, holdout)
        assert_array_equal(pipeline[-1].recommend()[0], model.recommend()[0])

    @pytest.mark.parametrize(
        "step", [Binarizer(), FunctionTransformer(accept_sparse=True), FunctionTransformer(np.sqrt)]
    )
    def test_after_a_transformer(self, interactions, holdout, step):
        X = interactions if get_tags(step).input_tags.sparse else interactions.toarray()
        pipeline = Pipeline([("values", step), ("model", tiny_cfg())]).fit(X)
        model = tiny_cfg().fit(interactions)
        assert pipeline.score(X, holdout) == model.score(interactions, holdout)

    @pytest.mark.slow
    def test_search_over_a_step(self, interactions, holdout, everybody):
        pipeline = Pipeline([("values", Binarizer()), ("model", tiny_cfg())])
        for y, cv in ((None, 2), (holdout, everybody), (holdout, 2)):
            nested = GridSearchCV(
                pipeline, {"model__guidance_scale": SCALES}, cv=cv, error_score="raise"
            ).fit(interactions, y)
            plain = search(cv=cv).fit(interactions, y)
            assert_array_equal(
                nested.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
            )
            assert (
                nested.best_params_["model__guidance_scale"] == plain.best_params_["guidance_scale"]
            )

    def test_memory(self, interactions, tmp_path):
        pipeline = Pipeline([("values", Binarizer()), ("model", tiny_cfg())], memory=str(tmp_path))
        expected = tiny_cfg().fit(interactions).decision_function(interactions)
        for _ in range(2):
            pipeline.fit(interactions)
            assert_array_equal(pipeline.decision_function(interactions), expected)

    def test_dial_after_fit(self, interactions):
        pipeline = make_pipeline(Binarizer(), tiny_cfg()).fit(interactions)
        before = pipeline.decision_function(interactions)
        pipeline.set_params(cfgdiffusionrecommender__guidance_scale=3.0)
        assert (pipeline.decision_function(interactions) != before).any()


OF_USER_FEATURES = ("n_user_features_in_", "user_feature_names_in_")


class TestEstimator:
    @pytest.mark.parametrize("name", MODELS)
    def test_parameters_come_back(self, name):
        model = MODELS[name]
        parameters = model.get_params(deep=False)
        assert type(model)(**parameters).get_params(deep=False) == parameters
        assert plain_parameters(clone(model)) == plain_parameters(model)
        for parameter, value in parameters.items():
            assert getattr(model, parameter) is value  # stored as given

    def test_set_params_returns_self(self, model):
        assert model.set_params(values="weight") is model and model.values == "weight"
        with pytest.raises(ValueError, match="Invalid parameter 'n_factors'"):
            model.set_params(n_factors=3)

    def test_init_checks_nothing(self):
        """scikit-learn's rule: parameters are checked in `fit`, so that a search can set them."""
        model = CFGDiffusionRecommender(guidance_scale="?", hidden_dims=None, values=3, eta=9)
        assert model.get_params()["eta"] == 9

    def test_repr(self, model, interactions):
        assert repr(model).startswith(type(model).__name__ + "(")
        assert repr(CFGDiffusionRecommender(guidance_scale=2.5)) == (
            "CFGDiffusionRecommender(guidance_scale=2.5)"
        )
        text = repr(model)
        assert repr(model.fit(interactions)) == text

    def test_html_repr(self, model, interactions):
        for state in (model, model.fit(interactions)):
            html = estimator_html_repr(state)
            assert type(model).__name__ in html
            assert state._repr_html_() and "text/html" in state._repr_mimebundle_()
        html = estimator_html_repr(make_pipeline(Binarizer(), tiny_cfg(guidance_scale=2.75)))
        assert "CFGDiffusionRecommender" in html and "2.75" in html

    def test_tags(self, model):
        tags = get_tags(model)
        assert tags.input_tags.sparse and tags.input_tags.positive_only
        assert not tags.target_tags.required and not tags.input_tags.allow_nan

    def test_fitted_attributes_end_in_an_underscore(self, model, interactions):
        """So that `check_is_fitted` and readers can tell them from parameters."""
        model.fit(interactions)
        public = [name for name in vars(model) if not name.startswith("_")]
        parameters = model.get_params()
        assert all(name in parameters or name.endswith("_") for name in public)

    def test_documented_attributes_exist(self, model, interactions):
        """And nothing else is left behind."""
        model.fit(interactions)
        section = type(model).__doc__.split("Attributes\n")[1].split("\n\n")[0]
        documented = {
            line.split(" : ")[0].strip() for line in section.splitlines() if " : " in line
        }
        found = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
        assert (
            documented - {"feature_names_in_", "liked_from_", *OF_USER_FEATURES}
            <= found
            <= documented
        )

    def test_documented_parameters(self, model):
        section = type(model).__doc__.split("Parameters\n")[1].split("Attributes\n")[0]
        names = []
        for line in section.splitlines():
            if line.startswith("    ") and line[4:5].strip() and " : " in line:
                names += [name.strip() for name in line.split(" : ")[0].split(",")]
        assert sorted(names) == sorted(model.get_params(deep=False))

    def test_processes(self, fitted):
        """What `joblib` and loky send to workers is a pickle: the lists must be the same."""
        recommend = joblib.wrap_non_picklable_objects(fitted.recommend)
        there = pickle.loads(pickle.dumps(recommend))
        for a, b in zip(fitted.recommend([3, 1]), there([3, 1]), strict=True):
            assert_array_equal(a, b)

    def test_float32_and_float64(self, fitted, interactions):
        assert_allclose(
            fitted.decision_function(interactions.astype(np.float32)),
            fitted.decision_function(interactions.astype(np.float64)),
            rtol=0,
        )

    def test_sparse_and_dense_fit(self, fitted, interactions):
        dense = clone(fitted).fit(interactions.toarray())
        assert_array_equal(
            dense.decision_function(sp.csc_array(interactions)),
            fitted.decision_function(interactions),
        )
