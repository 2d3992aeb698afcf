"""How a trained model is sampled: what may change from call to call."""

from typing import NamedTuple


class SamplingSettings(NamedTuple):
    """Parameters of `CFGDiffusionRecommender` that do not affect training.

    `reference` runs every step in item space, with one number per item: slow, and the same scores.
    """

    n_sampling_steps: int = 1
    start_timestep: int | None = None
    eta: float = 0.0
    temperature: float = 0.0
    n_draws: int = 1
    reference: bool = False
