"""checkpoint=: the same fit goes on after it was killed, to the bits of one that was not."""

import errno
import os
import warnings

import numpy as np
import pytest
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._training import checkpoint as checkpoint_module
from skdiffrec._training import loop
from skdiffrec._utils import tensor_file
from skdiffrec.datasets import make_interactions
from skdiffrec.persistence import load

KINDS = {
    "binary": {},
    "time": dict(values="time"),
    "horizon": dict(values="time", horizon=2),
    "rating": dict(values="rating"),
    "user features": {},
    "no early stopping": dict(early_stopping=False),
    "estimate in item space": dict(ranking_head=False, latent_dim=None),
}


QUICK = "binary", "horizon", "no early stopping"


class Killed(BaseException):
    """In the place of kill -9."""


def data_of(kind):
    values = KINDS[kind].get("values", "binary")
    data = make_interactions(
        90, 50, n_interactions_per_user=8, n_tastes=4, values=values, random_state=3
    )
    return data.train, {"user_features": data.user_features} if kind == "user features" else {}


def killed_after(monkeypatch, n_writes):
    """Let fits be killed right after so many checkpoints."""
    write, left = checkpoint_module.Checkpoint.write, [n_writes]

    def counted(self, state):
        write(self, state)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    monkeypatch.setattr(checkpoint_module.Checkpoint, "write", counted)


def interrupted(model, X, n_writes, **known):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, n_writes)
        model.fit(X, **known)


def bits(model):
    """All that a fit has learned."""
    record, tensors = model._get_state(include_training=True)
    return record, {name: array.tobytes() for name, array in tensors.items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.safetensors"


@pytest.mark.parametrize(
    "kind",
    [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
@pytest.mark.parametrize("n_writes", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_the_bits_of_a_fit_that_was_not_killed(kind, n_writes, path):
    """With `checkpoint_every=0` there is one after every step."""
    X, known = data_of(kind)
    whole = tiny_cfg(**KINDS[kind]).fit(X, **known)
    model = tiny_cfg(checkpoint=path, checkpoint_every=0, **KINDS[kind])
    interrupted(model, X, n_writes, **known)
    interrupted(model, X, 2, **known)
    assert bits(model.fit(X, **known)) == bits(whole)
    assert not path.exists()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=3))
def test_killed_at_any_step(tmp_path_factory, kills):
    X, _ = data_of("binary")
    path = tmp_path_factory.mktemp("any") / "fit.safetensors"
    model = tiny_cfg(checkpoint=path, checkpoint_every=0, max_epochs=4)
    for n_writes in kills:
        try:
            interrupted(model, X, n_writes)
        except pytest.fail.Exception:  # it was done
            break
    assert bits(model.fit(X)) == bits(tiny_cfg(max_epochs=4).fit(X))


def test_only_what_is_left_is_trained(path, monkeypatch):
    X, _ = data_of("binary")
    model, steps = tiny_cfg(checkpoint=path, checkpoint_every=0), []
    interrupted(model, X, 3)
    batch_loss = loop.batch_loss
    monkeypatch.setattr(
        loop, "batch_loss", lambda *args, **options: steps.append(1) or batch_loss(*args, **options)
    )
    model.fit(X)
    resumed = len(steps)
    tiny_cfg().fit(X)
    assert len(steps) - resumed == resumed + 3


def test_a_fit_without_random_state_goes_on_with_its_seed(path):
    X, _ = data_of("binary")
    model = tiny_cfg(checkpoint=path, checkpoint_every=0, random_state=None)
    interrupted(model, X, 4)
    seed = tensor_file.read(path)[0]["seed"]
    assert model.fit(X)._model.seed == seed
    assert model.fit(X)._model.seed != seed


def test_after_ctrl_c_the_same_fit_goes_on(path, monkeypatch):
    X, _ = data_of("binary")
    whole = tiny_cfg().fit(X)
    model = tiny_cfg(checkpoint=path, checkpoint_every=0)
    write, seen = checkpoint_module.Checkpoint.write, []

    def stop(self, state):
        write(self, state)
        seen.append(1)
        if len(seen) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="Interrupted after"):
        patch.setattr(checkpoint_module.Checkpoint, "write", stop)
        model.fit(X)
    assert path.exists()
    assert bits(model.fit(X)) == bits(whole)


def test_how_often(path, monkeypatch):
    """At the first end of an epoch, then when it is time."""
    X, _ = data_of("binary")
    now, written = [0.0], []
    monkeypatch.setattr(checkpoint_module.time, "monotonic", lambda: now[0])
    step = loop.AdamW.step

    def slow_step(self, *gradients):
        now[0] += 1.0
        step(self, *gradients)

    def write(self, state):
        written.append((now[0], state.position.epoch))
        self.written = now[0]
        self.spent += 1.0

    monkeypatch.setattr(loop.AdamW, "step", slow_step)
    monkeypatch.setattr(checkpoint_module.Checkpoint, "write", write)
    tiny_cfg(checkpoint=path, checkpoint_every=7, max_epochs=5).fit(X)  # three steps an epoch
    assert written[:2] == [(3.0, 1), (10.0, 3)]


class TestRefusals:
    @pytest.fixture
    def model(self, path):
        X, _ = data_of("binary")
        model = tiny_cfg(checkpoint=path, checkpoint_every=0)
        interrupted(model, X, 4)
        return model

    def refused(self, model, match, X=None):
        path, before = model.checkpoint, model.checkpoint.read_bytes()
        with pytest.raises(ValueError, match=match):
            model.fit(data_of("binary")[0] if X is None else X)
        assert path.read_bytes() == before
        assert not hasattr(model, "n_features_in_")

    @pytest.mark.parametrize(
        "changes",
        [{"learning_rate": 0.1}, {"random_state": 1}, {"max_epochs": 4, "half_life": 2.0}],
        ids=str,
    )
    def test_other_settings_are_named(self, model, changes):
        self.refused(model.set_params(**changes), f"another fit: {', '.join(sorted(changes))} ")

    def test_other_data(self, model):
        X = data_of("binary")[0].tolil()
        X[0, 0] = 1 - X[0, 0]
        self.refused(model, "another fit: X is not", X.tocsr())

    def test_another_version(self, model, monkeypatch):
        from skdiffrec._training import fit

        monkeypatch.setattr(fit, "__version__", "99.0")
        self.refused(model, "version of skdiffrec is not")

    def test_what_does_not_matter(self, model):
        model.set_params(guidance_scale=2.0, verbose=0, checkpoint_every=3, n_draws=2).fit(
            data_of("binary")[0]
        )
        assert model.n_iter_ == 3

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_a_flipped_bit(self, tmp_path_factory, data):
        X, _ = data_of("binary")
        path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
        model = tiny_cfg(checkpoint=path, checkpoint_every=0)
        if not hasattr(TestRefusals, "whole"):
            interrupted(model, X, 2)
            TestRefusals.whole = path.read_bytes()
        damaged = bytearray(TestRefusals.whole)
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(damaged)
        self.refused(model, "no whole checkpoint|another fit")

    @pytest.mark.parametrize("keep", [0, 100, -1])
    def test_a_file_cut_off(self, model, path, keep):
        path.write_bytes(path.read_bytes()[:keep])
        self.refused(model, "no whole checkpoint")

    def test_a_saved_model_is_none(self, model, path):
        tiny_cfg(max_epochs=1).fit(data_of("binary")[0]).save(path)
        self.refused(model, "holds a 'CFGDiffusionRecommender'")
        with pytest.raises(ValueError, match="no class"):
            interrupted_path = path.with_name("other")
            interrupted(
                tiny_cfg(checkpoint=interrupted_path, checkpoint_every=0), data_of("binary")[0], 1
            )
            load(interrupted_path)

    def test_a_folder(self, tmp_path):
        with pytest.raises(ValueError, match="no whole checkpoint"):
            tiny_cfg(checkpoint=tmp_path).fit(data_of("binary")[0])

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(ValueError, match="does not exist. Make it"):
            tiny_cfg(checkpoint=tmp_path / "no" / "fit").fit(data_of("binary")[0])

    @pytest.mark.parametrize("parameters", [{"checkpoint": 3}, {"checkpoint_every": -1}], ids=str)
    def test_parameters(self, parameters):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            tiny_cfg(**parameters).fit(data_of("binary")[0])


def test_a_full_disk(path, monkeypatch):
    """The fit goes on, and so does the checkpoint before."""
    X, _ = data_of("binary")
    model = tiny_cfg(checkpoint=path, checkpoint_every=0)
    interrupted(model, X, 2)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(tensor_file, "write", full)
        with pytest.raises(Killed), pytest.warns(UserWarning, match="No space left"):
            killed_after(patch, 3)
            model.fit(X)
        assert path.read_bytes() == before
        with pytest.warns(UserWarning, match="No space left"):
            fitted = model.fit(X)
    assert bits(fitted) == bits(tiny_cfg().fit(X))


def test_a_checkpoint_that_cannot_be_removed(path, monkeypatch):
    """The model is there all the same."""
    X, _ = data_of("binary")

    def refuses(name):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="could not be removed"):
        patch.setattr(checkpoint_module.os, "remove", refuses)
        model = tiny_cfg(checkpoint=path, checkpoint_every=1e9).fit(X)
    assert path.exists()
    assert bits(model) == bits(tiny_cfg().fit(X))


def test_a_model_that_memory_had_needs_no_checkpoint(path, tmp_path):
    X, _ = data_of("binary")
    model = tiny_cfg(checkpoint=path, checkpoint_every=0, memory=tmp_path / "memory")
    interrupted(model, X, 3)
    tiny_cfg(memory=tmp_path / "memory").fit(X)
    model.fit(X)
    assert not path.exists()
    interrupted(model, X[:80], 3)  # of another fit
    model.fit(X)
    assert path.exists()


@pytest.mark.parametrize("path", ["", "no such folder/", "a" * 300, "nul\0l"], ids=repr)
def test_what_is_no_path(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is not the path of a file"):
        tiny_cfg(checkpoint=path).fit(data_of("binary")[0])
    assert not list(tmp_path.iterdir())


def test_training_that_diverges_says_so(path):
    X, _ = data_of("binary")
    with warnings.catch_warnings(), pytest.raises(ValueError, match="diverged"):
        warnings.simplefilter("ignore")
        tiny_cfg(checkpoint=path, checkpoint_every=0, learning_rate=1e30).fit(X)


def test_it_is_no_part_of_the_model(path, tmp_path):
    X, _ = data_of("binary")
    model = tiny_cfg(checkpoint=path, max_epochs=1).fit(X)
    model.save(tmp_path / "model")
    loaded = CFGDiffusionRecommender.load(tmp_path / "model")
    assert loaded.checkpoint is None
    np.testing.assert_array_equal(loaded.recommend()[0], model.recommend()[0])
