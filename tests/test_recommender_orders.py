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


@pytest.mark.parametrize("sizes", [[5, 5], [3, 5], [3, 3, 7]])
def test_what_is_held_out_or_merged_does_not_decide(sizes):
    """Whether items come in sets, and of what size, is seen in all of X."""
    rng, dense = np.random.default_rng(0), np.zeros((100, 30))
    for row in dense[:60]:
        times = np.repeat(np.arange(1.0, len(sizes) + 1), sizes)
        row[rng.permutation(30)[: len(times)]] = times
    dense[60:, :5] = 1  # the same order of many users
    size = np.count_nonzero(dense) / (60 * len(sizes) + 40)
    for changes in ({}, {"early_stopping": False}, {"validation_fraction": 0.9}):
        model = CFGDiffusionRecommender(**TINY | changes).fit(dense)
        assert model._model.half_life == pytest.approx(5 * size)


def test_items_of_an_order_are_of_one_age(orders):
    """Which of them has the higher id changes nothing in what is read of a history."""
    model = CFGDiffusionRecommender(**TINY).fit(orders)
    row = orders[:1].toarray()
    found = model.decision_function(row)
    for order in (1.0, 2.0):
        turned = row.copy()
        first, *_, last = np.flatnonzero(row == order)
        turned[0, [first, last]] += 1e-3, 2e-3  # no set any more
        assert np.abs(model.decision_function(turned) - found).max() > 1e-6
    stretched = np.where(row > 0, row**2 + 7, 0)
    assert_array_equal(model.decision_function(stretched), found)
