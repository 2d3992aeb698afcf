"""What a list can be conditioned on, and in which order guidance is composed."""

HISTORY, USER_FEATURES = "history", "user_features"
DISLIKED, WANTED = "disliked", "wanted"
_CHAIN = (USER_FEATURES, HISTORY, DISLIKED, WANTED)


def condition_names(*besides):
    """Conditions of a model with these beside the history, in the order of the chain."""
    return tuple(name for name in _CHAIN if name == HISTORY or name in besides)
