"""Small tables of events, for split_table."""

import pandas as pd

NAMES = ["user", "item", "weight", "when"]
ROLES = dict(weight="weight", timestamp="when")

# a small shop: tea is bought again; after a cut at 5 zoe and rye are new
EVENTS = [
    ("ann", "tea", 1.0, 1),
    ("ann", "jam", 1.0, 2),
    ("bob", "jam", 2.0, 3),
    ("bob", "oat", 1.0, 4),
    ("ann", "tea", 3.0, 5),
    ("ann", "oat", 1.0, 7),
    ("zoe", "tea", 1.0, 7),
    ("bob", "rye", 1.0, 8),
    ("ann", "tea", 5.0, 9),
]


def columns_of(events):
    """A dict of columns."""
    columns = zip(*events, strict=True) if len(events) else [[]] * len(NAMES)
    return dict(zip(NAMES, map(list, columns), strict=True))


def frame_of(events):
    return pd.DataFrame(events, columns=NAMES)


def cells(X, encoder):
    users, items = encoder.users_.tolist(), encoder.items_.tolist()
    X = X.tocoo()
    assert X.shape == (len(users), len(items)) and X.data.all()
    return {(users[r], items[c]): v for r, c, v in zip(X.row, X.col, X.data.tolist(), strict=True)}
