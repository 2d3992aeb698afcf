"""Files that somebody forged give a clear error; nothing is ever executed."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from persistence_files import (  # noqa: F401
    contents,
    forge,
    fuzz,
    fuzzed_fixture,
    path_fixture,
    saved_fixture,
    small_fixture,
)
from scipy.sparse import csr_array

from skdiffrec import persistence
from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.persistence import PersistenceError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["dense", "EASERecommender", "time", "x", "1e999"]),
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
        record["state"]["closed_form_entries"] = number
        forge(fuzzed, record, tensors)
        with pytest.raises(PersistenceError, match="closed_form_entries"):
            persistence.load(fuzzed)

    @fuzz
    @given(data=st.data())
    def test_any_number_anywhere_in_the_indices(self, saved, fuzzed, data):
        record, tensors = contents(saved)
        names = ["data.indices", "data.indptr"]
        names += ["closed_form.items", "closed_form.offsets"]
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
            assert name.rpartition(".")[0] in str(error)
        else:
            # another matrix then, if a row took over its neighbour's item, but a sound one
            for matrix in (loaded._fit_X, loaded._model.closed_form.csr):
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
            ("latent_dim", 2**40),
            ("latent_dim", None),
            ("closed_form", "dense"),
            ("closed_form", None),
            ("closed_form_entries", 2**40),
            ("ranking_head", False),
            ("ranking_head", 1),
            ("half_life", None),
            ("half_life", 0),
            ("values", "binary"),
            ("seed", 2**64),
            ("closed_form_scale", "1"),
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
            ("network.head.write.weight", lambda a: np.ascontiguousarray(a.T)),
            ("closed_form.weights", lambda a: a * np.float32(np.nan)),
            ("alpha_bar", lambda a: a[::-1].copy()),
            ("alpha_bar", lambda a: a * 0.5),
            ("alpha_bar", lambda a: a[:1].copy()),
            ("alpha_bar", lambda a: a - a[-1]),
            ("alpha_bar", lambda a: np.r_[1.0, a]),
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
