"""What the files of the common suite share."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._inference.model import FittedModel
from skdiffrec._utils import topk

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
        blocks.append(getattr(X, "history", X))
        return inner(self, X, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, name, spy)
        yield blocks


@contextmanager
def users_per_block(n, n_items=N_ITEMS):
    """Let `recommend` and `decision_function` go through users n at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "_BLOCK_ELEMENTS", n * n_items)
        yield


def slow_recommend(scores, seen, k, filter_seen, filter_items, items):
    """The contract of `recommend` in plain Python, for one user's scores."""
    allowed = set(range(len(scores)) if items is None else items)
    allowed -= set(filter_items or ())
    if filter_seen:
        allowed -= set(np.flatnonzero(seen).tolist())
    ranked = sorted(allowed, key=lambda item: (-scores[item], item))[:k]
    missing = k - len(ranked)
    return ranked + [-1] * missing, [scores[i] for i in ranked] + [-np.inf] * missing
