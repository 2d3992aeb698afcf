"""Saving and loading: the same model comes back."""

import copy
import os
import resource
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from common_checks import plain_parameters
from conftest import tiny_cfg
from numpy.testing import assert_array_equal
from persistence_files import (  # noqa: F401
    assert_same,
    contents,
    forge,
    path_fixture,
    saved_fixture,
    small_fixture,
)

from skdiffrec import CFGDiffusionRecommender, __version__, persistence
from skdiffrec._utils import tensor_file
from skdiffrec.base import BaseRecommender
from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.persistence import PersistenceError

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


class OwnForm(EASERecommender):
    """A closed form of one's own, which no file may name."""


class TestRoundTrip:
    @pytest.mark.parametrize("include_data", [True, False])
    def test_every_model(self, fitted, interactions, path, include_data):
        persistence.save(fitted, path, include_data=include_data)
        loaded = persistence.load(path, device="cpu")
        assert type(loaded) is type(fitted)
        assert plain_parameters(loaded) == plain_parameters(fitted)
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
            target_share=[np.float32(0.25), 0.5],
            early_stopping=np.bool_(False),
            guidance_scale="auto",
            device=torch.device("cpu"),
            memory=str(path.parent / "cache"),
        ).fit(interactions)
        model.save(path)
        parameters = CFGDiffusionRecommender.load(path, device="cpu").get_params()
        assert parameters["hidden_dims"] == (16, 8)
        assert parameters["target_share"] == (0.25, 0.5)
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
        assert (
            record["format_version"] == tensor_file.FORMAT_VERSION == 6
            and record["library_version"] == __version__
        )
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
        [
            ("eta", 7.0),
            ("guidance_scale", np.nan),
            ("hidden_dims", [[2, 3], [4, 5]]),
            ("closed_form", OwnForm()),
        ],
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


@pytest.mark.slow
def test_in_a_process_of_its_own(saved, path, interactions):
    """Loading works where no pickle can be read, and metadata that ask for terabytes get none."""
    record, tensors = contents(saved)
    record["state"] |= {"n_items": 10**6, "hidden_dims": [10**6] * 2, "closed_form_entries": 10**6}
    record["n_items"] = 10**6
    tensors["data.indices"] = np.zeros(2_000_000, np.int32)  # lengths up to its bytes pass
    forge(path, record, tensors)
    code = f"""
        import pickle, resource, joblib, torch
        from skdiffrec import CFGDiffusionRecommender, persistence  # imports before the patch
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


def test_a_process_that_only_loads(saved, tmp_path, interactions):
    """Nobody has imported the classes of the files there."""
    PopularityRecommender().fit(interactions).save(tmp_path / "popularity")
    code = f"""
        import sys
        from skdiffrec import persistence
        print(type(persistence.load({str(tmp_path / "popularity")!r})).__name__)
        assert "torch" not in sys.modules
        print(type(persistence.load({str(saved)!r})).__name__)
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["PopularityRecommender", "CFGDiffusionRecommender"], done.stderr


class TestSkops:
    """skops.io stores the estimators, whose state is arrays and JSON; types are named and few."""

    TYPES = {
        "cfg": {
            "skdiffrec._recommender.CFGDiffusionRecommender",
            "skdiffrec._inference.model.FittedModel",
            "skdiffrec._utils.results.TrainingHistory",
        },
        "popularity": {"skdiffrec.baselines._popularity.PopularityRecommender"},
        "ease": {"skdiffrec.baselines._ease.EASERecommender"},
        "knn": {"skdiffrec.baselines._item_knn.ItemKNNRecommender"},
        "neighborhood": {"skdiffrec.baselines._neighborhood.NeighborhoodRecommender"},
        "als": {
            "skdiffrec.baselines._als.ALSRecommender",
            "implicit.cpu.als.AlternatingLeastSquares",
            "numpy.dtype",
        },
        "vae": {"skdiffrec.baselines._mult_vae.MultVAERecommender"},
        "flow": {"skdiffrec.baselines._flow.FlowRecommender"},
    }

    def test_round_trip(self, fitted, interactions, request):
        skops = pytest.importorskip("skops.io")
        stored = skops.dumps(fitted)
        kinds = [request.node.callspec.params["fitted"].partition("-")[0]]
        if getattr(fitted, "closed_form", "auto") != "auto":
            kinds.append("neighborhood")
        trusted = set().union(*(self.TYPES[kind] for kind in kinds)) | {
            "scipy.sparse._csr.csr_array"
        }
        assert set(skops.get_untrusted_types(data=stored)) == trusted
        loaded = skops.loads(stored, trusted=sorted(trusted))
        assert plain_parameters(loaded) == plain_parameters(fitted)
        assert_same(fitted, loaded, interactions)
