"""Batches of conditions and targets, cut afresh from the training rows each time."""

from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from .._network.prefixes import Prefixes
from .._network.sparse_rows import AgedRows, SparseRows
from .._utils.condition_names import DISLIKED
from .._utils.cuts import OrderedRows
from .._utils.recency import history_weights
from .._utils.rows import is_dense, row_lengths
from .user_weights import visits_per_epoch

_NEARNESS_FLOOR = 0.02


class Batch(NamedTuple):
    """Rows cut in two: what the network is shown of them, and what it is to predict."""

    condition: SparseRows | AgedRows | Prefixes
    known: torch.Tensor  # bool (n,): where false, the condition is the null token
    target: SparseRows
    weight: torch.Tensor  # float32 (n,): of the rows in the loss
    # what is known beside, by condition: the rows, and where they are shown, bool (n,)
    against: SparseRows | None = None  # disliked items that are not shown
    besides: Mapping[str, tuple[SparseRows, torch.Tensor]] = MappingProxyType({})


class RowBatches:
    """Rows on a device, in batches, each as often in an epoch as its weight says.

    A subclass has ``cut(rows) -> Batch``, and `masked`: whether the items of the condition are left
    out of the softmax. For `_entries` it has `indptr` too, int64 (n_rows + 1,).

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
        Canonical.
    cond_drop_prob : float
        Probability that a condition is the null token.
    generator : torch.Generator
        Its device is that of the rows.
    row_weight : ndarray of float64, shape (n_rows,), default=None
        How many users a row stands for; None is one each.
    besides : dict of csr_array of float32, default=None
        What is known beside the histories, by condition, as the model reads it.
    """

    masked = True
    indptr: torch.Tensor

    def __init__(self, X, cond_drop_prob, generator, row_weight=None, besides=None):
        self.device, self.generator = generator.device, generator
        self.cond_drop_prob = cond_drop_prob
        self.filled = self._tensor(row_lengths(X) > 0, torch.bool)
        self.steps = 24 if is_dense(X) else 48  # of an epoch; of sparse rows each shows few items
        row_weight = np.ones(X.shape[0]) if row_weight is None else row_weight
        visits = visits_per_epoch(row_weight)
        # an order of all rows has numbers of this type
        self.visits = self._tensor(visits, torch.int32 if visits.sum() < 2**31 else torch.int64)
        # of a visit, scaled to mean 1
        self.row_weight = self._tensor(row_weight / visits, torch.float32)
        self.row_weight *= visits.sum() / row_weight.sum()

        self.besides = {
            name: SparseRows.from_csr(entries, self.device)
            for name, entries in (besides or {}).items()
        }

    def rows_of_step_of(self, n_visits):
        """Users in a training step of an epoch of so many."""
        return min(max(n_visits // self.steps, 64), 1024)

    def _tensor(self, array, dtype=torch.int64):
        return torch.as_tensor(array).to(self.device, dtype)

    def _uniform(self, n):
        return torch.rand(n, dtype=torch.float32, device=self.device, generator=self.generator)

    def steps_of_epoch(self, batch_size):
        """Batches of so many rows in an epoch."""
        return -(-int(self._filled_visits().sum()) // batch_size)

    def shuffled(self):
        """All rows as often as `visits` says, in a random order."""
        rows = torch.repeat_interleave(self._filled_visits())
        options = {"dtype": rows.dtype, "device": self.device, "generator": self.generator}
        return rows.index_select(0, torch.randperm(len(rows), **options))

    def _filled_visits(self):
        """Visits of every row; an empty one has none."""
        return self.visits.where(self.filled, 0)

    def batches(self, batch_size, order=None, n_done=0):
        """A `Batch` of every so many rows, in an order (None: a new one), after the first ones."""
        order = self.shuffled() if order is None else order
        for rows in islice(self._steps(order, batch_size), n_done, None):
            yield self.cut(rows.long())

    def _steps(self, order, batch_size):
        """The rows of every step."""
        return order.split(batch_size)

    def cut(self, rows):
        """A `Batch` of the given rows."""
        raise NotImplementedError

    def _besides(self, rows, share=None):
        """What else is known of the given rows, and where it is shown; each is dropped by itself.

        Of disliked items as large a `share` (n,) is shown as of the history.
        """
        found, against = {}, None
        for name, entries in self.besides.items():
            some = entries.taken(rows)
            if name == DISLIKED:
                shown = self._uniform(len(some.items)) < share[some.rows]
                some, against = some.kept(shown), some.kept(~shown)
            found[name] = some, some.filled & (self._uniform(len(rows)) >= self.cond_drop_prob)
        return against, found

    def _entries(self, rows):
        """Every entry of the given rows: (row, place in it, entry), and each row's first."""
        start, length = self.indptr[rows], self.indptr[rows + 1] - self.indptr[rows]
        row = torch.repeat_interleave(length)
        first = torch.cumsum(length, 0) - length
        place = torch.arange(len(row), device=self.device) - first[row]
        return row, place, place + start[row], first


class TrainingRows(RowBatches):
    """Rows that are cut afresh for every batch into a condition and a target.

    Parameters
    ----------
    X, cond_drop_prob, generator, row_weight, besides
        As in `RowBatches`.
    values : {"binary", "weight", "time"}
        Times cut a row at a moment; else the condition drops items at random.
    target_share : tuple of float
        Range from which the share of a row that is not shown is drawn, per row. (0, 0) shows the
        whole row, which then is also the target (the paper's condition).
    half_life : float or None
        Where values are times, a condition holds ages instead of weights, and a target's weight
        halves every ``2 * half_life`` items after the cut. None: ones.
    sets : bool, default=False
        Whether items of one time are a set, such as an order, that is not cut.
    """

    def __init__(
        self,
        X,
        values,
        *,
        target_share,
        cond_drop_prob,
        half_life,
        generator,
        row_weight=None,
        besides=None,
        sets=False,
    ):
        super().__init__(X, cond_drop_prob, generator, row_weight, besides)
        self.indptr = self._tensor(X.indptr)
        # one number an interaction: in the smallest type, and int64 only in a batch
        self.items = self._tensor(X.indices, torch.int32)
        self.order: torch.Tensor | None = None
        self.age_rank: torch.Tensor | None = None
        self.cut_places: torch.Tensor | None = None
        if values == "time":
            ordered = OrderedRows(X, generator.initial_seed())
            self.order = self._tensor(ordered.order, torch.int32)
            # items of the same time are of the same age, that of the last of them
            self.age_rank = self._tensor(ordered.last_tied, torch.int32)
            if sets:
                self.cut_places = self._tensor(ordered.cut_places(), torch.int32)
        self.weights: torch.Tensor | None = None  # ones
        if values not in ("binary", "time"):
            self.weights = self._tensor(history_weights(X, values, None).data, torch.float32)
        self.target_share, self.half_life = target_share, half_life
        self.masked = target_share[1] > 0

    def cut(self, rows):
        """A `Batch` of the given rows."""
        length = self.indptr[rows + 1] - self.indptr[rows]
        row, _, entry, first = self._entries(rows)
        known = self._uniform(len(rows)) >= self.cond_drop_prob
        low, high = self.target_share
        if high == 0:
            share = torch.ones_like(self.row_weight[rows])
            shown, target = known[row], torch.ones_like(row, dtype=torch.bool)
            n_shown = torch.where(known, length, 0)
        else:
            share = 1 - low - (high - low) * self._uniform(len(rows))
            n_shown = torch.minimum((share * length).long(), length - 1)
            if self.cut_places is not None:
                n_shown = self.cut_places[self.indptr[rows] + n_shown].long()
            n_shown = n_shown * known
            shown = self._ranks(entry, row, first) < n_shown[row]
            target = ~shown
        items, weights = self.items[entry].long(), self._weights(entry)
        near = weights
        kind: type[SparseRows | AgedRows] = SparseRows
        if self.age_rank is not None and self.half_life is not None:
            kind = AgedRows
            weights, near = self._ages(entry, n_shown[row]), self._nearness(entry, n_shown[row])
        return Batch(
            kind(*_selected(items, weights, row, shown, len(rows))),
            known & (n_shown > 0),
            SparseRows(*_selected(items, near, row, target, len(rows))),
            self.row_weight[rows],
            *self._besides(rows, share),
        )

    def _weights(self, entry):
        """What every entry weighs."""
        if self.weights is None:
            return torch.ones(len(entry), dtype=torch.float32, device=self.device)
        return self.weights[entry]

    def _ranks(self, entry, row, first):
        """Rank of every entry in its row: stored by time, or drawn."""
        if self.order is not None:
            return self.order[entry]
        # float64: the row number in front must not eat the digits of the draw behind it
        draw = row + torch.rand(
            len(row), device=self.device, generator=self.generator, dtype=torch.float64
        )
        ranks = torch.empty_like(row)
        ranks[draw.argsort()] = torch.arange(len(row), device=self.device)
        return ranks - first[row]

    def _ages(self, entry, n_shown):
        """Ages of shown entries, from 1 up."""
        assert self.age_rank is not None
        return (n_shown - self.age_rank[entry]).clamp(min=1).float()

    def _nearness(self, entry, n_shown):
        """Weights of target entries; those of a row without condition are all 1."""
        assert self.order is not None
        steps = (self.order[entry] - n_shown).clamp(min=0).float()
        near = (0.5 ** (steps / (2 * self.half_life))).clamp(min=_NEARNESS_FLOOR)
        return near.where(n_shown > 0, torch.ones_like(near))


def _selected(items, values, row, mask, n_rows):
    """(items, values, offsets) of the masked entries."""
    counts = torch.bincount(row[mask], minlength=n_rows)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return items[mask], values[mask], offsets
