"""Lists by Spark, on two Python workers."""

import shutil
import sys

import pytest
from cluster_problems import (  # noqa: F401
    assert_whole,
    check_failed,
    check_killed,
    children,
    encoder_fixture,
    events_fixture,
    model_fixture,
    saved_fixture,
    table,
)

from skdiffrec.distributed import recommend_spark

pytestmark = pytest.mark.slow
sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java, which is not there", allow_module_level=True)


@pytest.fixture(scope="module")
def session():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        builder = sql.SparkSession.builder.master("local[2,4]")  # a task is tried four times
        session = builder.config("spark.ui.enabled", "false").getOrCreate()
        yield session
        session.stop()


def test_the_active_session(saved, model, interactions, tmp_path, session):
    folder = tmp_path / "lists"
    parts = recommend_spark(saved, folder, X=interactions[::-1], batch_size=10)
    expected = table(*model.recommend(X=interactions[::-1]))
    assert_whole(folder, parts, expected)
    read = session.read.parquet(str(folder))  # as Spark's own files
    assert read.count() == len(expected)
    assert sql.SparkSession.getActiveSession() is session


def test_workers_that_are_killed(saved, model, tmp_path, session):
    workers = lambda: children("pyspark.daemon")[1:]  # noqa: E731 (the first one starts them)
    check_killed(recommend_spark, saved, tmp_path / "lists", model, workers)


def test_an_error_on_a_worker_ends_it(saved, tmp_path, session):
    check_failed(recommend_spark, saved, tmp_path, RuntimeError)


def test_a_session_of_its_own(saved, model, tmp_path, session, monkeypatch):
    session.stop()
    monkeypatch.delenv("PYSPARK_PYTHON")
    parts = recommend_spark(saved, tmp_path / "lists", batch_size=50)
    assert_whole(tmp_path / "lists", parts, table(*model.recommend()))
    assert sql.SparkSession.getActiveSession() is None
