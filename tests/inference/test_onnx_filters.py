"""Blocked and allowed items as inputs of the exported graph; export under a host's settings."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from test_host_state import HOSTS
from test_onnx import assert_same_lists, inputs, session

from skdiffrec.baselines import NeighborhoodRecommender

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the exported graphs")
pytest.importorskip("onnx", reason="onnx writes the graphs")

MODELS = {
    "binary": dict(),
    "time, sparse closed form": dict(values="time", closed_form=NeighborhoodRecommender()),
    "no head": dict(ranking_head=False),
}
QUICK_HOSTS = ("float64", "default_device", "inference_mode")
NAMES = {"blocked": "filter_items", "allowed": "items"}


@pytest.fixture(scope="module")
def fitted(interactions):
    return {
        name: tiny_cfg(max_epochs=1, **options).fit(interactions)
        for name, options in MODELS.items()
    }


@pytest.fixture(scope="module")
def served(fitted, tmp_path_factory):
    """The binary model with blocked items."""
    return session(fitted["binary"], str(tmp_path_factory.mktemp("onnx") / "m.onnx"), blocked=True)


@pytest.fixture(name="path")
def path_fixture(tmp_path):
    return str(tmp_path / "model.onnx")


def marks(n_users, share, seed):
    """A random matrix of each user's items; nothing for user 0, everything for user 1."""
    dense = np.random.default_rng(seed).random((n_users, 50)) < share
    dense[0], dense[1] = False, True
    return sp.csr_array(dense)


def padded(matrix):
    """Ids of each row in any order, filled up at any place with what is below 0."""
    length = max(1, np.diff(matrix.indptr).max())
    ids = np.full((matrix.shape[0], length), -1, np.int64)
    for row, items in zip(ids, np.split(matrix.indices, matrix.indptr[1:-1]), strict=True):
        row[len(row) - len(items) :] = items[::-1]
    ids[ids < 0] = np.random.default_rng(0).choice([-1, -5], (ids < 0).sum())
    return ids


@pytest.mark.parametrize(
    "name, names", [("binary", ["allowed"]), *((name, list(NAMES)) for name in MODELS)]
)
def test_lists_of_recommend(fitted, name, names, path, interactions):
    fitted = fitted[name]
    rows = interactions[:40]
    given = {"blocked": marks(40, 0.3, 1), "allowed": marks(40, 0.5, 2)}
    given = {name: given[name] for name in names}
    run = session(fitted, path, k=12, **dict.fromkeys(names, True)).run
    filters = {name: padded(matrix) for name, matrix in given.items()}
    found = run(None, inputs(fitted, rows, 1.5) | filters)
    expected = fitted.recommend(
        X=rows, k=12, guidance_scale=1.5, **{NAMES[name]: m for name, m in given.items()}
    )
    if names == ["allowed"]:
        assert (expected[0][0] == -1).all()  # nothing is allowed
    assert_array_equal(found[0] == -1, expected[0] == -1)
    filled = np.isfinite(expected[1])
    assert_allclose(found[1][filled], expected[1][filled], rtol=1e-4, atol=1e-5)
    assert (found[0] == expected[0]).mean() > 0.98  # but for near ties


def test_blocked_alone(served, fitted, interactions):
    given = marks(120, 0.3, 1)
    found = served.run(
        None, inputs(fitted["binary"], interactions, 1.0) | {"blocked": padded(given)}
    )
    ids, _ = fitted["binary"].recommend(guidance_scale=1.0, filter_items=given)
    assert (found[0] == ids).mean() > 0.98 and (ids[1] == -1).all()


@pytest.mark.parametrize("length", [1, 0])
def test_no_filter_in_a_call(served, fitted, interactions, length):
    nothing = {"blocked": np.full((120, length), -1)}
    found = served.run(None, inputs(fitted["binary"], interactions, 1.0) | nothing)
    assert_same_lists(found, fitted["binary"].recommend(guidance_scale=1.0))


def test_names_and_shapes(served):
    found = {v.name: (v.type, v.shape) for v in served.get_inputs()}
    assert found["blocked"] == ("tensor(int64)", ["batch", "blocked_length"])
    assert found["items"] == ("tensor(int64)", ["batch", "length"]) and "allowed" not in found


def test_an_item_that_does_not_exist(served, fitted, interactions):
    given = inputs(fitted["binary"], interactions[[5]], 1.0) | {"blocked": np.array([[50]])}
    with pytest.raises(Exception, match="out of (data )?bounds"):
        served.run(None, given)


@pytest.mark.parametrize("value", [np.ones((3, 50), bool), None, [1, 2]])
def test_the_items_themselves_are_given_later(fitted, path, value):
    with pytest.raises(TypeError, match="blocked must be True or False.*whenever it runs"):
        fitted["binary"].export_onnx(path, blocked=value)


@pytest.fixture(scope="module")
def plain(fitted, tmp_path_factory):
    """Exported without any setting; its exporter asks for torch's default dtype."""
    return session(fitted["no head"], str(tmp_path_factory.mktemp("onnx") / "m.onnx"), blocked=True)


@pytest.mark.parametrize(
    "host",
    [pytest.param(host, marks=() if host in QUICK_HOSTS else pytest.mark.slow) for host in HOSTS],
)
def test_settings_of_the_host_change_nothing(plain, fitted, host, path, interactions):
    model = fitted["no head"]
    with HOSTS[host]():
        model.export_onnx(path, blocked=True)
    found = onnxruntime.InferenceSession(path)
    assert [v.type for v in found.get_inputs()] == [v.type for v in plain.get_inputs()]
    given = inputs(model, interactions, 1.3) | {"blocked": padded(marks(120, 0.2, 3))}
    for a, b in zip(found.run(None, given), plain.run(None, given), strict=True):
        assert_array_equal(a, b)
