"""A run without an engine: the same lists as one process, whole or not there."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import torch
from cluster_problems import (  # noqa: F401
    assert_whole,
    encoder_fixture,
    events_fixture,
    model_fixture,
    read,
    recommend_here,
    saved_fixture,
    table,
)
from conftest import tiny_cfg
from pandas.testing import assert_frame_equal

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.distributed import _folder, _parts
from skdiffrec.distributed._parts import write_part
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender, recommend_batches


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "lists"


class TestSameLists:
    def test_all_rows_of_fit(self, saved, model, folder):
        parts = recommend_here(saved, folder, k=7, batch_size=50)
        assert [os.path.basename(part) for part in parts] == [
            f"part-0000{i}.parquet" for i in range(3)
        ]
        expected = table(*model.recommend(k=7))
        assert_whole(folder, parts, expected)
        dtypes = {"user": "int64", "rank": "int64", "item": "int64", "score": "float32"}
        assert read(parts).dtypes.astype(str).to_dict() == dtypes
        assert read(parts[1:2])["user"].tolist() == np.repeat(np.arange(50, 100), 7).tolist()

    def test_users(self, saved, model, folder):
        users = [5, 3, 5, 119]
        parts = recommend_here(saved, folder, users=users, batch_size=3)
        assert_whole(folder, parts, table(*model.recommend(users), users))

    def test_one_user_and_none(self, saved, model, tmp_path):
        ids, scores = model.recommend([4])
        parts = recommend_here(saved, tmp_path / "one", users=4)
        assert_whole(tmp_path / "one", parts, table(ids, scores, [4]))
        parts = recommend_here(saved, tmp_path / "none", users=[])
        assert len(parts) == 1
        assert pq.read_schema(parts[0]).names == ["user", "rank", "item", "score"]
        assert not len(read(parts)) and os.path.exists(tmp_path / "none" / "_SUCCESS")

    @pytest.mark.parametrize("form", ["csr", "coo", "path", "object"])
    def test_histories(self, form, saved, model, interactions, folder, tmp_path):
        X = interactions[::2]
        given = {"csr": X, "coo": sp.coo_matrix(X), "object": Rows(X)}.get(form)
        if form == "path":
            given = tmp_path / "rows.npz"
            sp.save_npz(given, X)
        parts = recommend_here(saved, folder, X=given, batch_size=17)
        assert_whole(folder, parts, table(*model.recommend(X=X)))
        if form == "object":
            assert max(given.asked) <= 17  # never all of it

    def test_users_as_labels(self, saved, model, interactions, folder):
        labels = np.arange(1000, 1120)
        parts = recommend_here(saved, folder, users=labels, X=interactions)
        assert_whole(folder, parts, table(*model.recommend(X=interactions), labels))

    def test_options_of_each_user_are_cut(self, saved, model, interactions, folder):
        rng = np.random.default_rng(0)
        options = {
            "guidance_scale": {"history": rng.uniform(0, 2, 120)},
            "filter_items": sp.csr_array(rng.random((120, 50)) < 0.2),
            "items": np.arange(45),
            "filter_seen": False,
        }
        parts = recommend_here(saved, folder, batch_size=32, **options)
        assert_whole(folder, parts, table(*model.recommend(**options)))

    def test_lists_that_are_not_filled(self, saved, model, folder):
        allowed = sp.csr_array(np.eye(120, 50))  # most users: nothing at all
        parts = recommend_here(saved, folder, items=allowed, batch_size=40)
        expected = table(*model.recommend(items=allowed))
        assert 0 < len(expected) < 50 and not len(read(parts[2:]))
        assert_whole(folder, parts, expected)

    def test_other_recommenders(self, interactions, folder, tmp_path):
        model = EASERecommender(reg=20.0).fit(interactions)
        model.save(tmp_path / "ease")
        parts = recommend_here(tmp_path / "ease", folder)
        assert_whole(folder, parts, table(*model.recommend()))


class Rows:
    """Gives some rows at a time, as a matrix on a disk does."""

    def __init__(self, X):
        self._X, self.shape, self.asked = X, X.shape, []

    def __getitem__(self, rows):
        found = self._X[rows]
        self.asked.append(found.shape[0])
        return found


class TestNames:
    @pytest.fixture
    def popular(self, events, encoder, tmp_path):
        model = PopularityRecommender().fit(encoder.transform(events))
        model.save(tmp_path / "popular")
        return model, tmp_path / "popular"

    @pytest.mark.parametrize("given", ["encoder", "path", "both in one file"])
    def test_tables_are_those_of_one_process(self, given, events, encoder, popular, tmp_path):
        model, path = popular
        expected = pd.concat(recommend_batches(model, encoder, k=3), ignore_index=True)
        options = {"encoder": encoder}
        if given == "path":
            encoder.save(tmp_path / "names")
            options = {"encoder": tmp_path / "names"}
        elif given == "both in one file":
            path, options = tmp_path / "both", {}
            TableRecommender.from_fitted(model, encoder).save(path)
        folder = tmp_path / "lists"
        parts = recommend_here(path, folder, k=3, batch_size=7, **options)
        assert list(expected) == ["who", "rank", "what", "score"]
        assert_whole(folder, parts, expected)

    def test_names_of_users_and_items(self, encoder, popular, tmp_path):
        model, path = popular
        users, names = ["user 3", "user 1"], {"items": [101, 105, 107], "filter_items": [105]}
        rows = encoder.user_index(users)
        expected = pd.concat(
            recommend_batches(model, encoder, users=users, filter_seen=False, **names)
        )
        folder = tmp_path / "lists"
        found = read(
            recommend_here(
                path, folder, users=users, encoder=encoder, filter_seen=False, batch_size=1, **names
            )
        )
        assert_frame_equal(found, expected.reset_index(drop=True))
        assert len(found) == 2 * len(rows)

    def test_new_users(self, events, encoder, popular, tmp_path):
        model, path = popular
        X = encoder.transform(events)[[4, 7]]
        users = ["somebody", "somebody else"]
        parts = recommend_here(path, tmp_path / "lists", users=users, X=X, encoder=encoder, k=2)
        expected = encoder.inverse_transform(*model.recommend(X=X, k=2), users=users)
        assert_whole(tmp_path / "lists", parts, expected)

    @pytest.mark.parametrize("library", ["dict", "polars", "pyarrow", "category"])
    def test_types_of_the_table(self, library, events, tmp_path):
        """Also of parts that hold nobody's list."""
        form = {
            "dict": lambda: {name: events[name].to_numpy() for name in events},
            "polars": lambda: pl.DataFrame(events.to_dict("list")),
            "pyarrow": lambda: pl.DataFrame(events.to_dict("list")).to_arrow(),
            "category": lambda: events.astype(str).astype("category"),  # Parquet has these of text
        }[library]()
        encoder = InteractionEncoder(user="who", item="what")
        model = PopularityRecommender().fit(encoder.fit_transform(form))
        model.save(tmp_path / "model")
        allowed = sp.csr_array(np.arange(30)[:, None] * np.ones(20) < 9)  # nothing to others
        options = {"items": allowed, "filter_seen": False}
        parts = recommend_here(
            tmp_path / "model", tmp_path / "lists", encoder=encoder, batch_size=9, **options
        )
        schemas = {str(pq.read_schema(part).remove_metadata()) for part in parts}
        assert len(parts) == 4 and len(schemas) == 1
        expected = encoder.inverse_transform(*model.recommend(**options))
        found = pq.read_table(tmp_path / "lists")
        assert found.num_rows == 90
        for name in ("who", "rank", "what", "score"):
            column = expected[name]
            column = column.to_pylist() if library == "pyarrow" else list(column)
            assert found[name].to_pylist() == column
        if library == "category":
            assert (found.to_pandas().dtypes == expected.dtypes).all()


class TestWorkers:
    def test_the_model_is_loaded_once(self, saved, folder, monkeypatch):
        monkeypatch.setattr(_parts, "_loaded", {})
        loaded, load = [], _parts.persistence.load
        monkeypatch.setattr(
            _parts.persistence, "load", lambda *args, **o: [loaded.append(1), load(*args, **o)][1]
        )
        recommend_here(saved, folder, batch_size=10)
        assert len(loaded) == 2  # to check what is asked for, and by the worker

    def test_threads_are_those_of_the_task(self, saved, folder, monkeypatch, four_threads):
        seen = []

        def engine(tasks, n_tasks):
            for task in tasks:
                write_part(task, n_threads=2)

        class Model:
            def recommend(self, **arguments):
                seen.append(torch.get_num_threads())
                n = len(arguments["user_ids"])
                return np.zeros((n, 1), np.int64), np.zeros((n, 1), np.float32)

        monkeypatch.setattr(_parts, "_model", lambda job: (Model(), None))
        recommend_here(saved, folder, k=1, engine=engine)
        assert seen == [2] and torch.get_num_threads() == 4

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux counts page faults so")
    def test_memory_stays_for_the_next_block(self):
        """Where MALLOC_TRIM_THRESHOLD_ is set, as Dask does, and not longer than the lists take."""
        code = """
import resource
import numpy as np
from skdiffrec.distributed._memory import memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

outside = faults()
with memory_kept():
    with memory_kept():
        faults()
    inside = faults()
print(outside, inside, faults())
"""
        environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        before, inside, after = map(int, done.stdout.split())
        assert inside < before / 20 and inside < after / 20

    def test_without_a_package(self, saved, folder, monkeypatch):
        def engine(tasks, n_tasks):
            monkeypatch.setitem(sys.modules, "pyarrow", None)
            try:
                write_part(next(tasks))
            finally:
                monkeypatch.undo()

        with pytest.raises(ImportError, match=r"worker on .* has no pyarrow.*skdiffrec\[dask\]"):
            recommend_here(saved, folder, engine=engine)
        assert not folder.exists()

    @pytest.mark.parametrize(
        "changes, error, message",
        [
            ({"version": "0.0"}, ImportError, "was sent a task by 0.0"),
            ({"model_path": "/nowhere"}, FileNotFoundError, "finds no file '/nowhere'"),
            ({"model_checksum": "0"}, ValueError, "finds another file at"),
            ({"folder": "/nowhere"}, FileNotFoundError, "finds no folder '/nowhere'"),
            ({"run": "another"}, FileNotFoundError, "has ended without this part"),
        ],
    )
    def test_what_is_not_as_it_was(self, changes, error, message, saved, folder):
        def engine(tasks, n_tasks):
            part = pickle.loads(next(tasks))
            write_part(pickle.dumps(part._replace(job=part.job._replace(**changes))))

        with pytest.raises(error, match=message):
            recommend_here(saved, folder, engine=engine)
        assert not folder.exists()


class TestFailures:
    @staticmethod
    def half(tasks, n_tasks):
        write_part(next(tasks))
        raise RuntimeError("the cluster is gone")

    def test_nothing_is_left(self, saved, folder):
        with pytest.raises(RuntimeError, match="the cluster is gone"):
            recommend_here(saved, folder, batch_size=20, engine=self.half)
        assert not folder.exists()

    def test_an_empty_folder_stays(self, saved, encoder, folder):
        folder.mkdir()
        with pytest.raises(RuntimeError):
            recommend_here(saved, folder, batch_size=20, engine=self.half)
        assert folder.is_dir() and not list(folder.iterdir())

    def test_a_late_worker_adds_nothing(self, saved, folder):
        folder.mkdir()
        late = []

        def engine(tasks, n_tasks):
            late.extend(tasks)
            raise RuntimeError

        with pytest.raises(RuntimeError):
            recommend_here(saved, folder, engine=engine)
        with pytest.raises(FileNotFoundError, match="has ended without this part"):
            write_part(late[0])
        assert not list(folder.iterdir())

    def test_a_part_that_is_missing(self, saved, folder, monkeypatch):
        monkeypatch.setattr(_folder, "_PATIENCE", 0.3)

        def engine(tasks, n_tasks):
            write_part(next(tasks))

        with pytest.raises(FileNotFoundError, match="2 of 3 parts .*'part-00001.parquet'"):
            recommend_here(saved, folder, batch_size=40, engine=engine)
        assert not folder.exists()

    def test_success_comes_last(self, saved, folder, monkeypatch):
        there = []
        replacing = _folder.replacing
        monkeypatch.setattr(
            _folder,
            "replacing",
            lambda path: [there.append(os.listdir(folder)), replacing(path)][1],
        )
        recommend_here(saved, folder, batch_size=60)
        assert [sorted(names) for names in there] == [["part-00000.parquet", "part-00001.parquet"]]


def test_torch_and_engines_are_imported_when_they_are_used():
    code = """
import sys, skdiffrec.distributed
assert not {"torch", "dask", "distributed", "ray", "pyspark"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_features_of_users_by_id(events, tmp_path):
    """A frame with the encoder's column of users, in any order and not of all of them."""
    model = TableRecommender(tiny_cfg(), InteractionEncoder(user="who", item="what"))
    known = pd.DataFrame({"who": [f"user {i}" for i in range(30)], "age": np.linspace(-1, 1, 30)})
    model.fit(events, user_features=known)
    model.save(tmp_path / "model.safetensors")
    fewer = known.sample(frac=0.7, random_state=0)
    parts = recommend_here(
        tmp_path / "model.safetensors", tmp_path / "lists", batch_size=8, user_features=fewer
    )
    expected = model.recommend(user_features=fewer)
    assert_whole(tmp_path / "lists", parts, expected)
    assert not expected.equals(model.recommend())  # the features matter
