"""Draws and explanations of a fitted diffusion recommender: checks, then calls to its model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._utils.condition_names import HISTORY
from .._utils.memory import refuse_too_large
from .._utils.results import DrawSummary, Explanation, ScoreParts
from .._utils.topk import masked_topk
from .._utils.typing import ArrayLike, Scale, Wanted
from .._utils.validation import check_item_list, check_k, check_lists, fitted_now
from .serving import ServedDiffusion

_N_EXPLAINED = 10
_SUMMARY = "Draw fewer, of fewer users at a time; or use sample_summary, which keeps no draw."
_N_STEPS = 20  # calibration hardly differs from that of 5


class ExplainedDiffusion(ServedDiffusion):
    """Why and how surely a fitted diffusion recommender ranks as it does."""

    def sample(
        self,
        X: Any,
        n_samples: int,
        *,
        user_features: Any = None,
        wanted: Wanted | None = None,
        guidance_scale: Scale | None = None,
        temperature: float = 1.0,
        eta: float = 1.0,
        n_sampling_steps: int | None = None,
    ) -> np.ndarray:
        """Draw scores of all items, several times for each history.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.
        n_samples : int
            Draws. The first of many are those of few.
        user_features, wanted, guidance_scale
            As in `recommend`.
        temperature : float, default=1.0
            Factor of all noise.
        eta : float, default=1.0
            1 is ancestral sampling; 0 draws the first noise alone.
        n_sampling_steps : int, default=None
            None is 20, or as many as the noise schedule has.

        Returns
        -------
        scores : ndarray of float32, shape (n_samples, n_users, n_items)
            ``4 * n_samples * n_users * n_items`` bytes; `sample_summary` keeps no draws. Their
            mean is what `decision_function` gives with these parameters and `n_samples`. Draws
            of a row depend on the row and on the `random_state` of the fit alone.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not valid or a parameter is out of its range.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> from skdiffrec.datasets import make_interactions
        >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
        >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
        >>> model.fit(data.train).sample(data.train[:4], 5).shape
        (5, 4, 200)
        """
        self, n_samples = fitted_now(self), check_k(n_samples, "n_samples")
        given = dict(temperature=temperature, eta=eta, n_sampling_steps=n_sampling_steps)
        rows = self._users(self._check_rows(X), user_features, wanted)
        model, draws = self._start_draws(rows, n_samples, guidance_scale, given)
        what = (
            f"n_samples={n_samples:,} draws of {rows.shape[0]:,} users and {rows.shape[1]:,} items"
        )
        refuse_too_large(4 * n_samples * rows.shape[0] * rows.shape[1], what, _SUMMARY)
        scores = np.empty((n_samples, *rows.shape), np.float32)

        def draw(block):
            for i, drawn in enumerate(draws(block)):
                scores[i, block] = drawn

        model.each(draw, model.blocks(rows.shape[0]))
        return scores

    def sample_summary(
        self,
        X: Any,
        k: int = 10,
        n_samples: int = 100,
        *,
        user_features: Any = None,
        wanted: Wanted | None = None,
        guidance_scale: Scale | None = None,
        temperature: float = 1.0,
        eta: float = 1.0,
        n_sampling_steps: int | None = None,
    ) -> DrawSummary:
        """Mean and spread of drawn scores, and how often an item is in the drawn list.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories; their items are not listed.
        k : int, default=10
            Length of the lists.
        n_samples : int, default=100
            Draws.
        user_features, wanted, guidance_scale, temperature, eta, n_sampling_steps
            As in `sample`.

        Returns
        -------
        summary : DrawSummary
            ``mean``, ``std`` and ``top_k_probability``, each float32 (n_users, n_items). No draw
            is kept.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not valid or a parameter is out of its range.

        Notes
        -----
        The probability says how sure the model is of its list, not how likely the user is to take
        the item; :class:`~skdiffrec.plotting.TopKCalibrationDisplay` shows what lies between.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> from skdiffrec.datasets import make_interactions
        >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
        >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
        >>> summary = model.fit(data.train).sample_summary(data.train[:4], k=5, n_samples=8)
        >>> summary.top_k_probability.sum(axis=1)
        array([5., 5., 5., 5.], dtype=float32)
        """
        self = fitted_now(self)
        k, n_samples = check_k(k), check_k(n_samples, "n_samples")
        given = dict(temperature=temperature, eta=eta, n_sampling_steps=n_sampling_steps)
        rows = self._users(self._check_rows(X), user_features, wanted)
        model, draws = self._start_draws(rows, n_samples, guidance_scale, given)
        summary = DrawSummary(*(np.zeros(rows.shape, np.float32) for _ in DrawSummary._fields))

        def summarize(block):
            found = _summarized(draws(block), rows.seen[block], k, n_samples)
            for whole, part in zip(summary, found, strict=True):
                whole[block] = part

        model.each(summarize, model.blocks(rows.shape[0]))
        return summary

    def _start_draws(self, rows, n_samples, guidance_scale, given):
        """(model, a function that gives the draws of a block of `UserRows`)."""
        scale = self._scales(rows.shape[0], guidance_scale)
        model, _ = self._sampled()
        n_timesteps = model.diffusion.n_timesteps
        if given["n_sampling_steps"] is None:
            given["n_sampling_steps"] = min(_N_STEPS, self.start_timestep or n_timesteps)
        settings = self._settings(n_timesteps, **given)
        return model, lambda block: model.draws(rows[block], scale[block], settings, n_samples)

    def score_parts(
        self,
        user_ids: ArrayLike | None = None,
        item_ids: ArrayLike | None = None,
        *,
        X: Any = None,
        user_features: Any = None,
        wanted: Wanted | None = None,
        guidance_scale: Scale | None = None,
    ) -> ScoreParts:
        """Scores of given items and the estimates that guidance makes them of.

        Parameters
        ----------
        user_ids, X, user_features, wanted, guidance_scale
            As in `recommend`.
        item_ids : int or array-like of int, shape (k,) or (n, k), default=None
            The same items for all users, or one list for each, as `recommend` returns; -1 is no
            item. None means all items.

        Returns
        -------
        parts : ScoreParts
            ``score``, ``conditional``, ``unconditional`` and ``lift``, each float32 of shape
            (n, k): ``score = unconditional + guidance_scale * lift``, that of `recommend` up to
            rounding. ``lifts`` has the part of ``lift`` that each condition adds to those before
            it: the score is the unconditional one plus each part times the scale of its condition.
            Without the first dimension for one user given as an int, without the last for one item.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError, IndexError
            For user or item ids that are not integers or out of range, and as `recommend`.

        Notes
        -----
        A user of whom nothing is known has what is popular as both estimates, and a lift of 0. With
        several sampling steps guidance acts in each of them; the parts are the estimates of the
        last step, all made from where the guided steps before have led to.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> from skdiffrec.datasets import make_interactions
        >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
        >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
        >>> ids, scores = model.fit(data.train).recommend([0, 1, 2], k=5, guidance_scale=2.0)
        >>> parts = model.score_parts([0, 1, 2], ids, guidance_scale=2.0)
        >>> bool(abs(parts.unconditional + 2.0 * parts.lift - scores).max() < 1e-4)
        True
        """
        self = fitted_now(self)
        rows, chosen, one_user = self._requested(user_ids, X, user_features, wanted)
        n = rows.shape[0] if chosen is None else len(chosen)
        item_ids = np.arange(self.n_features_in_) if item_ids is None else item_ids
        one_item = np.ndim(item_ids) == 0
        item_ids = check_lists("item_ids", item_ids, n, self.n_features_in_)
        items, places = np.unique(np.maximum(item_ids, 0), return_inverse=True)
        places = places.reshape(item_ids.shape)
        scale = self._scales(n, guidance_scale)
        model, settings = self._sampled()
        conditions = model.conditions
        branches = np.empty((len(conditions) + 1, *item_ids.shape), np.float32)

        def score(block):
            users = rows[block] if chosen is None else rows[chosen[block]]
            found = model.branches(users, scale[block], settings, items)
            for branch, scores in zip(branches, found, strict=True):
                branch[block] = np.take_along_axis(scores, places[block], axis=1)

        model.each(score, model.blocks(n))
        branches[:, item_ids == -1] = np.nan
        lifts = np.diff(branches, axis=0)
        total = branches[0] + (lifts * scale.T[:, :, None].astype(np.float32)).sum(0)
        shape = (() if one_user else (n,)) + (() if one_item else item_ids.shape[1:])
        every = total, branches[-1], branches[0], branches[-1] - branches[0]
        total, conditional, unconditional, lift = (part.reshape(shape)[()] for part in every)
        by_condition = (part.reshape(shape)[()] for part in lifts)
        named = dict(zip(conditions, by_condition, strict=True))
        return ScoreParts(total, conditional, unconditional, lift, named)

    def explain(
        self,
        user_id: int | None = None,
        item_ids: ArrayLike | None = None,
        *,
        X: Any = None,
        user_features: Any = None,
        wanted: Wanted | None = None,
        guidance_scale: float | Mapping[str, float] | None = None,
    ) -> Explanation:
        """Which items of a user's history raised the scores of items, and by how much.

        Parameters
        ----------
        user_id : int, default=None
            Row of the matrix given to `fit`; with `X` a label only.
        item_ids : int or array-like of int, shape (k,), default=None
            Items whose scores are explained. None takes the user's ten best unseen items.
        X : {array-like, sparse matrix, sparse array} of shape (1, n_items), default=None
            The user's history. None means the row seen in `fit`.
        user_features : {array-like, sparse matrix, data frame} of shape (1, n_user_features), \
default=None
            As in `recommend`.
        wanted : dict, or matrix of shape (1, n_item_features), default=None
            As in `recommend`.
        guidance_scale : float or dict of float, default=None
            None takes the estimator's.

        Returns
        -------
        explanation : Explanation
            ``total`` (k, n) holds what each of the n items of ``history`` contributed to each
            score: the difference to the score without that item. ``closed_form`` is the closed
            form's share of it, exact and additive, ``network`` the rest. ``conditions`` holds the
            difference to the score without each condition as a whole.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError, IndexError
            If no user or more than one is asked for, for ids that are not integers or out of range,
            and as `recommend`.

        Notes
        -----
        Where one item is left out the others keep their ages and weights, so that the contribution
        of a late item is not mixed with what earlier ones gain by moving up. Contributions to the
        network's part need not add up: of two items that carry the same information either can be
        left out at no loss. The score without the only item of a history is that of a user without
        history.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> from skdiffrec.datasets import make_interactions
        >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
        >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
        >>> why = model.fit(data.train).explain(7, [3, 5])
        >>> why.total.shape == (2, len(why.history))
        True
        """
        self = fitted_now(self)
        row = self._one_row(user_id, X, user_features, wanted)
        scale = self._scales(1, guidance_scale)
        model, settings = self._sampled()
        if item_ids is None:
            item_ids, _ = model.rank(row, _N_EXPLAINED, scale, settings)
            item_ids = item_ids[item_ids >= 0]
        item_ids, one_item = check_item_list("item_ids", item_ids, self.n_features_in_)
        items, places = np.unique(item_ids, return_inverse=True)
        score = model.score(row, scale, settings, items)[0]
        without = {
            name: model.score_without(name, row, scale, settings, items)[0]
            for name in model.conditions
        }
        each = model.leave_one_out(row, scale, settings, items)
        form = model.closed_form_contributions(row, scale, settings, items)
        asked = places[0] if one_item else places
        return Explanation(
            item_ids[0] if one_item else item_ids,
            row.seen.indices.astype(np.int64),
            score=score[asked],
            base=without[HISTORY][asked],
            total=(score - each).T[asked],
            closed_form=form[0][asked],
            closed_form_base=form[1][asked],
            conditions={name: (score - other)[asked] for name, other in without.items()},
        )

    def _one_row(self, user_id, X, user_features, wanted):
        """The `UserRows` of the one user that is asked for."""
        rows, chosen, _ = self._requested(user_id, X, user_features, wanted)
        row = rows if chosen is None else rows[chosen]
        if row.shape[0] != 1:
            raise ValueError(
                f"One user is asked for, got {row.shape[0]}; give one user's id, or X of one row."
            )
        return row


def _summarized(draws, seen, k, n_samples):
    """Mean, standard deviation and share of top-k lists over draws of a block (Welford 1962)."""
    mean, squares, listed = (np.zeros(seen.shape) for _ in range(3))
    for i, scores in enumerate(draws, start=1):
        away = scores - mean
        mean += away / i
        squares += away * (scores - mean)
        ids, _ = masked_topk(scores, k, seen)
        rows, places = np.nonzero(ids >= 0)
        listed[rows, ids[rows, places]] += 1
    return mean, np.sqrt(squares / n_samples), listed / n_samples
