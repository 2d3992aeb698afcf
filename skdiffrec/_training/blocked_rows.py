"""Training rows that are held one block at a time."""

import numpy as np
import torch

from .._utils.row_view import blocks_of
from .batches import RowBatches


class BlockedRows(RowBatches):
    """Rows in blocks: an epoch goes through these in a random order, and through the rows of each.

    Parameters
    ----------
    rows : UserRows
        Canonical; histories may be a `RowView`.
    row_weight : ndarray of float64, shape (n_rows,)
    made : callable
        ``made(rows, row_weight) -> RowBatches`` of a block.
    cond_drop_prob, generator
        As in `RowBatches`.
    """

    def __init__(self, rows, row_weight, made, cond_drop_prob, generator):
        super().__init__(rows.history, cond_drop_prob, generator, row_weight)
        self.rows, self.given_weight, self.made = rows, row_weight, made
        self.blocks = blocks_of(rows.history)
        sizes = [block.stop - block.start for block in self.blocks]
        self.block_of = self._tensor(np.repeat(np.arange(len(sizes)), sizes), torch.int32)
        self._held: tuple[int, RowBatches] | None = None
        self.masked = self._block(0).masked

    def rows_of_step_of(self, n_visits):
        """Users in a training step of an epoch of so many."""
        return self._block(0).rows_of_step_of(n_visits)

    def steps_of_epoch(self, batch_size):
        """Batches of so many rows in an epoch."""
        visits = self.visits.where(self.indptr.diff() > 0, 0)
        of_block = torch.bincount(self.block_of, visits.double()).long()
        return int((-(-of_block // batch_size)).sum())

    def shuffled(self):
        """All rows as often as `visits` says, in a random order of blocks and of rows in each."""
        order = super().shuffled()
        rank = torch.randperm(len(self.blocks), device=self.device, generator=self.generator)
        return order[torch.argsort(rank[self.block_of[order]], stable=True)]

    def _steps(self, order, batch_size):
        """The rows of every step, which are of one block."""
        _, sizes = torch.unique_consecutive(self.block_of[order], return_counts=True)
        return [rows for part in order.split(sizes.tolist()) for rows in part.split(batch_size)]

    def cut(self, rows):
        """A `Batch` of the given rows of one block."""
        block = int(self.block_of[rows[0]])
        return self._block(block).cut(rows - self.blocks[block].start)

    def _block(self, i):
        """The rows of a block; the last one asked for is kept."""
        if self._held is None or self._held[0] != i:
            self._held = None  # before the next one is made
            block = self.blocks[i]
            held = self.made(self.rows[block], self.given_weight[block])
            held.steps, held.row_weight = self.steps, self.row_weight[block]
            self._held = i, held
        return self._held[1]
