"""The forward process and its algebra: noise, x0/epsilon/v conversions, one reverse step.

With α = √ᾱ_t and σ = √(1 − ᾱ_t):  x_t = α·x_0 + σ·ε  and  v = α·ε − σ·x_0, so any two of
(x_t, x_0, ε, v) give the others.
"""

from typing import NamedTuple

import torch

PREDICTION_TYPES = ("x0", "epsilon", "v")


class StepCoefficients(NamedTuple):
    """x_{t'} = p·x̂_0 + q·x_t + r·z: a reverse step is linear, in item space or any image of it."""

    p: float
    q: float
    r: float


class Diffusion:
    """A noise schedule with a parameterisation.

    Parameters
    ----------
    alpha_bar : array-like of shape (n_timesteps + 1,)
        ᾱ_0 = 1 … ᾱ_T.
    prediction_type : {"x0", "epsilon", "v"}
        What the network's raw output stands for.
    """

    def __init__(self, alpha_bar, prediction_type):
        self.alpha_bar = torch.as_tensor(alpha_bar, dtype=torch.float64, device="cpu")
        self.prediction_type = prediction_type

    @property
    def n_timesteps(self):
        return len(self.alpha_bar) - 1

    def scales(self, t):
        """(α, σ) of timesteps `t` (n,) as float32 (n, 1) on the device of `t`."""
        alpha_bar = self.alpha_bar.to(t.device)[t].unsqueeze(-1)
        return alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()

    def input_scale(self, t):
        """What x_t (n, d) is multiplied by before the network reads it, (n, 1).

        √ᾱ_t where x_0 is predicted: the best linear guess of x_0 from x_t alone, so that pure
        noise reads as nothing. Where noise is to be predicted it must be seen: 1.
        """
        alpha, _ = self.scales(t)
        return alpha if self.prediction_type == "x0" else torch.ones_like(alpha)

    def add_noise(self, x_0, noise, t):
        """x_t of rows x_0 (n, d) at timesteps t (n,): DDPM eq. 4."""
        alpha, sigma = self.scales(t)
        return alpha * x_0 + sigma * noise

    def target(self, x_0, noise, t):
        """What the raw output should be, for rows x_0 and noise (n, d) at timesteps t (n,)."""
        if self.prediction_type == "x0":
            return x_0
        if self.prediction_type == "epsilon":
            return noise
        alpha, sigma = self.scales(t)
        return alpha * noise - sigma * x_0

    def to_x0(self, x_t, raw, t):
        """The estimate of x_0 that a raw output (n, d) at x_t (n, d) stands for."""
        if self.prediction_type == "x0":
            return raw
        alpha, sigma = self.scales(t)
        if self.prediction_type == "epsilon":
            return (x_t - sigma * raw) / alpha
        return alpha * x_t - sigma * raw

    def step(self, t, t_next, eta):
        """Coefficients of one reverse step from `t` to `t_next` (DDIM, arXiv 2010.02502, eq. 12).

        ``eta=0`` is deterministic DDIM; ``eta=1`` is ancestral DDPM, for any distance of the two
        timesteps: mean and variance are those of q(x_{t'} | x_t, x_0).
        """
        bar, bar_next = float(self.alpha_bar[t]), float(self.alpha_bar[t_next])
        r = eta * ((1 - bar_next) / (1 - bar) * (1 - bar / bar_next)) ** 0.5
        direction = max(1 - bar_next - r**2, 0.0) ** 0.5
        q = direction / (1 - bar) ** 0.5
        return StepCoefficients(p=bar_next**0.5 - bar**0.5 * q, q=q, r=r)

    def noise_spread(self, timesteps, eta, *, from_noise):
        """Standard deviation of the noise in x̂_0 at each step, for a raw estimate that has none.

        Parameters
        ----------
        timesteps : sequence of int
            As in `sample`.
        eta : float
        from_noise : bool
            Whether sampling starts from noise alone, or with x at ``timesteps[0]``.

        Returns
        -------
        spread : list of float
        """
        variance = 1.0 if from_noise else 1 - float(self.alpha_bar[timesteps[0]])
        spread = []
        for t, t_next in zip(timesteps[:-1], timesteps[1:], strict=True):
            one = torch.ones((1, 1), dtype=torch.float64, device="cpu")
            share = float(
                self.to_x0(one, torch.zeros_like(one), torch.tensor([int(t)], device="cpu"))
            )
            spread.append(abs(share) * variance**0.5)
            if t_next:
                p, q, r = self.step(int(t), int(t_next), eta)
                variance = (p * share + q) ** 2 * variance + r**2
        return spread
