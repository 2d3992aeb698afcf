"""Dislikes of known effect: items have a mood, and users rate those of one mood low."""

import numpy as np

MOOD_NAMES = ("grim", "loud", "slow", "sweet")
_SURE = 0.9  # of ratings that say what the moods say


def draw_moods(n_users, n_items, rng):
    """The mood that each user dislikes and that of each item, by the names of the Bunch."""
    return {
        "user_dislikes": rng.randint(len(MOOD_NAMES), size=n_users),
        "item_moods": rng.randint(len(MOOD_NAMES), size=n_items),
        "mood_names": np.array(MOOD_NAMES),
    }


def draw_ratings(user, item, moods, rng):
    """Ratings of interactions, float32 (n_interactions,): 1 or 2 where disliked, else 4 or 5."""
    disliked = moods["user_dislikes"][user] == moods["item_moods"][item]
    disliked ^= rng.random_sample(len(user)) > _SURE
    lower = np.where(disliked, 1, 4)
    return (lower + rng.randint(2, size=len(user))).astype(np.float32)
