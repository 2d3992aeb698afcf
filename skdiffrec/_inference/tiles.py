"""From the sampler's last estimate to scores, a tile of the catalogue at a time."""

import torch
from torch.nn import functional as F

from .._utils.condition_names import DISLIKED, HISTORY, USER_FEATURES, WANTED
from .reverse_process import known_of_nobody
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
        columns = [bias, head.null_offset, form, head.popularity]
        table = torch.cat([weight, torch.stack(columns, 1)], 1)
        if user_features is not None:
            table = torch.cat([table, user_features.lift], 1)
        if disliked is not None:
            table = torch.cat([table, disliked.odds[:, None]], 1)
        self.low_rank = self.scale and closed_form.read is not None
        if self.low_rank:
            table = torch.cat([table, closed_form.write], 1)
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
            read = self.closed_form_history(known, scale)
            parts.append(read.multiply(self.closed_form.read))
        features = torch.cat(parts, dim=1)
        if unknown is not None:
            popular = F.pad(one, (h.shape[1] + 3, features.shape[1] - h.shape[1] - 4))
            features = torch.where(unknown, popular, features)
        return F.pad(features, (0, self.table.shape[1] - features.shape[1]))

    def by_condition(self, scale):
        """{condition: scales (n,)} of guidance scales (n, n_conditions)."""
        return dict(zip(self.conditions, scale.T, strict=True))

    def closed_form_history(self, known, scale):
        """What the closed form reads: weighted rows, times its factor and the guidance scale.

        Of disliked items it says what it would recommend to who likes them, and that is taken away.
        """
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
        features = self.features(estimate[1], known, scale, unknown)
        add = self._closed_form_tiles(known, scale) if self.scale else None
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

    def _closed_form_tiles(self, known, scale):
        """``write(start, stop, out)`` of the closed form's scores."""
        rows = self.closed_form_history(known, scale)
        return lambda start, stop, out: rows.product(self.form_pieces[start], out)


class EstimateScores:
    """Scores read off the estimate of x_0 itself, where there is no ranking head.

    Parameters
    ----------
    space : chain space
    half_life : float or None
        With which the space reads aged histories.
    wanted : WantedItems or None
    """

    read_hidden = False

    def __init__(self, space, half_life, wanted=None):
        self.space, self.half_life, self.wanted = space, half_life, wanted

    def tiles(self, estimate, known, scale, unseen=None, *, unknown=None, screen=False):
        """As `HeadScores.tiles`; ``unseen(dim)`` draws the noise that the space does not hold."""
        scores = self.space.decode(estimate[0], known.history.weighted(self.half_life), unseen)
        write = lambda start, stop, out: out.copy_(scores[:, start:stop])  # noqa: E731
        if known.wanted is not None:
            write = self.wanted.added_to(write, known.wanted, scale[:, -1])
        return Tiles(write, len(scores), scores.device)
