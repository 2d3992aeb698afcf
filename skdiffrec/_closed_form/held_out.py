"""Held-out items of some training rows, and how well lists find them."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from ..metrics import ndcg_at_k

K = 10  # length of the lists


class HeldOut(NamedTuple):
    """Rows that were cut into a history and held-out items."""

    history: csr_array  # (n_rows, n_items)
    holdout: csr_array  # (n_rows, n_items)
    weight: np.ndarray  # float64 (n_rows,): how many users a row stands for

    def ndcg(self, ids):
        """Mean nDCG@10 of lists (n_rows, 10); rows without held-out items do not count."""
        values = np.asarray(ndcg_at_k(ids, self.holdout, k=K, per_user=True))
        counted = ~np.isnan(values)
        return float(np.average(values[counted], weights=self.weight[counted]))
