"""A user without history gets what is popular, in exactly the order of PopularityRecommender."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from skdiffrec import CFGDiffusionRecommender, persistence
from skdiffrec.baselines import EASERecommender, PopularityRecommender

N_ITEMS = 60


def interactions():
    """Rows with many ties of popularity, of shares too; an item or two that nobody took."""
    rng = np.random.default_rng(5)
    X = rng.random((300, N_ITEMS)) < np.linspace(0.3, 0, N_ITEMS)
    return csr_array(X * rng.integers(1, 6, X.shape).astype(float))


@pytest.fixture(scope="module", params=["binary", "weight", "time"])
def model(request):
    model = CFGDiffusionRecommender(
        values=request.param, max_epochs=2, hidden_dims=(16, 16), random_state=0, device="cpu"
    )
    return model.fit(interactions())


def test_the_order_of_popularity_to_the_last_tie(model):
    X, nobody = interactions(), csr_array((2, N_ITEMS))
    expected = PopularityRecommender(values=model.values).fit(X).recommend(X=nobody, k=N_ITEMS)[0]
    ease = EASERecommender(values=model.values).fit(X).recommend(X=nobody, k=N_ITEMS)[0]
    assert_array_equal(ease, expected)
    for scale in (0.0, 1.0, 3.0):
        found = model.recommend(X=nobody, k=N_ITEMS, guidance_scale=scale)[0]
        assert_array_equal(found, expected)


@pytest.mark.parametrize("parameters", [{}, {"n_sampling_steps": 5}], ids=["one step", "five"])
def test_beside_other_users_in_parts_and_from_a_file(model, parameters, tmp_path):
    X = interactions()
    X = csr_array(np.vstack([X[:3].toarray(), np.zeros((1, N_ITEMS)), X[3:5].toarray()]))
    model.save(tmp_path / "model")
    for one in (model, persistence.load(tmp_path / "model", device="cpu")):
        one.set_params(**parameters)
        scores = one.decision_function(X)
        assert_array_equal(scores[3], one.decision_function(X[[3]])[0])
        parts = one.score_parts(X=X, guidance_scale=2.0)
        assert_array_equal(parts.unconditional[3], scores[3])
        assert_array_equal(parts.lift[3], 0)
        lists = one.recommend(X=X, k=5)[0]
        for ids in one.recommend_scales([0.5, 2.0], X=X, k=5)[0]:
            assert_array_equal(ids[3], lists[3])
        one.set_params(n_sampling_steps=1)


@pytest.mark.parametrize("values", ["binary", "weight", "time"])
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e6])
def test_weights_of_users_in_any_unit(values, size):
    """As often as their weight says, whatever a weight of 1 is called; in any order of users."""
    X, weight = interactions(), np.arange(300) % 3
    model = CFGDiffusionRecommender(
        values=values, max_epochs=1, hidden_dims=(8,), closed_form=None, random_state=0
    ).fit(X, sample_weight=weight * size)
    copies = csr_array(np.repeat(X.toarray(), weight, axis=0)[::-1])
    expected = PopularityRecommender(values=values).fit(copies)
    nobody = csr_array((1, N_ITEMS))
    popularity, ids = expected.popularity_, model.recommend(X=nobody, k=N_ITEMS)[0][0]
    # weights in another unit round sums otherwise, so that near ties may change places
    assert (np.diff(popularity[ids]) <= 1e-4).all()
    if size == 1:
        assert_array_equal(ids, expected.recommend(X=nobody, k=N_ITEMS)[0][0])


def test_explanations_start_from_it(model):
    base = model.decision_function(csr_array((1, N_ITEMS)))[0]
    why = model.explain(4, [3, 5])
    assert_array_equal(why.base, base[[3, 5]])
    why = model.explain(X=csr_array((1, N_ITEMS)), item_ids=[3, 5])
    assert_array_equal(why.score, base[[3, 5]])
    assert_array_equal(why.closed_form_base, 0)
