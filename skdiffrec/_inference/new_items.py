"""Items that nobody has met, from their features: every vector of theirs is regressed on these.

With F the items' features, the vectors M of known items and λ > 0, those of new items are
``mean(M) + F_new·(FᵀF + λ)⁻¹·Fᵀ·(M − mean(M))`` (ridge regression, Hoerl and Kennard 1970), a
weighted sum of known vectors. All that a model makes of an item is linear in its vectors, so that a
new item's score is the same weighted sum of the known items' scores: of every branch, at every
scale. In the closed form, where an item says nothing of itself, it also speaks for those like it;
all weights are then lowered, so that new items are no louder than the regression makes them.
"""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from .._utils.tensor_file import csr_tensors
from .state import model_state

# tensors of a model's state with a row, or a number, for every item
_OF_ITEMS = (
    "network.read_history.tables.",
    "network.head.",
    "network.space.V",
    "network.user_features.lift",
    "network.disliked.table",
    "network.disliked.odds",
    "closed_form.unknown",
    "closed_form.read",
    "closed_form.write",
)
_NOT_OF_ITEMS = "network.head.narrow."
_REG = 3.0  # λ: a feature that three items have, and no other, is believed by half
_OF_LIKE = 2.0  # what an item says of one that is like it, over what all others say of an item
_MAX_NEIGHBORS = 1000  # of a new item, in a sparse closed form
_BLOCK = 256


def with_new_items(model, known, new):
    """A FittedModel that knows more items, behind those that it has.

    Parameters
    ----------
    model : FittedModel
        On the CPU.
    known, new : csr_array of float32, shapes (n_items, n_features) and (n_new, n_features)

    Returns
    -------
    model : FittedModel
    """
    record, tensors = model_state(replace(model, optimizer=None))
    read = Reading(known)
    of_known = read(known)
    blocks = [new[first : first + _BLOCK] for first in range(0, new.shape[0], _BLOCK)]
    weights = np.concatenate([_weights(of_known, read(block)) for block in blocks], 1)
    like = None
    if model.closed_form is not None:
        weights, like = _of_like(_matrix(model.closed_form), weights)
    for name, array in tensors.items():
        if name.startswith(_OF_ITEMS) and not name.startswith(_NOT_OF_ITEMS):
            tensors[name] = np.concatenate([array, _mixed(array, weights)])
    if model.closed_form is not None:
        tensors |= _grown_form(model.closed_form, weights, like)
        record["closed_form_entries"] = len(tensors["closed_form.weights"].ravel())
    record["n_items"] += new.shape[0]
    tensors |= csr_tensors("item_features", sp.csr_array(sp.vstack([known, new], format="csr")))
    return type(model).of_state(record, tensors)


class Reading:
    """Features as they are regressed on: rows of length 1, in which rare columns weigh more.

    Parameters
    ----------
    known : csr_array of shape (n_items, n_features)
    """

    def __init__(self, known):
        counts = np.bincount(known.indices, minlength=known.shape[1])
        squares = np.bincount(known.indices, known.data.astype(np.float64) ** 2, known.shape[1])
        size = np.sqrt(np.divide(squares, counts, out=np.ones(len(counts)), where=counts > 0))
        self.factor = np.log1p(known.shape[0] / np.maximum(counts, 1)) * (counts > 0) / size

    def __call__(self, features):
        scaled = sp.csr_array(features.astype(np.float64) * self.factor)
        length = np.sqrt(np.asarray((scaled * scaled).sum(1)).ravel())
        return sp.csr_array(scaled / np.where(length > 0, length, 1.0)[:, None])


def _weights(known, new):
    """How much of each known item new ones have (n_known, n_new), but for the mean of all."""
    gram = (known.T @ known).toarray()
    gram[np.diag_indices_from(gram)] += _REG
    return known @ np.linalg.solve(gram, new.T.toarray())


def _mixed(array, weights):
    """Rows of new items, given those of known ones."""
    mean = array.mean(axis=0)
    return (mean + weights.T @ (array - mean)).astype(array.dtype)


def _matrix(form):
    return form.csr if form.sparse else form.weights.cpu().numpy()


def _of_like(D, weights):
    """(weights, what known items say of new ones that are like them (n_new, n_known)).

    Together they make closed forms of new items as long as the weights alone did.
    """
    size = np.linalg.norm((D.data if sp.issparse(D) else D).astype(np.float64))
    like = _OF_LIKE * size / np.sqrt(len(weights)) * weights.T  # `size` is of so many columns
    length = np.zeros(2)  # squared, without them and with them
    for first in range(0, len(like), _BLOCK):
        some = slice(first, first + _BLOCK)
        mixed = weights[:, some].T @ D.T
        length += (mixed**2).sum(), ((mixed + like[some]) ** 2).sum()
    factor = np.sqrt(length[0] / length[1]) if length[1] else 1.0
    return factor * weights, factor * like


def _grown_form(form, weights, like):
    """Tensors of a closed form with new items: what they add to scores, and what adds to theirs."""
    D, n = _matrix(form), len(weights)
    if not form.sparse:
        columns = np.concatenate([D, (_mixed(D.T, weights) + like).T], 1)
        rows = _mixed(columns, weights)
        rows[:, :n] += like
        grown = np.concatenate([columns, rows])
        new = np.arange(n, len(grown))
        grown[new, new] = 0.0  # an item says nothing of itself
        return {"closed_form.weights": np.ascontiguousarray(grown, np.float32)}
    columns = _sparse_mixed(D.T.tocsr(), weights, like).T.tocsr()
    wide = sp.hstack([D, columns], format="csr")
    rows = _sparse_mixed(wide, weights, like).tolil()
    rows[np.arange(rows.shape[0]), n + np.arange(rows.shape[0])] = 0.0
    grown = sp.csr_array(sp.vstack([wide, sp.csr_array(rows)], format="csr"))
    grown.eliminate_zeros()
    grown.sort_indices()
    return {
        "closed_form.weights": grown.data.astype(np.float32),
        "closed_form.items": grown.indices.astype(np.int32),
        "closed_form.offsets": grown.indptr.astype(np.int64),
    }


def _sparse_mixed(M, weights, like):
    """The largest entries of `_mixed` rows of a sparse matrix, with `like` (n_new, n_known)."""
    blocks, mean = [], np.asarray(M.mean(axis=0)).ravel()
    for first in range(0, weights.shape[1], _BLOCK):
        some = weights[:, first : first + _BLOCK]
        mixed = some.T @ M + np.outer(1 - some.sum(0), mean)
        mixed[:, : like.shape[1]] += like[first : first + _BLOCK]
        most = min(_MAX_NEIGHBORS, mixed.shape[1])
        places = np.argpartition(-np.abs(mixed), most - 1, axis=1)[:, :most]
        values = np.take_along_axis(mixed, places, 1).ravel()
        entries = values, (np.repeat(np.arange(len(mixed)), most), places.ravel())
        blocks.append(sp.csr_array(entries, shape=mixed.shape))
    return sp.vstack(blocks, format="csr")
