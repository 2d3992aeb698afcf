"""The sampler: a free function of a denoiser, which knows nothing of guidance.

A denoiser is a callable ``denoise(x_t, t) -> tuple of tensors``, each linear in what the network's
last layer gives, the first being x̂_0 in the space of `x_t`. Whether that is item space or an image
of it under a linear map makes no difference here. `guidance.py` wraps one.
"""

import torch


def sample(denoise, x, timesteps, diffusion, *, eta=0.0, noise=None):
    """Go from noise to an estimate, one denoiser call a step.

    Parameters
    ----------
    denoise : callable
        ``denoise(x_t, t)`` with x_t (n, d) and t (n,) int64; see the module's docstring.
    x : float tensor of shape (n, d)
        Where sampling starts: x at ``timesteps[0]``.
    timesteps : sequence of int
        Strictly decreasing, ending in 0.
    diffusion : Diffusion
    eta : float
        0 = DDIM, 1 = DDPM.
    noise : callable, default=None
        ``noise(step)`` gives z (n, d) for the step that leaves ``timesteps[step]``; None = no
        noise (the mean of every step).

    Yields
    ------
    estimate : tuple of tensors
        What the denoiser said at each step; the last one is the result. As long as the denoiser
        leaves it alone: one that reuses its memory overwrites it when it is called again.
    """
    for step, (t, t_next) in enumerate(zip(timesteps[:-1], timesteps[1:], strict=True)):
        estimate = denoise(x, torch.full((len(x),), int(t), device=x.device))
        if t_next:  # before others may call `denoise`, which may write to the same memory
            p, q, r = diffusion.step(int(t), int(t_next), eta)
            x = (q * x).add_(estimate[0], alpha=p)
            if r and noise is not None:
                x = x + r * noise(step)
        yield estimate
