"""Diversity within a list, from item vectors or from a similarity matrix."""

import numpy as np
import scipy.sparse as sp

from .._utils.typing import ArrayLike, MatrixLike, Score
from ._blocks import in_blocks
from ._checks import as_2d, check_ids
from ._formulas import each_or_mean, lengths, list_sums, ratio


def intra_list_diversity_at_k(
    ids: ArrayLike,
    k: int = 10,
    *,
    item_vectors: MatrixLike | None = None,
    similarity: MatrixLike | None = None,
    per_user: bool = False,
) -> Score:
    """Mean of 1 - similarity over all pairs of items in the top k [1]_.

    Shows how different the items of one list are. It is only as good as the similarity: vectors
    taken from the evaluated model contain no independent information. A high value is not a goal by
    itself: random items are most diverse.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    k : int, default=10
        Number of ranks evaluated, at most ``n_listed``.
    item_vectors : sparse or dense, shape (n_items, n_features), default=None
        The similarity of two items is the cosine of their vectors; a zero vector has similarity 0
        with every other.
    similarity : sparse or dense, shape (n_items, n_items), default=None
        Similarity matrix. Entries (i, j) and (j, i) count equally, the diagonal is ignored. Pass
        exactly one of `item_vectors` and `similarity`.
    per_user : bool, default=False
        Return one value per user instead of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 2] for `item_vectors`, in [0, 1] if no entry of them is negative; NaN for a list with
        fewer than two items.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if `per_user` is False and no list has two items.

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
    name, matrix = check_similarity(item_vectors, similarity)
    top = check_ids(ids, k, matrix.shape[0], f"the rows of {name}")[:, :k]
    values = diversity(top, name, matrix)
    return each_or_mean(values, per_user, "with two items in the list")


def check_similarity(item_vectors, similarity, n_items=None):
    """Which of the two was given (its name), and the matrix as float64 csr_array or ndarray.

    Rows of `item_vectors` are scaled to length 1.
    """
    if (item_vectors is None) == (similarity is None):
        got = "neither" if similarity is None else "both"
        raise ValueError(
            f"Give exactly one of item_vectors and similarity, got {got}; pass item_vectors for"
            " cosine similarity, or your own matrix as similarity."
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
            " fill missing values, for example with 0."
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


def diversity(top, name, matrix):
    """Mean of 1 - similarity over the pairs of each list, (n_users,); NaN without a pair.

    `name` and `matrix` are those of `check_similarity`.
    """
    length = lengths(top)
    pairs = length * (length - 1)
    if name == "item_vectors":
        sums, self_similarity = _vector_sums, _row_sums(matrix * matrix)
    else:
        sums = _sparse_sums if sp.issparse(matrix) else _gathered_sums
        self_similarity = matrix.diagonal()
    values_per_user = _values_per_user(top.shape[1], name, matrix)
    similar = in_blocks(lambda users: sums(top[users], matrix), len(top), values_per_user)
    values = 1.0 - ratio(similar - list_sums(top, self_similarity), pairs)
    if name == "item_vectors":
        values = np.clip(values, 0.0, 2.0)  # outside by rounding only
    return np.where(pairs > 0, values, np.nan)


def _values_per_user(k, name, matrix):
    """Number of temporary values that the functions below need per user."""
    if sp.issparse(matrix):
        return k * (1 + matrix.nnz // max(1, matrix.shape[0]))
    return matrix.shape[1] if name == "item_vectors" else k**2


# Each of these sums the similarities of all ordered pairs of a list's items, an item with itself
# included, (n_users,).


def _vector_sums(top, unit_vectors):
    """The products of all pairs of vectors add up to the square of their sum."""
    total = _one_hot(top, unit_vectors.shape[0]) @ unit_vectors
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
    """Rows scaled to length 1; zero rows stay zero."""
    largest = np.abs(vectors).max(axis=1)  # first, lest squares be 0 or infinite
    largest = np.ravel(largest.toarray() if sp.issparse(largest) else largest)
    largest[largest == 0] = 1.0
    if sp.issparse(vectors):
        data = vectors.data / np.repeat(largest, np.diff(vectors.indptr))
        vectors = sp.csr_array((data, vectors.indices, vectors.indptr), shape=vectors.shape)
    else:
        vectors = vectors / largest[:, None]
    norms = np.sqrt(_row_sums(vectors * vectors))
    scale = ratio(np.ones(len(norms)), norms)
    return sp.diags_array(scale) @ vectors if sp.issparse(vectors) else vectors * scale[:, None]
