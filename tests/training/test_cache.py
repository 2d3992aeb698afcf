"""memory=: one training for all who ask for the same, and never the wrong one."""

import errno
import os
import pathlib
import threading
import warnings

import joblib
import numpy as np
import pytest
from conftest import tiny_cfg
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from training_problems import properties

from skdiffrec import CFGDiffusionRecommender, _trainable
from skdiffrec._training import cache, fit
from skdiffrec._training.cache import remembered
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions

SCALES = [0.0, 0.25, 0.5, 1.0, 1.3, 1.6, 2.0, 3.0]


@pytest.fixture
def trainings(monkeypatch):
    """The rows of every training in this process."""
    trained = []
    fit_model = _trainable.fit_model

    def counted(X, *args):
        trained.append(X.shape[0])
        return fit_model(X, *args)

    monkeypatch.setattr(_trainable, "fit_model", counted)
    return trained


def entries(folder):
    """The files that hold a trained model."""
    return sorted(pathlib.Path(folder).glob("joblib/skdiffrec/*.safetensors"))


def kept(folder, key, train):
    """`remembered` of numbers."""
    return remembered(
        folder,
        lambda: key,
        train,
        pack=lambda number: (number, {"some": np.zeros(1)}),
        unpack=lambda number, tensors: number,
    )


def searched(interactions, memory, **options):
    search = GridSearchCV(
        tiny_cfg(memory=memory), {"guidance_scale": SCALES}, cv=3, error_score="raise", **options
    )
    return search.fit(interactions).cv_results_


@pytest.mark.slow
def test_a_search_trains_once_per_fold(interactions, tmp_path, trainings):
    """8 scales x 3 folds, and the refit."""
    with_memory = searched(interactions, tmp_path)
    assert len(trainings) == 4 == len(entries(tmp_path))
    without = searched(interactions, None)
    assert len(trainings) == 4 + 25
    for name, values in without.items():
        if name.endswith("_score"):
            assert_array_equal(with_memory[name], values)


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_two_workers_never_train_the_same(interactions, tmp_path, n_jobs):
    """Every training, in whatever process, leaves a line in a file."""
    model = Logged(**tiny_cfg(memory=str(tmp_path)).get_params())
    search = GridSearchCV(
        model, {"guidance_scale": SCALES}, cv=3, n_jobs=n_jobs, refit=False, error_score="raise"
    ).fit(interactions)
    assert len((tmp_path / "log").read_text().split()) == 3
    expected = searched(interactions, None, refit=False)
    assert_array_equal(search.cv_results_["mean_test_score"], expected["mean_test_score"])


class Logged(CFGDiffusionRecommender):
    """Notes every training in a file, so that other processes' count too."""

    def _fit(self, X, **options):
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


@pytest.mark.parametrize("damage", ["empty", "truncated", "garbage", "half-written", "a bit"])
def test_a_damaged_entry_is_trained_again(interactions, tmp_path, trainings, damage):
    model = tiny_cfg(memory=tmp_path).fit(interactions)
    (entry,) = entries(tmp_path)
    content = entry.read_bytes()
    if damage == "half-written":  # a worker was killed before it gave the file its name
        entry.rename(entry.with_name(f".{entry.name}.1.tmp"))
    else:
        flipped = bytearray(content)
        flipped[-5] ^= 8
        left = {"empty": b"", "truncated": content[: len(content) // 2], "garbage": b"\x00" * 999}
        entry.write_bytes((left | {"a bit": bytes(flipped)})[damage])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = clone(model).fit(interactions)
    told = [str(warning.message) for warning in caught]
    assert any("damaged and is trained again" in text for text in told) == (
        damage != "half-written"
    )
    assert len(trainings) == 2
    assert_array_equal(again.recommend(k=5)[0], model.recommend(k=5)[0])
    clone(model).fit(interactions)
    assert len(trainings) == 2  # the entry is whole again


CHANGES = {
    "a setting": dict(parameters={"learning_rate": 5e-3}),
    "the closed form": dict(parameters={"closed_form": None}),
    "its ridge": dict(parameters={"closed_form": EASERecommender(reg=3.0)}),
    "the seed": dict(parameters={"random_state": 1}),
    "what values mean": dict(parameters={"values": "weight"}),
    "the weights of users": dict(weight=True),
    "one interaction": dict(drop=True),
    "the order of users": dict(permute=True),
    "the library's version": dict(version="0.0.0"),
    "torch's version": dict(torch="0.0.0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_differs_is_trained_anew(interactions, tmp_path, trainings, monkeypatch, change):
    tiny_cfg(memory=tmp_path).fit(interactions)
    X, weight = interactions.copy(), None
    if change.get("weight"):
        weight = np.linspace(1, 2, X.shape[0])
    if change.get("drop"):
        X.data[-1] = 0
    if change.get("permute"):
        X = X[::-1]
    if "version" in change:
        monkeypatch.setattr(fit, "__version__", change["version"])
    if "torch" in change:
        version = fit.importlib.metadata.version
        monkeypatch.setattr(
            fit.importlib.metadata,
            "version",
            lambda name: change["torch"] if name == "torch" else version(name),
        )
    model = tiny_cfg(memory=tmp_path, **change.get("parameters", {})).fit(X, sample_weight=weight)
    assert len(trainings) == 2
    assert_array_equal(
        model.decision_function(X),
        clone(model).set_params(memory=None).fit(X, sample_weight=weight).decision_function(X),
    )


SAME = {
    "guidance_scale": 3.0,
    "n_sampling_steps": 3,
    "start_timestep": 50,
    "eta": 0.5,
    "temperature": 1.0,
    "n_draws": 2,
    "verbose": 1,
}


@pytest.mark.parametrize(("name", "value"), SAME.items())
def test_how_a_model_is_sampled_needs_no_training(interactions, tmp_path, trainings, name, value):
    tiny_cfg(memory=tmp_path).fit(interactions)
    model = tiny_cfg(memory=tmp_path, **{name: value}).fit(interactions)
    assert len(trainings) == 1
    assert_array_equal(
        model.decision_function(interactions),
        clone(model).set_params(memory=None).fit(interactions).decision_function(interactions),
    )


def test_forms_of_memory(interactions, tmp_path, trainings):
    for memory in (str(tmp_path), tmp_path, joblib.Memory(str(tmp_path), verbose=0)):
        clone(tiny_cfg(memory=memory)).fit(interactions)
        assert len(trainings) == 1
    joblib.Memory(str(tmp_path), verbose=0).clear(warn=False)
    tiny_cfg(memory=tmp_path).fit(interactions)
    assert len(trainings) == 2
    tiny_cfg(memory=joblib.Memory(None)).fit(interactions)
    assert len(trainings) == 3
    with pytest.raises(ValueError, match="memory"):
        tiny_cfg(memory=3).fit(interactions)


def test_equal_parameters_in_other_types_are_equal(interactions, tmp_path, trainings):
    tiny_cfg(memory=tmp_path, dropout=0.0).fit(interactions)
    other = dict(hidden_dims=[32, 32], max_epochs=np.int64(3), dropout=0)
    tiny_cfg(memory=tmp_path, **other, batch_size=np.int64(32)).fit(interactions)
    tiny_cfg(memory=tmp_path, dropout=0.0, hidden_dims=np.array([32, 32])).fit(interactions)
    assert len(trainings) == 1


def test_the_home_folder(interactions, tmp_path, trainings, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    tiny_cfg(memory="~/cache").fit(interactions)
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}
    tiny_cfg(memory=tmp_path / "cache").fit(interactions)
    assert len(trainings) == 1


@pytest.mark.parametrize("name", ["", "a file", "a file/inside"])
def test_what_is_no_folder(interactions, tmp_path, name):
    (tmp_path / "a file").write_text("")
    with pytest.raises(ValueError, match="memory"):
        tiny_cfg(memory=name and str(tmp_path / name)).fit(interactions)


def test_a_folder_that_cannot_be_written_is_read(interactions, tmp_path, trainings, monkeypatch):
    tiny_cfg(memory=tmp_path).fit(interactions)

    def refuses(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(cache, "FileLock", refuses)
    tiny_cfg(memory=tmp_path).fit(interactions)
    assert len(trainings) == 1
    with pytest.warns(UserWarning, match="cannot be written .*Permission denied"):
        tiny_cfg(memory=tmp_path, random_state=1).fit(interactions)
    assert len(trainings) == 2


def test_without_a_seed_any_model_will_do(interactions, tmp_path, trainings):
    one, other = (tiny_cfg(memory=tmp_path, random_state=None) for _ in range(2))
    assert_array_equal(
        one.fit(interactions).recommend(k=3)[0], other.fit(interactions).recommend(k=3)[0]
    )
    assert len(trainings) == 1


def test_a_random_state_that_moves_on_is_another_seed(interactions, tmp_path, trainings):
    state = np.random.RandomState(0)
    model = tiny_cfg(memory=tmp_path, random_state=state)
    model.fit(interactions).fit(interactions)
    assert len(trainings) == 2


def test_a_read_model_is_fitted_in_every_way(interactions, tmp_path):
    fresh, read = (tiny_cfg(memory=tmp_path).fit(interactions) for _ in range(2))
    for name in ("n_iter_", "history_", "best_validation_score_", "closed_form_weight_"):
        assert getattr(fresh, name) == getattr(read, name)
    assert read.n_features_in_ == interactions.shape[1]


def test_a_failed_training_leaves_nothing(tmp_path):
    def fails():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        kept(tmp_path, "key", fails)
    assert kept(tmp_path, "key", lambda: 5) == 5
    assert kept(tmp_path, "key", fails) == 5


def test_a_full_disk_loses_nothing(interactions, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.tensor_file, "write", full)
    with pytest.warns(UserWarning, match="not kept in memory=.*No space left"):
        model = tiny_cfg(memory=tmp_path).fit(interactions)
    assert_array_equal(
        model.recommend()[0], clone(model).set_params(memory=None).fit(interactions).recommend()[0]
    )
    assert not entries(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are those of POSIX")
def test_a_folder_of_others(interactions, tmp_path, monkeypatch):
    tiny_cfg(memory=tmp_path).fit(interactions)
    folder = entries(tmp_path)[0].parent
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="may be written by everybody"):
        tiny_cfg(memory=tmp_path).fit(interactions)
    folder.chmod(0o755)
    owner = folder.stat().st_uid
    monkeypatch.setattr(cache.os, "geteuid", lambda: owner + 1)
    if owner != 0:
        with pytest.warns(UserWarning, match="belongs to the user"):
            tiny_cfg(memory=tmp_path).fit(interactions)


@pytest.mark.slow
@properties
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_is_silent(tmp_path_factory, place, bit):
    """Of an entry with a real model; what is read is what was written, or trained again."""
    folder = tmp_path_factory.getbasetemp() / "flipped"
    X = make_interactions(40, 30, n_interactions_per_user=6, random_state=0).train
    model = tiny_cfg(memory=folder, max_epochs=1)
    if not entries(folder):
        model.fit(X)
    (entry,) = entries(folder)
    whole = bytearray(entry.read_bytes())
    whole[int(place * len(whole))] ^= 1 << bit
    entry.write_bytes(whole)
    with pytest.warns(UserWarning, match="damaged and is trained again"):
        model.fit(X)


def test_who_asks_meanwhile_waits_and_others_do_not(tmp_path):
    """Two ask for one key, one for another; the other is done while the first still trains."""
    order, begun, other_done = [], threading.Event(), threading.Event()

    def slow():
        order.append("slow")
        begun.set()
        assert other_done.wait(20)
        return 1

    found = {}

    def ask(name, key, train):
        found[name] = kept(tmp_path, key, train)

    threads = [threading.Thread(target=ask, args=("first", "a", slow))]
    threads[0].start()
    assert begun.wait(20)
    threads.append(threading.Thread(target=ask, args=("second", "a", lambda: order.append("no"))))
    threads[1].start()
    ask("other", "b", lambda: 2)
    other_done.set()
    for thread in threads:
        thread.join(20)
    assert found == {"first": 1, "second": 1, "other": 2} and order == ["slow"]


@pytest.mark.parametrize("change", [lambda r: 2 * r, lambda r: r + 10])
@pytest.mark.parametrize("liked_from", ["auto", 3])
def test_ratings_on_another_scale_are_other_ratings(change, liked_from, tmp_path):
    """The rows that are learned from are the same: what is liked, and how much."""
    stars = make_interactions(60, 40, n_interactions_per_user=10, values="rating", random_state=0)
    stars = stars.train
    other = stars.copy()
    other.data = change(stars.data)
    parameters = {"values": "rating", "max_epochs": 1, "memory": str(tmp_path)}
    first, second = tiny_cfg(**parameters).fit(stars), tiny_cfg(**parameters).fit(other)
    alone = tiny_cfg(**parameters | {"memory": None}).fit(other)
    assert second.liked_from_ == alone.liked_from_ != first.liked_from_
    assert_array_equal(second.recommend(k=5)[1], alone.recommend(k=5)[1])
    given = {"liked_from": liked_from} | parameters
    model = tiny_cfg(**given).fit(stars)
    assert len(entries(tmp_path)) == 2 + (liked_from != "auto")
    assert model.recommend(0, 3)[0].shape == (3,)
