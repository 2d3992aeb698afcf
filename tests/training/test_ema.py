"""The running average of the weights."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from training_problems import assert_weights

from skdiffrec._training.ema import EMA


def test_ema_is_the_weighted_sum_of_its_past():
    module = nn.Linear(2, 1, bias=False)
    past = [torch.full((1, 2), float(value)) for value in (5, 1, -2, 3, 8, 13)]
    module.weight.data = past[0].clone()
    ema = EMA(module, 0.3)
    for weights in past[1:]:
        module.weight.data = weights.clone()
        ema.update()
    # decay of step n: min(0.3, n / (n + 9)) = 0.1, 2/11, 0.25, 0.3, 0.3
    decays = [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]
    shares = [(1 - (decays[i - 1] if i else 0)) * math.prod(decays[i:]) for i in range(len(past))]
    assert_allclose(sum(shares), 1)
    expected = sum(share * float(w[0, 0]) for share, w in zip(shares, past, strict=True))
    assert_allclose(ema.average[0], [[expected] * 2], rtol=1e-5)
    assert_array_equal(module.weight.detach(), past[-1])


def test_ema_without_decay_is_the_module_itself():
    module = nn.Linear(3, 2)
    ema = EMA(module, 0.0)
    nn.init.ones_(module.weight)
    ema.update()
    for average, parameter in zip(ema.average, module.parameters(), strict=True):
        assert_array_equal(average, parameter.detach())


def averaged(seed=0):
    """A module in training mode whose average differs from it, and the two sets of weights."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).train()
    ema = EMA(module, 0.9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    ema.update()
    return module, ema, [p.detach().clone() for p in module.parameters()]


@pytest.mark.parametrize("fails", [False, True])
def test_applied_weights_are_given_back_even_after_an_error(fails):
    module, ema, trained = averaged()
    average = ema.snapshot()
    try:
        with ema.applied() as inside:
            assert inside is module and not module.training
            assert_weights(module, average)
            assert not np.allclose(average[0], trained[0])
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert_weights(module, trained)
    assert_weights_are(ema.average, average)


def assert_weights_are(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)


def test_parameters_stay_the_optimizers_own():
    module, ema, _ = averaged()
    before = list(module.parameters())
    with ema.applied():
        pass
    ema.load()
    assert all(a is b for a, b in zip(before, module.parameters(), strict=True))


def test_buffers_are_shared():
    module, ema, _ = averaged()
    module[1].running_mean.fill_(7.0)
    with ema.applied():
        assert_array_equal(module[1].running_mean, [7, 7])
        module[1].running_mean.fill_(8.0)
    assert_array_equal(module[1].running_mean, [8, 8])


def test_a_snapshot_does_not_move_on():
    module, ema, _ = averaged()
    snapshot = ema.snapshot()
    kept = [w.clone() for w in snapshot]
    ema.update()
    assert_weights_are(snapshot, kept)
    assert not np.allclose(ema.average[0], kept[0])


def test_load_gives_the_module_the_average_or_older_weights_for_good():
    module, ema, _ = averaged()
    snapshot = ema.snapshot()
    ema.update()
    ema.load()
    assert_weights(module, ema.average)
    assert not module.training
    ema.load(snapshot)
    assert_weights(module, snapshot)
    with torch.no_grad():
        module[0].weight.zero_()
    assert snapshot[0].abs().min() > 0  # a copy: what was loaded does not follow
