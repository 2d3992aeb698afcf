"""An index for a trained model, and into how many of its lists a search looks.

How well items cluster is the data's doing. It is measured with users made up for it, whose
histories are an item and those whose vectors are most like its own: how much of their exact lists
is found?
"""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F

from .._network.sparse_rows import UserRows
from .._utils.host_state import in_own_state
from .._utils.topk import EVERY_ITEM
from .._utils.warning import warn_caller
from .item_index import ItemIndex
from .ranking import guided_lists, tile_starts
from .search import searched_lists

_N_USERS, _LENGTH, _K = 128, 10, 20  # of their histories, of their lists
_FOUND = 0.98  # of the exact lists
_DEEPER = 1.5  # times as many lists, where less is found
_MOST_LISTS = 1 / 8  # of all, beyond which exact lists are hardly slower


@in_own_state()
def index_of(model):
    """An `ItemIndex` of a FittedModel; None where exact lists are as fast, or it finds too little.

    The former is on a GPU, and with a dense closed form, which adds something to every item.
    """
    scores = model.tables().scores
    dense = scores.scale and not scores.closed_form.sparse
    if model.device.type != "cpu" or dense:
        return None
    index = ItemIndex(scores.table)
    most = max(index.n_searched, int(_MOST_LISTS * len(index.sizes)))
    users = model.read(_made_up_users(model)), None, np.ones(_N_USERS), model.evaluation_settings()
    asked = {"filter_seen": True, "items": EVERY_ITEM}
    exact = guided_lists(model, *users, _K, **asked)[0]
    while True:
        lists = searched_lists(model, *users, _K, **asked, index=index)[0]
        found = np.mean([np.isin(*pair).mean() for pair in zip(exact, lists, strict=True)])
        if found >= _FOUND:
            return index
        if index.n_searched == most:
            break
        index.n_searched = min(most, int(_DEEPER * index.n_searched))
    warn_caller(
        f'search="approximate" finds only {found:.0%} of the items of exact lists in an eighth of '
        "the catalogue: what this model recommends to a user are not items that are alike. Lists "
        'are exact; search="exact" silences this.',
    )
    return None


def _made_up_users(model):
    """`UserRows` of users who have an item and those whose vectors are most like its own."""
    n_items = model.denoiser.n_items
    length = min(_LENGTH, n_items)
    items = np.sort(_most_alike(model.denoiser.head.items.detach(), length), axis=1)
    data = np.tile(np.arange(1.0, length + 1), len(items))  # times
    if model.values != "time":
        data[:] = 1.0
    parts = data, items.ravel(), np.arange(0, items.size + 1, length)
    shape = len(items), n_items
    disliked = None if model.denoiser.disliked is None else csr_array(shape, dtype=np.float32)
    return UserRows(csr_array(parts, shape=shape), None, disliked)


def _most_alike(vectors, n):
    """The n items most like each of some, by the cosine of centred vectors (n_items, d)."""
    mean = vectors.mean(0)
    drawn = np.random.default_rng(0).integers(len(vectors), size=_N_USERS)
    directions = F.normalize(vectors[torch.from_numpy(drawn)] - mean)
    best, items = vectors.new_empty(_N_USERS, 0), torch.empty(_N_USERS, 0, dtype=torch.int64)
    for start, stop in tile_starts(len(vectors)):
        cosines = directions @ F.normalize(vectors[start:stop] - mean).T
        places = torch.arange(start, stop).expand(_N_USERS, -1)
        best, order = torch.cat([best, cosines], 1).topk(min(n, stop))
        items = torch.cat([items, places], 1).gather(1, order)
    return items.numpy()
