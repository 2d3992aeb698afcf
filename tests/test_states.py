"""Anything in any order: an estimator beside a simple reference of what it should know."""

import os
import pickle
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skdiffrec import CFGDiffusionRecommender

N_ITEMS = 12
seeds = st.integers(0, 10**6)
FORMS = {
    "as it is": lambda X: X,
    "int64 indices": lambda X: with_indices(X, np.int64),
    "unsorted": lambda X: reversed_rows(X),
    "duplicates": lambda X: sp.csr_array(sp.vstack([X, X], format="csr"))[: X.shape[0]],
    "read-only": lambda X: read_only(X),
    "memory-mapped": lambda X: memory_mapped(X),
    "csc": lambda X: X.tocsc(),
    "coo": lambda X: X.tocoo(),
    "matrix": lambda X: sp.csr_matrix(X),
    "dense": lambda X: X.toarray(),
    "bool": lambda X: X.astype(bool),
    "explicit zeros": lambda X: with_zeros(X),
}


def with_indices(X, dtype):
    new = X.copy()
    new.indices, new.indptr = new.indices.astype(dtype), new.indptr.astype(dtype)
    return new


def reversed_rows(X):
    new = X.copy()
    for first, last in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        new.indices[first:last] = X.indices[first:last][::-1]
        new.data[first:last] = X.data[first:last][::-1]
    new.has_sorted_indices = False
    return new


def read_only(X):
    new = X.copy()
    for part in (new.data, new.indices, new.indptr):
        part.flags.writeable = False
    return new


def memory_mapped(X):
    """Its parts as they are read from files."""
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("data", "indices", "indptr"):
            path = Path(folder, f"{name}.npy")
            np.save(path, getattr(X, name))
            parts.append(np.load(path, mmap_mode="r" if os.name == "posix" else None))
    return sp.csr_array(tuple(parts), shape=X.shape)


def with_zeros(X):
    return sp.csr_array(
        (
            np.r_[X.data, np.zeros(X.shape[0])],
            (np.r_[X.tocoo().row, np.arange(X.shape[0])], np.r_[X.indices, [0] * X.shape[0]]),
        ),
        shape=X.shape,
    )


def rows_of(seed, n):
    """Some rows, one of them empty now and then."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, N_ITEMS)) < rng.uniform(0.1, 0.6)
    X[0, :2] = True
    return sp.csr_array(X.astype(np.float32))


class Anything(RuleBasedStateMachine):
    """A model with one epoch of training; `rows` is what it should know of its users."""

    @initialize(seed=seeds)
    def begin(self, seed):
        self.folder = tempfile.TemporaryDirectory()
        self.model = tiny_cfg(max_epochs=1, hidden_dims=(8,), latent_dim=4)
        self.scale, self.rows = 1.0, None
        self.fit(seed, 5, "as it is")

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(seed=seeds, n=st.integers(1, 8), form=st.sampled_from(list(FORMS)))
    def fit(self, seed, n, form):
        X = rows_of(seed, n)
        assert self.model.fit(FORMS[form](X)) is self.model
        self.rows = X

    @rule(seed=seeds, form=st.sampled_from(list(FORMS)), data=st.data())
    def partial_fit(self, seed, form, data):
        n_known = self.rows.shape[0]
        known = data.draw(st.lists(st.integers(0, n_known - 1), unique=True, max_size=3))
        n_new = data.draw(st.integers(0 if known else 1, 2))
        ids = np.array([*known, *range(n_known, n_known + n_new)])
        X = rows_of(seed, len(ids))
        self.model.partial_fit(FORMS[form](X), user_ids=ids)
        rows = sp.vstack([self.rows, sp.csr_array((n_new, N_ITEMS))]).tolil()
        rows[ids] = X
        self.rows = sp.csr_array(rows.tocsr())

    @rule(scale=st.sampled_from([0.0, 1.0, 2.5]))
    def set_params(self, scale):
        self.model.set_params(guidance_scale=scale)
        self.scale = scale

    @rule(training=st.booleans())
    def save_and_load(self, training):
        path = Path(self.folder.name, "model")
        self.model.save(path, include_training=training)
        self.model = CFGDiffusionRecommender.load(path)

    @rule()
    def through_a_pickle(self):
        self.model = pickle.loads(pickle.dumps(self.model))

    @rule(seed=seeds)
    def a_clone_knows_nothing(self, seed):
        other = clone(self.model)
        assert not hasattr(other, "n_features_in_")
        X = rows_of(seed, 4)
        before = self.model.recommend(k=3)
        other.fit(X)
        assert other.recommend()[0].shape[0] == 4
        assert_array_equal(self.model.recommend(k=3)[0], before[0])

    @rule(k=st.integers(1, N_ITEMS + 2), form=st.sampled_from(list(FORMS)))
    def lists_are_those_of_the_rows(self, k, form):
        ids, scores = self.model.recommend(k=k)
        assert ids.shape == (self.rows.shape[0], k)
        again = self.model.recommend(X=FORMS[form](self.rows), k=k)
        assert_array_equal(ids, again[0])
        assert_array_equal(scores, again[1])
        every = self.model.decision_function(self.rows)
        dense = self.rows.toarray()
        for user, (own, values) in enumerate(zip(ids, scores, strict=True)):
            order = np.lexsort((np.arange(N_ITEMS), -every[user]))
            order = order[dense[user, order] == 0][:k]
            assert_array_equal(own[own >= 0], order)
            assert (own[len(order) :] == -1).all() and np.isneginf(values[len(order) :]).all()

    @rule(users=st.lists(st.integers(0, 4), min_size=1, max_size=4))
    def users_alone_and_together(self, users):
        users = [user % self.rows.shape[0] for user in users]
        together = self.model.recommend(users, k=4)[0]
        for user, own in zip(users, together, strict=True):
            assert_array_equal(self.model.recommend(user, k=4)[0], own)

    @rule(seed=seeds)
    def bad_input_changes_nothing(self, seed):
        before = self.model.recommend(k=3)
        for bad in (
            np.ones((2, N_ITEMS + 1)),
            -np.ones((2, N_ITEMS)),
            np.full((2, N_ITEMS), np.nan),
        ):
            for method in (self.model.fit, self.model.partial_fit):
                try:
                    method(bad)
                except ValueError:
                    continue
                # another number of columns is a new catalogue for fit alone
                assert method == self.model.fit and bad.shape[1] != N_ITEMS
                self.fit(seed, 4, "as it is")
                return
        for found, expected in zip(self.model.recommend(k=3), before, strict=True):
            assert_array_equal(found, expected)

    @precondition(lambda self: self.rows is not None)
    @rule(seed=seeds)
    def asked_while_it_is_fitted(self, seed):
        old, X = self.model.recommend(k=3)[0], rows_of(seed, 6)
        found = []
        asking = threading.Thread(
            target=lambda: found.extend(self.model.recommend(k=3)[0] for _ in range(10))
        )
        asking.start()
        self.model.fit(X)
        asking.join()
        self.rows, new = X, self.model.recommend(k=3)[0]
        assert len(found) == 10
        assert all(np.array_equal(ids, old) or np.array_equal(ids, new) for ids in found)


class TestAnything(Anything.TestCase):
    settings = settings(max_examples=6, stateful_step_count=10, deadline=None)


@pytest.mark.slow
class TestAnythingForLong(Anything.TestCase):
    settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
