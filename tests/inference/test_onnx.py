"""The exported graph makes the lists of `recommend`, in onnxruntime alone."""

import os

import numpy as np
import pytest
from benchmark_files import SHARED_DATA
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._inference import onnx
from skdiffrec.baselines import (
    EASERecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)
from skdiffrec.datasets import load_npz

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the exported graphs")
pytest.importorskip("onnx", reason="onnx writes the graphs")

CASES = {
    "default": {},
    "no closed form": dict(closed_form=None),
    "dense closed form": dict(closed_form=EASERecommender(reg=20.0), closed_form_weight=1.0),
    "sparse closed form": dict(closed_form=NeighborhoodRecommender(), closed_form_weight=1.0),
    "few neighbors": dict(closed_form=ItemKNNRecommender(n_neighbors=3), closed_form_weight=1.0),
    "weight": dict(values="weight"),
    "time": dict(values="time", closed_form=NeighborhoodRecommender()),
    "horizon": dict(values="time", horizon=1, n_sampling_steps=2),
    "horizon, no head": dict(values="time", horizon=3, ranking_head=False),
    "time without half-life": dict(values="time", half_life=None),
    "steps": dict(n_sampling_steps=5, eta=1.0),
    "from the history": dict(start_timestep=40, n_sampling_steps=3),
    "noise": dict(prediction_type="epsilon", n_sampling_steps=4),
    "no head": dict(ranking_head=False, n_sampling_steps=3),
    "wide": dict(latent_dim=None, n_sampling_steps=3, start_timestep=50, prediction_type="v"),
    "no head, wide": dict(
        latent_dim=None, ranking_head=False, n_sampling_steps=3, start_timestep=50
    ),
    "no head, wide, time": dict(
        latent_dim=None, ranking_head=False, start_timestep=50, values="time", prediction_type="v"
    ),
}


def inputs(model, X, scale):
    """Rows of X as the graph reads them."""
    lengths = np.diff(X.indptr)
    filled = np.arange(max(1, lengths.max())) < lengths[:, None]
    items, values = np.full(filled.shape, -1, np.int64), np.zeros(filled.shape)
    items[filled], values[filled] = X.indices, X.data
    scale = np.broadcast_to(np.float32(scale), len(lengths))
    given = {"items": items, "values": values, "guidance_scale": scale}
    return {name: given[name] for name in given if name != "values" or model.values != "binary"}


def session(model, path, **options):
    model.export_onnx(path, **options)
    return onnxruntime.InferenceSession(path)


def assert_same_lists(found, expected, rtol=1e-4):
    """Equal scores, and equal items but for ties."""
    (ids, scores), (expected_ids, expected_scores) = found, expected
    assert ids.dtype == np.int64 and scores.dtype == np.float32
    assert_allclose(scores, expected_scores, rtol=rtol, atol=1e-5)
    finite = np.where(np.isfinite(expected_scores), expected_scores, 1e6)
    gaps = np.abs(np.diff(finite, axis=1)) > 1e-5
    alone = np.pad(gaps, ((0, 0), (1, 0)), constant_values=True)
    alone &= np.pad(gaps, ((0, 0), (0, 1)))  # the last of a list may tie with what is left out
    assert alone.mean() > 0.7
    assert_array_equal(ids[alone], expected_ids[alone])


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_lists_of_recommend(case, interactions, path):
    """User 0 has no history; each user has a scale of their own, 0 and 1 among them."""
    model = tiny_cfg(max_epochs=1, **CASES[case]).fit(interactions)
    scale = np.linspace(0, 2.5, 120).astype(np.float32)
    scale[5] = 1.0
    run = session(model, path, k=7).run
    found = run(None, inputs(model, interactions, scale))
    assert_same_lists(found, model.recommend(k=7, guidance_scale=scale))
    # any batch, any length, any order of a user's items
    for row in (0, 1, 2, 9):
        alone = inputs(model, interactions[[row]], scale[row])
        alone |= {name: alone[name][:, ::-1] for name in alone if name != "guidance_scale"}
        ids, scores = run(None, alone)
        assert_allclose(scores[0], found[1][row], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["weight", "time", "time without half-life"])
def test_values(case, path, interactions):
    """Any unit, equal values, and seconds since 1970, which float32 cannot tell apart."""
    model = tiny_cfg(max_epochs=1, **CASES[case]).fit(interactions)
    rng = np.random.default_rng(0)
    dense = (rng.random((40, 50)) < 0.3) * (1.7e9 + rng.integers(0, 6, (40, 50)))
    X = csr_array(dense)
    assert len(np.unique(X.data.astype(np.float32))) < len(np.unique(X.data))
    found = session(model, path).run(None, inputs(model, X, 1.5))
    assert_same_lists(found, model.recommend(X=X, guidance_scale=1.5))


@pytest.mark.parametrize("values", ["binary", "weight", "time"])
def test_a_user_without_history(values, path, interactions):
    """What is popular, to the last tie."""
    model = tiny_cfg(max_epochs=1, values=values).fit(interactions)
    nobody = csr_array((1, interactions.shape[1]))
    expected = PopularityRecommender(values=values).fit(interactions).recommend(X=nobody, k=50)[0]
    for scale in (0.0, 2.0):
        ids, _ = session(model, path, k=50).run(None, inputs(model, nobody, scale))
        assert_array_equal(ids, expected)


@pytest.fixture(scope="module")
def cfg(interactions):
    return tiny_cfg(max_epochs=1).fit(interactions)


def test_names_and_shapes(cfg, path):
    served = session(cfg, path, k=3)
    found = {v.name: (v.type, v.shape) for v in (*served.get_inputs(), *served.get_outputs())}
    for name, kind in (("ids", "tensor(int64)"), ("scores", "tensor(float)")):
        found_kind, (batch, k) = found.pop(name)
        assert (found_kind, batch) == (kind, "batch")
        assert k == 3 or isinstance(k, str)  # older versions of torch give the length a name
    assert found == {
        "items": ("tensor(int64)", ["batch", "length"]),
        "guidance_scale": ("tensor(float)", ["batch"]),
    }
    about = served.get_modelmeta().custom_metadata_map
    assert about["k"] == "3" and about["values"] == "binary"
    assert os.listdir(os.path.dirname(path)) == ["model.onnx"]  # weights are inside


def test_lists_that_cannot_be_filled(cfg, path, interactions):
    """Longer than there are unseen items, or any items at all."""
    found = session(cfg, path, k=60).run(None, inputs(cfg, interactions, 1.0))
    expected = cfg.recommend(k=60)
    assert (expected[0][:, -10:] == -1).all() and (found[0] == -1).sum() == (
        expected[0] == -1
    ).sum()
    assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-5)


def test_seen_items(cfg, path, interactions):
    rows = interactions[3:9]
    ids, _ = session(cfg, path).run(None, inputs(cfg, rows, 1.0))
    assert not np.take_along_axis(rows.toarray(), ids, axis=1).any()
    found = session(cfg, path, filter_seen=False).run(None, inputs(cfg, rows, 1.0))
    assert_same_lists(found, cfg.recommend(X=rows, filter_seen=False))
    assert np.take_along_axis(rows.toarray(), found[0], axis=1).any()


def test_an_item_that_does_not_exist(cfg, path):
    with pytest.raises(Exception, match="out of (data )?bounds"):
        session(cfg, path).run(
            None, {"items": np.array([[3, 50]]), "guidance_scale": np.ones(1, np.float32)}
        )


def test_the_model_stays_as_it_was(cfg, path, interactions):
    before = cfg.recommend()
    cfg.export_onnx(path)
    for found, expected in zip(cfg.recommend(), before, strict=True):
        assert_array_equal(found, expected)
    assert cfg._model.closed_form is not None
    assert all(p.requires_grad for p in cfg._model.denoiser.parameters())


class TestRefused:
    def test_not_fitted(self, path):
        with pytest.raises(NotFittedError):
            CFGDiffusionRecommender().export_onnx(path)

    def test_draws(self, interactions, path):
        model = tiny_cfg(max_epochs=1, temperature=0.5).fit(interactions)
        with pytest.raises(ValueError, match="temperature=0.5.*temperature=0\\)"):
            model.export_onnx(path)

    @pytest.mark.parametrize("k", [0, 1.5])
    def test_k(self, cfg, path, k):
        with pytest.raises((ValueError, TypeError), match="k must be"):
            cfg.export_onnx(path, k=k)

    def test_too_large(self, cfg, path, monkeypatch):
        monkeypatch.setattr(onnx, "_MAX_BYTES", 1_000)
        with pytest.raises(ValueError, match="2 GB"):
            cfg.export_onnx(path)
        assert not os.path.exists(path)

    def test_interrupted(self, cfg, path, monkeypatch):
        with open(path, "wb") as file:
            file.write(b"old")

        def fail(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(onnx, "_trace", fail)
        with pytest.raises(KeyboardInterrupt):
            cfg.export_onnx(path)
        assert os.listdir(os.path.dirname(path)) == ["model.onnx"]
        assert open(path, "rb").read() == b"old"


@pytest.mark.parametrize("values", ["binary", "time"])
@pytest.mark.slow
def test_movielens(values, path):
    """MovieLens 100K, a model of default size."""
    data = SHARED_DATA / "ml-100k.npz"
    if not data.is_file():
        pytest.skip(f"no {data}: benchmark data are not part of the project")
    train = load_npz(data, values=values).train
    model = CFGDiffusionRecommender(values=values, max_epochs=1, device="cpu", random_state=0)
    model.fit(train)
    users = np.arange(0, 943, 8)
    scale = np.linspace(0, 2, len(users)).astype(np.float32)
    found = session(model, path).run(None, inputs(model, train[users], scale))
    assert_same_lists(found, model.recommend(users, guidance_scale=scale))
