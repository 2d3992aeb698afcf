"""What the files of the common suite share."""

from contextlib import contextmanager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._inference.model import FittedModel

N_USERS, N_ITEMS = 120, 50
properties = settings(max_examples=20, deadline=None)
users_drawn = st.lists(st.integers(0, N_USERS - 1), min_size=1, max_size=40)


def assert_same_lists(one, other):
    """Bitwise: ids, scores and their dtypes."""
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


def plain_parameters(model):
    """Parameters, nested ones too; of a nested estimator, which is a copy of its own, the type."""
    parameters = model.get_params().items()
    return {k: type(v) if hasattr(v, "get_params") else v for k, v in parameters}


@contextmanager
def scored_blocks(fitted):
    """Collect the blocks of histories that the model is asked to score or to rank."""
    blocks = []
    is_cfg = isinstance(fitted, CFGDiffusionRecommender)
    cls, name = (FittedModel, "_inputs") if is_cfg else (type(fitted), "_score_rows")
    inner = getattr(cls, name)

    def spy(self, X, *args):
        blocks.append(X)
        return inner(self, X, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, name, spy)
        yield blocks
