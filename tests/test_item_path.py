"""Closed forms by blocks: neighbourhoods against a slow definition, several λ, samples of rows."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec import _neighborhood, _path_choice
from skdiffrec._item_path import (
    PathSettings,
    PathSolver,
    ease_matrix,
    neighborhood_matrix,
    solve_path,
)
from skdiffrec._neighborhood import (
    DenseGram,
    SparseGram,
    gram_matrix,
    nearest_items,
    neighborhood_matrices,
)
from skdiffrec._path_choice import build_path, choose_path, ranked_items, sampled_rows
from skdiffrec._rows import hide_items
from skdiffrec._transitions import transitions

properties = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**31 - 2)


def random_csr(n, n_items, seed=0, weighted=True, density=0.3):
    """Popular items first, so that some of them are met by all others and some by few."""
    rng = np.random.default_rng(seed)
    share = np.minimum(4 * density / np.sqrt(1 + np.arange(n_items)), 0.8)
    dense = (rng.random((n, n_items)) < share).astype(np.float32)
    if weighted:  # no two cosines are the same
        dense *= rng.uniform(0.2, 1, dense.shape).astype(np.float32)
    return sp.csr_array(dense)


def random_times(n, n_items, seed=0):
    X = random_csr(n, n_items, seed, weighted=False)
    X.data = np.random.default_rng(seed).permutation(X.nnz) + 1.0
    return X


def slow_neighborhood(X, reg, n_neighbors, targets=None):
    """The definition, item by item and in float64; ties by lower id."""
    X = X.toarray().astype(np.float64)
    Y = X if targets is None else targets.toarray().astype(np.float64)
    B = np.zeros((X.shape[1], Y.shape[1]))
    norms = np.linalg.norm(X, axis=0)
    for item in range(Y.shape[1]):
        met = np.flatnonzero(X.T @ Y[:, item])
        met = met[met != item]
        cosine = X[:, met].T @ Y[:, item] / norms[met]
        near = met[np.argsort(-cosine, kind="stable")[:n_neighbors]]
        gram = X[:, near].T @ X[:, near] + reg * np.eye(len(near))
        B[near, item] = np.linalg.solve(gram, X[:, near].T @ Y[:, item])
    return B


def both_grams(X, targets=None):
    return [SparseGram(X, targets), DenseGram.of_rows(X, targets)]


def assert_same(found, expected):
    found = found.toarray() if sp.issparse(found) else found
    expected = expected.toarray() if sp.issparse(expected) else expected
    assert_allclose(found, expected, atol=1e-4 * max(1e-6, np.abs(expected).max()))


# Neighbourhoods


@properties
@given(seeds, st.integers(60, 90), st.integers(2, 30), st.integers(1, 12), st.floats(0.3, 30))
def test_every_column_is_a_ridge_on_its_nearest_items(seed, n, n_items, n_neighbors, reg):
    X = random_csr(n, n_items, seed)
    expected = slow_neighborhood(X, reg, n_neighbors)
    for gram in both_grams(X):
        B = neighborhood_matrices(gram, [reg], n_neighbors)[0]
        assert B.format == "csr" and B.dtype == np.float32 and B.has_sorted_indices
        assert_same(B, expected)


@properties
@given(seeds, st.integers(1, 12))
def test_targets_are_predicted_from_the_rows(seed, n_neighbors):
    X, Y = random_csr(60, 25, seed), random_csr(60, 25, seed + 1)
    expected = slow_neighborhood(X, 2.0, n_neighbors, Y)
    for gram in both_grams(X, Y):
        assert_same(neighborhood_matrices(gram, [2.0], n_neighbors)[0], expected)


def test_of_equal_cosines_lower_ids_come_first():
    X = sp.csr_array(np.ones((3, 9), np.float32))
    for gram in both_grams(X):
        neighbors, common, counts = nearest_items(gram, np.array([0, 2, 8]), 4)
        assert_array_equal(neighbors, [[1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3]])
        assert_array_equal(common, np.full((3, 4), 3.0))
        assert_array_equal(counts, [4, 4, 4])


def test_several_ridges_at_once_are_each_alone():
    X = random_csr(60, 40)
    for gram in both_grams(X):
        together = neighborhood_matrices(gram, [1.0, 3.0, 10.0], 7)
        for reg, B in zip([1.0, 3.0, 10.0], together, strict=True):
            alone = neighborhood_matrices(gram, [reg], 7)[0]
            assert_array_equal(B.toarray(), alone.toarray())


@pytest.mark.parametrize("n_items", [30, 200])
def test_some_columns_alone(n_items):
    X, columns = random_csr(80, n_items), np.array([0, 3, 4, 29])
    for gram in both_grams(X):
        whole = neighborhood_matrices(gram, [2.0], 7)[0].toarray()
        part = neighborhood_matrices(gram, [2.0], 7, columns)[0]
        assert_array_equal(part.toarray(), whole[:, columns])
        assert neighborhood_matrices(gram, [2.0], 7, columns[:0])[0].shape == (n_items, 0)


@pytest.mark.parametrize(
    "sizes",
    [
        dict(_BLOCK_NUMBERS=1),
        dict(_BLOCK_NUMBERS=500),
        dict(_ROW_NUMBERS=1),
        dict(_ROW_NUMBERS=300),
        dict(_SEARCH_ENTRIES=1),
        dict(_SEARCH_ENTRIES=50),
        dict(_PAIRS=3),
    ],
)
def test_block_sizes_change_nothing(sizes, monkeypatch):
    X, Y = random_csr(90, 61), random_csr(90, 61, 1)
    grams = both_grams(X) + both_grams(X, Y)
    expected = [neighborhood_matrices(gram, [2.0, 5.0], 7) for gram in grams]
    for name, size in sizes.items():
        monkeypatch.setattr(_neighborhood, name, size)
    for gram, before in zip(grams, expected, strict=True):
        for found, B in zip(neighborhood_matrices(gram, [2.0, 5.0], 7), before, strict=True):
            assert_array_equal(found.toarray(), B.toarray())


def test_work_is_done_in_blocks_of_the_stated_size(monkeypatch):
    """No more rows of XᵀX at once, nor local Gram matrices, than the limits allow."""
    X, rows, local = random_csr(300, 100), [], []
    true_blocks, true_local = SparseGram.row_blocks, _neighborhood._local_grams

    def watched_blocks(self, items):
        for block, found in true_blocks(self, items):
            rows.append((block.stop - block.start, found.size))
            yield block, found

    def watched_local(gram, neighbors, counts, buffer):
        local.append(buffer.size)
        return true_local(gram, neighbors, counts, buffer)

    monkeypatch.setattr(SparseGram, "row_blocks", watched_blocks)
    monkeypatch.setattr(_neighborhood, "_local_grams", watched_local)
    monkeypatch.setattr(_neighborhood, "_ROW_NUMBERS", 700)
    monkeypatch.setattr(_neighborhood, "_BLOCK_NUMBERS", 1_000)
    neighborhood_matrices(SparseGram(X), [2.0], 5)
    assert max(rows) == (7, 700) and max(local) <= 1_000


def test_blocks_of_rows_are_the_rows_of_the_gram_matrix(monkeypatch):
    X = random_csr(90, 61)
    monkeypatch.setattr(_neighborhood, "_ROW_NUMBERS", 200)
    monkeypatch.setattr(_neighborhood, "_SEARCH_ENTRIES", 300)
    items = np.array([3, 4, 5, 20, 21, 22, 23, 40, 60])
    for gram in both_grams(X):
        found, covered = [], []
        for block, rows in gram.row_blocks(items):
            n = block.stop - block.start
            found.append(rows.reshape(-1, 61)[:n].copy())
            covered += range(block.start, block.stop)
        assert covered == list(range(len(items))) and len(found) > 2
        expected = (X.T @ X).toarray()[items]
        assert_allclose(np.concatenate(found), expected, rtol=1e-6)


@properties
@given(seeds, st.integers(1, 40), st.integers(1, 50), st.booleans(), st.integers(1, 9))
def test_a_gram_matrix_by_blocks_on_threads(seed, n, n_items, crossed, n_blocks):
    X = random_csr(n, n_items, seed).astype(np.float64)
    targets = random_csr(n, n_items, seed + 1).astype(np.float64) if crossed else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_neighborhood, "_GRAM_BLOCKS", n_blocks)
        patch.setattr(_neighborhood, "blas_threads", lambda: 3)
        found = gram_matrix(X, targets)
    dense = X.toarray()
    assert_allclose(found, dense.T @ (targets.toarray() if crossed else dense), atol=1e-12)
    # every number is the same sum, whatever the blocks
    assert_array_equal(found, (X.T.tocsr() @ (targets if crossed else X)).toarray())


def test_a_gram_matrix_of_many_rows_takes_no_copy_of_them_for_each_thread(monkeypatch):
    monkeypatch.setattr(_neighborhood, "blas_threads", lambda: 8)
    X = sp.random_array((20_000, 60), density=0.5, format="csr", dtype=np.float32)
    size = X.data.nbytes + X.indices.nbytes
    tracemalloc.start()
    try:
        gram_matrix(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size < peak < 4 * size  # in order of items, and in parts


def test_what_nobody_took():
    for X in (sp.csr_array((4, 6), dtype=np.float32), sp.csr_array(np.eye(4, 6, dtype=np.float32))):
        for gram in both_grams(X):
            B = neighborhood_matrices(gram, [2.0], 3)[0]
            assert B.shape == (6, 6) and B.nnz == 0


def test_a_singular_neighborhood_says_what_to_do():
    X = sp.csr_array(np.ones((3, 3), np.float32))
    with pytest.raises(ValueError, match="reg=0; use a larger value"):
        neighborhood_matrix(X, 0)


# Settings that share


def paths(kind):
    return [
        PathSettings(kind, 3.0, 0.0),
        PathSettings(kind, 10.0, 0.0),
        PathSettings(kind, 3.0, 0.5),
        PathSettings(kind, 3.0, 0.5, reg=2.0),
        PathSettings(kind, 3.0, 0.0, None, 0.7, 10.0),
        PathSettings(kind, 3.0, 0.0, None, 0.7, None),
        PathSettings(kind, 3.0, 0.0, None, 0.4, None),
        PathSettings(kind, 9.0, 0.0, None, 0.4, None),
    ]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_a_solver_of_many_settings_gives_each_its_own(kind, wide, monkeypatch):
    if wide:
        monkeypatch.setattr("skdiffrec._item_path.EASE_MAX_ITEMS", 0)
    X, weight = random_times(80, 30), np.arange(80) % 3 + 1.0
    moments = transitions(X, 5.0, 0)
    ones = sp.csr_array(X.astype(bool).astype(np.float32))
    columns = np.array([2, 3, 17])
    whole = list(PathSolver(ones, weight, moments).solve(paths(kind)))
    part = list(PathSolver(ones, weight, moments, columns).solve(paths(kind)))
    assert [tried for tried, _ in whole] == paths(kind)
    for (tried, B), (_, some) in zip(whole, part, strict=True):
        alone = solve_path(ones, weight, tried, moments)  # in the place of its Gram matrix
        assert_array_equal(*(M.toarray() if sp.issparse(M) else M for M in (B, alone)))
        assert_same(some, B[:, columns])


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_wide_catalogue_has_the_same_path(share, monkeypatch):
    X, weight = random_times(80, 30), np.arange(80) % 3 + 1.0
    moments = transitions(X, 5.0, 0)
    ones = sp.csr_array(X.astype(bool).astype(np.float32))
    chosen = PathSettings("neighborhood", 3.0, 0.5, None, share, 10.0)
    narrow = solve_path(ones, weight, chosen, moments)
    monkeypatch.setattr("skdiffrec._item_path.EASE_MAX_ITEMS", 0)
    assert_same(solve_path(ones, weight, chosen, moments), narrow)


# Samples


def test_rows_are_sampled_above_the_limit_only():
    X = random_csr(500, 40)
    assert_array_equal(sampled_rows(X, X.nnz, 0), np.arange(500))
    rows = sampled_rows(X, 300, 0)
    assert 250 < X[rows].nnz <= 300
    assert (np.diff(rows) > 0).all()
    assert_array_equal(rows, sampled_rows(X, 300, 0))
    assert len(np.setdiff1d(rows, sampled_rows(X, 300, 1)))
    assert len(sampled_rows(X, 0, 0)) == 1
    drawn = np.bincount(np.concatenate([sampled_rows(X, X.nnz // 2, s) for s in range(60)]))
    assert drawn.min() > 10 and drawn.max() < 50  # 30 expected of every row


def build(X, reg="auto", seed=0, values="binary"):
    weight = np.ones(X.shape[0])
    return build_path(X, weight, "neighborhood", reg, values=values, half_life=5.0, seed=seed).csr


@pytest.mark.parametrize("values", ["binary", "time"])
@pytest.mark.parametrize("reg", ["auto", 40.0])
def test_a_path_of_sampled_rows(reg, values, monkeypatch):
    """It repeats for a seed and is near that of all rows, a fixed λ being scaled along."""
    X = random_times(4_000, 30)
    X.data = X.data if values == "time" else np.ones(X.nnz)
    whole = build(X, reg, values=values).toarray()
    monkeypatch.setattr(_path_choice, "_MAX_ENTRIES", X.nnz // 2)
    monkeypatch.setattr(_path_choice, "_CHOICE_ENTRIES", X.nnz // 4)
    sampled = build(X, reg, values=values).toarray()
    assert_array_equal(sampled, build(X, reg, values=values).toarray())
    other = build(X, reg, seed=1, values=values).toarray()
    if reg == "auto":
        return  # the choice among settings may differ
    for B in (sampled, other):
        assert 0 < np.abs(B - whole).max() < 0.1
        assert np.corrcoef(B.ravel(), whole.ravel())[0, 1] > 0.8


def test_what_is_ranked_in_a_large_catalogue(monkeypatch):
    hidden = random_csr(50, 200)
    assert ranked_items(hidden, 0) is None
    monkeypatch.setattr(_path_choice, "EASE_MAX_ITEMS", 100)
    assert_array_equal(ranked_items(hidden, 0), np.unique(hidden.indices))
    monkeypatch.setattr(_path_choice, "_MAX_TARGETS", 20)
    some = ranked_items(hidden, 0)
    assert len(some) == 20 and (np.diff(some) > 0).all()
    assert np.isin(some, hidden.indices).all()
    assert_array_equal(some, ranked_items(hidden, 0))


@pytest.mark.parametrize("values", ["binary", "time"])
@pytest.mark.parametrize("n_ranked", [5, 1_000])
def test_a_choice_among_ranked_items(values, n_ranked, monkeypatch):
    """With few of them, users that nothing is hidden of are left out rather than NaN."""
    monkeypatch.setattr(_path_choice, "EASE_MAX_ITEMS", 10)
    monkeypatch.setattr(_path_choice, "_MAX_TARGETS", n_ranked)
    X, found = random_times(300, 60), {}
    X.data = X.data if values == "time" else np.ones(X.nnz)
    true = _path_choice._search

    def watched(qualities, *args):
        def kept(candidates):
            for tried, quality in qualities(candidates):
                found[tried] = quality
                yield tried, quality

        return true(kept, *args)

    monkeypatch.setattr(_path_choice, "_search", watched)
    kinds = ("ease", "neighborhood")
    chosen = choose_path(X, np.ones(300), kinds, values, 5.0, 0)
    assert np.isfinite(list(found.values())).all()
    handicap = {"ease": 1.0, "neighborhood": 0.97 if values == "binary" else 1.0}
    assert chosen == max(found, key=lambda settings: found[settings] * handicap[settings.kind])
    assert chosen == choose_path(X, np.ones(300), kinds, values, 5.0, 0)
    hidden = hide_items(X[np.diff(X.indptr) > 1], values, 0.2, 0)[1]
    assert len(ranked_items(hidden, 0)) <= n_ranked


# The exact form


@pytest.mark.parametrize("n_items", [3, 256, 257, 600])
def test_the_exact_form_of_catalogues_larger_than_a_block(n_items):
    X, Y = random_csr(150, n_items), random_csr(150, n_items, 1)
    gram = (X.T @ X).toarray().astype(np.float64)
    inverse = np.linalg.inv(gram + 3.0 * np.eye(n_items))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    for dtype in (np.float32, np.float64):
        B = ease_matrix(X, 3.0, dtype)
        assert B.flags.c_contiguous  # blocks of rows are multiplied by it
        assert_same(B, expected)
    solved = inverse @ (X.T @ Y).toarray()
    expected = solved - inverse * (np.diag(solved) / np.diag(inverse))
    np.fill_diagonal(expected, 0)
    assert_same(ease_matrix(X, 3.0, targets=Y), expected)
