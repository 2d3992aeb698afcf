"""partial_fit: a pass over newer rows; what is counted or solved is that of all rows."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._utils.updated_rows import (
    check_updated_users,
    updated_array,
    updated_csr,
    updated_features,
)
from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.datasets import make_interactions

KINDS = {
    "binary": {},
    "weight": dict(values="weight"),
    "time": dict(values="time"),
    "horizon": dict(values="time", horizon=2),
    "rating": dict(values="rating"),
    "user features": {},
    "no closed form": dict(closed_form=None),
    "estimate in item space": dict(ranking_head=False, latent_dim=None),
    "item features": {},
}
QUICK = "binary", "horizon", "user features"
N_USERS, N_ITEMS, N_KNOWN = 90, 50, 70


def data_of(kind="binary"):
    values = KINDS[kind].get("values", "binary")
    return make_interactions(
        N_USERS, N_ITEMS, n_interactions_per_user=8, n_tastes=4, values=values, random_state=3
    )


def fitted(kind="binary", **parameters):
    """(model of the first 70 users, all rows, what fit and partial_fit are given beside rows)"""
    data = data_of(kind)
    known = {"user_features": data.user_features} if kind == "user features" else {}
    more = {"item_features": data.item_features} if kind == "item features" else {}
    model = tiny_cfg(**KINDS[kind] | more | parameters)
    return model.fit(data.train[:N_KNOWN], **of(known, slice(N_KNOWN))), data.train, known


def of(known, rows):
    return {name: entries[rows] for name, entries in known.items()}


def bits(model):
    record, tensors = model._get_state(include_training=True)
    return record, {name: array.tobytes() for name, array in tensors.items()}


@pytest.mark.parametrize(
    "kind",
    [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
class TestKinds:
    def test_new_users_and_newer_rows(self, kind):
        model, X, known = fitted(kind)
        before = model.decision_function(X[:5], **of(known, slice(5)))
        n_epochs = model.n_iter_
        ids = np.r_[N_KNOWN:N_USERS, 3, 1]
        X_new = sp.csr_array(sp.vstack([X[N_KNOWN:], X[[10, 11]]], format="csr"))
        rows = np.r_[N_KNOWN:N_USERS, 10, 11]
        returned = model.partial_fit(X_new, user_ids=ids, **of(known, rows))
        assert returned is model
        assert model.n_iter_ == n_epochs + 1 == len(model.history_)
        assert np.isfinite(model.history_[-1]["loss"])
        assert model.recommend()[0].shape == (N_USERS, 10)
        for user, row in ((N_KNOWN, N_KNOWN), (N_USERS - 1, N_USERS - 1), (3, 10), (1, 11), (2, 2)):
            assert_array_equal(
                model.recommend(user)[0],
                model.recommend(X=X[[row]], **of(known, [row]))[0][0],
            )
        after = model.decision_function(X[:5], **of(known, slice(5)))
        assert np.isfinite(after).all() and not np.array_equal(before, after)

    @pytest.mark.parametrize("way", ["file", pytest.param("pickle", marks=pytest.mark.slow)])
    def test_nights_apart_are_nights_in_one_process(self, kind, way, tmp_path):
        model, X, known = fitted(kind)
        nights = [slice(N_KNOWN, 80), slice(80, N_USERS)]
        for night in nights:
            model.partial_fit(X[night], **of(known, night))
        apart = fitted(kind)[0]
        for night in nights:
            if way == "file":
                apart.save(tmp_path / "model", include_training=True)
                apart = CFGDiffusionRecommender.load(tmp_path / "model")
            else:
                apart = pickle.loads(pickle.dumps(apart))
            apart.partial_fit(X[night], **of(known, night))
        assert bits(apart) == bits(model)

    def test_before_fit_it_is_fit(self, kind):
        whole, X, known = fitted(kind)
        rows = slice(N_KNOWN)
        first = tiny_cfg(**whole.get_params()).partial_fit(X[rows], **of(known, rows))
        assert bits(first) == bits(whole)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_order_of_ids(data):
    """Rows, weights and features stand where the ids say."""
    n_known, n_new = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 4))
    known = data.draw(st.lists(st.integers(0, n_known - 1), unique=True))
    ids = np.array(data.draw(st.permutations([*known, *range(n_known, n_known + n_new)])), int)
    before = sp.csr_array(np.arange(1.0, 1 + 2 * n_known).reshape(n_known, 2))
    rows = sp.csr_array((100 + np.arange(2.0 * len(ids))).reshape(len(ids), 2))
    expected = np.zeros((n_known + n_new, 2))
    expected[:n_known] = before.toarray()
    expected[ids] = rows.toarray()
    assert_array_equal(check_updated_users(ids, len(ids), n_known), ids)
    assert_array_equal(updated_csr(before, rows, ids).toarray(), expected)
    features = updated_features(before, rows, ids, n_known + n_new)
    assert_array_equal(features.toarray(), expected)
    weights = updated_array(before.toarray()[:, 0], rows.toarray()[:, 0], ids)
    assert_array_equal(weights, expected[:, 0])


class TestWhatIsCounted:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_the_closed_form_is_that_of_all_rows(self, weighted):
        form = EASERecommender(reg=3.0)
        X = data_of().train
        weight = np.linspace(0.5, 2, N_USERS) if weighted else None
        model = tiny_cfg(closed_form=form, early_stopping=False)
        model.fit(X[:N_KNOWN], sample_weight=None if weight is None else weight[:N_KNOWN])
        new = {} if weight is None else {"sample_weight": weight[N_KNOWN:]}
        model.partial_fit(X[N_KNOWN:], **new)
        expected = form._learn(X, np.ones(N_USERS) if weight is None else weight)
        assert_allclose(model._model.closed_form.entries(slice(None)), expected, atol=1e-6)

    @pytest.mark.parametrize("kind", ["binary", "time", "horizon"])
    def test_its_settings_are_those_of_fit(self, kind):
        """Chosen once, solved again: with no row changed it is what it was."""
        model, X, _ = fitted(kind, early_stopping=False)
        before = model._model.closed_form
        assert before.settings is not None
        model.partial_fit(X[[4]], user_ids=[4])
        after = model._model.closed_form
        assert after.settings == before.settings and after.half_life == before.half_life
        assert_allclose(after.entries(slice(None)), before.entries(slice(None)), atol=1e-6)
        assert_allclose(after.unknown, before.unknown, atol=1e-6)

    def test_users_without_history_get_what_is_popular_now(self):
        model, X, _ = fitted()
        model.partial_fit(X[N_KNOWN:])
        nobody = sp.csr_array((1, N_ITEMS))
        expected = PopularityRecommender().fit(X).recommend(X=nobody)[0]
        assert_array_equal(model.recommend(X=nobody)[0], expected)

    def test_a_user_who_is_forgotten(self):
        model, X, _ = fitted()
        weights = model._model.denoiser.null.clone()
        n_epochs = model.n_iter_
        model.partial_fit(sp.csr_array((2, N_ITEMS)), user_ids=[0, 5])
        assert model.n_iter_ == n_epochs  # there was nothing to train on
        assert_array_equal(model._model.denoiser.null.detach(), weights.detach())
        nobody = model.recommend(X=sp.csr_array((1, N_ITEMS)))[0][0]
        assert_array_equal(model.recommend(5)[0], nobody)

    def test_features_of_users_stay_or_are_replaced(self):
        model, X, known = fitted("user features")
        U = known["user_features"]
        model.partial_fit(X[[8]], user_ids=[3])
        assert_array_equal(model._fit_user_features[[3]].toarray(), U[[3]].toarray())
        model.partial_fit(X[[8]], user_ids=[3], user_features=U[[8]])
        assert_array_equal(model._fit_user_features[[3]].toarray(), U[[8]].toarray())
        model.partial_fit(X[N_KNOWN:])
        assert model._fit_user_features.shape == (N_USERS, U.shape[1])
        assert model._fit_user_features[N_KNOWN:].nnz == 0


class TestLearning:
    def test_passes_go_on_learning(self):
        """The loss falls, and lists find more of what newer users take."""
        X = data_of().train
        model = tiny_cfg(closed_form=None, max_epochs=1, early_stopping=False).fit(X[:N_KNOWN])
        new = slice(N_KNOWN, N_USERS)
        before = model.score(X[new])
        for _ in range(40):
            model.partial_fit(X[new], user_ids=np.arange(N_KNOWN, N_USERS))
        losses = [entry["loss"] for entry in model.history_[1:]]
        assert np.mean(losses[-5:]) < np.mean(losses[:5])
        assert model.score(X[new]) > before + 0.05

    def test_without_the_optimizers_state_it_goes_on_too(self, tmp_path):
        model, X, _ = fitted()
        model.save(tmp_path / "small")
        model.save(tmp_path / "whole", include_training=True)
        assert (tmp_path / "small").stat().st_size < (tmp_path / "whole").stat().st_size
        small = CFGDiffusionRecommender.load(tmp_path / "small")
        assert small._model.optimizer is None
        small.partial_fit(X[N_KNOWN:])
        assert np.isfinite(small.decision_function(X)).all()

    def test_what_others_hold_does_not_change(self):
        model, X, _ = fitted()
        held, rows = model._model, model._fit_X.copy()
        before = held.denoiser.head.write.weight.clone()
        copied = pickle.loads(pickle.dumps(model))
        model.partial_fit(X[N_KNOWN:])
        assert_array_equal(held.denoiser.head.write.weight.detach(), before.detach())
        assert copied._fit_X.shape == rows.shape


class TestItemsThatNobodyHasMet:
    @pytest.fixture
    def grown(self):
        data = data_of("item features")
        model, X, _ = fitted("item features")
        return model.add_items(data.item_features[[7, 8]]), X

    def wide(self, X):
        return sp.csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], N_ITEMS + 2))

    @pytest.mark.parametrize("scale", [0.0, 1.0, 2.0])
    def test_they_keep_what_features_say(self, grown, scale):
        model, X = grown
        X = self.wide(X)
        before = model.decision_function(X, guidance_scale=scale)
        model.partial_fit(X[N_KNOWN:])
        after = model.decision_function(X, guidance_scale=scale)
        own = [N_ITEMS, N_ITEMS + 1]
        rank = [(scores[:, own, None] > scores[:, None, :]).mean(2) for scores in (before, after)]
        assert np.abs(rank[1] - rank[0]).mean() < 0.1
        assert (after[:, own] > after.min(axis=1, keepdims=True)).all()

    def test_one_that_is_met_becomes_an_item_like_others(self, grown):
        model, X = grown
        X = self.wide(X).tolil()
        X[N_KNOWN:, N_ITEMS] = 1.0
        model.partial_fit(X.tocsr()[N_KNOWN:])
        assert model._model.closed_form.entries([N_ITEMS]).any()
        popular = model.recommend(X=sp.csr_array((1, N_ITEMS + 2)), k=N_ITEMS)[0][0]
        assert N_ITEMS in popular[: N_ITEMS // 2]


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "match"),
        [
            (dict(user_ids=[1, 1]), "has 1 more than once"),
            (dict(user_ids=[1, N_KNOWN + 1]), "new user 71, but 70 users are known"),
            (dict(user_ids=[1]), "has 1 entries, but X has 2 rows"),
            (dict(user_ids=[-1, 2]), "user_ids"),
            (dict(user_ids=[0.5, 2.0]), "user_ids"),
            (dict(user_ids=[10**9, 2]), "user_ids"),
            (dict(sample_weight=[1.0, -1.0]), "sample_weight"),
            (dict(user_features=np.ones((2, 3))), "fitted without any"),
            (dict(X=np.ones((2, N_ITEMS - 1))), "features"),
            (dict(X=-np.ones((2, N_ITEMS))), "Negative"),
            (dict(parameters=dict(values="weight")), "values='weight', but the model"),
            (dict(parameters=dict(learning_rate=-1.0)), "learning_rate"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_bad_input_leaves_the_model(self, options, match):
        model, X, _ = fitted()
        before, options = bits(model), dict(options)
        model.set_params(**options.pop("parameters", {}))
        with pytest.raises((ValueError, TypeError, IndexError), match=match):
            model.partial_fit(options.pop("X", X[:2]), **options)
        assert bits(model) == before and model._fit_X.shape[0] == N_KNOWN

    @pytest.mark.parametrize(
        ("fitted_with", "changed"),
        [
            (dict(), dict(closed_form=None)),
            (dict(closed_form=None), dict(closed_form="auto")),
            (dict(), dict(ranking_head=False)),
            (dict(ranking_head=False, closed_form=None), dict(ranking_head=True)),
        ],
        ids=str,
    )
    def test_a_model_made_of_other_parts(self, fitted_with, changed):
        model, X, _ = fitted(**fitted_with)
        (name,) = changed
        with pytest.raises(ValueError, match=f"{name}=.*but the model was fitted with|needs a"):
            model.set_params(**changed).partial_fit(X[:2], user_ids=[0, 1])

    @pytest.mark.parametrize("kind", ["binary", "no closed form"])
    def test_nobody_has_anything_left(self, kind):
        model, _, _ = fitted(kind)
        with pytest.raises(ValueError, match="No interaction of any user with a weight"):
            model.partial_fit(sp.csr_array((N_KNOWN, N_ITEMS)), user_ids=np.arange(N_KNOWN))

    def test_a_horizon_that_was_not_there(self):
        model, X, _ = fitted("time")
        with pytest.raises(ValueError, match="horizon=1, but the model was fitted with"):
            model.set_params(horizon=1).partial_fit(X[:2])

    def test_a_model_without_its_rows(self, tmp_path):
        model, X, _ = fitted()
        model.save(tmp_path / "model", include_data=False)
        with pytest.raises(ValueError, match="include_data=False"):
            CFGDiffusionRecommender.load(tmp_path / "model").partial_fit(X)

    def test_ids_before_fit(self):
        with pytest.raises(ValueError, match="nobody is known before fit"):
            tiny_cfg().partial_fit(data_of().train, user_ids=np.arange(N_USERS))

    def test_training_that_diverges(self):
        model, X, _ = fitted()
        before = bits(model)
        with warnings.catch_warnings(), pytest.raises(ValueError, match="diverged"):
            warnings.simplefilter("ignore")
            model.set_params(learning_rate=1e30).partial_fit(X[:2])
        assert bits(model) == before


def test_the_unit_of_features_makes_no_difference_to_the_spread_of_scores():
    """It is the size of what is wanted, and is taken anew by every update."""
    data = data_of("user features")
    spreads = []
    for unit in (1.0, 64.0):
        U = data.user_features * unit
        model = tiny_cfg().fit(data.train, user_features=U)
        spreads.append(model._model.score_spread)
        model.partial_fit(sp.csr_array((1, N_ITEMS)), user_ids=[0])
        assert_allclose(model._model.score_spread, spreads[-1], rtol=0.05)
    assert_allclose(spreads[0], spreads[1], rtol=1e-6)
