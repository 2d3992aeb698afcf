"""From the sampler's last estimate to scores and lists, a tile of the catalogue at a time."""

import numpy as np
import torch
from torch.nn import functional as F

from .._utils.user_rows import UserRows
from .host_state import in_own_state
from .reverse_process import reverse_processes
from .streaming import streamed_topk, tile_starts

_WIDTH_MULTIPLE = 16  # of the inner dimension of products; with others, rows round differently
_RESCORED_NUMBERS = 2**22  # of the table, gathered at once for scores in float32: 16 MB


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
    user_features : UserFeatures or None
    """

    read_hidden = True  # scores are read off the last hidden layer alone

    def __init__(self, head, closed_form, closed_form_scale, user_features=None):
        self.head, self.closed_form, self.scale = head, closed_form, closed_form_scale
        self.user_features = user_features
        weight, bias = head.write.weight.detach(), head.write.bias.detach()
        form = torch.zeros_like(bias)
        if self.scale:
            form = self.scale * closed_form.unknown
        columns = [bias, head.null_offset, form, head.popularity]
        table = torch.cat([weight, torch.stack(columns, 1)], 1)
        if user_features is not None:
            table = torch.cat([table, user_features.lift], 1)
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

    def features(self, h, known, scale, unknown=None):
        """What the table is multiplied with, as wide as it is.

        h, the last hidden layer as the head narrows it, 1, then 1 − scale of the history for what
        an unknown history has instead, and what features of users say by themselves. A row that is
        `unknown` has popularity alone.
        """
        of_history = scale[:, -1:]
        one, missing, h = torch.ones_like(of_history), 1 - of_history, self.head.narrow(h)
        parts = [h, one, missing, missing, torch.zeros_like(one)]
        if self.user_features is not None:
            columns = self.user_features.columns(known, scale)
            # features without a history change popularity itself
            profile_only = known.user_features.filled & ~known.history.filled
            parts[3] = missing.masked_fill(profile_only[:, None], 0.0)
            parts.append(columns)
        features = torch.cat(parts, dim=1)
        if unknown is not None:
            popular = F.pad(one, (h.shape[1] + 3, features.shape[1] - h.shape[1] - 4))
            features = torch.where(unknown, popular, features)
        return F.pad(features, (0, self.table.shape[1] - features.shape[1]))

    def closed_form_history(self, history, scale):
        """What the closed form reads: weighted rows, times its factor and the guidance scale."""
        form = self.closed_form
        return history.weighted(form.half_life, form.floor).scaled(self.scale * scale[:, -1])

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
        features = self.features(estimate[1], known, scale, unknown)
        add = self._closed_form_tiles(known.history, scale) if self.scale else None
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

    def tiles(self, estimate, known, scale, unseen=None, *, unknown=None, screen=False):
        """As `HeadScores.tiles`; ``unseen(dim)`` draws the noise that the space does not hold."""
        scores = self.space.decode(estimate[0], known.history.weighted(self.half_life), unseen)
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
    (n_rows, n_items), history = known.shape, known.history
    ids, top = np.empty((n_rows, k), np.int64), np.empty((n_rows, k), np.float32)
    for rows, process in reverse_processes(model, known, keys, scale, settings):
        seen = None
        if filter_seen:
            seen = history if len(rows) == n_rows else history[rows]
        tiles = process.tiles(process.last_estimate(), screen=model.screens)
        masks = items.of(rows).masks(seen)
        ids[rows], top[rows] = streamed_topk(tiles, n_items, len(rows), k, **masks)
    return ids, top
