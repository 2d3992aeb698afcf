"""What cannot be done is refused before any work, and leaves nothing behind."""

import os

import numpy as np
import pytest
import scipy.sparse as sp
from cluster_problems import (  # noqa: F401
    encoder_fixture,
    events_fixture,
    model_fixture,
    recommend_here,
    saved_fixture,
)

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.distributed import _run, recommend_dask, recommend_ray, recommend_spark
from skdiffrec.persistence import PersistenceError
from skdiffrec.preprocessing import InteractionEncoder


@pytest.fixture
def refused(tmp_path):
    """Checks that a call raises an error, starts no task, and leaves the folder as it was."""

    def check(error, message, path, folder=None, **given):
        folder = folder or tmp_path / "lists"
        before = sorted(folder.iterdir()) if folder.is_dir() else None

        def engine(tasks, n_tasks):
            pytest.fail("a task began")

        with pytest.raises(error, match=message):
            recommend_here(path, folder, engine=engine, **given)
        assert (sorted(folder.iterdir()) if folder.is_dir() else None) == before

    return check


class TestFolder:
    @pytest.mark.parametrize(
        "names, what",
        [
            (["_SUCCESS", "part-00000.parquet"], "an earlier run, which is whole"),
            (["part-00000.parquet"], "a run that goes on, or was killed"),
            (["_incomplete"], "a run that goes on, or was killed"),
            (["notes.txt"], "other files"),
        ],
    )
    def test_not_empty(self, names, what, saved, tmp_path, refused):
        folder = tmp_path / "full"
        folder.mkdir()
        for name in names:
            (folder / name).touch()
        message = f"{folder}.* is not empty: it holds .*{what}.*Give another folder"
        refused(FileExistsError, message, saved, folder)

    def test_a_file(self, saved, tmp_path, refused):
        (tmp_path / "file").touch()
        refused(NotADirectoryError, "is a file; give a folder", saved, tmp_path / "file")

    def test_in_no_folder(self, saved, tmp_path, refused):
        refused(FileNotFoundError, "Make that one first", saved, tmp_path / "no" / "lists")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
    def test_that_may_not_be_written(self, saved, tmp_path, refused):
        tmp_path.chmod(0o500)
        refused(PermissionError, "lists", saved)
        tmp_path.chmod(0o700)


class TestModel:
    def test_that_is_not_there(self, tmp_path, refused):
        refused(FileNotFoundError, "no file", tmp_path / "nothing")

    def test_that_is_damaged(self, saved, tmp_path, refused):
        content = bytearray(saved.read_bytes())
        content[-5] ^= 8
        (tmp_path / "damaged").write_bytes(content)
        refused(PersistenceError, "altered or damaged", tmp_path / "damaged")

    def test_that_is_an_encoder(self, encoder, tmp_path, refused):
        encoder.save(tmp_path / "names")
        refused(TypeError, "as encoder=", tmp_path / "names")

    def test_without_its_rows(self, model, interactions, tmp_path, refused):
        model.save(tmp_path / "bare", include_data=False)
        refused(ValueError, "include_data=False", tmp_path / "bare")
        assert recommend_here(tmp_path / "bare", tmp_path / "lists", X=interactions)


class TestArguments:
    @pytest.mark.parametrize(
        "given, error, message",
        [
            ({"k": 0}, ValueError, "k must be at least 1, got 0"),
            ({"k": 2.5}, TypeError, "k must be a positive integer"),
            ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
            ({"device": "gpu"}, ValueError, "device='gpu'"),
            ({"users": [0, 120]}, IndexError, "user_ids contains 120"),
            ({"users": [0.5]}, TypeError, "user_ids must be integers"),
            ({"X": sp.csr_array((3, 49))}, ValueError, "X has 49 columns, but the model has 50"),
            ({"X": sp.csr_array((3, 50)), "users": [1]}, ValueError, "X has 3 rows"),
            ({"X": "rows.csv"}, FileNotFoundError, "rows.csv"),
            ({"X": 7}, TypeError, r"X must be a sparse matrix.*got int"),
            ({"filter_itmes": [3]}, TypeError, "'filter_itmes' is no option.*filter_items"),
            ({"filter_items": [50]}, IndexError, "filter_items contains 50"),
            ({"items": sp.csr_array((3, 50))}, ValueError, r"items has shape \(3, 50\)"),
            ({"guidance_scale": [1.0] * 119}, ValueError, "guidance_scale has 119 values"),
            ({"guidance_scale": [1.0] * 119 + [np.nan]}, ValueError, "got nan"),
            ({"filter_seen": "no"}, TypeError, "filter_seen must be True or False"),
            ({"user_features": np.ones((120, 2))}, ValueError, "user_features"),
            ({"encoder": "names"}, FileNotFoundError, "names"),
            ({"encoder": object()}, TypeError, "encoder must be a fitted InteractionEncoder"),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
    )
    def test_that_are_wrong(self, given, error, message, saved, refused):
        refused(error, message, saved, **given)

    @pytest.mark.parametrize("bad", [-1.0, np.inf])
    @pytest.mark.parametrize("form", ["matrix", "object"])
    def test_the_last_row(self, bad, form, saved, interactions, refused):
        X = interactions.copy()
        X.data[-1] = bad
        refused(ValueError, "X", saved, X=X if form == "matrix" else Sliced(X), batch_size=30)

    def test_slices_of_another_length(self, saved, interactions, refused):
        X = Sliced(interactions, lost=1)
        refused(ValueError, r"X\[0:50\] has \(49, 50\)", saved, X=X, batch_size=50)

    def test_no_matrix_in_the_file(self, saved, tmp_path, refused):
        np.savez(tmp_path / "rows.npz", a=1)
        refused(ValueError, "no file of scipy.sparse.save_npz", saved, X=tmp_path / "rows.npz")

    def test_users_of_another_encoder(self, saved, encoder, interactions, refused):
        refused(ValueError, "model has 50 items, but encoder has 20", saved, encoder=encoder)

    def test_names(self, events, encoder, tmp_path, refused):
        X = encoder.transform(events)
        PopularityRecommender().fit(X).save(tmp_path / "model")
        path, with_names = tmp_path / "model", {"encoder": encoder}
        refused(ValueError, "nobody", path, users=["nobody"], **with_names)
        refused(ValueError, "such as 7", path, items=[7], **with_names)
        refused(ValueError, "X has 5 rows, but encoder has 30 users", path, X=X[:5], **with_names)

    def test_names_that_no_parquet_file_holds(self, tmp_path, refused):
        encoder = InteractionEncoder()
        X = encoder.fit_transform([("ann", 1), ("ann", "one"), ("bob", 1)])
        PopularityRecommender().fit(X).save(tmp_path / "model")
        refused(TypeError, "no place in a Parquet file", tmp_path / "model", encoder=encoder)


class Sliced:
    """An object that is no matrix, but gives rows."""

    def __init__(self, X, lost=0):
        self._X, self._lost, self.shape = X, lost, X.shape

    def __getitem__(self, rows):
        return self._X[rows.start : rows.stop - self._lost]


class TestEngines:
    @pytest.mark.parametrize(
        "recommend, package, extra",
        [
            (recommend_dask, "distributed", "dask"),
            (recommend_ray, "ray", "ray"),
            (recommend_spark, "pyspark.sql", "spark"),
        ],
    )
    def test_that_is_not_installed(self, recommend, package, extra, saved, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        message = rf'{recommend.__name__} needs {package}: pip install "skdiffrec\[{extra}\]"'
        with pytest.raises(ImportError, match=message):
            recommend(saved, tmp_path / "lists")
        assert not (tmp_path / "lists").exists()

    def test_parquet_is_not_installed(self, saved, monkeypatch, refused):
        def without(name):
            raise ImportError(name)

        monkeypatch.setattr(_run.importlib, "import_module", without)
        refused(ImportError, r'needs pyarrow.parquet: pip install "skdiffrec\[dask\]"', saved)

    def test_what_is_no_client(self, saved, tmp_path):
        pytest.importorskip("distributed")
        with pytest.raises(TypeError, match="client must be a distributed.Client.*got 'tcp"):
            recommend_dask(saved, tmp_path / "lists", client="tcp://here")

    def test_what_is_no_session(self, saved, tmp_path):
        pytest.importorskip("pyspark", reason="Spark is not installed")
        with pytest.raises(TypeError, match="session must be a pyspark.sql.SparkSession"):
            recommend_spark(saved, tmp_path / "lists", session="local")
