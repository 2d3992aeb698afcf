"""Diversity inside a list, from item vectors or from a matrix of similarities."""

import numpy as np
import scipy.sparse as sp

from .._utils.typing import ArrayLike, MatrixLike, Score
from ._blocks import in_blocks
from ._checks import as_2d, check_ids
from ._closed_forms import lengths, list_sums, mean_of, ratio


def intra_list_diversity_at_k(
    ids: ArrayLike,
    k: int = 10,
    *,
    item_vectors: MatrixLike | None = None,
    similarity: MatrixLike | None = None,
    per_user: bool = False,
) -> Score:
    """Mean of 1 - similarity over all pairs of items in the top k [1]_.

    Answers "are the items of one list unlike each other?". It misleads in that it is only as good
    as the similarity: vectors of the model that made the lists know nothing that the model does
    not. Random items are most diverse.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    item_vectors : sparse or dense, shape (n_items, n_features), default=None
        Items are as similar as the cosine of their vectors; a zero vector is like no other.
    similarity : sparse or dense, shape (n_items, n_items), default=None
        Similarities themselves; (i, j) and (j, i) count alike, the diagonal does not. Give exactly
        one of `item_vectors` and `similarity`.
    per_user : bool, default=False
        Return one value per user in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 2] for vectors, in [0, 1] if none of their numbers is negative; NaN for a list of
        fewer than two items.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no list has two items.

    References
    ----------
    .. [1] C.-N. Ziegler, S. M. McNee, J. A. Konstan, G. Lausen. Improving recommendation lists
       through topic diversification. WWW 2005.

    Examples
    --------
    >>> from skdiffrec.metrics import intra_list_diversity_at_k
    >>> genres = [[1, 0], [1, 0], [0, 1]]
    >>> intra_list_diversity_at_k([[0, 1], [0, 2]], k=2, item_vectors=genres, per_user=True)
    array([0., 1.])
    """
    name, likeness = check_likeness(item_vectors, similarity)
    top = check_ids(ids, k, likeness.shape[0], f"the rows of {name}")[:, :k]
    values = diversity(top, name, likeness)
    return values if per_user else mean_of(values, "with two items in the list")


def check_likeness(item_vectors, similarity, n_items=None):
    """Which of the two was given, and it as float64: csr_array or ndarray, unit rows if vectors."""
    if (item_vectors is None) == (similarity is None):
        got = "neither" if similarity is None else "both"
        raise ValueError(
            f"Give exactly one of item_vectors and similarity, got {got}; pass item_vectors"
            " for the cosine, or similarity for one of your own."
        )
    name = "similarity" if item_vectors is None else "item_vectors"
    given = similarity if item_vectors is None else item_vectors
    matrix = as_2d(name, given, "biuf", "pass one row per item")
    sparse = sp.issparse(matrix)
    matrix = sp.csr_array(matrix, dtype=np.float64) if sparse else matrix.astype(np.float64)
    wrong = ~np.isfinite(matrix.data if sparse else matrix)
    if wrong.any():
        raise ValueError(
            f"{name} must hold finite numbers, got {(matrix.data if sparse else matrix)[wrong][0]};"
            " fill what is unknown, with 0 for example."
        )
    if n_items is not None and matrix.shape[0] != n_items:
        raise ValueError(
            f"{name} must have one row per item, got {matrix.shape[0]} rows and {n_items} items;"
            " give both the same items in the same order."
        )
    if name == "item_vectors":
        return name, _unit_rows(matrix)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"similarity must be square, got shape {matrix.shape}; pass one row and one column per"
            " item, or give item_vectors."
        )
    return name, matrix


def diversity(top, name, likeness):
    """Mean of 1 - similarity over the pairs of every list, (n_users,); NaN without a pair."""
    length = lengths(top)
    pairs = length * (length - 1)
    if name == "item_vectors":
        sums, with_itself = _vector_sums, _row_sums(likeness * likeness)
    else:
        sums = _sparse_sums if sp.issparse(likeness) else _gathered_sums
        with_itself = likeness.diagonal()
    numbers_a_user = _numbers_a_user(top.shape[1], name, likeness)
    similar = in_blocks(lambda users: sums(top[users], likeness), len(top), numbers_a_user)
    values = 1.0 - ratio(similar - list_sums(top, with_itself), pairs)
    if name == "item_vectors":
        values = np.clip(values, 0.0, 2.0)  # off by rounding only
    return np.where(pairs > 0, values, np.nan)


def _numbers_a_user(k, name, likeness):
    """How many numbers the sums below hold for one user."""
    if sp.issparse(likeness):
        return k * (1 + likeness.nnz // max(1, likeness.shape[0]))
    return likeness.shape[1] if name == "item_vectors" else k**2


# Sums of the similarities of a list's items, each with each and with itself, (n_users,).


def _vector_sums(top, units):
    """The products of all pairs of vectors add up to the square of their sum."""
    total = _one_hot(top, units.shape[0]) @ units
    return _row_sums(total * total)


def _sparse_sums(top, similarity):
    lists = _one_hot(top, similarity.shape[0])
    return _row_sums((lists @ similarity) * lists)


def _gathered_sums(top, similarity):
    listed = top >= 0
    pairs = listed[:, :, None] & listed[:, None, :]
    return np.where(pairs, similarity[top[:, :, None], top[:, None, :]], 0.0).sum(axis=(1, 2))


def _one_hot(top, n_items):
    """Lists as a csr_array of ones (n_users, n_items)."""
    ends = np.concatenate([[0], np.cumsum(lengths(top))])
    items = top[top >= 0]
    return sp.csr_array((np.ones(len(items)), items, ends), shape=(len(top), n_items))


def _row_sums(matrix):
    return np.asarray(matrix.sum(axis=1)).ravel()


def _unit_rows(vectors):
    norms = np.sqrt(_row_sums(vectors * vectors))
    scale = ratio(np.ones(len(norms)), norms)
    return sp.diags_array(scale) @ vectors if sp.issparse(vectors) else vectors * scale[:, None]
