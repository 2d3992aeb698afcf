"""Lists by Ray, on two processes."""

import pytest
from cluster_problems import (  # noqa: F401
    assert_whole,
    check_failed,
    check_killed,
    children,
    model_fixture,
    saved_fixture,
    table,
)

from skdiffrec.distributed import recommend_ray

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="Ray is not installed")


@pytest.fixture(autouse=True)
def no_reports(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def session():
    ray.init(num_cpus=2, include_dashboard=False)
    yield
    ray.shutdown()


def test_the_present_session(saved, model, interactions, tmp_path, session):
    folder = tmp_path / "lists"
    parts = recommend_ray(saved, folder, X=interactions[::-1], batch_size=10)
    assert_whole(folder, parts, table(*model.recommend(X=interactions[::-1])))
    assert ray.is_initialized()


def test_workers_that_are_killed(saved, model, tmp_path, session):
    workers = lambda: children("ray::write_part")  # noqa: E731
    check_killed(recommend_ray, saved, tmp_path / "lists", model, workers)


def test_an_error_on_a_worker_ends_it(saved, tmp_path, session):
    check_failed(recommend_ray, saved, tmp_path, FileNotFoundError)


def test_a_session_of_its_own(saved, model, tmp_path):
    parts = recommend_ray(saved, tmp_path / "lists", batch_size=50)
    assert_whole(tmp_path / "lists", parts, table(*model.recommend()))
    assert not ray.is_initialized()
