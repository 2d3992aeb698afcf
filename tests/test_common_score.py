"""Every recommender's `score`, and that it learns a simple pattern."""

import numpy as np
import pytest
import scipy.sparse as sp
from common_checks import N_ITEMS, N_USERS, properties, scored_blocks
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import (
    ALSRecommender,
    FlowRecommender,
    MultVAERecommender,
    PopularityRecommender,
)
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.model_selection import LastN, RankingScorer


class TestScore:
    def test_is_ndcg_at_10_of_the_lists(self, fitted, interactions, holdout):
        ids, _ = fitted.recommend(X=interactions, k=10)
        expected = ndcg_at_k(ids, holdout, k=10)
        score = fitted.score(interactions, holdout)
        assert isinstance(score, float) and score == expected > 0

    def test_holds_out_a_fifth_of_every_row(self, fitted, interactions):
        with scored_blocks(fitted) as blocks:
            score = fitted.score(interactions)
        history = sp.vstack(blocks).toarray()
        full = interactions.toarray() if fitted.values != "binary" else interactions.toarray() > 0
        held_out = full - history * 1.0
        assert ((held_out == 0) | (history == 0)).all()  # each entry is in one part, as it was
        length = (full > 0).sum(axis=1)
        n_held_out = np.clip(np.maximum(np.round(0.2 * length), 1), 0, np.maximum(length - 1, 0))
        if horizon := getattr(fitted, "horizon", None):
            n_held_out = np.where(length > horizon, horizon, 0)
        assert_array_equal((held_out > 0).sum(axis=1), n_held_out)
        ids, _ = fitted.recommend(X=history, k=10)
        assert score == ndcg_at_k(ids, held_out, k=10)
        if fitted.values == "time":
            latest = np.where(held_out > 0, held_out, np.inf).min(axis=1)
            assert (latest > history.max(axis=1)).all()

    def test_of_repeated_times_the_earliest_counts(self):
        """What is held out is what the splitters hold out; `fit` and lists take the latest."""
        times = np.array([1.0, 2, 3, 9, 4, 5, 6])
        rows, items = [0, 0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2, 3]
        X = sp.coo_array((times, (rows, items)), shape=(2, 12))
        earliest = X.toarray()
        earliest[0, 0] = 1  # dense, the sum
        model = PopularityRecommender(values="time").fit(earliest)
        with scored_blocks(model) as blocks:
            score = model.score(X)
        history, holdout = LastN(1).hide(X)
        assert_array_equal(blocks[0].toarray(), history.toarray())
        assert holdout.toarray()[0, 2] == 3
        labels = np.zeros(2)
        with pytest.warns(UserWarning, match="ignored"):
            assert model.score(X, labels) == score
        for split in (
            RankingScorer().split(model, X),
            RankingScorer(holdout=LastN(1)).split(model, X),
        ):
            assert_array_equal(split[0].toarray(), history.toarray())
            assert_array_equal(split[1].toarray(), holdout.toarray())
        assert RankingScorer()(model, X) == score == model.score(earliest)
        assert model.fit(X)._fit_X[0, 0] == 9

    def test_is_seeded(self, fitted, interactions):
        assert fitted.score(interactions) == fitted.score(interactions)

    @pytest.mark.slow
    @given(order=st.permutations(range(3, N_USERS)), cut=st.integers(1, N_USERS - 4))
    @properties
    def test_what_is_held_out_of_a_user_ignores_the_others(self, fitted, interactions, order, cut):
        """A mean over users: scores of two halves average to that of the whole."""
        one, other = order[:cut], order[cut:]
        whole = fitted.score(interactions[order])
        parts = [fitted.score(interactions[part]) * len(part) for part in (one, other)]
        assert sum(parts) / len(order) == pytest.approx(whole, rel=1e-12)

    def test_users_without_holdout_do_not_count(self, fitted, interactions, holdout):
        users = np.flatnonzero(np.diff(holdout.indptr))
        assert len(users) < N_USERS
        expected = fitted.score(interactions[users], holdout[users])
        assert fitted.score(interactions, holdout) == pytest.approx(expected, rel=1e-12)

    def test_labels_are_ignored(self, fitted, interactions):
        with pytest.warns(UserWarning, match=r"y of shape \(120,\).*ignored"):
            score = fitted.score(interactions, np.arange(N_USERS))
        assert score == fitted.score(interactions)

    def test_overlap_is_an_error(self, fitted, interactions, holdout):
        y = holdout.toarray()
        user = 5
        y[user, interactions[[user]].indices[:2]] = 1
        for overlapping in (y, csr_array(y)):
            with pytest.raises(ValueError, match="X and y overlap in 2 interactions"):
                fitted.score(interactions, overlapping)
        with pytest.raises(ValueError, match="overlap"):
            fitted.score(interactions, interactions)

    def test_other_shape_is_an_error(self, fitted, interactions, holdout):
        for y in (holdout[:-1], holdout[:, :-1]):
            with pytest.raises(ValueError, match=r"y has shape .*X has shape \(120, 50\)"):
                fitted.score(interactions, y)

    def test_nothing_to_evaluate_on_is_an_error(self, fitted, interactions):
        with pytest.raises(ValueError, match="No user has a holdout item"):
            fitted.score(interactions, csr_array(interactions.shape))
        with pytest.raises(ValueError, match="fewer than 2 interactions"):
            fitted.score(np.eye(N_ITEMS))


@pytest.fixture(scope="module")
def checkerboard():
    """60 users like the 10 even or the 10 odd of 20 items; 2 of each user's are withheld."""
    users, items = np.arange(60)[:, None], np.arange(20)
    likes = (users + items) % 2 == 0
    withheld = likes & ((items // 2 - users // 2) % 10 < 2)
    values = 1 + np.random.default_rng(0).random(likes.shape).argsort(axis=1)
    return np.where(likes & ~withheld, values, 0), withheld


def test_learns_a_checkerboard(model, checkerboard):
    """What a user likes and has not seen comes first, for every user of every model."""
    X, withheld = checkerboard
    if isinstance(model, CFGDiffusionRecommender):
        # x0: estimates made from noise at the last timesteps hold little
        model.set_params(prediction_type="x0", max_epochs=40, early_stopping=False, dropout=0.0)
        model.set_params(batch_size=8, learning_rate=3e-3)
        if model.horizon is not None:  # all that is left: there is no order to learn
            model.set_params(horizon=8)
    elif isinstance(model, ALSRecommender):
        model.set_params(factors=2)
    elif isinstance(model, (FlowRecommender, MultVAERecommender)):
        model.set_params(max_epochs=60, batch_size=8)
        if isinstance(model, FlowRecommender):
            model.set_params(temperature=0.0)  # a draw holds some of the items
    ids, _ = model.fit(X).recommend(k=2)
    found = np.take_along_axis(withheld, ids, axis=1).all(axis=1)
    if isinstance(model, PopularityRecommender):
        assert found.mean() < 0.5
    else:
        assert found.all()


@pytest.mark.parametrize("fitted", ["popularity", "ease-weight"], indirect=True)
@pytest.mark.parametrize("form", "csr csc coo lil dok dia bsr".split())
def test_scorers_and_holdouts_read_every_format(fitted, interactions, holdout, form):
    X, y = (getattr(sp, f"{form}_array")(part) for part in (interactions, holdout))
    scorer = RankingScorer()
    assert scorer(fitted, X, y) == scorer(fitted, interactions, holdout)
    assert scorer(fitted, X) == scorer(fitted, interactions)
    for found, expected in zip(LastN(2).hide(X), LastN(2).hide(interactions), strict=True):
        assert (found != expected).nnz == 0
    assert len(list(LastN(2).split(X, y))) == 1
