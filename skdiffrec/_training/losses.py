"""The ranking loss, and its gradient made beside it block by block: scores never pile up."""

import math
from typing import NamedTuple

import torch

from .._network.sparse_rows import SparseRows

_BLOCK_SCORES = 2_000_000  # that are there at once, where all items are scored
_BLOCK_ROWS = 256  # but not fewer rows: each block reads and writes whole tables


class Block(NamedTuple):
    """Rows of a batch whose loss is computed on the same items."""

    rows: slice
    items: torch.Tensor | None  # int64 (n,), ascending; None is all
    log_weight: torch.Tensor | None  # float32 (n,): logarithm of how many items each stands for
    target: SparseRows  # of the rows, with places in `items` instead of items
    added: SparseRows | None  # likewise: what is added to scores in the softmax


def loss_blocks(target, added, n_items, n_loss_items=None, generator=None):
    """The rows of a batch in blocks that share the items of their loss.

    Of all items, or of all targets of the block and others drawn evenly until there are
    `n_loss_items`; a block holds as many rows as have that many targets, so that a row's loss costs
    the same whatever the size of the batch or the catalogue. In the softmax a drawn item stands for
    as many as were left out, so that the sum over items is unbiased.

    Parameters
    ----------
    target : SparseRows
    added : SparseRows or None
        What is added to scores of a row's softmax; −inf leaves an item out.
    n_items, n_loss_items : int
    generator : torch.Generator

    Returns
    -------
    blocks : list of Block
    """
    n_rows = len(target.offsets) - 1
    if n_loss_items is None or n_loss_items >= n_items:
        size = max(_BLOCK_ROWS, _BLOCK_SCORES // n_items)
        slices = [slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size)]
        return [Block(rows, None, None, *_of_rows(rows, target, added)) for rows in slices]
    device = target.items.device
    pool = torch.randperm(n_items, generator=generator, device=device)
    place = torch.full((n_items,), -1, device=device)
    blocks = []
    for rows in _by_targets(target.offsets, n_loss_items):
        goal, other = _of_rows(rows, target, added)
        items, log_weight = _draw(goal.items.unique(), pool, place, n_loss_items)
        place[items] = torch.arange(len(items), device=device)
        if other is not None:
            other = other.renumbered(place)
        blocks.append(Block(rows, items, log_weight, goal.renumbered(place), other))
        place[items] = -1
    return blocks


def _of_rows(rows, target, added):
    return target.of_rows(rows), None if added is None else added.of_rows(rows)


def _by_targets(offsets, n_targets):
    """Slices of consecutive rows that begin within the same `n_targets` entries."""
    stretch = offsets[:-1] // n_targets
    counts = torch.unique_consecutive(stretch, return_counts=True)[1]
    ends = counts.cumsum(0).tolist()
    return [slice(end - n, end) for n, end in zip(counts.tolist(), ends, strict=True)]


def _draw(targets, pool, place, n_loss_items):
    """Items, and the logarithm of how many each stands for: the targets, and some of the pool."""
    n_others = len(place) - len(targets)
    n_wanted = max(n_loss_items - len(targets), math.ceil(n_loss_items / 4))
    pool = pool[: len(targets) + n_wanted]  # enough of it are no targets
    place[targets] = 0
    drawn = pool[place[pool] < 0][:n_wanted]
    place[targets] = -1
    items, order = torch.cat([targets, drawn]).sort()
    weight = torch.zeros(len(items), dtype=torch.float32, device=items.device)
    if len(drawn):
        weight[order >= len(targets)] = math.log(n_others / len(drawn))
    return items, weight


def multinomial_loss(h, table, bias, blocks, *, weight):
    """Negative log-likelihood of the target items (MultVAE, arXiv 1802.05814, eq. 2).

    Parameters
    ----------
    h : float tensor of shape (n, H)
    table : float tensor of shape (n_items, H)
    bias : float tensor of shape (n_items,)
        Scores are ``h @ table.T + bias``.
    blocks : list of Block
        From `loss_blocks`.
    weight : float tensor of shape (n,)
        Of the rows. A row counts, besides, as the square root of its number of targets: long rows
        say more, but not in proportion.

    Returns
    -------
    loss : float tensor of shape ()
        Mean over rows. The gradient of `table` is sparse where blocks have some of the items.
    """
    return _MultinomialLoss.apply(h, table, bias, blocks, weight / len(h))


class _MultinomialLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h, table, bias, blocks, weight):
        loss, of_h, of_bias = h.new_zeros(()), torch.empty_like(h), torch.zeros_like(bias)
        if blocks[0].items is None:
            of_table = torch.zeros_like(table)
            for block in blocks:
                some = h[block.rows]
                scores = torch.addmm(bias, some, table.T)
                loss += _to_gradient(scores, block, weight[block.rows])
                torch.mm(scores, table, out=of_h[block.rows])
                of_table.addmm_(scores.T, some)
                of_bias += scores.sum(0)
        else:
            lengths = [len(block.items) for block in blocks]
            values = table.new_empty(sum(lengths), table.shape[1])
            for block, value in zip(blocks, values.split(lengths), strict=True):
                some, own = h[block.rows], table[block.items]
                scores = torch.addmm(bias[block.items] + block.log_weight, some, own.T)
                loss += _to_gradient(scores, block, weight[block.rows])
                torch.mm(scores, own, out=of_h[block.rows])
                torch.mm(scores.T, some, out=value)
                of_bias.index_add_(0, block.items, scores.sum(0))
            items = torch.cat([block.items for block in blocks])
            of_table = torch.sparse_coo_tensor(
                items[None], values, table.shape, check_invariants=False
            )
        ctx.gradients = of_h, of_table, of_bias
        return loss

    @staticmethod
    def backward(ctx, of_loss):
        return *(part * of_loss for part in ctx.gradients), None, None


def _to_gradient(scores, block, weight):
    """The loss of a block; its scores (n, n_items) become their own gradient."""
    target, added = block.target, block.added
    rows = target.rows
    if added is not None:
        scores.index_put_((added.rows, added.items), added.weights, accumulate=True)
    size = torch.zeros_like(weight).index_add_(0, rows, target.weights)
    picked = scores[rows, target.items] * target.weights
    log_likelihood = torch.zeros_like(size).index_add_(0, rows, picked)
    highest = scores.amax(1, keepdim=True)
    total = scores.sub_(highest).exp_().sum(1)
    factor = weight / size.sqrt()
    scores.mul_((factor * size / total)[:, None])
    scores.index_put_((rows, target.items), -factor[rows] * target.weights, accumulate=True)
    return (factor * (size * (total.log() + highest[:, 0]) - log_likelihood)).sum()
