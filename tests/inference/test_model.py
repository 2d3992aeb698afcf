"""A fitted model never changes: what is kept, what is copied, what is refused."""

import copy
import itertools
import pickle
import threading
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch
from conftest import tiny_cfg
from denoiser_problems import CLOSED_FORMS, LATENT, make_model, random_csr
from numpy.testing import assert_array_equal

from skdiffrec._inference import model as fitted_model
from skdiffrec._inference.model import FittedModel
from skdiffrec._inference.settings import SamplingSettings
from skdiffrec._inference.state import model_state
from skdiffrec._utils.host_state import torch_threads
from skdiffrec.baselines import NeighborhoodRecommender

SINGLE = SamplingSettings()
DRAWN = SamplingSettings(3, eta=1.0, temperature=1.0, n_draws=2)
MODELS = {
    "dense": {},
    "sparse": dict(closed_form="neighborhood"),
    "no closed form": dict(closed_form=None, widths=(8, 6)),
    "item space": dict(latent_dim=None),
    "no head": dict(ranking_head=False, prediction_type="epsilon"),
    "neither": dict(latent_dim=None, ranking_head=False, prediction_type="v"),
    "weight": dict(values="weight"),
    "time": dict(values="time", half_life=2.0),
    "time without half-life": dict(values="time"),
}
COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "state": lambda model: FittedModel.of_state(*model_state(model)),
}
X = random_csr(20, seed=5, weighted=True)
SCALE = np.random.default_rng(0).choice([0.0, 1.0, 0.4, 2.5], 20)


QUICK = "dense", "sparse", "no head", "time"


@pytest.fixture(
    name="model",
    params=[m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in MODELS],
)
def model_fixture(request):
    return make_model(**MODELS[request.param])


def bits_of(model):
    """Copies of all numbers of a model, and its record."""
    record, tensors = model_state(model)
    return record, {name: array.copy() for name, array in tensors.items()}


def assert_same_state(one, other):
    assert one[0] == other[0]
    assert list(one[1]) == list(other[1])
    for name, array in one[1].items():
        assert array.dtype == other[1][name].dtype
        assert_array_equal(array, other[1][name])


def answers(model):
    """Lists and scores, of one step and of drawn ones."""
    for settings in (SINGLE, DRAWN):
        yield from model.rank(X, 6, SCALE, settings)
        yield model.score_all(X, SCALE, settings)
        yield from model.sweep(X, [0.0, 0.5], settings)
        yield from model.branches(X, SCALE, settings)
        yield from model.stages(X, SCALE, settings)
        yield from model.draws(X, SCALE, settings, 2)
        yield model.leave_one_out(X[[1]], np.full((1, 1), 1.5), settings, np.arange(5))
    yield from model.closed_form_contributions(
        X[[1]], np.full((1, 1), 1.5), SamplingSettings(), np.arange(5)
    )
    if model.closed_form is not None:
        yield model.closed_form_scores(X)


def assert_same_answers(one, other):
    for a, b in zip(answers(one), answers(other), strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


# Nothing changes


def test_nothing_can_be_assigned():
    model = make_model()
    for field in fields(FittedModel):
        with pytest.raises(FrozenInstanceError):
            setattr(model, field.name, getattr(model, field.name))
        with pytest.raises(FrozenInstanceError):
            delattr(model, field.name)
    for name in ("tables", "device", "another"):
        with pytest.raises(FrozenInstanceError):
            setattr(model, name, None)


def test_answers_leave_weights_and_answers_as_they_were(model):
    before = bits_of(model)
    expected, found = ([answer.copy() for answer in answers(model)] for _ in range(2))
    assert_same_state(bits_of(model), before)
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)
    assert not model.denoiser.training
    assert all(p.grad is None for p in model.denoiser.parameters())


@pytest.mark.parametrize(
    "parameters",
    [
        dict(values="time", guidance_scale=1.5),
        dict(closed_form=NeighborhoodRecommender(), n_sampling_steps=3, temperature=0.5, eta=1.0),
        dict(ranking_head=False, latent_dim=None, start_timestep=40),
    ],
)
def test_an_estimator_that_is_asked_keeps_its_model(parameters, interactions):
    """The object and its numbers, whatever is asked and however it is sampled."""
    estimator = tiny_cfg(max_epochs=1, **parameters).fit(interactions)
    model, before = estimator._model, bits_of(estimator._model)
    expected = estimator.recommend(k=10)
    estimator.recommend([3, 4], X=interactions[[5, 6]], guidance_scale=[0.0, 2.0], items=[1, 2, 3])
    estimator.recommend_scales([0.0, 1.0, 2.0], [3, 4])
    estimator.decision_function(interactions[:9])
    list(estimator.staged_decision_function(interactions[:9]))
    estimator.sample(interactions[:4], 2)
    estimator.sample_summary(interactions[:4], n_samples=2)
    estimator.score_parts([3, 4])
    estimator.explain(5)
    estimator.similar_items(3)
    changed = dict(n_sampling_steps=2, eta=0.0, temperature=0.0, guidance_scale=3.0)
    sampled = {name: estimator.get_params()[name] for name in changed}
    estimator.set_params(**changed).recommend(k=3)
    assert estimator._model is model
    assert_same_state(bits_of(model), before)
    for a, b in zip(estimator.set_params(**sampled).recommend(k=10), expected, strict=True):
        assert_array_equal(a, b)


def test_a_second_fit_is_another_model(interactions):
    """Lists of the first never come back, and copies of it keep theirs."""
    estimator = tiny_cfg(max_epochs=1).fit(interactions)
    first, kept = estimator.recommend(k=10), copy.copy(estimator)
    model, before = estimator._model, bits_of(estimator._model)
    other = estimator.set_params(random_state=1).fit(interactions).recommend(k=10)
    assert estimator._model is not model
    assert_same_state(bits_of(model), before)
    assert (other[1] != first[1]).any()
    for a, b in zip(kept.recommend(k=10), first, strict=True):
        assert_array_equal(a, b)
    again = tiny_cfg(max_epochs=1, random_state=1).fit(interactions).recommend(k=10)
    for a, b in zip(other, again, strict=True):
        assert_array_equal(a, b)


# What is kept


def test_tables_are_made_once(model, monkeypatch):
    made, inner = [], fitted_model.SamplingTables

    def counted(*parts):
        made.append(parts)
        return inner(*parts)

    monkeypatch.setattr(fitted_model, "SamplingTables", counted)
    assert not made
    for _ in range(2):
        list(answers(model))
        assert len(made) == 1
        assert model.tables() is model.tables(False)
    reference = SINGLE._replace(reference=True)
    for _ in range(2):
        model.score(X, SCALE, reference)
    assert len(made) == 2
    assert model.tables(True) is not model.tables()
    assert model.reader is model.reader


def test_tables_are_made_once_by_blocks_side_by_side(monkeypatch):
    made, inner, gate = [], fitted_model.SamplingTables, threading.Event()

    def slow(*parts):
        made.append(parts)
        gate.wait(0.3)  # time for other threads to find no tables
        return inner(*parts)

    model, rows = make_model(), random_csr(64, seed=5)
    expected = make_model().rank(rows, 6, np.ones(64), SINGLE)
    monkeypatch.setattr(fitted_model, "SamplingTables", slow)
    monkeypatch.setattr(fitted_model, "_BLOCK_ROWS", 16)
    with torch_threads(4):
        found = model.rank(rows, 6, np.ones(64), SINGLE)
    assert len(made) == 1
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_tables_are_not_copied(make):
    model = make_model()
    tables = model.tables()
    other = make(model)
    assert other.tables() is not tables
    assert model.tables() is tables


def test_tables_are_not_pickled():
    model = make_model()
    before = len(pickle.dumps(model))
    list(answers(model))
    assert len(pickle.dumps(model)) == before


def test_an_estimator_checks_its_parameters_once(interactions, monkeypatch):
    estimator = tiny_cfg(max_epochs=1).fit(interactions)
    checked, inner = [], type(estimator)._settings

    def counted(self, *given, **changes):
        checked.append(changes)
        return inner(self, *given, **changes)

    monkeypatch.setattr(type(estimator), "_settings", counted)
    for _ in range(3):
        estimator.recommend([1, 2])
    assert len(checked) == 1
    estimator.set_params(n_sampling_steps=2).recommend([1, 2])
    assert len(checked) == 2
    assert estimator._model.resolved[1].n_sampling_steps == 2
    with pytest.raises(ValueError, match="'eta'"):
        estimator.set_params(eta=-1.0).recommend([1, 2])
    with pytest.raises(ValueError, match="'eta'"):
        estimator.recommend([1, 2])


# Devices and copies


def test_on_its_device_it_is_the_same_object(model):
    assert model.to(torch.device("cpu")) is model
    assert model.to(model.device) is model


def test_a_device_by_another_name_is_the_same(interactions):
    """As cuda is the current one of cuda:0, cuda:1 ..."""
    assert torch.device("cpu:0") != torch.device("cpu")
    model = make_model()
    assert model.to(torch.device("cpu:0")) is model
    estimator = tiny_cfg(max_epochs=1).fit(interactions)
    model = estimator._model
    estimator.set_params(device="cpu:0").recommend([1, 2])
    estimator.set_params(n_sampling_steps=2).recommend([1, 2])
    assert estimator._model is model


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
def test_a_model_stays_on_its_gpu(device, interactions):
    estimator = tiny_cfg(max_epochs=1, device=device).fit(interactions)
    model = estimator._model
    estimator.recommend([1, 2])
    estimator.set_params(n_sampling_steps=2).recommend([1, 2])
    assert model.device.type == "cuda" and estimator._model is model


def test_on_another_device_it_is_another_object(model):
    """PyTorch's meta device stands for a GPU: shapes without numbers."""
    before, tables = bits_of(model), model.tables()
    moved = model.to(torch.device("meta"))
    assert moved is not model and moved.device.type == "meta"
    assert moved.closed_form is None or moved.closed_form.unknown.device.type == "meta"
    assert moved._made == {}
    for name in ("values", "half_life", "seed", "closed_form_scale", "training"):
        assert getattr(moved, name) == getattr(model, name)
    assert model.device.type == "cpu" and model.tables() is tables
    assert_same_state(bits_of(model), before)


@pytest.mark.parametrize(
    ("model", "make"), zip(MODELS, itertools.cycle(COPIES)), indirect=["model"]
)
def test_copies_give_equal_lists_bit_by_bit(model, make):
    other = COPIES[make](model)
    assert other is not model and other.denoiser is not model.denoiser
    assert_same_state(bits_of(other), bits_of(model))
    assert_same_answers(other, model)
    with pytest.raises(FrozenInstanceError):
        other.seed = 1


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_copies_share_no_memory(make):
    model = make_model(closed_form="neighborhood")
    before, other = bits_of(model), make(model)
    with torch.no_grad():
        for tensor in (*other.denoiser.state_dict().values(), other.closed_form.weights):
            tensor.fill_(3)
    other.diffusion.alpha_bar.fill_(1)
    assert_same_state(bits_of(model), before)


def test_an_estimators_pickle_gives_equal_lists_bit_by_bit(fitted):
    """Of all recommenders, not of this one alone."""
    other = pickle.loads(pickle.dumps(fitted))
    for a, b in zip(other.recommend(k=20), fitted.recommend(k=20), strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


def test_what_training_found_is_kept(interactions):
    model = tiny_cfg().fit(interactions)._model
    other = pickle.loads(pickle.dumps(model))
    assert other.training == model.training
    assert type(other.training.history) is type(model.training.history)
    attributes, of_other = model.attributes(), other.attributes()
    assert attributes.pop("_model") is model and of_other.pop("_model") is other
    assert attributes == of_other
    # what an estimator shows is its own
    attributes["history_"].append({"epoch": 4})
    assert len(model.training.history) == 3


@pytest.mark.parametrize("closed_form", [*CLOSED_FORMS, None])
def test_a_replaced_part_has_tables_of_its_own(closed_form):
    model = make_model(LATENT, closed_form=closed_form)
    scores = model.score(X, SCALE, SINGLE)
    other = replace(model, seed=5, closed_form_scale=0.0)
    assert other.tables() is not model.tables()
    without = make_model(LATENT, closed_form=None).score(X, SCALE, SINGLE)
    assert_array_equal(other.score(X, SCALE, SINGLE), without)
    assert_array_equal(model.score(X, SCALE, SINGLE), scores)
    assert (scores == without).all() == (closed_form is None)
