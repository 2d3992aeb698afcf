"""closed_form= of CFGDiffusionRecommender: a recommender that is cloned and fitted inside."""

import pickle

import joblib
import numpy as np
import pytest
from closed_form_problems import assert_same, dense
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, issparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffrec import CFGDiffusionRecommender, _trainable
from skdiffrec._network.sparse_rows import UserRows
from skdiffrec._training.fit import training_key
from skdiffrec.baselines import (
    ALSRecommender,
    EASERecommender,
    ItemItemRecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)
from skdiffrec.persistence import PersistenceError, load

FORMS = {
    "ease": EASERecommender(reg=30.0),
    "ease-auto": EASERecommender(reg="auto"),
    "neighborhood": NeighborhoodRecommender(n_neighbors=9),
    "neighborhood-reg": NeighborhoodRecommender(reg=8.0, length_exponent=1.0),
    "knn": ItemKNNRecommender(n_neighbors=9, shrinkage=2.0),
}
WEIGHTS = {"EASE": "item_weights_", "Neighborhood": "item_weights_", "ItemKNN": "similarity_"}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def quick(form, **parameters):
    """One epoch, of all items of all users."""
    defaults = dict(closed_form=form, early_stopping=False, max_epochs=1, hidden_dims=(8,))
    return tiny_cfg(**defaults | parameters)


def weights_of(recommender):
    """The item-item weights of a fitted baseline."""
    return getattr(recommender, WEIGHTS[type(recommender).__name__.removesuffix("Recommender")])


def matrix_of(model):
    """The closed form's item-item weights in a fitted model."""
    form = model._model.closed_form
    return form.csr if form.sparse else form.weights.numpy()


@pytest.fixture(scope="module")
def distinct(interactions):
    """Rows of which no two are the same in the order of their times either."""
    X = interactions[np.diff(interactions.indptr) > 1]
    assert len(np.unique((X.toarray() > 0), axis=0)) == X.shape[0]
    return X


class TestFit:
    @pytest.mark.parametrize("values", ["binary", "weight", "time"])
    @each_form
    def test_it_is_what_the_recommender_learns(self, distinct, form, values):
        """To the bit where sums are exact: rows are in another order in training."""
        form = clone(form).set_params(values=values)
        model = quick(form, values=values).fit(distinct)
        expected = weights_of(clone(form).fit(distinct))
        found = matrix_of(model)
        assert issparse(found) == issparse(expected)
        if values != "weight" and isinstance(form, EASERecommender):
            assert_array_equal(found, expected)
        assert_allclose(dense(found), dense(expected), rtol=1e-4, atol=1e-6)

    def test_scores_are_those_of_the_network_and_of_the_recommender(self, distinct):
        form = EASERecommender(reg=30.0)
        with_form = quick(form, closed_form_weight=2.0).fit(distinct)
        without = quick(None).fit(distinct)
        network, ease = without.decision_function(distinct), form.fit(distinct)
        ease = ease.decision_function(distinct)
        ratio = network.std(axis=1).mean() / ease.std(axis=1).mean()
        assert with_form.closed_form_weight_ == 2.0
        expected = network + 2.0 * ratio * ease
        assert_allclose(with_form.decision_function(distinct), expected, rtol=1e-3, atol=1e-3)
        alone = quick(form, closed_form_weight=0.0).fit(distinct)
        assert_array_equal(alone.decision_function(distinct), network)

    def test_its_similar_items_are_those_of_the_recommender(self, distinct):
        form = NeighborhoodRecommender(n_neighbors=9)
        model = quick(form).fit(distinct)
        for k in (3, 20):
            found = model.similar_items([0, 7, 49], k, by="closed_form")
            expected = clone(form).fit(distinct).similar_items([0, 7, 49], k)
            assert_array_equal(found[0], expected[0])
            assert_allclose(found[1], expected[1], rtol=1e-4)

    @each_form
    def test_the_given_object_is_cloned_and_never_changed(self, interactions, form):
        form = clone(form)
        before = dict(vars(form))
        model = quick(form).fit(interactions)
        assert model.closed_form is form and vars(form) == before
        model.recommend(k=3)
        model.similar_items(3)
        assert vars(form) == before and not hasattr(form, "n_features_in_")

    def test_a_fitted_object_stays_as_it_was_fitted(self, interactions, holdout):
        form = EASERecommender(reg=30.0).fit(holdout)
        weights = form.item_weights_.copy()
        model = quick(form).fit(interactions)
        assert_array_equal(form.item_weights_, weights)
        assert_same(matrix_of(model), matrix_of(quick(EASERecommender(reg=30.0)).fit(interactions)))

    @each_form
    def test_a_weight_of_two_is_a_doubled_row(self, distinct, form):
        weight = np.arange(distinct.shape[0]) % 3
        copies = np.repeat(np.arange(distinct.shape[0]), weight)
        weighted = quick(form).fit(distinct, sample_weight=weight)
        repeated = quick(form).fit(distinct[copies])
        assert_array_equal(dense(matrix_of(weighted)), dense(matrix_of(repeated)))
        assert_array_equal(
            weighted.decision_function(distinct), repeated.decision_function(distinct)
        )
        # and it is what the recommender learns of the copies
        expected = weights_of(clone(form).fit(distinct[copies]))
        assert_allclose(dense(matrix_of(weighted)), dense(expected), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("values", ["binary", "time"])
    def test_items_of_early_stopping_are_learned_from_in_the_end(self, distinct, values):
        form = EASERecommender(reg=30.0)
        model = quick(form, early_stopping=True, validation_fraction=0.5, values=values)
        expected = form.fit(distinct).item_weights_
        assert_allclose(matrix_of(model.fit(distinct)), expected, rtol=1e-4, atol=1e-6)

    def test_it_does_not_depend_on_the_seed(self, distinct):
        one, other = (
            matrix_of(quick(EASERecommender(reg=30.0), random_state=seed).fit(distinct))
            for seed in (0, 1)
        )
        assert_array_equal(one, other)


class Together(ItemItemRecommender):
    """Somebody's own model: users in common, but for those of the item itself."""

    _weights_name = "together_"

    def __init__(self, *, power=1.0, values="binary", half_life=5.0):
        self.power = power
        self.values = values
        self.half_life = half_life

    def _solve(self, rows):
        together = (rows.T @ rows).toarray() ** self.power
        np.fill_diagonal(together, 0)
        return csr_array(together)


class TestOwnModels:
    def test_a_subclass_by_a_user(self, distinct, tmp_path):
        model = quick(Together(power=0.5)).fit(distinct)
        assert_allclose(
            dense(matrix_of(model)), dense(Together(power=0.5).fit(distinct).together_), rtol=1e-5
        )
        assert pickle.loads(pickle.dumps(model)).recommend(0, k=3)[0].shape == (3,)
        with pytest.raises(PersistenceError, match="closed_form=Together.*cannot be saved"):
            model.save(tmp_path / "model")

    def test_a_search_over_its_parameters(self, distinct):
        search = GridSearchCV(quick(Together()), {"closed_form__power": [0.5, 1.0]}, cv=2)
        search.fit(distinct)
        power = search.best_params_["closed_form__power"]
        assert_allclose(
            dense(matrix_of(search.best_estimator_)),
            dense(Together(power=power).fit(distinct).together_),
            rtol=1e-5,
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("form", "message"),
        [
            (PopularityRecommender(), r"'closed_form'.*CFG.*Got PopularityRecommender\(\)"),
            (ALSRecommender(), r"'closed_form'.*ItemItemRecommender.*Got ALSRecommender\(\)"),
            ("ease", "'closed_form'.*'auto'.*Got 'ease'"),
            ("neighborhood", "'closed_form'.*Got 'neighborhood'"),
            (EASERecommender, "'closed_form'.*Got <class"),
            (tiny_cfg(), "'closed_form'.*Got CFGDiffusionRecommender"),
            (True, "'closed_form'.*Got True"),
            (30.0, "'closed_form'.*Got 30.0"),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_what_is_no_closed_form(self, interactions, form, message):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            quick(form).fit(interactions)

    @pytest.mark.parametrize(
        ("form", "message"),
        [
            (EASERecommender(reg=0), "'reg' parameter of EASERecommender.*Got 0"),
            (EASERecommender(reg="1"), "'reg' parameter of EASERecommender.*Got '1'"),
            (
                NeighborhoodRecommender(n_neighbors=0),
                "'n_neighbors' parameter of NeighborhoodRecommender.*Got 0",
            ),
            (ItemKNNRecommender(shrinkage=-1), "'shrinkage' parameter of ItemKNN.*Got -1"),
            (EASERecommender(values="x"), "'values' parameter of EASERecommender.*Got 'x'"),
        ],
        ids=str,
    )
    def test_a_parameter_of_it_that_is_invalid(self, interactions, form, message):
        model = quick(EASERecommender(reg=30.0)).fit(interactions)
        before = model.recommend()
        with pytest.raises(ValueError, match=f"(?s){message}"):
            model.set_params(closed_form=form).fit(interactions)
        assert_array_equal(model.recommend()[1], before[1])

    def test_a_parameter_that_it_does_not_have(self):
        with pytest.raises(ValueError, match="Invalid parameter 'shrinkage'.*EASERecommender"):
            quick(EASERecommender()).set_params(closed_form__shrinkage=1.0)

    @each_form
    def test_without_a_ranking_head(self, interactions, form):
        message = rf"closed_form={type(form).__name__}.*ranking_head=False.*closed_form=None"
        with pytest.raises(ValueError, match=f"(?s){message}"):
            quick(form, ranking_head=False).fit(interactions)

    @pytest.mark.parametrize("form", ["auto", None])
    def test_what_goes_without_a_ranking_head(self, interactions, form):
        model = quick(form, ranking_head=False).fit(interactions)
        assert model._model.closed_form is None and model.closed_form_weight_ == 0

    def test_too_little_ridge(self, interactions):
        X = np.ones((9, 40)) * np.arange(1, 10)[:, None]
        X[0, 0] = 0
        with pytest.raises(ValueError, match="reg=1e-300.*larger"):
            quick(EASERecommender(reg=1e-300)).fit(X)


class TestEstimator:
    @each_form
    def test_clone_and_parameters(self, form):
        model = quick(form)
        copied = clone(model)
        assert copied.closed_form is not form and type(copied.closed_form) is type(form)
        assert copied.closed_form.get_params() == form.get_params()
        deep = model.get_params()
        assert deep["closed_form"] is form
        for name, value in form.get_params().items():
            assert deep[f"closed_form__{name}"] == value
        assert not any("__" in name for name in model.get_params(deep=False))
        copied.set_params(closed_form__half_life=7.5)
        assert copied.closed_form.half_life == 7.5 != form.half_life

    def test_repr(self):
        model = CFGDiffusionRecommender(closed_form=EASERecommender(reg=30.0))
        assert repr(model) == "CFGDiffusionRecommender(closed_form=EASERecommender(reg=30.0))"
        assert "EASERecommender" in model._repr_html_()

    def test_parameters_change_at_the_next_fit(self, distinct):
        model = quick(EASERecommender(reg=30.0)).fit(distinct)
        before = model.recommend()
        model.set_params(closed_form__reg=3.0)
        for found, expected in zip(model.recommend(), before, strict=True):
            assert_array_equal(found, expected)
        model.fit(distinct)
        expected = EASERecommender(reg=3.0).fit(distinct).item_weights_
        assert_array_equal(matrix_of(model), expected)

    def test_a_search_reaches_the_matrix(self, distinct):
        form = EASERecommender()
        search = GridSearchCV(quick(form), {"closed_form__reg": [3.0, 300.0]}, cv=2).fit(distinct)
        reg = search.best_params_["closed_form__reg"]
        assert search.best_estimator_.closed_form.reg == reg and form.reg == 300.0
        expected = EASERecommender(reg=reg).fit(distinct).item_weights_
        assert_array_equal(matrix_of(search.best_estimator_), expected)
        scores = search.cv_results_["mean_test_score"]
        assert scores[0] != scores[1]

    def test_a_search_over_forms(self, distinct):
        forms = [EASERecommender(reg=30.0), NeighborhoodRecommender(n_neighbors=9), "auto", None]
        search = GridSearchCV(quick("auto"), {"closed_form": forms}, cv=2, error_score="raise")
        search.fit(distinct)
        assert len(set(search.cv_results_["mean_test_score"])) > 1

    def test_inside_a_pipeline(self, distinct):
        pipeline = make_pipeline(FunctionTransformer(), quick(EASERecommender()))
        pipeline.set_params(cfgdiffusionrecommender__closed_form__reg=30.0).fit(distinct)
        expected = EASERecommender(reg=30.0).fit(distinct).item_weights_
        assert_array_equal(matrix_of(pipeline[-1]), expected)

    @each_form
    def test_pickling(self, interactions, form):
        model = quick(form).fit(interactions)
        loaded = pickle.loads(pickle.dumps(model))
        assert loaded.closed_form.get_params() == form.get_params()
        assert_array_equal(
            loaded.decision_function(interactions), model.decision_function(interactions)
        )

    @each_form
    def test_save_and_load(self, interactions, tmp_path, form):
        path = tmp_path / "model.safetensors"
        model = quick(form).fit(interactions)
        model.save(path)
        for loaded in (CFGDiffusionRecommender.load(path, device="cpu"), load(path, device="cpu")):
            assert type(loaded.closed_form) is type(form)
            assert loaded.closed_form.get_params() == form.get_params()
            assert_array_equal(dense(matrix_of(loaded)), dense(matrix_of(model)))
            assert_array_equal(
                loaded.decision_function(interactions), model.decision_function(interactions)
            )
            again = clone(loaded).fit(interactions)
            assert_array_equal(again.recommend()[1], model.recommend()[1])

    def test_what_load_would_refuse_is_not_saved(self, interactions, tmp_path):
        model = quick(EASERecommender(reg=30.0)).fit(interactions)
        model.set_params(closed_form__reg=-1.0)
        with pytest.raises(PersistenceError, match="'reg' parameter of EASERecommender"):
            model.save(tmp_path / "model")
        assert not list(tmp_path.iterdir())


def key_of(X, form):
    parameters = {k: v for k, v in vars(quick(form)).items() if k[0] != "_"}
    return joblib.hash(training_key(UserRows(X), None, np.ones(X.shape[0]), parameters, 0, "cpu"))


class TestMemory:
    def test_equal_parameters_have_equal_keys(self, interactions):
        groups = [
            [
                EASERecommender(reg=30.0),
                EASERecommender(reg=30),
                EASERecommender(reg=np.float64(30.0)),
                EASERecommender(reg=30.0).fit(interactions),  # what it learned is not used
            ],
            [NeighborhoodRecommender(), NeighborhoodRecommender(n_neighbors=np.int64(100))],
        ]
        keys = [{key_of(interactions, form) for form in group} for group in groups]
        assert [len(group) for group in keys] == [1, 1] and keys[0] != keys[1]

    def test_other_parameters_have_other_keys(self, interactions):
        forms = [
            None,
            "auto",
            EASERecommender(),
            EASERecommender(reg=30.0),
            EASERecommender(reg="auto"),
            EASERecommender(values="weight"),
            NeighborhoodRecommender(),
            NeighborhoodRecommender(n_neighbors=9),
            NeighborhoodRecommender(reg=30.0),
            NeighborhoodRecommender(length_exponent=0.0),
            ItemKNNRecommender(),
            ItemKNNRecommender(shrinkage=1.0),
            Together(),
            Together(power=2.0),
        ]
        assert len({key_of(interactions, form) for form in forms}) == len(forms)

    def test_classes_of_the_same_name_have_other_keys(self, interactions):
        other = type("Together", (Together,), {"__module__": "elsewhere"})
        assert key_of(interactions, Together()) != key_of(interactions, other())

    def test_a_search_trains_once_for_each_matrix(self, interactions, tmp_path, monkeypatch):
        trained, fit_model = [], _trainable.fit_model
        monkeypatch.setattr(
            _trainable,
            "fit_model",
            lambda X, *args: trained.append(args[2].closed_form.reg) or fit_model(X, *args),
        )
        grid = {"closed_form__reg": [3.0, 300.0], "guidance_scale": [1.0, 2.0]}
        model = quick(EASERecommender(), memory=tmp_path)
        search = GridSearchCV(model, grid, cv=2, refit=False, error_score="raise")
        search.fit(interactions)
        assert sorted(trained) == [3.0, 3.0, 300.0, 300.0]
        without = clone(search).set_params(estimator__memory=None).fit(interactions)
        assert_array_equal(
            search.cv_results_["mean_test_score"], without.cv_results_["mean_test_score"]
        )
