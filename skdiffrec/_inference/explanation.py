"""What each item of one history contributes to the scores of some items."""

import numpy as np
import scipy.sparse as sp

from .host_state import in_own_state
from .scoring import guided_scores


@in_own_state()
def closed_form_contributions(model, history, scale, settings, items):
    """The closed form's part of the scores of `items`, by item of the history.

    Parameters
    ----------
    model : FittedModel
    history : csr_array of float32, shape (1, n_items)
        As its reader gives it.
    scale : float
        Guidance scale; counts as 0 where the history is empty.
    settings : SamplingSettings
    items : ndarray of int64, shape (k,)

    Returns
    -------
    contributions : ndarray of float32, shape (k, history.nnz)
        ``scale·a·D[i, j]·weight_i``: what the items of the history add.
    base : ndarray of float32, shape (k,)
        What is there without them: nothing where an empty history gets what is popular.
    """
    form, factor = model.closed_form, model.closed_form_scale
    if not factor or not (history.nnz or settings.temperature):
        return np.zeros((len(items), history.nnz), np.float32), np.zeros(len(items), np.float32)
    scale = scale if history.nnz else 0.0
    weights = model.reader.rows(history, "cpu").weighted(form.half_life, form.floor).weights
    contributions = form.entries(history.indices, items).T * weights.numpy()
    base = (1 - scale) * factor * form.unknown[items].cpu().numpy()
    return np.float32(scale * factor) * contributions, base.astype(np.float32)


def leave_one_out(model, history, keys, scale, settings, items, blocks):
    """Scores of `items` (ascending) without each item of one history, (history.nnz, k).

    The other items keep their weights and ages, and the row its random numbers.
    ``blocks(n_rows) -> list of slice`` says how many rows are scored at once.
    """
    n = history.nnz
    scores = np.empty((n, len(items)), np.float32)
    for block in blocks(n):
        shorter = _without_each(history, range(n)[block])
        of_rows = None if keys is None else keys.repeat(shorter.shape[0])
        scales = np.full(shorter.shape[0], scale)
        scores[block] = guided_scores(model, shorter, of_rows, scales, settings, items)
    return scores


def _without_each(history, places):
    """One row for each place: `history` without the entry there."""
    n, n_rows = history.nnz, len(places)
    others = np.arange(n) != np.asarray(places)[:, None]
    indices, data = (
        np.broadcast_to(part, others.shape)[others] for part in (history.indices, history.data)
    )
    indptr = np.arange(n_rows + 1, dtype=history.indptr.dtype) * (n - 1)
    return sp.csr_array((data, indices, indptr), shape=(n_rows, history.shape[1]))
