"""What is known of users: their histories, and features beside these."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

HISTORY, USER_FEATURES = "history", "user_features"


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
