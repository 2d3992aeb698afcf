"""A model whose closed form has a part of low rank answers every question with it."""

import copy
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec import persistence
from skdiffrec._inference import ranking
from skdiffrec._inference.state import model_state
from skdiffrec._utils.topk import masked_topk
from skdiffrec.datasets import make_interactions

K = 8


@pytest.fixture(scope="module")
def data():
    return make_interactions(500, 1000, n_interactions_per_user=8, random_state=0)


# with a sparse matrix beside it, and with a dense one
@pytest.fixture(scope="module", params=["neighborhood", "ease"])
def model(request, data):
    """A fitted one; shared, so never change it."""
    with pytest.MonkeyPatch.context() as patch:
        better = {"neighborhood": 9.0, "ease": 0.0}[request.param]
        patch.setattr("skdiffrec._closed_form.selection._BETTER", better)
        found = tiny_cfg(item_features=data.item_features).fit(data.train)
    form = found._model.closed_form
    assert form.sparse == (request.param == "neighborhood") and form.n_factors > 0
    return found


def without_low_rank(model):
    """The same model, but for this part."""
    other = copy.deepcopy(model)
    other._model.closed_form.read = other._model.closed_form.write = None
    return other


def test_lists_are_the_best_of_all_scores(model, data, monkeypatch):
    scores = model.decision_function(data.train)
    expected = masked_topk(scores.copy(), K, data.train)[0]
    assert_array_equal(model.recommend(np.arange(500), K)[0], expected)
    monkeypatch.setattr(ranking, "TILE_ITEMS", 160)
    in_tiles = copy.deepcopy(model)
    assert (in_tiles.recommend(np.arange(500), K)[0] == expected).mean() > 0.99
    assert_allclose(in_tiles.decision_function(data.train), scores, rtol=1e-4, atol=1e-4)


def test_it_is_part_of_the_scores_as_guidance_is(model, data):
    form, factor = model._model.closed_form, model._model.closed_form_scale
    X = data.train.astype(bool).astype(np.float32)
    added = (X @ form.read.numpy()) @ form.write.numpy().T
    other = without_low_rank(model)
    for scale in (1.0, 2.5):
        pair = (m.decision_function(X, guidance_scale=scale) for m in (model, other))
        found, rest = pair
        assert_allclose(found - rest, scale * factor * added, rtol=1e-3, atol=1e-3)


def test_parts_and_explanations_add_up(model, data):
    parts = model.score_parts(X=data.train[:9])
    assert_allclose(parts.score, model.decision_function(data.train[:9]), rtol=1e-4, atol=1e-4)
    user = int(np.diff(data.train.indptr).argmax())
    ids = model.recommend(user, 3)[0]
    found = model.explain(user, ids)
    form, read = model._model.closed_form, data.train[[user]].indices
    expected = model._model.closed_form_scale * form.entries(read, ids).T
    assert_allclose(found.closed_form, expected, rtol=1e-4, atol=1e-5)


def test_a_saved_model_gives_the_same_lists(model, data, tmp_path):
    path = tmp_path / "model.skdiffrec"
    persistence.save(model, path)
    loaded = persistence.load(path)
    for found, expected in zip(
        loaded.recommend(np.arange(500), K), model.recommend(np.arange(500), K), strict=True
    ):
        assert_array_equal(found, expected)


def test_a_file_from_before_has_none(model):
    record, tensors = model_state(model._model)
    assert record["closed_form_factors"] == model._model.closed_form.n_factors
    del record["closed_form_factors"], record["closed_form_settings"]["n_factors"]
    del tensors["closed_form.read"], tensors["closed_form.write"]
    restored = type(model._model).of_state(record, tensors)
    assert restored.closed_form.n_factors == restored.closed_form.settings.n_factors == 0


def test_an_update_solves_as_many_directions_again(model, data):
    updated, row = copy.deepcopy(model), data.train[[0]].tolil()
    row[0, :20] = 1
    updated.partial_fit(row.tocsr(), user_ids=[0])
    assert updated._model.closed_form.n_factors == model._model.closed_form.n_factors
    before, after = (m.decision_function(data.train[1:]) for m in (model, updated))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9


def test_what_nobody_has_met_any_more_keeps_what_was_known_of_it(model, data):
    """Its vectors are turned to the new directions: the same scores, as far as these reach."""
    old = model._model.closed_form
    items = np.zeros(1000, bool)
    items[data.train.indices[:3]] = True
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(old.n_factors,) * 2))[0]
    turned = copy.deepcopy(old)
    turned.read = old.read @ torch.tensor(turn, dtype=torch.float32)
    turned.write = old.write @ torch.tensor(turn, dtype=torch.float32)
    turned.read[items], turned.write[items] = 0, 0
    new = turned.with_items(old, torch.from_numpy(items).numpy())
    rows, columns = np.flatnonzero(items), np.arange(1000)
    assert_allclose(new.entries(rows, columns), old.entries(rows, columns), atol=1e-4)
    assert_allclose(new.entries(columns, rows), old.entries(columns, rows), atol=1e-4)


def test_new_items_have_a_mixture_of_vectors(model, data):
    grown = copy.deepcopy(model)
    grown.add_items(data.item_features[[7]])
    form = grown._model.closed_form
    assert form.read.shape == form.write.shape == (1001, model._model.closed_form.n_factors)
    X = sp.csr_array(sp.hstack([data.train[:99], sp.csr_array((99, 1))]))
    scores = grown.decision_function(X)
    likeness = [np.corrcoef(scores[:, -1], scores[:, i])[0, 1] for i in (7, 500)]
    assert likeness[0] > 0.5 and likeness[0] > likeness[1]


def test_a_search_finds_exact_lists(model, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what an index would not be worth here
        found = model.recommend(np.arange(500), K, search="approximate")[0]
    assert (found == model.recommend(np.arange(500), K)[0]).mean() > 0.9


def test_a_serving_graph(model, data, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model.export_onnx(tmp_path / "model.onnx", k=K)
    rows = np.split(data.train.indices, data.train.indptr[1:-1])[:40]
    items = np.full((40, max(map(len, rows))), -1)
    for row, own in zip(items, rows, strict=True):
        row[: len(own)] = own
    run = onnxruntime.InferenceSession(tmp_path / "model.onnx").run
    scores = run(None, {"items": items, "guidance_scale": np.ones(40, np.float32)})[1]
    assert_allclose(scores, model.recommend(np.arange(40), K)[1], rtol=1e-3, atol=1e-3)
