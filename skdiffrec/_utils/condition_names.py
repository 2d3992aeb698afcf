"""What a list can be conditioned on, and in which order guidance is composed."""

HISTORY, USER_FEATURES = "history", "user_features"
DISLIKED, WANTED = "disliked", "wanted"
# What a caller says of users beside their rows, to `recommend` and what evaluates it.
SAID_OF_USERS = (USER_FEATURES, WANTED)
_CHAIN = (USER_FEATURES, HISTORY, DISLIKED, WANTED)


def condition_names(*besides):
    """Conditions of a model with these beside the history, in the order of the chain."""
    return tuple(name for name in _CHAIN if name == HISTORY or name in besides)
