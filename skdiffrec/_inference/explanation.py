"""What each item of one history contributes to the scores of some items."""

import numpy as np
import scipy.sparse as sp

from .._utils.condition_names import USER_FEATURES
from .host_state import in_own_state
from .scoring import guided_scores


@in_own_state()
def closed_form_contributions(model, known, scale, settings, items):
    """The closed form's part of the scores of `items`, by item of the history.

    Parameters
    ----------
    model : FittedModel
    known : UserRows
        Of one user, as the model reads it.
    scale : float
        Guidance scale of the history; counts as 0 where that is empty.
    settings : SamplingSettings
    items : ndarray of int64, shape (k,)

    Returns
    -------
    contributions : ndarray of float32, shape (k, history.nnz)
        ``scale·a·D[i, j]·weight_i``: what the items of the history add.
    base : ndarray of float32, shape (k,)
        What is there without them: nothing where there is no history to be read.
    """
    form, factor, history = model.closed_form, model.closed_form_scale, known.history
    profile_only = not history.nnz and known.known(USER_FEATURES)[0]
    if not factor or profile_only or not (history.nnz or settings.temperature):
        return np.zeros((len(items), history.nnz), np.float32), np.zeros(len(items), np.float32)
    scale = scale if history.nnz else 0.0
    weights = model.reader.rows(history, "cpu").weighted(form.half_life, form.floor).weights
    contributions = form.entries(history.indices, items).T * weights.numpy()
    base = (1 - scale) * factor * form.unknown[items].cpu().numpy()
    return np.float32(scale * factor) * contributions, base.astype(np.float32)


def leave_one_out(model, known, keys, scale, settings, items, blocks):
    """Scores of `items` (ascending) without each item of one user's history, (history.nnz, k).

    The other items keep their weights and ages, and the row its random numbers.
    ``blocks(n_rows) -> list of slice`` says how many rows are scored at once.
    """
    n = known.history.nnz
    scores = np.empty((n, len(items)), np.float32)
    for block in blocks(n):
        shorter = _without_each(known.history, range(n)[block])
        same = np.zeros(shorter.shape[0], np.int64)
        of_rows = None if keys is None else keys[same]
        others = known[same].with_history(shorter)
        scores[block] = guided_scores(model, others, of_rows, scale[same], settings, items)
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
