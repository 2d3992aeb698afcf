"""User features: a second condition, guided along a chain, in every question to a model."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, cross_validate

from skdiffrec import CFGDiffusionRecommender, persistence
from skdiffrec.baselines import NeighborhoodRecommender, PopularityRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer

N_USERS, N_ITEMS, N_FEATURES = 150, 60, 8
KINDS = {
    "default": {},
    "time": dict(values="time"),
    "horizon": dict(values="time", horizon=2, closed_form=NeighborhoodRecommender()),
    "steps": dict(n_sampling_steps=3, closed_form=NeighborhoodRecommender()),
    "drawn": dict(n_sampling_steps=2, temperature=1.0, eta=1.0, n_draws=2),
    "no closed form": dict(closed_form=None),
    "no head": dict(ranking_head=False, latent_dim=None, n_sampling_steps=2),
    "early stopping off": dict(early_stopping=False, values="weight"),
}


def data_of(**parameters):
    return make_interactions(
        N_USERS, N_ITEMS, n_interactions_per_user=10, n_tastes=4, random_state=3, **parameters
    )


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    """(model, X, features); some users have no history, no features, or neither."""
    parameters = KINDS[request.param]
    data = data_of(values=parameters.get("values", "binary"))
    X, U = data.train.tolil(), data.user_features.tolil()
    X[[0, 1]] = 0
    U[[1, 2]] = 0
    X, U = sp.csr_array(X.tocsr()), sp.csr_array(U.tocsr())
    return tiny_cfg(**parameters).fit(X, user_features=U), X, U


@pytest.fixture(scope="module")
def plain():
    data = data_of()
    return tiny_cfg().fit(data.train, user_features=data.user_features), data


def lists_of(model, **options):
    return model.recommend([0, 1, 2, 3, 4], 6, **options)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a, b)


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

    def test_score_reads_them(self, plain):
        model, data = plain
        found = model.score(data.train, data.test, user_features=data.user_features)
        ids, _ = model.recommend(k=10)
        assert_allclose(found, ndcg_at_k(ids, data.test, k=10))
        assert found != model.score(data.train, data.test)
        assert 0 < model.score(data.train, user_features=data.user_features) < 1

    def test_the_scale_of_the_estimator_may_be_a_dict(self, plain):
        model, _ = plain
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

    def test_without_features_nothing_changes(self):
        data = data_of()
        one, other = tiny_cfg(), tiny_cfg()
        one.fit(data.train)
        other.fit(data.train, user_features=None)
        same(lists_of(one), lists_of(other))
        assert not hasattr(one, "n_user_features_in_")

    def test_a_fit_without_features_forgets_them(self, plain):
        _, data = plain
        model = tiny_cfg().fit(data.train, user_features=data.user_features)
        assert model.n_user_features_in_ == N_FEATURES
        model.fit(data.train)
        assert not hasattr(model, "n_user_features_in_")
        same(lists_of(model), lists_of(tiny_cfg().fit(data.train)))

    def test_order_of_users_does_not_matter(self, plain):
        model, data = plain
        order = np.random.default_rng(0).permutation(N_USERS)
        other = tiny_cfg().fit(data.train[order], user_features=data.user_features[order])
        place = np.argsort(order)
        found = other.recommend(place[[3, 4, 5]], 8)
        assert_array_equal(found[0], model.recommend([3, 4, 5], 8)[0])


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, N_USERS - 1))
def test_guidance_is_affine_in_each_scale(fitted_once, by_profile, by_history, user):
    model = fitted_once
    corners = model.score_parts(user, None)
    scale = {"user_features": by_profile, "history": by_history}
    found = model.score_parts(user, None, guidance_scale=scale).score
    expected = corners.unconditional
    for name, lift in corners.lifts.items():
        expected = expected + scale[name] * lift
    assert_allclose(found, expected, atol=1e-3)


@pytest.fixture(scope="module")
def fitted_once(plain):
    return plain[0]


class TestForms:
    def test_every_form_of_a_matrix(self, plain):
        pandas = pytest.importorskip("pandas")
        model, data = plain
        U = data.user_features
        forms = [
            U.tocsc(),
            U.tocoo(),
            sp.csr_matrix(U),
            U.toarray(),
            U.toarray().tolist(),
            U.toarray().astype(bool),
            pandas.DataFrame(U.toarray(), columns=data.user_feature_names),
        ]
        expected = lists_of(model)
        for form in forms:
            some = sp.csr_array(form)[:5] if sp.issparse(form) else form[:5]
            same(lists_of(model, user_features=some), expected)
            same(lists_of(tiny_cfg().fit(data.train, user_features=form)), expected)

    @pytest.mark.parametrize("include_data", [True, False])
    def test_files(self, fitted, include_data, tmp_path):
        model, X, U = fitted
        path = tmp_path / "model.safetensors"
        model.save(path, include_data=include_data)
        loaded = persistence.load(path)
        users = {"X": X[:7], "user_features": U[:7], "guidance_scale": {"user_features": 2.0}}
        same(loaded.recommend(k=6, **users), model.recommend(k=6, **users))
        assert loaded.n_user_features_in_ == N_FEATURES
        if include_data:
            same(lists_of(loaded), lists_of(model))
        again = tmp_path / "again.safetensors"
        loaded.save(again, include_data=include_data)
        assert again.read_bytes() == path.read_bytes()

    def test_names_and_dicts_in_files(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        data = data_of()
        frame = pandas.DataFrame(data.user_features.toarray(), columns=data.user_feature_names)
        model = tiny_cfg(guidance_scale={"user_features": 2.0})
        model.fit(data.train, user_features=frame).save(tmp_path / "m")
        loaded = CFGDiffusionRecommender.load(tmp_path / "m")
        assert_array_equal(loaded.user_feature_names_in_, data.user_feature_names)
        assert loaded.guidance_scale == {"user_features": 2.0}
        same(lists_of(loaded), lists_of(model))

    def test_pickles_and_copies(self, fitted):
        model, _, _ = fitted
        buffer = io.BytesIO()
        joblib.dump(model, buffer)
        buffer.seek(0)
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(buffer)):
            same(lists_of(other), lists_of(model))

    def test_memory_tells_features_apart(self, tmp_path):
        data = data_of()
        U = data.user_features
        model = tiny_cfg(memory=str(tmp_path))
        first = lists_of(model.fit(data.train, user_features=U))
        other = lists_of(model.fit(data.train, user_features=U[::-1]))
        none = lists_of(model.fit(data.train))
        same(first, lists_of(model.fit(data.train, user_features=U)))
        assert not np.array_equal(first[1], other[1]) and not np.array_equal(first[1], none[1])


class TestRefusals:
    BAD = [
        (np.ones((3, N_FEATURES)), ValueError, r"shape \(3, 8\), but there are 150 users"),
        (np.ones(N_USERS), ValueError, r"shape \(150,\)"),
        (np.ones((N_USERS, 0)), ValueError, "a column for each feature"),
        (np.zeros((N_USERS, 3)), ValueError, "zeros alone"),
        (np.full((N_USERS, 3), "rain"), TypeError, "no number.*OneHotEncoder"),
        (np.full((N_USERS, 2), np.nan), ValueError, "nan in column 0"),
        (sp.csr_array(np.full((N_USERS, 2), np.inf)), ValueError, "inf in column 0"),
        (np.full((N_USERS, 2), 1e300), ValueError, "1e[+]300 in column 0"),
        (np.ma.masked_equal(np.ones((N_USERS, 2)), 1), ValueError, "user_features"),
    ]

    @pytest.mark.parametrize(("features", "error", "message"), BAD)
    def test_fit(self, plain, features, error, message):
        fitted, data = plain
        model = copy.deepcopy(fitted)
        with pytest.raises(error, match=message):
            model.fit(data.train, user_features=features)
        same(lists_of(model), lists_of(fitted))
        assert model.n_user_features_in_ == N_FEATURES

    def test_the_column_is_named(self, plain):
        pandas = pytest.importorskip("pandas")
        _, data = plain
        frame = pandas.DataFrame({"age": np.ones(N_USERS), "income": np.full(N_USERS, np.nan)})
        with pytest.raises(ValueError, match="column 1 .'income'.*finite"):
            tiny_cfg().fit(data.train, user_features=frame)

    def test_questions(self, plain):
        model, data = plain
        users = {"X": data.train[:2]}
        for features, message in (
            (np.ones((3, N_FEATURES)), "there are 2 users"),
            (np.ones((2, 5)), "5 columns, but 8 in fit"),
            (np.full((2, N_FEATURES), np.nan), "nan in column 0"),
        ):
            with pytest.raises(ValueError, match=message):
                model.recommend(user_features=features, **users)
        with pytest.raises(ValueError, match="has a scale for 'wanted'.*'user_features', 'history'"):
            model.recommend(0, guidance_scale={"wanted": 2.0})
        with pytest.raises(ValueError, match=r"guidance_scale\['history'\] has shape"):
            model.recommend([0, 1], guidance_scale={"history": [1.0, 2.0, 3.0]})
        with pytest.raises(ValueError, match="scales is an empty dict"):
            model.recommend_scales({}, [0])
        with pytest.raises(ValueError, match="has a scale for 'age'"):
            model.recommend_scales({"age": [1.0]}, [0])

    def test_columns_in_another_order(self):
        pandas = pytest.importorskip("pandas")
        data = data_of()
        frame = pandas.DataFrame(data.user_features.toarray(), columns=data.user_feature_names)
        model = tiny_cfg().fit(data.train, user_features=frame)
        with pytest.raises(ValueError, match="columns of user_features are"):
            model.recommend(range(N_USERS), user_features=frame.iloc[:, ::-1])

    def test_a_model_without_features(self):
        data = data_of()
        model = tiny_cfg().fit(data.train)
        with pytest.raises(ValueError, match="fitted without any"):
            model.recommend(X=data.train[:2], user_features=data.user_features[:2])
        with pytest.raises(ValueError, match="has a scale for 'user_features'.*'history'"):
            model.recommend(0, guidance_scale={"user_features": 2.0})

    @pytest.mark.parametrize("scale", [{"history": "high"}, {"history": [1.0]}, {"history": 1e9}])
    def test_scales_of_an_estimator(self, scale):
        with pytest.raises((TypeError, ValueError), match="guidance_scale"):
            tiny_cfg(guidance_scale=scale).fit(data_of().train)


class TestRouting:
    """scikit-learn's metadata routing cuts the features with the rows."""

    def test_cross_validate_and_search(self):
        data = data_of()
        with config_context(enable_metadata_routing=True):
            model = tiny_cfg().set_fit_request(user_features=True)
            model.set_score_request(user_features=True)
            params = {"user_features": data.user_features}
            found = cross_validate(model, data.train, cv=3, params=params, return_estimator=True)
            assert all(m.n_user_features_in_ == N_FEATURES for m in found["estimator"])
            test = np.arange(N_USERS)[: N_USERS // 3]
            first = found["estimator"][0]
            score = first.score(data.train[test], user_features=data.user_features[test])
            assert found["test_score"][0] == score
            grid = {"guidance_scale": [0.5, {"user_features": 2.0}]}
            search = GridSearchCV(model, grid, cv=2).fit(data.train, **params)
            assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_the_scorer_asks_for_them(self):
        data = data_of()
        with config_context(enable_metadata_routing=True):
            strong = tiny_cfg(guidance_scale={"user_features": 5.0})
            model = strong.set_fit_request(user_features=True)
            params = {"user_features": data.user_features}
            scorer = RankingScorer("ndcg").set_score_request(user_features=True)
            found = cross_validate(model, data.train, cv=2, params=params, scoring=scorer)
            fitted = model.fit(data.train[75:], user_features=data.user_features[75:])
            expected = scorer(fitted, data.train[:75], user_features=data.user_features[:75])
            assert found["test_score"][0] == expected
            assert expected != RankingScorer("ndcg")(fitted, data.train[:75])

    def test_the_choice_of_a_scale_cuts_them_with_the_rows(self):
        data = data_of()
        U = data.user_features
        search = GuidanceScaleCV(tiny_cfg(), scales=[0.5, 1.0, 2.0], cv=2, refit=True)
        search.fit(data.train, user_features=U)
        fitted = tiny_cfg().fit(data.train[75:], user_features=U[75:])
        scorer = RankingScorer()
        history, holdout = scorer.split(fitted, data.train[:75])
        for i, scale in enumerate([0.5, 1.0, 2.0]):
            lists = fitted.recommend(X=history, user_features=U[:75], guidance_scale=scale)[0]
            expected = ndcg_at_k(lists, holdout, k=10)
            assert_allclose(search.cv_results_["split0_test_score"][i], expected)
        assert search.score(data.train, user_features=U) != search.score(data.train)
        prefit = GuidanceScaleCV(fitted, scales=[0.5, 1.0, 2.0], cv="prefit")
        prefit.fit(data.train[:75], user_features=U[:75])
        found = prefit.cv_results_["mean_test_score"]
        assert_allclose(found, search.cv_results_["split0_test_score"])

    def test_a_scorer_of_what_cannot_read_them(self):
        data = data_of()
        model = PopularityRecommender().fit(data.train)
        with pytest.raises(TypeError, match="user_features"):
            RankingScorer()(model, data.train, user_features=data.user_features)
