"""The training loop: a small problem is learned, the best epoch is kept."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from training_problems import (
    N_ITEMS,
    assert_weights,
    marked_rows,
    small_problem,
    to_csr,
    training_rows,
)

from skdiffrec._diffusion.process import PREDICTION_TYPES
from skdiffrec._training.ema import EMA
from skdiffrec._training.loop import EpochRecord, batch_loss, epochs, train
from skdiffrec._training.optimizer import AdamW
from skdiffrec._utils.training_parameters import one_cycle


def test_training_on_drawn_items_learns():
    problem = small_problem()
    X = to_csr(marked_rows(8, N_ITEMS, 5))
    before = loss_at_rest(*problem[:2], X)
    train(*problem, None, [], ema_decay=0.9, max_epochs=40, **LOOP | {"n_loss_items": 8})
    assert loss_at_rest(*problem[:2], X) < 0.8 * before


def loss_at_rest(denoiser, diffusion, X):
    """The loss of fixed cuts with fixed noise."""
    rows = training_rows(X, seed=77)
    losses = [
        float(
            batch_loss(
                denoiser,
                diffusion,
                rows.cut(torch.arange(8)),
                masked=True,
                generator=rows.generator,
            ).detach()
        )
        for _ in range(20)
    ]
    return float(np.mean(losses))


@pytest.mark.slow
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("ranking", [False, True])
def test_a_small_problem_is_learned(ranking, prediction_type):
    denoiser, diffusion, rows = small_problem(ranking, prediction_type)
    X = to_csr(marked_rows(8, N_ITEMS, 5))
    before = loss_at_rest(denoiser, diffusion, X)
    optimizer = AdamW(denoiser.parameters(), learning_rate=5e-3, weight_decay=0.01)
    records = list(
        epochs(
            denoiser,
            diffusion,
            rows,
            optimizer,
            EMA(denoiser, 0.9),
            max_epochs=120,
            batch_size=8,
        )
    )
    after = loss_at_rest(denoiser, diffusion, X)
    assert after < 0.7 * before
    assert records[-1].loss < 0.8 * records[0].loss


def test_epochs_yield_records_and_update_the_average_every_step():
    denoiser, diffusion, rows = small_problem()
    optimizer = AdamW(denoiser.parameters(), learning_rate=0.0)
    ema = EMA(denoiser, 0.9)
    # with no step the parameters stay, and the loss of an epoch is the mean of its batches'
    twin = small_problem()
    expected = [
        np.mean(
            [
                float(
                    batch_loss(
                        denoiser, diffusion, batch, masked=True, generator=twin[2].generator
                    ).detach()
                )
                for batch in twin[2].batches(3)
            ]
        )
        for _ in range(2)
    ]
    records = list(epochs(denoiser, diffusion, rows, optimizer, ema, max_epochs=2, batch_size=3))
    assert [record.epoch for record in records] == [1, 2]
    assert isinstance(records[0], EpochRecord)
    assert_allclose([record.loss for record in records], expected, rtol=1e-5)
    assert ema.n_updates == 6


@pytest.mark.parametrize("target_share", [(0.0, 0.0), (0.3, 0.7)])
def test_all_parameters_learn(target_share):
    denoiser, diffusion, rows = small_problem(target_share=target_share, cond_drop_prob=0.5)
    before = {name: p.detach().clone() for name, p in denoiser.named_parameters()}
    optimizer = AdamW(denoiser.parameters(), learning_rate=1e-2)
    for record in epochs(
        denoiser, diffusion, rows, optimizer, EMA(denoiser, 0.9), max_epochs=2, batch_size=8
    ):
        assert math.isfinite(record.loss)
    unchanged = [n for n, p in denoiser.named_parameters() if torch.equal(p, before[n])]
    assert unchanged == []


@pytest.mark.parametrize("cond_drop_prob", [0.0, 1.0])
def test_the_null_token_learns_from_unknown_rows_only(cond_drop_prob):
    denoiser, diffusion, rows = small_problem(cond_drop_prob=cond_drop_prob)
    before = denoiser.null.detach().clone()
    history = denoiser.read_history.tables[0].detach().clone()
    optimizer = AdamW(denoiser.parameters(), learning_rate=1e-2)
    list(
        epochs(denoiser, diffusion, rows, optimizer, EMA(denoiser, 0.9), max_epochs=1, batch_size=8)
    )
    assert torch.equal(denoiser.null, before) == (cond_drop_prob == 0)
    assert torch.equal(denoiser.read_history.tables[0], history) == (cond_drop_prob == 1)


class ScriptedMonitor:
    """Improves at given epochs and stops at one; it keeps the weights it was shown."""

    def __init__(self, denoiser, improves, stops):
        self.denoiser, self.improves, self.stops = denoiser, improves, stops
        self.seen = []

    def evaluate(self, run=None):
        assert not self.denoiser.training
        self.seen.append([p.detach().clone() for p in self.denoiser.parameters()])
        return float(len(self.seen)), len(self.seen) in self.improves

    @property
    def should_stop(self):
        return len(self.seen) == self.stops


LOOP = dict(learning_rate=1e-2, batch_size=4, n_loss_items=None, verbose=0)


def test_train_keeps_the_averaged_weights_of_the_best_epoch():
    problem = small_problem()
    monitor = ScriptedMonitor(problem[0], improves=(1, 3), stops=5)
    history = []
    state = train(*problem, monitor, history, ema_decay=0.9, max_epochs=20, **LOOP)
    assert state.ended_by == "training"
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5]
    assert [entry["validation_ndcg"] for entry in history] == [1, 2, 3, 4, 5]
    assert_weights(problem[0], monitor.seen[2])
    assert not np.allclose(monitor.seen[2][0], monitor.seen[4][0])
    assert not problem[0].training


def test_train_without_a_monitor_keeps_the_last_average():
    problem = small_problem()
    history = []
    state = train(*problem, None, history, ema_decay=0.9, max_epochs=3, **LOOP)
    assert state.ended_by == "training"
    assert [set(entry) for entry in history] == [{"epoch", "loss"}] * 3
    # the same again, by hand
    denoiser, diffusion, rows = small_problem()
    ema = EMA(denoiser, 0.9)
    optimizer = AdamW(denoiser.parameters(), learning_rate=1e-2)
    options = {"max_epochs": 3, "batch_size": 4, "rate": lambda share: 1e-2 * one_cycle(share)}
    records = list(epochs(denoiser, diffusion, rows, optimizer, ema, **options))
    assert_allclose([entry["loss"] for entry in history], [r.loss for r in records], rtol=1e-5)
    for parameter, average in zip(problem[0].parameters(), ema.average, strict=True):
        assert_allclose(parameter.detach(), average, atol=1e-4)
    assert not np.allclose(ema.average[0], next(denoiser.parameters()).detach(), atol=1e-4)


@pytest.mark.parametrize("by", ["callback", "interrupt"])
def test_training_that_is_ended_keeps_the_best_epoch_so_far(by):
    problem, history, begun = small_problem(), [], []
    monitor = ScriptedMonitor(problem[0], improves=(1, 2), stops=20)

    def before_epoch():
        begun.append(len(history))
        if by == "interrupt" and len(history) == 4:
            raise KeyboardInterrupt

    def after_epoch(ema):
        assert isinstance(ema, EMA)
        return by == "callback" and len(history) == 4

    def run():
        hooks = dict(before_epoch=before_epoch, after_epoch=after_epoch)
        return train(*problem, monitor, history, ema_decay=0.9, max_epochs=9, **hooks, **LOOP)

    if by == "interrupt":
        with pytest.warns(UserWarning, match="after 4 whole epochs: fit keeps the best"):
            assert run().ended_by == "interrupt"
    else:
        assert run().ended_by == "callback"
    assert begun == [0, 1, 2, 3, 4][: 5 if by == "interrupt" else 4] and len(history) == 4
    assert_weights(problem[0], monitor.seen[1])
    assert not problem[0].training


def test_an_interrupt_before_the_end_of_the_first_epoch_is_raised():
    def before_epoch():
        raise KeyboardInterrupt

    history = []
    with pytest.raises(KeyboardInterrupt):
        train(*small_problem(), None, history, max_epochs=3, before_epoch=before_epoch, **LOOP)
    assert history == []


def test_every_epoch_trains_in_training_mode():
    # the monitor leaves the network in evaluation mode, without dropout
    problem = small_problem()
    modes = []
    problem[0].register_forward_hook(lambda module, args, output: modes.append(module.training))
    train(*problem, ScriptedMonitor(problem[0], (1,), 3), [], ema_decay=0.9, max_epochs=5, **LOOP)
    assert modes == [True] * 6


def test_train_draws_nothing_from_the_global_generators():
    torch.manual_seed(0)
    np.random.seed(0)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    train(*small_problem(), None, [], ema_decay=0.9, max_epochs=1, **LOOP)
    # a new torch module fills its parameters before `initialize` draws them anew
    after_train = torch.get_rng_state()
    torch.set_rng_state(torch_state)
    small_problem()
    assert torch.equal(after_train, torch.get_rng_state())
    assert_array_equal(np.random.get_state()[1], numpy_state)
