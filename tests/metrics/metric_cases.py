"""Lists and holdouts for the metrics, and the metrics by a slow loop."""

import math

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from skdiffrec.metrics import (
    hit_rate_at_k,
    map_at_k,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)

METRICS = {
    "precision": precision_at_k,
    "recall": recall_at_k,
    "ndcg": ndcg_at_k,
    "mrr": mrr_at_k,
    "map": map_at_k,
    "hit_rate": hit_rate_at_k,
}
all_metrics = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
properties = settings(max_examples=30, deadline=None)

# The three users on whom the libraries part: T < k, T > k, and no holdout.
FIXTURE_IDS = np.array([[7, 1, 2], [1, 9, 2], [1, 2, 3]])
FIXTURE_HOLDOUTS = [{1}, {1, 2, 3, 4, 5}, set()]


def to_dense(holdouts, n_items):
    dense = np.zeros((len(holdouts), n_items))
    for row, items in enumerate(holdouts):
        dense[row, sorted(items)] = 1.0
    return dense


def slow_metrics(items, held, k):
    """One user's values, written from the definitions; `items` without the fill."""
    top = list(items)[:k]
    ranks = [rank for rank, item in enumerate(top, start=1) if item in held]
    best = min(k, len(held))
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, best + 1))
    precisions = [sum(r <= rank for r in ranks) / rank for rank in ranks]
    return {
        "precision": len(ranks) / k,
        "recall": len(ranks) / len(held),
        "ndcg": sum(1 / math.log2(rank + 1) for rank in ranks) / ideal,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "map": sum(precisions) / best,
        "hit_rate": 1.0 if ranks else 0.0,
    }


@st.composite
def cases(draw, short=True, min_holdout=0):
    """Lists without repeats (short ones filled with -1), holdouts, number of items, k."""
    n_items = draw(st.integers(2, 12))
    n_listed = draw(st.integers(1, n_items + 2 if short else n_items))
    n_users = draw(st.integers(1, 6))
    lists, holdouts = [], []
    for _ in range(n_users):
        order = draw(st.permutations(range(n_items)))[:n_listed]
        if short:
            order = order[: draw(st.integers(0, len(order)))]
        lists.append(order + [-1] * (n_listed - len(order)))
        items = st.integers(0, n_items - 1)
        holdouts.append(draw(st.sets(items, min_size=min_holdout, max_size=n_items)))
    k = draw(st.integers(1, n_listed))
    return np.array(lists), holdouts, n_items, k


def random_case(short=False):
    """30 users, 50 items, 10 places; 4 users have no holdout, others T < 10 or T > 10 items."""
    rng = np.random.default_rng(7)
    ids = np.argsort(rng.random((30, 50)), axis=1)[:, :10]
    draws = rng.random((30, 50))
    holdout = draws < rng.choice([0.0, 0.06, 0.5], (30, 1), p=[0.2, 0.4, 0.4])
    train = ~holdout & (rng.random((30, 50)) < rng.random(50) * 0.5)
    length = rng.integers(1, 11, 30)
    if short:
        ids[np.arange(10) >= length[:, None]] = -1
    return ids, holdout.astype(float), train.astype(float)


CASES = {
    "fixture": (FIXTURE_IDS, to_dense(FIXTURE_HOLDOUTS, 10), 3),
    "random": (*random_case()[:2], 10),
    "short": (*random_case(short=True)[:2], 10),
}


def listed(ids, k):
    """The lists without the fill, cut at k."""
    return [[item for item in row[:k] if item >= 0] for row in np.asarray(ids).tolist()]


def random_train(data, n_users, n_items):
    flat = data.draw(
        st.lists(st.booleans(), min_size=n_users * n_items, max_size=n_users * n_items)
    )
    return np.reshape(flat, (n_users, n_items)).astype(float)


def same_mean(function, *args, **options):
    """Per-user values; their mean is what the function gives by itself."""
    values = function(*args, per_user=True, **options)
    assert values.dtype == np.float64 and values.ndim == 1
    if not np.isnan(values).all():
        mean = function(*args, **options)
        assert type(mean) is float and mean == pytest.approx(np.nanmean(values), rel=1e-12)
    else:
        with pytest.raises(ValueError, match="at least one user"):
            function(*args, **options)
    return values
