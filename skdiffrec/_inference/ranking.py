"""From the sampler's last estimate to scores and lists, a tile of the catalogue at a time."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from .._network.sparse_rows import UserRows, to_device
from .._utils.condition_names import DISLIKED, HISTORY, USER_FEATURES, WANTED
from .._utils.host_state import in_own_state
from .._utils.topk import GROUP, best_columns, columns_above
from .reverse_process import known_of_nobody, reverse_processes
from .screening import ScreeningTiles

# A product's rounding may depend on where a column stands in it, so that tiles are always these.
# No power of two: rows of such a length share places in the cache, which costs a fifth.
TILE_ITEMS = 8000
_DISLIKED_WEIGHT = -0.1  # in the closed form, where that of liked items is 1
_WIDTH_MULTIPLE = 16  # of the inner dimension of products; with others, rows round differently


def tile_starts(n_items):
    """(start, stop) of the tiles of a catalogue."""
    return [(first, min(first + TILE_ITEMS, n_items)) for first in range(0, n_items, TILE_ITEMS)]


def widest_tile(n_items):
    """How many items the largest of them holds."""
    return min(n_items, TILE_ITEMS)


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
    user_features : UserFeatures or None
    disliked : Disliked or None
    conditions : tuple of str
        Of the model.
    wanted : WantedItems or None
    """

    read_hidden = True  # scores are read off the last hidden layer alone

    def __init__(
        self,
        head,
        closed_form,
        closed_form_scale,
        user_features=None,
        disliked=None,
        conditions=(HISTORY,),
        wanted=None,
    ):
        self.head, self.closed_form, self.scale = head, closed_form, closed_form_scale
        self.conditions, self.wanted = conditions, wanted
        self.user_features, self.disliked = user_features, disliked
        weight, bias = head.write.weight.detach(), head.write.bias.detach()
        form = torch.zeros_like(bias)
        if self.scale:
            form = self.scale * closed_form.unknown
        parts = [weight, torch.stack([bias, head.null_offset, form, head.popularity], 1)]
        if user_features is not None:
            parts.append(user_features.lift)
        if disliked is not None:
            parts.append(disliked.odds[:, None])
        self.low_rank = self.scale and closed_form.factors is not None
        if self.low_rank:
            parts.append(closed_form.write)
        tiles = tile_starts(len(weight))
        # with items side by side, products of few rows are a third faster
        self.pieces = {start: _side_by_side(parts, start, stop) for start, stop in tiles}
        self.width = len(self.pieces[0])
        self._low_pieces: dict[int, torch.Tensor] = {}
        self.form_pieces = {}
        if self.scale:
            self.form_pieces = {start: closed_form.columns(start, stop) for start, stop in tiles}

    @cached_property
    def table(self):
        """What `features` are multiplied with, float32 (n_items, width), for search and ONNX."""
        return torch.cat([piece.T for piece in self.pieces.values()])

    def features(self, h, known, scale, unknown=None, read=None):
        """What the table is multiplied with, as wide as it is.

        h, the last hidden layer as the head narrows it, 1, then 1 − scale of the history for what
        an unknown history has instead, what features of users say by themselves, and what is of
        low rank in the closed form, which has `read` so much. A row that is `unknown` has
        popularity alone.
        """
        by_condition = self.by_condition(scale)
        of_history = by_condition[HISTORY]
        one, h = torch.ones_like(of_history)[:, None], self.head.narrow(h)
        missing = 1 - of_history[:, None]
        parts = [h, one, missing, missing, torch.zeros_like(one)]
        if len(self.conditions) > 1:
            # where there is no history, what else is known changes popularity itself
            filled = known.history.filled[:, None]
            parts[2] = torch.where(filled, missing, one)
            parts[3] = torch.where(filled | known_of_nobody(known), missing, 0.0)
        if self.user_features is not None:
            of_both = by_condition[USER_FEATURES], of_history
            parts.append(self.user_features.columns(known, *of_both))
        if self.disliked is not None:
            parts.append(self.disliked.columns(known.disliked, by_condition[DISLIKED]))
        if self.low_rank:
            parts.append(read.multiply(self.closed_form.read))
        features = torch.cat(parts, dim=1)
        if unknown is not None:
            popular = F.pad(one, (h.shape[1] + 3, features.shape[1] - h.shape[1] - 4))
            features = torch.where(unknown, popular, features)
        return F.pad(features, (0, self.width - features.shape[1]))

    def by_condition(self, scale):
        """{condition: scales (n,)} of guidance scales (n, n_conditions)."""
        return dict(zip(self.conditions, scale.T, strict=True))

    def closed_form_history(self, known, scale):
        """What the closed form reads: weighted rows, times its factor and the guidance scale.

        Of disliked items it says what it would recommend to who likes them, and that is taken away.
        None where it has no part in the scores.
        """
        if not self.scale:
            return None
        form, by_condition = self.closed_form, self.by_condition(scale)
        history = known.history.weighted(form.half_life, form.floor)
        history = history.scaled(self.scale * by_condition[HISTORY])
        if known.disliked is None:
            return history
        return history.joined(
            known.disliked.scaled(_DISLIKED_WEIGHT * self.scale * by_condition[DISLIKED])
        )

    def tiles(self, estimate, known, scale, unseen=None, *, unknown=None, screen=False):
        """`Tiles` of scores of all items.

        Parameters
        ----------
        estimate : tuple of float tensors
            x̂_0, and the guided last hidden layer (n, H).
        known : Known
        scale : float tensor (n, n_conditions)
            Guidance scales.
        unseen : object
            Not used: noise reaches the head through h alone.
        unknown : bool tensor (n, 1), default=None
            Rows that get what is popular.
        screen : bool, default=False
            Whether the product is rounded to bfloat16.
        """
        read = self.closed_form_history(known, scale)
        features = self.features(estimate[1], known, scale, unknown, read)
        add = None
        if read is not None:
            add = lambda start, stop, out: read.product(self.form_pieces[start], out)  # noqa: E731
        if known.wanted is not None:
            empty = lambda start, stop, out: out.zero_()  # noqa: E731
            of_wanted = self.by_condition(scale)[WANTED]
            add = self.wanted.added_to(add or empty, known.wanted, of_wanted)
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


def _side_by_side(parts, start, stop):
    """Columns of `parts` (n_items, n) for some items, as rows; zeros fill up the last ones."""
    width = sum(part.shape[1] for part in parts)
    width += -width % _WIDTH_MULTIPLE
    piece = parts[0].new_zeros(width, stop - start)
    filled = 0
    for part in parts:
        piece[filled : filled + part.shape[1]] = part[start:stop].T
        filled += part.shape[1]
    return piece


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
