"""What is to be predicted: the next items, or everything later."""

import copy
import pickle

import numpy as np
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.model_selection import GridSearchCV

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._network.order_reader import OrderReader
from skdiffrec.baselines import EASERecommender
from skdiffrec.model_selection import LastN, RankingScorer

N_ITEMS = 24


def ring(n_users=240, length=9, seed=0, step=1):
    """Times of users who go round a ring, each from a place of its own."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n_users, N_ITEMS))
    for row in X:
        row[(rng.integers(N_ITEMS) + step * np.arange(length)) % N_ITEMS] = np.arange(1, length + 1)
    return csr_array(X)


def next_model(**parameters):
    defaults = dict(values="time", horizon=1, learning_rate=0.01, max_epochs=20, batch_size=16)
    return tiny_cfg(**defaults | parameters)


@pytest.fixture(name="model", scope="module")
def model_fixture():
    """Shared: never change it."""
    return next_model(closed_form=None).fit(ring())


def latest(X):
    return X.toarray().argmax(axis=1)


def test_the_network_alone_learns_what_comes_next(model):
    new = ring(40, seed=5)
    ids, _ = model.recommend(X=new, k=1)
    assert (ids[:, 0] == (latest(new) + 1) % N_ITEMS).mean() > 0.9


def test_the_order_of_the_same_items_decides():
    """Both ways round the same ring: without the order nobody could tell."""
    X = csr_array(np.concatenate([ring(240).toarray(), ring(240, step=-1, seed=1).toarray()]))
    model = next_model(closed_form=None, max_epochs=30).fit(X)
    forth, back = ring(40, seed=5), ring(40, seed=5, step=-1)
    for rows, step in ((forth, 1), (back, -1)):
        ids, _ = model.recommend(X=rows, k=1)
        assert (ids[:, 0] == (latest(rows) + step) % N_ITEMS).mean() > 0.8


def test_the_closed_form_joins():
    model = next_model(max_epochs=1, closed_form_weight=50.0).fit(ring())
    new = ring(40, seed=5)
    assert_array_equal(model.recommend(X=new, k=1)[0][:, 0], (latest(new) + 1) % N_ITEMS)
    assert model._model.closed_form.floor == 0


@pytest.mark.parametrize("horizon", [1, 2, 20])
def test_score_asks_what_the_model_was_trained_for(model, horizon):
    fitted = copy.deepcopy(model).set_params(horizon=horizon)
    X = ring(60, seed=3)
    history, holdout = LastN(horizon, ties="together").hide(X)
    if horizon == 20:  # no row is that long
        for score in (fitted.score, lambda X: RankingScorer()(fitted, X)):
            with pytest.raises(ValueError, match="holdout"):
                score(X)
        return
    expected = fitted.score(history, holdout)
    assert fitted.score(X) == expected == RankingScorer()(fitted, X)
    assert expected == RankingScorer(holdout=LastN(horizon))(fitted, X)  # there are no ties
    assert expected > 0.5


def test_score_does_not_part_what_has_one_time(model):
    X = ring(30, seed=3)
    X.data = np.ceil(X.data / 2)
    history, holdout = RankingScorer().split(model, X)
    for before, after in zip(history.toarray(), holdout.toarray(), strict=True):
        assert after.max() > before.max()
        assert not np.isin(after[after > 0], before).any()


@pytest.mark.slow
def test_a_search_over_the_horizon_asks_each_model_its_own_question():
    search = GridSearchCV(
        next_model(max_epochs=2, closed_form=EASERecommender(values="time")),
        {"horizon": [None, 1, 3]},
        scoring=RankingScorer(),
        cv=2,
    ).fit(ring(60))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        (dict(values="binary"), 'horizon=2 asks .*values=.binary.*values="time"'),
        (dict(values="weight"), 'horizon=2 asks .*values=.weight.*values="time"'),
        (dict(half_life=None), "horizon=2 reads .*half_life=None.*5.0"),
        (dict(target_share=0), 'horizon=2 predicts .*target_share=0 .*"auto"'),
        (dict(horizon=0), "horizon.*int in the range"),
        (dict(horizon=1.5), "horizon.*int"),
        (dict(horizon="next"), "horizon.*int"),
    ],
)
def test_a_horizon_that_cannot_be(parameters, says):
    model = tiny_cfg(**dict(values="time", horizon=2) | parameters)
    with pytest.raises(ValueError, match=says):
        model.fit(ring(20))
    assert not hasattr(model, "n_iter_")


def test_without_a_horizon_nothing_reads_the_order(interactions):
    for values in ("binary", "time"):
        model = tiny_cfg(values=values, max_epochs=1).fit(interactions)
        assert model._model.denoiser.item_dim is None
    model = tiny_cfg(values="time", horizon=1, max_epochs=1).fit(interactions)
    assert isinstance(model._model.denoiser.read_history, OrderReader)


@pytest.mark.parametrize("X", [np.eye(6), np.ones((5, 4)), np.arange(1.0, 6)[None]])
def test_rows_of_a_single_moment_or_user(X):
    model = next_model(max_epochs=2, horizon=2).fit(X)
    ids, scores = model.recommend(X=X[:2], k=3, filter_seen=False)
    assert (ids >= 0).all() and np.isfinite(scores).all()


def test_items_of_one_time_are_a_set(model):
    """However their columns lie: the lists of a shop that has renumbered its items."""
    X = ring(100)
    X.data = np.ceil(X.data / 3)
    order = np.random.default_rng(0).permutation(N_ITEMS)
    fitted = next_model(max_epochs=3).fit(X)
    rows = X[:10].toarray()
    assert_array_equal(fitted.decision_function(rows), fitted.decision_function(rows * 7))
    batch = np.zeros_like(rows)
    batch[:, order] = rows
    read = fitted._model.reader.read(csr_array(batch)).toarray()[:, order]
    assert_array_equal(read, fitted._model.reader.read(csr_array(rows)).toarray())


def test_files_pickles_and_guidance(model, tmp_path):
    path, X = tmp_path / "model.safetensors", ring(20, seed=9)
    fitted = next_model(max_epochs=2, n_sampling_steps=3).fit(ring())
    fitted.save(path)
    for other in (CFGDiffusionRecommender.load(path), pickle.loads(pickle.dumps(fitted))):
        assert other.horizon == 1
        assert_array_equal(other.decision_function(X), fitted.decision_function(X))
        assert_array_equal(
            other.recommend_scales([0, 1, 2], X=X)[0], fitted.recommend_scales([0, 1, 2], X=X)[0]
        )
    conditional, unconditional = (
        fitted.set_params(guidance_scale=s).decision_function(X) for s in (1.0, 0.0)
    )
    assert np.ptp(unconditional, axis=0).max() < 1e-4 < np.ptp(conditional, axis=0).max()


def test_a_horizon_of_any_size_is_all_that_follows():
    X = ring(30)
    for horizon in (50, np.int64(2**62), 2**63 - 1):
        model = next_model(max_epochs=1, horizon=horizon).fit(X)
        assert np.isfinite(model.decision_function(X[:3])).all()
        with pytest.raises(ValueError, match="No user has a holdout item"):
            model.score(X)
    assert not LastN(2**70, ties="together").hide(X)[1].nnz


def test_score_checks_the_horizon_that_is_set_after_fit(model):
    X = ring(20)
    for horizon in ("x", 2.5, 0):
        with pytest.raises(ValueError, match="horizon.*int"):
            copy.deepcopy(model).set_params(horizon=horizon).score(X)
    other = copy.deepcopy(model).set_params(values="binary")
    assert other.score(X) == RankingScorer()(other, X)  # without times there is no horizon
