"""Small rows, how they are cut, and a problem that is learned in moments."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec._diffusion.process import Diffusion
from skdiffrec._diffusion.schedules import cosine_schedule
from skdiffrec._network.denoiser import BagReader, Denoiser
from skdiffrec._network.heads import EstimateHead, RankingHead
from skdiffrec._network.spaces import ItemSpace
from skdiffrec._network.sparse_rows import SparseRows
from skdiffrec._training.batches import TrainingRows
from skdiffrec._utils.validation import VALUES

N_ITEMS = 15
properties = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**31 - 2)
# few different values, so that many are tied
filled_rows = st.lists(
    st.dictionaries(st.integers(0, N_ITEMS - 1), st.sampled_from([1.0, 2.0, 4.0, 7.0]), min_size=1),
    min_size=1,
    max_size=6,
)
ranges = st.tuples(st.floats(0, 0.9), st.floats(0.05, 0.95)).map(sorted).map(tuple)
all_values = pytest.mark.parametrize("values", VALUES)


def to_csr(rows, n_items=N_ITEMS):
    """A canonical CSR from one dict item -> value per row."""
    ordered = [sorted(row.items()) for row in rows]
    indptr = np.cumsum([0, *(len(row) for row in ordered)]).astype(np.int32)
    indices = np.array([item for row in ordered for item, _ in row], np.int32)
    data = np.array([value for row in ordered for _, value in row], np.float64)
    return sp.csr_array((data, indices, indptr), shape=(len(rows), n_items))


def to_rows(X):
    """One dict item -> value per row of a CSR."""
    return to_dicts(SparseRows.from_csr(X, "cpu"))


def to_dicts(rows):
    """One dict item -> weight (or age) per row of SparseRows or AgedRows."""
    items, weights, offsets = (part.tolist() for part in rows)
    assert offsets[0] == 0 and offsets[-1] == len(items) == len(weights)
    return [
        dict(zip(items[start:stop], weights[start:stop], strict=True))
        for start, stop in zip(offsets[:-1], offsets[1:], strict=True)
    ]


def to_sparse(rows):
    return SparseRows.from_csr(to_csr(rows), "cpu")


def marked_rows(n, n_items, length, seed=0):
    """Rows of `length` items at distinct times; item i is in row i alone."""
    rng = np.random.default_rng(seed)
    others = (n + rng.choice(n_items - n, length - 1, replace=False) for _ in range(n))
    return [
        dict(zip([i, *items.tolist()], (rng.permutation(length) + 1.0).tolist(), strict=True))
        for i, items in enumerate(others)
    ]


def training_rows(X, values="binary", seed=0, **changed):
    parameters = dict(target_share=(0.3, 0.7), cond_drop_prob=0.2, half_life=5.0) | changed
    return TrainingRows(X, values, generator=torch.Generator().manual_seed(seed), **parameters)


def cut(rows, values="binary", seed=0, repeats=1, **changed):
    """(condition, known, target) of all rows, as lists; each row `repeats` times."""
    cutter = training_rows(to_csr(rows), values, seed, **changed)
    condition, known, target, _ = cutter.cut(torch.arange(len(rows)).repeat(repeats))[:4]
    assert known.dtype == torch.bool
    return to_dicts(condition), known.tolist(), to_dicts(target)


def assert_weights(module, weights):
    for parameter, value in zip(module.parameters(), weights, strict=True):
        assert_array_equal(parameter.detach(), value)


def small_problem(ranking=True, prediction_type="x0", **changed):
    """A denoiser, its diffusion and rows small enough to learn by heart."""
    rows = training_rows(to_csr(marked_rows(8, N_ITEMS, 5)), **changed)
    denoiser = Denoiser(
        N_ITEMS,
        BagReader(N_ITEMS, 32, None),
        ItemSpace(N_ITEMS),
        (32, 32),
        n_timesteps=10,
        dropout=0.0,
        head=RankingHead(32, N_ITEMS) if ranking else EstimateHead(N_ITEMS),
        time_dim=8,
    )
    denoiser.initialize(torch.Generator().manual_seed(0), np.ones(N_ITEMS), 8)
    diffusion = Diffusion(cosine_schedule(10), prediction_type)
    return denoiser, diffusion, rows


def slow_loss(scores, condition, target, masked, weight):
    """The loss by its definition, one item after the other."""
    total = 0.0
    for row, goal in enumerate(target):
        left = [i for i in range(len(scores[row])) if not (masked and i in condition[row])]
        norm = math.log(sum(math.exp(scores[row][i]) for i in left))
        loss = sum(w * (norm - scores[row][item]) for item, w in goal.items())
        total += weight[row] * loss / math.sqrt(sum(goal.values()))
    return total / len(target)
