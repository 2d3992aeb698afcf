"""Training of the networks in `_guided.py`: all that needs torch, loaded by a fit alone."""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import embedding_bag
from torch.optim.adamw import adamw

from .._utils.host_state import in_own_state, torch_threads
from .._utils.rows import entry_rows, rank_in_rows, select_entries
from .._utils.training_parameters import one_cycle


class Entries(NamedTuple):
    """The stored entries of a CSR as tensors."""

    rows: torch.Tensor  # int64 (nnz,)
    items: torch.Tensor  # int64 (nnz,)
    weights: torch.Tensor  # float32 (nnz,)
    offsets: torch.Tensor  # int64 (n_rows + 1,)

    @classmethod
    def of(cls, X):
        parts = entry_rows(X), X.indices, X.data, X.indptr
        dtypes = torch.int64, torch.int64, torch.float32, torch.int64
        return cls(*(torch.as_tensor(part, dtype=t) for part, t in zip(parts, dtypes, strict=True)))

    def scaled_to_1(self):
        """With rows of length 1."""
        squares = self.weights.new_zeros(len(self.offsets) - 1)
        squares.index_add_(0, self.rows, self.weights**2)
        return self._replace(weights=self.weights / squares.sqrt()[self.rows])

    def times(self, table):
        """The product (n_rows, width) with a table (n_items, width)."""
        return embedding_bag(
            self.items,
            table,
            self.offsets,
            mode="sum",
            per_sample_weights=self.weights,
            include_last_offset=True,
        )


class Batch(NamedTuple):
    """Rows cut in two: what a network is shown of them, and what it is to predict."""

    shown: Entries  # as the network reads histories
    known: torch.Tensor  # bool (n, 1): where false, the null token is read
    target: Entries
    masked: bool  # whether shown items are left out of the softmax
    generator: torch.Generator
    progress: float  # share of all steps

    def read(self, weights):
        """What the first layer reads (n, width): of the rows, or the null token."""
        read = self.shown.times(weights["read.weight"])
        return torch.where(self.known, read, weights["null"])

    def normal(self, width):
        """Standard normal numbers (n, width)."""
        shape = len(self.known), width
        return torch.randn(shape, dtype=torch.float32, generator=self.generator)

    def uniform(self):
        """Numbers (n, 1) drawn evenly from [0, 1)."""
        return torch.rand(self.known.shape, dtype=torch.float32, generator=self.generator)

    def dropout(self, h, share):
        """h with a share of its numbers set to 0 and the others enlarged."""
        keep = torch.empty_like(h).bernoulli_(1 - share, generator=self.generator)
        return h * keep.div_(1 - share)

    def log_likelihood(self, scores):
        """Log-likelihood (n,) of the targets in the softmax of scores (n, n_items), changed."""
        target = self.target
        size = scores.new_zeros(len(scores)).index_add(0, target.rows, target.weights)
        if self.masked:
            scores[self.shown.rows, self.shown.items] = -torch.inf
        picked = scores[target.rows, target.items] * target.weights
        found = torch.zeros_like(size).index_add(0, target.rows, picked)
        return found - size * scores.logsumexp(1)


def batches(X, read, *, target_share, cond_drop_prob, input_dropout, max_epochs, batch_size, seed):
    """`Batch` after `Batch`, the rows cut afresh in every epoch.

    Parameters
    ----------
    X : csr_array of float32, shape (n_rows, n_items)
        Weights of interactions.
    read : callable
        Makes of such a CSR what a network reads of histories.
    target_share : tuple of 2 floats
        Range of the share of a row that is the target and not shown; (0, 0) shows all, which is the
        target too.
    cond_drop_prob : float
        Share of the rows whose condition is the null token; they have the whole row as target.
    input_dropout : float
        Share of what is read that is set to 0, the rest being enlarged.
    max_epochs, batch_size, seed : int
    """
    X = X[np.flatnonzero(np.diff(X.indptr))]
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    n_steps, masked = -(-X.shape[0] // batch_size), target_share[1] > 0
    for epoch in range(max_epochs):
        known = rng.random(X.shape[0]) >= cond_drop_prob
        shown, target = X, X
        if masked:
            shown, target = _cut(X, known, target_share, rng)
            known &= np.diff(shown.indptr) > 0
        shown = read(shown)
        if input_dropout:
            keep = rng.random(shown.nnz) >= input_dropout
            shown.data *= keep / np.float32(1 - input_dropout)
        order = rng.permutation(X.shape[0])
        for step in range(n_steps):
            rows = order[step * batch_size : (step + 1) * batch_size]
            yield Batch(
                Entries.of(shown[rows]),
                torch.from_numpy(known[rows, None]),
                Entries.of(target[rows]),
                masked,
                generator,
                (epoch + (step + 0.5) / n_steps) / max_epochs,
            )


def _cut(X, known, target_share, rng):
    """(shown, target) of rows, drawn; of rows that are not known nothing is shown."""
    low, high = target_share
    length = np.diff(X.indptr)
    share = 1 - rng.uniform(low, high, X.shape[0])
    n_shown = np.minimum((share * length).astype(np.int64), length - 1) * known
    shown = rank_in_rows(X, rng.random(X.nnz)) < n_shown[entry_rows(X)]
    return select_entries(X, shown), select_entries(X, ~shown)


@in_own_state(gradients=True, device=True)
def train(loss, weights, fixed, batches, learning_rate):
    """Weights that make a loss small, {name: ndarray of float32}.

    Parameters
    ----------
    loss : callable
        ``loss(weights, batch, torch)`` gives a tensor of shape ().
    weights : dict of ndarray of float32
        To begin with.
    fixed : dict of ndarray of float32
        What the loss is given beside them.
    batches : iterable of Batch
    learning_rate : float
        The highest of Adam (arXiv 1412.6980): it rises and falls, see `one_cycle`.
    """
    learned = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
    given = learned | {name: torch.from_numpy(array) for name, array in fixed.items()}
    parameters = list(learned.values())
    with torch_threads(1):  # so that their number changes no bit
        first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        counts = [torch.zeros((), dtype=torch.float32) for _ in parameters]
        for batch in batches:
            gradients = list(torch.autograd.grad(loss(given, batch, torch), parameters))
            with torch.no_grad():
                # torch.optim.Adam would import torch's compiler, which takes seconds
                adamw(
                    parameters,
                    gradients,
                    first,
                    second,
                    [],
                    counts,
                    fused=True,
                    amsgrad=False,
                    beta1=0.9,
                    beta2=0.999,
                    lr=learning_rate * one_cycle(batch.progress),
                    weight_decay=0.0,
                    eps=1e-8,
                    maximize=False,
                )
    return {name: parameter.detach().numpy() for name, parameter in learned.items()}
