"""Guidance and the sampler: free functions of a denoiser, which know nothing of each other.

A denoiser is a callable ``denoise(x_t, t) -> tuple of tensors``, each linear in what the network's
last layer gives, the first being x̂_0 in the space of `x_t`. Whether that is item space or an image
of it under a linear map makes no difference here.
"""

import torch


def guide(denoise_both, scale, out=None):
    """Classifier-free guidance (arXiv 2207.12598, eq. 6; arXiv 2409.10494): wrap a denoiser.

    Parameters
    ----------
    denoise_both : callable
        ``denoise_both(x_t, t)``, one call on a doubled batch: for x_t of n rows it returns tensors
        of 2·n rows, the conditional estimates first, then the unconditional ones.
    scale : float tensor of shape (n, 1)
    out : float tensor, default=None
        Where to write what `denoise` returns, if that is one tensor.

    Returns
    -------
    denoise : callable
        ``uncond + scale·(cond − uncond)`` for every tensor.
    """

    def denoise(x_t, t):
        # one pass over memory, where a difference, a product and a sum are three
        halves = (estimate.chunk(2) for estimate in denoise_both(x_t, t))
        return tuple(torch.lerp(uncond, cond, scale.to(cond), out=out) for cond, uncond in halves)

    return denoise


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
