"""What a fit and an update of a model have in common."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch

from .._closed_form.next_items import next_item_form
from .._closed_form.selection import solved_form
from .._closed_form.user_features import feature_lift, no_lift
from .._network.closed_form import ClosedForm
from .._parameters import resolve_target_share
from .._utils.condition_names import HISTORY
from .._utils.recency import item_counts
from .._utils.row_view import blocks_of
from .batches import TrainingRows
from .blocked_rows import BlockedRows
from .prefix_rows import PrefixRows

_N_SPREAD_ROWS = 1_000


def training_rows(rows, weight, parameters, *, half_life, sets, generator):
    """The `RowBatches` of merged rows.

    Parameters
    ----------
    rows : UserRows
        Features of users as the network reads them.
    weight : ndarray of float64, shape (n_rows,)
    parameters : namespace
        As in `fit_model`.
    half_life : float or None
    sets : bool
        Whether items of one time are a set.
    generator : torch.Generator
    """
    p = parameters
    common = {
        "target_share": resolve_target_share(p.target_share, p.values, p.horizon),
        "cond_drop_prob": p.cond_drop_prob,
        "generator": generator,
    }

    def made(rows, weight=None):
        known = {name: getattr(rows, name) for name in rows.conditions if name != HISTORY}
        given = common | {"row_weight": weight, "besides": known}
        if p.horizon is not None:
            return PrefixRows(rows.history, horizon=p.horizon, **given)
        return TrainingRows(rows.history, p.values, half_life=half_life, sets=sets, **given)

    if len(blocks_of(rows.history)) > 1:
        return BlockedRows(rows, weight, made, p.cond_drop_prob, generator)
    return made(rows if sp.issparse(rows.history) else rows[:], weight)


def closed_form_of(X, weight, parameters, *, half_life, sets, seed, held_out=None, before=None):
    """The `ClosedForm` of merged rows, on the CPU; None where there is none.

    With the one `before` its settings are taken, and nothing is chosen.
    """
    p, settings = parameters, None if before is None else before.settings
    if p.closed_form is None or not p.ranking_head:
        return None
    common = {"half_life": half_life, "seed": seed, "settings": settings, "held_out": held_out}
    if p.horizon is not None and isinstance(p.closed_form, str):
        if settings is not None:
            common["half_life"] = before.half_life
        form = next_item_form(X, weight, horizon=p.horizon, **common)
    else:
        form = solved_form(X, weight, p.closed_form, values=p.values, sets=sets, **common)
    return ClosedForm(*form)


def lift_of(rows, weight, parameters, seed):
    """What features of users say by themselves, as buffers of `UserFeatures`, {name: ndarray}."""
    X, features = rows.history, rows.user_features
    if not parameters.ranking_head or parameters.closed_form is None:
        return no_lift(features.shape[1], X.shape[1])._asdict()
    return feature_lift(X, features, weight, seed)._asdict()


def count_items(denoiser, diffusion, rows, weight):
    """Let a network's constants say how popular items are, and how often disliked."""
    counts = item_counts(rows.history, weight)
    if rows.disliked is not None:
        denoiser.disliked.count(counts, item_counts(rows.disliked, weight))
    calibrate(denoiser, diffusion, counts)


def calibrate(denoiser, diffusion, counts):
    """Let the unconditional branch rank by popularity, where sampling starts."""
    last = torch.full((1,), diffusion.n_timesteps, device=denoiser.device)
    denoiser.calibrate(counts, diffusion.n_timesteps, diffusion.input_scale(last))


def spread_sample(model, rows):
    """Some of the rows, one block, of which the spread of scores is taken."""
    return rows[: min(_N_SPREAD_ROWS, model.blocks(rows.shape[0])[0].stop)]


def with_spread(model, rows, learning_rate):
    """The model with how wide its scores spread, which tells whether all of them are finite."""
    spread = float(conditional_scores(model, rows).std(axis=1).mean())
    if not np.isfinite(spread):
        raise ValueError(
            f"Training diverged: its scores are not finite, with learning_rate={learning_rate} and "
            f"closed_form_weight={model.training.closed_form_weight}. Lower them."
        )
    return replace(model, score_spread=spread)


def conditional_scores(model, X):
    """Conditional scores of one block of rows, as training evaluates them."""
    return model.score(X, np.ones(X.shape[0]), model.evaluation_settings())
