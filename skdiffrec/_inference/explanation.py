"""What each item of one history contributes to the scores of some items."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch

from .._network.conditions import Known
from .._network.sparse_rows import SparseRows
from .._utils.condition_names import HISTORY
from .._utils.host_state import in_own_state
from .scoring import guided_scores


@in_own_state()
def closed_form_contributions(model, known, scale, settings, items):
    """The closed form's part of the scores of `items`, by item that the user knows.

    Parameters
    ----------
    model : FittedModel
    known : UserRows
        Of one user, as the model reads it.
    scale : ndarray of float64, shape (1, n_conditions)
        Guidance scales; that of the history counts as 0 where that is empty.
    settings : SamplingSettings
    items : ndarray of int64, shape (k,)

    Returns
    -------
    contributions : ndarray of float32, shape (k, seen.nnz)
        ``scale·a·D[i, j]·weight_i``: what each item adds.
    base : ndarray of float32, shape (k,)
        What is there without them: nothing where there is no history to be read.
    """
    form, factor, history = model.closed_form, model.closed_form_scale, known.history
    seen, conditions = known.seen, model.conditions
    contributions = np.zeros((len(items), seen.nnz), np.float32)
    base = np.zeros(len(items), np.float32)
    of_history = scale[0, conditions.index(HISTORY)] if history.nnz else 0.0
    besides = any(known.known(name)[0] for name in conditions if name != HISTORY)
    if factor and (history.nnz or (settings.temperature and not besides)):
        base = (1 - of_history) * factor * form.unknown[items].cpu().numpy()
    if factor and seen.nnz:
        rows = model.reader.rows(history, "cpu")
        disliked = known.disliked
        if disliked is not None:
            disliked = SparseRows.from_csr(disliked, "cpu", len(rows.offsets) - 1)
        scales = np.repeat(scale, len(rows.offsets) - 1, 0).astype(np.float32)
        of_row = Known(history=rows, disliked=disliked), torch.from_numpy(scales)
        read = model.tables().scores.closed_form_history(*of_row)
        places = np.searchsorted(seen.indices, read.items.numpy())
        weights = read.weights.numpy()
        contributions[:, places] = form.entries(read.items.numpy(), items).T * weights
    return contributions, base.astype(np.float32)


def leave_one_out(model, known, keys, scale, settings, items, blocks):
    """Scores of `items` (ascending) without each item that one user knows, (seen.nnz, k).

    The other items keep their weights and ages, and the row its random numbers.
    ``blocks(n_rows) -> list of slice`` says how many rows are scored at once.
    """
    left_out = known.seen.indices
    n = len(left_out)
    scores = np.empty((n, len(items)), np.float32)
    for block in blocks(n):
        same = np.zeros(len(left_out[block]), np.int64)
        of_rows = None if keys is None else keys[same]
        others = known[same].with_history(_without_each(known.history, left_out[block]))
        if known.disliked is not None:
            others = replace(others, disliked=_without_each(known.disliked, left_out[block]))
        scores[block] = guided_scores(model, others, of_rows, scale[same], settings, items)
    return scores


def _without_each(row, items):
    """For each of the items the one `row` without it, a CSR (len(items), n_items)."""
    others = row.indices != items[:, None]
    indices, data = (np.broadcast_to(p, others.shape)[others] for p in (row.indices, row.data))
    indptr = np.concatenate([[0], others.sum(1).cumsum()]).astype(row.indptr.dtype)
    return sp.csr_array((data, indices, indptr), shape=(len(items), row.shape[1]))
