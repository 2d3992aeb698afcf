"""A small model, its file, and files that somebody changed."""

import json

import pytest
from conftest import tiny_cfg
from hypothesis import HealthCheck, settings
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import save_file

from skdiffrec._utils import tensor_file
from skdiffrec.baselines import NeighborhoodRecommender


def assert_same(model, loaded, X):
    """Lists, scores and attributes are equal, bit by bit."""
    for found, expected in zip(loaded.recommend(X=X), model.recommend(X=X), strict=True):
        assert_array_equal(found, expected)
    assert_array_equal(loaded.decision_function(X), model.decision_function(X))
    assert loaded.score(X) == model.score(X)
    fitted = {name for name in vars(model) if name.endswith("_")}
    assert fitted == {name for name in vars(loaded) if name.endswith("_")}


def contents(path):
    """(record, tensors) of a file, unchecked."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["skdiffrec"].partition("\n")[2]), tensors


def forge(path, record, tensors):
    """Write what is given with a checksum that fits, as somebody with bad intent would."""
    text = record if isinstance(record, str) else json.dumps(record)
    checksum = tensor_file._checksum(text, tensors)
    save_file(tensors, path, {"skdiffrec": f"{checksum}\n{text}"})


@pytest.fixture(name="small", scope="module")
def small_fixture(interactions):
    """Small in bytes, and with every kind of part: times, a sparse closed form, data."""
    model = tiny_cfg(
        values="time",
        closed_form=NeighborhoodRecommender(),
        hidden_dims=(8, 8, 6),
        latent_dim=4,
        max_epochs=2,
    )
    return model.fit(interactions)


@pytest.fixture(name="saved", scope="module")
def saved_fixture(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    small.save(path)
    return path


@pytest.fixture(name="path")
def path_fixture(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(name="fuzzed", scope="module")
def fuzzed_fixture(saved):
    return saved.parent / "fuzzed.safetensors"


fuzz = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
