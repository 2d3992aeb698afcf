"""How items are ranked: by a head of their own, or by the estimate of x_0 itself."""

import numpy as np
import torch
from torch import nn

from .layers import Linear


class RankingHead(nn.Module):
    """Scores O·h + b of all items, trained on the likelihood of the target items.

    Parameters
    ----------
    width : int
        H, of the last hidden layer.
    n_items : int
    item_dim : int or None
        Where given, O is a product of rank `item_dim`: every item has a vector, by which it is read
        in histories too.
    """

    ranks = True
    evaluation_steps = 1  # of sampling, while a model is trained
    last_timestep_share = 0.5  # of the training rows: sampling starts there, and may end there

    null_offset: torch.Tensor  # float32 (n_items,)
    popularity: torch.Tensor  # float32 (n_items,)

    def __init__(self, width, n_items, item_dim=None):
        super().__init__()
        self.narrow: nn.Module = nn.Identity()
        if item_dim is not None:
            self.last_timestep_share = 0.9  # most of what is learned is learned there
            self.narrow = Linear(width, item_dim)
        self.write = Linear(item_dim or width, n_items)
        # added to the scores of the unconditional branch, from `calibrate`
        self.register_buffer("null_offset", torch.zeros(n_items, dtype=torch.float32))
        # the scores of a row without history
        self.register_buffer("popularity", torch.zeros(n_items, dtype=torch.float32))

    @property
    def items(self):
        """The items' vectors (n_items, d)."""
        return self.write.weight

    @torch.no_grad()
    def initialize(self, item_counts, n_users):
        """Start from the items' popularity."""
        share = torch.as_tensor(item_counts, dtype=torch.float32) / n_users
        self.write.bias.copy_(0.5 * torch.log(share + 1e-4))

    @torch.no_grad()
    def look_for(self, read):
        """Start by looking for items like those that were read by weights (H, item_dim)."""
        weight = self.get_parameter("narrow.weight")
        weight.copy_(read.T * (weight.std() / read.std()))

    @torch.no_grad()
    def calibrate(self, h, item_counts):
        """Let the scores of a hidden layer h (1, H), that of the null token, be popularity."""
        scores = self.write(self.narrow(h))[0]
        self.null_offset.copy_(_log_share(item_counts).to(h.device) - scores)

    def keep_popularity(self, popularity):
        """What a user without history gets: users per item, an ndarray (n_items,)."""
        # below the least, so that users of tiny weights rank items as others do
        smoothing = 0.5 * popularity[popularity > 0].min(initial=1.0)
        scores = _log_share(popularity, smoothing).numpy()
        # logarithms of neighbours can round to one number: the lower then gets the next below
        different, place = np.unique(-popularity, return_inverse=True)
        size = np.empty(len(different), np.float32)
        size[place] = np.abs(scores)
        step = np.arange(len(different), dtype=np.int32)
        size = np.maximum.accumulate(size.view(np.int32) - step) + step
        self.popularity.copy_(torch.from_numpy(-size.view(np.float32)[place]))

    @torch.no_grad()
    def keep_items(self, before, items):
        """Rank some items, bool (n_items,), by what another head of this kind knows of them."""
        items = torch.as_tensor(items, device=self.null_offset.device)
        for own, theirs in (
            (self.write.weight, before.write.weight),
            (self.write.bias, before.write.bias),
            (self.null_offset, before.null_offset),
        ):
            own[items] = theirs[items]

    def item_vectors(self, denoiser):
        """The vectors (n_items, d) whose products with what `narrow` gives are the scores."""
        return self.write.weight


def _log_share(counts, smoothing=0.5):
    """Logarithm of the items' shares, a float32 tensor (n_items,)."""
    counts = counts.astype(np.float64) + smoothing
    return torch.as_tensor(np.log(counts / counts.sum()), dtype=torch.float32)


class EstimateHead(nn.Module):
    """No head: items are ranked by the estimate of x_0 that drives the sampler.

    Parameters
    ----------
    n_items : int
    item_dim : int or None
        Length of the vectors by which items are read in histories, where they have some.
    """

    ranks = False
    evaluation_steps = 10
    last_timestep_share = 0.0

    def __init__(self, n_items, item_dim=None):
        super().__init__()
        self.items: nn.Parameter | None = None
        if item_dim is not None:
            self.items = nn.Parameter(torch.empty(n_items, item_dim, dtype=torch.float32))

    def initialize(self, item_counts, n_users):
        """Nothing to start from."""

    def calibrate(self, h, item_counts):
        """Nothing to calibrate."""

    def keep_popularity(self, popularity):
        """Nothing to keep: a row without history is scored by what the sampler makes of noise."""

    def keep_items(self, before, items):
        """Nothing to keep: items are ranked by a space that does not change."""

    def item_vectors(self, denoiser):
        """The vectors (n_items, H) whose products with h are the differences of the scores."""
        return denoiser.space.lift(denoiser.write_state.weight.T).T
