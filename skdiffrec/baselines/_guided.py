"""What networks with a null condition share: parameters, guidance, rows, files.

A network is a function of a dict of arrays, `weights`, and of `xp`, the module to compute by: NumPy
at prediction, torch in training, which `_guided_training.py` alone imports.
"""

import numbers
from itertools import pairwise
from typing import Any

import numpy as np

from .._utils.fitted_state import copy_of
from .._utils.flags import check_device_name
from .._utils.hashing import draw_seed
from .._utils.recency import history_weights
from .._utils.rows import ROW_MULTIPLE, entry_rows, pad_rows, scale_rows
from .._utils.tensor_file import check_record, is_integer, take
from .._utils.training_parameters import check_hidden_dims, check_target_share
from .._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike, RandomState
from .._utils.validation import Interval, check_parameters, fitted_now
from ..base import BaseRecommender
from ._constraints import HISTORY_CONSTRAINTS

_HISTORY_NORM = 5.0  # length to which histories are scaled: with 1, training takes twice as long
_BYTES_OF_WEIGHT = 16  # itself, its gradient, two moments

_COUNT = Interval(numbers.Integral, 1, None, closed="left")
GUIDED_CONSTRAINTS = {
    "guidance_scale": [Interval(numbers.Real, -1000, 1000, closed="both")],
    **HISTORY_CONSTRAINTS,
    "target_share": [Interval(numbers.Real, 0, 1, closed="left"), "array-like", None],
    "cond_drop_prob": [Interval(numbers.Real, 0, 1, closed="both")],
    "latent_dim": [_COUNT],
    "hidden_dims": ["array-like"],
    "dropout": [Interval(numbers.Real, 0, 1, closed="left")],
    "max_epochs": [_COUNT],
    "batch_size": [_COUNT],
    "learning_rate": [Interval(numbers.Real, 0, None, closed="neither")],
    "random_state": ["random_state"],
}


def layer_shapes(name, widths):
    """{name: shape} of layers from each width to the next."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (a, b) in enumerate(pairwise(widths)):
        shapes |= {f"{name}.{i}.weight": (a, b), f"{name}.{i}.bias": (b,)}
    return shapes


def linear(weights, name, h):
    """h @ W + b."""
    return h @ weights[f"{name}.weight"] + weights[f"{name}.bias"]


def layers(weights, name, h, xp, dropout=lambda h: h):
    """tanh(h @ W + b) with dropout, layer after layer."""
    i = 0
    while f"{name}.{i}.weight" in weights:
        h = dropout(xp.tanh(linear(weights, f"{name}.{i}", h)))
        i += 1
    return h


def scaled_to(rows, length):
    """Rows of a CSR scaled to one length, float32; empty ones stay."""
    squares = rows.data.astype(np.float64) ** 2
    norms = np.sqrt(np.bincount(entry_rows(rows), squares, rows.shape[0]))
    return scale_rows(rows, length / np.where(norms > 0, norms, 1.0))


def as_read(rows):
    """What the first layer reads of weighted histories."""
    return scaled_to(rows, _HISTORY_NORM)


class GuidedRecommender(BaseRecommender):
    """Base of networks that are trained with a null condition, for guidance.

    A subclass has the parameters of `GUIDED_CONSTRAINTS` and defines `_shapes`, `_loss` and
    `_guided_scores`.
    """

    _read_late = (*BaseRecommender._read_late, "guidance_scale")
    _fixed: tuple[str, ...] = ()  # weights that are not trained

    guidance_scale: float
    half_life: float | None
    target_share: Any
    cond_drop_prob: float
    latent_dim: int
    hidden_dims: ArrayLike
    max_epochs: int
    batch_size: int
    learning_rate: float
    random_state: RandomState
    weights_: dict[str, FloatArray]
    _architecture: dict[str, Any]
    _seed: int

    def _shapes(self, n_items, *, hidden_dims, latent_dim):
        """{name: shape} of the weights, "read.weight" and "null" among them."""
        raise NotImplementedError

    def _given(self, rows):
        """{name: ndarray} of weights that are not drawn, made of weighted rows."""
        return {}

    def _input_dropout(self):
        """Share of the interactions of a history that training does not show."""
        return 0.0

    def _loss(self, weights, batch, xp):
        """The loss of a `Batch`, a tensor of shape ()."""
        raise NotImplementedError

    def _guided_scores(self, history, read, null):
        """Guided scores (n, n_items) of a few weighted histories.

        `read` (n, width) is what the first layer reads of them, `null` the same of nobody.
        """
        raise NotImplementedError

    def _guide(self, uncond, cond):
        """Classifier-free guidance (arXiv 2207.12598, eq. 6); exact at the scales 0 and 1."""
        scale = float(self.guidance_scale)
        return (1 - scale) * uncond + scale * cond

    def _bytes_to_fit(self, n_items):
        sizes = check_hidden_dims(self.hidden_dims), min(self.latent_dim, n_items)
        shapes = self._shapes(n_items, hidden_dims=sizes[0], latent_dim=sizes[1])
        return _BYTES_OF_WEIGHT * sum(int(np.prod(shape)) for shape in shapes.values())

    def _fit(self, X):
        from ._guided_training import batches, train

        whole_row = self.target_share is None
        target_share = check_target_share(0.0 if whole_row else self.target_share)
        self._seed = draw_seed(self.random_state)
        self._architecture = {
            "hidden_dims": check_hidden_dims(self.hidden_dims),
            "latent_dim": int(min(self.latent_dim, *X.shape)),
        }
        rows = history_weights(X, self.values, None)
        steps = batches(
            rows,
            as_read,
            target_share=target_share,
            cond_drop_prob=self.cond_drop_prob,
            input_dropout=self._input_dropout(),
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            seed=self._seed,
        )
        weights = self._first_weights(rows)
        fixed = {name: weights.pop(name) for name in self._fixed}
        learned = train(self._loss, weights, fixed, steps, self.learning_rate)
        if not all(np.isfinite(array).all() for array in learned.values()):
            raise ValueError(
                f"Training diverged: weights are not finite, with learning_rate="
                f"{self.learning_rate}. Lower it."
            )
        self.weights_ = fixed | learned

    def _first_weights(self, rows):
        """Those given, others as Glorot and Bengio (2010) draw them; the rest is zeros."""
        rng, weights = np.random.default_rng(self._seed), {}
        for name, shape in self._shapes(rows.shape[1], **self._architecture).items():
            deviation = (2 / sum(shape)) ** 0.5 if len(shape) == 2 else 0.0
            weights[name] = (deviation * rng.standard_normal(shape)).astype(np.float32)
        return weights | self._given(rows)

    def _score_rows(self, X):
        # products of so many rows, always: their number decides how they are rounded
        histories = pad_rows(history_weights(X, self.values, self.half_life), ROW_MULTIPLE)
        scores = np.empty(histories.shape, np.float32)
        for start in range(0, histories.shape[0], ROW_MULTIPLE):
            block = slice(start, start + ROW_MULTIPLE)
            read = as_read(histories[block]) @ self.weights_["read.weight"]
            null = np.broadcast_to(self.weights_["null"], read.shape)
            scores[block] = self._guided_scores(histories[block], read, null)
        return scores[: X.shape[0]]

    def _at(self, guidance_scale):
        """The fitted model as it is now, at a guidance scale; None is its own."""
        model = fitted_now(self)
        if guidance_scale is not None:
            model = copy_of(model)
            model.guidance_scale = guidance_scale
            check_parameters(model, ["guidance_scale"])
        return model

    def recommend(
        self,
        user_ids: ArrayLike | None = None,
        k: int = 10,
        *,
        X: MatrixLike | None = None,
        filter_seen: bool = True,
        filter_items: MatrixLike | None = None,
        items: MatrixLike | None = None,
        guidance_scale: float | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Recommend the k best items to users, best first.

        Parameters
        ----------
        user_ids, k, X, filter_seen, filter_items, items
            As in `skdiffrec.base.BaseRecommender.recommend`.
        guidance_scale : float, default=None
            Of all these users, between -1000 and 1000; None takes the estimator's. Users without a
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
            For a scale that is no number or out of range, and as there.
        """
        masks: dict[str, Any] = {"filter_items": filter_items, "items": items}
        model = self._at(guidance_scale)
        return super(GuidedRecommender, model).recommend(
            user_ids, k, X=X, filter_seen=filter_seen, **masks
        )

    def decision_function(
        self, X: MatrixLike, *, guidance_scale: float | None = None
    ) -> FloatArray:
        """Scores of all items for the histories in `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.
        guidance_scale
            As in `recommend`.

        Returns
        -------
        scores : ndarray of float32, shape (n_users, n_items)
            Higher is better; comparable within a row. Seen items are scored too. A row without
            interactions has the items' popularity.
        """
        return super(GuidedRecommender, self._at(guidance_scale)).decision_function(X)

    def _get_state(self):
        sizes = {**self._architecture, "hidden_dims": list(self._architecture["hidden_dims"])}
        return sizes | {"seed": self._seed}, dict(self.weights_)

    def _set_state(self, state, tensors, device):
        check_device_name(device)
        n_items = self.n_features_in_
        width = is_integer(1, sum(array.nbytes for array in tensors.values()))
        schema = {
            "hidden_dims": lambda dims: isinstance(dims, list) and dims and all(map(width, dims)),
            "latent_dim": is_integer(1, n_items),
            "seed": is_integer(0, np.iinfo(np.int32).max),
        }
        check_record(state, schema, "the fitted state")
        self._seed = state["seed"]
        sizes = {"hidden_dims": tuple(state["hidden_dims"]), "latent_dim": state["latent_dim"]}
        self._architecture = sizes
        shapes = self._shapes(n_items, **sizes)
        self.weights_ = {name: take(tensors, name, "float32", s) for name, s in shapes.items()}
