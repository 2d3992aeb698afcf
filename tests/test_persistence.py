"""Saving and loading: the same model comes back, or a clear error; nothing is ever executed."""

import copy
import json
import os
import resource
import stat
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from conftest import tiny_cfg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.sparse import csr_array

from skdiffrec import CFGDiffusionRecommender, __version__, _tensor_file, persistence
from skdiffrec.base import BaseRecommender
from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.persistence import PersistenceError

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def assert_same(model, loaded, X):
    """Lists, scores and attributes are equal, bit by bit."""
    for found, expected in zip(loaded.recommend(X=X), model.recommend(X=X), strict=True):
        assert_array_equal(found, expected)
    assert_array_equal(loaded.decision_function(X), model.decision_function(X))
    assert loaded.score(X) == model.score(X)
    fitted = {name for name in vars(model) if name.endswith("_")}
    assert fitted == {name for name in vars(loaded) if name.endswith("_")}


def contents(path):
    """(record, tensors) of a file, unchecked."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["skdiffrec"].partition("\n")[2]), tensors


def forge(path, record, tensors):
    """Write what is given with a checksum that fits, as somebody with bad intent would."""
    text = record if isinstance(record, str) else json.dumps(record)
    checksum = _tensor_file._checksum(text, tensors)
    save_file(tensors, path, {"skdiffrec": f"{checksum}\n{text}"})


@pytest.fixture(scope="module")
def small(interactions):
    """Small in bytes, and with every kind of part: times, a sparse closed form, data."""
    model = tiny_cfg(
        values="time", item_path="neighborhood", hidden_dims=(8, 8, 6), latent_dim=4, max_epochs=2
    )
    return model.fit(interactions)


@pytest.fixture(scope="module")
def saved(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    small.save(path)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


class TestRoundTrip:
    @pytest.mark.parametrize("include_data", [True, False])
    def test_every_model(self, fitted, interactions, path, include_data):
        persistence.save(fitted, path, include_data=include_data)
        loaded = persistence.load(path, device="cpu")
        assert type(loaded) is type(fitted) and loaded.get_params() == fitted.get_params()
        assert_same(fitted, loaded, interactions)
        if include_data:
            for found, expected in zip(loaded.recommend(), fitted.recommend(), strict=True):
                assert_array_equal(found, expected)
            assert loaded._fit_X.dtype == fitted._fit_X.dtype

    def test_of_the_class(self, small, saved, interactions):
        assert_same(small, CFGDiffusionRecommender.load(saved, device="cpu"), interactions)

    def test_twice(self, saved, path):
        """A loaded model is saved as the same bytes."""
        CFGDiffusionRecommender.load(saved, device="cpu").save(path)
        assert path.read_bytes() == saved.read_bytes()

    def test_everything_that_looks_at_a_model(self, small, saved, interactions):
        loaded = CFGDiffusionRecommender.load(saved, device="cpu")
        scales = [0.0, 1.0, 2.5]
        assert_array_equal(
            loaded.recommend_scales(scales, [3, 4])[0], small.recommend_scales(scales, [3, 4])[0]
        )
        stages = zip(
            loaded.staged_decision_function(interactions),
            small.staged_decision_function(interactions),
            strict=True,
        )
        assert all((found == expected).all() for found, expected in stages)
        assert loaded.history_ == small.history_ and loaded.n_iter_ == small.n_iter_

    def test_parameters_changed_after_fit(self, interactions, path):
        """Those of training may no longer say what the network is: it says so itself."""
        model = tiny_cfg(max_epochs=1, n_timesteps=50).fit(interactions)
        model.set_params(
            n_timesteps=20, hidden_dims=[4], prediction_type="v", latent_dim=None, eta=0.5
        )
        model.save(path)
        loaded = CFGDiffusionRecommender.load(path, device="cpu")
        assert loaded.n_timesteps == 20 and loaded.hidden_dims == (4,) and loaded.eta == 0.5
        assert_same(model, loaded, interactions)

    def test_refit(self, saved, small, interactions):
        loaded = CFGDiffusionRecommender.load(saved, device="cpu").fit(interactions)
        assert_array_equal(loaded.recommend()[1], small.recommend()[1])

    def test_names_of_columns(self, interactions, path):
        pd = pytest.importorskip("pandas")
        names = [f"film {i} ☂"[: 5 + i % 5] + str(i) for i in range(interactions.shape[1])]
        frame = pd.DataFrame(interactions.toarray(), columns=names)
        model = PopularityRecommender().fit(frame)
        model.save(path)
        loaded = PopularityRecommender.load(path)
        assert loaded.feature_names_in_.tolist() == names
        assert loaded.feature_names_in_.dtype == object
        assert_array_equal(loaded.recommend(X=frame)[0], model.recommend()[0])
        with pytest.raises(ValueError, match="feature names"):
            loaded.recommend(X=frame[names[::-1]])

    @pytest.mark.parametrize(
        "given, kept",
        [
            (np.int64(3), 3),
            (None, None),
            (np.random.RandomState(0), None),
        ],
        ids=str,
    )
    def test_random_state(self, interactions, path, given, kept):
        model = tiny_cfg(max_epochs=1, temperature=0.5, random_state=given).fit(interactions)
        model.save(path)
        loaded = CFGDiffusionRecommender.load(path, device="cpu")
        assert loaded.random_state == kept and type(loaded.random_state) in (int, type(None))
        assert_same(model, loaded, interactions)  # draws come from the seed that fit took

    def test_parameters_of_numpy(self, interactions, path):
        model = tiny_cfg(
            max_epochs=np.int32(1),
            hidden_dims=np.array([16, 8]),
            condition_dropout=[np.float32(0.25), 0.5],
            early_stopping=np.bool_(False),
            guidance_scale="auto",
            device=torch.device("cpu"),
            memory=str(path.parent / "cache"),
        ).fit(interactions)
        model.save(path)
        parameters = CFGDiffusionRecommender.load(path, device="cpu").get_params()
        assert parameters["hidden_dims"] == (16, 8)
        assert parameters["condition_dropout"] == (0.25, 0.5)
        assert parameters["early_stopping"] is False and parameters["max_epochs"] == 1
        assert parameters["guidance_scale"] == "auto" and parameters["memory"] is None

    def test_of_a_class_of_ones_own(self, interactions, path):
        class First(PopularityRecommender):
            def __init__(self, *, scale=2.0):
                super().__init__(values="binary")
                self.scale = scale

        model = First(scale=3.0).fit(interactions)
        model.save(path)
        loaded = First.load(path)
        assert loaded.scale == 3.0
        assert_array_equal(loaded.recommend()[0], model.recommend()[0])
        with pytest.raises(PersistenceError, match="'First'.*no class of this library"):
            persistence.load(path)

    def test_a_class_that_does_not_say_what_to_save(self, interactions, path):
        class Constant(BaseRecommender):
            _parameter_constraints = {}

            def _fit(self, X):
                self.n_ = X.shape[1]

            def _score_rows(self, X):
                return np.zeros(X.shape, np.float32)

        with pytest.raises(PersistenceError, match="Constant.*_saved_arrays"):
            Constant().fit(interactions).save(path)
        assert not path.exists()


class TestWithoutData:
    def test_known_users_are_not_known(self, small, path, interactions):
        small.save(path, include_data=False)
        loaded = CFGDiffusionRecommender.load(path, device="cpu")
        for user_ids in (None, 3, [1, 2]):
            with pytest.raises(ValueError, match="include_data=False.*recommend\\(X="):
                loaded.recommend(user_ids)
        assert_array_equal(loaded.recommend([3], X=interactions[[3]])[0], small.recommend([3])[0])

    def test_no_history_in_the_file(self, small, saved, path):
        small.save(path, include_data=False)
        names = set(contents(path)[1])
        assert names == {name for name in contents(saved)[1] if not name.startswith("data.")}
        assert path.stat().st_size < saved.stat().st_size


class TestFile:
    def test_what_is_in_it(self, small, saved):
        """One file that every reader of safetensors opens; metadata are JSON."""
        record, tensors = contents(saved)
        assert record["format_version"] == 1 and record["library_version"] == __version__
        assert record["class"] == "CFGDiffusionRecommender"
        assert record["parameters"]["values"] == "time"
        assert not {"memory", "device"} & set(record["parameters"])
        assert tensors["data.indices"].shape == (small._fit_X.nnz,)
        assert all(array.dtype != object for array in tensors.values())

    def test_not_fitted(self, model, path):
        from sklearn.exceptions import NotFittedError

        with pytest.raises(NotFittedError):
            model.save(path)
        assert not path.exists()

    @pytest.mark.parametrize(
        "parameter, value",
        [("eta", 7.0), ("guidance_scale", np.nan), ("hidden_dims", [[2, 3], [4, 5]]), ("loss", {})],
    )
    def test_what_could_not_be_loaded_is_not_saved(self, small, path, parameter, value):
        model = copy.copy(small).set_params(**{parameter: value})
        with pytest.raises(PersistenceError, match=parameter):
            model.save(path)
        assert not path.exists()

    def test_weights_that_are_not_finite(self, small, path):
        model = copy.deepcopy(small)
        model._model.denoiser.null.data[2] = torch.nan
        with pytest.raises(PersistenceError, match="network.null.*not finite"):
            model.save(path)
        assert not path.exists()

    def test_only_torchs_own_memory(self, saved):
        """Nothing of the file stays mapped: it can be replaced while its model is in use."""
        loaded = CFGDiffusionRecommender.load(saved, device="cpu")
        for tensor in loaded._model.denoiser.state_dict().values():
            assert tensor.data_ptr() % 16 == 0
        with open("/proc/self/maps") as maps:
            assert str(saved) not in maps.read()


class TestAtomic:
    def test_replaces(self, small, saved, path):
        path.write_bytes(b"old")
        small.save(path)
        assert path.read_bytes() == saved.read_bytes()
        assert os.listdir(path.parent) == [path.name]

    @pytest.mark.parametrize("where", ["fsync", "replace"])
    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
    def test_interrupted(self, small, path, monkeypatch, where, error):
        path.write_bytes(b"old")

        def fail(*arguments):
            raise error("stopped")

        monkeypatch.setattr(os, where, fail)
        with pytest.raises(error, match="stopped"):
            small.save(path)
        assert path.read_bytes() == b"old" and os.listdir(path.parent) == [path.name]

    def test_disk_full(self, small, path):
        """The system itself refuses to write beyond a size."""
        path.write_bytes(b"old")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
        try:
            with pytest.raises(OSError, match="model.safetensors"):
                small.save(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == b"old" and os.listdir(path.parent) == [path.name]

    def test_folders(self, small, path):
        with pytest.raises(FileNotFoundError, match="no folder.*make it"):
            small.save(path / "deeper" / "model")
        with pytest.raises(IsADirectoryError, match="is a folder"):
            small.save(path.parent)

    def test_a_link_stays_a_link(self, small, path):
        target = path.parent / "target"
        target.write_bytes(b"old")
        path.symlink_to(target)
        small.save(path)
        assert path.is_symlink() and target.stat().st_size > 3

    @pytest.mark.skipif(os.name != "posix", reason="of POSIX")
    def test_others_may_read_it_where_they_may_read_files(self, small, path):
        small.save(path)
        (path.parent / "plain").write_bytes(b"")
        modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent / "plain")]
        assert modes[0] == modes[1]


class TestDevice:
    @without_cuda
    @pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")], ids=str)
    def test_no_gpu(self, saved, device):
        with pytest.raises(ValueError, match='device=\'cuda.*no GPU.*"cpu"'):
            CFGDiffusionRecommender.load(saved, device=device)

    def test_no_device(self, saved):
        with pytest.raises(ValueError, match="device='tpu'"):
            persistence.load(saved, device="tpu")

    def test_trained_for_a_gpu(self, small, saved, path, interactions):
        """Where a model was trained is no property of its file."""
        copy.copy(small).set_params(device="cuda:3").save(path)
        assert path.read_bytes() == saved.read_bytes()
        assert CFGDiffusionRecommender.load(path).device == "auto"

    @needs_cuda
    def test_gpu(self, interactions, path):
        model = tiny_cfg(device="cuda").fit(interactions)
        model.save(path)
        assert model._model.denoiser.null.device.type == "cuda"
        assert_same(model, CFGDiffusionRecommender.load(path, device="cuda"), interactions)
        assert CFGDiffusionRecommender.load(path, "cpu").recommend()[0].shape[1] == 10


class TestRefused:
    """Files that are not what `save` wrote."""

    @pytest.mark.parametrize(
        "bytes_",
        [
            b"",
            b"\x80\x04N.",
            b"PK\x03\x04" + bytes(100),
            struct.pack("<Q", 2**60) + b"{}",
            struct.pack("<Q", 8) + b'{"a":[[[',
            struct.pack("<Q", 2) + b"{}",
        ],
        ids=["empty", "pickle", "zip", "endless header", "broken header", "no metadata"],
    )
    def test_foreign(self, path, bytes_):
        path.write_bytes(bytes_)
        with pytest.raises(PersistenceError, match="model.safetensors"):
            persistence.load(path)

    def test_no_file(self, path):
        with pytest.raises(FileNotFoundError, match="no file.*model.safetensors"):
            persistence.load(path)
        with pytest.raises(PersistenceError, match="is not a file"):
            persistence.load(path.parent)

    def test_of_another_program(self, path):
        save_file({"weight": np.zeros(3, np.float32)}, path, {"format": "pt"})
        with pytest.raises(PersistenceError, match="none of a model of skdiffrec"):
            persistence.load(path)

    def test_a_pickle_is_not_executed(self, path, tmp_path):
        import pickle

        class Bomb:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "executed"),)

        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(PersistenceError):
            persistence.load(path)
        assert not (tmp_path / "executed").exists()

    def test_a_newer_format(self, saved, path):
        record, tensors = contents(saved)
        record = {"format_version": 2, "library_version": "9.1", "new": [record]}
        forge(path, record, tensors)
        with pytest.raises(PersistenceError, match="format 2.*skdiffrec '9.1'.*Upgrade"):
            persistence.load(path)

    @pytest.mark.parametrize("version", [0, -1, 1.0, True, "1", None, [1], 1e999])
    def test_no_format(self, saved, path, version):
        record, tensors = contents(saved)
        forge(path, record | {"format_version": version}, tensors)
        with pytest.raises(PersistenceError, match="format version|cannot be read"):
            persistence.load(path)

    def test_another_version_of_the_library(self, saved, path, small, interactions):
        """The same format is read, whichever version wrote it."""
        record, tensors = contents(saved)
        forge(path, record | {"library_version": "0.0.1"}, tensors)
        assert_same(small, persistence.load(path, "cpu"), interactions)

    def test_an_unknown_parameter(self, saved, path):
        record, tensors = contents(saved)
        record["parameters"]["warp"] = 3
        forge(path, record, tensors)
        with pytest.raises(PersistenceError, match="no parameters.*warp"):
            persistence.load(path)

    def test_a_parameter_younger_than_the_file(self, saved, path):
        record, tensors = contents(saved)
        del record["parameters"]["n_loss_items"]
        forge(path, record, tensors)
        assert persistence.load(path).n_loss_items == "auto"

    def test_the_wrong_class(self, saved):
        with pytest.raises(PersistenceError, match="holds a 'CFGDiff.*no EASERecommender"):
            EASERecommender.load(saved)

    @pytest.mark.parametrize("name", ["os.system", "builtins.eval", "BaseRecommender", 3, None, []])
    def test_no_class_by_name(self, saved, path, name):
        record, tensors = contents(saved)
        forge(path, record | {"class": name}, tensors)
        with pytest.raises(PersistenceError, match="no class of this library|impossible class"):
            persistence.load(path)


@pytest.fixture(scope="module")
def fuzzed(saved):
    return saved.parent / "fuzzed.safetensors"


fuzz = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class TestAccidents:
    """Whatever happens to a file on its way, it is refused."""

    @fuzz
    @given(data=st.data())
    def test_truncated(self, saved, fuzzed, data):
        whole = saved.read_bytes()
        fuzzed.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(PersistenceError):
            persistence.load(fuzzed)

    @fuzz
    @given(data=st.data())
    def test_a_changed_byte(self, saved, fuzzed, data):
        """Refused; or, where only the spelling of the header changed, the same model."""
        whole = bytearray(saved.read_bytes())
        n_header = 8 + struct.unpack("<Q", whole[:8])[0]
        last = data.draw(st.sampled_from([n_header, len(whole)])) - 1
        place = data.draw(st.integers(0, last))
        whole[place] ^= data.draw(st.integers(1, 255))
        fuzzed.write_bytes(whole)
        try:
            loaded = persistence.load(fuzzed)
        except PersistenceError:
            return
        assert place < n_header
        assert all(
            (found == expected).all() and found.dtype == expected.dtype
            for found, expected in zip(
                contents(fuzzed)[1].values(), contents(saved)[1].values(), strict=True
            )
        )
        assert contents(fuzzed)[0] == contents(saved)[0] and loaded.n_iter_ == 2

    @fuzz
    @given(st.binary(max_size=300))
    def test_more_bytes(self, saved, fuzzed, more):
        fuzzed.write_bytes(saved.read_bytes() + more)
        if more:
            with pytest.raises(PersistenceError):
                persistence.load(fuzzed)
        else:
            persistence.load(fuzzed)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["dense", "multinomial", "time", "x", "1e999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


class TestForged:
    """A checksum that fits says nothing about the rest: each entry is checked before it is used."""

    @pytest.fixture
    def parts(self, saved):
        return contents(saved)

    @fuzz
    @given(data=st.data())
    def test_any_value_anywhere_in_the_metadata(self, saved, fuzzed, data):
        record, tensors = contents(saved)
        entries = [(record, name) for name in record if name != "format_version"]
        entries += [(record["state"], name) for name in record["state"]]
        entries += [(record["parameters"], name) for name in record["parameters"]]
        where, name = data.draw(st.sampled_from(entries))
        where[name] = data.draw(json_values)
        forge(fuzzed, record, tensors)
        try:
            loaded = persistence.load(fuzzed)
        except PersistenceError as error:
            assert len(str(error)) < 2_000
        else:
            assert loaded.n_features_in_ == 50

    @pytest.mark.parametrize("number", [False, 0.0, True, 1.0, -1, 2**60])
    def test_what_only_equals_a_number_of_entries(self, saved, fuzzed, number):
        record, tensors = contents(saved)
        record["state"]["path_entries"] = number
        forge(fuzzed, record, tensors)
        with pytest.raises(PersistenceError, match="path_entries"):
            persistence.load(fuzzed)

    @fuzz
    @given(data=st.data())
    def test_any_number_anywhere_in_the_indices(self, saved, fuzzed, data):
        record, tensors = contents(saved)
        names = ["data.indices", "data.indptr"]
        names += ["network.item_path.items", "network.item_path.offsets"]
        name = data.draw(st.sampled_from(names))
        array = tensors[name]
        limits = np.iinfo(array.dtype)
        numbers = st.integers(-3, 60) | st.integers(int(limits.min), int(limits.max))
        place = data.draw(st.integers(0, len(array) - 1))
        array[place] = data.draw(numbers)
        forge(fuzzed, record, tensors)
        try:
            loaded = persistence.load(fuzzed)
        except PersistenceError as error:
            assert name.rpartition(".")[0].removeprefix("network.") in str(error)
        else:
            # another matrix then, if a row took over its neighbour's item, but a sound one
            for matrix in (loaded._fit_X, loaded._model.denoiser.item_path.csr):
                parts = matrix.data, matrix.indices, matrix.indptr
                again = csr_array(parts, shape=matrix.shape)
                again.check_format(full_check=True)
                assert again.has_canonical_format
            assert np.isfinite(loaded.decision_function(loaded._fit_X)).all()

    @pytest.mark.parametrize(
        "entry, value",
        [
            ("n_items", 2**40),
            ("n_items", 49),
            ("hidden_dims", [2**30, 2**30]),
            ("hidden_dims", [8] * 10**5),
            ("hidden_dims", []),
            ("time_dim", 2**50),
            ("latent_dim", 2**40),
            ("latent_dim", None),
            ("path_kind", "dense"),
            ("path_kind", None),
            ("path_entries", 2**40),
            ("loss", "squared"),
            ("half_life", None),
            ("half_life", 0),
            ("values", "binary"),
            ("seed", 2**64),
            ("path_scale", "1"),
            ("history", [{"loss": "x"}]),
        ],
    )
    def test_another_network(self, parts, path, entry, value):
        record, tensors = parts
        record["state"][entry] = value
        forge(path, record, tensors)
        with pytest.raises(PersistenceError, match="model.safetensors"):
            persistence.load(path)

    @pytest.mark.parametrize(
        "name, change",
        [
            ("network.null", lambda a: a.astype(np.float64)),
            ("network.null", lambda a: a[:-1].copy()),
            ("network.null", lambda a: a[:, None].copy()),
            ("network.null", lambda a: a + np.float32(np.inf)),
            ("network.write_items.weight", lambda a: np.ascontiguousarray(a.T)),
            ("network.item_path.weights", lambda a: a * np.float32(np.nan)),
            ("alpha_bar", lambda a: a[::-1].copy()),
            ("alpha_bar", lambda a: a * 0.5),
            ("alpha_bar", lambda a: a[:1].copy()),
            ("alpha_bar", lambda a: a - a[-1]),
            ("data.data", lambda a: -a),
            ("data.data", lambda a: a[:-1].copy()),
            ("data.indices", lambda a: a[::-1].copy()),
            ("data.indptr", lambda a: a[:-1].copy()),
            ("data.indptr", lambda a: a.astype(np.int64)),
            ("network.null", None),
            ("data.indices", None),
        ],
    )
    def test_other_tensors(self, parts, path, name, change):
        record, tensors = parts
        array = tensors.pop(name)
        if change is not None:
            tensors[name] = change(array)
        forge(path, record, tensors)
        with pytest.raises(PersistenceError, match="model.safetensors"):
            persistence.load(path)

    def test_a_tensor_of_no_use(self, parts, path):
        record, tensors = parts
        forge(path, record, tensors | {"more": np.zeros(3, np.float32)})
        with pytest.raises(PersistenceError, match="of no use.*more"):
            persistence.load(path)

    @pytest.mark.parametrize("add", [True, False])
    def test_entries(self, parts, path, add):
        record, tensors = parts
        for where in (record, record["state"]):
            changed = copy.deepcopy(record)
            inner = changed if where is record else changed["state"]
            if add:
                inner["more"] = 1
            else:
                del inner["n_items"]
            forge(path, changed, tensors)
            with pytest.raises(PersistenceError, match="must have the entries"):
                persistence.load(path)

    @pytest.mark.parametrize("text", ["[" * 100_000, "{", "3", "NaN", '{"format_version": NaN}'])
    def test_json(self, parts, path, text):
        forge(path, text, parts[1])
        with pytest.raises(PersistenceError, match="metadata"):
            persistence.load(path)

    def test_long_metadata(self, parts, path):
        record, tensors = parts
        forge(path, record | {"more": "x" * 5_000_000}, tensors)
        with pytest.raises(PersistenceError, match="longer than"):
            persistence.load(path)

    @pytest.mark.parametrize("code", [0x110000, 2**32 - 1])
    def test_names_that_are_none(self, path, code):
        model = PopularityRecommender().fit(np.eye(3))
        model.feature_names_in_ = np.array(["a", "b", "c"], object)
        model.save(path)
        record, tensors = contents(path)
        tensors["feature_names"][1] = code
        forge(path, record, tensors)
        with pytest.raises(PersistenceError, match="names of the columns"):
            persistence.load(path)
        tensors["feature_names"] = np.zeros((3, 0), np.uint32)
        forge(path, record, tensors)
        with pytest.raises(PersistenceError, match="names of the columns"):
            persistence.load(path)

    def test_a_square_of_similarities(self, interactions, path):
        model = EASERecommender().fit(interactions)
        model.save(path)
        record, tensors = contents(path)
        tensors["item_weights_"] = tensors["item_weights_"][:, :-1].copy()
        forge(path, record, tensors)
        with pytest.raises(PersistenceError, match="item_weights_.*shape"):
            persistence.load(path)


def test_in_a_process_of_its_own(saved, path, interactions):
    """Loading works where no pickle can be read, and metadata that ask for terabytes get none."""
    record, tensors = contents(saved)
    record["state"] |= {"n_items": 10**6, "hidden_dims": [10**6] * 2, "path_entries": 10**6}
    record["n_items"] = 10**6
    tensors["data.indices"] = np.zeros(2_000_000, np.int32)  # lengths up to its bytes pass
    forge(path, record, tensors)
    code = f"""
        import pickle, resource, joblib, torch
        from skdiffrec import persistence
        def refuse(*arguments, **options):
            raise AssertionError
        for module in (pickle, torch, joblib):
            module.load = refuse
        pickle.loads = pickle.Unpickler = refuse
        print(persistence.load({str(saved)!r}).recommend()[0].shape)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 10**9, used + 10**9))
        try:
            persistence.load({str(path)!r})
        except persistence.PersistenceError as error:
            print("refused", error)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    shape, refused = done.stdout.splitlines()
    assert shape == str((interactions.shape[0], 10)) and refused.startswith("refused")


class TestSkops:
    """skops.io stores the estimators, whose state is arrays and JSON; types are named and few."""

    TYPES = {
        "cfg": {
            "skdiffrec._recommender.CFGDiffusionRecommender",
            "skdiffrec._fitting.FittedModel",
            "skdiffrec._history.TrainingHistory",
        },
        "popularity": {"skdiffrec.baselines.PopularityRecommender"},
        "ease": {"skdiffrec.baselines.EASERecommender"},
        "knn": {"skdiffrec.baselines.ItemKNNRecommender"},
        "als": {
            "skdiffrec.baselines.ALSRecommender",
            "implicit.cpu.als.AlternatingLeastSquares",
            "numpy.dtype",
        },
    }

    def test_round_trip(self, fitted, interactions, request):
        skops = pytest.importorskip("skops.io")
        stored = skops.dumps(fitted)
        kind = request.node.callspec.params["fitted"].partition("-")[0]
        trusted = self.TYPES[kind] | {"scipy.sparse._csr.csr_array"}
        assert set(skops.get_untrusted_types(data=stored)) == trusted
        loaded = skops.loads(stored, trusted=sorted(trusted))
        assert loaded.get_params() == fitted.get_params()
        assert_same(fitted, loaded, interactions)


def test_a_csr_that_is_checked():
    """The check finds what would be read outside of arrays, and passes what is right."""
    X = csr_array(np.array([[0, 1, 1], [0, 0, 0], [1, 0, 1], [0, 0, 0]]))
    _tensor_file.check_compressed(X.indices, X.indptr, 3, "X")
    empty = np.zeros(0, np.int32)
    _tensor_file.check_compressed(empty, np.zeros(4, np.int32), 3, "X")
    bad = [
        (X.indices, X.indptr + 1),
        (X.indices, X.indptr[::-1]),
        (X.indices, empty),
        (X.indices[:-1], X.indptr),
        (X.indices + 1, X.indptr),
        (X.indices - 1, X.indptr),
        (X.indices[[1, 0, 2, 3]], X.indptr),
        (X.indices[[0, 0, 2, 3]], X.indptr),
        (X.indices, np.array([0, 5, 2, 4, 4], np.int32)),
    ]
    for indices, indptr in bad:
        with pytest.raises(PersistenceError):
            _tensor_file.check_compressed(indices, indptr, 3, "X")
