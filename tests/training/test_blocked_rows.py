"""Fits of rows that are read and trained on block by block."""

import tracemalloc
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec._network.sparse_rows import UserRows
from skdiffrec._training.batches import TrainingRows
from skdiffrec._training.blocked_rows import BlockedRows
from skdiffrec._utils import row_view
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import RowBlocks, make_interactions

RAW = make_interactions(300, 120, n_interactions_per_user=15, random_state=0).train
X = sp.csr_array(sp.vstack([RAW, RAW[:40]]))  # with rows that are merged
TIMES = sp.csr_array((np.arange(1.0, X.nnz + 1), X.indices, X.indptr), X.shape)
KINDS = {
    "binary": (X, {}),
    "time": (TIMES, {"values": "time"}),
    "horizon": (TIMES, {"values": "time", "horizon": 1}),
    "weight": (TIMES, {"values": "weight", "half_life": 3.0}),
    "latent": (X, {"latent_dim": 8, "early_stopping": False}),
    "closed form": (X, {"closed_form": EASERecommender(reg=10.0)}),
}


def on_disk(X, path):
    return RowBlocks.write(path / "rows", (X[i : i + 50] for i in range(0, X.shape[0], 50)))


@pytest.mark.filterwarnings("ignore:The values of X")
@pytest.mark.parametrize(("kind", "n_entries"), [*((kind, 500) for kind in KINDS), ("time", 2**22)])
def test_from_disk_a_fit_has_the_bits_of_one_in_memory(kind, n_entries, tmp_path, monkeypatch):
    monkeypatch.setattr(row_view, "BLOCK_ENTRIES", n_entries)
    monkeypatch.setattr(row_view, "PASS_ENTRIES", 300)
    monkeypatch.setattr(row_view, "PIECE_ENTRIES", 90)
    X, given = KINDS[kind]
    fits = [
        tiny_cfg(max_epochs=2, **given).fit(rows).decision_function(X[:20])
        for rows in (X, on_disk(X, tmp_path))
    ]
    assert_array_equal(*fits)


def test_blocks_change_little(monkeypatch):
    whole = tiny_cfg(max_epochs=6).fit(X).score(X)
    monkeypatch.setattr(row_view, "BLOCK_ENTRIES", 800)
    assert abs(tiny_cfg(max_epochs=6).fit(X).score(X) - whole) < 0.05


def test_weights_of_users_count_in_blocks(monkeypatch):
    monkeypatch.setattr(row_view, "BLOCK_ENTRIES", 500)
    weight = np.r_[np.full(40, 2.0), np.ones(260)]
    merged, copied = tiny_cfg().fit(RAW, sample_weight=weight), tiny_cfg().fit(X)
    assert_array_equal(merged.decision_function(X[:9]), copied.decision_function(X[:9]))


def blocked(monkeypatch, weight):
    monkeypatch.setattr(row_view, "BLOCK_ENTRIES", 500)
    generator = torch.Generator().manual_seed(0)

    def made(rows):
        return TrainingRows(
            rows.history,
            "binary",
            target_share=(0.3, 0.7),
            cond_drop_prob=0.1,
            half_life=None,
            generator=generator,
        )

    return BlockedRows(UserRows(X), weight, made, 0.1, generator)


def test_an_epoch_goes_through_all_rows_block_by_block(monkeypatch):
    weight = np.r_[np.full(10, 3.0), np.ones(X.shape[0] - 10)]
    rows = blocked(monkeypatch, weight)
    orders = [rows.shuffled() for _ in range(2)]
    assert not torch.equal(*orders)
    for order in orders:
        visits = torch.bincount(order, minlength=X.shape[0])
        assert_array_equal(visits, np.where(np.diff(X.indptr) > 0, weight, 0))
        blocks = torch.unique_consecutive(rows.block_of(order))
        assert len(blocks) == len(rows.blocks) > 3 and len(blocks.unique()) == len(blocks)
    batches = list(rows.batches(16, orders[0]))
    assert len(batches) == rows.steps_of_epoch(16)
    assert sum(len(batch.weight) for batch in batches) == len(orders[0])
    mean = torch.cat([batch.weight for batch in batches]).mean()
    assert mean == pytest.approx(1.0, abs=0.02)
    rest = list(rows.batches(16, orders[0], 5))
    assert [len(b.weight) for b in rest] == [len(b.weight) for b in batches[5:]]


def test_a_user_takes_few_bytes_in_training(monkeypatch):
    n = X.shape[0]
    rows = blocked(monkeypatch, np.ones(n))
    assert sum(part.nbytes for part in (rows.visits, rows.row_weight, rows.filled)) == 9 * n
    assert rows.shuffled().nbytes == 4 * n


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_view_is_its_rows(data):
    """Rows that were picked and replaced, in any order of the two, made in several pieces."""
    view, expected = row_view.RowView(X, X.shape[1], np.diff(X.indptr)), X
    for _ in range(data.draw(st.integers(1, 4))):
        n = view.shape[0]
        some = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=12, unique=True))
        rows = np.array(some)
        if view.replaced is None and data.draw(st.booleans()):
            rows = np.sort(rows)
            view = view.replace(rows, X[rows[::-1]])
            expected = row_view.replaced_rows(expected, rows, X[rows[::-1]])
        else:
            view, expected = view.pick(rows), expected[rows]
        asked = data.draw(st.lists(st.integers(0, view.shape[0] - 1), max_size=5))
        assert view.nnz == expected.nnz
        assert_array_equal(view.indptr, expected.indptr)
        for wanted in (slice(None), slice(1, 4), slice(6, 0, -2), np.array(asked, np.int64)):
            with mock.patch.object(row_view, "PIECE_ENTRIES", 100):
                found = view[wanted]
            assert (found != expected[wanted]).nnz == 0
            assert found.has_canonical_format and found.dtype == X.dtype


def test_making_rows_takes_little_memory_beside_them(monkeypatch):
    """Copies of a piece, not of all of them, whatever they are made of."""
    monkeypatch.setattr(row_view, "PIECE_ENTRIES", 2**14)
    many = sp.csr_array(sp.vstack([X] * 100, format="csr"))
    picked = np.random.default_rng(0).permutation(many.shape[0])
    places = np.arange(0, many.shape[0], 7)
    blocks = RowBlocks([many[:20_000], many[20_000:]])
    view = row_view.RowView(blocks, X.shape[1], np.diff(many.indptr)[picked], picked)
    view = view.replace(places, many[places])
    tracemalloc.start()
    try:
        found = view[np.arange(many.shape[0])]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = found.data.nbytes + found.indices.nbytes + found.indptr.nbytes
    assert peak < 1.5 * size


def test_what_is_wrong_in_a_block_is_told_with_its_rows(tmp_path):
    bad = X.astype(np.float64)
    bad.data[bad.indptr[120]] = np.nan
    with pytest.raises(ValueError, match="Rows 100 to 149: .*NaN"):
        tiny_cfg().fit(RowBlocks([bad[i : i + 50] for i in range(0, 300, 50)]))
    bad.data[bad.indptr[120]] = -1
    model = tiny_cfg().fit(X)
    before = model.decision_function(X[:3])
    with pytest.raises(ValueError, match="Rows 100 to 149: Negative"):
        model.fit(RowBlocks([bad[i : i + 50] for i in range(0, 300, 50)]))
    assert_array_equal(model.decision_function(X[:3]), before)
    with pytest.raises(ValueError, match="holds no interaction"):
        tiny_cfg().fit(RowBlocks([sp.csr_array((5, 9))]))


def test_what_takes_no_blocks_says_so():
    blocks = RowBlocks([X])
    model = tiny_cfg().fit(blocks)
    assert model.recommend(X=X[:2], k=3)[0].shape == (2, 3)
    with pytest.raises(ValueError, match="fitted to RowBlocks"):
        model.recommend(0)
    with pytest.raises(ValueError, match="fitted to RowBlocks"):
        model.partial_fit(X)
    with pytest.raises(ValueError, match="hold no ratings"):
        tiny_cfg(values="rating").fit(blocks)
    for call in (model.recommend, EASERecommender().fit):
        with pytest.raises(TypeError, match="one block after the other"):
            call(X=blocks)


def test_all_times_the_same_is_told():
    same = RowBlocks([sp.csr_array((np.ones(X.nnz), X.indices, X.indptr), X.shape)])
    with pytest.warns(UserWarning, match="nothing is later"):
        tiny_cfg(values="time").fit(same)


def test_a_model_of_blocks_is_saved_and_cached(tmp_path):
    blocks, path = on_disk(X, tmp_path), tmp_path / "model"
    model = tiny_cfg(memory=str(tmp_path / "cache")).fit(blocks)
    again = tiny_cfg(memory=str(tmp_path / "cache")).fit(RowBlocks(tmp_path / "rows"))
    model.save(path)
    for other in (again, type(model).load(path)):
        assert_array_equal(other.decision_function(X[:5]), model.decision_function(X[:5]))
