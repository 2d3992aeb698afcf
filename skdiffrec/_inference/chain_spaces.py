"""Spaces in which the steps of sampling can run: linear images of x_t from which W·x_t is known.

A step ``x_{t'} = p·x̂_0 + q·x_t + r·z`` is linear in x̂_0, x_t and z, and so is guidance. It may
therefore run on any linear image of x_t from which the network can be fed: on W·x_t itself (H
numbers a row), where x_t is wider than that.
"""

import torch
from torch.nn import functional as F

from .._network.spaces import ItemSpace


def chain_space(denoiser, reference=False):
    """The space for a denoiser: the narrowest that is exact, or item space for reference."""
    if reference:
        return ItemChainSpace(denoiser)
    # where scores are read off x̂_0, the hidden space can give back a row itself, not its image
    readable = denoiser.head.ranks or isinstance(denoiser.space, ItemSpace)
    if readable and denoiser.space.dim > denoiser.read_state.out_features:
        return HiddenChainSpace(denoiser)
    return OwnChainSpace(denoiser)


class OwnChainSpace:
    """The denoiser's own space.

    Attributes
    ----------
    dim : int
        Numbers that the space has for a row.
    noise_dim : int
        Standard normal numbers that a row's noise is made of.
    """

    def __init__(self, denoiser):
        self.space, self.read_state, self.write_state = (
            denoiser.space,
            denoiser.read_state,
            denoiser.write_state,
        )
        self.dim = self.noise_dim = self.space.dim

    def noise(self, z):
        """Noise (n, d) from standard normal numbers z (n, noise_dim)."""
        return z

    def encode(self, rows):
        """x_0 (n, d) of rows."""
        return self.space.encode(rows)

    def read(self, x, out=None):
        """W·x_t (n, H), written to `out` where it is computed here and `out` is given."""
        return torch.mm(x, self.read_state.weight.T, out=out)

    def write(self, h, out=None):
        """The raw estimate (n, d) of a last hidden layer (n, H); `out` as in `read`."""
        return torch.addmm(self.write_state.bias, h, self.write_state.weight.T, out=out)

    def decode(self, x_0, history, unseen=None):
        """Item scores of an estimate (n, d)."""
        return self.space.decode(x_0)


class ItemChainSpace(OwnChainSpace):
    """Item space: the reference, every step of which has one number per item."""

    def __init__(self, denoiser):
        super().__init__(denoiser)
        self.dim = denoiser.n_items

    def noise(self, z):
        return self.space.lift(z)

    def encode(self, rows):
        return self.space.lift(self.space.encode(rows))

    def read(self, x, out=None):
        return self.read_state(self.space.project(x))

    def write(self, h, out=None):
        return self.space.lift(self.write_state(h))

    def decode(self, x_0, history, unseen=None):
        return self.space.decode(self.space.project(x_0))


class HiddenChainSpace(OwnChainSpace):
    """W·x_t, where x_t is the row itself.

    With W the read-in and R·h + b the raw estimate, W·R and W·b stand for R and b, and noise is
    ``W·z ~ N(0, W·Wᵀ)``. Where scores are read off x̂_0 itself (no ranking head), a row also keeps
    what its x_t is made of: ``x_t = R·a + β·b + η·x_0 + noise``, of which a, β, η and W·noise go
    through the steps beside W·x_t. Item space is then entered once, at the end, and the part of the
    noise that W does not see is drawn there.
    """

    def __init__(self, denoiser):
        super().__init__(denoiser)
        W, state = self.read_state.weight.detach().double(), self.write_state
        self.width, self.ranks = W.shape[0], denoiser.head.ranks
        self.noise_dim = self.width
        self.dim = self.width if self.ranks else 3 * self.width + 2
        self.mixed = (W @ state.weight.detach().double()).float()
        self.bias = (W @ state.bias.detach().double()).float()
        self.table = W.T.float().contiguous()
        values, vectors = torch.linalg.eigh(W @ W.T)
        values = values.clamp(min=0)
        self.root = (vectors * values.sqrt()).float()
        # of rank H at the most: the directions that W does not see have no inverse
        seen = values > values.max() * 1e-10
        inverse = torch.where(seen, 1 / values.where(seen, torch.ones_like(values)), 0.0)
        self.lift_noise = ((vectors * inverse) @ vectors.T @ W).float()  # pseudo-inverse, as (H, m)

    def _beside(self, g, hidden=None, bias=0.0, history=0.0, noise=None):
        """W·x and, where they are kept, what x is made of: a, β, η, W·noise."""
        if self.ranks:
            return g
        nothing = torch.zeros_like(g)
        ends = g.new_tensor([[bias, history]]).expand(len(g), 2)
        parts = (
            g,
            nothing if hidden is None else hidden,
            ends,
            nothing if noise is None else noise,
        )
        return torch.cat(parts, dim=1)

    def noise(self, z):
        g = z @ self.root.T
        return self._beside(g, noise=g)

    def encode(self, rows):
        if isinstance(self.space, ItemSpace):
            return self._beside(rows.multiply(self.table), history=1.0)
        return self._beside(self.space.encode(rows) @ self.table, history=1.0)

    def read(self, x, out=None):
        return x[:, : self.width]

    def write(self, h, out=None):
        return self._beside(F.linear(h, self.mixed, self.bias), hidden=h, bias=1.0)

    def decode(self, x_0, history, unseen=None):
        """Item scores; ``unseen(m)`` draws noise (n, m), of which the part that W does not see is
        added.
        """
        width, state = self.width, self.write_state
        hidden, noise = x_0[:, width : 2 * width], x_0[:, -width:]
        bias, of_history = x_0[:, 2 * width, None], x_0[:, 2 * width + 1, None]
        scores = hidden @ state.weight.T + bias * state.bias
        if of_history.any():
            scores += of_history * self.space.encode(history)
        if unseen is not None:
            z = unseen(scores.shape[1])
            scores += z
            noise = noise - z @ self.table
        return scores + noise @ self.lift_noise if noise.any() else scores
