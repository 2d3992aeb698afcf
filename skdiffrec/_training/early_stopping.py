"""Hidden items of some users: they stop training, choose the best weights and weigh the path."""

import numpy as np
from scipy.ndimage import uniform_filter1d

from .._utils.rows import entry_rows, hide_items, select_entries
from .._utils.topk import masked_topk
from ..metrics import ndcg_at_k

_K = 10
_HIDDEN = 0.2
_MAX_USERS = 1_000
# Of the item path, relative to the spread of the network's scores. The first is only looked at, to
# see the network learn, and never taken: hidden items flatter the network, being more like what it
# was trained on than what users take next. With the last ones the path ranks all but alone, while a
# young network has nothing to add.
_PATH_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0, 16.0, 64.0)
_DEFAULT_PATH_WEIGHT = 0.5
_SCALES = (0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0)


def fixed_path_weight(path_weight):
    """The weight of the path where no hidden items can choose it."""
    return _DEFAULT_PATH_WEIGHT if isinstance(path_weight, str) else float(path_weight)


def split_validation(X, values, fraction, seed):
    """Hide items of a share of the users (at most 1,000 users).

    Returns
    -------
    train : csr_array of shape (n_users, n_items)
        `X` without the hidden items.
    history, hidden : csr_array of shape (n_chosen, n_items)
        The two parts of the chosen users' rows; None where the share is 0 or no row has two items.
    chosen : ndarray of int64, shape (n_chosen,)
        Their rows; None likewise.
    """
    candidates = np.flatnonzero(np.diff(X.indptr) > 1)
    if not fraction or not len(candidates):
        return X, None, None, None
    n = min(max(1, round(fraction * len(candidates))), _MAX_USERS)
    chosen = np.sort(np.random.default_rng(seed).choice(candidates, n, replace=False))
    history, hidden = hide_items(X[chosen], values, _HIDDEN, seed)
    # both are sorted by (row, item), so hidden entries are found by bisection
    key = entry_rows(X) * X.shape[1] + X.indices
    hidden_key = chosen[entry_rows(hidden)] * X.shape[1] + hidden.indices
    kept = np.ones(X.nnz, bool)
    kept[np.searchsorted(key, hidden_key)] = False
    return select_entries(X, kept), history, hidden, chosen


class Monitor:
    """nDCG@10 of hidden items after each epoch.

    Parameters
    ----------
    history, hidden : csr_array of shape (n_rows, n_items)
    score_network, score_path : callables
        ``f(X) -> ndarray of float32 (n_rows, n_items)`` of the network and of the item path;
        `score_path` is None where there is no path.
    blocks : list of slice
        In which to go through the rows.
    path_weight : "auto" or float
        Weight of the path; "auto" chooses the best at each epoch.
    patience : int
        Epochs without a better value, at the best weight or in the mean over weights, after
        which `should_stop` is true.
    row_weight : ndarray of float64, shape (n_rows,), default=None
        Of the rows in the mean; None weighs all alike.
    """

    def __init__(
        self,
        history,
        hidden,
        score_network,
        score_path,
        *,
        blocks,
        path_weight,
        patience,
        row_weight=None,
    ):
        self.history, self.hidden = history, hidden
        self.score_network, self.score_path = score_network, score_path
        self.blocks, self.patience, self.row_weight = blocks, patience, row_weight
        self.weights, self.first = _PATH_WEIGHTS, 1
        if score_path is None or not isinstance(path_weight, str):
            self.weights, self.first = (0.0 if score_path is None else float(path_weight),), 0
        self.best, self.best_mean, self.risen, self.epoch = -np.inf, -np.inf, 0, 0
        self.best_path_scale, self.best_path_weight = 0.0, 0.0

    def evaluate(self):
        """nDCG@10 of the best path weight now; True beside it if it is the best epoch so far."""
        self.epoch += 1
        scale = None
        lists = [[] for _ in self.weights]
        for block in self.blocks:
            history = self.history[block]
            network = self.score_network(history)
            path = None if self.score_path is None else self.score_path(history)
            if scale is None:
                scale = spread_ratio(network, path)
            scores = np.empty_like(network)
            for weight, ids in zip(self.weights, lists, strict=True):
                np.multiply(0.0 if path is None else path, np.float32(weight * scale), out=scores)
                scores += network
                ids.append(masked_topk(scores, _K, history)[0])
        ndcg = [self._ndcg(np.concatenate(ids)) for ids in lists]
        # a mean with its neighbours, so that no weight wins by luck alone
        smooth = uniform_filter1d(ndcg, 3, mode="nearest")
        chosen = self.first + int(np.argmax(smooth[self.first :]))
        improved = ndcg[chosen] > self.best
        # A young network adds nothing to its path: that it learns shows in the mean over weights.
        if improved or np.mean(ndcg) > self.best_mean:
            self.risen = self.epoch
        self.best_mean = max(self.best_mean, np.mean(ndcg))
        if improved:
            self.best = ndcg[chosen]
            self.best_path_weight = self.weights[chosen]
            self.best_path_scale = self.weights[chosen] * scale
        return ndcg[chosen], improved

    def best_scale(self, sweep):
        """The guidance scale that ranks best.

        Parameters
        ----------
        sweep : callable
            ``sweep(X, scales)`` yields scores of rows at each scale.
        """
        lists = [[] for _ in _SCALES]
        for block in self.blocks:
            history = self.history[block]
            for ids, scores in zip(lists, sweep(history, _SCALES), strict=True):
                ids.append(masked_topk(scores, _K, history)[0])
        return _SCALES[int(np.argmax([self._ndcg(np.concatenate(ids)) for ids in lists]))]

    def _ndcg(self, ids):
        values = ndcg_at_k(ids, self.hidden, k=_K, per_user=True)
        return float(np.average(values, weights=self.row_weight))

    @property
    def should_stop(self):
        return self.epoch - self.risen >= self.patience


def spread_ratio(network, path):
    """How much wider the network's scores spread over items than the path's, mean over rows."""
    if path is None:
        return 0.0
    spread = path.std(axis=1).mean()
    return float(network.std(axis=1).mean() / spread) if spread > 0 else 0.0
