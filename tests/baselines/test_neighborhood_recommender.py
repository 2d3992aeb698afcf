"""NeighborhoodRecommender against NumPy's solve, ridge regression and EASE."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skdiffrec.baselines import EASERecommender, NeighborhoodRecommender
from skdiffrec.persistence import PersistenceError, load
from skdiffrec.preprocessing import recency_weights

N_ITEMS = 50
VALUES = [
    {"values": "binary"},
    {"values": "weight"},
    {"values": "time", "half_life": 3.0},
    {"values": "time", "half_life": None},
]
each_value = pytest.mark.parametrize("parameters", VALUES, ids=str)
by_catalogue = pytest.mark.parametrize("max_items", [0, 5_000])


@pytest.fixture(autouse=True)
def catalogue(monkeypatch, request):
    """With `max_items`: from how many items on a catalogue is a large one."""
    if "max_items" in request.fixturenames:
        max_items = request.getfixturevalue("max_items")
        monkeypatch.setattr("skdiffrec.baselines._neighborhood.EASE_MAX_ITEMS", max_items)


def learned(X, values, length_exponent):
    """The rows that are learned from, dense, a user of n items scaled by n ** (-exponent / 2)."""
    dense = X.toarray()
    rows = (dense > 0).astype(float)
    if values == "weight":
        rows = dense / np.maximum(dense.max(axis=1, keepdims=True), 1e-300)
    length = np.maximum((dense > 0).sum(axis=1, keepdims=True), 1)
    return rows * length ** (-length_exponent / 2)


def slow_weights(rows, reg, n_neighbors):
    """The definition, item by item; of equal cosines lower ids come first."""
    gram = rows.T @ rows
    norms = np.sqrt(np.diag(gram))
    B = np.zeros_like(gram)
    for item in range(len(gram)):
        met = np.flatnonzero(gram[:, item])
        met = met[met != item]
        # in float32, as ties are settled there
        cosine = gram[met, item].astype(np.float32) / norms[met].astype(np.float32)
        near = met[np.argsort(-cosine, kind="stable")[:n_neighbors]]
        local = gram[np.ix_(near, near)] + reg * np.eye(len(near))
        B[near, item] = np.linalg.solve(local, gram[near, item])
    return B


@by_catalogue
@each_value
@pytest.mark.parametrize("n_neighbors", [3, 12, 100])
@pytest.mark.parametrize("length_exponent", [0.0, 0.5, 1.3])
def test_weights_are_a_ridge_on_the_nearest_items(
    interactions, max_items, n_neighbors, length_exponent, parameters
):
    model = NeighborhoodRecommender(
        n_neighbors=n_neighbors, reg=2.0, length_exponent=length_exponent, **parameters
    ).fit(interactions)
    rows = learned(interactions, model.values, length_exponent)
    B = model.item_weights_
    assert isinstance(B, sp.csr_array) and B.dtype == np.float32 and B.shape == (50, 50)
    assert not B.diagonal().any()
    assert np.diff(B.tocsc().indptr).max() == min(n_neighbors, N_ITEMS - 1)
    if n_neighbors == 100 or length_exponent:  # else ties are settled by rounding
        assert_allclose(B.toarray(), slow_weights(rows, 2.0, n_neighbors), atol=1e-4)
    history = learned(interactions, model.values, 0.0)
    if model.values == "time" and model.half_life is not None:
        history = recency_weights(interactions, model.half_life).toarray()
    scores = model.decision_function(interactions)[1:]  # user 0 has no history
    assert_allclose(scores, history[1:] @ B.toarray(), rtol=1e-4, atol=1e-4)


@by_catalogue
@pytest.mark.parametrize("n_neighbors", [N_ITEMS - 1, N_ITEMS, 10**9])
def test_with_all_neighbors_and_plain_users_it_is_ease(interactions, max_items, n_neighbors):
    """Where every two items have a user in common, as here by user 2 and others."""
    X = sp.vstack([interactions, sp.csr_array(np.ones((1, N_ITEMS)))], format="csr")
    model = NeighborhoodRecommender(n_neighbors=n_neighbors, reg=7.0, length_exponent=0.0).fit(X)
    ease = EASERecommender(reg=7.0).fit(X)
    assert_allclose(model.item_weights_.toarray(), ease.item_weights_, atol=1e-5)


def test_items_that_are_never_met_together_have_no_weight():
    """Two groups of items without a common user: EASE of each group on its own."""
    rng = np.random.default_rng(0)
    groups = [(rng.random((60, 8)) < 0.5).astype(float) for _ in range(2)]
    model = NeighborhoodRecommender(reg=3.0, length_exponent=0.0)
    B = model.fit(sp.block_diag(groups, format="csr")).item_weights_.toarray()
    for group, own in zip(groups, (B[:8, :8], B[8:, 8:]), strict=True):
        assert_allclose(own, EASERecommender(reg=3.0).fit(group).item_weights_, atol=1e-5)
    assert not B[:8, 8:].any() and not B[8:, :8].any()


@pytest.mark.parametrize("item", [0, 7, 49])
def test_a_column_is_a_ridge_of_sklearn(interactions, item):
    model = NeighborhoodRecommender(n_neighbors=9, reg=4.0, length_exponent=0.0)
    weights = model.fit(interactions).item_weights_[:, [item]].toarray().ravel()
    near = np.flatnonzero(weights)
    assert len(near) == 9
    rows = learned(interactions, "binary", 0.0)
    ridge = Ridge(alpha=4.0, fit_intercept=False).fit(rows[:, near], rows[:, item])
    assert_allclose(weights[near], ridge.coef_, atol=1e-5)


@by_catalogue
@each_value
@pytest.mark.parametrize("length_exponent", [0.0, 0.5])
def test_the_automatic_ridge(interactions, max_items, length_exponent, parameters):
    """3 times the mean of the diagonal of XᵀX, users weighted by their lengths."""
    model = NeighborhoodRecommender(
        n_neighbors=10, length_exponent=length_exponent, **parameters
    ).fit(interactions)
    rows = learned(interactions, model.values, length_exponent)
    reg = 3 * (rows**2).sum(axis=0).mean()
    expected = clone(model).set_params(reg=reg).fit(interactions)
    assert_allclose(
        model.item_weights_.toarray(), expected.item_weights_.toarray(), rtol=1e-4, atol=1e-6
    )
    other = clone(model).set_params(reg=2 * reg).fit(interactions)
    assert np.abs(other.item_weights_ - expected.item_weights_).max() > 1e-3


def test_a_large_catalogue_has_the_same_weights(interactions, monkeypatch):
    model = NeighborhoodRecommender(n_neighbors=7)
    narrow = model.fit(interactions).item_weights_.toarray()
    monkeypatch.setattr("skdiffrec.baselines._neighborhood.EASE_MAX_ITEMS", 0)
    wide = clone(model).fit(interactions).item_weights_.toarray()
    assert_array_equal(wide != 0, narrow != 0)
    assert_allclose(wide, narrow, atol=1e-5)


def test_the_unit_of_weights_does_not_matter(interactions):
    model = NeighborhoodRecommender(n_neighbors=7, values="weight")
    one, other = (clone(model).fit(X).item_weights_ for X in (interactions, 60 * interactions))
    assert_array_equal(one.toarray(), other.toarray())


@pytest.mark.parametrize("length_exponent", [0, 1, 2, np.int64(1)])
def test_whole_exponents(interactions, length_exponent):
    model = NeighborhoodRecommender(n_neighbors=7, length_exponent=length_exponent)
    found = model.fit(interactions).item_weights_
    other = clone(model).set_params(length_exponent=float(length_exponent)).fit(interactions)
    assert_array_equal(found.toarray(), other.item_weights_.toarray())


def test_similar_items_are_those_of_largest_weight(interactions):
    model = NeighborhoodRecommender(n_neighbors=7).fit(interactions)
    B = model.item_weights_.toarray()
    ids, scores = model.similar_items([3, 8], k=4)
    for item, found, similarity in zip([3, 8], ids, scores, strict=True):
        assert_array_equal(similarity, B[item, found])
        assert_array_equal(similarity, np.sort(B[item][B[item] != 0])[::-1][:4])


def test_items_that_nobody_took(interactions):
    X = interactions.toarray()
    X[:, [4, 20]] = 0
    B = NeighborhoodRecommender().fit(X).item_weights_.toarray()
    assert np.isfinite(B).all()
    for item in (4, 20):
        assert not B[item].any() and not B[:, item].any()


def test_one_item_alone():
    model = NeighborhoodRecommender().fit([[1.0], [1.0]])
    assert model.item_weights_.nnz == 0
    assert_array_equal(model.decision_function([[1.0]]), [[0.0]])


def test_too_little_ridge():
    with pytest.raises(ValueError, match="neighbourhood.*reg=1e-300.*larger"):
        NeighborhoodRecommender(reg=1e-300).fit(np.ones((3, 40)))


@pytest.mark.parametrize("reg", ["auto", 5.0])
@pytest.mark.parametrize("include_data", [True, False])
def test_save_and_load(interactions, tmp_path, reg, include_data):
    path = tmp_path / "model.safetensors"
    model = NeighborhoodRecommender(n_neighbors=7, reg=reg, length_exponent=1, values="time")
    model.fit(interactions).save(path, include_data=include_data)
    for loaded in (NeighborhoodRecommender.load(path), load(path)):
        assert type(loaded) is NeighborhoodRecommender
        assert loaded.get_params() == model.get_params()
        assert_array_equal(loaded.item_weights_.toarray(), model.item_weights_.toarray())
        for found, expected in zip(
            loaded.recommend(X=interactions), model.recommend(X=interactions), strict=True
        ):
            assert_array_equal(found, expected)
    with pytest.raises(PersistenceError, match="NeighborhoodRecommender"):
        EASERecommender.load(path)
