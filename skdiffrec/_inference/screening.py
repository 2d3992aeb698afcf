"""Tiles of scores whose product is made in bfloat16, where a device has it."""

import torch

_RESCORED_NUMBERS = 2**22  # of the table, gathered at once for scores in float32: 16 MB


class ScreeningTiles:
    """`Tiles` whose product is rounded to bfloat16; those near the top are rescored in float32.

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
        self.n_rows, self.device = len(features), features.device
        self.features, self.pieces, self.low_pieces, self.rest = features, pieces, low_pieces, rest
        self.low_features = features.bfloat16()
        self.product = torch.empty(0)

    def write(self, start, stop, out):
        """Write rounded scores of the items from `start` to `stop`."""
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
        n_rows, n_places = places.shape
        n_at_once = max(1, _RESCORED_NUMBERS // (n_places * by_item.shape[1]))
        for first in range(0, n_rows, n_at_once):
            rows = slice(first, min(first + n_at_once, n_rows))
            exact[rows] = (by_item[places[rows]] @ self.features[rows, :, None])[..., 0]
        return scores - self.product.gather(1, places).float() + exact
