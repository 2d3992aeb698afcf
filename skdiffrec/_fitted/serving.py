"""Items beside items, and a fitted diffusion recommender as a graph for other runtimes."""

import os

from .._inference.host_state import in_own_state
from .._inference.onnx import export, requested_inputs
from .._utils.similarity import cosine_similarity, most_similar, stored_similarity
from .._utils.typing import ArrayLike, FloatArray, IntArray
from .._utils.validation import allowed_items, check_fitted, check_item_list, check_k
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
          where the model's `values` is not "binary".
        * ``user_features``, float32 (batch, n_user_features), where the model was fitted with
          some; zeros are nothing.
        * ``guidance_scale``, float32 (batch,); of a model with several conditions (batch,
          n_conditions), in the order of the chain: user features, history, disliked.
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
