"""What item-item models share: ridges relative to the data, and subclasses by a user."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skdiffrec.baselines import EASERecommender, ItemItemRecommender
from skdiffrec.persistence import PersistenceError
from skdiffrec.preprocessing import recency_weights


class TogetherRecommender(ItemItemRecommender):
    """Users in common times a power, in a form that is asked for."""

    _saved_arrays = {"together_": ("n_features_in_", "n_features_in_")}
    _weights_name = "together_"

    def __init__(self, *, power=1.0, form=np.asarray, values="binary", half_life=5.0):
        self.power = power
        self.form = form
        self.values = values
        self.half_life = half_life

    def _solve(self, rows):
        together = (rows.T @ rows).toarray() ** self.power
        return self.form(np.triu(together))  # not symmetric: rows are not columns


FORMS = {
    "float32": lambda D: D.astype(np.float32),
    "float64": lambda D: D.astype(np.float64),
    "int": lambda D: np.round(D).astype(int),
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "coo_array": sp.coo_array,
}


class TestOwnModels:
    @pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
    def test_any_form_of_weights(self, interactions, form):
        model = TogetherRecommender(form=form).fit(interactions)
        kept = model.together_
        assert type(kept) is (sp.csr_array if sp.issparse(kept) else np.ndarray)
        assert kept.dtype == np.float32
        X = (interactions.toarray() > 0).astype(float)
        expected = np.triu(X.T @ X)
        assert_array_equal(kept.toarray() if sp.issparse(kept) else kept, expected)
        scores = model.decision_function(interactions)
        assert scores.dtype == np.float32 and type(scores) is np.ndarray
        assert_allclose(scores[1:], X[1:] @ expected)
        assert_array_equal(scores[0], X.sum(axis=0))  # user 0 has no history
        ids, _ = model.recommend(X=interactions, k=5)
        unseen = np.where(X > 0, -np.inf, X @ expected)
        unseen[0] = X.sum(axis=0)
        best = np.argsort(-unseen, axis=1, kind="stable")[:, :5]
        assert_array_equal(ids[ids >= 0], best[ids >= 0])
        assert model.similar_items([3, 7], k=4)[0].shape == (2, 4)

    def test_values_and_recency(self, interactions):
        model = TogetherRecommender(values="time", half_life=2.0).fit(interactions)
        X = (interactions.toarray() > 0).astype(float)
        assert_array_equal(model.together_, np.triu(X.T @ X))
        history = recency_weights(interactions, 2.0).toarray()
        scores = model.decision_function(interactions)[1:]
        assert_allclose(scores, history[1:] @ np.triu(X.T @ X), rtol=1e-5)
        model = TogetherRecommender(values="weight").fit(interactions)
        dense = interactions.toarray()
        share = dense / np.maximum(dense.max(axis=1, keepdims=True), 1e-300)
        assert_allclose(model.together_, np.triu(share.T @ share), rtol=1e-5)

    def test_learning_with_weights_of_users(self, interactions):
        weight = np.arange(interactions.shape[0]) % 3 + 0.5
        model = TogetherRecommender()
        X = (interactions.toarray() > 0).astype(float)
        assert_allclose(
            model._learn(interactions, weight), np.triu((X * weight[:, None]).T @ X), rtol=1e-5
        )
        assert not hasattr(model, "together_")
        assert_array_equal(model._learn(interactions), model.fit(interactions).together_)

    def test_it_is_an_estimator(self, interactions):
        model = clone(TogetherRecommender(power=0.5))
        assert model.get_params()["power"] == 0.5
        assert model.fit(interactions).score(interactions) > 0
        assert clone(model).set_params(power=2.0).fit(interactions).together_.max() > 1_000

    @pytest.mark.parametrize("form", [lambda D: D[:, 1:], lambda D: D.ravel(), lambda D: D[0]])
    def test_weights_of_another_shape(self, interactions, form):
        model = TogetherRecommender(form=form)
        with pytest.raises(ValueError, match=r"TogetherRecommender._solve.*must be \(50, 50\)"):
            model.fit(interactions)
        assert not hasattr(model, "n_features_in_")

    def test_without_a_way_to_solve(self, interactions):
        class Nothing(ItemItemRecommender):
            _weights_name = "nothing_"

        with pytest.raises(NotImplementedError):
            Nothing().fit(interactions)

    def test_save_and_load(self, interactions, tmp_path):
        model = TogetherRecommender(power=0.5, form=None)
        path = tmp_path / "model.safetensors"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TogetherRecommender, "_solve", lambda self, rows: np.eye(50))
            model.fit(interactions).save(path)
        loaded = TogetherRecommender.load(path)
        assert_array_equal(loaded.together_, model.together_)
        assert_array_equal(loaded.recommend()[0], model.recommend()[0])
        with pytest.raises(PersistenceError, match="form=.*cannot be saved"):
            TogetherRecommender().fit(interactions).save(path)


class TestAutomaticRidgeOfEASE:
    @pytest.mark.parametrize("values", ["binary", "weight", "time"])
    def test_ten_times_the_mean_diagonal(self, interactions, values):
        dense = interactions.toarray()
        X = (dense > 0).astype(float)
        if values == "weight":
            X = dense / np.maximum(dense.max(axis=1, keepdims=True), 1e-300)
        reg = 10 * np.diag(X.T @ X).mean()
        model = EASERecommender(reg="auto", values=values).fit(interactions)
        expected = EASERecommender(reg=reg, values=values).fit(interactions)
        assert_allclose(model.item_weights_, expected.item_weights_, rtol=1e-4, atol=1e-6)
        other = EASERecommender(reg=1.1 * reg, values=values).fit(interactions)
        assert np.abs(other.item_weights_ - expected.item_weights_).max() > 1e-3

    def test_it_grows_with_the_data(self, interactions):
        """Twice the users, the same weights."""
        twice = sp.vstack([interactions, interactions], format="csr")
        one, two = (EASERecommender(reg="auto").fit(X).item_weights_ for X in (interactions, twice))
        assert_allclose(one, two, rtol=1e-5, atol=1e-7)

    def test_weights_of_users_count(self, interactions):
        model, n = EASERecommender(reg="auto"), interactions.shape[0]
        copies = np.repeat(np.arange(n), np.arange(n) % 3)
        assert_allclose(
            model._learn(interactions, np.arange(n) % 3.0),
            model._learn(interactions[copies]),
            rtol=1e-5,
            atol=1e-7,
        )

    def test_it_stays_a_parameter(self, interactions, tmp_path):
        model = EASERecommender(reg="auto").fit(interactions)
        assert model.reg == "auto"
        model.save(tmp_path / "ease")
        assert EASERecommender.load(tmp_path / "ease").get_params() == model.get_params()
