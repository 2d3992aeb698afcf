"""Generate synthetic interactions for which the best possible ranking is known."""

import copy
import math
import numbers

import numpy as np
from sklearn.utils import Bunch, check_random_state

from .._utils.typing import RandomState, Values
from ._features import draw_features
from ._moods import draw_moods, draw_ratings
from ._npz import VALUES, describe, split_matrices

TASTE_NAMES = (
    "space opera",
    "cozy mystery",
    "folk horror",
    "slow romance",
    "true crime",
    "sea voyage",
    "court drama",
    "desert western",
    "jazz noir",
    "winter saga",
    "city comedy",
    "garden life",
)

MIN_HISTORY = 5  # enough for train, valid and test
MAX_HISTORY_SHARE = 0.75  # of the items, so that every user has unseen ones
HISTORY_SIGMA = 0.6  # of the log of the history length; the longest tenth is over twice the median
MAIN_TASTE_SHARE = 0.9
MAX_TASTES_PER_USER = 2
N_DRIFT_STEPS = 8
MEAN_EXTRA_COUNT = 3  # if the tastes of user and item match fully


def make_interactions(
    n_users: int = 2000,
    n_items: int = 600,
    *,
    n_interactions_per_user: int = 40,
    n_tastes: int = 12,
    popularity_exponent: float = 0.8,
    taste_strength: float = 0.95,
    drift: float = 0.8,
    feature_strength: float = 0.8,
    values: Values = "binary",
    valid_fraction: float = 0.1,
    test_fraction: float = 0.2,
    random_state: RandomState = 0,
) -> Bunch:
    """Generate interactions of users with tastes that change over time.

    Item popularity follows a power law, and each item belongs mainly to one taste. Each user has a
    mix of one or two tastes, which changes step by step to another mix, and interacts with distinct
    items drawn according to the current mix. The latest items of each user are the test split. They
    are drawn from `preferences`, so ranking the unseen items by `preferences` is the best possible
    recommendation on average, with which a model can be compared.

    Parameters
    ----------
    n_users : int, default=2000
        Number of users, at least 1.
    n_items : int, default=600
        Number of items, at least 10.
    n_interactions_per_user : int, default=40
        Mean length of a history, between 5 and ``n_items // 2``. Lengths are log-normal, then cut
        to at least 5 and at most three quarters of the items: towards ``n_items // 2`` that leaves
        the mean up to a tenth lower.
    n_tastes : int, default=12
        Number of tastes, between 1 and `n_items`.
    popularity_exponent : float, default=0.8
        The item of popularity rank r has the weight ``r ** -popularity_exponent``; between 0 (all
        items equally popular) and 3.
    taste_strength : float, default=0.95
        Share of the preferences that comes from tastes, between 0 and 1; the rest is popularity.
        At 0 all users have the same preferences.
    drift : float, default=0.8
        Share of the first taste mix that differs from the last one, between 0 (tastes do not
        change, so the order of a history carries no information) and 1.
    feature_strength : float, default=0.8
        Probability that the features of a user name the main taste at the end of the history,
        between 0 and 1; else they name any. The interactions do not depend on it.
    values : {"binary", "weight", "time", "rating"}, default="binary"
        What the stored values mean. "binary": 1, float32. "weight": counts 1, 2, ..., larger for
        items that match the user's taste at the time, float32. "time": the position 1, 2, 3, ... of
        the interaction in the history of its user, float64. "rating": 1 or 2 for items of the mood
        that the user dislikes, 4 or 5 for others, and for a tenth of the items the other way round,
        float32. The interactions themselves do not depend on `values`.
    valid_fraction, test_fraction : float, default=0.1 and 0.2
        Share of the items of each user in the valid and in the test split: the latest items are in
        test, those before in valid. Each is in [0, 1), their sum below 1. Train, and each split
        whose share is not 0, has at least one item of every user.
    random_state : int, RandomState instance or None, default=0
        Seed; the same int gives the same data.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        train, valid, test : csr_array of shape (n_users, n_items)
            The interactions of each split, with sorted indices and no duplicates.
        preferences : ndarray of shape (n_users, n_items), float32
            Probability that each item is drawn at the end of the history; rows sum to 1.
        user_tastes : ndarray of shape (n_users, n_tastes), float32
            Taste mix at the end of the history; rows sum to 1.
        item_tastes : ndarray of shape (n_items, n_tastes), float32
            Degree to which an item belongs to each taste; rows sum to 1.
        user_features : csr_array of shape (n_users, n_tastes + 4), float32
            Ones: the taste that a user states, and one of four regions, which say nothing.
        item_features : csr_array of shape (n_items, n_tastes + 5), float32
            Ones: the main taste of an item, and one of five decades, which say nothing.
        user_feature_names, item_feature_names : ndarray of str
            Names of their columns, such as "taste=jazz noir".
        user_dislikes : ndarray of shape (n_users,), int64
            The mood that a user dislikes; it has no part in what the user takes.
        item_moods : ndarray of shape (n_items,), int64
            Mood of an item.
        mood_names : ndarray of shape (4,), str
            Names of the moods.
        item_names : ndarray of shape (n_items,), str
            Main taste and a number, such as "space opera 07".
        taste_names : ndarray of shape (n_tastes,), str
            Names of the tastes.
        n_users, n_items : int
            The shape of the matrices.
        has_times : bool
            True: ``values="time"`` is available.
        DESCR : str
            A short description.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    load_npz : Loads real data of the same form.

    Notes
    -----
    `preferences` and a few temporary arrays are dense: about ``40 * n_users * n_items`` bytes.

    Examples
    --------
    >>> from skdiffrec.datasets import make_interactions
    >>> data = make_interactions(n_users=50, n_items=80, n_interactions_per_user=10)
    >>> data.train.shape, data.train.nnz, data.test.nnz
    ((50, 80), 335, 97)
    >>> best = data.preferences.argmax(axis=1)
    >>> print(data.item_names[best[0]])
    folk horror 07
    """
    _check_sizes(n_users, n_items, n_interactions_per_user, n_tastes)
    _check_number("popularity_exponent", popularity_exponent, 0, 3)
    _check_number("taste_strength", taste_strength, 0, 1)
    _check_number("drift", drift, 0, 1)
    _check_number("feature_strength", feature_strength, 0, 1)
    if values not in VALUES:
        raise ValueError(f"values must be one of {VALUES}, got {values!r}.")
    _check_fractions(valid_fraction, test_fraction)
    rng = check_random_state(random_state)

    popularity, main_taste, item_tastes = _draw_items(n_items, n_tastes, popularity_exponent, rng)
    last_mix, first_mix = _draw_mixes(n_users, n_tastes, rng), _draw_mixes(n_users, n_tastes, rng)
    last = _preferences(last_mix, item_tastes, popularity, taste_strength).astype(np.float32)
    first = _preferences(first_mix, item_tastes, popularity, taste_strength)
    lengths = _draw_lengths(n_users, n_items, n_interactions_per_user, rng)
    n_valid, n_test = _split_lengths(lengths, valid_fraction, test_fraction)

    n_past = lengths - n_test
    user, item, position, distance = _draw_histories(first, last, n_past, lengths, drift, rng)
    split = np.where(position > n_past[user], 2, position > (n_past - n_valid)[user])
    apart = copy.deepcopy(rng)  # what follows is drawn whatever the values
    of_features, of_moods = (check_random_state(apart.randint(2**31 - 1)) for _ in range(2))
    moods, stored = draw_moods(n_users, n_items, of_moods), np.ones(len(user), np.float32)
    if values == "weight":  # drawn last, so that the interactions do not depend on `values`
        mix = last_mix[user] + distance[:, None] * (first_mix - last_mix)[user]
        stored = _draw_counts(mix, item_tastes[item], rng)
    elif values == "time":
        stored = position.astype(np.float64)
    elif values == "rating":
        stored = draw_ratings(user, item, moods, of_moods)

    matrices = split_matrices(user, item, split, stored, (n_users, n_items))
    taste_names = _name_tastes(n_tastes)
    user_taste = last_mix.argmax(1)
    features = draw_features(user_taste, main_taste, taste_names, feature_strength, of_features)
    return Bunch(
        **matrices,
        **features,
        **moods,
        preferences=last,
        item_names=_name_items(taste_names, main_taste),
        taste_names=taste_names,
        user_tastes=last_mix.astype(np.float32),
        item_tastes=item_tastes.astype(np.float32),
        n_users=int(n_users),
        n_items=int(n_items),
        has_times=True,
        DESCR=describe("make_interactions", matrices, values),
    )


def _draw_items(n_items, n_tastes, popularity_exponent, rng):
    """Return popularity (n_items,), main taste (n_items,) and item tastes (n_items, n_tastes)."""
    popularity = (1.0 + rng.permutation(n_items)) ** -popularity_exponent
    main_taste = rng.permutation(n_items) % n_tastes
    tastes = rng.standard_exponential((n_items, n_tastes))
    tastes *= (1 - MAIN_TASTE_SHARE) / tastes.sum(axis=1, keepdims=True)
    tastes[np.arange(n_items), main_taste] += MAIN_TASTE_SHARE
    return popularity / popularity.sum(), main_taste, tastes


def _draw_mixes(n_users, n_tastes, rng):
    """Draw a mix of a few random tastes for each user, shape (n_users, n_tastes)."""
    n_mixed = rng.randint(1, min(MAX_TASTES_PER_USER, n_tastes) + 1, size=n_users)
    rank = rng.random_sample((n_users, n_tastes)).argsort(axis=1).argsort(axis=1)
    mixes = rng.standard_exponential((n_users, n_tastes)) * (rank < n_mixed[:, None])
    return mixes / mixes.sum(axis=1, keepdims=True)


def _preferences(mixes, item_tastes, popularity, taste_strength):
    """Turn taste mixes (n_users, n_tastes) into item probabilities (n_users, n_items)."""
    of_taste = item_tastes.T * popularity
    of_taste /= of_taste.sum(axis=1, keepdims=True)
    # einsum, because the rounding of a BLAS product (`@`) may depend on the number of threads.
    personal = np.einsum("uk,ki->ui", mixes, of_taste)
    return (1 - taste_strength) * popularity + taste_strength * personal


def _draw_lengths(n_users, n_items, mean, rng):
    """Draw log-normal history lengths, shape (n_users,)."""
    skew = rng.lognormal(-(HISTORY_SIGMA**2) / 2, HISTORY_SIGMA, size=n_users)  # has mean 1
    lengths = np.rint(MIN_HISTORY + (mean - MIN_HISTORY) * skew)
    return np.minimum(lengths, int(MAX_HISTORY_SHARE * n_items)).astype(np.int64)


def _split_lengths(lengths, valid_fraction, test_fraction):
    """Number of items of each user in valid and in test; at least one is left for train."""
    has_valid, has_test = int(valid_fraction > 0), int(test_fraction > 0)
    n_test = np.rint(test_fraction * lengths).astype(np.int64)
    n_test = np.clip(n_test, has_test, lengths - 1 - has_valid)
    n_valid = np.rint(valid_fraction * lengths).astype(np.int64)
    return np.clip(n_valid, has_valid, lengths - 1 - n_test), n_test


def _draw_histories(first, last, n_past, lengths, drift, rng):
    """Draw distinct items for every user, from preferences that change from `first` to `last`.

    Parameters
    ----------
    first, last : ndarray of shape (n_users, n_items)
        Initial and final preferences. The initial ones are ``last + drift * (first - last)``.
    n_past, lengths : ndarray of shape (n_users,), int
        Number of items drawn while the preferences change, and in total; the others are drawn from
        `last`.
    drift : float
        In [0, 1].
    rng : RandomState

    Returns
    -------
    user, item, position : ndarray of shape (n_interactions,), int
        Positions count from 1 along a history.
    distance : ndarray of shape (n_interactions,), float
        Weight of `first` in the preferences when the item was drawn.
    """
    n_users = len(lengths)
    n_steps = N_DRIFT_STEPS if drift > 0 else 1
    bounds = [n_past * step // n_steps for step in range(n_steps + 1)] + [lengths]
    taken = np.zeros(last.shape, dtype=bool)
    parts = []
    for step, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        distance = drift * (1 - step / n_steps)
        count = stop - start
        ranked = _draw_without_replacement(
            last + distance * (first - last), taken, int(count.max()), rng
        )
        drawn = np.arange(ranked.shape[1]) < count[:, None]
        user = np.repeat(np.arange(n_users), count)
        item = ranked[drawn]
        position = (start[:, None] + np.arange(1, ranked.shape[1] + 1))[drawn]
        taken[user, item] = True
        parts.append((user, item, position, np.full(len(user), distance)))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _draw_without_replacement(weights, taken, k, rng):
    """Draw k items per user in sequence, with probabilities proportional to `weights` (n_users, k).

    Items of the mask `taken` are excluded. The k smallest of independent exponential variables
    with rates `weights` are such a draw: the Gumbel top-k trick without the logarithm.
    """
    arrival = rng.standard_exponential(weights.shape) / weights
    arrival[taken] = np.inf
    k = max(k, 1)
    first = np.argpartition(arrival, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(arrival, first, axis=1).argsort(axis=1)
    return np.take_along_axis(first, order, axis=1)


def _draw_counts(mix, tastes, rng):
    """Draw counts >= 1 that grow with the match of user and item, shape (n_interactions,)."""
    match = (mix * tastes).sum(axis=1)  # from 0 to 1
    return (1 + rng.poisson(MEAN_EXTRA_COUNT * match)).astype(np.float32)


def _name_tastes(n_tastes):
    """Names of the tastes; after all of TASTE_NAMES are used they repeat with a number."""
    rounds = [divmod(taste, len(TASTE_NAMES)) for taste in range(n_tastes)]
    return np.array([TASTE_NAMES[i] + (f" {turn + 1}" if turn else "") for turn, i in rounds])


def _name_items(taste_names, main_taste):
    """Names of the items: main taste and a number within it, ascending with the item id."""
    width = max(2, len(str(np.bincount(main_taste).max())))
    seen = np.zeros(len(taste_names), dtype=int)
    names = []
    for taste in main_taste:
        seen[taste] += 1
        names.append(f"{taste_names[taste]} {seen[taste]:0{width}d}")
    return np.array(names)


def _check_sizes(n_users, n_items, n_interactions_per_user, n_tastes):
    _check_integer("n_users", n_users, 1)
    _check_integer("n_items", n_items, 2 * MIN_HISTORY)
    _check_integer("n_tastes", n_tastes, 1, n_items, "n_items")
    _check_integer(
        "n_interactions_per_user",
        n_interactions_per_user,
        MIN_HISTORY,
        n_items // 2,
        "half of n_items",
    )


def _check_integer(name, value, low, high=math.inf, meaning=None):
    integral = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (integral and low <= value <= high):
        valid = f"at least {low}" if high == math.inf else f"from {low} to {high} ({meaning})"
        raise ValueError(f"{name} must be an integer {valid}, got {value!r}.")


def _check_number(name, value, low, high):
    if not (_is_real(value) and low <= value <= high):
        raise ValueError(f"{name} must be a number from {low} to {high}, got {value!r}.")


def _check_fractions(valid_fraction, test_fraction):
    for name, value in (("valid_fraction", valid_fraction), ("test_fraction", test_fraction)):
        if not (_is_real(value) and 0 <= value < 1):
            raise ValueError(f"{name} must be a number from 0 to below 1, got {value!r}.")
    if valid_fraction + test_fraction >= 1:
        raise ValueError(
            "valid_fraction and test_fraction must add up to less than 1, so that something is "
            f"left to train on; got {valid_fraction!r} and {test_fraction!r}."
        )


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
