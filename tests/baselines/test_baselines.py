"""The baselines alone: their closed forms, their parameters, their learning."""

import copy
import sys

import numpy as np
import pytest
from conftest import tiny_als, tiny_flow, tiny_vae
from numpy.testing import assert_allclose, assert_array_equal
from recommender_models import OwnRecommender
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.metrics.pairwise import cosine_similarity

from skdiffrec import base, baselines
from skdiffrec.baselines import (
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)
from skdiffrec.preprocessing import recency_weights


def share_of_largest(X):
    """Weights relative to the largest of their row, dense."""
    dense = X.toarray()
    return dense / np.maximum(dense.max(axis=1, keepdims=True), 1e-300)


def inputs(model, X):
    """(what is learned from, what a list is made from) as the docstrings tell it, dense."""
    if model.values == "weight":
        return (share_of_largest(X),) * 2
    binary = (X.toarray() > 0).astype(float)
    if model.values == "time" and model.half_life is not None:
        return binary, recency_weights(X, model.half_life).toarray()
    return binary, binary


VALUES = [
    {"values": "binary"},
    {"values": "weight"},
    {"values": "time", "half_life": 3.0},
    {"values": "time", "half_life": None},
]
each_value = pytest.mark.parametrize("parameters", VALUES, ids=str)


class TestPopularity:
    @pytest.mark.parametrize("values", ["binary", "weight", "time"])
    def test_counts_users_or_adds_up_weights(self, interactions, values):
        model = PopularityRecommender(values=values).fit(interactions)
        expected = share_of_largest(interactions) if values == "weight" else interactions > 0
        expected = np.asarray(expected.sum(axis=0)).ravel()
        assert model.popularity_.dtype == np.float32 and model.popularity_.shape == (50,)
        assert_allclose(model.popularity_, expected, rtol=1e-6)
        scores = model.decision_function(interactions)
        assert (scores == model.popularity_).all()

    def test_ties_by_lower_id(self):
        model = PopularityRecommender().fit([[0, 1, 1, 1, 0], [0, 0, 1, 1, 0]])
        ids, scores = model.recommend(X=np.zeros((1, 5)), k=5)
        assert_array_equal(ids, [[2, 3, 1, 0, 4]])
        assert_array_equal(scores, [[2, 2, 1, 0, 0]])


class TestEASE:
    @each_value
    @pytest.mark.parametrize("reg", [0.5, 20.0, 1000.0])
    def test_closed_form(self, interactions, reg, parameters):
        """B = I − P·diag(1/P_jj), P = (XᵀX + λI)⁻¹ (Steck 2019, eq. 8), scores history @ B."""
        model = EASERecommender(reg=reg, **parameters).fit(interactions)
        X, history = inputs(model, interactions)
        P = np.linalg.inv(X.T @ X + reg * np.eye(50))
        B = np.eye(50) - P / np.diag(P)
        assert model.item_weights_.dtype == np.float32
        assert_array_equal(np.diag(model.item_weights_), 0)
        assert_allclose(model.item_weights_, B, rtol=1e-4, atol=1e-5)
        scores = model.decision_function(interactions)[1:]  # user 0 has no history
        assert_allclose(scores, history[1:] @ B, rtol=1e-4, atol=1e-4)

    def test_each_column_is_a_ridge_regression(self, interactions):
        """Of the item on all the others: the constraint of a zero diagonal, solved otherwise."""
        B = EASERecommender(reg=5.0).fit(interactions).item_weights_
        X = (interactions.toarray() > 0).astype(float)
        for item in (0, 7, 49):
            others = np.delete(np.arange(50), item)
            A = X[:, others]
            ridge = np.linalg.solve(A.T @ A + 5.0 * np.eye(49), A.T @ X[:, item])
            assert_allclose(B[others, item], ridge, rtol=1e-4, atol=1e-5)

    def test_too_little_ridge(self):
        """A Gram matrix that cannot be inverted is reported, with what to change."""
        X = np.ones((3, 40))
        with pytest.raises(ValueError, match="reg=1e-300.*larger"):
            EASERecommender(reg=1e-300).fit(X)

    def test_half_life_of_one_follows_the_latest(self, interactions):
        """The shorter the half-life, the more alike the lists to those of the last item alone."""
        rows = interactions[3:]
        latest = rows.toarray()
        latest[latest < latest.max(axis=1, keepdims=True)] = 0
        model = EASERecommender(reg=20.0, values="time").fit(interactions)
        last = model.decision_function(latest)
        agreement = []
        for half_life in (0.5, 3.0, None):
            scores = copy.deepcopy(model).set_params(half_life=half_life).decision_function(rows)
            pairs = zip(scores, last, strict=True)
            agreement.append(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))
        assert agreement[0] > agreement[1] > agreement[2]


class TestItemKNN:
    X = np.array([[1, 1, 0, 0], [1, 1, 0, 1], [1, 0, 1, 1]])  # items of 3, 2, 1 and 2 users

    def test_by_hand(self):
        """Users in common / (√(users · users) + shrinkage), here 2, 1, 2, 0, 1, 1 in common."""
        ab, ac, ad, bd, cd = 2 / 6**0.5, 1 / 3**0.5, 2 / 6**0.5, 1 / 2, 1 / 2**0.5
        expected = [[0, ab, ac, ad], [ab, 0, 0, bd], [ac, 0, 0, cd], [ad, bd, cd, 0]]
        model = ItemKNNRecommender().fit(self.X)
        assert model.similarity_.dtype == np.float32
        assert_allclose(model.similarity_.toarray(), expected, rtol=1e-6)
        scores = model.decision_function([[0, 1, 1, 0], [0, 0, 0, 0]])
        assert_allclose(scores, [[ab + ac, 0, 0, bd + cd], [3, 2, 1, 2]], rtol=1e-6)
        shrunk = ItemKNNRecommender(shrinkage=1.5).fit(self.X).similarity_.toarray()
        assert_allclose(shrunk[0], [0, 2 / (6**0.5 + 1.5), 1 / (3**0.5 + 1.5), shrunk[3, 0]])
        assert_allclose(shrunk[1, 3], 1 / 3.5, rtol=1e-6)

    def test_neighbors_are_the_most_similar_of_each_row(self):
        """Item 0 is as like to item 1 as to item 3: the lower id stays."""
        kept = ItemKNNRecommender(n_neighbors=1).fit(self.X).similarity_
        assert_array_equal(kept.indices, [1, 0, 3, 0])
        assert_array_equal(np.diff(kept.indptr), 1)

    @each_value
    def test_cosine_of_sklearn(self, interactions, parameters):
        model = ItemKNNRecommender(n_neighbors=50, **parameters).fit(interactions)
        X, history = inputs(model, interactions)
        cosine = cosine_similarity(X.T)
        np.fill_diagonal(cosine, 0)
        assert_allclose(model.similarity_.toarray(), cosine, rtol=1e-5, atol=1e-7)
        scores = model.decision_function(interactions)[1:]
        assert_allclose(scores, history[1:] @ cosine, rtol=1e-4, atol=1e-5)
        few = clone(model).set_params(n_neighbors=7).fit(interactions).similarity_
        for item, row in enumerate(few.toarray()):
            best = np.argsort(-cosine[item].astype(np.float32), kind="stable")[:7]
            assert set(np.flatnonzero(row)) == set(best[cosine[item, best] > 0].tolist())

    def test_blocks_of_items_do_not_matter(self, interactions, monkeypatch):
        model = ItemKNNRecommender(n_neighbors=7).fit(interactions)
        monkeypatch.setattr("skdiffrec.baselines._item_knn._ITEM_BLOCK", 16)
        again = clone(model).fit(interactions)
        assert_array_equal(model.similarity_.toarray(), again.similarity_.toarray())

    def test_an_item_nobody_took(self):
        X = np.hstack([self.X, np.zeros((3, 1))])
        similarity = ItemKNNRecommender().fit(X).similarity_.toarray()
        assert (
            np.isfinite(similarity).all() and not similarity[4].any() and not similarity[:, 4].any()
        )


class TestALS:
    @each_value
    def test_folds_in_by_least_squares(self, interactions, parameters):
        """x = (YᵀY + Yᵀ(C−I)Y + λI)⁻¹ YᵀC·p (Hu et al. 2008, eq. 4), C = 1 on unseen items."""
        model = tiny_als(alpha=3.0, regularization=0.1, **parameters).fit(interactions)
        Y = model.item_factors_.astype(float)
        assert Y.shape == (50, 8)
        _, history = inputs(model, interactions)
        expected = []
        for row in history:
            confidence = np.where(row > 0, 3.0 * row, 1.0)
            gram = Y.T @ (confidence[:, None] * Y) + 0.1 * np.eye(8)
            expected.append(Y @ np.linalg.solve(gram, Y.T @ (confidence * (row > 0))))
        scores = model.decision_function(interactions)[1:]
        assert_allclose(scores, expected[1:], rtol=1e-3, atol=2e-3)

    def test_alpha_and_regularization_matter(self, interactions):
        plain = tiny_als().fit(interactions).decision_function(interactions)
        for parameters in ({"alpha": 10.0}, {"regularization": 10.0}, {"iterations": 1}):
            other = tiny_als(**parameters).fit(interactions).decision_function(interactions)
            assert np.abs(other - plain).max() > 1e-3

    def test_random_state(self, interactions):
        factors = [
            tiny_als(random_state=seed).fit(interactions).item_factors_
            for seed in (0, 0, 1, np.random.RandomState(0))
        ]
        assert_array_equal(factors[0], factors[1])
        assert (factors[0] != factors[2]).any()
        assert_array_equal(factors[0], factors[3])

    def test_without_implicit(self, interactions, monkeypatch):
        monkeypatch.setitem(sys.modules, "implicit", None)
        monkeypatch.setitem(sys.modules, "implicit.cpu", None)
        monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
        with pytest.raises(ImportError, match=r"implicit.*pip install skdiffrec\[benchmark\]"):
            ALSRecommender().fit(interactions)

    @pytest.mark.parametrize("factors", [50, 64])
    def test_wide_factors_are_batch_invariant(self, drift_data, factors):
        X = drift_data.train
        model = ALSRecommender(factors=factors, iterations=1, random_state=0).fit(X)
        expected = model.decision_function(X)
        users = np.random.default_rng(0).permutation(X.shape[0])
        for size in (1, 5, 16, 37, 300):
            some = users[: 2 * size + 1]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("skdiffrec._utils.topk._BLOCK_ELEMENTS", size * X.shape[1])
                assert_array_equal(expected[some], model.decision_function(X[some]))


class TestParameters:
    BAD = {
        "reg": (EASERecommender(reg=0), r"'reg'.*\(0.0, inf\).*Got 0"),
        "reg nan": (EASERecommender(reg=np.nan), "'reg'.*Got nan"),
        "reg text": (EASERecommender(reg="1"), "'reg'.*Got '1'"),
        "ease half_life": (EASERecommender(half_life=0), "'half_life'.*Got 0"),
        "n_neighbors": (ItemKNNRecommender(n_neighbors=0), r"'n_neighbors'.*\[1, inf\).*Got 0"),
        "n_neighbors float": (ItemKNNRecommender(n_neighbors=2.5), "'n_neighbors'.*Got 2.5"),
        "shrinkage": (ItemKNNRecommender(shrinkage=-1), r"'shrinkage'.*\[0.0, inf\).*Got -1"),
        "knn half_life": (ItemKNNRecommender(half_life=0), "'half_life'.*Got 0"),
        "neighborhood n_neighbors": (
            NeighborhoodRecommender(n_neighbors=0),
            r"'n_neighbors'.*\[1, inf\).*Got 0",
        ),
        "neighborhood reg": (NeighborhoodRecommender(reg=0), r"'reg'.*\(0.0, inf\).*Got 0"),
        "neighborhood reg text": (NeighborhoodRecommender(reg="1"), "'reg'.*'auto'.*Got '1'"),
        "length_exponent": (
            NeighborhoodRecommender(length_exponent=-0.1),
            r"'length_exponent'.*\[0.0, 2.0\].*Got -0.1",
        ),
        "neighborhood values": (NeighborhoodRecommender(values="x"), "'values'.*Got 'x'"),
        "neighborhood half_life": (NeighborhoodRecommender(half_life=0), "'half_life'.*Got 0"),
        "factors": (ALSRecommender(factors=0), r"'factors'.*\[1, inf\).*Got 0"),
        "factors float": (ALSRecommender(factors=2.5), "'factors'.*Got 2.5"),
        "regularization": (ALSRecommender(regularization=-1), "'regularization'.*Got -1"),
        "alpha": (ALSRecommender(alpha=0), "'alpha'.*Got 0"),
        "iterations": (ALSRecommender(iterations=0), "'iterations'.*Got 0"),
        "als half_life": (ALSRecommender(half_life=-1), "'half_life'.*Got -1"),
        "random_state": (ALSRecommender(random_state="x"), "'random_state'.*Got 'x'"),
        "values": (PopularityRecommender(values="stars"), "'values'.*'binary'.*Got 'stars'"),
    }

    @pytest.mark.parametrize(("model", "says"), BAD.values(), ids=BAD)
    def test_bad(self, interactions, model, says):
        with pytest.raises(ValueError, match=f"(?s){says}"):
            clone(model).fit(interactions)

    def test_a_failed_refit_leaves_the_model(self, interactions):
        for model in (EASERecommender(), tiny_als()):
            before = model.fit(interactions).recommend()
            name = "reg" if isinstance(model, EASERecommender) else "factors"
            good = getattr(model, name)
            with pytest.raises(ValueError, match=name):
                model.set_params(**{name: -1}).fit(interactions[:9, :9])
            after = model.set_params(**{name: good}).recommend()
            assert_array_equal(before[0], after[0])
            assert_array_equal(before[1], after[1])

    def test_no_guidance(self, interactions):
        """There is nothing to guide in a baseline."""
        with pytest.raises(TypeError, match="guidance_scale"):
            EASERecommender().fit(interactions).recommend(0, guidance_scale=2.0)

    def test_public_names(self):
        for name in baselines.__all__:
            assert issubclass(getattr(baselines, name), base.BaseRecommender)


@pytest.mark.parametrize(
    "model",
    [
        EASERecommender(),
        ItemKNNRecommender(),
        NeighborhoodRecommender(),
        tiny_als(),
        tiny_vae(max_epochs=1),
        tiny_flow(max_epochs=1),
        OwnRecommender(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_is_read_at_prediction_is_checked_there_as_in_fit(model, interactions):
    model = clone(model).set_params(values="time").fit(interactions)
    before = model.recommend()[1]
    for name, bad, good in (
        *(("half_life", bad, 5.0) for bad in (0, -1, float("nan"), "a", True)),
        ("values", "rating", "time"),
    ):
        model.set_params(**{name: bad})
        calls = model.recommend, lambda: model.decision_function(interactions)
        for call in (*calls, lambda: model.recommend(X=interactions)):
            with pytest.raises(ValueError, match=rf"(?i){name}.* must be .*got '?{bad}"):
                call()
        assert_array_equal(model.set_params(**{name: good}).recommend()[1], before)


class TestLearning:
    def test_personal_models_beat_popularity(self, drift_data):
        popularity = PopularityRecommender().fit(drift_data.train)
        worst = 1.8 * popularity.score(drift_data.train, drift_data.test)
        models = [
            EASERecommender(reg=100.0),
            NeighborhoodRecommender(),
            ALSRecommender(factors=16, random_state=0),
        ]
        for model in (*models, ItemKNNRecommender(shrinkage=10.0)):
            assert model.fit(drift_data.train).score(drift_data.train, drift_data.test) > worst

    def test_recency_helps_where_tastes_move(self, drift_data):
        scores = [
            EASERecommender(reg=100.0, values=values)
            .fit(drift_data.train)
            .score(drift_data.train, drift_data.test)
            for values in ("binary", "time")
        ]
        assert scores[1] > 1.05 * scores[0]

    def test_new_rows(self):
        """A row that `fit` never saw gets the items of its own kind."""
        X = csr_array(np.kron(np.eye(2), np.ones((30, 6))) * (np.arange(12) % 6 != 0))
        X = X + csr_array(np.kron(np.eye(2), np.tril(np.ones((30, 6)))))  # the 6th of each kind
        row = np.zeros((1, 12))
        row[0, [7, 8]] = 1
        for model in (EASERecommender(reg=1.0), ItemKNNRecommender(), tiny_als(factors=2)):
            ids, _ = model.fit(X).recommend(X=row, k=4)
            assert set(ids[0].tolist()) == {6, 9, 10, 11}
