"""From the sampler's last estimate to scores and lists, a tile of the catalogue at a time."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from .._network.sparse_rows import to_device
from .._utils.topk import GROUP, best_columns, columns_above
from .host_state import in_own_state
from .reverse_process import reverse_processes

# A product's rounding may depend on where a column stands in it, so that tiles are always these.
# No power of two: rows of such a length share places in the cache, which costs a fifth.
TILE_ITEMS = 8000
_WIDTH_MULTIPLE = 16  # of the inner dimension of products; with others, rows round differently
_RESCORED_NUMBERS = 2**22  # of the table, gathered at once for scores in float32: 16 MB


def tile_starts(n_items):
    """(start, stop) of the tiles of a catalogue."""
    return [(first, min(first + TILE_ITEMS, n_items)) for first in range(0, n_items, TILE_ITEMS)]


class Tiles:
    """Scores of a batch of rows, a tile at a time; exact as they are written.

    Parameters
    ----------
    write : callable
        ``write(start, stop, out)`` writes scores of items start to stop − 1 to `out`, float32
        (n_rows, stop − start).
    n_rows : int
    device : torch.device
    """

    exact = True

    def __init__(self, write, n_rows, device):
        self.write, self.n_rows, self.device = write, n_rows, device

    def n_screened(self, k):
        """Among how many of the best scores the best k are."""
        return k

    def rescored(self, start, stop, places, scores):
        """The exact scores at `places` (n_rows, m) of a tile, given those that were written."""
        return scores


class ScreeningTiles(Tiles):
    """Scores whose product is rounded to bfloat16; those near the top are rescored in float32.

    bfloat16 has 8 significant bits: a score is off by about ``2⁻⁸·‖features‖·‖table row‖/√H``, and
    an item is lost only where three times k + 32 others come between by that.

    Parameters
    ----------
    features : float tensor (n_rows, H)
    pieces : dict of float tensor (H, width) by the first item of a tile
    low_pieces : dict
        The same in bfloat16.
    rest : callable or None
        ``rest(start, stop, out)`` writes what is added to the product.
    """

    exact = False

    def __init__(self, features, pieces, low_pieces, rest):
        super().__init__(self._screen, len(features), features.device)
        self.features, self.pieces, self.low_pieces, self.rest = features, pieces, low_pieces, rest
        self.low_features = features.bfloat16()
        self.product = torch.empty(0)

    def _screen(self, start, stop, out):
        self.product = self.low_features @ self.low_pieces[start]
        if self.rest is None:
            out.copy_(self.product)
        else:
            self.rest(start, stop, out)
            out += self.product

    def n_screened(self, k):
        return 4 * k + 32

    def rescored(self, start, stop, places, scores):
        exact = torch.empty_like(scores)
        by_item = self.pieces[start].T
        n_at_once = max(1, _RESCORED_NUMBERS // (places.shape[1] * by_item.shape[1]))
        for first in range(0, self.n_rows, n_at_once):
            rows = slice(first, first + n_at_once)
            exact[rows] = (by_item[places[rows]] @ self.features[rows, :, None])[..., 0]
        return scores - self.product.gather(1, places).float() + exact


class HeadScores:
    """Scores of the ranking head: ``O·h + b``, and what does not pass through h.

    Guidance is affine in the estimates, so that guided h gives the guided scores. All that is
    linear is one product of `features` and a `table` that is made once per trained model.

    Parameters
    ----------
    head : RankingHead
    closed_form : ClosedForm or None
    closed_form_scale : float
        Factor of its scores; 0 leaves it out.
    """

    read_hidden = True  # scores are read off the last hidden layer alone

    def __init__(self, head, closed_form, closed_form_scale):
        self.head, self.closed_form, self.scale = head, closed_form, closed_form_scale
        offset = head.null_offset
        if self.scale:
            offset = offset + self.scale * closed_form.unknown
        weight, bias = head.write.weight.detach(), head.write.bias.detach()
        table = torch.cat([weight, torch.stack([bias, offset, head.popularity], 1)], 1)
        self.table = F.pad(table, (0, -table.shape[1] % _WIDTH_MULTIPLE))
        # with items side by side, products of few rows are a third faster
        self.pieces = {
            start: self.table[start:stop].T.contiguous()
            for start, stop in tile_starts(len(self.table))
        }
        self._low_pieces: dict[int, torch.Tensor] = {}
        self.form_pieces = {}
        if self.scale:
            self.form_pieces = {
                start: closed_form.columns(start, stop) for start, stop in tile_starts(len(table))
            }

    def features(self, h, scale, unknown=None):
        """(h, 1, 1 − scale, 0), or (0, 0, 0, 1) where `unknown`; as wide as the table.

        h is the last hidden layer as the head narrows it.
        """
        one = torch.ones_like(scale)
        h = self.head.narrow(h)
        features = torch.cat([h, one, 1 - scale, torch.zeros_like(scale)], dim=1)
        if unknown is not None:
            features = torch.where(unknown, F.pad(one, (features.shape[1] - 1, 0)), features)
        return F.pad(features, (0, self.table.shape[1] - features.shape[1]))

    def closed_form_history(self, history, scale):
        """What the closed form reads: weighted rows, times its factor and the guidance scale."""
        form = self.closed_form
        return history.weighted(form.half_life, form.floor).scaled(self.scale * scale[:, 0])

    def tiles(self, estimate, history, scale, unseen=None, *, unknown=None, screen=False):
        """`Tiles` of scores of all items.

        Parameters
        ----------
        estimate : tuple of float tensors
            x̂_0, and the guided last hidden layer (n, H).
        history : SparseRows or AgedRows
        scale : float tensor (n, 1)
            Guidance scale.
        unseen : object
            Not used: noise reaches the head through h alone.
        unknown : bool tensor (n, 1), default=None
            Rows that get what is popular.
        screen : bool, default=False
            Whether the product is rounded to bfloat16.
        """
        features = self.features(estimate[1], scale, unknown)
        add = self._closed_form_tiles(history, scale) if self.scale else None
        if screen:
            if not self._low_pieces:
                self._low_pieces = {first: part.bfloat16() for first, part in self.pieces.items()}
            return ScreeningTiles(features, self.pieces, self._low_pieces, add)

        def write(start, stop, out):
            if add is None:
                torch.mm(features, self.pieces[start], out=out)
            else:
                add(start, stop, out)
                out.addmm_(features, self.pieces[start])

        return Tiles(write, len(features), features.device)

    def _closed_form_tiles(self, history, scale):
        """``write(start, stop, out)`` of the closed form's scores."""
        rows = self.closed_form_history(history, scale)
        return lambda start, stop, out: rows.product(self.form_pieces[start], out)


class EstimateScores:
    """Scores read off the estimate of x_0 itself, where there is no ranking head.

    Parameters
    ----------
    space : chain space
    half_life : float or None
        With which the space reads aged histories.
    """

    read_hidden = False

    def __init__(self, space, half_life):
        self.space, self.half_life = space, half_life

    def tiles(self, estimate, history, scale, unseen=None, *, unknown=None, screen=False):
        """As `HeadScores.tiles`; ``unseen(dim)`` draws the noise that the space does not hold."""
        scores = self.space.decode(estimate[0], history.weighted(self.half_life), unseen)
        return Tiles(
            lambda start, stop, out: out.copy_(scores[:, start:stop]), len(scores), scores.device
        )


def guided_lists(model, *args, **options):
    """`_guided_lists`, whatever the host has set in torch; see there."""
    run = _guided_lists
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        run = in_own_state()(run)  # else the two decorators do, in less time
    return run(model, *args, **options)


@torch.inference_mode(False)
@torch.no_grad()
def _guided_lists(model, history, keys, scale, settings, k, *, filter_seen, items):
    """The k best items by `guided_scores`, which are never there as a whole.

    Parameters
    ----------
    model, history, keys, scale, settings
        As in `_inference.scoring`.
    k, filter_seen
        As in `streamed_topk`; the items of `history` are the seen ones.
    items : ItemFilter
        Of these users.

    Returns
    -------
    ids, top : ndarrays of int64 and float32, shape (n_rows, k)
        As from `masked_topk`.
    """
    shape = history.shape[0], k
    ids, top = np.empty(shape, np.int64), np.empty(shape, np.float32)
    for rows, process in reverse_processes(model, history, keys, scale, settings):
        seen = history[rows] if filter_seen else None
        tiles = process.tiles(process.last_estimate(), screen=model.screens)
        masks = items.of(rows).masks(seen)
        ids[rows], top[rows] = streamed_topk(tiles, history.shape[1], len(rows), k, **masks)
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
    widest = min(n_items, TILE_ITEMS)
    buffer = torch.empty(tiles.n_rows, widest, dtype=torch.float32, device=tiles.device)
    ids, top = torch.empty(0), torch.empty(0)
    for start, stop in tile_starts(n_items):
        scores = buffer[:, : stop - start]
        tiles.write(start, stop, scores)
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
    return _filled(ids[:n_rows], top[:n_rows], k)


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
        """Change `scores` (n_padded, stop − start) of a tile in place."""
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
