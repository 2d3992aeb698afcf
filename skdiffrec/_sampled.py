"""How scores and lists come from a trained model: device, scales, blocks, files."""

from typing import Any

from ._inference.device import resolve_device, run_blocks
from ._inference.reverse_process import SamplingSettings
from ._inference.state import model_state
from ._inference.tiles import TILE_ITEMS
from ._parameters import FREE_PARAMETERS, check_sampling_steps
from ._training.fit import FittedModel
from ._utils.tensor_file import PersistenceError
from ._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike
from ._utils.validation import check_guidance_scale, check_parameters
from .base import BaseRecommender


class SampledRecommender(BaseRecommender):
    """A recommender around a `FittedModel`; a subclass has its parameters and fits it."""

    _model: FittedModel
    device: Any
    guidance_scale: Any
    n_sampling_steps: int
    start_timestep: int | None
    # Products of fewer rows are slower; of many more, two threads round rows otherwise than of few.
    _max_block_rows = 512

    def _adopt(self, model):
        vars(self).update(model.attributes())

    def _get_state(self):
        return model_state(self._model)

    def _set_state(self, state, tensors, device):
        self.device, device = device, resolve_device(device, fitting=True)
        model = FittedModel.of_state(state, tensors)
        if model.denoiser.n_items != self.n_features_in_:
            raise PersistenceError("The network has another number of items than the model.")
        self._adopt(model.to(device))

    def _scales(self, n, scale=None):
        """One guidance scale for each of n rows; None is the estimator's."""
        scale = self.guidance_scale if scale is None else scale
        if isinstance(scale, str) and scale == "auto":
            scale = self._model.best_scale
        return check_guidance_scale(scale, n)

    def _sampling_settings(self, diffusion):
        """The parameters that may change after `fit`, checked against the fitted schedule."""
        check_parameters(self, FREE_PARAMETERS)
        check_sampling_steps(self.n_sampling_steps, self.start_timestep, diffusion.n_timesteps)
        return SamplingSettings(*(getattr(self, name) for name in SamplingSettings._fields))

    def _sampled_model(self):
        """The fitted model on its device, and how to sample it."""
        model = self._model.to(resolve_device(self.device))
        return model, self._sampling_settings(model.diffusion)

    def _score_rows(self, X, guidance_scale=None):
        model, settings = self._sampled_model()
        return model.score(X, self._scales(X.shape[0], guidance_scale), settings)

    def _rank_rows(self, X, k, *, filter_seen, columns, guidance_scale=None):
        model, settings = self._sampled_model()
        scales = self._scales(X.shape[0], guidance_scale)
        return model.rank(X, k, scales, settings, filter_seen=filter_seen, columns=columns)

    def _ranked_blocks(self, n):
        """Larger ones than for scores, which are never there as a whole but by tiles."""
        tiled = self._model.denoiser.write_items is not None
        return self._blocks(n, min(self.n_features_in_, TILE_ITEMS) if tiled else None)

    def _each(self, run, blocks):
        on_cpu = resolve_device(self.device).type == "cpu"
        run_blocks(run, blocks, most=None if on_cpu else 1)

    def recommend(
        self,
        user_ids: ArrayLike | None = None,
        k: int = 10,
        *,
        X: MatrixLike | None = None,
        filter_seen: bool = True,
        filter_items: ArrayLike | None = None,
        items: ArrayLike | None = None,
        guidance_scale: ArrayLike | None = None,
    ) -> tuple[IntArray, FloatArray]:
        return self._recommend(
            user_ids,
            k,
            X,
            filter_seen,
            filter_items,
            items,
            per_row=lambda n: {"guidance_scale": self._scales(n, guidance_scale)},
        )

    recommend.__doc__ = (BaseRecommender.recommend.__doc__ or "").replace(
        "        Returns\n",
        """        guidance_scale : float or array-like of float, shape (n,), default=None
            One scale for all users or one for each; None takes the estimator's. Users without any
            history get the unconditional branch whatever the scale.

        Returns
""",
    )
