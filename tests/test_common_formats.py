"""Every recommender reads every format of X, and the unit of the values does not matter."""

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from common_checks import N_ITEMS, assert_same_lists
from conftest import MODELS
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone

from skdiffrec.baselines import EASERecommender, PopularityRecommender


def shuffled_inside_rows(X):
    """The same matrix with the entries of every row in descending order."""
    order = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)]
    )
    return csr_array((X.data[order], X.indices[order], X.indptr), shape=X.shape)


def with_explicit_zeros(X):
    coo = X.tocoo()
    row, col = np.nonzero(X.toarray() == 0)
    row, col = row[::3], col[::3]
    return sp.coo_array(
        (
            np.concatenate([coo.data, np.zeros(len(row))]),
            (np.concatenate([coo.row, row]), np.concatenate([coo.col, col])),
        ),
        shape=X.shape,
    ).tocsr()


def with_int64_indices(X):
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def read_only(X):
    X = X.copy()
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    return X


# What must give the same result as a clean csr_array of float64.
FORMATS = {
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "csc_matrix": sp.csc_matrix,
    "coo_array": sp.coo_array,
    "coo_matrix": sp.coo_matrix,
    "lil_array": sp.lil_array,
    "dok_array": sp.dok_array,
    "bsr_array": sp.bsr_array,
    "dia_array": sp.dia_array,
    "dense": lambda X: X.toarray(),
    "fortran": lambda X: np.asfortranarray(X.toarray()),
    "list": lambda X: X.toarray().tolist(),
    "data_frame": lambda X: pd.DataFrame(X.toarray()),
    "float32": lambda X: X.astype(np.float32),
    "int32": lambda X: X.astype(np.int32),
    "int64": lambda X: X.astype(np.int64),
    "uint8": lambda X: X.astype(np.uint8),
    "dense int": lambda X: X.toarray().astype(np.int64),
    "int64 indices": with_int64_indices,
    "unsorted": shuffled_inside_rows,
    "explicit zeros": with_explicit_zeros,
    "read-only": read_only,
}


# Formats are read in one place for all models: one of each kind of values, with and without torch.
READERS = pytest.mark.parametrize(
    "fitted", ["cfg-weight", "cfg-time", "ease", "knn-time"], indirect=True
)
FORMATS_OF_Y = "csr csc coo lil dok dia bsr".split()


def parts_of(X):
    """Copies of the arrays that make up X."""
    if isinstance(X, (sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix)):
        return [X.data.copy(), X.indices.copy(), X.indptr.copy()]
    if isinstance(X, (sp.coo_array, sp.coo_matrix)):
        return [X.data.copy(), X.row.copy(), X.col.copy()]
    return [X.toarray()] if sp.issparse(X) else [np.array(X)]


def assert_unmodified(parts, X):
    for before, now in zip(parts, parts_of(X), strict=True):
        assert before.dtype == now.dtype
        assert_array_equal(before, now)


def assert_reads_the_same(fitted, interactions, X, scored=None):
    """`X` stands for `interactions` everywhere, in `score` for `scored`, and stays as it was."""
    before = parts_of(X)
    expected = fitted.recommend()
    assert_same_lists(expected, fitted.recommend(X=X))
    assert_same_lists(expected, clone(fitted).fit(X).recommend())
    assert_array_equal(fitted.decision_function(interactions), fitted.decision_function(X))
    assert fitted.score(interactions if scored is None else scored) == fitted.score(X)
    assert_unmodified(before, X)


class TestFormats:
    @READERS
    @pytest.mark.parametrize("convert", FORMATS.values(), ids=FORMATS)
    def test_same_result(self, fitted, interactions, convert):
        assert_reads_the_same(fitted, interactions, convert(interactions))

    @READERS
    def test_duplicates(self, fitted, interactions):
        """Once as binary, added up as weights, the latest of times, in `score` the earliest."""
        earlier = np.random.default_rng(1).uniform(0.05, 0.95, interactions.nnz)
        first, second = {
            "binary": (3.0 * interactions.data, interactions.data),
            "weight": (0.25 * interactions.data, 0.75 * interactions.data),
            # an item's other time is earlier, but not by the same for all: a sum would reorder
            "time": (interactions.data * earlier, interactions.data),
        }[fitted.values]
        coo = interactions.tocoo()
        row, col = np.tile(coo.row, 2), np.tile(coo.col, 2)
        shuffle = np.random.default_rng(0).permutation(len(row))
        X = sp.coo_array(
            (np.concatenate([first, second])[shuffle], (row[shuffle], col[shuffle])),
            shape=interactions.shape,
        )
        scored = interactions.copy()
        if fitted.values == "time":
            scored.data = first
        assert_reads_the_same(fitted, interactions, X, scored)
        # CSR with duplicates: every row holds its items twice
        counts = np.diff(interactions.indptr)
        starts = np.repeat(interactions.indptr[:-1], 2 * counts)
        inside = np.concatenate([np.tile(np.arange(n), 2) for n in counts]).astype(int)
        late = np.concatenate([np.repeat([0, 1], n) for n in counts]).astype(bool)
        entry = starts + inside
        X = csr_array(
            (
                np.where(late, second[entry], first[entry]),
                interactions.indices[entry],
                2 * interactions.indptr,
            ),
            shape=interactions.shape,
        )
        assert X.nnz == 2 * interactions.nnz
        assert_reads_the_same(fitted, interactions, X, scored)

    @READERS
    def test_holdout_formats(self, fitted, interactions, holdout):
        expected = fitted.score(interactions, holdout)
        formats = (getattr(sp, f"{f}_{t}") for f in FORMATS_OF_Y for t in ("array", "matrix"))
        for convert in (*formats, with_int64_indices, with_explicit_zeros):
            y = convert(holdout)
            before = parts_of(y)
            assert fitted.score(interactions, y) == expected
            assert_unmodified(before, y)
        assert fitted.score(interactions, holdout.toarray()) == expected
        assert fitted.score(interactions, holdout.astype(bool)) == expected
        assert fitted.score(interactions, 7 * holdout) == expected

    def test_column_names(self, model, interactions):
        names = [f"item {i}" for i in range(N_ITEMS)]
        X = pd.DataFrame(interactions.toarray(), columns=names)
        model.fit(X)
        assert_array_equal(model.feature_names_in_, names)
        expected = model.recommend()
        assert_same_lists(expected, model.recommend(X=X))
        with pytest.raises(ValueError, match="feature names should match"):
            model.recommend(X=X[names[::-1]])
        model.fit(interactions)
        assert not hasattr(model, "feature_names_in_")

    @pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
    def test_column_names_of_every_library(self, library, interactions, holdout):
        def frame(X, names):
            return nw.from_dict(dict(zip(names, X.toarray().T, strict=True)), backend=library)

        names = [f"item {i}" for i in range(N_ITEMS)]
        X, y = (frame(M, names).to_native() for M in (interactions, holdout))
        turned = frame(holdout, names[::-1]).to_native()
        plain = EASERecommender(reg=20.0).fit(interactions)
        model = EASERecommender(reg=20.0).fit(X)
        assert_array_equal(model.feature_names_in_, names)
        assert_same_lists(plain.recommend(), model.recommend(X=X))
        assert model.score(X, y) == model.score(X, holdout) == plain.score(interactions, holdout)
        with pytest.raises(ValueError, match="columns of y are .*'item 49'"):
            model.score(X, turned)
        with pytest.raises(ValueError, match="feature names should match"):
            model.score(turned)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.recommend(X=interactions)


def models_of(values):
    """Parametrise `fitted` or `model` with the models that read these values."""
    names = [name for name, model in MODELS.items() if model.values == values]
    return lambda fixture: pytest.mark.parametrize(fixture, names, indirect=True)


class TestUnits:
    """The unit of the values must not matter."""

    @models_of("weight")("fitted")
    @pytest.mark.parametrize("factor", [2.0**-20, 2.0])
    def test_weights(self, fitted, interactions, factor):
        scaled = interactions * factor
        assert_same_lists(fitted.recommend(), fitted.recommend(X=scaled))
        assert_same_lists(fitted.recommend(), clone(fitted).fit(scaled).recommend())

    @models_of("weight")("fitted")
    @pytest.mark.parametrize("factor", [2.0**-20, 2.0])
    def test_score_of_weights(self, fitted, interactions, factor):
        assert fitted.score(interactions) == fitted.score(interactions * factor)

    @models_of("weight")("model")
    @pytest.mark.parametrize("scale", [1e-50, 1e50])
    def test_weights_beyond_float32(self, model, interactions, scale):
        """Refused or understood, but never turned into inf, NaN or nothing."""
        X = interactions * scale
        try:
            model.fit(X)
        except ValueError as error:
            assert "X" in str(error)
        else:
            assert np.isfinite(model.decision_function(X)).all()
            assert (model.recommend(3)[0] >= 0).all()

    @models_of("weight")("fitted")
    def test_weights_matter(self, fitted, interactions):
        turned = interactions.copy()
        turned.data = 1 / turned.data
        same = fitted.decision_function(interactions) == fitted.decision_function(turned)
        assert same.all() == isinstance(fitted, PopularityRecommender)
        again = clone(fitted).fit(turned)
        assert (fitted.recommend()[0] != again.recommend()[0]).any()

    @models_of("time")("fitted")
    @pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
    @pytest.mark.parametrize("change", ["unit", "origin"])
    def test_times(self, fitted, interactions, change, ties):
        X = interactions.copy()
        if ties:  # as sessions or days give
            X.data = np.ceil(X.data / 4)
        other = X.copy()
        other.data = 86_400 * X.data if change == "unit" else X.data + 1e9
        model = clone(fitted).fit(X)
        assert_same_lists(model.recommend(), model.recommend(X=other))
        assert model.score(X) == model.score(other)
        assert_same_lists(model.recommend(), clone(model).fit(other).recommend())

    @models_of("time")("fitted")
    def test_order_of_times(self, fitted, interactions):
        turned = interactions.copy()
        turned.data = turned.data.max() + 1 - turned.data
        assert (fitted.recommend()[0] != fitted.recommend(X=turned)[0]).any()

    @models_of("binary")("fitted")
    def test_binary_values_do_not_matter(self, fitted, interactions):
        for X in (interactions.astype(bool), interactions.toarray() > 0, interactions * 0.3):
            assert_reads_the_same(fitted, interactions, X)
