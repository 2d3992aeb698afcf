"""Whole histories that are read at many moments together, in training."""

from typing import NamedTuple

import torch
from torch.nn import functional as F

_CHUNK = 64  # places whose sums are one product


class Prefixes(NamedTuple):
    """Rows of items in order of time, laid end to end, and moments at which they are cut."""

    items: torch.Tensor  # int64 (n_places,)
    place: torch.Tensor  # int64 (n_places,): in the row, from 0
    stands: torch.Tensor | None  # int64 (n_places,): the last place of the same time; None: its own
    cuts: torch.Tensor  # int64 (n_cuts,): the last place before each cut

    def parts(self, vectors, n_latest, decays):
        """What is read before every cut, as `AgedRows.sums` gives it: (n_cuts, n_parts, d).

        Parameters
        ----------
        vectors : float tensor (n_places, d)
            Of the items.
        n_latest : int
        decays : sequence of float
        """
        if self.stands is not None:
            vectors = torch.zeros_like(vectors).index_add(0, self.stands, vectors)
        back = torch.arange(n_latest, device=vectors.device)
        there = back <= self.place[self.cuts][:, None]
        latest = F.pad(vectors, (0, 0, 1, 0))[(self.cuts[:, None] + 1 - back) * there]
        return torch.cat([latest, self._fading(vectors, decays)[self.cuts]], 1)

    def _fading(self, vectors, decays):
        """√(1 − r²)·Σ r^(age − 1)·vector at every place, (n_places, n_decays, d).

        In chunks, by a product each; what came before a chunk is added in turn.
        """
        n, dim = vectors.shape
        n_chunks = -(-n // _CHUNK)
        missing = n_chunks * _CHUNK - n
        vectors = F.pad(vectors, (0, 0, 0, missing)).view(n_chunks, _CHUNK, dim)
        place = F.pad(self.place, (0, missing)).view(n_chunks, _CHUNK)
        i = torch.arange(_CHUNK, device=vectors.device)
        back = i[:, None] - i
        own = (back >= 0) & (back <= place[:, :, None])  # of the same row
        carried = place > i  # the row began before the chunk
        r = torch.tensor(decays, dtype=torch.float32, device=vectors.device)
        kernel = (1 - r * r).sqrt() * r ** back.clamp(min=0)[:, :, None].float()
        kernel = own[:, :, None] * kernel.transpose(1, 2)
        within = torch.bmm(kernel.flatten(1, 2), vectors).unflatten(1, (_CHUNK, len(decays)))
        fade = carried[:, :, None] * r ** (i + 1)[:, None].float()
        return _carried(within, fade[..., None]).flatten(0, 1)[:n]


def _carried(within, fade):
    """Add to every chunk what the chunks before it leave at its beginning."""
    chunks, last = [], torch.zeros_like(within[0, 0])
    for inside, factor in zip(within.unbind(), fade.unbind(), strict=True):
        chunks.append(torch.addcmul(inside, factor, last))
        last = chunks[-1][-1]
    return torch.stack(chunks)
