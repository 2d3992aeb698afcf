"""Ranking metrics for lists of recommended items.

Every function takes the recommended item ids, best first, and the items that were hidden from the
model (the holdout). It makes one value per user, then the mean over the users that have a holdout.
A user without one has nothing to judge: NaN per user, and left out of the mean.

Libraries disagree on the divisors, so a number means little without its definition. With T items
in a user's holdout, here

==============  ==================================================================
precision       hits / k
recall          hits / T
nDCG            binary gain, discount log2(rank + 1), ideal list of min(k, T) hits
MRR             1 / rank of the first hit, 0 without a hit in the top k
MAP             sum of the precisions at the hits / min(k, T)
hit rate        1 with a hit in the top k, else 0
==============  ==================================================================

All judge by what happened to be recorded: an item outside the holdout may be liked all the same,
and popular items are in many holdouts, so popular lists are flattered. Items of the history are
never in the holdout: a list that repeats them wastes places.
"""

from numbers import Integral

import numpy as np
import scipy.sparse as sp

__all__ = [
    "hit_rate_at_k",
    "map_at_k",
    "mrr_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
]


def precision_at_k(ids, holdout, k=10, *, per_user=False):
    """Share of the top k places that hold a holdout item: hits / k.

    Answers "how much of the list is right?". The order within the top k does not matter. It
    misleads where holdouts are small: a user with T < k holdout items cannot pass T / k, so values
    from different splits do not compare. A short list is divided by k too.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items, T for a user: every non-zero is one, whatever its value. Not modified.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, whom the mean leaves out.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a holdout.

    Examples
    --------
    >>> from skdiffrec.metrics import precision_at_k
    >>> holdout = [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]]
    >>> precision_at_k([[3, 2], [4, 1]], holdout, k=2, per_user=True)
    array([0.5, 0.5])
    """
    hits, sizes = _hits(ids, holdout, k)
    return _average(np.count_nonzero(hits, axis=1) / k, sizes, per_user)


def recall_at_k(ids, holdout, k=10, *, per_user=False):
    """Share of the holdout found in the top k: hits / T.

    Answers "how much of what the user went on to choose was found?". It never falls as k grows.
    It misleads where holdouts are large: a user with T > k holdout items cannot pass k / T (some
    libraries divide by min(k, T), and report more). Small holdouts make it coarse: 0 or 1 at T=1.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items, T for a user: every non-zero is one, whatever its value. Not modified.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, whom the mean leaves out.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a holdout.

    Examples
    --------
    >>> from skdiffrec.metrics import recall_at_k
    >>> recall_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2)
    0.75
    """
    hits, sizes = _hits(ids, holdout, k)
    return _average(np.count_nonzero(hits, axis=1) / np.maximum(sizes, 1), sizes, per_user)


def ndcg_at_k(ids, holdout, k=10, *, per_user=False):
    """Discounted gain of the top k, relative to the best list possible.

    A hit at rank r (from 1) gains 1 / log2(r + 1); the sum is divided by that of a list whose
    first min(k, T) places are hits. Answers "are the hits near the top?". It misleads across k: the
    ideal grows too, so the value may rise or fall. An ideal of k hits (other libraries) gives less.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items, T for a user: every non-zero is one, whatever its value. Not modified.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, whom the mean leaves out.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a holdout.

    Examples
    --------
    >>> from skdiffrec.metrics import ndcg_at_k
    >>> round(ndcg_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2), 4)
    0.622
    """
    hits, sizes = _hits(ids, holdout, k)
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    rows, ranks = np.nonzero(hits)
    # bincount and cumsum both add one by one from the top, so a perfect list is exactly 1 and no
    # rounding lifts a list above it.
    dcg = np.bincount(rows, weights=gains[ranks], minlength=len(hits))
    ideal = np.cumsum(gains)[np.clip(sizes, 1, k) - 1]
    return _average(dcg / ideal, sizes, per_user)


def mrr_at_k(ids, holdout, k=10, *, per_user=False):
    """Reciprocal rank of the first hit in the top k, 0 without one.

    Answers "how far down is the first good item?", for one who stops there. It misleads where
    users want several items: all after the first hit is ignored. Rank 1 against rank 2 weighs as
    much as rank 2 against no hit, so the mean leans on first places.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items, T for a user: every non-zero is one, whatever its value. Not modified.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, whom the mean leaves out.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a holdout.

    Examples
    --------
    >>> from skdiffrec.metrics import mrr_at_k
    >>> mrr_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2)
    0.75
    """
    hits, sizes = _hits(ids, holdout, k)
    first = hits.argmax(axis=1) + 1.0
    return _average(hits.any(axis=1) / first, sizes, per_user)


def map_at_k(ids, holdout, k=10, *, per_user=False):
    """Mean over users of the average precision of the top k.

    A user's average precision is the sum of precision@r over the ranks r <= k of the hits,
    divided by min(k, T). Answers "is the top free of misses before and between the hits?". It
    misleads across libraries: a divisor of T, or of the number of hits, gives other numbers under
    the same name. Like nDCG it may rise or fall with k; it punishes late hits harder.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items, T for a user: every non-zero is one, whatever its value. Not modified.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user (the average precision) in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, whom the mean leaves out.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a holdout.

    Examples
    --------
    >>> from skdiffrec.metrics import map_at_k
    >>> map_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2)
    0.5
    """
    hits, sizes = _hits(ids, holdout, k)
    rows, ranks = np.nonzero(hits)
    precisions = np.cumsum(hits, axis=1, dtype=np.int32)[rows, ranks] / (ranks + 1)
    total = np.bincount(rows, weights=precisions, minlength=len(hits))
    return _average(total / np.clip(sizes, 1, k), sizes, per_user)


def hit_rate_at_k(ids, holdout, k=10, *, per_user=False):
    """Share of users with at least one holdout item in the top k.

    Answers "how many users find anything?". It never falls as k grows. It misleads where holdouts
    or k are large: one hit counts as much as ten, chance alone gives many users one, and the
    value nears 1 for every model. With one holdout item per user it equals recall.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items, T for a user: every non-zero is one, whatever its value. Not modified.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user (0 or 1) in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, whom the mean leaves out.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a holdout.

    Examples
    --------
    >>> from skdiffrec.metrics import hit_rate_at_k
    >>> hit_rate_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=1)
    0.5
    """
    hits, sizes = _hits(ids, holdout, k)
    return _average(hits.any(axis=1).astype(np.float64), sizes, per_user)


def _hits(ids, holdout, k):
    """Check the arguments and look the listed items up: hits (n_users, k) bool, sizes (n_users,).

    `hits[u, r]` says whether place r of user u's list is in the holdout, `sizes[u]` is T. Every
    metric is a closed form of the two.
    """
    _check_k(k)
    hint = "pass the ids of recommend() alone, one row per user, short rows filled with -1"
    ids = _check_2d("ids", ids, "iu", hint)
    pattern = _holdout_pattern(holdout)
    _check_ids(ids, *pattern.shape, k)
    top, sizes = ids[:, :k], np.diff(pattern.indptr)
    if pattern.nnz == 0:
        return np.zeros(top.shape, dtype=bool), sizes
    # scipy looks a pair up by bisection within its row: several times faster than one search
    # over all pairs, and the key row * n_items + item cannot overflow as none is made.
    index_dtype = pattern.indices.dtype
    rows = np.repeat(np.arange(len(top), dtype=index_dtype), k)
    items = np.maximum(top, 0).astype(index_dtype, copy=False).ravel()
    hits = np.asarray(pattern[rows, items]).reshape(top.shape)
    return hits & (top >= 0), sizes


def _average(values, sizes, per_user):
    """NaN where there is no holdout, then the mean over the others unless `per_user`."""
    judged = sizes > 0
    if per_user:
        return np.where(judged, values, np.nan)
    if not judged.any():
        raise ValueError(
            f"holdout must hold an item for at least one user, got {len(sizes)} users and no item;"
            " check the split, or pass per_user=True to get NaN for each of them."
        )
    return float(values[judged].mean())


def _holdout_pattern(holdout):
    """Canonical boolean csr_array of the holdout's non-zeros; the input stays as it is."""
    hint = "pass a users x items matrix, non-zero where an item was held out"
    holdout = _check_2d("holdout", holdout, "biuf", hint)
    if not sp.issparse(holdout):
        holdout = sp.coo_array(holdout, dtype=np.float64)  # scipy refuses float16
    elif holdout.format != "csr":
        holdout = holdout.tocoo()
    # Before duplicates are summed, or 1 and -1 would cancel and uint8 would wrap to 0.
    wrong = ~((holdout.data >= 0) & (holdout.data < np.inf))
    if wrong.any():
        at, coo = int(wrong.argmax()), holdout.tocoo()
        raise ValueError(
            f"holdout must hold finite values >= 0, got {coo.data[at]} at row {coo.row[at]}, column"
            f" {coo.col[at]}; drop such entries (a zero or a missing entry means not held out)."
        )
    present = holdout.data != 0
    if holdout.format == "csr":
        pattern = sp.csr_array((present, holdout.indices, holdout.indptr), holdout.shape)
    else:
        pattern = sp.coo_array((present, (holdout.row, holdout.col)), holdout.shape).tocsr()
    if not (pattern.has_canonical_format and present.all()):
        pattern = pattern.copy()  # the index arrays may be the caller's
        pattern.sum_duplicates()
        pattern.eliminate_zeros()
    return pattern


def _check_2d(name, value, kinds, hint):
    """`value` as an array (a sparse holdout as it is); 2-D with a dtype kind of `kinds`."""
    try:
        array = value if name == "holdout" and sp.issparse(value) else np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a 2-D array, got uneven rows ({error}); {hint}."
        ) from error
    if array.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {array.shape}; {hint}.")
    if array.dtype.kind not in kinds:
        what = "integers" if kinds == "iu" else "numbers"
        raise TypeError(f"{name} must hold {what}, got dtype {array.dtype}; {hint}.")
    return array


def _check_k(k):
    advice = "pass the number of places to judge as an integer >= 1."
    if isinstance(k, bool) or not isinstance(k, Integral):
        raise TypeError(f"k must be an integer, got {k!r} of type {type(k).__name__}; {advice}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}; {advice}")


def _check_ids(ids, n_users, n_items, k):
    if len(ids) != n_users:
        raise ValueError(
            f"ids and holdout must have the same users as rows, got {len(ids)} rows of ids and"
            f" {n_users} of holdout; slice holdout to the users of ids."
        )
    if k > ids.shape[1]:
        raise ValueError(
            f"k must be at most the number of columns of ids ({ids.shape[1]}), got {k};"
            " recommend longer lists, or lower k."
        )
    outside = (ids < -1) | (ids >= n_items)
    if outside.any():
        row, rank = np.unravel_index(outside.argmax(), ids.shape)
        raise IndexError(
            f"ids must be columns of holdout, 0 to {n_items - 1}, or -1 to fill a list, got"
            f" {ids[row, rank]} at row {row}, place {rank}; give holdout every item of the model."
        )
    gap = (ids[:, :-1] == -1) & (ids[:, 1:] != -1)
    if gap.any():
        row, rank = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(
            f"ids may hold -1 at the end of a list only, got item {ids[row, rank + 1]} after -1"
            f" in row {row}; move the -1 of each list behind its items."
        )
    ordered = np.sort(ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != -1)
    if twice.any():
        row, rank = np.unravel_index(twice.argmax(), twice.shape)
        raise ValueError(
            f"ids must not repeat an item within a list, got item {ordered[row, rank]} more than"
            f" once in row {row}; drop the repeats (each would count as a hit) and fill with -1."
        )
