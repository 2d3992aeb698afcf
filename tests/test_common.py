"""The one suite that every recommender passes."""

import copy
import pickle
from contextlib import contextmanager

import joblib
import narwhals as nw
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from conftest import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal, assert_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skdiffrec import CFGDiffusionRecommender, base
from skdiffrec.baselines import ALSRecommender, EASERecommender, PopularityRecommender
from skdiffrec.metrics import ndcg_at_k

N_USERS, N_ITEMS = 120, 50
properties = settings(max_examples=20, deadline=None)
users_drawn = st.lists(st.integers(0, N_USERS - 1), min_size=1, max_size=40)
item_sets = st.none() | st.lists(st.integers(0, N_ITEMS - 1), max_size=60)
INTEGER_DTYPES = "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()


def assert_same_lists(one, other):
    """Bitwise: ids, scores and their dtypes."""
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


@contextmanager
def users_per_block(n, n_items=N_ITEMS):
    """Let `recommend` and `decision_function` go through users n at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "_BLOCK_ELEMENTS", n * n_items)
        yield


@contextmanager
def scored_blocks(fitted):
    """Collect the blocks of histories that the model is asked to score or to rank."""
    blocks = []

    def spied(inner):
        def spy(self, X, *args, **options):
            if not len(blocks) or blocks[-1] is not X:  # to rank may be to score the same block
                blocks.append(X)
            return inner(self, X, *args, **options)

        return spy

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_score_rows", "_rank_rows"):
            patch.setattr(type(fitted), name, spied(getattr(type(fitted), name)))
        yield blocks


def slow_recommend(scores, seen, k, filter_seen, filter_items, items):
    """The contract of `recommend` in plain Python, for one user's scores."""
    allowed = set(range(len(scores)) if items is None else items)
    allowed -= set(filter_items or ())
    if filter_seen:
        allowed -= set(np.flatnonzero(seen).tolist())
    ranked = sorted(allowed, key=lambda item: (-scores[item], item))[:k]
    missing = k - len(ranked)
    return ranked + [-1] * missing, [scores[i] for i in ranked] + [-np.inf] * missing


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
    def test_order_company_and_block(self, fitted, interactions, users, block):
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
        assert base._BLOCK_ELEMENTS * 4 <= 2**25  # of float32: 32 MB

    def test_a_row_longer_than_a_block(self, fitted):
        expected = fitted.recommend([1, 2, 3])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "_BLOCK_ELEMENTS", 1)
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
        assert copied.get_params() == fitted.get_params()
        assert not hasattr(copied, "n_features_in_")
        for name, value in fitted.get_params().items():
            assert getattr(copied.set_params(**{name: value}), name) == value


def shuffled_inside_rows(X):
    """The same matrix with the entries of every row in descending order."""
    order = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)]
    )
    return csr_array((X.data[order], X.indices[order], X.indptr), shape=X.shape)


def with_explicit_zeros(X):
    coo = X.tocoo()
    row, col = np.nonzero(X.toarray() == 0)
    row, col = row[::3], col[::3]
    return sp.coo_array(
        (
            np.concatenate([coo.data, np.zeros(len(row))]),
            (np.concatenate([coo.row, row]), np.concatenate([coo.col, col])),
        ),
        shape=X.shape,
    ).tocsr()


def with_int64_indices(X):
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def read_only(X):
    X = X.copy()
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    return X


# What must give the same result as a clean csr_array of float64.
FORMATS = {
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "csc_matrix": sp.csc_matrix,
    "coo_array": sp.coo_array,
    "coo_matrix": sp.coo_matrix,
    "lil_array": sp.lil_array,
    "dok_array": sp.dok_array,
    "bsr_array": sp.bsr_array,
    "dense": lambda X: X.toarray(),
    "fortran": lambda X: np.asfortranarray(X.toarray()),
    "list": lambda X: X.toarray().tolist(),
    "data_frame": lambda X: pd.DataFrame(X.toarray()),
    "float32": lambda X: X.astype(np.float32),
    "int32": lambda X: X.astype(np.int32),
    "int64": lambda X: X.astype(np.int64),
    "uint8": lambda X: X.astype(np.uint8),
    "dense int": lambda X: X.toarray().astype(np.int64),
    "int64 indices": with_int64_indices,
    "unsorted": shuffled_inside_rows,
    "explicit zeros": with_explicit_zeros,
    "read-only": read_only,
}


def parts_of(X):
    """Copies of the arrays that make up X."""
    if isinstance(X, (sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix)):
        return [X.data.copy(), X.indices.copy(), X.indptr.copy()]
    if isinstance(X, (sp.coo_array, sp.coo_matrix)):
        return [X.data.copy(), X.row.copy(), X.col.copy()]
    return [X.toarray()] if sp.issparse(X) else [np.array(X)]


def assert_unmodified(parts, X):
    for before, now in zip(parts, parts_of(X), strict=True):
        assert before.dtype == now.dtype
        assert_array_equal(before, now)


def assert_reads_the_same(fitted, interactions, X):
    """`X` stands for `interactions` in every method, and is left as it was."""
    before = parts_of(X)
    expected = fitted.recommend()
    assert_same_lists(expected, fitted.recommend(X=X))
    assert_same_lists(expected, clone(fitted).fit(X).recommend())
    assert_array_equal(fitted.decision_function(interactions), fitted.decision_function(X))
    assert fitted.score(interactions) == fitted.score(X)
    assert_unmodified(before, X)


class TestFormats:
    @pytest.mark.parametrize("convert", FORMATS.values(), ids=FORMATS)
    def test_same_result(self, fitted, interactions, convert):
        assert_reads_the_same(fitted, interactions, convert(interactions))

    def test_duplicates(self, fitted, interactions):
        """Once as binary, added up as weights, the latest of several times."""
        earlier = np.random.default_rng(1).uniform(0.05, 0.95, interactions.nnz)
        first, second = {
            "binary": (3.0 * interactions.data, interactions.data),
            "weight": (0.25 * interactions.data, 0.75 * interactions.data),
            # an item's other time is earlier, but not by the same for all: a sum would reorder
            "time": (interactions.data * earlier, interactions.data),
        }[fitted.values]
        coo = interactions.tocoo()
        row, col = np.tile(coo.row, 2), np.tile(coo.col, 2)
        shuffle = np.random.default_rng(0).permutation(len(row))
        X = sp.coo_array(
            (np.concatenate([first, second])[shuffle], (row[shuffle], col[shuffle])),
            shape=interactions.shape,
        )
        assert_reads_the_same(fitted, interactions, X)
        # CSR with duplicates: every row holds its items twice
        counts = np.diff(interactions.indptr)
        starts = np.repeat(interactions.indptr[:-1], 2 * counts)
        inside = np.concatenate([np.tile(np.arange(n), 2) for n in counts]).astype(int)
        late = np.concatenate([np.repeat([0, 1], n) for n in counts]).astype(bool)
        entry = starts + inside
        X = csr_array(
            (
                np.where(late, second[entry], first[entry]),
                interactions.indices[entry],
                2 * interactions.indptr,
            ),
            shape=interactions.shape,
        )
        assert X.nnz == 2 * interactions.nnz
        assert_reads_the_same(fitted, interactions, X)

    def test_holdout_formats(self, fitted, interactions, holdout):
        expected = fitted.score(interactions, holdout)
        for convert in (sp.csc_matrix, sp.coo_array, with_int64_indices, with_explicit_zeros):
            y = convert(holdout)
            before = parts_of(y)
            assert fitted.score(interactions, y) == expected
            assert_unmodified(before, y)
        assert fitted.score(interactions, holdout.toarray()) == expected
        assert fitted.score(interactions, holdout.astype(bool)) == expected
        assert fitted.score(interactions, 7 * holdout) == expected

    def test_column_names(self, model, interactions):
        names = [f"item {i}" for i in range(N_ITEMS)]
        X = pd.DataFrame(interactions.toarray(), columns=names)
        model.fit(X)
        assert_array_equal(model.feature_names_in_, names)
        expected = model.recommend()
        assert_same_lists(expected, model.recommend(X=X))
        with pytest.raises(ValueError, match="feature names should match"):
            model.recommend(X=X[names[::-1]])
        model.fit(interactions)
        assert not hasattr(model, "feature_names_in_")

    @pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
    def test_column_names_of_every_library(self, library, interactions, holdout):
        def frame(X, names):
            return nw.from_dict(dict(zip(names, X.toarray().T, strict=True)), backend=library)

        names = [f"item {i}" for i in range(N_ITEMS)]
        X, y = (frame(M, names).to_native() for M in (interactions, holdout))
        turned = frame(holdout, names[::-1]).to_native()
        plain = EASERecommender(reg=20.0).fit(interactions)
        model = EASERecommender(reg=20.0).fit(X)
        assert_array_equal(model.feature_names_in_, names)
        assert_same_lists(plain.recommend(), model.recommend(X=X))
        assert model.score(X, y) == model.score(X, holdout) == plain.score(interactions, holdout)
        with pytest.raises(ValueError, match="columns of y are .*'item 49'"):
            model.score(X, turned)
        with pytest.raises(ValueError, match="feature names should match"):
            model.score(turned)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.recommend(X=interactions)


class TestScore:
    def test_is_ndcg_at_10_of_the_lists(self, fitted, interactions, holdout):
        ids, _ = fitted.recommend(X=interactions, k=10)
        expected = ndcg_at_k(ids, holdout, k=10)
        score = fitted.score(interactions, holdout)
        assert isinstance(score, float) and score == expected > 0

    def test_hides_a_fifth_of_every_row(self, fitted, interactions):
        with scored_blocks(fitted) as blocks:
            score = fitted.score(interactions)
        history = sp.vstack(blocks).toarray()
        full = interactions.toarray() if fitted.values != "binary" else interactions.toarray() > 0
        hidden = full - history * 1.0
        assert ((hidden == 0) | (history == 0)).all()  # each entry is in one part, as it was
        length = (full > 0).sum(axis=1)
        n_hidden = np.clip(np.maximum(np.round(0.2 * length), 1), 0, np.maximum(length - 1, 0))
        assert_array_equal((hidden > 0).sum(axis=1), n_hidden)
        ids, _ = fitted.recommend(X=history, k=10)
        assert score == ndcg_at_k(ids, hidden, k=10)
        if fitted.values == "time":
            latest = np.where(hidden > 0, hidden, np.inf).min(axis=1)
            assert (latest > history.max(axis=1)).all()

    def test_is_seeded(self, fitted, interactions):
        assert fitted.score(interactions) == fitted.score(interactions)

    @given(order=st.permutations(range(3, N_USERS)), cut=st.integers(1, N_USERS - 4))
    @properties
    def test_what_is_hidden_of_a_user_ignores_the_others(self, fitted, interactions, order, cut):
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

    def test_nothing_to_judge_is_an_error(self, fitted, interactions):
        with pytest.raises(ValueError, match="No user has a holdout item"):
            fitted.score(interactions, csr_array(interactions.shape))
        with pytest.raises(ValueError, match="fewer than 2 interactions"):
            fitted.score(np.eye(N_ITEMS))


def corrupt(X, value):
    dense = X.toarray()
    dense[4, 6] = value
    return dense


# name: what is wrong with X, and what the error says. (sparse too, where a format can hold it)
BAD_X = {
    "nan": (lambda X: corrupt(X, np.nan), "X.*NaN"),
    "sparse nan": (lambda X: csr_array(corrupt(X, np.nan)), "X.*NaN"),
    "inf": (lambda X: corrupt(X, np.inf), "X.*infinity"),
    "sparse inf": (lambda X: csr_array(corrupt(X, np.inf)), "X.*infinity"),
    "negative": (lambda X: corrupt(X, -2.5), r"(?s)X.*>= 0"),
    "sparse negative": (lambda X: csr_array(corrupt(X, -2.5)), r"(?s)X.*>= 0"),
    "1-D": (lambda X: X.toarray()[0], "2D array, got 1D"),
    "3-D": (lambda X: X.toarray()[None], "dim 3|ndim"),
    "scalar": (lambda X: 3, "2D array, got scalar"),
    "no rows": (lambda X: X[:0], r"0 sample\(s\) \(shape=\(0, 50\)\)"),
    "no columns": (lambda X: X[:, :0], r"0 feature\(s\) \(shape=\(120, 0\)\)"),
    "text": (lambda X: np.full((120, 50), "a"), "could not convert string|numeric"),
    "complex": (lambda X: X.toarray() + 1j, "[Cc]omplex data not supported"),
    "ragged": (lambda X: [[1, 2], [3]], "inhomogeneous"),
}
bad_X = pytest.mark.parametrize(("spoil", "says"), BAD_X.values(), ids=BAD_X)

# name: user ids, error, what it says
BAD_USERS = {
    "float": ([1.0, 2.0], TypeError, r"user_ids.*\[1\.0, 2\.0\].*0 to 119"),
    "one float": (1.5, TypeError, r"user_ids.*1\.5.*0 to 119"),
    "bool": (True, TypeError, "user_ids.*True.*0 to 119"),
    "mask": (np.arange(120) > 3, TypeError, "user_ids.*False.*0 to 119.*flatnonzero"),
    "text": (["a"], TypeError, "user_ids.*'a'.*0 to 119"),
    "none inside": ([1, None], TypeError, "user_ids.*None.*0 to 119"),
    "negative": (-1, IndexError, "user_ids.*-1.*0 to 119"),
    "negative in list": ([3, -7], IndexError, "user_ids.*-7.*0 to 119"),
    "too large": (120, IndexError, "user_ids.*120.*0 to 119"),
    "too large in list": ([0, 10**12], IndexError, "user_ids.*1000000000000.*0 to 119"),
    "too large, uint64": (
        np.array([2**64 - 1], np.uint64),
        IndexError,
        f"user_ids.*{2**64 - 1}.*0 to 119",
    ),
    "2-D": ([[1, 2]], ValueError, r"user_ids.*\(1, 2\).*1-D"),
}

BAD_K = {
    "zero": (0, ValueError, "k must be at least 1, got 0"),
    "negative": (-3, ValueError, "k must be at least 1, got -3"),
    "float": (2.0, TypeError, "k must be a positive integer, got 2.0"),
    "numpy float": (np.float64(3), TypeError, "k must be a positive integer, got .*3.0"),
    "bool": (True, TypeError, "k must be a positive integer, got True"),
    "numpy bool": (np.True_, TypeError, "k must be a positive integer, got .*True"),
    "text": ("10", TypeError, "k must be a positive integer, got '10'"),
    "none": (None, TypeError, "k must be a positive integer, got None"),
}

BAD_ITEMS = {
    "negative": ([-1], IndexError, "-1.*0 to 49"),
    "unknown": ([3, 50], IndexError, "50.*0 to 49"),
    "float": ([1.0], TypeError, r"1\.0.*0 to 49"),
    "mask": (np.ones(50, bool), TypeError, "True.*0 to 49"),
    "2-D": ([[1]], ValueError, r"\(1, 1\)"),
    "text": (["space opera 07"], TypeError, "space opera 07.*0 to 49"),
}


# One of each class and each way of reading values: the checks do not depend on more.
CHECKED = ["cfg", "cfg-time", "popularity", "ease-weight", "als"]


@pytest.mark.parametrize("fitted", CHECKED, indirect=True)
class TestBadInput:
    """A clear error, after which a fitted model gives the lists it gave before."""

    @pytest.fixture
    def survivor(self, fitted):
        """A copy of the fitted model that must come out of the test as it was."""
        survivor = copy.deepcopy(fitted)
        expected = fitted.recommend()
        yield survivor
        assert_same_lists(expected, survivor.recommend())
        assert survivor.n_features_in_ == N_ITEMS

    @bad_X
    def test_fit(self, survivor, interactions, spoil, says):
        with pytest.raises(ValueError, match=says):
            survivor.fit(spoil(interactions))

    @bad_X
    @pytest.mark.parametrize("method", ["recommend", "decision_function", "score"])
    def test_rows(self, survivor, interactions, method, spoil, says):
        X = spoil(interactions)
        if says.startswith("0 feature"):
            says += "|0 features"
        with pytest.raises(ValueError, match=says):
            getattr(survivor, method)(X=X)

    def test_negative_value_is_named(self, survivor, interactions):
        with pytest.raises(ValueError, match=r"-2\.5"):
            survivor.fit(corrupt(interactions, -2.5))

    @pytest.mark.parametrize("empty", [csr_array((4, N_ITEMS)), np.zeros((4, N_ITEMS))])
    def test_no_interaction(self, survivor, empty):
        with pytest.raises(ValueError, match=r"X of shape \(4, 50\) holds no interaction"):
            survivor.fit(empty)

    def test_only_explicit_zeros(self, survivor, interactions):
        empty = interactions.copy()
        empty.data[:] = 0
        with pytest.raises(ValueError, match="holds no interaction"):
            survivor.fit(empty)

    @pytest.mark.parametrize("method", ["recommend", "decision_function", "score"])
    @pytest.mark.parametrize("n_items", [49, 51])
    def test_other_columns(self, survivor, method, n_items):
        says = f"X has {n_items} features, but .* is expecting 50 features"
        for X in (np.ones((3, n_items)), csr_array(np.ones((3, n_items)))):
            with pytest.raises(ValueError, match=says):
                getattr(survivor, method)(X=X)

    def test_values(self, survivor, interactions):
        kept = survivor.values
        survivor.set_params(values="stars")
        for call in (
            lambda: survivor.fit(interactions),
            lambda: survivor.recommend(X=interactions),
            lambda: survivor.decision_function(interactions),
        ):
            with pytest.raises(ValueError, match="values.*(binary|time|weight).*stars"):
                call()
        survivor.set_params(values=kept)

    @pytest.mark.parametrize(("users", "error", "says"), BAD_USERS.values(), ids=BAD_USERS)
    def test_user_ids(self, survivor, users, error, says):
        with pytest.raises(error, match=says):
            survivor.recommend(users)

    @pytest.mark.parametrize("users", [[1.0, 2.0], [-1, 2], [True, False], ["a", "b"]])
    def test_labels_beside_rows(self, survivor, interactions, users):
        with pytest.raises((TypeError, IndexError), match="user_ids"):
            survivor.recommend(users, X=interactions[:2])

    @pytest.mark.parametrize("users", [4, [4], [1, 2, 3], []])
    def test_one_row_per_user(self, survivor, interactions, users):
        with pytest.raises(ValueError, match=rf"user_ids has {np.size(users)} .*X has 2 rows"):
            survivor.recommend(users, X=interactions[:2])

    @pytest.mark.parametrize(("k", "error", "says"), BAD_K.values(), ids=BAD_K)
    def test_k(self, survivor, interactions, k, error, says):
        with pytest.raises(error, match=says):
            survivor.recommend([1, 2], k=k)
        with pytest.raises(error, match=says):
            survivor.recommend(X=interactions, k=k)

    @pytest.mark.parametrize("name", ["items", "filter_items"])
    @pytest.mark.parametrize(("items", "error", "says"), BAD_ITEMS.values(), ids=BAD_ITEMS)
    def test_items(self, survivor, name, items, error, says):
        with pytest.raises(error, match=rf"(?s)^{name} .*{says}"):
            survivor.recommend([1, 2], **{name: items})

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
    def test_holdout(self, survivor, interactions, holdout, bad):
        y = holdout.copy()
        y.data[0] = bad
        with pytest.raises(ValueError, match=r"\by\b.*(nan|inf|-1)"):
            survivor.score(interactions, y)


@pytest.mark.parametrize("model", CHECKED, indirect=True)
class TestBadInputBeforeFit:
    @bad_X
    def test_first_fit(self, model, interactions, spoil, says):
        with pytest.raises(ValueError, match=says):
            model.fit(spoil(interactions))
        with pytest.raises(NotFittedError):
            model.recommend(0)

    def test_not_fitted(self, model, interactions, holdout):
        for call in (
            lambda: model.recommend(0),
            lambda: model.recommend(X=interactions),
            lambda: model.decision_function(interactions),
            lambda: model.score(interactions, holdout),
        ):
            with pytest.raises(NotFittedError, match=type(model).__name__):
                call()

    def test_positional_parameters(self, model):
        with pytest.raises(TypeError):
            type(model)("binary")


def models_of(values):
    """Parametrise `fitted` or `model` with the models that read these values."""
    names = [name for name, model in MODELS.items() if model.values == values]
    return lambda fixture: pytest.mark.parametrize(fixture, names, indirect=True)


class TestUnits:
    """The unit of the values must not matter."""

    @models_of("weight")("fitted")
    @pytest.mark.parametrize("factor", [2.0**-20, 2.0])
    def test_weights(self, fitted, interactions, factor):
        scaled = interactions * factor
        assert_same_lists(fitted.recommend(), fitted.recommend(X=scaled))
        assert_same_lists(fitted.recommend(), clone(fitted).fit(scaled).recommend())

    @models_of("weight")("fitted")
    @pytest.mark.parametrize("factor", [2.0**-20, 2.0])
    def test_score_of_weights(self, fitted, interactions, factor):
        assert fitted.score(interactions) == fitted.score(interactions * factor)

    @models_of("weight")("model")
    @pytest.mark.parametrize("scale", [1e-50, 1e50])
    def test_weights_beyond_float32(self, model, interactions, scale):
        """Refused or understood, but never turned into inf, NaN or nothing."""
        X = interactions * scale
        try:
            model.fit(X)
        except ValueError as error:
            assert "X" in str(error)
        else:
            assert np.isfinite(model.decision_function(X)).all()
            assert (model.recommend(3)[0] >= 0).all()

    @models_of("weight")("fitted")
    def test_weights_matter(self, fitted, interactions):
        turned = interactions.copy()
        turned.data = 1 / turned.data
        same = fitted.decision_function(interactions) == fitted.decision_function(turned)
        assert same.all() == isinstance(fitted, PopularityRecommender)
        again = clone(fitted).fit(turned)
        assert (fitted.recommend()[0] != again.recommend()[0]).any()

    @models_of("time")("fitted")
    @pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
    @pytest.mark.parametrize("change", ["unit", "origin"])
    def test_times(self, fitted, interactions, change, ties):
        X = interactions.copy()
        if ties:  # as sessions or days give
            X.data = np.ceil(X.data / 4)
        other = X.copy()
        other.data = 86_400 * X.data if change == "unit" else X.data + 1e9
        model = clone(fitted).fit(X)
        assert_same_lists(model.recommend(), model.recommend(X=other))
        assert model.score(X) == model.score(other)
        assert_same_lists(model.recommend(), clone(model).fit(other).recommend())

    @models_of("time")("fitted")
    def test_order_of_times(self, fitted, interactions):
        turned = interactions.copy()
        turned.data = turned.data.max() + 1 - turned.data
        assert (fitted.recommend()[0] != fitted.recommend(X=turned)[0]).any()

    @models_of("binary")("fitted")
    def test_binary_values_do_not_matter(self, fitted, interactions):
        for X in (interactions.astype(bool), interactions.toarray() > 0, interactions * 0.3):
            assert_reads_the_same(fitted, interactions, X)


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
        # x0: estimates made from noise at the last timesteps say little
        model.set_params(prediction_type="x0", max_epochs=20, early_stopping=False, dropout=0.0)
        model.set_params(batch_size=8, learning_rate=3e-3)
    elif isinstance(model, ALSRecommender):
        model.set_params(factors=2)
    ids, _ = model.fit(X).recommend(k=2)
    found = np.take_along_axis(withheld, ids, axis=1).all(axis=1)
    if isinstance(model, PopularityRecommender):
        assert found.mean() < 0.5
    else:
        assert found.all()
