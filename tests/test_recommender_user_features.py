"""User features: a second condition, guided along a chain, in every question to a model."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from profiled_models import (  # noqa: F401
    N_FEATURES,
    N_ITEMS,
    N_USERS,
    data_of,
    fitted_fixture,
    lists_of,
    profiled_fixture,
    same,
)

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k


class TestChain:
    def test_scores_are_the_parts_times_their_scales(self, fitted):
        model, _, _ = fitted
        scale = {"user_features": 2.5, "history": [0.0, 1.0, 0.5, 2.0, -1.0]}
        ids, scores = lists_of(model, guidance_scale=scale)
        parts = model.score_parts([0, 1, 2, 3, 4], ids, guidance_scale=scale)
        total = parts.unconditional.copy()
        for name, lift in parts.lifts.items():
            total += np.broadcast_to(scale[name], 5)[:, None] * lift
        assert list(parts.lifts) == ["user_features", "history"]
        for again in (pickle.loads(pickle.dumps(parts)), copy.deepcopy(parts)):
            same(again, parts)
            same(again.lifts.values(), parts.lifts.values())
        atol = 1e-4 * np.nanmax(np.abs(scores[np.isfinite(scores)]))
        assert_allclose(total, np.where(ids < 0, np.nan, scores), atol=atol)
        assert_allclose(sum(parts.lifts.values()), parts.lift, atol=atol)

    def test_one_number_is_the_scale_of_both(self, fitted):
        model, _, _ = fitted
        both = {"user_features": 1.7, "history": 1.7}
        same(lists_of(model, guidance_scale=1.7), lists_of(model, guidance_scale=both))
        ones = {"user_features": 1.0}  # the other is 1 too
        same(lists_of(model, guidance_scale=1.0), lists_of(model, guidance_scale=ones))

    def test_who_has_no_features_is_not_moved_by_their_scale(self, fitted):
        model, X, _ = fitted
        known = model.recommend(X=X[:5], k=6)  # features are not given
        for scale in (0.0, 3.0):
            moved = model.recommend(X=X[:5], k=6, guidance_scale={"user_features": scale})
            same(moved, known)

    def test_nobody_is_known_by_zeros(self, fitted):
        model, X, _ = fitted
        nothing = np.zeros((5, N_FEATURES))
        same(model.recommend(X=X[:5], k=6, user_features=nothing), model.recommend(X=X[:5], k=6))

    def test_of_whom_nothing_is_known_gets_what_is_popular(self, fitted):
        model, X, _ = fitted
        if not model.ranking_head or model.temperature:
            return
        popular = PopularityRecommender(values=model.values).fit(X).recommend(1, N_ITEMS)[0]
        for scale in (1.0, {"user_features": 3.0, "history": 0.5}):
            found = model.recommend(1, N_ITEMS, guidance_scale=scale)[0]
            assert_array_equal(found, popular)

    def test_scales_at_zero_know_neither(self, fitted):
        """Beside the closed form's part, which a history has and a profile has not."""
        model, _, _ = fitted
        scores = model.decision_function(
            fitted[1][3:9], user_features=fitted[2][3:9], guidance_scale=0.0
        )
        if not model.temperature:
            assert_allclose(scores, np.tile(scores[:1], (6, 1)), atol=1e-4)

    def test_a_profile_alone_makes_a_list_of_its_own(self, fitted):
        model, X, U = fitted
        empty = sp.csr_array((N_USERS, N_ITEMS))
        scores = model.decision_function(empty, user_features=U)
        profiles = np.unique(U.toarray(), axis=0, return_inverse=True)[1].ravel()
        if model.temperature:  # every profile has its own random numbers
            return
        for profile in np.unique(profiles):
            alike = scores[profiles == profile]
            assert_allclose(alike, np.tile(alike[:1], (len(alike), 1)), atol=1e-5)
        assert len(np.unique(scores.round(3), axis=0)) == profiles.max() + 1


class TestQuestions:
    def test_rows_of_fit_come_with_their_features(self, fitted):
        model, X, U = fitted
        users = [4, 0, 2]
        expected = model.recommend(X=X[users], user_features=U[users], k=6)
        same(model.recommend(users, 6), expected)
        other = U[[7, 8, 9]]
        changed = model.recommend(users, 6, user_features=other)
        same(changed, model.recommend(X=X[users], user_features=other, k=6))
        alone = model.recommend(4, 6)
        same(alone, [part[0] for part in expected])

    def test_other_users_make_no_difference(self, fitted):
        model, X, U = fitted
        whole = model.decision_function(X, user_features=U, guidance_scale={"user_features": 2.0})
        some = np.array([77, 0, 3, 1, 2])
        few = model.decision_function(
            X[some], user_features=U[some], guidance_scale={"user_features": 2.0}
        )
        assert_array_equal(few, whole[some])

    def test_a_grid_of_scales_is_each_of_its_lists(self, fitted):
        model, X, U = fitted
        grid = {"history": [0.5, 2.0], "user_features": [0.0, 1.0, 3.0]}
        users = {"X": X[:6], "user_features": U[:6]}
        ids, scores = model.recommend_scales(grid, k=5, **users)
        assert ids.shape == scores.shape == (2, 3, 6, 5)
        for i, by_history in enumerate(grid["history"]):
            for j, by_profile in enumerate(grid["user_features"]):
                scale = {"history": by_history, "user_features": by_profile}
                expected = model.recommend(k=5, guidance_scale=scale, **users)[1]
                assert_allclose(scores[i, j], expected, rtol=1e-3, atol=1e-3)
        one, _ = model.recommend_scales(grid, 3, k=5)
        assert one.shape == (2, 3, 5)

    def test_stages_draws_and_summaries(self, fitted):
        model, X, U = fitted
        users = {"user_features": U[:4]}
        *_, last = model.staged_decision_function(X[:4], **users)
        assert_allclose(last, model.decision_function(X[:4], **users), rtol=1e-3, atol=1e-3)
        draws = model.sample(X[:4], 3, n_sampling_steps=2, **users)
        summary = model.sample_summary(X[:4], 5, 3, n_sampling_steps=2, **users)
        assert_allclose(summary.mean, draws.mean(0), atol=1e-3, rtol=1e-3)
        without = model.sample(X[:4], 3, n_sampling_steps=2)
        assert not np.allclose(draws[:, 3], without[:, 3])  # of a user with both
        assert_array_equal(draws[:, 2], without[:, 2])  # and with a history alone

    def test_explanations_say_what_each_condition_adds(self, fitted):
        model, X, U = fitted
        why = model.explain(4, [5, 9], guidance_scale={"user_features": 2.0})
        items = np.array([5, 9])
        options = {"guidance_scale": {"user_features": 2.0}}
        full = model.decision_function(X[[4]], user_features=U[[4]], **options)[0, items]
        no_profile = model.decision_function(X[[4]], **options)[0, items]
        no_history = model.decision_function(X[[4]] * 0, user_features=U[[4]], **options)[0, items]
        assert_allclose(why.score, full, rtol=1e-4, atol=1e-4)
        if model.temperature:  # random numbers are those of the whole row
            return
        assert_allclose(why.conditions["user_features"], full - no_profile, atol=1e-3)
        assert_allclose(why.conditions["history"], full - no_history, atol=1e-3)
        assert_allclose(why.base, no_history, atol=1e-3)

    def test_score_reads_them(self, profiled):
        model, data = profiled
        found = model.score(data.train, data.test, user_features=data.user_features)
        ids, _ = model.recommend(k=10)
        assert_allclose(found, ndcg_at_k(ids, data.test, k=10))
        loud = copy.copy(model).set_params(guidance_scale={"user_features": 50.0})
        assert loud.score(data.train, data.test, user_features=data.user_features) != model.score(
            data.train, data.test
        )
        assert 0 < model.score(data.train, user_features=data.user_features) < 1

    def test_the_scale_of_the_estimator_may_be_a_dict(self, profiled):
        model, _ = profiled
        scale = {"user_features": 2.0, "history": 0.5}
        changed = copy.copy(model).set_params(guidance_scale=scale)
        same(lists_of(changed), lists_of(model, guidance_scale=scale))
        data = data_of()
        refitted = tiny_cfg(guidance_scale=scale)
        refitted.fit(data.train, user_features=data.user_features)
        same(lists_of(refitted), lists_of(changed))


class TestLearning:
    def test_profiles_find_the_taste(self):
        """Users nobody has met: features name the taste of most, and more as the scale rises."""
        data = make_interactions(
            600, 120, n_interactions_per_user=20, n_tastes=4, drift=0.0, random_state=1
        )
        known, new = np.arange(500), np.arange(500, 600)
        model = tiny_cfg(max_epochs=10)
        model.fit(data.train[known], user_features=data.user_features[known])
        empty = sp.csr_array((100, 120))
        options = {"X": empty, "user_features": data.user_features[new]}
        quality = [
            ndcg_at_k(model.recommend(k=10, guidance_scale=scale, **options)[0], data.train[new])
            for scale in (0.0, 1.0)
        ]
        popular = PopularityRecommender().fit(data.train[known]).recommend(X=empty)[0]
        assert quality[0] == pytest.approx(ndcg_at_k(popular, data.train[new]), abs=0.02)
        assert quality[1] > 1.3 * quality[0]
        taste = data.user_features[new].toarray()[:, :4].argmax(1)
        of_item = data.item_tastes.argmax(1)
        share = [
            (of_item[model.recommend(k=10, guidance_scale=scale, **options)[0]] == taste[:, None])
            for scale in (0.0, 0.5, 1.0, 2.0)
        ]
        by_scale = np.array([found.mean() for found in share])
        assert (np.diff(by_scale) >= 0).all() and by_scale[-1] > 0.95 > 0.4 > by_scale[0]

    def test_the_unit_of_a_feature_does_not_matter(self):
        data = data_of()
        U = data.user_features.toarray()
        lists = []
        for factor in (1.0, 1024.0, 2.0**-20):  # powers of two are exact
            scaled = U * np.where(np.arange(N_FEATURES) == 2, factor, 1.0)
            model = tiny_cfg().fit(data.train, user_features=scaled)
            lists.append(model.recommend([3, 4, 5], 8))
        same(lists[0], lists[1])
        same(lists[0], lists[2])

    @pytest.mark.parametrize("unit", [1e-41, 3e38])
    def test_units_at_the_ends_of_float32(self, unit):
        data = data_of()
        model = tiny_cfg().fit(data.train, user_features=data.user_features * unit)
        assert np.isfinite(
            model.decision_function(data.train, user_features=data.user_features)
        ).all()
        far = data.user_features.astype(float) * 3e38
        assert np.isfinite(model.decision_function(data.train, user_features=far)).all()

    def test_a_column_without_entries_says_nothing(self):
        data = data_of()
        U = data.user_features.toarray()
        U[:, 3] = 0
        model = tiny_cfg().fit(data.train, user_features=U)
        only = np.eye(N_FEATURES)[[3]]
        empty = sp.csr_array((1, N_ITEMS))
        same(model.recommend(X=empty, user_features=only), model.recommend(X=empty))

    @pytest.mark.slow
    def test_without_features_nothing_changes(self):
        data = data_of()
        one, other = tiny_cfg(), tiny_cfg()
        one.fit(data.train)
        other.fit(data.train, user_features=None)
        same(lists_of(one), lists_of(other))
        assert not hasattr(one, "n_user_features_in_")

    @pytest.mark.slow
    def test_a_fit_without_features_forgets_them(self, profiled):
        _, data = profiled
        model = tiny_cfg().fit(data.train, user_features=data.user_features)
        assert model.n_user_features_in_ == N_FEATURES
        model.fit(data.train)
        assert not hasattr(model, "n_user_features_in_")
        same(lists_of(model), lists_of(tiny_cfg().fit(data.train)))

    def test_a_weight_is_so_many_copies(self):
        data = data_of()
        weight = np.random.default_rng(0).integers(0, 3, N_USERS)
        copies = np.repeat(np.arange(N_USERS), weight)
        given = [np.array(part) for part in (data.user_features.indptr, data.user_features.indices)]
        one = tiny_cfg().fit(data.train, sample_weight=weight, user_features=data.user_features)
        other = tiny_cfg().fit(data.train[copies], user_features=data.user_features[copies])
        users = {"X": data.train[:20], "user_features": data.user_features[:20], "k": 8}
        assert_allclose(one.recommend(**users)[1], other.recommend(**users)[1], atol=1e-4)
        kept = data.user_features.indptr, data.user_features.indices
        same(kept, given)

    def test_order_of_users_does_not_matter(self, profiled):
        model, data = profiled
        order = np.random.default_rng(0).permutation(N_USERS)
        other = tiny_cfg().fit(data.train[order], user_features=data.user_features[order])
        place = np.argsort(order)
        found = other.recommend(place[[3, 4, 5]], 8)
        assert_array_equal(found[0], model.recommend([3, 4, 5], 8)[0])


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, N_USERS - 1))
def test_guidance_is_affine_in_each_scale(profiled, by_profile, by_history, user):
    model, _ = profiled
    corners = model.score_parts(user, None)
    scale = {"user_features": by_profile, "history": by_history}
    found = model.score_parts(user, None, guidance_scale=scale).score
    expected = corners.unconditional
    for name, lift in corners.lifts.items():
        expected = expected + scale[name] * lift
    assert_allclose(found, expected, atol=1e-3)
