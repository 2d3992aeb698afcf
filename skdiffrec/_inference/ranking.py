"""From scores of a tile of the catalogue at a time to lists."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from .._network.sparse_rows import UserRows, to_device
from .._utils.host_state import in_own_state
from .._utils.topk import GROUP, best_columns, columns_above
from .reverse_process import reverse_processes
from .tiles import tile_starts, widest_tile


def guided_lists(model, *args, **options):
    """`_guided_lists`, whatever the host has set in torch; see there."""
    run = _guided_lists
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        run = in_own_state()(run)  # else the two decorators do, in less time
    return run(model, *args, **options)


@torch.inference_mode(False)
@torch.no_grad()
def _guided_lists(model, known, keys, scale, settings, k, *, filter_seen, items):
    """The k best items by `guided_scores`, which are never there as a whole.

    Parameters
    ----------
    model, known, keys, scale, settings
        As in `_inference.scoring`.
    k, filter_seen
        As in `streamed_topk`; the items of the histories are the seen ones.
    items : ItemFilter
        Of these users.

    Returns
    -------
    ids, top : ndarrays of int64 and float32, shape (n_rows, k)
        As from `masked_topk`.
    """
    known = UserRows.of(known)
    n_rows, n_items = known.shape
    ids, top = np.empty((n_rows, k), np.int64), np.empty((n_rows, k), np.float32)
    for rows, process in reverse_processes(model, known, keys, scale, settings):
        seen = None
        if filter_seen:
            seen = known.seen if len(rows) == n_rows else known.seen[rows]
        tiles = process.tiles(process.last_estimate(), screen=model.screens)
        masks = items.of(rows).masks(seen)
        ids[rows], top[rows] = streamed_topk(tiles, n_items, len(rows), k, **masks)
    return ids, top


def streamed_topk(tiles, n_items, n_rows, k, seen=None, columns=None, allowed=None):
    """The k best items of every row, from scores that come a tile at a time.

    Parameters
    ----------
    tiles : Tiles
        Of at least `n_rows` rows; those beyond are left out.
    n_items, n_rows, k : int
    seen : csr_array of shape (n_rows, n_items), default=None
        Stored entries are never returned.
    columns : ndarray of int64, ascending, default=None
        The only items that may be returned; None means all.
    allowed : csr_array of shape (n_rows, n_items), default=None
        Its stored entries are the only items of a row that may be returned; None means all.

    Returns
    -------
    ids : ndarray of int64, shape (n_rows, k)
        -1 where no item is left.
    top : ndarray of float32, shape (n_rows, k)
        -inf where no item is left.
    """
    mask = Mask(seen, columns, n_items, tiles.device, allowed)
    widest = widest_tile(n_items)
    buffer = torch.empty(tiles.n_rows, widest, dtype=torch.float32, device=tiles.device)
    ids, top = torch.empty(0), torch.empty(0)
    for start, stop in tile_starts(n_items):
        tiles.write(start, stop, buffer[:, : stop - start])
        scores = buffer[:n_rows, : stop - start]
        mask(scores, start, stop)
        found = None
        if start and tiles.exact and ids.shape[1] == k and stop - start >= GROUP:
            found = above(scores, top[:, -1:], most=2 * k)
        if found is None:
            places, best = largest(scores, min(tiles.n_screened(k), stop - start))
            found = places, tiles.rescored(start, stop, places, best)
        places, best = found
        if start:
            places, best = torch.cat([ids, places + start], 1), torch.cat([top, best], 1)
        ids, top = by_score(places, best, k)
    return _filled(ids, top, k)


class Mask:
    """-inf in place of the scores of items that may not be returned."""

    def __init__(self, seen, columns, n_items, device, allowed=None):
        self.banned = None
        self.seen, self.allowed = _Entries(seen, device), _Entries(allowed, device)
        if columns is not None:
            banned = np.ones(n_items, bool)
            banned[columns] = False
            self.banned = to_device(banned, device)

    def __call__(self, scores, start, stop):
        """Change `scores` (n_rows, stop − start) of a tile in place."""
        if self.seen.items is not None:
            scores[self.seen.of_tile(start, stop)] = -torch.inf
        if self.allowed.items is not None:
            entries = self.allowed.of_tile(start, stop)
            kept = scores[entries]
            scores.fill_(-torch.inf)
            scores[entries] = kept
        if self.banned is not None:
            scores.masked_fill_(self.banned[start:stop], -torch.inf)


class _Entries:
    """Stored entries of a CSR, or of None, by item."""

    def __init__(self, X, device):
        self.items: Any = None
        if X is not None:
            rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
            order = np.argsort(X.indices, kind="stable")
            self.items = X.indices[order]
            self.entries = to_device(np.stack([rows[order], self.items]).astype(np.int64), device)

    def of_tile(self, start, stop):
        """(rows, places) of those that lie in a tile."""
        here = slice(*np.searchsorted(self.items, [start, stop]))
        rows, items = self.entries[:, here]
        return rows, items - start


def largest(scores, k):
    """(places, values) of the k largest scores of every row, by ascending place.

    Of equal ones those at lower places.
    """
    if scores.device.type == "cpu":
        places = torch.from_numpy(best_columns(scores.numpy(), k)).sort(dim=1).values
        return places, scores.gather(1, places)
    values, places = scores.topk(min(k + 1, scores.shape[1]))
    # topk keeps any of several equal scores: where the first left out ties, all must be looked at
    tied = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    if values.shape[1] > k:
        tied = (values[:, k - 1] == values[:, k]) & (values[:, k] > -torch.inf)
    places = places[:, :k].sort(dim=1).values
    if tied.any():
        found = torch.from_numpy(best_columns(scores[tied].cpu().numpy(), k)).to(places)
        places[tied] = found.sort(dim=1).values
    return places, scores.gather(1, places)


def above(scores, floor, most):
    """(places, values) of the scores above `floor` (n, 1), by ascending place, -inf behind them.

    None where they are more than `most` a row on average, or not on the CPU.
    """
    found = None
    if scores.device.type == "cpu":
        found = columns_above(scores.numpy(), floor.numpy(), most)
    if found is None:
        return None
    rows, columns = found
    counts = np.bincount(rows, minlength=len(scores))
    rank = np.arange(len(rows)) - (counts.cumsum() - counts)[rows]
    values = scores.new_full((len(scores), counts.max()), -torch.inf)
    places = torch.zeros_like(values, dtype=torch.int64)
    places.numpy()[rows, rank], values.numpy()[rows, rank] = columns, scores.numpy()[rows, columns]
    return places, values


def by_score(ids, scores, k):
    """The k best of candidates whose equal scores stand by ascending id."""
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    return ids.gather(1, order[:, :k]), scores[:, :k]


def _filled(ids, top, k):
    """As NumPy arrays of k columns, -1 where no item is left."""
    missing = k - ids.shape[1]
    ids = ids.masked_fill(top == -torch.inf, -1)
    ids, top = F.pad(ids, (0, missing), value=-1), F.pad(top, (0, missing), value=-torch.inf)
    return ids.cpu().numpy(), top.cpu().numpy()
