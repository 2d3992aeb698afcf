"""Training rows that are held one block at a time."""

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
        ``made(rows) -> RowBatches`` of a block, each row of it once.
    cond_drop_prob, generator
        As in `RowBatches`.
    """

    def __init__(self, rows, row_weight, made, cond_drop_prob, generator):
        super().__init__(rows.history, cond_drop_prob, generator, row_weight)
        self.rows, self.made = rows, made
        self.blocks = blocks_of(rows.history)
        self.ends = self._tensor([block.stop for block in self.blocks])
        self._held: tuple[int, RowBatches] | None = None
        self.masked = self._block(0).masked

    def block_of(self, rows):
        """Of which block every row is, int32 (n,)."""
        return torch.bucketize(rows, self.ends.to(rows.dtype), right=True, out_int32=True)

    def rows_of_step_of(self, n_visits):
        """Users in a training step of an epoch of so many."""
        return self._block(0).rows_of_step_of(n_visits)

    def steps_of_epoch(self, batch_size):
        """Batches of so many rows in an epoch."""
        return sum(-(-n // batch_size) for n in self._visits_of_blocks())

    def _visits_of_blocks(self):
        """How many rows of an epoch are of each block."""
        visits = self._filled_visits()
        return [int(visits[block].sum()) for block in self.blocks]

    def shuffled(self):
        """All rows as often as `visits` says, in a random order of blocks and of rows in each."""
        self._held = None  # making an order takes memory too
        order = super().shuffled()
        rank = torch.randperm(len(self.blocks), device=self.device, generator=self.generator)
        place = torch.argsort(rank.int().index_select(0, self.block_of(order)), stable=True)
        return order.index_select(0, place)

    def _steps(self, order, batch_size):
        """The rows of every step, which are of one block."""
        visits, first = self._visits_of_blocks(), 0
        while first < len(order):
            last = first + visits[int(self.block_of(order[first]))]
            yield from order[first:last].split(batch_size)
            first = last

    def cut(self, rows):
        """A `Batch` of the given rows of one block."""
        block = int(self.block_of(rows[0]))
        return self._block(block).cut(rows - self.blocks[block].start)

    def _block(self, i):
        """The rows of a block; the last one asked for is kept."""
        if self._held is None or self._held[0] != i:
            self._held = None  # before the next one is made
            block = self.blocks[i]
            held = self.made(self.rows[block])
            held.steps, held.row_weight = self.steps, self.row_weight[block]
            self._held = i, held
        return self._held[1]
