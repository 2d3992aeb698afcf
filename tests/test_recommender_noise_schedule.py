"""CFGDiffusionRecommender: a noise schedule by its name, and as an array of cumulative alphas."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_array_equal
from recommender_models import assert_same_lists, cfg_fixture, changed, plain_fixture  # noqa: F401
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skdiffrec import (
    CFGDiffusionRecommender,
    cosine_schedule,
    linear_schedule,
    linear_variance_schedule,
)
from skdiffrec._training import fit as training

SCHEDULES = {
    "cosine": cosine_schedule,
    "linear": linear_schedule,
    "linear_variance": linear_variance_schedule,
}
STEPS = dict(n_sampling_steps=4, temperature=1.0, eta=1.0)


@pytest.fixture(scope="module")
def drawn(interactions):
    """A model of an array of 20 timesteps; shared, never change it."""
    return tiny_cfg(noise_schedule=cosine_schedule(20), **STEPS).fit(interactions)


def count_trainings(monkeypatch):
    trainings, train = [], training.train

    def counted(*args, **options):
        trainings.append(1)
        return train(*args, **options)

    monkeypatch.setattr(training, "train", counted)
    return trainings


def summed_scores(model, X, y=None):
    """A scorer that tells models apart whose lists have equal nDCG."""
    return float(model.decision_function(X).sum())


class TestArray:
    @pytest.mark.parametrize("name", SCHEDULES)
    @pytest.mark.parametrize("n_timesteps", [10, 100])
    def test_bit_by_bit_that_of_its_name(self, interactions, name, n_timesteps):
        """And it decides the number of timesteps, whatever `n_timesteps` is."""
        named = tiny_cfg(noise_schedule=name, n_timesteps=n_timesteps, **STEPS).fit(interactions)
        array = SCHEDULES[name](n_timesteps)
        given = tiny_cfg(noise_schedule=array, n_timesteps=33, **STEPS).fit(interactions)
        assert given.history_ == named.history_
        assert_array_equal(
            given.decision_function(interactions), named.decision_function(interactions)
        )
        assert_same_lists(given.recommend(), named.recommend())
        assert_array_equal(given.noise_schedule, array)

    @pytest.mark.parametrize("name", ["linear", "linear_variance"])
    @pytest.mark.parametrize("end", [0, 1])
    def test_ends_matter(self, interactions, name, end):
        scores = []
        for value in (1e-3, 1e-2):
            ends = [1e-4, 0.02]
            ends[end] = value
            model = tiny_cfg(noise_schedule=SCHEDULES[name](100, *ends), early_stopping=False)
            scores.append(model.fit(interactions).decision_function(interactions))
        assert (scores[0] != scores[1]).any()

    @pytest.mark.parametrize("kind", [list, tuple, pd.Series, lambda a: a[::-1][::-1]])
    def test_any_container(self, drawn, interactions, kind):
        other = clone(drawn).set_params(noise_schedule=kind(cosine_schedule(20)))
        assert_same_lists(other.fit(interactions).recommend(), drawn.recommend())

    def test_levels_may_stay_the_same(self, interactions):
        levels = [1.0, 0.9, 0.9, 0.4, 0.4, 0.1]
        model = tiny_cfg(noise_schedule=levels, n_sampling_steps=5, temperature=1.0, eta=1.0)
        assert np.isfinite(model.fit(interactions).decision_function(interactions)).all()

    def test_it_limits_the_steps(self, drawn, interactions):
        bounds = [
            ({"n_sampling_steps": 21}, "n_sampling_steps must.*=21 and n_timesteps=20"),
            ({"start_timestep": 21}, "start_timestep must.*=21 and n_timesteps=20"),
        ]
        for parameters, says in bounds:
            model = changed(drawn, n_timesteps=1000, **parameters)
            for use in (model.recommend, lambda model=model: model.fit(interactions)):
                with pytest.raises(ValueError, match=says):
                    use()
        everything = changed(drawn, n_sampling_steps=20)
        assert np.isfinite(everything.recommend()[1][3:]).all()

    def test_a_change_of_the_array_does_not_change_the_model(self, interactions):
        array = cosine_schedule(20)
        model = tiny_cfg(noise_schedule=array, **STEPS).fit(interactions)
        expected = model.recommend()
        array[1:] = 0.5
        assert_same_lists(model.recommend(), expected)

    def test_fit_leaves_the_array(self, interactions):
        array = cosine_schedule(20)
        array.flags.writeable = False
        tiny_cfg(noise_schedule=array).fit(interactions)
        assert_array_equal(array, cosine_schedule(20))


BAD = {
    "text": ("sine", "'noise_schedule'.*'linear'.*Got 'sine'"),
    "none": (None, "'noise_schedule'.*Got None"),
    "number": (0.5, "'noise_schedule'.*Got 0.5"),
    "empty": ([], r"cumulative alphas.*got \[\]"),
    "one value": ([1.0], r"cumulative alphas.*got \[1.0\]"),
    "betas": (np.linspace(1e-4, 0.02, 4), r"start at 1.*got array\(\[0.0001"),
    "above 1": ([1.5, 1.0, 0.5], r"start at 1.*got \[1.5, 1.0, 0.5\]"),
    "rises": ([1.0, 0.5, 0.6], r"never rise.*got \[1.0, 0.5, 0.6\]"),
    "no noise": ([1.0, 1.0, 1.0], r"fall from there.*got \[1.0, 1.0, 1.0\]"),
    "first step without noise": ([1.0, 1.0, 0.5], r"fall from there.*got \[1.0, 1.0, 0.5\]"),
    "ends at 0": ([1.0, 0.5, 0.0], r"end at 1e-30 or more.*got \[1.0, 0.5, 0.0\]"),
    "below 0": ([1.0, 0.5, -0.1], r"end at 1e-30 or more.*got \[1.0, 0.5, -0.1\]"),
    "nan": ([1.0, np.nan, 0.1], r"got \[1.0, nan, 0.1\]"),
    "nan at the end": ([1.0, 0.5, np.nan], r"got \[1.0, 0.5, nan\]"),
    "2-D": ([[1.0, 0.5], [0.4, 0.3]], r"cumulative alphas.*got \[\[1.0"),
    "ragged": ([[1.0, 0.5], [0.4]], r"cumulative alphas.*got \[\[1.0"),
    "texts": (["a", "b"], r"cumulative alphas.*got \['a', 'b'\]"),
}


@pytest.mark.parametrize(("schedule", "says"), BAD.values(), ids=BAD)
def test_bad_schedules(cfg, interactions, schedule, says):
    """A clear error, which for numbers names what makes good ones; the model stays as it was."""
    model = changed(cfg, noise_schedule=schedule)
    with pytest.raises(ValueError, match=f"(?s){says}") as error:
        model.fit(interactions)
    assert "noise_schedule" in str(error.value) and len(str(error.value)) < 600
    if isinstance(schedule, list | np.ndarray):
        assert "skdiffrec.cosine_schedule" in str(error.value)
    assert_same_lists(cfg.recommend(), model.recommend())


@pytest.mark.parametrize("schedule", BAD["rises"][:1] + BAD["2-D"][:1])
def test_construction_does_not_check(schedule):
    assert CFGDiffusionRecommender(noise_schedule=schedule).noise_schedule is schedule


class TestTravels:
    """Through everything that an estimator's parameters go through."""

    def test_clone(self, drawn, interactions):
        copied = clone(drawn)
        assert copied.noise_schedule is not drawn.noise_schedule
        assert_array_equal(copied.noise_schedule, drawn.noise_schedule)
        assert_same_lists(copied.fit(interactions).recommend(), drawn.recommend())

    def test_set_params(self, plain, interactions):
        model = copy.deepcopy(plain).set_params(noise_schedule=linear_schedule(40, 1e-3, 0.1))
        assert_same_lists(model.recommend(), plain.recommend())  # it belongs to training
        model.fit(interactions)
        assert (model.recommend()[1] != plain.recommend()[1]).any()
        model.set_params(n_sampling_steps=40).recommend()
        back = model.set_params(noise_schedule="cosine", n_sampling_steps=1).fit(interactions)
        assert_same_lists(back.recommend(), plain.recommend())

    def test_repr(self, drawn):
        assert "noise_schedule=array([" in repr(drawn) and "noise_schedule" in drawn._repr_html_()

    def test_pickle(self, drawn):
        assert_same_lists(pickle.loads(pickle.dumps(drawn)).recommend(), drawn.recommend())

    @pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_grid_search(self, interactions, n_jobs):
        everything = np.arange(interactions.shape[0])
        grid = {"noise_schedule": ["cosine", cosine_schedule(100), linear_schedule(20, 0.01, 0.3)]}
        cv = [(everything, everything)]
        search = GridSearchCV(tiny_cfg(), grid, cv=cv, n_jobs=n_jobs, scoring=summed_scores)
        search.fit(interactions)
        named, given, other = search.cv_results_["mean_test_score"]
        assert named == given != other
        best = grid["noise_schedule"][search.best_index_]
        assert_array_equal(search.best_estimator_.noise_schedule, best)

    def test_save_and_load(self, drawn, interactions, tmp_path):
        drawn.save(tmp_path / "model.safetensors")
        loaded = CFGDiffusionRecommender.load(tmp_path / "model.safetensors", device="cpu")
        assert_same_lists(loaded.recommend(), drawn.recommend())
        assert loaded.noise_schedule == tuple(drawn.noise_schedule)
        assert_same_lists(clone(loaded).fit(interactions).recommend(), drawn.recommend())

    def test_memory(self, interactions, tmp_path, monkeypatch):
        """Equal arrays are one training, whatever holds them; others are another."""
        model = tiny_cfg(memory=tmp_path, noise_schedule=cosine_schedule(20), max_epochs=1)
        trainings = count_trainings(monkeypatch)
        expected = model.fit(interactions).recommend()
        for kind in (list, tuple, np.array):
            again = clone(model).set_params(noise_schedule=kind(cosine_schedule(20)))
            assert_same_lists(again.fit(interactions).recommend(), expected)
        assert len(trainings) == 1
        other = clone(model).set_params(noise_schedule=cosine_schedule(21)).fit(interactions)
        assert len(trainings) == 2
        assert (other.recommend()[1] != expected[1]).any()
