"""User features beside tables of events: known users keep theirs, new ones are given theirs."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec.datasets import make_interactions
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender, recommend_batches

N_USERS = 80


@pytest.fixture(scope="module")
def shop():
    """(encoder, model, features by row, data): user 003 is row 3."""
    data = make_interactions(N_USERS, 40, n_interactions_per_user=8, n_tastes=4, random_state=2)
    user, item = data.train.nonzero()
    events = [(f"{u:03}", f"{i:03}") for u, i in zip(user, item, strict=True)]
    encoder = InteractionEncoder()
    X = encoder.fit_transform(events)
    model = tiny_cfg(guidance_scale={"user_features": 2.0}).fit(X, user_features=data.user_features)
    return encoder, model, data.user_features, X


def lists(model, encoder, *args, **options):
    return [
        (table["user"], table["item"], table["score"])
        for table in recommend_batches(model, encoder, *args, k=4, **options)
    ]


def expected_of(shop, X, U):
    encoder, model, _, _ = shop
    ids, scores = model.recommend(X=X, user_features=U, k=4)
    return encoder.items_[ids.ravel()], scores.ravel()


def test_known_users_with_new_events_keep_their_features(shop):
    encoder, model, U, X = shop
    item = next(i for i in range(40) if not X[3, i])
    events = [("003", encoder.items_[item]), ("new", encoder.items_[7])]
    ((users, items, scores),) = lists(model, encoder, events)
    assert users[0] == "003" and users[-1] == "new"
    rows = sp.lil_array((2, X.shape[1]))
    rows[0, X[[3]].indices], rows[0, item], rows[1, 7] = 1, 1, 1
    features = sp.csr_array(np.stack([U[[3]].toarray()[0], np.zeros(8)]))
    expected = expected_of(shop, rows.tocsr(), features)
    assert_array_equal(items, expected[0])
    assert_allclose(scores, expected[1], atol=1e-5)


@pytest.mark.parametrize(
    "form", [sp.csr_array, sp.csr_array.toarray, lambda U: U.toarray().tolist()]
)
def test_features_and_scales_of_each_user_in_batches(shop, form):
    encoder, model, U, X = shop
    users, given = ["005", "001", "009", "005"], U[[7, 8, 9, 10]]
    scale = {"user_features": [0.0, 1.0, 2.0, 3.0]}
    options = {"users": users, "user_features": form(given), "guidance_scale": scale}
    found = lists(model, encoder, batch_size=3, **options)
    assert len(found) == 2
    rows = X[[5, 1, 9, 5]]
    ids, scores = model.recommend(X=rows, user_features=given, guidance_scale=scale, k=4)
    assert_array_equal(np.concatenate([part[1] for part in found]), encoder.items_[ids.ravel()])
    assert_allclose(np.concatenate([part[2] for part in found]), scores.ravel(), atol=1e-5)


@pytest.mark.parametrize("scale", [2.0, np.float64(2.0), np.array(2.0), 2])
def test_one_scale_for_all_users_in_a_dict(shop, scale):
    encoder, model, U, X = shop
    ((_, items, _),) = lists(model, encoder, users=["005"], guidance_scale={"user_features": scale})
    expected, _ = model.recommend([5], 4, guidance_scale={"user_features": 2.0})
    assert_array_equal(items, encoder.items_[expected[0]])


def test_a_new_user_with_a_profile_alone(shop):
    encoder, model, U, X = shop
    options = {"users": ["zoe"], "unknown_users": "popular"}
    ((_, items, _),) = lists(model, encoder, user_features=U[[2]], **options)
    expected, _ = expected_of(shop, sp.csr_array((1, X.shape[1])), U[[2]])
    assert_array_equal(items, expected)
    ((_, popular, _),) = lists(model, encoder, **options)
    assert popular.tolist() != items.tolist()


def test_the_bundle_passes_them_on(shop):
    encoder, model, U, _ = shop
    bundle = TableRecommender.from_fitted(model, encoder)
    found = bundle.recommend(["004"], k=4, user_features=U[[6]])
    expected = next(recommend_batches(model, encoder, users=["004"], k=4, user_features=U[[6]]))
    assert_array_equal(found["item"], expected["item"])


def test_refusals(shop):
    encoder, model, U, _ = shop
    with pytest.raises(ValueError, match="user_features has 3 values for 2 users"):
        recommend_batches(model, encoder, users=["001", "002"], user_features=U[:3])
    with pytest.raises(ValueError, match=r"guidance_scale\['history'\] has 3 values for 2 users"):
        scale = {"history": [1.0, 2.0, 3.0]}
        recommend_batches(model, encoder, users=["001", "002"], guidance_scale=scale)
