"""From the sampler's last estimate to item scores, one tile of items after the other."""

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn import functional as F

from .._network.spaces import ItemPath
from ..preprocessing import RECENCY_FLOOR

# A product's rounding may depend on where a column stands in it, so that tiles are always these.
# No power of two: rows of such a length share places in the cache, which costs a fifth.
TILE_ITEMS = 8000
_WIDTH_MULTIPLE = 16  # of the inner dimension of products; with others, rows round differently
_PATH_ENTRIES = 2**20  # of the sparse path, spread out at once: 8 MB
_REFINED_NUMBERS = 2**22  # of the table, gathered at once for scores in float32: 16 MB


def tile_starts(n_items):
    """(start, stop) of the tiles of a catalogue."""
    return [(first, min(first + TILE_ITEMS, n_items)) for first in range(0, n_items, TILE_ITEMS)]


class Tiles:
    """Scores of a block of rows, a tile at a time; exact as they are written.

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

    def __call__(self, start, stop, out):
        self.write(start, stop, out)

    def n_screened(self, k):
        """Among how many of the best scores the best k are."""
        return k

    def refined(self, start, stop, places, scores):
        """The exact scores at `places` (n_rows, m) of a tile, given those that were written."""
        return scores


class ScreeningTiles(Tiles):
    """Scores whose product is rounded to bfloat16, and exact ones of those that come near the top.

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
        super().__init__(None, len(features), features.device)
        self.features, self.pieces, self.low_pieces, self.rest = features, pieces, low_pieces, rest
        self.low_features = features.bfloat16()
        self.product = None

    def __call__(self, start, stop, out):
        self.product = self.low_features @ self.low_pieces[start]
        if self.rest is None:
            out.copy_(self.product)
        else:
            self.rest(start, stop, out)
            out += self.product

    def n_screened(self, k):
        return 4 * k + 32

    def refined(self, start, stop, places, scores):
        exact = torch.empty_like(scores)
        by_item = self.pieces[start].T
        n_at_once = max(1, _REFINED_NUMBERS // (places.shape[1] * by_item.shape[1]))
        for first in range(0, self.n_rows, n_at_once):
            rows = slice(first, first + n_at_once)
            exact[rows] = (by_item[places[rows]] @ self.features[rows, :, None])[..., 0]
        return scores - self.product.gather(1, places).float() + exact


class HeadReadout:
    """Scores of the ranking head: ``O·h + b``, and what does not pass through h.

    Guidance is affine in the estimates, so that guided h gives the guided scores. All that is
    linear is one product of (h, 1, 1 − scale) and a table that is made once per trained model.

    Parameters
    ----------
    denoiser : Denoiser
        With a ranking head.
    """

    def __init__(self, denoiser):
        head, offset = denoiser.write_items, denoiser.null_offset
        self.path, self.path_scale = denoiser.item_path, denoiser.path_scale
        self.half_life = denoiser.path_half_life
        if self.path_scale:
            offset = offset + self.path_scale * self.path.unknown
        table = torch.cat([head.weight.detach(), head.bias.detach()[:, None], offset[:, None]], 1)
        table = F.pad(table, (0, -table.shape[1] % _WIDTH_MULTIPLE))
        self.width = table.shape[1]
        # with items side by side, products of few rows are a third faster
        self.pieces = {
            start: table[start:stop].T.contiguous() for start, stop in tile_starts(len(table))
        }
        self.low_pieces, self.path_pieces = None, {}

    def tiles(self, estimate, bags, scale, unseen=None, *, low_precision=False):
        """`Tiles` of scores of all items.

        Parameters
        ----------
        estimate : tuple of float tensors
            x̂_0, and the guided last hidden layer (n, H).
        bags : Bags
            Histories.
        scale : float tensor (n, 1)
            Guidance scale.
        unseen : object
            Not used: noise does not reach the head but through h.
        low_precision : bool, default=False
            Whether the product is rounded to bfloat16.
        """
        features = torch.cat([estimate[1], torch.ones_like(scale), 1 - scale], dim=1)
        features = F.pad(features, (0, self.width - features.shape[1]))
        path = None
        if self.path_scale:
            bags = bags.aged(self.half_life, RECENCY_FLOOR)
            path = self._path_tiles(bags.scaled(self.path_scale * scale[:, 0]))
        if low_precision:
            if self.low_pieces is None:
                self.low_pieces = {first: part.bfloat16() for first, part in self.pieces.items()}
            return ScreeningTiles(features, self.pieces, self.low_pieces, path)

        def write(start, stop, out):
            if path is None:
                torch.mm(features, self.pieces[start], out=out)
            else:
                path(start, stop, out)
                out.addmm_(features, self.pieces[start])

        return Tiles(write, len(features), features.device)

    def _path_tiles(self, bags):
        """``write(start, stop, out)`` of D·c."""

        def write(start, stop, out):
            piece = self._path_piece(start, stop)
            if isinstance(piece, ItemPath):
                out.copy_(piece(bags))
            else:
                sparse_product(bags, piece, out)

        return write

    def _path_piece(self, start, stop):
        """Columns of D, kept: taking them costs more than using them."""
        if start not in self.path_pieces:
            path = self.path
            if path.sparse and path.weights.device.type == "cpu":
                piece = path.csr[:, start:stop]
            elif stop - start == path.n_items:
                piece = path
            else:
                D = path.csr if path.sparse else path.weights.cpu().numpy()
                nothing = np.zeros(len(path.unknown), np.float32)
                piece = ItemPath(D[:, start:stop], nothing).to(path.weights.device)
            self.path_pieces[start] = piece
        return self.path_pieces[start]


def sparse_product(bags, D, out):
    """Write rows times a sparse matrix to `out`: float32 (n_rows, D.shape[1]) on the CPU.

    A row of the result is a sum of weighted rows of D: these are laid end to end as one CSR row,
    whose double entries become sums where it is made dense.
    """
    n_rows = len(bags.offsets) - 1
    items, weights, offsets = (part.numpy() for part in bags)
    lengths = D.indptr[items + 1] - D.indptr[items]
    entries = np.concatenate([[0], lengths.cumsum(dtype=np.int64)])[offsets]
    first = 0
    while first < n_rows:
        last = int(np.searchsorted(entries, entries[first] + _PATH_ENTRIES, side="right")) - 1
        last = min(max(last, first + 1), n_rows)
        own = slice(offsets[first], offsets[last])
        rows = D[items[own]]
        rows.data *= np.repeat(weights[own], np.diff(rows.indptr))
        indptr = rows.indptr[offsets[first : last + 1] - offsets[first]]
        merged = sp.csr_array((rows.data, rows.indices, indptr), shape=(last - first, D.shape[1]))
        if out.is_contiguous():
            merged.toarray(out=out[first:last].numpy())
        else:
            out[first:last] = torch.from_numpy(merged.toarray())
        first = last


class SpaceReadout:
    """Scores read off the estimate of x_0 itself, where there is no ranking head.

    Parameters
    ----------
    space : chain space
    """

    def __init__(self, space):
        self.space = space

    def tiles(self, estimate, bags, scale, unseen=None, *, low_precision=False):
        """As `HeadReadout.tiles`; ``unseen(dim)`` draws what the chain's space leaves out."""
        scores = self.space.decode(estimate[0], bags, unseen)
        return Tiles(
            lambda start, stop, out: out.copy_(scores[:, start:stop]), len(scores), scores.device
        )
