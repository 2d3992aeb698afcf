"""Files that are damaged or of another kind give a clear error."""

import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from persistence_files import (  # noqa: F401
    assert_same,
    contents,
    forge,
    fuzz,
    fuzzed_fixture,
    path_fixture,
    saved_fixture,
    small_fixture,
)
from safetensors.numpy import save_file
from scipy.sparse import csr_array

from skdiffrec import CFGDiffusionRecommender, persistence
from skdiffrec._utils import tensor_file
from skdiffrec.baselines import EASERecommender
from skdiffrec.persistence import PersistenceError


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
        with pytest.raises(PersistenceError, match="none of skdiffrec"):
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
        version = tensor_file.FORMAT_VERSION + 1
        record = {"format_version": version, "library_version": "9.1", "new": [record]}
        forge(path, record, tensors)
        says = f"model.safetensors.*format {version}.*skdiffrec '9.1'.*Upgrade skdiffrec"
        with pytest.raises(PersistenceError, match=says):
            persistence.load(path)

    @pytest.mark.parametrize("load", [persistence.load, CFGDiffusionRecommender.load])
    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_earlier_formats(self, saved, path, load, version):
        """Whatever is in it: one sentence says what it is, the next what to do."""
        _, tensors = contents(saved)
        parameters = {"item_path": "ease", "loss": "multinomial", "n_samples": 1}
        record = {"format_version": version, "library_version": "0.2.0", "parameters": parameters}
        forge(path, record, tensors)
        by = f"model.safetensors.*format {version} .*skdiffrec '0.2.0'"
        says = f"{by}.*reads format 4 and later.*Fit and save again"
        with pytest.raises(PersistenceError, match=says):
            load(path)

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

    @pytest.mark.parametrize(
        "closed_form",
        [
            {"class": "os.system", "parameters": {}},
            {"class": "PopularityRecommender", "parameters": {}},
            {"class": "CFGDiffusionRecommender", "parameters": {}},
            {"class": "EASERecommender", "parameters": {"reg": -1.0}},
            {"class": "EASERecommender", "parameters": {"warp": 3}},
            {"class": "EASERecommender", "parameters": []},
            {"class": "EASERecommender"},
            {"class": ["EASERecommender"], "parameters": {}},
        ],
        ids=str,
    )
    def test_no_closed_form_but_ours(self, saved, path, closed_form):
        record, tensors = contents(saved)
        assert record["parameters"]["closed_form"]["class"] == "NeighborhoodRecommender"
        record["parameters"]["closed_form"] = closed_form
        forge(path, record, tensors)
        with pytest.raises(PersistenceError, match="model.safetensors.*(closed_form|reg|warp)"):
            persistence.load(path)


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


def test_a_csr_that_is_checked():
    """The check finds what would be read outside of arrays, and passes what is right."""
    X = csr_array(np.array([[0, 1, 1], [0, 0, 0], [1, 0, 1], [0, 0, 0]]))
    tensor_file.check_compressed(X.indices, X.indptr, 3, "X")
    empty = np.zeros(0, np.int32)
    tensor_file.check_compressed(empty, np.zeros(4, np.int32), 3, "X")
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
            tensor_file.check_compressed(indices, indptr, 3, "X")
