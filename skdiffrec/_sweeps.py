"""Looks at one fitted model from several sides: step after step, and at several guidance scales."""

from collections.abc import Iterator

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._utils.topk import masked_topk
from ._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike
from ._utils.validation import check_k, check_scales


class SweepMixin:
    """Scores after each sampling step, and lists at several guidance scales."""

    def staged_decision_function(self, X: MatrixLike) -> Iterator[FloatArray]:
        """Scores of all items after each sampling step.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.

        Yields
        ------
        scores : ndarray of float32, shape (n_users, n_items)
            After the first step, the second, ...; the last is that of `decision_function`,
            up to rounding.
        """
        check_is_fitted(self)
        rows = self._check_rows(X)
        scale = self._scales(rows.shape[0])
        model, settings = self._sampled_model()
        stages = [model.stages(rows[b], scale[b], settings) for b in self._blocks(rows.shape[0])]
        for blocks in zip(*stages, strict=True):
            yield np.concatenate(blocks)

    def recommend_scales(
        self,
        scales: ArrayLike,
        user_ids: ArrayLike | None = None,
        k: int = 10,
        *,
        X: MatrixLike | None = None,
        filter_seen: bool = True,
    ) -> tuple[IntArray, FloatArray]:
        """Lists at several guidance scales, from one sampling pass.

        Equal to `recommend` at each scale, up to rounding; with one sampling step the two branches
        of the network are computed once for all scales.

        Parameters
        ----------
        scales : array-like of float, shape (n_scales,)
            Guidance scales.
        user_ids, k, X, filter_seen
            As in `recommend`.

        Returns
        -------
        ids, scores : ndarrays of int64 and float32, shape (n_scales, n, k), or (n_scales, k)
            As from `recommend`, one set of lists for each scale.

        Raises
        ------
        ValueError, TypeError, IndexError
            If there is no scale or one is out of range, and as `recommend`.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> from skdiffrec.datasets import make_interactions
        >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
        >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
        >>> model.fit(data.train).recommend_scales([0.0, 1.0, 2.0], [5, 7], k=4)[0].shape
        (3, 2, 4)
        """
        check_is_fitted(self)
        scales, k = check_scales(scales), check_k(k)
        rows, chosen, scalar = self._requested_rows(user_ids, X)
        n = rows.shape[0] if chosen is None else len(chosen)
        model, settings = self._sampled_model()
        ids = np.empty((len(scales), n, k), np.int64)
        scores = np.empty(ids.shape, np.float32)
        for block in self._blocks(n):
            histories = rows[block] if chosen is None else rows[chosen[block]]
            seen = histories if filter_seen else None
            for i, found in enumerate(model.sweep(histories, scales, settings)):
                ids[i, block], scores[i, block] = masked_topk(found, k, seen)
        return (ids[:, 0], scores[:, 0]) if scalar else (ids, scores)
