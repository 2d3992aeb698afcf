"""Lists by Dask, on a cluster in this process and on one of two processes."""

import os

import numpy as np
import pytest
from cluster_problems import (  # noqa: F401
    assert_whole,
    check_failed,
    check_killed,
    model_fixture,
    saved_fixture,
    table,
)

from skdiffrec.distributed import recommend_dask

distributed = pytest.importorskip("distributed", reason="Dask is not installed")


@pytest.fixture
def in_process():
    """A client of a worker with two threads in this process."""
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": ":0"}
    with distributed.Client(processes=False, **options) as client:
        yield client


@pytest.fixture
def two_processes():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.Client(**options) as client:
        yield client


def test_the_current_client(saved, model, tmp_path, in_process):
    users = np.arange(119, -1, -1)
    parts = recommend_dask(saved, tmp_path / "lists", 5, users, batch_size=7, guidance_scale=2.0)
    assert_whole(
        tmp_path / "lists", parts, table(*model.recommend(users, 5, guidance_scale=2.0), users)
    )
    assert distributed.Client.current() is in_process  # and not closed


def test_an_error_on_a_worker_ends_it(saved, tmp_path, in_process, monkeypatch):
    monkeypatch.setattr("skdiffrec.distributed._parts.write_table", fail)
    with pytest.raises(OSError, match="the disk is full"):
        recommend_dask(saved, tmp_path / "lists", batch_size=1, client=in_process)
    assert not (tmp_path / "lists").exists()


def fail(table, path):
    raise OSError("the disk is full")


@pytest.mark.slow
def test_two_processes(saved, model, interactions, tmp_path, two_processes):
    folder = tmp_path / "lists"
    parts = recommend_dask(saved, folder, X=interactions[::-1], batch_size=10)
    assert_whole(folder, parts, table(*model.recommend(X=interactions[::-1])))


@pytest.mark.slow
def test_a_cluster_of_its_own(saved, model, tmp_path):
    parts = recommend_dask(saved, tmp_path / "lists", batch_size=50)
    assert_whole(tmp_path / "lists", parts, table(*model.recommend()))
    with pytest.raises(ValueError):  # it has ended
        distributed.Client.current()


@pytest.mark.slow
def test_workers_that_are_killed(saved, model, tmp_path, two_processes):
    workers = lambda: list(two_processes.run(os.getpid).values())  # noqa: E731
    check_killed(recommend_dask, saved, tmp_path / "lists", model, workers)


@pytest.mark.slow
def test_an_error_in_another_process(saved, tmp_path, two_processes):
    check_failed(recommend_dask, saved, tmp_path, FileNotFoundError)


@pytest.mark.slow
def test_a_worker_without_a_package(saved, tmp_path, two_processes):
    two_processes.run(lambda: __import__("sys").modules.update({"pyarrow": None}))
    with pytest.raises(ImportError, match="worker on .* has no pyarrow"):
        recommend_dask(saved, tmp_path / "lists", batch_size=10)
    assert not (tmp_path / "lists").exists()
