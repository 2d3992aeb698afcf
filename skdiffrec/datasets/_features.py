"""Features of users and items as ones: of generated ones, with a known effect, and of tables."""

import numpy as np
import scipy.sparse as sp

REGIONS = "north", "east", "south", "west"
DECADES = "1980s", "1990s", "2000s", "2010s", "2020s"


def draw_features(user_taste, item_taste, taste_names, strength, rng):
    """Features of users and items, and the names of their columns.

    Parameters
    ----------
    user_taste : ndarray of int, shape (n_users,)
        Main taste of each user, which the features name with probability `strength`.
    item_taste : ndarray of int, shape (n_items,)
        Main taste of each item, which its features name.
    taste_names : ndarray of str, shape (n_tastes,)
    strength : float
    rng : RandomState

    Returns
    -------
    features : dict
        user_features, item_features (csr_array of float32 ones), user_feature_names and
        item_feature_names (ndarray of str).
    """
    n_users, n_items, n_tastes = len(user_taste), len(item_taste), len(taste_names)
    honest = rng.random_sample(n_users) < strength
    stated = np.where(honest, user_taste, rng.randint(n_tastes, size=n_users))
    region, decade = (
        rng.randint(len(names), size=n) for names, n in ((REGIONS, n_users), (DECADES, n_items))
    )
    tastes = [f"taste={name}" for name in taste_names]
    return {
        "user_features": _ones(stated, region, n_tastes, len(REGIONS)),
        "user_feature_names": np.array(tastes + [f"region={name}" for name in REGIONS]),
        "item_features": _ones(item_taste, decade, n_tastes, len(DECADES)),
        "item_feature_names": np.array(tastes + [f"decade={name}" for name in DECADES]),
    }


def _ones(first, second, n_first, n_second):
    """One of the first columns and one of the others for each row."""
    n = len(first)
    indices = np.stack([first, n_first + second], axis=1).ravel().astype(np.int32)
    indptr = np.arange(0, 2 * n + 1, 2, dtype=np.int32)
    shape = n, n_first + n_second
    return sp.csr_array((np.ones(2 * n, np.float32), indices, indptr), shape=shape)


def ones_of(table):
    """(csr_array of float32 ones, names of its columns) of the categories in a DataFrame.

    One column for each category, in the order of the table's columns; missing values have none.
    """
    parts, names = [], []
    for column in table.columns:
        codes, categories = table[column].factorize(sort=True)
        known = np.flatnonzero(codes >= 0)
        entries = np.ones(len(known), np.float32), (known, codes[known])
        parts.append(sp.csr_array(entries, shape=(len(table), len(categories))))
        names += [f"{column}={category}" for category in categories]
    return sp.csr_array(sp.hstack(parts)), np.array(names)
