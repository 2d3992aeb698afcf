"""Every recommender refuses bad input and stays as it was."""

import copy

import numpy as np
import pandas as pd
import pytest
from common_checks import N_ITEMS, assert_same_lists
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError


def corrupt(X, value):
    dense = X.toarray()
    dense[4, 6] = value
    return dense


# name: what is wrong with X, and what the error says. (sparse too, where a format can hold it)
BAD_X = {
    "nan": (lambda X: corrupt(X, np.nan), r"X.*NaN.*no interaction.*fillna\(0\)"),
    "sparse nan": (lambda X: csr_array(corrupt(X, np.nan)), r"X.*NaN.*no interaction"),
    "pivot": (lambda X: pd.DataFrame(corrupt(X, np.nan)), r"X.*NaN.*fillna\(0\)"),
    "pivot of None": (lambda X: corrupt(X, None).astype(object), r"X.*NaN.*fillna\(0\)"),
    "pivot of NA": (
        lambda X: pd.DataFrame(X.toarray()).round().astype("Int64").mask(X.toarray() == 0),
        r"X.*NaN.*fillna\(0\)",
    ),
    "sparse columns": (
        lambda X: pd.DataFrame(corrupt(X, np.nan)).astype(pd.SparseDtype(float, np.nan)),
        r"fillna\(0\)",
    ),
    "inf": (lambda X: corrupt(X, np.inf), "X.*infinity"),
    "sparse inf": (lambda X: csr_array(corrupt(X, np.inf)), "X.*infinity"),
    "negative": (lambda X: corrupt(X, -2.5), r"(?s)X.*>= 0"),
    "sparse negative": (lambda X: csr_array(corrupt(X, -2.5)), r"(?s)X.*>= 0"),
    "1-D": (lambda X: X.toarray()[0], "2D array, got 1D"),
    "3-D": (lambda X: X.toarray()[None], "dim 3|ndim"),
    "scalar": (lambda X: 3, "2D array, got scalar"),
    "no rows": (lambda X: X[:0], r"0 sample\(s\) \(shape=\(0, 50\)\)"),
    "no columns": (lambda X: X[:, :0], r"0 feature\(s\) \(shape=\(120, 0\)\)"),
    "text": (lambda X: np.full((120, 50), "a"), "could not convert string|numeric"),
    "complex": (lambda X: X.toarray() + 1j, "[Cc]omplex data not supported"),
    "ragged": (lambda X: [[1, 2], [3]], "inhomogeneous"),
}
bad_X = pytest.mark.parametrize(("spoil", "says"), BAD_X.values(), ids=BAD_X)

# name: user ids, error, what it says
BAD_USERS = {
    "float": ([1.0, 2.0], TypeError, r"user_ids.*\[1\.0, 2\.0\].*0 to 119"),
    "one float": (1.5, TypeError, r"user_ids.*1\.5.*0 to 119"),
    "bool": (True, TypeError, "user_ids.*True.*0 to 119"),
    "mask": (np.arange(120) > 3, TypeError, "user_ids.*False.*0 to 119.*flatnonzero"),
    "text": (["a"], TypeError, "user_ids.*'a'.*0 to 119"),
    "none inside": ([1, None], TypeError, "user_ids.*None.*0 to 119"),
    "negative": (-1, IndexError, "user_ids.*-1.*0 to 119"),
    "negative in list": ([3, -7], IndexError, "user_ids.*-7.*0 to 119"),
    "too large": (120, IndexError, "user_ids.*120.*0 to 119"),
    "too large in list": ([0, 10**12], IndexError, "user_ids.*1000000000000.*0 to 119"),
    "too large, uint64": (
        np.array([2**64 - 1], np.uint64),
        IndexError,
        f"user_ids.*{2**64 - 1}.*0 to 119",
    ),
    "2-D": ([[1, 2]], ValueError, r"user_ids.*\(1, 2\).*1-D"),
}

BAD_K = {
    "zero": (0, ValueError, "k must be at least 1, got 0"),
    "negative": (-3, ValueError, "k must be at least 1, got -3"),
    "float": (2.0, TypeError, "k must be a positive integer, got 2.0"),
    "numpy float": (np.float64(3), TypeError, "k must be a positive integer, got .*3.0"),
    "bool": (True, TypeError, "k must be a positive integer, got True"),
    "numpy bool": (np.True_, TypeError, "k must be a positive integer, got .*True"),
    "text": ("10", TypeError, "k must be a positive integer, got '10'"),
    "none": (None, TypeError, "k must be a positive integer, got None"),
}

BAD_ITEMS = {
    "negative": ([-1], IndexError, "-1.*0 to 49"),
    "unknown": ([3, 50], IndexError, "50.*0 to 49"),
    "float": ([1.0], TypeError, r"1\.0.*0 to 49"),
    "mask": (np.ones(50, bool), TypeError, "True.*0 to 49"),
    "2-D": ([[1]], ValueError, r"\(1, 1\)"),
    "text": (["space opera 07"], TypeError, "space opera 07.*0 to 49"),
}


# One of each class and each way of reading values: the checks do not depend on more.
CHECKED = ["cfg", "cfg-time", "popularity", "ease-weight", "als"]


@pytest.mark.parametrize("fitted", CHECKED, indirect=True)
class TestBadInput:
    """A clear error, after which a fitted model gives the lists it gave before."""

    @pytest.fixture
    def survivor(self, fitted):
        """A copy of the fitted model that must come out of the test as it was."""
        survivor = copy.deepcopy(fitted)
        expected = fitted.recommend()
        yield survivor
        assert_same_lists(expected, survivor.recommend())
        assert survivor.n_features_in_ == N_ITEMS

    @bad_X
    def test_fit(self, survivor, interactions, spoil, says):
        with pytest.raises(ValueError, match=says):
            survivor.fit(spoil(interactions))

    @bad_X
    @pytest.mark.parametrize("method", ["recommend", "decision_function", "score"])
    def test_rows(self, survivor, interactions, method, spoil, says):
        X = spoil(interactions)
        if says.startswith("0 feature"):
            says += "|0 features"
        with pytest.raises(ValueError, match=says):
            getattr(survivor, method)(X=X)

    def test_negative_value_is_named(self, survivor, interactions):
        with pytest.raises(ValueError, match=r"-2\.5"):
            survivor.fit(corrupt(interactions, -2.5))

    @pytest.mark.parametrize("empty", [csr_array((4, N_ITEMS)), np.zeros((4, N_ITEMS))])
    def test_no_interaction(self, survivor, empty):
        with pytest.raises(ValueError, match=r"X of shape \(4, 50\) holds no interaction"):
            survivor.fit(empty)

    def test_only_explicit_zeros(self, survivor, interactions):
        empty = interactions.copy()
        empty.data[:] = 0
        with pytest.raises(ValueError, match="holds no interaction"):
            survivor.fit(empty)

    @pytest.mark.parametrize("method", ["recommend", "decision_function", "score"])
    @pytest.mark.parametrize("n_items", [49, 51])
    def test_other_columns(self, survivor, method, n_items):
        says = f"X has {n_items} features, but .* is expecting 50 features"
        for X in (np.ones((3, n_items)), csr_array(np.ones((3, n_items)))):
            with pytest.raises(ValueError, match=says):
                getattr(survivor, method)(X=X)

    def test_values(self, survivor, interactions):
        kept = survivor.values
        survivor.set_params(values="stars")
        for call in (
            lambda: survivor.fit(interactions),
            lambda: survivor.recommend(X=interactions),
            lambda: survivor.decision_function(interactions),
        ):
            with pytest.raises(ValueError, match="values.*(binary|time|weight).*stars"):
                call()
        survivor.set_params(values=kept)

    @pytest.mark.parametrize(("users", "error", "says"), BAD_USERS.values(), ids=BAD_USERS)
    def test_user_ids(self, survivor, users, error, says):
        with pytest.raises(error, match=says):
            survivor.recommend(users)

    @pytest.mark.parametrize("users", [[1.0, 2.0], [-1, 2], [True, False], ["a", "b"]])
    def test_labels_beside_rows(self, survivor, interactions, users):
        with pytest.raises((TypeError, IndexError), match="user_ids"):
            survivor.recommend(users, X=interactions[:2])

    @pytest.mark.parametrize("users", [4, [4], [1, 2, 3], []])
    def test_one_row_per_user(self, survivor, interactions, users):
        with pytest.raises(ValueError, match=rf"user_ids has {np.size(users)} .*X has 2 rows"):
            survivor.recommend(users, X=interactions[:2])

    @pytest.mark.parametrize(("k", "error", "says"), BAD_K.values(), ids=BAD_K)
    def test_k(self, survivor, interactions, k, error, says):
        with pytest.raises(error, match=says):
            survivor.recommend([1, 2], k=k)
        with pytest.raises(error, match=says):
            survivor.recommend(X=interactions, k=k)

    @pytest.mark.parametrize("name", ["items", "filter_items"])
    @pytest.mark.parametrize(("items", "error", "says"), BAD_ITEMS.values(), ids=BAD_ITEMS)
    def test_items(self, survivor, name, items, error, says):
        with pytest.raises(error, match=rf"(?s)^{name} .*{says}"):
            survivor.recommend([1, 2], **{name: items})

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
    def test_holdout(self, survivor, interactions, holdout, bad):
        y = holdout.copy()
        y.data[0] = bad
        with pytest.raises(ValueError, match=r"\by\b.*(nan|inf|-1)"):
            survivor.score(interactions, y)

    @pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
    def test_missing_holdout(self, survivor, interactions, holdout, missing):
        y = holdout.toarray().astype(object)
        empty = holdout.toarray() == 0
        y[empty] = missing
        for table in (y, pd.DataFrame(y)):
            with pytest.raises(ValueError, match=r"y holds .*no interaction.*fillna\(0\)"):
                survivor.score(interactions, table)
        filled = pd.DataFrame(holdout.toarray()).mask(empty).fillna(0)
        assert survivor.score(interactions, filled) == survivor.score(interactions, holdout)


@pytest.mark.parametrize("model", CHECKED, indirect=True)
class TestBadInputBeforeFit:
    @bad_X
    def test_first_fit(self, model, interactions, spoil, says):
        with pytest.raises(ValueError, match=says):
            model.fit(spoil(interactions))
        with pytest.raises(NotFittedError):
            model.recommend(0)

    def test_not_fitted(self, model, interactions, holdout):
        for call in (
            lambda: model.recommend(0),
            lambda: model.recommend(X=interactions),
            lambda: model.decision_function(interactions),
            lambda: model.score(interactions, holdout),
        ):
            with pytest.raises(NotFittedError, match=type(model).__name__):
                call()

    def test_times_without_order(self, model):
        """Equal times are a warning, which names the caller's line."""
        model.set_params(values="time")
        with pytest.warns(UserWarning, match="All values of X are 1.*takes them for times") as seen:
            model.fit(np.eye(6))
        assert [warning.filename for warning in seen] == [__file__]

    def test_positional_parameters(self, model):
        with pytest.raises(TypeError):
            type(model)("binary")
