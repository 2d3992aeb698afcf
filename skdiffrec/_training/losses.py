"""The ranking loss, and its gradient made beside it block by block: scores never pile up."""

import math
from typing import NamedTuple

import torch

from .._network.sparse_rows import SparseRows
from .threads import N_PARTS, in_turn

_BLOCK_SCORES = 2_000_000  # that are there at once, where all items are scored
_BLOCK_ROWS = 256  # but not fewer rows: each block reads and writes whole tables
_LEAST_SCORES = 2**17  # of a step, from which it is worth two threads: a few milliseconds


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
        if n_rows * n_items >= _LEAST_SCORES:  # enough for several threads
            size = min(size, -(-n_rows // N_PARTS))
        slices = [slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size)]
        return [Block(rows, None, None, *_of_rows(rows, target, added)) for rows in slices]
    device = target.items.device
    pool = torch.randperm(n_items, generator=generator, device=device)
    place = torch.full((n_items,), -1, device=device)
    blocks = []
    slices = _by_targets(target.offsets, n_loss_items)
    if len(slices) == 1 and n_rows * n_loss_items >= _LEAST_SCORES:
        half = -(-n_rows // N_PARTS)
        slices = [slice(i, min(i + half, n_rows)) for i in range(0, n_rows, half)]
    for rows in slices:
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


def multinomial_loss(h, table, bias, blocks, *, weight, run=in_turn):
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
    run : callable
        From `training_threads`.

    Returns
    -------
    loss : float tensor of shape ()
        Mean over rows. The gradient of `table` is sparse where blocks have some of the items.
    """
    return _MultinomialLoss.apply(h, table, bias, blocks, weight / len(h), run)


class _MultinomialLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h, table, bias, blocks, weight, run):
        of_h = torch.empty_like(h)
        given = h, table, bias, blocks, weight, of_h
        found = (_of_all if blocks[0].items is None else _of_some)(*given, run)
        loss, of_table, of_bias = found
        ctx.gradients = of_h, of_table, of_bias
        return loss

    @staticmethod
    def backward(ctx, of_loss):
        return *(part * of_loss for part in ctx.gradients), None, None, None


def _of_all(h, table, bias, blocks, weight, of_h, run):
    """Loss and gradients of `table` and `bias` on all items; that of h is written to `of_h`.

    Every second block is added to the same table, whoever computes it.
    """

    def part(first):
        loss, of_table, of_bias = 0.0, torch.empty_like(table), 0.0
        for number, block in enumerate(blocks[first::N_PARTS]):
            some = h[block.rows]
            scores = torch.addmm(bias, some, table.T)
            loss = loss + _to_gradient(scores, block, weight[block.rows])
            torch.mm(scores, table, out=of_h[block.rows])
            of_table.addmm_(scores.T, some, beta=min(number, 1))  # at first it holds nothing
            of_bias = of_bias + scores.sum(0)
        return loss, of_table, of_bias

    (loss, of_table, of_bias), *others = run(part, min(N_PARTS, len(blocks)))
    for other in others:
        loss, of_table, of_bias = loss + other[0], of_table.add_(other[1]), of_bias + other[2]
    return loss, of_table, of_bias


def _of_some(h, table, bias, blocks, weight, of_h, run):
    """As `_of_all` where every block has some of the items; the gradient of `table` is sparse."""
    lengths = [len(block.items) for block in blocks]
    values = table.new_empty(sum(lengths), table.shape[1])
    of_blocks = values.split(lengths)

    def part(i):
        block = blocks[i]
        some, own = h[block.rows], table[block.items]
        scores = torch.addmm(bias[block.items] + block.log_weight, some, own.T)
        loss = _to_gradient(scores, block, weight[block.rows])
        torch.mm(scores, own, out=of_h[block.rows])
        torch.mm(scores.T, some, out=of_blocks[i])
        return loss, scores.sum(0)

    found = run(part, len(blocks))
    of_bias = torch.zeros_like(bias)
    for block, (_, own) in zip(blocks, found, strict=True):
        of_bias.index_add_(0, block.items, own)
    items = torch.cat([block.items for block in blocks])
    of_table = torch.sparse_coo_tensor(items[None], values, table.shape, check_invariants=False)
    return sum(loss for loss, _ in found), of_table, of_bias


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
