"""Histories that are read in order: the latest items one by one, the rest as sums that fade."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skdiffrec._inference.onnx import PaddedAgedRows
from skdiffrec._network.order_reader import OrderReader
from skdiffrec._network.prefixes import Prefixes
from skdiffrec._network.sparse_rows import AgedRows

N_ITEMS, WIDTH, DIM = 30, 5, 4
properties = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31 - 2)


def make_reader(seed=0, half_life=3.0):
    """A reader with random weights, which reads random vectors."""
    reader = OrderReader(WIDTH, DIM, half_life, dropout=0.4)
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(N_ITEMS, DIM, generator=generator)
    with torch.no_grad():
        reader.mix.weight.normal_(generator=generator)
    return reader.eval(), vectors


def moments(rng, length):
    """The moment of every item of a row in order: some items share one."""
    return np.cumsum(np.r_[0, rng.random(length - 1) < 0.7]) if length else np.zeros(0, int)


def ages_before(moment, n_before):
    """Ages of the first items of a row: 1 for the last moment, in items."""
    own = moment[:n_before]
    return np.array([(own > m).sum() + 1 for m in own])


def slow_read(reader, vectors, items, ages):
    """By its definition, one item after the other."""
    vectors, mix = vectors.numpy(), reader.mix.weight.detach().numpy()
    parts = np.zeros((6 + len(reader.decays), DIM))
    for item, age in zip(items, ages, strict=True):
        if age <= 6:
            parts[age - 1] += vectors[item]
        for place, r in enumerate(reader.decays):
            parts[6 + place] += np.sqrt(1 - r * r) * r ** (age - 1) * vectors[item]
    return mix @ parts.ravel()


def aged_rows(rows):
    """`AgedRows` of lists of (items, ages)."""
    offsets = np.cumsum([0, *(len(items) for items, _ in rows)])
    items, ages = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
    tensors = items.astype(np.int64), ages.astype(np.float32), offsets
    return AgedRows(*map(torch.from_numpy, tensors))


@properties
@given(seeds, st.floats(0.3, 20))
@torch.no_grad()
def test_what_is_read_against_a_loop(seed, half_life):
    rng, (reader, vectors) = np.random.default_rng(seed), make_reader(seed, half_life)
    rows = []
    for length in rng.integers(0, 15, 4):
        items = rng.permutation(N_ITEMS)[:length]
        rows.append((items, ages_before(moments(rng, length), length)))
    expected = [slow_read(reader, vectors, *row) for row in rows]
    assert_allclose(reader(aged_rows(rows), vectors), expected, atol=1e-4)
    longest = max(1, *(len(items) for items, _ in rows))
    items, ages = np.zeros((4, longest), int), np.ones((4, longest))
    for row, (own, age) in enumerate(rows):
        items[row, : len(own)], ages[row, : len(own)] = own, age
    known = np.arange(longest) < np.array([len(own) for own, _ in rows])[:, None]
    padded = PaddedAgedRows(*map(torch.from_numpy, (items, ages.astype(np.float32), known)))
    assert_allclose(reader(padded, vectors), expected, atol=1e-4)


@pytest.mark.parametrize("tied", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=seeds, lengths=st.lists(st.integers(1, 150), min_size=1, max_size=5))
@torch.no_grad()
def test_all_moments_together_read_as_each_history_alone(tied, seed, lengths):
    """Rows over several chunks, and several rows in one; in training as in a list."""
    rng, (reader, vectors) = np.random.default_rng(seed), make_reader(seed)
    items, place, stands, cuts, rows = [], [], [], [], []
    for length in lengths:
        first = len(items)
        own = rng.integers(0, N_ITEMS, length)
        moment = moments(rng, length) if tied else np.arange(length)
        last = np.searchsorted(moment, moment, side="right") - 1
        for n_before in np.unique(last) + 1:
            cuts.append(first + n_before - 1)
            rows.append((own[:n_before], ages_before(moment, n_before)))
        items += own.tolist()
        place += range(length)
        stands += (first + last).tolist()
    prefixes = Prefixes(
        torch.tensor(items),
        torch.tensor(place),
        torch.tensor(stands) if tied else None,
        torch.tensor(cuts),
    )
    assert_allclose(reader(prefixes, vectors), reader(aged_rows(rows), vectors), atol=2e-4)


def test_the_order_counts_within_the_latest_items():
    reader, vectors = make_reader()
    ages = np.arange(3, 0, -1)
    with torch.no_grad():
        read = reader(
            aged_rows([(np.array([4, 7, 9]), ages), (np.array([7, 4, 9]), ages)]), vectors
        )
    assert (read[0] - read[1]).abs().max() > 0.1


def test_dropout_of_items_in_training_alone():
    reader, vectors = make_reader()
    reader.train()
    line = torch.arange(8)
    prefixes = Prefixes(line, line, None, line)
    first, again = (
        reader(prefixes, vectors, torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    assert (first - again).abs().max() > 0.1
    reader.eval()
    assert torch.equal(reader(prefixes, vectors), reader(prefixes, vectors))
