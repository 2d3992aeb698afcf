"""Lists streamed over tiles against sorting whole rows; products that only screen."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skdiffrec._inference import ranking
from skdiffrec._inference import scoring
from skdiffrec._inference.device import screens_in_bfloat16
from skdiffrec._inference.ranking import Mask, above, largest, streamed_topk
from skdiffrec._inference.ranking import ScreeningTiles, Tiles, sparse_product, tile_starts
from skdiffrec._network.spaces import Bags
from skdiffrec._utils.topk import GROUP, masked_topk

properties = settings(max_examples=100, deadline=None)


def given_scores(scores):
    """`Tiles` of a whole matrix."""
    whole = torch.from_numpy(scores)
    return Tiles(lambda start, stop, out: out.copy_(whole[:, start:stop]), len(scores), "cpu")


@st.composite
def problems(draw):
    """Scores with many ties, also across tiles and groups, seen items and allowed columns."""
    n_rows, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 3, 40, 10_000]))
    scores = rng.integers(-levels, levels + 1, (n_rows, n_items)).astype(np.float32) / 7
    scores[rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = -np.inf
    seen = sp.csr_array(rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.3, 1.0])))
    columns = None
    if draw(st.booleans()):
        columns = np.flatnonzero(rng.random(n_items) < 0.5)
    return scores, seen, columns


@properties
@given(problems(), st.integers(1, 50), st.sampled_from([1, 7, 64, 333, 8192]))
def test_streamed_lists_are_those_of_whole_rows(problem, k, tile_items):
    scores, seen, columns = problem
    expected = masked_topk(scores.copy(), k, seen, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_readout, "TILE_ITEMS", tile_items)
        found = streamed_topk(given_scores(scores), scores.shape[1], len(scores), k, seen, columns)
    assert found[0].dtype == np.int64 and found[1].dtype == np.float32
    assert_array_equal(found, expected)


@properties
@given(problems(), st.integers(1, 6))
def test_largest_of_groups(problem, k):
    scores = problem[0]
    k = min(k, scores.shape[1])
    places, values = (part.numpy() for part in largest(torch.from_numpy(scores), k))
    assert_array_equal(np.take_along_axis(scores, places, axis=1), values)
    expected = masked_topk(scores.copy(), k)
    order = np.argsort(-values, axis=1, kind="stable")
    found = np.take_along_axis(places, order, axis=1)
    listed = expected[0] >= 0
    assert_array_equal(found[listed], expected[0][listed])


def test_rows_beyond_those_asked_for_are_left_out():
    scores = np.arange(32.0, dtype=np.float32).reshape(8, 4)
    ids, top = streamed_topk(given_scores(scores), 4, 3, 2)
    assert_array_equal(ids, [[3, 2]] * 3)
    assert_array_equal(top, scores[:3, [3, 2]])


def test_a_mask_changes_only_its_own_cells():
    rng = np.random.default_rng(0)
    seen = sp.csr_array(rng.random((5, 40)) < 0.4)
    columns = np.flatnonzero(rng.random(40) < 0.7)
    mask = Mask(seen, columns, 40, "cpu")
    for start, stop in ((0, 16), (16, 32), (32, 40)):
        scores = torch.zeros(16, stop - start)
        mask(scores, start, stop)
        allowed = np.isin(np.arange(start, stop), columns) & ~seen[:, start:stop].toarray()
        assert_array_equal(np.isneginf(scores[:5].numpy()), ~allowed)


def test_no_tile_is_wider_than_stated_and_one_buffer_serves_all(monkeypatch):
    """Peak memory is a block's, whatever the number of items."""
    monkeypatch.setattr(_readout, "TILE_ITEMS", 64)
    met = set()

    def write(start, stop, out):
        assert out.shape[1] <= 64
        met.add(out.untyped_storage().data_ptr())
        out.fill_(0.0)

    streamed_topk(Tiles(write, 16, "cpu"), 1000, 16, 5)
    assert len(met) == 1


def test_tiles_cover_the_catalogue():
    for n_items in (1, 8191, 8192, 8193, 100_000):
        covered = [item for start, stop in tile_starts(n_items) for item in (start, stop)]
        assert covered[0] == 0 and covered[-1] == n_items
        assert covered[1:-1:2] == covered[2::2]


@properties
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
def test_a_sparse_product_is_the_dense_one(seed, most, contiguous):
    rng = np.random.default_rng(seed)
    options = dict(random_state=rng, dtype=np.float32, format="csr")
    X = sp.random_array((6, 30), density=0.3, **options)
    D = sp.random_array((30, 25), density=0.2, **options)
    out = torch.full((6, 25 if contiguous else 40), 7.0)[:, :25]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_readout, "_PATH_ENTRIES", most)
        sparse_product(Bags.from_csr(X, "cpu"), D, out)
    assert_allclose(out, X.toarray() @ D.toarray(), atol=1e-5)


# Products in bfloat16


def screening(n=40, n_items=900, width=32):
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(n, width, generator=rng)
    table = torch.randn(n_items, width, generator=rng)
    rest = torch.randn(n, n_items, generator=rng)
    pieces = {start: table[start:stop].T.contiguous() for start, stop in tile_starts(n_items)}
    low = {start: piece.bfloat16() for start, piece in pieces.items()}

    def added(start, stop, out):
        out.copy_(rest[:, start:stop])

    return ScreeningTiles(features, pieces, low, added), features @ table.T + rest


@pytest.mark.parametrize("tile_items", [128, 8192])
def test_screened_lists_are_those_of_float32(tile_items, monkeypatch):
    monkeypatch.setattr(_readout, "TILE_ITEMS", tile_items)
    tiles, exact = screening()
    ids, top = streamed_topk(tiles, 900, 40, 10)
    expected_ids, expected = masked_topk(exact.numpy().copy(), 10)
    assert_array_equal(ids, expected_ids)
    assert_allclose(top, expected, rtol=1e-5, atol=1e-5)
    rounded = torch.empty(40, 900)
    for start, stop in tile_starts(900):
        tiles(start, stop, rounded[:, start:stop])
    assert (rounded - exact).abs().max() > 1e-3  # they would not be, unrefined
    assert (masked_topk(rounded.numpy(), 10)[0] != expected_ids).any()


@pytest.mark.parametrize("path", [None, "ease", "neighborhood"])
def test_screening_does_not_change_the_lists(path, drift_data, monkeypatch):
    model = tiny_cfg(item_path=path, hidden_dims=(64,)).fit(drift_data.train)
    exact = model.recommend(k=10)
    monkeypatch.setattr(_scoring, "screens_in_bfloat16", lambda device: True)
    rounded = model.recommend(k=10)
    assert (rounded[1] != exact[1]).any()  # it was screened
    assert_array_equal(rounded[0], exact[0])
    assert_allclose(rounded[1], exact[1], rtol=1e-4, atol=1e-4)


def test_lists_of_a_cpu_are_those_of_float32(drift_data, monkeypatch):
    """The kind of the device decides, not what it can do nor how fast it is at the moment."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: True)
    assert screens_in_bfloat16(torch.device("cuda"))
    assert not screens_in_bfloat16(torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: False)
    assert not screens_in_bfloat16(torch.device("cuda"))
    model = tiny_cfg(max_epochs=1).fit(drift_data.train)
    for capability in ("DEFAULT", "AVX2", "AVX512_BF16"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda c=capability: c)
        ids, scores = model.recommend(k=10)
        expected = masked_topk(model.decision_function(drift_data.train), 10, drift_data.train)
        assert_array_equal(ids, expected[0])
        assert_array_equal(scores, expected[1])


def test_an_unknown_sampler(drift_data):
    model = tiny_cfg(max_epochs=1).fit(drift_data.train[:50])
    with pytest.raises(ValueError, match="'sampler' parameter .* Got 'latent' instead"):
        model.set_params(sampler="latent").recommend(0)
    with pytest.raises(ValueError, match="'sampler' parameter"):
        clone(model).fit(drift_data.train[:50])


# Kept tables


def test_kept_tables_follow_the_weights(drift_data):
    """Training, loading and moving weights must not leave lists of the earlier ones behind."""
    model = tiny_cfg(max_epochs=1, item_path=None).fit(drift_data.train)
    before = model.recommend([0, 1])
    denoiser = model._model.denoiser
    with torch.no_grad():
        denoiser.write_items.bias += torch.linspace(0, 50, denoiser.n_items)
    ids, _ = model.recommend([0, 1])
    assert (ids != before[0]).any()
    # averaged weights are put in place of others without a trace of their own
    bias = denoiser.write_items.bias.data
    denoiser.write_items.bias.data = bias.flip(0).contiguous()
    denoiser.eval()
    assert (model.recommend([0, 1])[0] != ids).any()


def test_kept_tables_are_made_once_and_not_pickled(drift_data):
    model = tiny_cfg(max_epochs=1).fit(drift_data.train)
    model.recommend(0)
    kept = model._model.denoiser.prepared
    model.recommend([1, 2], guidance_scale=2.0)
    assert model._model.denoiser.prepared is kept
    assert "prepared" not in model._model.denoiser.__getstate__()


@pytest.mark.parametrize("item_path", ["ease", "neighborhood"])
def test_a_path_over_several_tiles(item_path, drift_data, monkeypatch):
    """Dense and sparse closed forms are read a tile at a time, never as whole rows."""
    X = drift_data.train
    model = tiny_cfg(item_path=item_path, item_path_weight=1.0, max_epochs=1).fit(X)
    expected = model.recommend(k=10)
    monkeypatch.setattr(_readout, "TILE_ITEMS", 64)
    model._model.denoiser.prepared = None
    ids, scores = model.recommend(k=10)
    assert_array_equal(ids, expected[0])
    assert_allclose(scores, expected[1], rtol=1e-5, atol=1e-5)
    widths = {piece.shape[1] if sp.issparse(piece) else piece.n_items for piece in pieces(model)}
    assert max(widths) == 64


def pieces(model):
    return model._model.denoiser.prepared[1].readout.path_pieces.values()


@properties
@given(problems(), st.integers(0, 30))
def test_what_is_above_a_floor(problem, most):
    scores = problem[0]
    if scores.shape[1] < GROUP:
        return
    floor = np.median(scores, axis=1, keepdims=True)
    found = above(torch.from_numpy(scores), torch.from_numpy(floor), most)
    wanted = [np.flatnonzero(row > least) for row, least in zip(scores, floor, strict=True)]
    if found is None:
        assert sum(map(len, wanted)) > len(scores) * most
        return
    places, values = (part.numpy() for part in found)
    for row, columns in enumerate(wanted):
        assert_array_equal(places[row, : len(columns)], columns)
        assert_array_equal(values[row, : len(columns)], scores[row, columns])
        assert np.isneginf(values[row, len(columns) :]).all()


def test_later_tiles_are_only_looked_at_above_the_last_place(monkeypatch):
    """A tile without anything new costs one pass, and a list is right where all is new."""
    monkeypatch.setattr(_readout, "TILE_ITEMS", 160)
    for scores in (np.arange(800.0, 0, -1), np.arange(800.0)):
        scores = np.tile(scores, (4, 1)).astype(np.float32)
        expected = masked_topk(scores.copy(), 3)
        assert_array_equal(streamed_topk(given_scores(scores), 800, 4, 3), expected)
