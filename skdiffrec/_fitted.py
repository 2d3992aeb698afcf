"""Lists and scores of a fitted diffusion recommender: checks, then one call to its model."""

import numbers
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ._inference.device import resolve_device
from ._inference.host_state import in_own_state
from ._inference.model import FittedModel
from ._inference.onnx import export, requested_inputs
from ._inference.state import model_state
from ._parameters import SAMPLING_PARAMETERS, sampling_settings
from ._utils.similarity import cosine_similarity, most_similar, stored_similarity
from ._utils.tensor_file import PersistenceError
from ._utils.topk import masked_topk
from ._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike
from ._utils.validation import (
    allowed_items,
    check_fitted,
    check_guidance_scale,
    check_item_list,
    check_k,
    check_parameters,
    check_scales,
    item_filter,
    requested_rows,
)
from .base import BaseRecommender


class FittedDiffusion(BaseRecommender):
    """A recommender around a `FittedModel`; a subclass has its parameters and fits it."""

    _keeps_popularity = False  # the trained model does
    _model: FittedModel
    device: Any
    guidance_scale: Any
    horizon: Any
    n_sampling_steps: int
    start_timestep: int | None

    def _adopt(self, model):
        self.__dict__.update(model.attributes())

    def _get_state(self):
        return model_state(self._model)

    def _set_state(self, state, tensors, device):
        self.device, device = device, resolve_device(device, fitting=True)
        model = FittedModel.of_state(state, tensors)
        if model.denoiser.n_items != self.n_features_in_:
            raise PersistenceError("The network has another number of items than the model.")
        self._adopt(model.to(device))

    def _asked_horizon(self):
        if self.values != "time" or self.horizon is None:
            return None
        check_parameters(self, ["horizon"])
        return self.horizon

    def _scales(self, n, scale=None):
        """One guidance scale for each of n rows; None is the estimator's."""
        if scale is None:
            scale = self.guidance_scale
            if not isinstance(scale, numbers.Real):
                check_parameters(self, ["guidance_scale"])
        if isinstance(scale, str) and scale == "auto":
            scale = self._model.training.best_scale
        return check_guidance_scale(scale, n)

    def _settings(self, n_timesteps, **changes):
        """How to sample: the estimator's parameters but for `changes`, checked."""
        values = {name: getattr(self, name) for name in SAMPLING_PARAMETERS} | changes
        return sampling_settings(values, n_timesteps, type(self).__name__)

    def _sampled(self):
        """The fitted model on its device, and how to sample it."""
        asked = self.device, *(getattr(self, name) for name in SAMPLING_PARAMETERS)
        model = self._model
        known, settings = model.resolved
        if known != asked:
            model = model.to(resolve_device(self.device))
            settings = self._settings(model.diffusion.n_timesteps)
            model.resolve(asked, settings)
            if model is not self._model:  # else an estimator does not change by being asked
                self._model = model
        return model, settings

    def recommend(
        self,
        user_ids: ArrayLike | None = None,
        k: int = 10,
        *,
        X: MatrixLike | None = None,
        filter_seen: bool = True,
        filter_items: MatrixLike | None = None,
        items: MatrixLike | None = None,
        guidance_scale: ArrayLike | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Recommend the k best items to users, best first.

        Parameters
        ----------
        user_ids : int or array-like of int, shape (n,), default=None
            Rows of the matrix given to `fit`; repeats are allowed and the order is kept. With `X`
            they are labels only. None means every row of `X`, or of the training matrix.
        k : int, default=10
            Length of the lists.
        X : {array-like, sparse matrix, sparse array} of shape (n, n_items), default=None
            Histories, one row per entry of `user_ids`, for new users or newer histories. A row may
            be empty. None means the rows seen in `fit`.
        filter_seen : bool, default=True
            Never recommend an item of the user's history.
        filter_items : array-like of int or sparse matrix of shape (n, n_items), default=None
            Items never to recommend: ids for everybody, or a matrix with one row a user (in the
            order of the lists), whose stored non-zeros are that user's blocked items.
        items : array-like of int or sparse matrix of shape (n, n_items), default=None
            Recommend only these: ids for everybody, or a matrix of each user's own.
        guidance_scale : float or array-like of float, shape (n,), default=None
            One scale for all users or one for each; None takes the estimator's. Users without any
            history get what is popular whatever the scale.

        Returns
        -------
        ids : ndarray of int64, shape (n, k), or (k,) for one int
            Items, best first, ties by lower id. A list that cannot be filled ends in -1.
        scores : ndarray of float32, same shape
            Their scores; -inf beside -1.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError, IndexError
            For user or item ids that are not integers or out of range, a wrong number of rows or
            columns, negative or missing values in a matrix, ``k < 1``.
        """
        check_fitted(self)
        k = check_k(k)
        rows, chosen, scalar = requested_rows(self, user_ids, X)
        n = rows.shape[0] if chosen is None else len(chosen)
        allowed = item_filter(filter_items, items, self.n_features_in_, n)
        scale = self._scales(n, guidance_scale)
        model, settings = self._sampled()
        masks: dict[str, Any] = {"filter_seen": filter_seen, "items": allowed}
        ids, scores = model.rank(rows, k, scale, settings, chosen=chosen, **masks)
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def _rank(self, rows, chosen, k, **masks):
        model, settings = self._sampled()
        scale = self._scales(rows.shape[0] if chosen is None else len(chosen))
        return model.rank(rows, k, scale, settings, chosen=chosen, **masks)

    def decision_function(self, X: MatrixLike) -> FloatArray:
        """Scores of all items for the histories in `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.

        Returns
        -------
        scores : ndarray of float32, shape (n_users, n_items)
            Higher is better; comparable within a row. Seen items are scored too.
        """
        check_fitted(self)
        rows = self._check_rows(X)
        model, settings = self._sampled()
        return model.score_all(rows, self._scales(rows.shape[0]), settings)

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
        check_fitted(self)
        rows = self._check_rows(X)
        scale = self._scales(rows.shape[0])
        model, settings = self._sampled()
        stages = [model.stages(rows[b], scale[b], settings) for b in model.blocks(rows.shape[0])]
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
        filter_items: MatrixLike | None = None,
        items: MatrixLike | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Lists at several guidance scales, from one sampling pass.

        Equal to `recommend` at each scale, up to rounding; with one sampling step the two branches
        of the network are computed once for all scales.

        Parameters
        ----------
        scales : array-like of float, shape (n_scales,)
            Guidance scales.
        user_ids, k, X, filter_seen, filter_items, items
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
        check_fitted(self)
        scales, k = check_scales(scales), check_k(k)
        rows, chosen, scalar = requested_rows(self, user_ids, X)
        n = rows.shape[0] if chosen is None else len(chosen)
        allowed = item_filter(filter_items, items, self.n_features_in_, n)
        model, settings = self._sampled()
        ids = np.empty((len(scales), n, k), np.int64)
        scores = np.empty(ids.shape, np.float32)
        for block in model.blocks(n):
            histories = rows[block] if chosen is None else rows[chosen[block]]
            masks = allowed.of(block).masks(histories if filter_seen else None)
            for i, found in enumerate(model.sweep(histories, scales, settings)):
                ids[i, block], scores[i, block] = masked_topk(found, k, **masks)
        return (ids[:, 0], scores[:, 0]) if scalar else (ids, scores)

    def similar_items(
        self,
        item_ids: ArrayLike,
        k: int = 10,
        *,
        by: str = "auto",
        filter_items: ArrayLike | None = None,
        items: ArrayLike | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Find the items most similar to given ones.

        Parameters
        ----------
        item_ids : int or array-like of int, shape (n,)
            Repeats are allowed and the order is kept.
        k : int, default=10
            Length of the lists.
        by : {"auto", "closed_form", "output_layer"}, default="auto"
            "closed_form" is the closed form's weight: what an item in the history adds to the score
            of the other. "output_layer" is the cosine of the vectors by which the network scores
            items: both are recommended to the same users. "auto" takes the closed form where there
            is one.
        filter_items : array-like of int, default=None
            Items never to list.
        items : array-like of int, default=None
            List only these.

        Returns
        -------
        ids : ndarray of int64, shape (n, k), or (k,) for one int
            Similar items, most similar first, ties by lower id; an item is not in its own list. A
            list that cannot be filled ends in -1.
        scores : ndarray of float32, same shape
            Their similarities; -inf beside -1.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError, IndexError
            For item ids that are not integers or out of range, ``k < 1``, a `by` that is not known
            or not there.
        """
        check_fitted(self)
        k, n_items = check_k(k), self.n_features_in_
        item_ids, scalar = check_item_list("item_ids", item_ids, n_items)
        columns = allowed_items(filter_items, items, n_items)
        ids, scores = most_similar(self._similarity(by), item_ids, k, n_items, columns)
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def _similarity(self, by):
        model, form = self._model, self._model.closed_form
        if by not in ("auto", "closed_form", "output_layer"):
            raise ValueError(f'by must be "auto", "output_layer" or "closed_form", got {by!r}.')
        if by == "output_layer" or (by == "auto" and form is None):
            return cosine_similarity(model.item_vectors())
        if form is None:
            raise ValueError(
                'by="closed_form" needs a closed form, but the model was fitted without one; use '
                'by="output_layer", or fit with closed_form="auto" and ranking_head=True.'
            )
        return stored_similarity(form.csr) if form.sparse else in_own_state()(form.entries)

    def export_onnx(
        self,
        path: str | os.PathLike[str],
        k: int = 10,
        *,
        filter_seen: bool = True,
        blocked: bool = False,
        allowed: bool = False,
    ) -> None:
        """Export as an ONNX file that makes lists as `recommend` does, for example in onnxruntime.

        The sampling parameters are those of the estimator now; only the guidance scale is an input.
        Needs ``pip install "skdiffrec[onnx]"``.

        Inputs of the graph, of any batch and any length:

        * ``items``, int64 (batch, length): the ids of a user's items in any order, each once;
          rows are filled up with -1 (any id below 0 is no item). A row of -1 alone has no history.
        * ``values``, float64 (batch, length): what `X` has for these items; 0 beside -1. Only
          where the model's `values` is "weight" or "time".
        * ``guidance_scale``, float32 (batch,).
        * ``blocked`` and ``allowed``, int64 (batch, length), if asked for: ids of items never to
          recommend to a user, and of the only ones to recommend, filled up with -1. They do what
          `filter_items` and `items` of `recommend` do as matrices.

        Outputs: ``ids``, int64 (batch, k), and ``scores``, float32 (batch, k), as from `recommend`.

        Parameters
        ----------
        path : str or os.PathLike
            Of the file; written at once when it is complete.
        k : int, default=10
            Length of the lists.
        filter_seen : bool, default=True
            Never recommend an item of the history.
        blocked, allowed : bool, default=False
            Whether the graph has these inputs, which must then be given at every call.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ImportError
            Without the package onnx.
        ValueError
            If the estimator draws noise (``temperature > 0``), or the file would be larger than
            ONNX allows (2 GB).
        TypeError
            If `k` is no integer, or `blocked` or `allowed` no bool.
        """
        check_fitted(self)
        model, settings = self._sampled()
        filters = {"blocked": blocked, "allowed": allowed}
        export(model, settings, path, check_k(k), filter_seen, requested_inputs(filters))
