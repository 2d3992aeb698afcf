"""Batches of histories that are read in order, each cut at many of its moments."""

import numpy as np
import torch

from .._network.prefixes import Prefixes
from .._network.sparse_rows import SparseRows
from .._utils.cuts import OrderedRows
from .batches import Batch, RowBatches

_MOST_CUTS = 50  # of a row in an epoch
_MOST_TARGETS = 4  # of a cut
_CUTS_OF_STEP = 2048


class PrefixRows(RowBatches):
    """Rows in order of time, each an example of what came next at many of its moments.

    Cuts lie between moments, evenly spread over a row, at most 50 of them in an epoch. Before the
    first item nothing is known: the condition is the null token. Targets are drawn from the
    `horizon` items that follow, and from all that have the time of the last of these.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
        Canonical, of times.
    horizon : int
    target_share : tuple of float
        Range of the share of a row's items that come after a cut.
    cond_drop_prob, generator, row_weight, besides
        As in `RowBatches`.
    """

    masked = False  # to leave out what was shown would cost the square of a row's length

    def __init__(
        self,
        X,
        *,
        horizon,
        target_share,
        cond_drop_prob,
        generator,
        row_weight=None,
        besides=None,
    ):
        super().__init__(X, cond_drop_prob, generator, row_weight, besides)
        self.indptr = self._tensor(X.indptr)
        rows = OrderedRows(X, generator.initial_seed())
        self.items, self.stands = self._tensor(rows.items, torch.int32), None
        if (rows.stands != rows.place).any():
            self.stands = self._tensor(rows.stands, torch.int32)
        cuts = _cuts(rows, target_share)
        self.cut_place = self._tensor(rows.place[cuts])
        self.n_ahead = self._tensor(rows.n_ahead(cuts, horizon))
        n_cuts = np.bincount(rows.row[cuts], minlength=X.shape[0])
        self.cut_indptr = self._tensor(np.concatenate([[0], np.cumsum(n_cuts)]))

    def rows_of_step_of(self, n_visits):
        """Users in a training step of an epoch of so many."""
        n_cuts = self.cut_indptr.diff().clamp(max=_MOST_CUTS).float().mean()
        return max(1, int(_CUTS_OF_STEP / n_cuts.clamp(min=1)))

    def cut(self, rows):
        """A `Batch` with one row for every cut of the given rows."""
        row, place, entry, first = self._entries(rows)
        of_row, cut = self._spread(self.cut_indptr[rows + 1] - self.cut_indptr[rows], _MOST_CUTS)
        cut += self.cut_indptr[rows][of_row]
        at = self.cut_place[cut]
        of_cut, ahead = self._spread(self.n_ahead[cut], _MOST_TARGETS)
        targets = self.items[(self.indptr[rows][of_row] + at)[of_cut] + ahead].long()
        n_targets = torch.bincount(of_cut, minlength=len(cut))
        offsets = torch.cat([n_targets.new_zeros(1), n_targets.cumsum(0)])
        known = (self._uniform(len(cut)) >= self.cond_drop_prob) & (at > 0)
        stands = None
        if self.stands is not None:
            stands = first[row] + self.stands[entry]
        return Batch(
            Prefixes(
                self.items[entry].long(), place, stands, (first[of_row] + at - 1).clamp(min=0)
            ),
            known,
            SparseRows(targets, torch.ones_like(targets, dtype=torch.float32), offsets),
            self.row_weight[rows][of_row],
            *self._besides(rows[of_row]),
        )

    def _spread(self, counts, most):
        """`most` of so many places each (counts, (n,)), evenly spread: (whose, place).

        All of them where they are no more.
        """
        n = counts.clamp(max=most)
        whose = torch.repeat_interleave(n)
        place = torch.arange(len(whose), device=self.device) - (n.cumsum(0) - n)[whose]
        of, n = counts[whose], n[whose]
        low, high = place * of // n, (place + 1) * of // n
        drawn = (self._uniform(len(whose)) * (high - low)).long()
        return whose, low + torch.minimum(drawn, high - low - 1)


def _cuts(rows, target_share):
    """Where `OrderedRows` may be cut, so that the share of what follows lies in a range.

    Where no moment begins within the range, the last one before it is taken.
    """
    low, high = target_share
    nearest, farthest = (np.floor((1 - share) * rows.length) for share in (low, high))
    nearest = np.minimum(nearest, rows.length - 1).astype(np.int64)
    filled = np.flatnonzero(rows.length)
    last = np.zeros(len(rows.length), np.int64)
    last[filled] = rows.first[rows.start[filled] + nearest[filled]]
    within = (rows.place >= farthest[rows.row]) & (rows.place <= nearest[rows.row])
    return np.flatnonzero(rows.begins & (within | (rows.place == last[rows.row])))
