"""Searches on a cluster with memory= on a shared folder: one training for each configuration."""

import os
from pathlib import Path

import joblib
import numpy as np
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV

from skdiffrec import CFGDiffusionRecommender

pytestmark = pytest.mark.slow
GRID = {"guidance_scale": [0.0, 0.5, 1.0, 1.5, 2.0], "hidden_dims": [(8,), (16,)]}


def logged(memory):
    """An estimator that notes every training in a file; of a class that travels as its code."""

    class Logged(CFGDiffusionRecommender):
        def _fit(self, X, **options):
            from skdiffrec._training import fit

            train = fit.train

            def noted(*args, **options):
                with open(os.path.join(self.memory, "log"), "a") as file:
                    file.write(f"{os.getpid()}\n")
                return train(*args, **options)

            fit.train = noted
            try:
                super()._fit(X, **options)
            finally:
                fit.train = train

    return Logged(**tiny_cfg(memory=str(memory)).get_params())


def search(estimator, X):
    options = {"cv": 3, "n_jobs": 2, "refit": False, "error_score": "raise"}
    return GridSearchCV(estimator, GRID, **options).fit(X).cv_results_


def check_search(interactions, memory):
    """Two networks in three folds, whatever the number of scales."""
    found = search(logged(memory), interactions)
    processes = Path(memory, "log").read_text().split()
    assert len(processes) == 6 and str(os.getpid()) not in processes
    with joblib.parallel_config("sequential"):
        expected = search(tiny_cfg(), interactions)
    for name in [name for name in expected if name.endswith("_score")]:
        assert_array_equal(found[name], expected[name])
    assert np.ptp(found["mean_test_score"]) > 0


def test_on_dask(interactions, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.Client(**options), joblib.parallel_config("dask"):
        check_search(interactions, tmp_path)


def test_on_ray(interactions, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # no reports
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from ray.util.joblib import register_ray

    register_ray()
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        with joblib.parallel_config("ray"):
            check_search(interactions, tmp_path)
    finally:
        ray.shutdown()
