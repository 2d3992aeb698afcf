"""What a fitted model says of its scores: their parts, what raised them, which items are alike."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from ._utils.similarity import SimilarItemsMixin, cosine_similarity, stored_similarity
from ._utils.validation import check_item_list, check_lists

_N_EXPLAINED = 10


class ScoreParts(NamedTuple):
    """Scores and the two estimates they are made of; NaN where an item id was -1.

    Attributes
    ----------
    score : ndarray of float32
        ``unconditional + guidance_scale * lift``.
    conditional : ndarray of float32
        With the history.
    unconditional : ndarray of float32
        Without it.
    lift : ndarray of float32
        ``conditional - unconditional``: what the history changes.
    """

    score: np.ndarray
    conditional: np.ndarray
    unconditional: np.ndarray
    lift: np.ndarray


@dataclass(frozen=True, eq=False)
class Explanation:
    """What each item of a user's history gave to the scores of k items.

    For one item given as an int the first dimension is left out.

    Attributes
    ----------
    item_ids : ndarray of int64, shape (k,)
        The items whose scores are explained.
    history : ndarray of int64, shape (n,)
        The items of the history, ascending.
    score : ndarray of float32, shape (k,)
        As from `recommend`.
    base : ndarray of float32, shape (k,)
        The score without any history.
    total : ndarray of float32, shape (k, n)
        How much lower the score is without this item of the history, the others read as before.
    path : ndarray of float32, shape (k, n)
        The closed form's part of `total`. Linear: together with `path_base` it adds up to the
        closed form's part of `score`.
    network : ndarray of float32, shape (k, n)
        ``total - path``. The network is not linear, so these do not add up to its part.
    path_base : ndarray of float32, shape (k,)
        What the closed form gives whatever the history.
    """

    item_ids: np.ndarray
    history: np.ndarray
    score: np.ndarray
    base: np.ndarray
    total: np.ndarray
    path: np.ndarray
    path_base: np.ndarray

    @property
    def network(self) -> np.ndarray:
        return self.total - self.path

    def to_frame(self, item_names: ArrayLike | None = None) -> Any:
        """A pandas DataFrame with one row for each item and item of the history, by `total`.

        Parameters
        ----------
        item_names : array-like of str, shape (n_items,), default=None
            What to call the items; None takes their ids.

        Returns
        -------
        frame : DataFrame
            Columns item, history, total, path, network; the items in their order, of each the
            largest total first.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame() needs pandas; run pip install pandas.") from error
        names = (lambda ids: ids) if item_names is None else np.asarray(item_names).__getitem__
        item_ids, n = np.atleast_1d(self.item_ids), len(self.history)
        columns = {
            "item": names(np.repeat(item_ids, n)),
            "history": names(np.tile(self.history, len(item_ids))),
            "total": self.total.ravel(),
            "path": self.path.ravel(),
            "network": self.network.ravel(),
        }
        order = np.argsort(-self.total.reshape(len(item_ids), n), axis=1, kind="stable")
        order += n * np.arange(len(item_ids))[:, None]
        return pd.DataFrame(columns).iloc[order.ravel()].reset_index(drop=True)


class ExplanationMixin(SimilarItemsMixin):
    """`explain`, `score_parts` and `similar_items` of `CFGDiffusionRecommender`."""

    def score_parts(
        self,
        user_ids: ArrayLike | None = None,
        item_ids: ArrayLike | None = None,
        *,
        X: Any = None,
        guidance_scale: ArrayLike | None = None,
    ) -> ScoreParts:
        """Scores of given items and the two estimates that guidance makes them of.

        Parameters
        ----------
        user_ids, X, guidance_scale
            As in `recommend`.
        item_ids : int or array-like of int, shape (k,) or (n, k), default=None
            The same items for all users, or one list for each, as `recommend` returns; -1 is no
            item. None means all items.

        Returns
        -------
        parts : ScoreParts
            ``score``, ``conditional``, ``unconditional`` and ``lift``, each float32 of shape
            (n, k): ``score = unconditional + guidance_scale * lift``, that of `recommend` up to
            rounding. Without the first dimension for one user given as an int, without the last
            for one item.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError, IndexError
            For user or item ids that are not integers or out of range, and as `recommend`.

        Notes
        -----
        A user without history has the unconditional estimate alone, and a lift of 0. With several
        sampling steps guidance acts in each of them; the parts are the two estimates of the last
        step, both made from where the guided steps before have led to.

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
        check_is_fitted(self)
        rows, chosen, one_user = self._requested_rows(user_ids, X)
        n = rows.shape[0] if chosen is None else len(chosen)
        item_ids = np.arange(self.n_features_in_) if item_ids is None else item_ids
        one_item = np.ndim(item_ids) == 0
        item_ids = check_lists("item_ids", item_ids, n, self.n_features_in_)
        items, places = np.unique(np.maximum(item_ids, 0), return_inverse=True)
        places = places.reshape(item_ids.shape)
        scale = self._scales(n, guidance_scale)
        model, settings = self._sampled_model()
        parts = np.empty((2, *item_ids.shape), np.float32)

        def score(block):
            histories = rows[block] if chosen is None else rows[chosen[block]]
            branches = model.branches(histories, scale[block], settings, items)
            for part, scores in zip(parts, branches, strict=True):
                part[block] = np.take_along_axis(scores, places[block], axis=1)

        self._each(score, self._blocks(n))
        parts[:, item_ids == -1] = np.nan
        conditional, unconditional = parts
        lift = conditional - unconditional
        scores = unconditional + scale[:, None].astype(np.float32) * lift
        shape = (() if one_user else (n,)) + (() if one_item else item_ids.shape[1:])
        every = scores, conditional, unconditional, lift
        return ScoreParts(*(part.reshape(shape)[()] for part in every))

    def explain(
        self,
        user_id: int | None = None,
        item_ids: ArrayLike | None = None,
        *,
        X: Any = None,
        guidance_scale: float | None = None,
    ) -> Explanation:
        """Say which items of a user's history raised the scores of items, and by how much.

        Parameters
        ----------
        user_id : int, default=None
            Row of the matrix given to `fit`; with `X` a label only.
        item_ids : int or array-like of int, shape (k,), default=None
            Items whose scores are explained. None takes the user's ten best unseen items.
        X : {array-like, sparse matrix, sparse array} of shape (1, n_items), default=None
            The user's history. None means the row seen in `fit`.
        guidance_scale : float, default=None
            None takes the estimator's.

        Returns
        -------
        explanation : Explanation
            ``total`` (k, n) holds what each of the n items of ``history`` gave to each score: the
            difference to the score without that item. ``path`` is the share of it that passed
            through the closed form, exact and additive, ``network`` the rest.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError, IndexError
            If no user or more than one is asked for, for ids that are not integers or out of range,
            and as `recommend`.

        Notes
        -----
        Where one item is left out the others keep their ages and weights, so that what a late item
        gives is not mixed with what earlier ones gain by moving up. Contributions to the network's
        part need not add up: two items that say the same hide each other, either can be left out
        at no loss. The score without the only item of a history is that of a user without history.

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
        check_is_fitted(self)
        row = self._one_row(user_id, X)
        scale = self._scales(1, guidance_scale)
        if item_ids is None:
            item_ids, _ = self._rank(row, None, _N_EXPLAINED, per_row={"guidance_scale": scale})
            item_ids = item_ids[item_ids >= 0]
        item_ids, one_item = check_item_list("item_ids", item_ids, self.n_features_in_)
        items, places = np.unique(item_ids, return_inverse=True)
        model, settings = self._sampled_model()
        score = model.score(row, scale, settings, items)[0]
        # the unconditional branch, with the row's own random numbers
        base = model.score(row, np.zeros(1), settings, items)[0]
        without = model.leave_one_out(row, scale[0], settings, items, self._blocks)
        path, path_base = model.path_contributions(row, scale[0], items)
        by_item = score, base, (score - without).T, path, path_base
        asked = places[0] if one_item else places
        return Explanation(
            item_ids[0] if one_item else item_ids,
            row.indices.astype(np.int64),
            *(part[asked] for part in by_item),
        )

    def _one_row(self, user_id, X):
        """The canonical row of the one user that is asked for."""
        rows, chosen, _ = self._requested_rows(user_id, X)
        row = rows if chosen is None else rows[chosen]
        if row.shape[0] != 1:
            raise ValueError(
                f"explain takes one user, got {row.shape[0]}; give one user_id, or X of one row."
            )
        return row

    def similar_items(
        self,
        item_ids: ArrayLike,
        k: int = 10,
        *,
        by: str = "auto",
        filter_items: ArrayLike | None = None,
        items: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        check_is_fitted(self)
        if by == "auto":
            by = "output_layer" if self._model.denoiser.item_path is None else "item_path"
        similarities = {"output_layer": self._output_similarity, "item_path": self._path_similarity}
        if by not in similarities:
            raise ValueError(f'by must be "auto", "output_layer" or "item_path", got {by!r}.')
        return self._similar_items(item_ids, k, filter_items, items, similarities[by])

    similar_items.__doc__ = (
        (SimilarItemsMixin.similar_items.__doc__ or "")
        .replace(
            "        filter_items :",
            """        by : {"auto", "item_path", "output_layer"}, default="auto"
            "item_path" is the closed form's weight: what an item in the history adds to the score
            of the other. "output_layer" is the cosine of the vectors by which the network scores
            items: who is offered one is offered the other. "auto" takes the closed form where
            there is one.
        filter_items :""",
            1,
        )
        .replace("``k < 1``.", "``k < 1``, a `by` that is not known or\n            not there.", 1)
    )

    def _output_similarity(self):
        vectors = self._sampled_model()[0].denoiser.item_vectors()
        return cosine_similarity(vectors)

    def _path_similarity(self):
        path = self._sampled_model()[0].denoiser.item_path
        if path is None:
            raise ValueError(
                'by="item_path" needs a closed form, but the model was fitted without one '
                f'(item_path={self.item_path!r}, loss={self.loss!r}); use by="output_layer".'
            )
        return stored_similarity(path.csr) if path.sparse else path.entries
