"""Our loop around AdamW against torch's own optimizer."""

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._training import optimizer as optimizer_module
from skdiffrec._training import threads
from skdiffrec._training.optimizer import AdamW
from skdiffrec._utils.training_parameters import one_cycle


def gradients(seed, sparse):
    """Of a table of six rows: as it is taken, and dense. Rows come more than once, or never."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 5, (4,), generator=generator)
    values = torch.randn(4, 3, generator=generator)
    given = torch.sparse_coo_tensor(rows[None], values, (6, 3), check_invariants=True)
    return given if sparse else given.to_dense(), given.to_dense()


def test_the_rate_rises_fast_and_falls_slowly_to_nothing():
    rates = [one_cycle(share) for share in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert_allclose(rates, [0, 0.5, 1, 0.5, 0], atol=1e-12)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_steps_are_those_of_torch(sparse, large, monkeypatch):
    """Large parameters in parts, others not; tables with sparse gradients in pieces of a row."""
    monkeypatch.setattr(threads, "_LARGE", 1 if large else 100)
    monkeypatch.setattr(optimizer_module, "_PIECE", 3 if large else 100)
    start = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    idle = torch.nn.Parameter(start.clone())
    optimizer = AdamW([ours, idle], learning_rate=0.1, weight_decay=0.2)
    reference = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.2)
    for seed in range(5):
        optimizer.zero_grad()
        ours.grad, theirs.grad = gradients(seed, sparse)
        optimizer.step()
        reference.step()
        assert_allclose(ours.detach(), theirs.detach(), rtol=1e-5, atol=1e-6)
    assert_array_equal(idle.detach(), start)  # it never had a gradient
