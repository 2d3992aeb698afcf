"""Lists streamed over tiles against sorting whole rows; products that only screen."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._inference import model as fitted_model
from skdiffrec._inference import ranking
from skdiffrec._inference.device import screens_in_bfloat16
from skdiffrec._inference.ranking import (
    Mask,
    Tiles,
    above,
    largest,
    streamed_topk,
    tile_starts,
)
from skdiffrec._inference.screening import ScreeningTiles
from skdiffrec._utils.topk import GROUP, best_columns, columns_above, masked_topk
from skdiffrec.baselines import EASERecommender, NeighborhoodRecommender

properties = settings(max_examples=40, deadline=None)


def given_scores(scores):
    """`Tiles` of a whole matrix."""
    whole = torch.from_numpy(scores)
    return Tiles(lambda start, stop, out: out.copy_(whole[:, start:stop]), len(scores), "cpu")


@st.composite
def problems(draw):
    """Scores with many ties, also across tiles and groups, seen items and allowed ones."""
    n_rows, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 3, 40, 10_000]))
    scores = rng.integers(-levels, levels + 1, (n_rows, n_items)).astype(np.float32) / 7
    scores[rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = -np.inf
    seen = sp.csr_array(rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.3, 1.0])))
    columns = None
    if draw(st.booleans()):
        columns = np.flatnonzero(rng.random(n_items) < 0.5)
    allowed = None
    if draw(st.booleans()):
        allowed = sp.csr_array(rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.1, 0.9])))
    return scores, seen, columns, allowed


@properties
@given(problems(), st.integers(1, 50), st.sampled_from([1, 7, 64, 333, 8192]))
def test_streamed_lists_are_those_of_whole_rows(problem, k, tile_items):
    scores, *masks = problem
    expected = masked_topk(scores.copy(), k, *masks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "TILE_ITEMS", tile_items)
        found = streamed_topk(given_scores(scores), scores.shape[1], len(scores), k, *masks)
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
    own = sp.csr_array(rng.random((5, 40)) < 0.6)
    mask = Mask(seen, columns, 40, "cpu", own)
    for start, stop in ((0, 16), (16, 32), (32, 40)):
        scores = torch.zeros(16, stop - start)
        mask(scores, start, stop)
        allowed = np.isin(np.arange(start, stop), columns) & ~seen[:, start:stop].toarray()
        allowed &= own[:, start:stop].toarray()
        assert_array_equal(np.isneginf(scores[:5].numpy()), ~allowed)


def test_no_tile_is_wider_than_stated_and_one_buffer_serves_all(monkeypatch):
    """Peak memory is a block's, whatever the number of items."""
    monkeypatch.setattr(ranking, "TILE_ITEMS", 64)
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
    monkeypatch.setattr(ranking, "TILE_ITEMS", tile_items)
    tiles, exact = screening()
    ids, top = streamed_topk(tiles, 900, 40, 10)
    expected_ids, expected = masked_topk(exact.numpy().copy(), 10)
    assert_array_equal(ids, expected_ids)
    assert_allclose(top, expected, rtol=1e-5, atol=1e-5)
    rounded = torch.empty(40, 900)
    for start, stop in tile_starts(900):
        tiles.write(start, stop, rounded[:, start:stop])
    assert (rounded - exact).abs().max() > 1e-3  # they would not be, if none were rescored
    assert (masked_topk(rounded.numpy(), 10)[0] != expected_ids).any()


CLOSED_FORMS = {
    "none": None,
    "ease": EASERecommender(reg="auto"),
    "neighborhood": NeighborhoodRecommender(),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_screening_does_not_change_the_lists(name, drift_data, monkeypatch):
    model = tiny_cfg(closed_form=CLOSED_FORMS[name], hidden_dims=(64,)).fit(drift_data.train)
    exact, screened = model.recommend(k=10), []
    write = ScreeningTiles.write
    monkeypatch.setattr(
        ScreeningTiles, "write", lambda *given: (screened.append(given[1:3]), write(*given))
    )
    monkeypatch.setattr(fitted_model, "screens_in_bfloat16", lambda device: True)
    rounded = copy.deepcopy(model).recommend(k=10)  # a model asks its device once
    assert screened
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


@pytest.mark.parametrize("name", ["ease", "neighborhood"])
def test_a_closed_form_over_several_tiles(name, drift_data, monkeypatch):
    """Dense and sparse closed forms are read a tile at a time, never as whole rows."""
    form = dict(closed_form=CLOSED_FORMS[name], closed_form_weight=1.0)
    model = tiny_cfg(**form, max_epochs=1).fit(drift_data.train)
    expected = model.recommend(k=10)
    monkeypatch.setattr(ranking, "TILE_ITEMS", 64)
    model = copy.deepcopy(model)  # without the tables of the other tiles
    ids, scores = model.recommend(k=10)
    assert_array_equal(ids, expected[0])
    assert_allclose(scores, expected[1], rtol=1e-5, atol=1e-5)
    pieces = model._model.tables().scores.form_pieces
    assert len(pieces) == 5
    assert max(piece.shape[1] for piece in pieces.values()) == 64


# Groups of columns


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
    monkeypatch.setattr(ranking, "TILE_ITEMS", 160)
    for scores in (np.arange(800.0, 0, -1), np.arange(800.0)):
        scores = np.tile(scores, (4, 1)).astype(np.float32)
        expected = masked_topk(scores.copy(), 3)
        assert_array_equal(streamed_topk(given_scores(scores), 800, 4, 3), expected)


@properties
@given(problems(), st.integers(1, 40), st.integers(0, 30))
def test_rows_that_do_not_lie_side_by_side(problem, k, most):
    """Scores in a wider buffer, in every other column or column by column."""
    scores = problem[0]
    n_rows, width = scores.shape
    wider, spread = (np.full((n_rows, 2 * width), np.inf, np.float32) for _ in range(2))
    wider[:, :width], spread[:, ::2] = scores, scores
    floor = np.median(scores, axis=1, keepdims=True)
    best = best_columns(scores, min(k, width))
    above = columns_above(scores, floor, most)
    for other in (wider[:, :width], spread[:, ::2], np.asfortranarray(scores)):
        assert_array_equal(best_columns(other, min(k, width)), best)
        found = columns_above(other, floor, most)
        assert (found is None) == (above is None)
        if found is not None:
            assert_array_equal(found, above)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : min(k, width)]
    listed = np.take_along_axis(scores, order, axis=1) > -np.inf
    assert_array_equal(best[listed], order[listed])
    if above is not None:
        assert_array_equal(above, np.nonzero(scores > floor))
