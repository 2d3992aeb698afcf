"""Classifier-free guidance: a denoiser of two branches becomes one, which any sampler can call.

A denoiser is what `samplers.py` says it is. Guidance is affine, so it commutes with linear maps: it
may be applied to estimates in item space or to any linear image of them.
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
