"""Small random rows and denoisers, and a slow forward pass in NumPy."""

import math

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import settings
from hypothesis import strategies as st

from skdiffrec._network.build import build_denoiser
from skdiffrec._closed_form.selection import build_path
from skdiffrec._diffusion.schedules import cumulative_alphas
from skdiffrec._network.spaces import Bags

N_ITEMS, LATENT, T = 20, 4, 12
properties = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31 - 2)
ALPHA_BAR = cumulative_alphas("linear", T, 0.01, 0.4)


def random_csr(n, seed=0, n_items=N_ITEMS, weighted=False):
    """Rows of some 6 items; with 4 rows and more, the third is empty."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((n, n_items)) < 0.3).astype(np.float32)
    if n > 3:
        dense[2] = 0
    if weighted:
        dense *= rng.uniform(0.1, 1, dense.shape).astype(np.float32)
    return sp.csr_array(dense)


def to_bags(X):
    return Bags.from_csr(X, "cpu")


def normalized(X):
    """Dense rows of length 1; empty rows stay empty."""
    dense = X.toarray().astype(np.float64)
    return dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)


def tensor(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def path_of(X, weight, item_path):
    return build_path(X, weight, item_path, 3.0, values="binary", half_life=None, seed=0)


def make_denoiser(
    latent_dim=LATENT,
    loss="multinomial",
    item_path="ease",
    widths=(8, 8),
    path_scale=0.7,
    time_dim=6,
    seed=0,
):
    """A denoiser with random weights everywhere, the null token and the biases too."""
    X = random_csr(30, seed=99)
    denoiser = build_denoiser(
        X,
        np.ones(30),
        loss=loss,
        latent_dim=latent_dim,
        path=path_of(X, np.ones(30), item_path) if item_path and loss == "multinomial" else None,
        hidden_dims=widths,
        time_dim=time_dim,
        n_timesteps=T,
        dropout=0.5,
        seed=0,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    denoiser.null_offset.normal_(0, 0.5, generator=generator)
    if denoiser.item_path is not None:
        denoiser.path_scale = path_scale
    return denoiser.eval()


def slow_forward(denoiser, x_t, t, alpha, u):
    """(raw, h) in numpy, from the module's docstring."""
    weights = {name: p.detach().double().numpy() for name, p in denoiser.named_parameters()}
    half = denoiser.time_dim // 2
    angle = 4 * math.pi / T * np.asarray(t)[:, None] / 10_000 ** (np.arange(half) / half)
    time = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    h = np.asarray(alpha) * np.asarray(x_t, float) @ weights["read_state.weight"].T + np.asarray(u)
    h = np.tanh(h + time @ weights["read_time.weight"].T + weights["read_time.bias"])

    def linear(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    for i, layer in enumerate(denoiser.body):
        if hasattr(layer, "norm"):
            centred = h - h.mean(axis=1, keepdims=True)
            scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
            inner = centred / scale * weights[f"body.{i}.norm.weight"]
            inner = linear(f"body.{i}.inner", inner + weights[f"body.{i}.norm.bias"])
            h = h + linear(f"body.{i}.outer", inner / (1 + np.exp(-inner)))
        else:
            h = np.tanh(linear(f"body.{i}.linear", h))
    return linear("write_state", h), h
