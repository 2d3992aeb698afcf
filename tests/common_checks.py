"""What the files of the common suite share."""

from contextlib import contextmanager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

N_USERS, N_ITEMS = 120, 50
properties = settings(max_examples=20, deadline=None)
users_drawn = st.lists(st.integers(0, N_USERS - 1), min_size=1, max_size=40)


def assert_same_lists(one, other):
    """Bitwise: ids, scores and their dtypes."""
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


@contextmanager
def scored_blocks(fitted):
    """Collect the blocks of histories that the model is asked to score or to rank."""
    blocks = []

    def spied(inner):
        def spy(self, X, *args, **options):
            if not len(blocks) or blocks[-1] is not X:  # to rank may be to score the same block
                blocks.append(X)
            return inner(self, X, *args, **options)

        return spy

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_score_rows", "_rank_rows"):
            patch.setattr(type(fitted), name, spied(getattr(type(fitted), name)))
        yield blocks
