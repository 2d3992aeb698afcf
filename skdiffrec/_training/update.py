"""One more pass of a fitted model over some rows; what is counted or solved sees all of them."""

import copy
from dataclasses import replace

import numpy as np
import torch

from .._inference.model import OptimizerState
from .._parameters import (
    resolve_batch_size,
    resolve_learning_rate,
    resolve_loss_items,
)
from .._utils.condition_names import USER_FEATURES
from .._utils.cuts import moment_size
from .._utils.hashing import hash64
from .._utils.host_state import in_own_state
from .._utils.recency import item_counts, item_popularity
from .._utils.results import TrainingHistory
from .._utils.user_features import scaled_features
from .ema import EMA
from .loop import EMA_DECAY, diverged, divergence_error, epochs
from .optimizer import AdamW
from .parts import (
    closed_form_of,
    count_items,
    lift_of,
    spread_sample,
    training_rows,
    with_spread,
)
from .state import fill, numbered
from .threads import training_threads
from .user_weights import merge_rows


def check_updatable(model, rows, parameters):
    """A model can go on, with the rows that it was fitted to and with what it is made of.

    Parameters
    ----------
    model : FittedModel
    rows : csr_array or None
    parameters : namespace
        As they are now.
    """
    if rows is None:
        raise ValueError(
            "partial_fit counts and solves again on all rows, but this model was saved with "
            "include_data=False, or fitted to RowBlocks. Save with include_data=True, or fit again."
        )
    p, ranks = parameters, model.denoiser.head.ranks
    was = {"values": repr(model.values), "ranking_head": repr(ranks)}
    differs = {"values": p.values != model.values, "ranking_head": bool(p.ranking_head) != ranks}
    for name, now, before in (
        ("horizon", p.horizon, model.denoiser.item_dim),
        ("closed_form", p.closed_form, model.closed_form),
    ):
        was[name] = "None" if before is None else "one"
        differs[name] = (now is None) != (before is None)
    differs["closed_form"] &= ranks
    for name in was:
        if differs[name]:
            raise ValueError(
                f"{name}={getattr(p, name)!r}, but the model was fitted with {name}: {was[name]}. "
                "Set it back, or fit again."
            )


@in_own_state(gradients=True, device=True)
def updated_model(model, rows, changed, sample_weight, parameters):
    """The model after a pass over some of the rows, from its weights and its optimizer's state.

    Parameters
    ----------
    model : FittedModel
        On the device to train on.
    rows : UserRows
        Of all users, canonical.
    changed : ndarray of int64
        Which of them to pass over.
    sample_weight : ndarray of float64, shape (n_users,)
    parameters : namespace
        As in `fit_model`; what a network is made of is not looked at.

    Returns
    -------
    model : FittedModel
    """
    p, denoiser, half_life = parameters, copy.deepcopy(model.denoiser), model.half_life
    sets = p.values == "time" and moment_size(rows.history) > 1
    reads = {"half_life": half_life, "sets": sets}
    popularity = item_popularity(rows.history, p.values, sample_weight)
    known = rows  # with features as they were given
    if rows.user_features is not None:
        factor = denoiser.user_features.factor.cpu().numpy()
        rows = replace(rows, user_features=scaled_features(rows.user_features, factor))
    some, weight_of_some = merge_rows(rows[changed], p.values, sample_weight[changed])
    rows, weight = merge_rows(rows, p.values, sample_weight)
    form = closed_form_of(
        rows.history, weight, p, seed=model.seed, before=model.closed_form, **reads
    )
    # what nobody has met was learned of the items' features, if at all
    unmet = item_counts(rows.history, np.ones(len(weight))) == 0
    history, optimizer = list(model.training.history), model.optimizer
    if some.history.nnz:
        entry, optimizer = _pass(
            model, denoiser, some, weight_of_some, len(weight), unmet, p, reads
        )
        history.append(entry)
    denoiser.head.keep_popularity(popularity)
    count_items(denoiser, model.diffusion, rows, weight)
    denoiser.head.keep_items(model.denoiser.head, unmet)
    if USER_FEATURES in model.denoiser.conditions:
        denoiser.user_features.keep(**lift_of(rows, weight, p, model.seed))
    if form is not None:
        form = form.to(model.device).with_items(model.closed_form, unmet)
    new = replace(model, denoiser=denoiser.eval(), closed_form=form, optimizer=optimizer)
    training = model.training._replace(history=TrainingHistory(history))
    new = replace(new, training=training)
    return with_spread(new, spread_sample(new, known), p.learning_rate)


def _pass(model, denoiser, rows, weight, n_all, unmet, p, reads):
    """(entry of the history, OptimizerState) of one epoch; averaged weights stay."""
    before = model.optimizer
    n_updates = 0 if before is None else before.n_updates
    seed = int(hash64(np.array([model.seed ^ n_updates], np.uint64))[0] >> np.uint64(2))
    generator = torch.Generator(model.device).manual_seed(seed)
    batches = training_rows(rows, weight, p, generator=generator, **reads)
    batch_size = resolve_batch_size(p.batch_size, batches, n_all)
    of_steps = rows.history, p.values, p.horizon, batch_size
    # the mean of what a fit has from its first step to its last
    rate = 0.5 * resolve_learning_rate(p.learning_rate, *of_steps)
    optimizer = AdamW(denoiser.parameters(), learning_rate=rate)
    ema = EMA(denoiser, EMA_DECAY)
    if before is not None:
        _go_on(before, denoiser, optimizer, ema)
    with training_threads(model.device) as run:
        (record,) = epochs(
            denoiser,
            model.diffusion,
            batches,
            optimizer,
            ema,
            max_epochs=1,
            batch_size=batch_size,
            n_loss_items=resolve_loss_items(p.n_loss_items, rows.shape[1], p.horizon),
            run=run,
        )
    if why := diverged(record, ema):
        raise divergence_error(why, optimizer.learning_rate)
    denoiser.head.keep_items(model.denoiser.head, unmet)
    state = optimizer_state(optimizer, ema, weights=denoiser.parameters())
    ema.load()
    return {"epoch": len(model.training.history) + 1, "loss": record.loss}, state


def optimizer_state(optimizer, ema, weights=()):
    """`OptimizerState` of a training that ends, whose tensors it takes.

    With a copy of its weights, where these are not the averaged ones.
    """
    tensors = numbered("weights", [weight.clone() for weight in weights])
    tensors |= numbered("first", optimizer.first) | numbered("second", optimizer.second)
    tensors["steps"] = torch.stack(optimizer.steps)
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    return OptimizerState(ema.n_updates, arrays)


def _go_on(state, denoiser, optimizer, ema):
    """Give a training what `optimizer_state` took."""
    arrays, weights = dict(state.arrays), list(denoiser.parameters())
    fill("first", optimizer.first, arrays)
    fill("second", optimizer.second, arrays)
    if "weights.0" in arrays:
        fill("weights", weights, arrays)
    for own, value in zip(optimizer.steps, arrays["steps"], strict=True):
        own.fill_(float(value))
    ema.n_updates = state.n_updates
