"""What a list can be conditioned on, and in which order guidance is composed."""

HISTORY, USER_FEATURES = "history", "user_features"


def condition_names(has_features):
    """Conditions of a model with features of users or without, in the order of the chain."""
    return (USER_FEATURES, HISTORY) if has_features else (HISTORY,)
