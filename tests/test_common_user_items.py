"""Every recommender takes blocked and allowed items of each user."""

import copy

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from common_checks import (
    N_ITEMS,
    N_USERS,
    assert_same_lists,
    properties,
    slow_recommend,
    users_drawn,
    users_per_block,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._inference import ranking
from skdiffrec.model_selection import GuidanceScaleCV

FORMATS = "csr csc coo lil dok dia bsr".split()


def drawn_items(rng, shape, how):
    """(argument, each user's ids): None, ids for everybody or a matrix."""
    if how == "none":
        return None, [None] * shape[0]
    if how == "ids":
        ids = rng.integers(0, shape[1], rng.integers(0, 40)).tolist()
        return ids, [ids] * shape[0]
    mask = rng.random(shape) < rng.choice([0.0, 0.05, 0.5, 1.0], (shape[0], 1))
    return sp.csr_array(mask), [np.flatnonzero(row).tolist() for row in mask]


hows = st.sampled_from(["none", "ids", "matrix", "matrix"])


class TestEachUsersItems:
    @given(
        users=users_drawn,
        k=st.integers(1, N_ITEMS + 5),
        filter_seen=st.booleans(),
        blocked=hows,
        allowed=hows,
        seed=st.integers(0, 2**32 - 1),
        as_rows=st.booleans(),
        block=st.integers(1, 45),
    )
    @properties
    def test_lists_are_the_best_allowed_items(
        self, fitted, interactions, users, k, filter_seen, blocked, allowed, seed, as_rows, block
    ):
        rng, shape = np.random.default_rng(seed), (len(users), N_ITEMS)
        filter_items, never = drawn_items(rng, shape, blocked)
        items, only = drawn_items(rng, shape, allowed)
        who = {"X": interactions[users]} if as_rows else {"user_ids": users}
        options = dict(k=k, filter_seen=filter_seen, filter_items=filter_items, items=items)
        with users_per_block(block):
            ids, top = fitted.recommend(**who, **options)
        assert ids.dtype == np.int64 and top.dtype == np.float32 and ids.shape == (len(users), k)
        seen, scores = interactions[users].toarray(), fitted.decision_function(interactions[users])
        for row in range(len(users)):
            expected = slow_recommend(scores[row], seen[row], k, filter_seen, never[row], only[row])
            assert ids[row].tolist() == expected[0]
            assert top[row].tolist() == expected[1]

    @pytest.mark.parametrize("name", ["filter_items", "items"])
    def test_a_matrix_of_equal_rows_is_ids_for_everybody(self, fitted, name):
        ids = [0, 3, 8, 9, 30, 49]
        matrix = np.zeros((N_USERS, N_ITEMS))
        matrix[:, ids] = 1
        found = fitted.recommend(k=12, **{name: sp.csr_array(matrix)})
        assert_same_lists(found, fitted.recommend(k=12, **{name: ids}))

    def test_an_int_takes_a_matrix_of_one_row(self, fitted):
        blocked = sp.csr_array(([1.0] * 3, ([0] * 3, [4, 5, 6])), shape=(1, N_ITEMS))
        found = fitted.recommend(7, filter_items=blocked)
        assert found[0].shape == (10,)
        assert_same_lists(found, fitted.recommend(7, filter_items=[4, 5, 6]))
        expected = fitted.recommend(7, items=[4, 5, 6], filter_seen=False)
        assert_same_lists(expected, fitted.recommend(7, items=blocked, filter_seen=False))

    def test_nothing_allowed(self, fitted):
        ids, top = fitted.recommend([5, 6], k=3, items=sp.csr_array((2, N_ITEMS)))
        assert (ids == -1).all() and np.isneginf(top).all()

    def test_no_users(self, fitted):
        ids, _ = fitted.recommend([], k=3, filter_items=sp.csr_array((0, N_ITEMS)))
        assert ids.shape == (0, 3)

    def test_threads(self, fitted):
        blocked = sp.csr_array(np.random.default_rng(0).random((N_USERS, N_ITEMS)) < 0.4)
        expected = fitted.recommend(filter_items=blocked)
        calls = [
            joblib.delayed(fitted.recommend)([u, 5], filter_items=blocked[[u, 5]]) for u in range(8)
        ]
        for u, found in enumerate(joblib.Parallel(n_jobs=2, backend="threading")(calls)):
            assert_same_lists(tuple(part[[u, 5]] for part in expected), found)


few = pytest.mark.parametrize("fitted", ["cfg", "ease"], indirect=True)


@few
class TestForms:
    @pytest.mark.parametrize("kind", ["array", "matrix"])
    @pytest.mark.parametrize("form", FORMATS)
    def test_every_sparse_format(self, fitted, form, kind):
        mask = np.random.default_rng(2).random((3, N_ITEMS)) < 0.3
        expected = fitted.recommend([5, 6, 7], filter_items=sp.csr_array(mask))
        for dtype in (bool, np.uint8, np.int64, np.float32):
            matrix = getattr(sp, f"{form}_{kind}")(mask.astype(dtype))
            assert_same_lists(expected, fitted.recommend([5, 6, 7], filter_items=matrix))
        assert_same_lists(expected, fitted.recommend([5, 6, 7], filter_items=mask))

    def test_stored_zeros_and_duplicates(self, fitted):
        """A stored zero blocks nothing; entries that stand twice block once; X stays as it was."""
        parts = np.array([0, 2, 255, 1], np.uint8), ([0, 0, 0, 1], [3, 4, 4, 9])
        blocked = sp.coo_array(parts, shape=(2, N_ITEMS))
        found = fitted.recommend([5, 6], k=50, filter_items=blocked, filter_seen=False)[0]
        assert 3 in found[0] and 4 not in found[0] and 9 in found[0] and 9 not in found[1]
        assert blocked.nnz == 4

    @pytest.mark.parametrize("name", ["filter_items", "items"])
    @pytest.mark.parametrize(
        ("matrix", "error", "says"),
        [
            (sp.csr_array((3, N_ITEMS)), ValueError, r"\(3, 50\).*\(2, 50\).*user_ids"),
            (sp.csr_array((2, 49)), ValueError, r"\(2, 49\).*\(2, 50\)"),
            (sp.csr_array((N_USERS, N_ITEMS)), ValueError, r"\(120, 50\).*\[user_ids\]"),
            (sp.coo_array(np.ones(N_ITEMS)), ValueError, r"\(50,\).*\(2, 50\)"),
            (np.ones((2, N_ITEMS)), ValueError, r"dense .*\(2, 50\).*ids for everybody.*sparse"),
            (np.ones((2, 3), int), ValueError, r"dense .*\(2, 3\).*ids for everybody.*sparse"),
            (np.ones((3, N_ITEMS), bool), ValueError, r"\(3, 50\).*\(2, 50\)"),
            (sp.csr_array(np.full((2, N_ITEMS), np.nan)), ValueError, "nan.*finite"),
            (sp.csr_array(np.full((2, N_ITEMS), -1)), ValueError, "-1.*>= 0"),
            (sp.csr_array(np.ones((2, N_ITEMS), complex)), TypeError, "complex"),
        ],
    )
    def test_refused(self, fitted, name, matrix, error, says):
        with pytest.raises(error, match=f"(?s)^{name} .*{says}"):
            fitted.recommend([5, 6], **{name: matrix})
        with pytest.raises(error, match=f"(?s)^{name} "):
            fitted.recommend(X=np.eye(N_ITEMS)[:2], **{name: matrix})

    @pytest.mark.parametrize("name", ["filter_items", "items"])
    def test_similar_items_take_ids_alone(self, fitted, name):
        with pytest.raises(TypeError, match=f"{name} must be ids, got a sparse matrix"):
            fitted.similar_items([1, 2], **{name: sp.csr_array((2, N_ITEMS))})


@pytest.mark.parametrize("fitted", ["cfg", "cfg-guided", "cfg-item-space"], indirect=True)
class TestDiffusion:
    @pytest.mark.parametrize("tile_items", [16, 33])
    def test_several_tiles(self, fitted, interactions, tile_items):
        rng = np.random.default_rng(3)
        blocked, allowed = (sp.csr_array(rng.random((N_USERS, N_ITEMS)) < p) for p in (0.3, 0.5))
        scores, seen = fitted.decision_function(interactions), interactions.toarray()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranking, "TILE_ITEMS", tile_items)
            model = copy.deepcopy(fitted)  # its tables are cut into tiles anew
            ids, _ = model.recommend(k=8, filter_items=blocked, items=allowed)
        never, only = (
            [np.flatnonzero(row).tolist() for row in m.toarray()] for m in (blocked, allowed)
        )
        for u in range(N_USERS):
            assert (
                ids[u].tolist() == slow_recommend(scores[u], seen[u], 8, True, never[u], only[u])[0]
            )

    def test_recommend_scales(self, fitted):
        rng, users, scales = np.random.default_rng(4), [5, 0, 9, 5], [0.0, 1.0, 2.5]
        blocked, allowed = (sp.csr_array(rng.random((4, N_ITEMS)) < p) for p in (0.3, 0.5))
        for options in (
            {"filter_items": blocked},
            {"items": allowed, "filter_items": [3, 4]},
            {"items": allowed, "filter_items": blocked, "filter_seen": False},
        ):
            ids, scores = fitted.recommend_scales(scales, users, k=40, **options)
            for i, scale in enumerate(scales):
                expected = fitted.recommend(users, k=40, guidance_scale=scale, **options)
                assert_array_equal(np.sort(ids[i]), np.sort(expected[0]))  # up to rounding
                np.testing.assert_allclose(scores[i], expected[1], rtol=1e-3, atol=1e-4)
        one = fitted.recommend_scales(scales, 5, k=4, filter_items=blocked[[0]])
        assert one[0].shape == (3, 4)


def test_searches_pass_them_on(interactions):
    model = CFGDiffusionRecommender(max_epochs=1, hidden_dims=(8,), random_state=0, device="cpu")
    search = GuidanceScaleCV(model, scales=[1.0], cv=2).fit(interactions)
    blocked = sp.csr_array(np.ones((1, N_ITEMS)) * (np.arange(N_ITEMS) > 4))
    ids = search.recommend([0], k=50, filter_items=blocked)[0]
    assert sorted(ids[ids >= 0].tolist()) == [0, 1, 2, 3, 4]
