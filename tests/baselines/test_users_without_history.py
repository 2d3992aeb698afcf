"""Every recommender gives a user without history what is popular, also after saving."""

import copy
import pickle

import numpy as np
import pytest
from conftest import MODELS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, vstack
from sklearn.base import clone

from skdiffrec import persistence
from skdiffrec.base import BaseRecommender
from skdiffrec.baselines import EASERecommender, ItemItemRecommender, PopularityRecommender
from skdiffrec.metrics import ndcg_at_k

N_ITEMS = 50
EMPTY = csr_array((2, N_ITEMS))
BASELINES = [name for name in MODELS if not name.startswith("cfg")]
every_baseline = pytest.mark.parametrize("fitted", BASELINES, indirect=True)


class OwnItemItem(ItemItemRecommender):
    _weights_name = "together_"

    def _solve(self, rows):
        return np.asarray((rows.T @ rows).toarray(), np.float32)


class OwnRecommender(BaseRecommender):
    """Its scores are one array, which nobody may write to."""

    _saved_arrays = {"first_": ("n_features_in_",)}

    def _fit(self, X):
        self.first_ = np.arange(X.shape[1], dtype=np.float32)

    def _score_rows(self, X):
        return np.broadcast_to(self.first_, X.shape)


def popular(fitted, X):
    """(scores, list) of a user without history, by a PopularityRecommender."""
    scores = PopularityRecommender(values=fitted.values).fit(X).popularity_
    return scores, np.argsort(-scores, kind="stable")


@every_baseline
class TestEveryBaseline:
    def test_lists_and_scores(self, fitted, interactions):
        scores, best = popular(fitted, interactions)
        assert_array_equal(fitted.decision_function(EMPTY), [scores, scores])
        for who in ({"X": EMPTY}, {"user_ids": [0, 0]}, {"user_ids": [9, 8], "X": EMPTY.toarray()}):
            ids, top = fitted.recommend(**who, k=N_ITEMS)
            assert_array_equal(ids, [best, best])
            assert_array_equal(top, [scores[best]] * 2)
        allowed = fitted.recommend(0, k=4, items=[3, 9, 30, 41], filter_items=[9])[0]
        assert_array_equal(allowed, [*(i for i in best if i in (3, 30, 41)), -1])

    def test_other_users_keep_their_scores(self, fitted, interactions):
        filled = interactions[5:12]
        mixed = vstack([filled[:3], EMPTY, filled[3:]], format="csr")
        scores = fitted.decision_function(mixed)
        assert_array_equal(scores[[0, 1, 2, 5, 6, 7, 8]], fitted.decision_function(filled))

    def test_score(self, fitted, interactions):
        best = popular(fitted, interactions)[1]
        y = csr_array(np.eye(2, N_ITEMS, k=int(best[3])))
        expected = ndcg_at_k(np.array([best[:10]] * 2), y, k=10)
        assert fitted.score(EMPTY, y) == expected > 0

    @pytest.mark.parametrize("include_data", [True, False])
    def test_files_and_copies(self, fitted, tmp_path, include_data):
        path = tmp_path / "model.safetensors"
        fitted.save(path, include_data=include_data)
        expected = fitted.recommend(X=EMPTY)
        copies = (
            persistence.load(path),
            pickle.loads(pickle.dumps(fitted)),
            copy.deepcopy(fitted),
        )
        for model in copies:
            assert_array_equal(model.recommend(X=EMPTY), expected)

    def test_fit_again(self, fitted, interactions):
        X = csr_array(interactions.toarray()[:, ::-1])
        model = copy.deepcopy(fitted).fit(X)
        assert_array_equal(model.recommend(X=EMPTY, k=3)[0][0], popular(fitted, X)[1][:3])


@pytest.mark.parametrize("model", [OwnRecommender(), OwnItemItem()], ids=lambda m: type(m).__name__)
def test_own_recommenders(model, interactions):
    model = clone(model).fit(interactions)
    scores, best = popular(model, interactions)
    for _ in range(2):
        ids, top = model.recommend(X=EMPTY, k=N_ITEMS)
        assert_array_equal(ids, [best, best])
        assert_array_equal(top, [scores[best]] * 2)
    assert_array_equal(model.decision_function(EMPTY), [scores, scores])


def test_an_own_recommender_is_saved_with_it(interactions, tmp_path):
    model = OwnRecommender().fit(interactions)
    model.save(tmp_path / "model", include_data=False)
    loaded = OwnRecommender.load(tmp_path / "model")
    assert_array_equal(loaded.recommend(X=EMPTY), model.recommend(X=EMPTY))


def test_a_file_without_popularity_is_refused(interactions, tmp_path):
    from persistence_files import contents, forge

    EASERecommender().fit(interactions).save(tmp_path / "model")
    record, tensors = contents(tmp_path / "model")
    for changed in (None, np.full(N_ITEMS, np.nan, np.float32), np.ones(3, np.float32)):
        other = {name: array for name, array in tensors.items() if name != "item_popularity"}
        other |= {} if changed is None else {"item_popularity": changed}
        forge(tmp_path / "other", record, other)
        with pytest.raises(persistence.PersistenceError, match="item_popularity"):
            EASERecommender.load(tmp_path / "other")


def test_users_are_counted_and_weights_summed():
    X = np.array([[9.0, 1, 0], [0, 1, 0], [0, 0, 1]])
    counted = EASERecommender().fit(X)
    assert_array_equal(counted.decision_function(np.zeros((1, 3))), [[1, 2, 1]])
    assert_array_equal(counted.recommend(X=np.zeros((1, 3)), k=3)[0], [[1, 0, 2]])
    weighed = EASERecommender(values="weight").fit(X)  # as shares of a row's largest
    assert_array_equal(weighed.recommend(X=np.zeros((1, 3)), k=3)[0], [[1, 0, 2]])
    assert_allclose(weighed.decision_function(np.zeros((1, 3))), [[1, 10 / 9, 1]], rtol=1e-6)


@pytest.mark.parametrize("fitted", ["cfg", "cfg-time"], indirect=True)
def test_the_diffusion_model_keeps_its_own(fitted, interactions):
    """Its unconditional branch ranks by popularity: nothing is stored beside it."""
    assert fitted._item_popularity is None
    ids = fitted.recommend(X=EMPTY, k=10)[0][0]
    counts = popular(PopularityRecommender(), interactions)[0]
    assert counts[ids].mean() > 1.3 * counts.mean()


def test_equal_sums_of_shares_tie():
    """In whatever order they are summed: two columns hold the same shares of other users."""
    shares = np.random.default_rng(0).integers(1, 6, 4_000).astype(float)
    X = np.stack([np.full(4_000, 5.0), shares, np.sort(shares)], axis=1)
    found = PopularityRecommender(values="weight").fit(X)
    assert found.popularity_[1] == found.popularity_[2] == np.float32(shares.sum() / 5)
