"""The one suite that every recommender passes: lists, invariance, fit, copies."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from common_checks import (
    N_ITEMS,
    N_USERS,
    assert_same_lists,
    plain_parameters,
    properties,
    scored_blocks,
    slow_recommend,
    users_drawn,
    users_per_block,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal, assert_equal
from scipy.sparse import csr_array
from sklearn.base import clone

from skdiffrec._utils import topk
from skdiffrec.baselines import PopularityRecommender

item_sets = st.none() | st.lists(st.integers(0, N_ITEMS - 1), max_size=60)
INTEGER_DTYPES = "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()


class TestRecommend:
    @given(
        users=users_drawn,
        k=st.integers(1, N_ITEMS + 5),
        filter_seen=st.booleans(),
        filter_items=item_sets,
        items=item_sets,
        as_rows=st.booleans(),
    )
    @properties
    def test_lists_are_the_best_allowed_items(
        self, fitted, interactions, users, k, filter_seen, filter_items, items, as_rows
    ):
        who = {"X": interactions[users]} if as_rows else {"user_ids": users}
        ids, scores = fitted.recommend(
            **who, k=k, filter_seen=filter_seen, filter_items=filter_items, items=items
        )
        assert ids.dtype == np.int64 and scores.dtype == np.float32
        assert ids.shape == scores.shape == (len(users), k)
        seen = interactions[users].toarray()
        for row, of_user in enumerate(fitted.decision_function(interactions[users])):
            expected = slow_recommend(of_user, seen[row], k, filter_seen, filter_items, items)
            assert ids[row].tolist() == expected[0]
            assert scores[row].tolist() == expected[1]

    def test_seen_items_come_back_on_request_only(self, fitted, interactions):
        seen = interactions.toarray() > 0
        rows = np.arange(N_USERS)[:, None]
        ids, _ = fitted.recommend(k=N_ITEMS)
        assert not (seen[rows, ids] & (ids >= 0)).any()
        assert_array_equal((ids >= 0).sum(axis=1), N_ITEMS - seen.sum(axis=1))
        ids, _ = fitted.recommend(k=N_ITEMS, filter_seen=False)
        assert_array_equal(np.sort(ids, axis=1), np.tile(np.arange(N_ITEMS), (N_USERS, 1)))

    def test_short_lists_end_in_minus_one(self, fitted):
        ids, scores = fitted.recommend(2, k=10)  # has seen all but 4 items
        assert set(ids[:4].tolist()) == {0, 1, 2, 3} and (ids[4:] == -1).all()
        assert np.isfinite(scores[:4]).all() and np.isneginf(scores[4:]).all()

    @pytest.mark.parametrize("items", [[], [3, 3, 3]])
    def test_few_items_allowed(self, fitted, items):
        ids, scores = fitted.recommend(5, k=4, items=items, filter_seen=False)
        n = len(set(items))
        assert_array_equal(ids, [3] * n + [-1] * (4 - n))
        assert_array_equal(np.isneginf(scores), ids == -1)

    @pytest.mark.parametrize("user", [4, np.int16(4), np.uint64(4), np.array(4)])
    def test_an_int_gives_one_list(self, fitted, user):
        ids, scores = fitted.recommend(user, k=7)
        assert ids.shape == scores.shape == (7,)
        assert_same_lists((ids[None], scores[None]), fitted.recommend([4], k=7))

    def test_an_int_with_its_row_gives_one_list(self, fitted, interactions):
        one = fitted.recommend(4, X=interactions[[4]], k=7)
        assert_same_lists(one, fitted.recommend(4, k=7))

    @pytest.mark.parametrize("dtype", INTEGER_DTYPES)
    def test_any_integer_dtype(self, fitted, dtype):
        users, items = [5, 0, 119, 5], [1, 8, 9, 30, 49]
        expected = fitted.recommend(users, items=items, filter_items=[9])
        assert_same_lists(
            expected,
            fitted.recommend(
                np.array(users, dtype),
                items=np.array(items, dtype),
                filter_items=np.array([9], dtype),
            ),
        )

    @pytest.mark.parametrize("container", [tuple, pd.Series, pd.Index, np.array])
    def test_any_container_of_ids(self, fitted, container):
        users = [5, 0, 119, 5]
        assert_same_lists(fitted.recommend(users), fitted.recommend(container(users)))

    def test_a_range_of_ids(self, fitted):
        assert_same_lists(fitted.recommend(range(3, 9)), fitted.recommend([3, 4, 5, 6, 7, 8]))

    def test_no_ids_mean_all_rows(self, fitted, interactions):
        everybody = fitted.recommend()
        assert_same_lists(everybody, fitted.recommend(np.arange(N_USERS)))
        assert_same_lists(everybody, fitted.recommend(X=interactions))

    def test_no_users(self, fitted):
        ids, scores = fitted.recommend([], k=3)
        assert ids.shape == scores.shape == (0, 3)
        assert ids.dtype == np.int64 and scores.dtype == np.float32

    def test_ids_beside_rows_are_labels(self, fitted, interactions):
        rows = interactions[[8, 9]]
        expected = fitted.recommend([8, 9])
        assert_same_lists(expected, fitted.recommend([10**12, 3], X=rows))
        assert_same_lists(expected, fitted.recommend([7, 7], X=rows))

    def test_numpy_integers_as_k(self, fitted):
        assert_same_lists(fitted.recommend(3, k=4), fitted.recommend(3, k=np.uint8(4)))

    def test_new_users_and_newer_histories(self, fitted, interactions):
        """Rows are folded in: known or not, and whatever was seen in `fit`."""
        row = np.zeros((1, N_ITEMS))
        row[0, [1, 4, 9]] = [1, 2, 3]
        ids, scores = fitted.recommend(X=row, k=N_ITEMS)
        assert not {1, 4, 9} & set(ids[0].tolist())
        assert np.isfinite(scores[0, : N_ITEMS - 3]).all()
        assert_same_lists((ids, scores), fitted.recommend([0], X=row, k=N_ITEMS))

    def test_an_empty_row_gets_a_full_list(self, fitted):
        ids, scores = fitted.recommend(X=csr_array((3, N_ITEMS)), k=N_ITEMS)
        assert (np.sort(ids, axis=1) == np.arange(N_ITEMS)).all() and np.isfinite(scores).all()
        assert (ids == ids[0]).all() and (scores == scores[0]).all()
        assert_same_lists((ids[0], scores[0]), fitted.recommend(0, k=N_ITEMS))  # empty in fit

    def test_histories_matter(self, fitted):
        """But for popularity, the scores are personal."""
        scores = fitted.decision_function(np.eye(N_ITEMS)[:4])
        alike = all((scores[0] == other).all() for other in scores[1:])
        assert alike == isinstance(fitted, PopularityRecommender)


class TestInvariance:
    """A user's result depends on the user's row alone, bit for bit."""

    @given(users=users_drawn, block=st.integers(1, 45))
    @properties
    def test_order_batch_and_block(self, fitted, interactions, users, block):
        expected = tuple(part[users] for part in fitted.recommend(k=N_ITEMS))
        with users_per_block(block):
            assert_same_lists(expected, fitted.recommend(users, k=N_ITEMS))
            assert_same_lists(expected, fitted.recommend(X=interactions[users], k=N_ITEMS))

    @given(users=users_drawn, block=st.integers(1, 45))
    @properties
    def test_decision_function(self, fitted, interactions, users, block):
        expected = fitted.decision_function(interactions)[users]
        assert expected.dtype == np.float32 and np.isfinite(expected).all()
        with users_per_block(block):
            assert_array_equal(expected, fitted.decision_function(interactions[users]))

    def test_strangers_in_the_call(self, fitted, interactions):
        rng = np.random.default_rng(5)
        strangers = sp.random_array((60, N_ITEMS), density=0.3, random_state=rng, format="csr")
        mixed = sp.vstack([strangers, interactions, strangers[:7]], format="csr")
        ids, scores = fitted.recommend(X=mixed)
        assert_same_lists(fitted.recommend(), (ids[60:180], scores[60:180]))
        assert_same_lists((ids[:7], scores[:7]), (ids[180:], scores[180:]))

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["known", "rows", "decision_function", "score"])
    def test_memory_does_not_grow_with_the_users(self, fitted, interactions, method):
        """Never more scores at once than a block, however many users are asked for."""
        many = np.arange(1000) % N_USERS
        rows = interactions[many]
        call = {
            "known": lambda: fitted.recommend(many),
            "rows": lambda: fitted.recommend(X=rows),
            "decision_function": lambda: fitted.decision_function(rows),
            "score": lambda: fitted.score(rows),
        }[method]
        expected = call()
        with users_per_block(64), scored_blocks(fitted) as blocks:
            assert_equal(expected, call())
        sizes = [block.shape[0] for block in blocks]
        assert max(sizes) == 64 and sum(sizes) == 1000
        assert topk._BLOCK_ELEMENTS * 4 <= 2**25  # of float32: 32 MB

    def test_a_row_longer_than_a_block(self, fitted):
        expected = fitted.recommend([1, 2, 3])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(topk, "_BLOCK_ELEMENTS", 1)
            assert_same_lists(expected, fitted.recommend([1, 2, 3]))


class TestFit:
    def test_returns_self(self, model, interactions):
        assert model.fit(interactions) is model
        assert model.n_features_in_ == N_ITEMS

    def test_clones_fit_alike(self, fitted, interactions):
        again = clone(fitted).fit(interactions)
        assert_same_lists(fitted.recommend(), again.recommend())

    def test_fit_twice(self, model, interactions):
        lists = [model.fit(interactions).recommend() for _ in range(2)]
        assert_same_lists(*lists)

    def test_other_data_are_forgotten(self, fitted, interactions):
        other = csr_array(np.roll(interactions.toarray(), 11, axis=1)[20:, :40])
        fresh = clone(fitted).fit(other)
        reused = copy.deepcopy(fitted).fit(other)
        assert reused.n_features_in_ == 40
        assert_same_lists(fresh.recommend(), reused.recommend())
        assert_array_equal(fresh.decision_function(other), reused.decision_function(other))

    @pytest.mark.slow
    @pytest.mark.parametrize("y", ["labels", "floats", "holdout", "nonsense"])
    def test_y_is_ignored(self, fitted, interactions, holdout, y):
        y = {
            "labels": np.arange(N_USERS) % 2,
            "floats": np.full(N_USERS, np.nan),
            "holdout": holdout,
            "nonsense": "not even an array",
        }[y]
        again = clone(fitted).fit(interactions, y)
        assert_same_lists(fitted.recommend(), again.recommend())

    def test_the_training_rows_are_a_copy(self, fitted, interactions):
        X = interactions.copy()
        X.data = X.data.astype(np.float32 if fitted.values != "time" else np.float64)
        again = clone(fitted).fit(X)
        X.data[:] = 0
        X.indices[:] = 0
        X.indptr[:] = 0
        assert_same_lists(fitted.recommend(), again.recommend())

    def test_results_are_the_callers(self, fitted):
        expected = fitted.recommend(3)
        for array in fitted.recommend(3):
            array[:] = 0
        assert_same_lists(expected, fitted.recommend(3))

    def test_global_random_states_are_left_alone(self, model, interactions):
        np.random.seed(3)
        torch.manual_seed(3)
        numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
        model.fit(interactions).recommend()
        assert_array_equal(numpy_state, np.random.get_state()[1])
        assert torch.equal(torch_state, torch.get_rng_state())

    def test_global_random_states_do_not_matter(self, fitted, interactions):
        np.random.seed(99)
        torch.manual_seed(99)
        assert_same_lists(fitted.recommend(), clone(fitted).fit(interactions).recommend())

    def test_one_user(self, model):
        ids, scores = model.fit([[0, 2, 1, 3, 0, 0]]).recommend(0, k=4)
        assert set(ids[:3].tolist()) == {0, 4, 5} and ids[3] == -1
        assert np.isfinite(scores[:3]).all()

    def test_one_item_each(self, model):
        ids, scores = model.fit(np.eye(6)).recommend(k=5)
        assert np.isfinite(scores).all()
        assert_array_equal(
            np.sort(ids, axis=1), [[i for i in range(6) if i != u] for u in range(6)]
        )


class TestPersistence:
    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle(self, fitted, interactions, protocol):
        loaded = pickle.loads(pickle.dumps(fitted, protocol))
        assert_same_lists(fitted.recommend(), loaded.recommend())
        assert_array_equal(
            fitted.decision_function(interactions), loaded.decision_function(interactions)
        )

    def test_pickle_then_fit(self, fitted, interactions):
        loaded = pickle.loads(pickle.dumps(fitted))
        assert_same_lists(fitted.recommend(), loaded.fit(interactions).recommend())

    def test_not_fitted(self, model):
        assert repr(pickle.loads(pickle.dumps(model))) == repr(model)

    def test_deepcopy(self, fitted):
        assert_same_lists(fitted.recommend(), copy.deepcopy(fitted).recommend())

    @pytest.mark.parametrize("mmap_mode", [None, "r"])
    def test_joblib(self, fitted, tmp_path, mmap_mode):
        """Also memory-mapped and read-only, as `joblib.Parallel` hands large models to workers."""
        joblib.dump(fitted, tmp_path / "model.joblib")
        loaded = joblib.load(tmp_path / "model.joblib", mmap_mode=mmap_mode)
        assert_same_lists(fitted.recommend(), loaded.recommend())

    def test_threads(self, fitted):
        calls = [joblib.delayed(fitted.recommend)([u, 5]) for u in range(8)]
        results = joblib.Parallel(n_jobs=2, backend="threading")(calls)
        for user, lists in enumerate(results):
            assert_same_lists(fitted.recommend([user, 5]), lists)

    def test_clone_and_parameters(self, fitted):
        copied = clone(fitted)
        assert plain_parameters(copied) == plain_parameters(fitted)
        assert not hasattr(copied, "n_features_in_")
        for name, value in fitted.get_params(deep=False).items():
            assert getattr(copied.set_params(**{name: value}), name) == value
