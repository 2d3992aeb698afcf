"""What is known of users beside what they like, and how a model reads it."""

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import nn

from .._utils.user_features import scaled_features

_WORTH = 2.0  # κ: items of a history that are worth as much as features
_NETWORK_SHARE = 0.25  # of the network's part of what features say by themselves
_DISLIKED_NORM = 5.0  # length to which disliked items are scaled, where there are many
_FEW = 5.0  # so many are scaled to half of its square
_RATINGS = 5.0  # as of so many people, an item's odds are those of all items
_OF_ALL = -0.3  # of the odds with which others dislike an item, what a user's dislikes take over


class Known(NamedTuple):
    """What is known of the users of a batch, on a device."""

    history: Any  # SparseRows or AgedRows, or what stands for them in a serving graph
    user_features: Any = None  # SparseRows; None where the model reads none
    disliked: Any = None  # likewise
    wanted: Any = None  # SparseRows; None where nobody wants anything


class UserFeatures(nn.Module):
    """Two ways from features of users to scores: one through the network, one in closed form.

    The first adds ``U·f`` to what the first layer reads, or a null token where nothing is known.
    The second is linear, ``lift·(project·f − center)``, and solved before training. It is what
    features say by themselves; beside a history of n items the network knows better, and κ/(κ + n)
    of it is left.

    Parameters
    ----------
    n_features, width : int
        Shape of U.
    rank : int
        Of the closed form; 0 is none.
    n_items : int
    """

    factor: torch.Tensor  # float32 (n_features,): of the columns, as they are read
    project: torch.Tensor  # float32 (n_features, rank)
    center: torch.Tensor  # float32 (rank,)
    lift: torch.Tensor  # float32 (n_items, rank)

    def __init__(self, n_features, width, rank, n_items):
        super().__init__()
        self.table = nn.Parameter(torch.empty(n_features, width, dtype=torch.float32))
        self.null = nn.Parameter(torch.zeros(width, dtype=torch.float32))
        shapes = {
            "factor": (n_features,),
            "project": (n_features, rank),
            "center": (rank,),
            "lift": (n_items, rank),
        }
        for name, shape in shapes.items():
            make = torch.ones if name == "factor" else torch.zeros
            self.register_buffer(name, make(shape, dtype=torch.float32))

    @property
    def rank(self):
        return self.lift.shape[1]

    def network_scale(self, by_profile, by_history):
        """Scales (n,) of the network's branch of features, given those of the two conditions.

        Features alone are a small part of what the network is trained on: beside the closed form
        it adds a share of what it makes of them.
        """
        if not self.rank:
            return by_profile
        return by_history + _NETWORK_SHARE * (by_profile - by_history)

    @torch.no_grad()
    def keep(self, **buffers):
        """Take what was solved, ndarrays by the names of the buffers."""
        for name, value in buffers.items():
            value = torch.as_tensor(np.asarray(value, np.float32), device=self.lift.device)
            setattr(self, name, value.clone())  # its rank may be another than before

    def read(self, features, n_rows):
        """Canonical features as the model reads them, csr_array of float32; None is of nobody."""
        if features is None:
            return csr_array((n_rows, len(self.factor)), dtype=np.float32)
        return scaled_features(features, self.factor.cpu().numpy())

    def forward(self, features, known):
        """U·f (n, H), or the null token where `known` (n,) is false."""
        read = features.multiply(self.table)
        return torch.where(known[:, None], read, self.null)

    def columns(self, known, by_profile, by_history):
        """What `lift` is multiplied with at guidance scales (n,) of `Known` rows: (n, rank)."""
        read = known.user_features.multiply(self.project) - self.center
        lengths = known.history.lengths
        replaced = lengths / (lengths + _WORTH)
        left = (by_profile - by_history * replaced)[:, None]
        filled = known.user_features.filled[:, None]
        return torch.where(filled, left * read, torch.zeros_like(read))


class Disliked(nn.Module):
    """What the first layer reads of disliked items, from a table of their own, or a null token.

    Parameters
    ----------
    n_items, width : int
        Shape of the table.

    Attributes
    ----------
    odds : float tensor (n_items,)
        Logarithm of an item's odds of being disliked by who rates it, over those of all items; from
        `count`.
    """

    odds: torch.Tensor

    def __init__(self, n_items, width):
        super().__init__()
        self.register_buffer("odds", torch.zeros(n_items, dtype=torch.float32))
        self.table = nn.Parameter(torch.empty(n_items, width, dtype=torch.float32))
        self.null = nn.Parameter(torch.zeros(width, dtype=torch.float32))

    @torch.no_grad()
    def count(self, liked, disliked):
        """Learn the odds from how often items are liked and disliked, ndarrays (n_items,)."""
        share = disliked.sum() / (liked.sum() + disliked.sum())
        smooth = (disliked + _RATINGS * share) / (liked + _RATINGS * (1 - share))
        odds = np.log(smooth * (1 - share) / share) if 0 < share < 1 else np.zeros_like(liked)
        self.odds.copy_(torch.as_tensor(odds, dtype=torch.float32))

    def columns(self, disliked, scale):
        """What `odds` are multiplied with at guidance scales (n,) of `SparseRows`: (n, 1)."""
        return (_OF_ALL * scale).masked_fill(~disliked.filled, 0.0)[:, None]

    def forward(self, disliked, known):
        """What is read of `SparseRows`, (n, H), or the null token where `known` (n,) is false."""
        n = disliked.lengths
        of_few = (n / (n + _FEW)).sqrt()
        read = disliked.normalized(_DISLIKED_NORM).scaled(of_few).multiply(self.table)
        return torch.where(known[:, None], read, self.null)
