"""The network: linear where it meets item space, non-linear on a few hundred numbers in between.

    h = φ(W·s_t·x_t + U·c + time(t))        body, H numbers per user
    raw = R·h                               the estimate that drives the sampler (x_0, ε or v)
    scores = O·h + b                        ranking head, where there is one

c is the history as a reader gives it, linear in the items (`BagReader`, `OrderReader`); the null
token stands in place of U·c where it is unknown. Every estimate is linear in h, so guidance can act
on h, and item space is entered once, after the last step (`_inference.ranking`, where a closed-form
model joins).
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .._utils.condition_names import DISLIKED, HISTORY, USER_FEATURES, condition_names
from .layers import Linear
from .spaces import LatentSpace

TIME_DIM = 16  # of the time embedding
_HISTORY_NORM = 5.0  # length to which histories are scaled: some 25 items' worth
_SPANS = (0.125, 0.5, 2.0)  # half-lives of the bags in which an aged history is read
N_TABLES = len(_SPANS)
_VECTOR_DEVIATION = 0.1  # of items' vectors, where they have some of their own, at first
_START_LENGTH = 2.0  # of rows that start as directions, over what is drawn
_VECTOR_START_LENGTH = 0.7  # of items' vectors
_TURNS = 4 * math.pi  # angle that the fastest part of the time embedding covers


class Dropout(nn.Module):
    """Dropout that draws from a given generator instead of torch's global one."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x, generator):
        if not self.training or self.p == 0:
            return x
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=generator)
        return x * keep.div_(1 - self.p)


class ResidualBlock(nn.Module):
    """h + Linear(dropout(SiLU(Linear(norm(h)))))."""

    def __init__(self, width, dropout):
        super().__init__()
        self.norm = nn.LayerNorm(width, dtype=torch.float32)
        self.inner = Linear(width, width)
        self.dropout = Dropout(dropout)
        self.outer = Linear(width, width)

    def forward(self, h, generator):
        return h + self.outer(self.dropout(F.silu(self.inner(self.norm(h))), generator))


class FeedForwardLayer(nn.Module):
    """tanh(Linear(h)), for a change of width."""

    def __init__(self, width_in, width_out):
        super().__init__()
        self.linear = Linear(width_in, width_out)

    def forward(self, h, generator):
        return torch.tanh(self.linear(h))


class BagReader(nn.Module):
    """U·c of bags c, each of length 5; of aged histories a bag for each of three half-lives.

    How fast a part fades shows the order of the items.

    Parameters
    ----------
    n_items, width : int
        Shape of U.
    half_life : float or None
        Where given, histories are `AgedRows`.
    """

    item_dim: int | None = None  # items have no vectors beside U

    def __init__(self, n_items, width, half_life):
        super().__init__()
        self.half_lives = [None] if half_life is None else [half_life * s for s in _SPANS]
        self.tables = nn.ParameterList(
            torch.empty(n_items, width, dtype=torch.float32) for _ in self.half_lives
        )

    def forward(self, history, items=None, generator=None):
        """U·c (n, H) of `SparseRows` or `AgedRows`; items have no vectors beside U."""
        return sum(
            history.weighted(half_life).normalized(_HISTORY_NORM).multiply(table)
            for half_life, table in zip(self.half_lives, self.tables, strict=True)
        )


@torch.no_grad()
def _start_alike(table, V, length=_START_LENGTH):
    """Let items that the same users have start with rows of a table (n_items, H) that are alike.

    The first columns become the directions of the items' singular vectors V (n_items, dim),
    `length` times as long as what was drawn.
    """
    n_columns = min(V.shape[1], table.shape[1])
    directions = F.normalize(V[:, :n_columns])  # an item that nobody has stays without
    spread = directions.std() if directions.numel() > 1 else 0.0
    if spread > 0:
        table[:, :n_columns] = directions * (length * table.std() / spread)


def sinusoidal(share, dim):
    """Sinusoidal embedding (n, dim) of shares t/T (n,) of all timesteps (Vaswani et al. 2017).

    Two turns at the most over all of them: however many there are, neighbours are alike.
    """
    half = (dim + 1) // 2
    steps = torch.arange(half, device=share.device, dtype=torch.float32)
    angle = _TURNS * share[:, None] * torch.exp(-math.log(10_000) * steps / half)
    return torch.cat([angle.cos(), angle.sin()], dim=1)[:, :dim]


class Denoiser(nn.Module):
    """Two-branch denoiser with linear ends; see the module's docstring.

    Parameters
    ----------
    n_items : int
    reader : BagReader or OrderReader
        Of histories.
    space : ItemSpace or LatentSpace
        Where x_t lives.
    hidden_dims : sequence of int
        Widths; a layer as wide as the one before it is residual.
    n_timesteps : int
        T.
    dropout : float
    head : RankingHead or EstimateHead
    user_features : UserFeatures, default=None
    disliked : Disliked, default=None
        Readers of what is known of users beside their histories.
    time_dim : int

    Attributes
    ----------
    conditions : tuple of str
        In the order of the chain in which guidance is composed.
    """

    def __init__(
        self,
        n_items,
        reader,
        space,
        hidden_dims,
        *,
        n_timesteps,
        dropout,
        head,
        user_features=None,
        disliked=None,
        time_dim=TIME_DIM,
    ):
        super().__init__()
        self.n_items, self.space, self.time_dim = n_items, space, time_dim
        self.hidden_dims, self.n_timesteps = tuple(hidden_dims), n_timesteps
        first, last = hidden_dims[0], hidden_dims[-1]
        self.read_history, self.user_features, self.disliked = reader, user_features, disliked
        self.conditions = condition_names(*self.besides)
        self.null = nn.Parameter(torch.zeros(first, dtype=torch.float32))
        self.read_state = Linear(space.dim, first, bias=False)
        self.read_time = Linear(time_dim, first)
        self.body = nn.ModuleList(
            ResidualBlock(b, dropout) if a == b else FeedForwardLayer(a, b)
            for a, b in zip(hidden_dims[:-1], hidden_dims[1:], strict=True)
        )
        self.dropout = Dropout(dropout)
        self.write_state = Linear(last, space.dim)
        self.head = head

    @property
    def device(self):
        return self.null.device

    @property
    def besides(self):
        """Readers of what is known beside the history, by the names of the conditions."""
        readers = {USER_FEATURES: self.user_features, DISLIKED: self.disliked}
        return {name: reader for name, reader in readers.items() if reader is not None}

    @property
    def item_dim(self):
        """Length of the items' vectors where histories are read in order; else None."""
        return self.read_history.item_dim

    def initialize(self, generator, item_counts, n_users):
        """Draw the weights; a ranking head starts from the items' popularity."""
        vectors = ("head.items", "head.write.weight") if self.item_dim else ()
        for name, parameter in self.named_parameters():
            if name in vectors:
                nn.init.normal_(parameter, std=_VECTOR_DEVIATION, generator=generator)
            elif parameter.ndim == 2:
                gain = 0.3 if name == "head.write.weight" else 1.0
                nn.init.xavier_normal_(parameter, gain, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        if isinstance(self.space, LatentSpace):
            self._start_alike(self.space.V)
        if self.item_dim and self.head.ranks and self.hidden_dims[0] == self.hidden_dims[-1]:
            self.head.look_for(self.read_history.weights_of_sums())
        self.head.initialize(item_counts, n_users)

    def _start_alike(self, V):
        """Let items that the same users have be read and scored alike, by singular vectors V."""
        if self.item_dim is not None:
            _start_alike(self.head.items, V, _VECTOR_START_LENGTH)
        elif len(self.read_history.tables) == 1:  # of bags by age no gain was seen
            _start_alike(self.read_history.tables[0], V)
            if self.head.ranks:
                _start_alike(self.head.write.weight, V)

    def condition(self, history, known=None, generator=None):
        """U·c (n, H) of histories; the null token where `known` (n,) is false."""
        items = None if self.item_dim is None else self.head.items
        u = self.read_history(history, items, generator)
        return u if known is None else torch.where(known[:, None], u, self.null)

    def network_scales(self, scale):
        """Scales of the network's own branches for guidance scales (n, n_conditions)."""
        scale = scale[:, : len(self.conditions)]  # of what is wanted the network knows nothing
        if not self.besides:
            return scale
        by_condition = dict(zip(self.conditions, scale.T, strict=True))
        if self.user_features is not None:
            of_both = by_condition[USER_FEATURES], by_condition[HISTORY]
            by_condition[USER_FEATURES] = self.user_features.network_scale(*of_both)
        if self.disliked is not None:  # what is disliked says what is of interest, too
            by_condition[DISLIKED] = by_condition[HISTORY]
        kind = torch if isinstance(scale, torch.Tensor) else np
        return kind.stack(list(by_condition.values()), 1)

    def unconditional(self, n):
        """The null tokens for n rows, (n, H)."""
        null = self.null
        for reader in self.besides.values():
            null = null + reader.null
        return null.expand(n, -1)

    def chain(self, known):
        """What is read where only the first 0, 1, ... of the conditions are, each (n, H).

        `known` are the rows as `Known`; what is not known of a row is read as its null token.
        """
        read, null = {HISTORY: self.condition(known.history)}, {HISTORY: self.null}
        for name, reader in self.besides.items():
            rows = getattr(known, name)
            read[name], null[name] = reader(rows, rows.filled), reader.null
        # no constant where a graph is traced
        branches = [self.unconditional(read[HISTORY].shape[0])]
        for j in range(1, len(self.conditions) + 1):
            first = self.conditions[:j]
            branches.append(sum((read if name in first else null)[name] for name in read))
        return branches

    def forward(self, x_t, t, scale, u, generator=None):
        """(raw, h): the raw estimate (n, space.dim) and the last hidden layer (n, H).

        Parameters
        ----------
        x_t : float tensor (n, space.dim)
        t : int64 tensor (n,)
        scale : float tensor (n, 1)
            Of x_t, from `Diffusion.input_scale`.
        u : float tensor (n, H)
            From `condition` or `unconditional`.
        generator : torch.Generator
            For dropout, in training.
        """
        h = self.hidden(self.read_state(scale * x_t) + u + self.time(t), generator)
        return self.write_state(h), self.dropout(h, generator)

    def time(self, t):
        """What timesteps t (n,) add to what the first layer reads, (n, H)."""
        return self.read_time(sinusoidal(t.float() / self.n_timesteps, self.time_dim))

    def hidden(self, read, generator=None):
        """The last hidden layer (n, H) for `read` = s_t·W·x_t + U·c + time(t), (n, H).

        `read` is overwritten.
        """
        h = read.tanh_()
        for layer in self.body:
            h = layer(h, generator)
        return h

    @torch.no_grad()
    def calibrate(self, item_counts, timestep, scale):
        """Let the unconditional branch rank by popularity, which the null token only comes near.

        Parameters
        ----------
        item_counts : ndarray of shape (n_items,)
        timestep : int
            The last one, where sampling starts.
        scale : float tensor (1, 1)
            Of x_t there.
        """
        t = torch.full((1,), timestep, device=self.device)
        start = torch.zeros(1, self.space.dim, dtype=torch.float32, device=self.device)
        h = self(start, t, scale, self.unconditional(1))[1]
        self.head.calibrate(h, item_counts)

    def item_vectors(self):
        """The items' rows of the layer that scores them, an ndarray (n_items, H).

        A softmax does not see what is common to all of them: that is left out.
        """
        vectors = self.head.item_vectors(self)
        return (vectors - vectors.mean(0)).detach().cpu().numpy()
