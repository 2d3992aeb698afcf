"""Ids stay exactly what they are: none is rounded to another's."""

import numpy as np
import pytest

from skdiffrec.preprocessing import InteractionEncoder

LARGE = [2**63, 2**63 + 1, 5]


@pytest.mark.parametrize("form", [list, tuple, lambda ids: np.array(ids, object)])
def test_large_integers_are_not_rounded(form):
    encoder = InteractionEncoder().fit({"user": np.array(LARGE, np.uint64), "item": [*"xyz"]})
    np.testing.assert_array_equal(encoder.user_index(form([2**63 + 1, 5])), [2, 0])
    X = encoder.transform({"user": [2**63 + 1], "item": ["x"]}, users=form([5, 2**63 + 1]))
    np.testing.assert_array_equal(X.toarray(), [[0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("ids", [LARGE, [*LARGE, -1], [*LARGE, 2**70], [-(2**63), 2**63 - 1]])
def test_integers_of_any_size_are_ids_of_their_own(ids):
    encoder = InteractionEncoder().fit([(user, "a") for user in ids])
    assert encoder.users_.tolist() == sorted(ids)
    assert encoder.user_index(ids).tolist() == [sorted(ids).index(user) for user in ids]


def test_times_are_not_the_numbers_that_store_them():
    encoder = InteractionEncoder().fit({"user": np.array([5], "M8[ns]"), "item": ["x"]})
    assert encoder.user_index([5], unknown=-1) == [-1]
    assert encoder.user_index(np.array([5], "m8[ns]"), unknown=-1) == [-1]
