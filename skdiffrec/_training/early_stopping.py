"""Held-out items of some users: they end training and choose weights and guidance scale."""

import math

import numpy as np
from scipy.ndimage import uniform_filter1d

from .._closed_form.held_out import HeldOut, K, hold_out_moments
from .._network.sparse_rows import UserRows
from .._utils.cuts import divisible_rows, hide_share
from .._utils.row_view import replaced_rows
from .._utils.topk import masked_topk
from .threads import in_turn

_HELD_OUT = 0.2
_MAX_USERS = 1_000
# Of the closed form, relative to the spread of the network's scores. The first is only evaluated,
# to see the network learn, and never taken: held-out items flatter the network, being more like
# what it was trained on than what users take next. With the last ones the closed form ranks all but
# alone, while a young network has nothing to add.
_CLOSED_FORM_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0, 16.0, 64.0)
_DEFAULT_WEIGHT = 0.5
# With a horizon the network is asked the same as in training, and its scores are those of a softmax
# of one item, which spread far.
_NEXT_ITEM_WEIGHTS = (0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 4.0, 16.0)
_NEXT_ITEM_WEIGHT = 0.06
_PROGRESS = ("best", "best_mean", "risen", "epoch", "best_weight", "best_factor")
_SCALES = (0.1, 0.25, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0)
_AS_GOOD = 0.99  # of the best: later items do not tell such scales from 1


def fixed_weight(closed_form_weight, horizon=None):
    """The weight of a closed form where no held-out items can choose it."""
    if isinstance(closed_form_weight, str):
        return _DEFAULT_WEIGHT if horizon is None else _NEXT_ITEM_WEIGHT
    return float(closed_form_weight)


def validation_rows(X, fraction, seed, horizon=None, *, sets=False):
    """Numbers of the rows of which `split_validation` holds out items, ascending."""
    candidates = divisible_rows(X, sets and horizon is None)
    if not fraction or not len(candidates):
        return candidates[:0]
    n = min(max(1, round(fraction * len(candidates))), _MAX_USERS * (1 if horizon is None else 2))
    return np.sort(np.random.default_rng(seed).choice(candidates, n, replace=False))


def split_validation(rows, row_weight, values, fraction, seed, horizon=None, *, sets=False):
    """Hold out items of a share of the `rows` (at most 1,000 users; 2,000 with a horizon).

    With a horizon the last moments of these users are held out, and each of them is a question of
    its own: what are the next items after all that came before it? Where items come in `sets`,
    whole ones are held out.

    Returns
    -------
    train : UserRows
        Without the held-out items.
    held_out : HeldOut or None
        Of the chosen users or, with a horizon, of their moments; None where the share is 0 or no
        row has two items.
    """
    X = rows.history
    chosen = validation_rows(X, fraction, seed, horizon, sets=sets)
    if not len(chosen):
        return rows, None
    if horizon is not None:
        asked = chosen, row_weight, horizon, _HELD_OUT, seed
        train, held = hold_out_moments(X, *asked, rows.user_features)
        return rows.with_history(train), held
    history, holdout = hide_share(X[chosen], values, _HELD_OUT, seed, sets)
    train, own = rows.with_history(replaced_rows(X, chosen, history)), rows[chosen]
    besides = own.user_features, own.disliked
    return train, HeldOut(history, holdout, row_weight[chosen], *besides)


class Monitor:
    """nDCG@10 of held-out items after each epoch.

    Parameters
    ----------
    held_out : HeldOut
    new_scorer : callable
        ``new_scorer()`` gives ``f(rows) -> ndarray of float32 (n_rows, n_items)``, scores of the
        network as it is then.
    score_closed_form : callable or None
        The same ``f`` of the closed form; None where there is none.
    blocks : list of slice
        In which to go through the rows; the first one says how wide scores spread.
    closed_form_weight : "auto" or float
        Weight of the closed form; "auto" chooses the best at each epoch.
    patience : int
        Epochs without a better value, at the best weight or in the mean over weights, after
        which `should_stop` is true.
    horizon : int or None
        As in `CFGDiffusionRecommender`.
    """

    def __init__(
        self,
        held_out,
        new_scorer,
        score_closed_form,
        *,
        blocks,
        closed_form_weight,
        patience,
        horizon=None,
    ):
        self.held_out, self.blocks, self.patience = held_out, blocks, patience
        besides = held_out.user_features, held_out.disliked
        self.rows = UserRows(held_out.history, *besides)
        self.new_scorer, self.score_closed_form = new_scorer, score_closed_form
        self.weights: tuple[float, ...] = _CLOSED_FORM_WEIGHTS
        self.first = 1
        if horizon is not None:
            self.weights, self.first = _NEXT_ITEM_WEIGHTS, 0
        if score_closed_form is None:
            self.weights, self.first = (0.0,), 0
        elif not isinstance(closed_form_weight, str):
            self.weights, self.first = (float(closed_form_weight),), 0
        self.best, self.best_mean, self.risen, self.epoch = -np.inf, -np.inf, 0, 0
        self.best_weight, self.best_factor = 0.0, 0.0

    def evaluate(self, run=in_turn):
        """nDCG@10 at the best weight now; True beside it if no epoch was better so far.

        `run` is from `training_threads`.
        """
        self.epoch += 1
        score_network = self.new_scorer()

        def scores_of(block):
            rows = self.rows[block]
            form = None if self.score_closed_form is None else self.score_closed_form(rows)
            return score_network(rows), form

        first = scores_of(self.blocks[0])
        ratio = spread_ratio(*first)

        def lists_of(i):
            network, form = scores_of(self.blocks[i]) if i else first
            return self._lists(self.rows[self.blocks[i]].seen, network, form, ratio)

        lists = zip(*run(lists_of, len(self.blocks)), strict=True)
        ndcg = [self.held_out.ndcg(np.concatenate(ids)) for ids in lists]
        # a mean with its neighbours, so that no weight wins by luck alone
        smooth = uniform_filter1d(ndcg, 3, mode="nearest")
        chosen = self.first + int(np.argmax(smooth[self.first :]))
        # Of equals the one that was trained longer: of few held-out items a young network can have
        # all right.
        improved = ndcg[chosen] >= self.best
        # A young network adds nothing to a closed form: it is the mean over weights that rises.
        if ndcg[chosen] > self.best or np.mean(ndcg) > self.best_mean:
            self.risen = self.epoch
        self.best_mean = max(self.best_mean, float(np.mean(ndcg)))
        if improved:
            self.best, self.best_weight = float(ndcg[chosen]), self.weights[chosen]
            self.best_factor = self.weights[chosen] * ratio
        return float(ndcg[chosen]), improved

    def _lists(self, seen, network, form, ratio):
        """Lists of a block at every weight."""
        lists, scores = [], np.empty_like(network)
        for weight in self.weights:
            np.multiply(0.0 if form is None else form, np.float32(weight * ratio), out=scores)
            scores += network
            lists.append(masked_topk(scores, K, seen)[0])
        return lists

    def best_scale(self, sweep, run=in_turn):
        """The guidance scale that ranks best; 1 where that is nearly as good.

        Parameters
        ----------
        sweep : callable
            ``sweep(rows, scales)`` yields scores of rows at each scale.
        run : callable
            From `training_threads`.
        """

        def lists_of(i):
            rows = self.rows[self.blocks[i]]
            seen = rows.seen
            return [masked_topk(scores, K, seen)[0] for scores in sweep(rows, _SCALES)]

        lists = zip(*run(lists_of, len(self.blocks)), strict=True)
        found = [self.held_out.ndcg(np.concatenate(ids)) for ids in lists]
        near = found[_SCALES.index(1.0)] >= _AS_GOOD * max(found)
        return 1.0 if near else _SCALES[int(np.argmax(found))]

    def progress(self):
        """What it found so far, {name: number}; None is nothing yet."""
        found = {name: getattr(self, name) for name in _PROGRESS}
        return {name: value if math.isfinite(value) else None for name, value in found.items()}

    def go_on(self, progress):
        """Take what `progress` gave."""
        for name in _PROGRESS:
            value = progress[name]
            setattr(self, name, -math.inf if value is None else value)

    @property
    def should_stop(self):
        return self.epoch - self.risen >= self.patience


def spread_ratio(network, closed_form):
    """How much wider the network's scores spread over items than others, mean over rows."""
    if closed_form is None:
        return 0.0
    spread = closed_form.std(axis=1).mean()
    return float(network.std(axis=1).mean() / spread) if spread > 0 else 0.0
