"""Draws of scores, and what many of them say of an item."""

import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from ._utils.topk import masked_topk
from ._utils.validation import check_k

_N_STEPS = 20  # calibration hardly differs from that of 5


class DrawSummary(NamedTuple):
    """What draws say of every item, each an ndarray of float32, shape (n_users, n_items).

    Attributes
    ----------
    mean, std : ndarray
        Of the scores over draws (divided by their number).
    top_k_probability : ndarray
        Share of the draws in whose list of k the item is; 0 for items of the history.
    """

    mean: np.ndarray
    std: np.ndarray
    top_k_probability: np.ndarray


class DrawsMixin:
    """`sample` and `sample_summary` of `CFGDiffusionRecommender`."""

    def sample(
        self,
        X: Any,
        n_samples: int,
        *,
        guidance_scale: ArrayLike | None = None,
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
        guidance_scale : float or array-like of float, shape (n_users,), default=None
            None takes the estimator's.
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
        n_samples = check_k(n_samples, "n_samples")
        given = dict(temperature=temperature, eta=eta, n_sampling_steps=n_sampling_steps)
        rows, draws = self._start_draws(X, n_samples, guidance_scale, given)
        scores = np.empty((n_samples, *rows.shape), np.float32)

        def draw(block):
            for i, drawn in enumerate(draws(block)):
                scores[i, block] = drawn

        self._each(draw, self._blocks(rows.shape[0]))
        return scores

    def sample_summary(
        self,
        X: Any,
        k: int = 10,
        n_samples: int = 100,
        *,
        guidance_scale: ArrayLike | None = None,
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
        guidance_scale, temperature, eta, n_sampling_steps
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
        k, n_samples = check_k(k), check_k(n_samples, "n_samples")
        given = dict(temperature=temperature, eta=eta, n_sampling_steps=n_sampling_steps)
        rows, draws = self._start_draws(X, n_samples, guidance_scale, given)
        summary = DrawSummary(*(np.zeros(rows.shape, np.float32) for _ in DrawSummary._fields))

        def summarize(block):
            found = _summarized(draws(block), rows[block], k, n_samples)
            for whole, part in zip(summary, found, strict=True):
                whole[block] = part

        self._each(summarize, self._blocks(rows.shape[0]))
        return summary

    def _start_draws(self, X, n_samples, guidance_scale, settings):
        """(canonical rows, a function that gives the draws of a block of them)."""
        check_is_fitted(self)
        rows = self._check_rows(X)
        scale = self._scales(rows.shape[0], guidance_scale)
        drawing = copy.copy(self)
        if settings["n_sampling_steps"] is None:
            most = self.start_timestep or self._model.diffusion.n_timesteps
            settings["n_sampling_steps"] = min(_N_STEPS, most)
        for name, value in settings.items():
            setattr(drawing, name, value)
        model, settings = drawing._sampled_model()
        return rows, lambda block: model.draws(rows[block], scale[block], settings, n_samples)


def _summarized(draws, seen, k, n_samples):
    """Mean, deviation and share of top-k lists over draws of a block (Welford 1962)."""
    mean, squares, listed = (np.zeros(seen.shape) for _ in range(3))
    for i, scores in enumerate(draws, start=1):
        away = scores - mean
        mean += away / i
        squares += away * (scores - mean)
        ids, _ = masked_topk(scores, k, seen)
        rows, places = np.nonzero(ids >= 0)
        listed[rows, ids[rows, places]] += 1
    return mean, np.sqrt(squares / n_samples), listed / n_samples
