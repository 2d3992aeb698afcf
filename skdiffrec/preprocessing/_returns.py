"""Net quantities: what is left of purchases after returns, which are weights below 0."""

import numpy as np

_ROUNDING = 1e-12  # of a sum of quantities, relative to the sum of their sizes


def net_events(rows, columns, weight, time, n_columns, min_weight):
    """Events that are left when the returns of each user and item are set off against purchases.

    A pair is left if its weights add up to more than 0, and to at least `min_weight`.

    Parameters
    ----------
    rows, columns : ndarray of int, shape (n,)
    weight : ndarray of float64, shape (n,)
        Below 0 for returns.
    time : ndarray of float64, shape (n,), or None
        Without times, a pair has one event. With times it has the purchases that are left, where a
        return takes back the latest purchases before it and, if there are too few, the next ones.
    n_columns : int
    min_weight : float or None

    Returns
    -------
    places : ndarray of int, shape (n_left,)
        Indices of the events that are left.
    net : ndarray of float64, shape (n_left,)
        The sum of the weights of the pair.
    """
    pair = rows.astype(np.int64) * n_columns + columns
    # of the same time: purchases first, so that the order of rows does not matter
    keys = (pair,) if time is None else (weight < 0, time, pair)
    order = np.lexsort(keys)
    pair, weight = pair[order], weight[order]
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    net, rounding = np.add.reduceat(weight, starts), np.add.reduceat(abs(weight), starts)
    rounding *= _ROUNDING
    kept = net > rounding
    if min_weight is not None:
        kept &= net >= min_weight - rounding
    if time is None:
        return order[starts[kept]], net[kept]
    sizes = np.diff(starts, append=len(pair))
    left = np.repeat(kept, sizes)
    returned = np.minimum.reduceat(weight, starts) < 0
    for pair_number in np.flatnonzero(kept & returned):
        events = slice(starts[pair_number], starts[pair_number] + sizes[pair_number])
        left[events] = _purchases_left(weight[events].tolist(), rounding[pair_number])
    return order[left], np.repeat(net, sizes)[left]


def _purchases_left(weights, rounding):
    """Which events of a pair, in order of time, are purchases of which something is left."""
    bought, owed = [], 0.0  # [place, quantity] of purchases; returns before their purchase
    for place, weight in enumerate(weights):
        if weight > 0:
            paid = min(owed, weight)
            owed -= paid
            bought.append([place, weight - paid])
        else:
            owed -= weight
        while owed > 0 and bought:
            paid = min(owed, bought[-1][1])
            owed -= paid
            bought[-1][1] -= paid
            if bought[-1][1] <= rounding:
                bought.pop()
    left = [False] * len(weights)
    for place, quantity in bought:
        left[place] = quantity > rounding
    return left
