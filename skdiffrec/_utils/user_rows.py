"""What is known of users: their histories, and features beside these."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

HISTORY, USER_FEATURES = "history", "user_features"


def warn_without_features(recommender, known, stacklevel=4):
    """Warn if a model that was fitted with features is evaluated without any, {name: value}."""
    if hasattr(recommender, "n_user_features_in_") and known.get(USER_FEATURES) is None:
        warnings.warn(
            "The model was fitted with user_features, but is evaluated without: nothing is known "
            "of the users but their rows. Give user_features= here too; scikit-learn's tools "
            "cut and pass them with metadata routing and set_score_request(user_features=True).",
            stacklevel=stacklevel + 1,
        )


@dataclass(frozen=True, eq=False)
class UserRows:
    """Histories and features of the same users, row by row; cut as one.

    Parameters
    ----------
    history : csr_array of shape (n_rows, n_items)
        Canonical.
    user_features : csr_array of float32, shape (n_rows, n_user_features), default=None
        A row without an entry is a user of whom nothing is known; None is nothing of anybody.
    """

    history: csr_array
    user_features: csr_array | None = None

    @classmethod
    def of(cls, rows: "UserRows | csr_array") -> "UserRows":
        """The rows themselves; of histories alone, with nothing beside them."""
        return rows if isinstance(rows, cls) else cls(rows)

    def __getitem__(self, rows: Any) -> "UserRows":
        features = self.user_features
        return UserRows(self.history[rows], None if features is None else features[rows])

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those that a model of such rows has, in the order of the chain."""
        return (HISTORY,) if self.user_features is None else (USER_FEATURES, HISTORY)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the histories."""
        return self.history.shape

    def with_history(self, history: csr_array) -> "UserRows":
        """The same users with other histories."""
        return replace(self, history=history)

    def without(self, condition: str) -> "UserRows":
        """The same users, if a condition were unknown."""
        name = "history" if condition == HISTORY else "user_features"
        entries = getattr(self, name)
        return replace(self, **{name: csr_array(entries.shape, dtype=entries.dtype)})

    def known(self, condition: str) -> np.ndarray:
        """Of which rows a condition is known, bool (n_rows,)."""
        entries = self.history if condition == HISTORY else self.user_features
        if entries is None:
            return np.zeros(self.shape[0], bool)
        return np.diff(entries.indptr) > 0
