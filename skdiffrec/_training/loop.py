"""Training: the losses, an epoch generator, and the loop around it."""

import math
from functools import partial
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from .._utils.training_parameters import one_cycle
from .._utils.warning import warn_caller
from .checkpoint import NoCheckpoint
from .ema import EMA
from .losses import loss_blocks, multinomial_loss
from .optimizer import AdamW
from .ranks import OneProcess
from .state import Position, TrainingState
from .threads import in_turn

# as so many items a disliked one counts among those that are no targets
_DISLIKED_COUNT = 30.0
ONE_PROCESS, NO_CHECKPOINT = OneProcess(), NoCheckpoint()
_GROWTH = 100.0  # of the loss over that of the first step, where something is wrong
EMA_DECAY = 0.99  # a step, of the running average of the weights


class EpochRecord(NamedTuple):
    """What one pass over the rows left behind."""

    epoch: int
    loss: float


def _draw_timesteps(n, n_timesteps, last_share, generator, device):
    """Uniform in 1 … T, but for a share of rows at T, where sampling starts."""
    t = torch.randint(1, n_timesteps + 1, (n,), device=device, generator=generator)
    at_last = torch.rand(n, dtype=torch.float32, device=device, generator=generator) < last_share
    return torch.where(at_last, n_timesteps, t)


def batch_loss(denoiser, diffusion, batch, *, masked, generator, n_loss_items=None, run=in_turn):
    """The loss of one batch: squared error of the raw estimate, plus that of a ranking head."""
    condition, target, row_weight = batch.condition, batch.target, batch.weight
    head = denoiser.head
    x_0 = denoiser.space.encode(target)
    t = _draw_timesteps(
        len(row_weight), diffusion.n_timesteps, head.last_timestep_share, generator, x_0.device
    )
    noise = torch.randn(x_0.shape, dtype=torch.float32, device=x_0.device, generator=generator)
    x_t = diffusion.add_noise(x_0, noise, t)
    u = denoiser.condition(condition, batch.known, generator)
    for name, (rows, known) in batch.besides.items():
        u = u + denoiser.besides[name](rows, known)
    raw, h = denoiser(x_t, t, diffusion.input_scale(t), u, generator)
    error = (raw - diffusion.target(x_0, noise, t)).square().mean(1)
    loss = (row_weight * error).mean()
    if not head.ranks:
        return loss
    _, sigma = diffusion.scales(t)
    # where x_t still shows the target, ranking it teaches nothing: weigh by the share of noise
    weight = row_weight * sigma[:, 0] ** 2
    blocks = loss_blocks(target, _added(batch, masked), denoiser.n_items, n_loss_items, generator)
    h, (table, bias) = head.narrow(h), (head.write.weight, head.write.bias)
    return loss + multinomial_loss(h, table, bias, blocks, weight=weight, run=run)


def _added(batch, masked):
    """What is added to scores in the softmax, `SparseRows` or None.

    Of what is shown nothing can be a target; disliked items that are not shown count as several, so
    that the scores of what is disliked fall.
    """
    added = None
    if masked:
        shown = batch.condition.weighted(None)
        added = shown._replace(weights=torch.full_like(shown.weights, -torch.inf))
    if batch.against is not None:
        against = batch.against
        against = against._replace(
            weights=torch.full_like(against.weights, math.log(_DISLIKED_COUNT))
        )
        added = against if added is None else added.joined(against)
    return added


def epochs(
    denoiser,
    diffusion,
    rows,
    optimizer,
    ema,
    *,
    max_epochs,
    batch_size,
    n_loss_items=None,
    rate=None,
    run=in_turn,
    before_epoch=None,
    after_step=None,
    position=None,
    ranks=ONE_PROCESS,
):
    """Train in place; one `EpochRecord` after each pass over the rows.

    Parameters
    ----------
    denoiser : Denoiser
    diffusion : Diffusion
    rows : RowBatches
    optimizer : AdamW
    ema : EMA
        Updated after each step.
    max_epochs, batch_size : int
    n_loss_items : int or None
        Items that the ranking loss of a batch is computed on; None is all.
    rate : callable
        Gives the learning rate after a share of all steps; None leaves the optimizer's.
    run : callable
        From `training_threads`.
    before_epoch, after_step : callable or None
    position : Position
        Where to go on, and where training is; None is the beginning.
    ranks : Ranks or OneProcess
        With which a step of `batch_size` users is shared.

    Yields
    ------
    record : EpochRecord
    """
    position = position or Position()
    own_size = -(-batch_size // ranks.size)
    n_steps = ranks.most(rows.steps_of_epoch(own_size))
    while position.epoch < max_epochs:
        if before_epoch is not None:
            before_epoch()
        denoiser.train()
        if position.order is None:
            position.order, position.losses = rows.shuffled(), []
        n_done = len(position.losses)
        batches = rows.batches(own_size, position.order, n_done)
        for batch in ranks.steps(batches, n_steps - n_done):
            optimizer.zero_grad()
            loss, n_rows = None, 0
            if batch is not None:
                options = {"masked": rows.masked, "n_loss_items": n_loss_items, "run": run}
                loss = batch_loss(denoiser, diffusion, batch, generator=rows.generator, **options)
                loss.backward()
                n_rows = len(batch.known)
            loss = ranks.averaged(optimizer.parameters, loss, n_rows)
            if rate is not None:
                step = position.epoch * n_steps + len(position.losses) + 0.5
                optimizer.learning_rate = rate(step / (max_epochs * n_steps))
            optimizer.step(run)
            ema.update(run)
            position.losses.append(loss)
            if position.first_loss is None:
                position.first_loss = float(loss)
            if after_step is not None:
                after_step()
        loss = float(torch.stack(position.losses).mean())
        position.epoch, position.order, position.losses = position.epoch + 1, None, []
        yield EpochRecord(position.epoch, loss)


def train(
    denoiser,
    diffusion,
    rows,
    monitor,
    log,
    *,
    learning_rate,
    max_epochs,
    batch_size,
    n_loss_items,
    verbose,
    run=in_turn,
    ema_decay=EMA_DECAY,
    before_epoch=None,
    after_epoch=None,
    checkpoint=NO_CHECKPOINT,
    ranks=ONE_PROCESS,
):
    """Train to the last epoch, or to the best one by `monitor`; averaged weights stay.

    Parameters
    ----------
    log : list
        Takes a dict an epoch: epoch, loss and, with a monitor, validation_ndcg.
    before_epoch, after_epoch : callables or None
        ``before_epoch()``, and ``after_epoch(ema) -> bool``, true to end training.
    checkpoint : Checkpoint or NoCheckpoint
        Where to go on, and what to write down.
    ranks : Ranks or OneProcess
        Of which the first has the monitor, the callables and the checkpoint.

    Returns
    -------
    state : TrainingState
        At the end; the best weights so far are in the network whatever ended it.
    """
    optimizer = AdamW(denoiser.parameters(), learning_rate=learning_rate)
    ema = EMA(denoiser, ema_decay)
    state = TrainingState(denoiser, optimizer, ema, rows.generator, monitor, log)
    checkpoint.restore(state)
    ranks.resume(state, rows)
    records = epochs(
        denoiser,
        diffusion,
        rows,
        optimizer,
        ema,
        max_epochs=max_epochs,
        batch_size=batch_size,
        n_loss_items=n_loss_items,
        rate=lambda share: learning_rate * one_cycle(share),
        run=run,
        before_epoch=before_epoch,
        after_step=lambda: checkpoint.after_step(state),
        position=state.position,
        ranks=ranks,
    )
    if ranks.from_first(lambda: monitor is not None and monitor.should_stop):
        records = ()
    with tqdm(total=max_epochs, initial=len(log), unit="epoch", disable=not verbose) as progress:
        try:
            for record in records:
                if why := diverged(record, ema):
                    _stop_diverged(why, state, learning_rate)
                    break
                evaluated = partial(_evaluated, record, monitor, ema, run)
                entry, improved, stops = ranks.from_first(evaluated)
                state.keep(improved)
                log.append(entry)
                checkpoint.after_epoch(state)
                progress.set_postfix({name: f"{entry[name]:.4f}" for name in list(entry)[1:]})
                progress.update()
                if ranks.from_first(lambda: after_epoch is not None and after_epoch(ema)):
                    state.ended_by = "callback"
                    break
                if stops:
                    break
        except KeyboardInterrupt:
            if not log or ranks.size > 1:
                raise
            state.ended_by = "interrupt"
            _warn_interrupted(len(log), state.best)
    ema.load(state.best)
    state.forget_weights()
    _warn_of_growth(state, learning_rate)
    return state


def _warn_interrupted(n_epochs, best):
    weights = "weights of the last one" if best is None else "best weights so far"
    warn_caller(f"Interrupted after {n_epochs} whole epochs: fit keeps the {weights}.")


def diverged(record, ema):
    """What is not finite after an epoch, in words; None where all is."""
    if not math.isfinite(record.loss):
        return f"the loss is {record.loss} in epoch {record.epoch}"
    if not ema.finite:
        return f"weights are not finite after epoch {record.epoch}"
    return None


def divergence_error(why, learning_rate):
    """Training that left no weights to keep."""
    return ValueError(f"Training diverged: {why}, with learning_rate={learning_rate}. Lower it.")


def _stop_diverged(why, state, learning_rate):
    """Go back to the last good weights with a warning; without any it is an error."""
    if state.last_good is None:
        raise divergence_error(why, learning_rate)
    state.best = state.last_good
    warn_caller(
        f"Training diverged: {why}, with learning_rate={learning_rate}. fit keeps the "
        f"{'best' if state.monitor is not None else 'last good'} weights; lower learning_rate.",
    )


def _warn_of_growth(state, learning_rate):
    first, last = state.position.first_loss, state.log[-1]["loss"] if state.log else 0.0
    if first is not None and last > _GROWTH * abs(first):
        warn_caller(
            f"The loss grew from {first:.3g} to {last:.3g}, with learning_rate={learning_rate}: "
            "the network has learned nothing. Lower it.",
        )


def _evaluated(record, monitor, ema, run):
    """(entry in the history, whether it is the best, whether training ends) after an epoch."""
    entry, improved = record._asdict(), False
    if monitor is None:
        return entry, improved, False
    with ema.applied():
        entry["validation_ndcg"], improved = monitor.evaluate(run)
    return entry, improved, monitor.should_stop
