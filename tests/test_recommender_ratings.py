"""Ratings: what users like and dislike, as two conditions, in every question to a model."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from profiled_models import same
from rated_models import (  # noqa: F401
    N_ITEMS,
    N_USERS,
    opinions_of,
    rated_data,
    rated_fixture,
    some,
)
from sklearn.model_selection import cross_validate

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import disliked_at_k, ndcg_at_k
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer

SCALES = {"history": [1.0, 0.5, 2.0, 1.0, -1.0], "disliked": [2.5, 1.0, 0.0, 3.0, 2.0]}
USERS = [0, 1, 2, 3, 4]


class TestChain:
    def test_scores_are_the_parts_times_their_scales(self, rated):
        model, _, _ = rated
        ids, scores = model.recommend(USERS, 6, guidance_scale=SCALES)
        parts = model.score_parts(USERS, ids, guidance_scale=SCALES)
        assert list(parts.lifts)[-2:] == ["history", "disliked"]
        total = parts.unconditional.copy()
        for name, lift in parts.lifts.items():
            total += np.broadcast_to(SCALES.get(name, 1.0), 5)[:, None] * lift
        atol = 1e-4 * np.nanmax(np.abs(scores[np.isfinite(scores)]))
        assert_allclose(total, np.where(ids < 0, np.nan, scores), atol=atol)
        assert_allclose(sum(parts.lifts.values()), parts.lift, atol=atol)

    def test_ones_are_the_conditional_model(self, rated):
        model, _, _ = rated
        ones = model.recommend(USERS, 6, guidance_scale={"disliked": 1.0})
        same(ones, model.recommend(USERS, 6, guidance_scale=1.0))

    def test_who_dislikes_nothing_is_not_moved(self, rated):
        model, _, _ = rated
        for user in (0, 2):
            plain = model.recommend([user], 6)
            same(model.recommend([user], 6, guidance_scale={"disliked": 4.0}), plain)

    def test_who_dislikes_something_is_moved(self, rated):
        model, _, _ = rated
        plain, moved = (
            model.decision_function(rated[1][1:2], guidance_scale={"disliked": scale})
            for scale in (1.0, 3.0)
        )
        assert np.abs(plain - moved).max() > 1e-4

    def test_the_dial_adds_what_is_disliked_with_a_minus(self, rated):
        """Of a linear path and of what others dislike; the network reads dislikes at any scale."""
        model, X, options = rated
        rows, head = some(options, slice(5, 15)), model._model.denoiser.disliked
        _, disliked = opinions_of(model, X[5:15])
        at = [
            model.decision_function(X[5:15], guidance_scale={"disliked": s}, **rows)
            for s in (0.0, 2.0)
        ]
        if not model.ranking_head or model.n_sampling_steps > 1:
            return
        expected = np.outer(disliked.any(1), -0.3 * head.odds.numpy())
        if model._model.closed_form is not None:
            D = model._model.closed_form.entries(np.arange(N_ITEMS))
            expected = expected - 0.1 * model._model.closed_form_scale * disliked @ D
        assert_allclose((at[1] - at[0]) / 2, expected, atol=1e-4)

    def test_odds_of_an_item(self, rated):
        model, X, _ = rated
        odds = model._model.denoiser.disliked.odds.numpy()
        liked, disliked = (part > 0 for part in opinions_of(model, X))
        share = disliked.sum(0) / np.maximum((liked | disliked).sum(0), 1)
        assert np.corrcoef(odds, share)[0, 1] > 0.8
        assert np.isfinite(odds).all()


class TestQuestions:
    def test_nothing_that_was_rated_is_listed(self, rated):
        model, X, _ = rated
        ids, _ = model.recommend(None, 8)
        assert not np.take_along_axis(X.toarray(), np.maximum(ids, 0), 1)[ids >= 0].any()
        everything, _ = model.recommend(None, N_ITEMS, filter_seen=False)
        assert (np.sort(everything, 1) == np.arange(N_ITEMS)).all()

    def test_rows_of_fit_and_given_rows(self, rated):
        model, X, options = rated
        rows = [4, 1, 2, 33]
        same(model.recommend(rows, 6), model.recommend(X=X[rows], k=6, **some(options, rows)))
        same(model.recommend(X=X[rows].toarray(), k=6), model.recommend(X=X[rows].tocoo(), k=6))

    def test_other_users_make_no_difference(self, rated):
        model, X, options = rated
        scale = {"disliked": 2.0}
        whole = model.decision_function(X, guidance_scale=scale, **options)
        rows = np.array([77, 0, 3, 1, 2])
        few = model.decision_function(X[rows], guidance_scale=scale, **some(options, rows))
        assert_array_equal(few, whole[rows])

    def test_a_grid_of_scales_is_each_of_its_lists(self, rated):
        model, X, _ = rated
        grid = {"disliked": [0.0, 1.0, 3.0], "history": [0.5, 2.0]}
        ids, scores = model.recommend_scales(grid, X=X[:6], k=5)
        for i, disliked in enumerate(grid["disliked"]):
            for j, history in enumerate(grid["history"]):
                scale = {"disliked": disliked, "history": history}
                expected = model.recommend(X=X[:6], k=5, guidance_scale=scale)
                assert_allclose(scores[i, j], expected[1], atol=1e-3)
                assert (ids[i, j] == expected[0]).mean() > 0.9

    def test_explanations_leave_out_one_rating_after_the_other(self, rated):
        model, X, options = rated
        if model.temperature or model.start_timestep:  # a shorter row has other noise, other means
            return
        row, scale = X[[7]], {"disliked": 2.0}
        why = model.explain(
            0, [3, 50, 8], X=row, guidance_scale=scale, **some(options, slice(7, 8))
        )
        assert_array_equal(why.history, row.indices)
        liked, disliked = opinions_of(model, row)
        assert list(why.conditions)[-2:] == ["history", "disliked"]
        assert_array_equal(liked[0, why.history] + disliked[0, why.history] > 0, True)
        form = model._model.closed_form
        if form is not None:
            weights = (liked - 0.1 * 2.0 * disliked)[0, why.history]
            D = form.entries(why.history, np.array([3, 50, 8]))
            expected = model._model.closed_form_scale * weights * D.T
            assert_allclose(why.closed_form, expected, rtol=1e-4, atol=1e-5)
        assert_allclose(why.total, why.closed_form + why.network, atol=1e-4)

    def test_files_pickles_and_devices(self, rated, tmp_path):
        model, X, options = rated
        model.save(tmp_path / "model.safetensors")
        copies = (
            CFGDiffusionRecommender.load(tmp_path / "model.safetensors"),
            pickle.loads(pickle.dumps(model)),
            copy.deepcopy(model),
        )
        for other in copies:
            assert other.liked_from_ == model.liked_from_
            same(
                other.recommend(X=X[:9], k=6, guidance_scale=2.0, **some(options, slice(9))),
                model.recommend(X=X[:9], k=6, guidance_scale=2.0, **some(options, slice(9))),
            )

    def test_draws(self, rated):
        model, X, options = rated
        rows = dict(guidance_scale={"disliked": 2.0}, **some(options, slice(4)))
        draws = model.sample(X[:4], 6, **rows)
        summary = model.sample_summary(X[:4], 5, 6, **rows)
        assert_allclose(summary.mean, draws.mean(0), atol=1e-3 * np.abs(draws).max())
        assert not (summary.top_k_probability[X[:4].toarray() > 0]).any()


class TestOpinions:
    def test_ones_are_no_fives(self, rated):
        model, _, _ = rated
        ones, fives = np.zeros((2, 1, N_ITEMS))
        ones[0, 3:10], fives[0, 3:10] = 1.0, 5.0
        low, high = (model.decision_function(X)[0] for X in (ones, fives))
        assert np.abs(low - high).max() > 0.1

    def test_the_mean_of_fit_is_for_who_has_none(self):
        X = np.array([[1, 5, 0, 0, 3], [5, 0, 3, 3, 0]], float)
        model = tiny_cfg(values="rating", early_stopping=False, max_epochs=1).fit(X)
        assert model.liked_from_ == pytest.approx(20 / 6)
        weighted = tiny_cfg(values="rating", early_stopping=False, max_epochs=1)
        weighted.fit(X, sample_weight=[1, 0])
        assert weighted.liked_from_ == 3.0
        assert not hasattr(weighted.set_params(values="binary").fit(X), "liked_from_")

    def test_copies_of_a_user_are_a_weight(self):
        X = rated_data(60).train
        twice = sp.vstack([X, X[:9]], format="csr")
        weight = np.ones(60)
        weight[:9] = 2.0
        one, other = (tiny_cfg(values="rating", max_epochs=2, random_state=0) for _ in range(2))
        one.fit(twice), other.fit(X, sample_weight=weight)
        assert_allclose(one.decision_function(X), other.decision_function(X), atol=1e-4)

    def test_above_every_rating(self):
        model = tiny_cfg(values="rating", liked_from=6).fit
        with pytest.raises(ValueError, match="liked_from=6, but the ratings in X lie between 1"):
            model(rated_data().train)
        with pytest.raises(ValueError, match="liked_from.*Got nan"):
            tiny_cfg(values="rating", liked_from=np.nan).fit(rated_data().train)

    def test_below_every_rating(self):
        model = tiny_cfg(values="rating", liked_from=1, max_epochs=1)
        with pytest.warns(UserWarning, match="Nothing is disliked"):
            model.fit(rated_data().train)
        assert model.recommend(0, 3, guidance_scale={"disliked": 3.0})[0].shape == (3,)

    def test_ratings_that_fit_has_not_seen(self, rated):
        model, X, _ = rated
        with pytest.warns(UserWarning, match="ratings from 0.5 to 9, but fit saw 1 to 5"):
            found = model.recommend(X=[[0.5, 9.0] + [0.0] * (N_ITEMS - 2)], k=5)
        same(found, model.recommend(X=[[1.0, 5.0] + [0.0] * (N_ITEMS - 2)], k=5))
        with pytest.warns(UserWarning, match="ratings from 20 to 100, but fit saw 1 to 5"):
            copy.deepcopy(model).partial_fit(20 * X[:5], user_ids=np.arange(5))

    def test_conditions_of_other_models(self, rated):
        with pytest.raises(ValueError, match='disliked with values="rating"'):
            tiny_cfg(max_epochs=1).fit(rated[1]).recommend(0, guidance_scale={"disliked": 2.0})
        with pytest.raises(ValueError, match="'dislikes'"):
            rated[0].recommend(0, guidance_scale={"dislikes": 2.0})
        with pytest.raises(ValueError, match="values"):
            rated[0].__class__(values="ratings").fit(rated[1])


class TestEvaluation:
    def test_score_counts_liked_items(self, rated):
        model, X, options = rated
        rng = np.random.default_rng(0)
        held = rng.random(X.nnz) < 0.3
        history, holdout = X.copy(), X.copy()
        history.data, holdout.data = X.data * ~held, X.data * held
        history, holdout = sp.csr_array(history), sp.csr_array(holdout)
        history.eliminate_zeros(), holdout.eliminate_zeros()
        ids, _ = model.recommend(X=history, k=10, **options)
        liked, disliked = model._model.opinions.split(holdout, by=history)
        expected = ndcg_at_k(ids, liked)
        assert model.score(history, holdout, **options) == pytest.approx(expected)
        scorer = RankingScorer(["ndcg", "neg_disliked"])
        found = scorer(model, history, holdout, **options)
        assert found["ndcg@10"] == pytest.approx(expected)
        shares = [
            np.mean(disliked.toarray()[user, row[row >= 0]] > 0) if holdout[[user]].nnz else np.nan
            for user, row in enumerate(ids)
        ]
        assert -found["neg_disliked@10"] == pytest.approx(np.nanmean(shares), abs=0.02)

    def test_scikit_learns_tools(self):
        X = rated_data().train
        model = tiny_cfg(values="rating", max_epochs=2)
        scoring = RankingScorer(["ndcg", "neg_disliked@5"])
        found = cross_validate(model, X, scoring=scoring, cv=2, error_score="raise")
        assert (found["test_ndcg@10"] > 0).all() and (found["test_neg_disliked@5"] <= 0).all()
        search = GuidanceScaleCV(model, scales=[0.5, 1.0, 2.0], scoring=scoring, refit=False, cv=2)
        assert search.fit(X).cv_results_["mean_test_neg_disliked@5"].shape == (3,)

    def test_other_models_know_no_dislikes(self):
        X = rated_data().train
        model = tiny_cfg(max_epochs=1).fit(X)
        with pytest.raises(ValueError, match='values="rating"'):
            RankingScorer("neg_disliked")(model, X)


@pytest.fixture(name="moody", scope="module")
def moody_fixture():
    """(model, data): who dislikes a mood takes its items as others do."""
    data = make_interactions(
        1200, 150, n_interactions_per_user=30, n_tastes=4, drift=0.0, values="rating"
    )
    return CFGDiffusionRecommender(values="rating", random_state=0).fit(data.train), data


@pytest.mark.slow
class TestSteering:
    """The truth is known: a user dislikes the items of one mood."""

    def test_lists_lose_the_mood_that_a_user_dislikes(self, moody):
        model, data = moody
        ids = model.recommend_scales({"disliked": [0.0, 1.0, 2.0, 4.0]})[0]
        shares = (data.item_moods[ids] == data.user_dislikes[:, None]).mean((1, 2))
        assert (np.diff(shares) < 0).all()
        assert shares[-1] < 0.75 * shares[0]

    def test_fewer_dislikes_and_no_worse_lists(self, moody):
        model, data = moody
        later = data.test
        found = {}
        for scale in (1.0, 3.0):
            ids, _ = model.recommend(guidance_scale={"disliked": scale})
            liked, _ = model._told_apart_by(data.train, later)
            bad = disliked_at_k(ids, later, train=data.train)
            found[scale] = ndcg_at_k(ids, liked), bad
        assert found[3.0][1] < 0.9 * found[1.0][1]
        assert found[3.0][0] > 0.97 * found[1.0][0]

    def test_opinions_beat_no_opinions(self, moody):
        model, data = moody
        blind = CFGDiffusionRecommender(random_state=0).fit(data.train)
        liked, _ = model._told_apart_by(data.train, data.test)
        ids, others = model.recommend()[0], blind.recommend()[0]
        assert ndcg_at_k(ids, liked) > 1.02 * ndcg_at_k(others, liked)
        bad = (disliked_at_k(found, data.test, train=data.train) for found in (ids, others))
        assert next(bad) < 0.8 * next(bad)


def test_no_warning_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = tiny_cfg(values="rating", max_epochs=1).fit(rated_data().train)
        model.recommend(X=rated_data().train[:3])
    assert N_USERS == model._fit_X.shape[0]
