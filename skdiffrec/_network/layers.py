"""Layers whose weights `Denoiser.initialize` draws."""

import torch
from torch import nn


class Linear(nn.Linear):
    """A linear layer of float32 that draws no weights when it is made.

    Torch's own draws them from the generator of the whole process, which other threads use.
    """

    def __init__(self, width_in, width_out, bias=True):
        super().__init__(width_in, width_out, bias=bias, dtype=torch.float32)

    def reset_parameters(self):
        """Weights are drawn, or loaded, later."""
