"""Saved models, what a folder of parts must hold, and workers that die."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from pandas.testing import assert_frame_equal

from skdiffrec.distributed._parts import write_part
from skdiffrec.distributed._run import run
from skdiffrec.preprocessing import InteractionEncoder

ARGUMENTS = {
    "k": 10,
    "users": None,
    "X": None,
    "encoder": None,
    "batch_size": 10_000,
    "device": "auto",
}


def recommend_here(model_path, out_folder, *, engine=None, **given):
    """As `recommend_dask`, in this process."""
    arguments = {name: given.pop(name, default) for name, default in ARGUMENTS.items()}
    engine = engine or (lambda tasks, n_tasks: [write_part(task) for task in tasks])
    return run(engine, "recommend_here", "dask", model_path, out_folder, **arguments, options=given)


def read(parts):
    """One table of all parts."""
    return pd.concat(map(pd.read_parquet, parts), ignore_index=True)


def table(ids, scores, users=None):
    """Lists as one table, without the padding."""
    users = np.arange(len(ids)) if users is None else np.asarray(users)
    row, rank = np.nonzero(ids >= 0)
    columns = {"user": users[row], "rank": rank + 1, "item": ids[row, rank]}
    return pd.DataFrame(columns | {"score": scores[row, rank]})


def assert_whole(folder, parts, expected):
    """The folder is a whole run, and holds these lists."""
    names = sorted(path.name for path in Path(folder).iterdir())
    assert names == ["_SUCCESS", *[os.path.basename(part) for part in parts]]
    assert_frame_equal(read(parts), expected, check_exact=True)
    assert_frame_equal(pd.read_parquet(folder), expected, check_exact=True)


@pytest.fixture(name="model", scope="package")
def model_fixture(interactions):
    return tiny_cfg(guidance_scale=1.5, n_sampling_steps=2).fit(interactions)


@pytest.fixture(name="saved", scope="package")
def saved_fixture(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model.save(path)
    return path


@pytest.fixture(name="events", scope="package")
def events_fixture():
    """A table of 30 users and 20 items."""
    rng = np.random.default_rng(0)
    users = [f"user {number}" for number in rng.integers(30, size=300)]
    return pd.DataFrame({"who": users, "what": rng.integers(100, 120, size=300)})


@pytest.fixture(name="encoder", scope="package")
def encoder_fixture(events):
    return InteractionEncoder(user="who", item="what").fit(events)


def children(word):
    """Processes that this one has started, with a word in their command."""
    import psutil  # which Dask brings

    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if word in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


class Killer(threading.Thread):
    """Kills a worker whenever some more parts are there.

    Parameters
    ----------
    folder : Path
        Of the parts.
    workers : callable
        ``workers()`` are the ids of the processes to choose from.
    after : sequence of int
        Numbers of parts.
    """

    def __init__(self, folder, workers, after=(3, 20)):
        super().__init__(daemon=True)
        self.folder, self.workers, self.after = folder, workers, after
        self.killed = []  # (id of the process, parts that were there)

    def run(self):
        for n_parts in self.after:
            while (there := len(list(self.folder.glob("part-*")))) < n_parts:
                time.sleep(0.005)
            pid = self._worker()
            os.kill(pid, signal.SIGKILL)
            self.killed.append((pid, there))

    def _worker(self):
        while True:
            with suppress(OSError):  # Dask's, of one that has just been killed
                if found := self.workers():
                    return found[0]
            time.sleep(0.005)


class Vanishing:
    """Empty rows; when they are read for the second time, to be sent, the model's file is gone."""

    def __init__(self, path, n_users, n_items):
        self.path, self.shape, self.starts = path, (n_users, n_items), set()

    def __getitem__(self, rows):
        if rows.start and rows.start in self.starts:
            self.path.unlink(missing_ok=True)
        self.starts.add(rows.start)
        return sp.csr_array((rows.stop - rows.start, self.shape[1]))


def check_failed(recommend, saved, tmp_path, error):
    """A run in which a worker fails ends with its error, and leaves nothing."""
    path = tmp_path / "model"
    path.write_bytes(saved.read_bytes())
    with pytest.raises(error, match="finds no file"):
        recommend(path, tmp_path / "lists", X=Vanishing(path, 120, 50), batch_size=10)
    assert not (tmp_path / "lists").exists()


def check_killed(recommend, saved, folder, model, workers):
    """A run some of whose workers are killed ends with the lists of one process."""
    killer = Killer(folder, workers)
    killer.start()
    parts = recommend(saved, folder, batch_size=1)
    killer.join(5)
    assert len(killer.killed) == 2 and all(there < len(parts) for _, there in killer.killed)
    assert len(parts) == 120
    assert_whole(folder, parts, table(*model.recommend()))
