"""Many steps without noise: the denoiser is called at some, polynomials stand in at the rest.

From one of those steps to the next, x_a becomes ``Q·x_a + Σ_k c_k·x̂_0(t_k)``, a sum over the steps
that are passed. Along the steps of a row x̂_0 is a smooth function of t: the polynomial through the
last few calls gives it at the steps in between, first without the next call (predictor), then with
it (corrector). That is Adams' method with sums in place of integrals. How far a prediction is from
what the denoiser then says is known for every row, so that none is trusted blindly.
"""

from typing import NamedTuple

import numpy as np
import torch

_ORDER = 5  # calls that a polynomial goes through
_SINGLE_STEPS = 10  # at the start, at least _ORDER: the cosine schedule has a kink at T
_SPACING = 1 / 80  # of calls, at the most: as a share of all timesteps
_SPACING_AT_END = 1 / 16  # and of the timestep: x̂_0 changes fastest towards t = 0
# Of what predictions miss, relative to the estimates: the largest numbers of a row, each the root
# of a sum of squares over the steps. Rounding alone makes up to 5e-5.
_TOLERANCE = 3e-4
_LARGEST_SHARE = 0.7  # of the steps, at which the denoiser is called; above, all may be


class Leap(NamedTuple):
    """From one call of the denoiser to the next: ``x = q·x + Σ weights·x̂_0``, the newest last."""

    t: int  # of the next call
    is_step: bool  # to the next timestep: passes over nothing
    q: float
    weights: np.ndarray  # (n,) of the last n x̂_0
    prediction: np.ndarray  # (n,): weights of the same that give the next x̂_0
    correction: float  # weight of what that prediction missed


def plan_leaps(timesteps, diffusion, eta):
    """The leaps over many steps, or None where every step is taken.

    So it does where too few steps can be passed over, and where noise is predicted: x̂_0 is divided
    by α_t then, which is next to nothing at the start and blows up all that predictions miss.

    Parameters
    ----------
    timesteps : ndarray of int64, shape (n_steps + 1,)
        Strictly decreasing, ending in 0.
    diffusion : Diffusion
    eta : float

    Returns
    -------
    leaps : list of Leap or None
    """
    calls = _places_of_calls(timesteps[:-1], diffusion.n_timesteps)
    if diffusion.prediction_type == "epsilon" or len(calls) > _LARGEST_SHARE * (len(timesteps) - 1):
        return None
    steps = [
        diffusion.step(int(t), int(t_next), eta)
        for t, t_next in zip(timesteps[:-2], timesteps[1:-1], strict=True)
    ]
    return [
        _leap(timesteps, steps, calls[max(0, i - _ORDER) : i], calls[i])
        for i in range(1, len(calls))
    ]


def _places_of_calls(timesteps, n_timesteps):
    """Places among the timesteps where the denoiser is called: both ends, some in between."""
    places, stride = [0], 1
    while places[-1] < len(timesteps) - 1:
        place = places[-1]
        most = min(n_timesteps * _SPACING, timesteps[place] * _SPACING_AT_END)
        most_steps = 1 if len(places) <= _SINGLE_STEPS else stride + 1
        distance = timesteps[place] - timesteps[place + 1 : place + 1 + most_steps]
        stride = max(1, int(np.count_nonzero(distance <= most)))
        places.append(place + stride)
    return places


def _leap(timesteps, steps, known, place):
    """The leap from the last of the `known` places to another."""
    passed = range(known[-1], place)
    q = np.array([steps[k].q for k in passed])
    left = np.append(np.cumprod(q[:0:-1])[::-1], 1.0)  # of each step's x̂_0 when all are done
    factors = np.array([steps[k].p for k in passed]) * left
    times = timesteps[[*passed, place]].astype(float)
    basis = _lagrange(timesteps[known], times)
    last_with_next = _lagrange(timesteps[[*known, place]], times[:-1])[-1]
    return Leap(
        t=int(timesteps[place]),
        is_step=len(passed) == 1,
        q=float(q.prod()),
        weights=basis[:, :-1] @ factors,
        prediction=basis[:, -1],
        correction=float(last_with_next @ factors),
    )


def _lagrange(nodes, times):
    """The polynomials (n_nodes, n_times) that are 1 at one node and 0 at the others."""
    nodes = nodes.astype(float)
    return np.array(
        [
            np.prod((times[:, None] - others) / (node - others), axis=1)
            for node, others in ((nodes[i], np.delete(nodes, i)) for i in range(len(nodes)))
        ]
    )


def multistep_sample(denoise, x, start, leaps):
    """The last estimate of all steps (a predictor-corrector after Adams).

    Parameters
    ----------
    denoise, x
        As in `sample`.
    start : int
        The first timestep.
    leaps : list of Leap

    Returns
    -------
    estimate : tuple of tensors
        As of `sample`.
    trusted : bool tensor (n,)
        Rows whose predictions came true.
    """

    def estimate_at(x, t):
        return denoise(x, torch.full((len(x),), t, device=x.device))

    # all of it in memory that is there: new memory costs more than a sum
    known, sums = x.new_zeros(_ORDER + 1, *x.shape), x.new_empty(2, *x.shape)
    squared_misses, squared_estimates = x.new_zeros(x.shape), x.new_zeros(x.shape)
    state = known[_ORDER].copy_(x)
    estimate = estimate_at(state, start)
    for place, leap in enumerate(leaps):
        known[place % _ORDER] = estimate[0]
        if leap.is_step:
            state.mul_(leap.q).add_(estimate[0], alpha=leap.weights[-1])
            estimate = estimate_at(state, leap.t)
            continue
        weights = np.roll([leap.weights, leap.prediction], place + 1, axis=1)
        weights = torch.from_numpy(np.column_stack([weights, [leap.q, 0]])).to(x)
        torch.mm(weights, known.flatten(1), out=sums.flatten(1))
        predicted_state, predicted = sums
        estimate = estimate_at(predicted_state, leap.t)
        miss = predicted.sub_(estimate[0])
        torch.sub(predicted_state, miss, alpha=leap.correction, out=state)
        squared_misses.addcmul_(miss, miss)
        squared_estimates.addcmul_(estimate[0], estimate[0])
    return estimate, squared_misses.amax(1) <= _TOLERANCE**2 * squared_estimates.amax(1)
