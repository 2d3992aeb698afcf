"""Holdouts as cv=, and users that training has not seen."""

import numpy as np
import pytest
from holdout_problems import (
    every_holdout,
    lengths,
    many_fixture,  # noqa: F401
    properties,
    rows_of_times,
    to_csr,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, cross_val_score

from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.model_selection import LastN, SampleFraction, SampleN, UnseenUsers

# As cv=


def test_grid_search_over_the_same_users():
    X = make_interactions(150, 90, random_state=0).train
    holdout = SampleFraction(0.2, random_state=0)
    history, held_out = holdout.hide(X)
    search = GridSearchCV(EASERecommender(), {"reg": [1.0, 100.0]}, cv=holdout)
    search.fit(history, held_out)
    for reg, score in zip([1.0, 100.0], search.cv_results_["mean_test_score"], strict=True):
        assert score == EASERecommender(reg=reg).fit(history).score(history, held_out)
    assert search.n_splits_ == 1


@every_holdout
def test_split_gives_all_rows_once(holdout, many):
    history, held_out = holdout.hide(many)
    ((train, test),) = holdout.split(history, held_out)
    assert_array_equal(train, np.arange(300))
    assert_array_equal(test, np.arange(300))
    assert holdout.get_n_splits() == 1
    list(holdout.split(history.toarray().tolist(), held_out.toarray()))  # dense too


def test_split_refuses_what_it_cannot_use(many):
    holdout = SampleN(random_state=0)
    for y in (None, np.ones(300)):
        with pytest.raises(ValueError, match="cannot hide items.*search.fit"):
            list(holdout.split(many, y))
    _, held_out = holdout.hide(many)
    with pytest.raises(ValueError, match="overlap in 300 interactions"):
        list(holdout.split(many, held_out))
    with pytest.raises(ValueError, match="y has shape"):
        list(holdout.split(many[:7], held_out))


# Unseen users


@properties
@given(rows_of_times, st.integers(2, 3), st.booleans())
def test_every_evaluated_user_is_tested_once(rows, n_splits, shuffle):
    X = to_csr(rows)
    evaluated = np.flatnonzero(lengths(X) > 1)
    assume(len(evaluated) >= n_splits)
    splitter = UnseenUsers(n_splits, shuffle=shuffle)
    folds = list(splitter.split(X))
    assert len(folds) == n_splits == splitter.get_n_splits(X)
    assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), evaluated)
    for train, test in folds:
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(rows)))
        assert abs(len(test) - len(evaluated) / n_splits) < 1


@pytest.mark.parametrize("holdout", [None, LastN(2), SampleN(3)])
def test_parts_are_those_rows(holdout, many):
    splitter = UnseenUsers(4, holdout=holdout, random_state=0)
    parts, folds = list(splitter.parts(many)), list(splitter.split(many))
    assert len(parts) == len(folds) == 4
    for (train, history, held_out), (train_rows, test_rows) in zip(parts, folds, strict=True):
        assert_array_equal(train.toarray(), many[train_rows].toarray())
        assert_array_equal((history + held_out).toarray(), many[test_rows].toarray())
        assert not history.multiply(held_out).nnz
        if holdout is None:
            expected = SampleFraction(0.2, random_state=0).hide(many)[1]
            assert_array_equal(held_out.toarray(), expected[test_rows].toarray())
        else:
            assert (lengths(held_out) == holdout.n).all()


def test_blocks_of_users_without_shuffling(many):
    tests = [test for _, test in UnseenUsers(3, shuffle=False).split(many)]
    assert_array_equal(np.concatenate(tests), np.arange(300))


def test_cross_val_score_over_unseen_users():
    X = make_interactions(150, 90, random_state=0).train
    cv = UnseenUsers(3, random_state=0)
    scores = cross_val_score(EASERecommender(), X, cv=cv)
    expected = [EASERecommender().fit(X[train]).score(X[test]) for train, test in cv.split(X)]
    assert_array_equal(scores, expected)
    assert (scores > 0).all()


def test_users_who_cannot_be_evaluated():
    few = np.vstack([np.eye(4), np.ones((2, 4))])
    with pytest.raises(ValueError, match="n_splits=3, but only 2 of the 6 users"):
        list(UnseenUsers(3).split(few))
    with pytest.raises(ValueError, match="only 0 of the 4 users"):
        next(UnseenUsers(2).parts(np.eye(4)))
    for train, test in UnseenUsers(2).split(few):
        assert {0, 1, 2, 3} <= set(train) and len(test) == 1


def test_a_holdout_may_give_any_sparse_format():
    class InColumns:
        def hide(self, X):
            return tuple(part.tocsc() for part in LastN(1).hide(X))

    X = make_interactions(60, 90, values="time", random_state=0).train
    for got, expected in zip(
        UnseenUsers(3, holdout=InColumns(), random_state=0).parts(X),
        UnseenUsers(3, holdout=LastN(1), random_state=0).parts(X),
        strict=True,
    ):
        for part, other in zip(got, expected, strict=True):
            assert_array_equal(part.toarray(), other.toarray())
