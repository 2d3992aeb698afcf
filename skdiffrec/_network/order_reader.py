"""How the network reads a history in order: the latest items one by one, the rest as sums."""

import math

from torch import nn
from torch.nn import functional as F

from .denoiser import Dropout
from .layers import Linear
from .prefixes import Prefixes

_SPANS = (0.5, 1.5, 7.0)  # of the half-life, of the sums
_N_LATEST = 6


class OrderReader(nn.Module):
    """The latest items, each by weights of its own, and the rest as sums that fade.

    Every item has a vector e, which the head gives. What is read is linear in the items,
    ``Σ_j L_j·e(item of age j) + Σ_r S_r·√(1 − r²)·Σ_i r^(age of i − 1)·e_i``, for the ages 1 to 6
    and three decays r. Items of one time are of one age, neither before nor after one another.

    Parameters
    ----------
    width : int
        H.
    item_dim : int
        Length of the items' vectors.
    half_life : float
        The sums' half-lives are .5, 1.5 and 7 times this.
    dropout : float
        Of the vectors, in training.
    """

    def __init__(self, width, item_dim, half_life, dropout):
        super().__init__()
        self.item_dim = item_dim
        self.decays = [0.5 ** (1 / (half_life * span)) for span in _SPANS]
        n_parts = _N_LATEST + len(self.decays)
        self.mix = Linear(n_parts * item_dim, width, bias=False)
        self.dropout = Dropout(dropout)

    def weights_of_sums(self):
        """By which the sums are read, Σ_r S_r (H, item_dim)."""
        weights = self.mix.weight.detach().unflatten(1, (-1, self.item_dim))
        return weights[:, _N_LATEST:].sum(1)

    def forward(self, history, items, generator=None):
        """What is read (n, H) of `AgedRows`, or of `Prefixes` at each of their cuts.

        `items` (n_items, item_dim) are the items' vectors.
        """
        if isinstance(history, Prefixes):
            vectors = F.embedding(history.items, items, sparse=len(history.items) < len(items))
            parts = history.parts(self.dropout(vectors, generator), _N_LATEST, self.decays)
        else:
            parts = history.sums(age_weights(history.ages, _N_LATEST, self.decays), items)
        return self.mix(parts.flatten(1))


def age_weights(ages, n_latest, decays):
    """Weights of items by age, one float tensor like `ages` for each part that is read."""
    latest = [(ages == age).float() for age in range(1, n_latest + 1)]
    # in float32 a power's last digit depends on where in the tensor it stands
    older = ages.double() - 1
    return latest + [(math.sqrt(1 - r * r) * r**older).float() for r in decays]
