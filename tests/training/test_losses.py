"""The ranking loss and its hand-made gradient against loops and against autograd."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from training_problems import slow_loss

from skdiffrec._network.sparse_rows import SparseRows
from skdiffrec._training import losses
from skdiffrec._training.losses import loss_blocks, multinomial_loss

N_ITEMS = 15
properties = settings(max_examples=30, deadline=None)
# what each row shows and what it hides, of its own places
cut_rows = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 6), st.sampled_from([1.0, 2.0, 4.0])),
        st.dictionaries(st.integers(7, N_ITEMS - 1), st.sampled_from([1.0, 0.5]), min_size=1),
    ),
    min_size=1,
    max_size=7,
)
seeds = st.integers(0, 2**31 - 2)


def to_sparse(rows):
    """`SparseRows` from one dict item -> weight per row."""
    return SparseRows(
        torch.tensor([item for row in rows for item in row], dtype=torch.int64),
        torch.tensor([weight for row in rows for weight in row.values()]),
        torch.tensor(np.cumsum([0, *map(len, rows)])),
    )


def left_out(rows):
    """What is added to the scores of rows, to leave them out of the softmax."""
    return rows._replace(weights=torch.full_like(rows.weights, -torch.inf))


def autograd_loss(h, table, bias, blocks, masked, weight):
    """The same, with torch's own gradients."""
    losses = []
    for block in blocks:
        items = torch.arange(len(table)) if block.items is None else block.items
        scores = h[block.rows] @ table[items].T + bias[items]
        if block.log_weight is not None:
            scores = scores + block.log_weight
        if masked:
            shown = block.added.rows, block.added.items
            scores = scores.index_put(shown, torch.tensor(-torch.inf))
        goal = torch.zeros(scores.shape).index_put(
            (block.target.rows, block.target.items), block.target.weights
        )
        own = scores.logsumexp(1, keepdim=True) - scores.nan_to_num(neginf=0.0)
        losses.append((own * goal).sum(1) / goal.sum(1).sqrt())
    return (torch.cat(losses) * weight).mean()


def loss_of_scores(scores, condition, target, *, masked, weight):
    """The loss of given scores: those of an identity table."""
    n_items = scores.shape[1]
    blocks = loss_blocks(target, left_out(condition) if masked else None, n_items)
    table, bias = torch.eye(n_items), torch.zeros(n_items)
    return multinomial_loss(scores, table, bias, blocks, weight=weight)


@pytest.mark.parametrize("masked", [True, False])
@properties
@given(rows=cut_rows, seed=seeds)
def test_loss_against_a_loop(masked, rows, seed):
    condition, target = zip(*rows, strict=True)
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.normal(0, 3, (len(rows), N_ITEMS))).float()
    before = scores.clone()
    weight = torch.from_numpy(rng.random(len(rows))).float()
    parts = to_sparse(condition), to_sparse(target)
    loss = loss_of_scores(scores, *parts, masked=masked, weight=weight)
    expected = slow_loss(scores.tolist(), condition, target, masked, weight.tolist())
    assert_allclose(float(loss), expected, rtol=1e-4)
    assert_array_equal(scores, before)


@pytest.mark.parametrize("n_loss_items", [None, 3, 9])
@properties
@given(rows=cut_rows, seed=seeds, masked=st.booleans(), n_rows=st.integers(1, 8))
def test_gradients_against_autograd(n_loss_items, rows, seed, masked, n_rows):
    condition, target = (to_sparse(part) for part in zip(*rows, strict=True))
    generator = torch.Generator().manual_seed(seed)
    h, table, bias, weight = (
        torch.randn(shape, generator=generator)
        for shape in ((len(rows), 4), (N_ITEMS, 4), (N_ITEMS,), (len(rows),))
    )
    leaves = [part.requires_grad_() for part in (h, table, bias)]
    with pytest.MonkeyPatch.context() as patch:  # so that all items come in several blocks too
        patch.setattr(losses, "_BLOCK_ROWS", n_rows)
        patch.setattr(losses, "_BLOCK_SCORES", 1)
        shown = left_out(condition) if masked else None
        blocks = loss_blocks(target, shown, N_ITEMS, n_loss_items, generator)
    ours = 3 * multinomial_loss(*leaves, blocks, weight=weight.abs())
    theirs = 3 * autograd_loss(*leaves, blocks, masked, weight.abs())
    assert_allclose(ours.item(), theirs.item(), rtol=1e-4)
    found, expected = (torch.autograd.grad(loss, leaves) for loss in (ours, theirs))
    assert found[1].is_sparse == (n_loss_items is not None)
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a.to_dense(), b, atol=1e-5)


def test_masked_items_get_no_gradient_and_the_others_a_finite_one():
    scores = torch.zeros(1, N_ITEMS, requires_grad=True)
    shown, goal = to_sparse([{0: 1.0, 1: 1.0}]), to_sparse([{2: 1.0, 3: 1.0}])
    loss_of_scores(scores, shown, goal, masked=True, weight=torch.ones(1)).backward()
    share = 2 / (N_ITEMS - 2)
    expected = np.full(N_ITEMS, share)
    expected[:2], expected[2:4] = 0, share - 1
    assert_allclose(scores.grad[0], expected / math.sqrt(2), atol=1e-6)


@properties
@given(rows=cut_rows, seed=seeds, n_loss_items=st.integers(1, N_ITEMS - 1))
def test_blocks_share_out_the_rows_and_hold_their_targets(rows, seed, n_loss_items):
    condition, target = zip(*rows, strict=True)
    generator = torch.Generator().manual_seed(seed)
    blocks = loss_blocks(to_sparse(target), to_sparse(condition), N_ITEMS, n_loss_items, generator)
    assert [row for b in blocks for row in range(b.rows.start, b.rows.stop)] == [*range(len(rows))]
    for block in blocks:
        own = range(block.rows.start, block.rows.stop)
        # as many targets as asked for, and what is left of the row that the last one is in
        assert sum(len(target[row]) for row in own[:-1]) < n_loss_items + 1
        items = block.items.tolist()
        assert items == sorted(set(items))
        for held_rows, given_rows in ((block.added, condition), (block.target, target)):
            for place, row in enumerate(own):
                entries = slice(*held_rows.offsets[place : place + 2].tolist())
                held = {
                    items[i]: w
                    for i, w in zip(
                        held_rows.items[entries].tolist(),
                        held_rows.weights[entries].tolist(),
                        strict=True,
                    )
                }
                assert held == {i: w for i, w in given_rows[row].items() if i in items}
        targets = {item for row in own for item in target[row]}
        assert targets <= set(items)
        assert len(items) > len(targets) or len(targets) == N_ITEMS  # something to tell them from


def cut_and_scores(n_items=60):
    """Five rows of three items shown and three that are targets, with scores."""
    rng = np.random.default_rng(0)
    items = [rng.choice(n_items, 6, replace=False).tolist() for _ in range(5)]
    condition, target = (
        to_sparse([dict.fromkeys(i[a:b], 1.0) for i in items]) for a, b in ((0, 3), (3, 6))
    )
    scores = torch.randn(5, n_items, generator=torch.Generator().manual_seed(1))
    return condition, target, scores


def test_the_loss_on_all_but_one_item_is_nearly_that_on_all():
    condition, target, scores = cut_and_scores()
    weight = torch.ones(5)
    expected = loss_of_scores(scores, condition, target, masked=True, weight=weight)
    blocks = loss_blocks(target, left_out(condition), 60, 59, torch.Generator())
    assert len(blocks) == 1 and len(blocks[0].items) == 59
    loss = multinomial_loss(scores, torch.eye(60), torch.zeros(60), blocks, weight=weight)
    assert_allclose(loss, expected, rtol=0.02)
    assert loss_blocks(target, condition, 60, 60)[0].items is None


@pytest.mark.slow
@pytest.mark.parametrize(("n_loss_items", "n_blocks"), [(35, 1), (8, 2)])
def test_the_sum_over_drawn_items_is_unbiased(n_loss_items, n_blocks):
    condition, target, scores = cut_and_scores()
    generator, totals = torch.Generator().manual_seed(0), []
    for _ in range(4_000):
        blocks = loss_blocks(target, condition, 60, n_loss_items, generator)
        assert len(blocks) == n_blocks
        if n_blocks == 1:
            assert len(blocks[0].items) == n_loss_items
        totals.append(
            torch.cat([(scores[b.rows][:, b.items] + b.log_weight).exp().sum(1) for b in blocks])
        )
    totals = torch.stack(totals)
    error = totals.mean(0) - scores.exp().sum(1)
    assert (error.abs() < 4 * totals.std(0) / math.sqrt(4_000)).all()
