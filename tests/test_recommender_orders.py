"""Items of one time are a set: orders are held out, cut and aged whole."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.model_selection import LastFraction, RankingScorer

TINY = dict(values="time", max_epochs=2, hidden_dims=(8,), random_state=0)


@pytest.fixture(scope="module")
def orders():
    """120 users with some three orders of five items."""
    rng, dense = np.random.default_rng(0), np.zeros((120, 30))
    for row in dense:
        n = rng.integers(2, 5)
        row[rng.permutation(30)[: 5 * n]] = np.repeat(np.arange(1.0, n + 1), 5)
    return sp.csr_array(dense)


def test_half_life_counts_orders(orders):
    """The fifth order back weighs half, not the fifth item; clicks are counted one by one."""
    assert CFGDiffusionRecommender(half_life=2.0, **TINY).fit(orders)._model.half_life == 10.0
    clicks = orders.copy()
    clicks.data = np.random.default_rng(1).permutation(clicks.nnz) + 1.0
    assert CFGDiffusionRecommender(half_life=2.0, **TINY).fit(clicks)._model.half_life == 2.0


@pytest.mark.parametrize("model", [CFGDiffusionRecommender(**TINY), EASERecommender(values="time")])
def test_score_holds_out_whole_orders(orders, model):
    model = model.fit(orders)
    history, holdout = LastFraction(0.2, ties="together").hide(orders)
    expected = ndcg_at_k(model.recommend(X=history, k=10)[0], holdout, k=10)
    assert model.score(orders) == pytest.approx(expected)
    assert RankingScorer()(model, orders) == pytest.approx(expected)
    for stays, goes in zip(history.toarray(), holdout.toarray(), strict=True):
        assert stays.max() < goes[goes > 0].min()


def test_the_order_of_items_in_an_order_changes_nothing(orders):
    """Columns may come in any order: ties are not broken by it in what is read."""
    model = CFGDiffusionRecommender(**TINY).fit(orders)
    again = orders.tocoo()
    shuffled = np.random.default_rng(2).permutation(orders.nnz)
    rows, columns = again.coords
    again = sp.coo_array(
        (again.data[shuffled], (rows[shuffled], columns[shuffled])), shape=orders.shape
    )
    assert_array_equal(model.recommend(X=again.tocsr(), k=5)[0], model.recommend(X=orders, k=5)[0])
