"""Items beside items, and a fitted diffusion recommender as a graph for other runtimes."""

import os
from typing import Self

import torch
from scipy.sparse import csr_array

from .._inference.new_items import with_new_items
from .._inference.onnx import export, requested_inputs
from .._utils.fitted_state import replaced_at_once
from .._utils.flags import check_flag
from .._utils.host_state import in_own_state
from .._utils.item_features import check_new_items
from .._utils.similarity import cosine_similarity, most_similar, stored_similarity
from .._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike
from .._utils.validation import allowed_items, check_item_list, check_k, fitted_now
from .lists import FittedDiffusion


class ServedDiffusion(FittedDiffusion):
    """What a fitted diffusion recommender says of items, and how it is exported."""

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
        self = fitted_now(self)
        k, n_items = check_k(k), self.n_features_in_
        item_ids, scalar = check_item_list("item_ids", item_ids, n_items)
        columns = allowed_items(filter_items, items, n_items)
        ids, scores = most_similar(self._similarity(by), item_ids, k, n_items, columns)
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def add_items(self, item_features: MatrixLike) -> Self:
        """Make items recommendable that nobody has met, by their features.

        Each vector of theirs is a ridge regression of the known items' vectors on their features: a
        new item's score is a weighted sum of those of known items like it, for every user and at
        every guidance scale. In the closed form a history's items also speak for those like them.

        Parameters
        ----------
        item_features : {array-like, sparse matrix, data frame} of shape (n_new, n_item_features)
            Of the new items, in the columns of the parameter `item_features`.

        Returns
        -------
        self : object
            The new items' ids follow the last one; `n_features_in_` counts them, and matrices of
            histories have their columns from now on. Known items' scores are what they were.
            Names of columns of X are forgotten.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If the model was fitted without `item_features` or with ``latent_dim=None``, or these
            have other columns or are not finite.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> from skdiffrec.datasets import make_interactions
        >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
        >>> model = CFGDiffusionRecommender(item_features=data.item_features, max_epochs=3)
        >>> model.fit(data.train).add_items(data.item_features[[7, 8]]).n_features_in_
        202
        >>> model.recommend(0, k=1, items=[200, 201])[0].shape
        (1,)
        """
        with replaced_at_once(self) as new:
            new._add_items(item_features)
        return self

    def _add_items(self, item_features):
        fitted_now(self)
        model = self._model
        if model.item_features is None:
            raise ValueError(
                "add_items needs features of the known items, but the model was fitted without. "
                "Fit with item_features=, one row for each column of X."
            )
        if not hasattr(model.denoiser.space, "V"):
            raise ValueError(
                "add_items needs a space that does not grow with the items, but the model was "
                "fitted with latent_dim=None. Fit with latent_dim=128."
            )
        new = check_new_items(item_features, model.item_features, model.item_feature_names)
        on_cpu = model.to(torch.device("cpu"))
        self._model = in_own_state()(with_new_items)(on_cpu, model.item_features, new)
        n_items = self.n_features_in_ = self.n_features_in_ + new.shape[0]
        if self._fit_X is not None:
            X = self._fit_X
            self._fit_X = csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], n_items))
        self.__dict__.pop("feature_names_in_", None)

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
        wanted: bool = False,
    ) -> None:
        """Export as an ONNX file that makes lists as `recommend` does, for example in onnxruntime.

        The sampling parameters are those of the estimator now; only the guidance scale is an input.
        Needs ``pip install "skdiffrec[onnx]"``.

        Inputs of the graph, of any batch and any length:

        * ``items``, int64 (batch, length): the ids of a user's items in any order, each once;
          rows are filled up with -1 (any id below 0 is no item). A row of -1 alone has no history.
        * ``values``, float64 (batch, length): what `X` has for these items; 0 beside -1. Only
          where the model's `values` is not "binary".
        * ``user_features``, float32 (batch, n_user_features), where the model was fitted with
          some; zeros are nothing.
        * ``wanted``, float32 (batch, n_item_features), if asked for; zeros are nothing.
        * ``guidance_scale``, float32 (batch,); of a graph with several conditions (batch,
          n_conditions), in the order of the chain: user features, history, disliked, wanted.
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
        blocked, allowed, wanted : bool, default=False
            Whether the graph has these inputs, which must then be given at every call.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ImportError
            Without the package onnx.
        ValueError
            If the estimator draws noise (``temperature > 0``), there are no `item_features` of
            which something could be wanted, or the file would be larger than ONNX allows (2 GB).
        TypeError
            If `k` is no integer, or `blocked`, `allowed` or `wanted` no bool.
        """
        self = fitted_now(self)
        model, settings = self._sampled()
        filters = {"blocked": blocked, "allowed": allowed, "wanted": wanted}
        hide = check_flag("filter_seen", filter_seen)
        export(model, settings, path, check_k(k), hide, requested_inputs(filters))
