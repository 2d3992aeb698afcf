"""Classifier-free guidance: a denoiser of several branches becomes one, which any sampler can call.

A denoiser is what `samplers.py` says it is. Guidance is affine, so it commutes with linear maps: it
may be applied to estimates in item space or to any linear image of them.
"""

import torch


def guide(denoise_all, scales, out=None):
    """Classifier-free guidance (arXiv 2207.12598, eq. 6; arXiv 2409.10494): wrap a denoiser.

    Several conditions are guided along a chain (arXiv 2211.09800, eq. 3), every branch of which
    knows one more of them.

    Parameters
    ----------
    denoise_all : callable
        ``denoise_all(x_t, t)``, one call on a batch of all branches: for x_t of n rows and m scales
        it returns tensors of (m + 1)·n rows, the unconditional estimates first, those of the whole
        chain last.
    scales : sequence of float tensors of shape (n, 1)
        One for each branch but the first.
    out : float tensor, default=None
        Where to write what `denoise` returns, if that is one tensor.

    Returns
    -------
    denoise : callable
        ``branch_0 + Σ_j scale_j·(branch_j − branch_{j−1})`` for every tensor.
    """

    def denoise(x_t, t):
        return tuple(_guided(estimate) for estimate in denoise_all(x_t, t))

    def _guided(estimate):
        branches = estimate.chunk(len(scales) + 1)
        # one pass over memory, where a difference, a product and a sum are three
        guided = torch.lerp(branches[0], branches[1], scales[0].to(estimate), out=out)
        for j, scale in enumerate(scales[1:], start=1):
            step = branches[j + 1] - branches[j]
            guided = torch.addcmul(guided, scale.to(estimate), step, out=out)
        return guided

    return denoise
