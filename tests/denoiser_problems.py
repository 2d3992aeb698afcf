"""Small random rows, denoisers and models, and a slow forward pass in NumPy."""

import math

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import settings
from hypothesis import strategies as st

from skdiffrec import linear_schedule
from skdiffrec._closed_form.selection import solved_form
from skdiffrec._diffusion.process import Diffusion
from skdiffrec._inference.model import FittedModel
from skdiffrec._network.build import build_denoiser
from skdiffrec._network.closed_form import ClosedForm
from skdiffrec._network.sparse_rows import SparseRows
from skdiffrec.baselines import EASERecommender, NeighborhoodRecommender

N_ITEMS, LATENT, T = 20, 4, 12
properties = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31 - 2)
ALPHA_BAR = linear_schedule(T, 0.01, 0.4)
CLOSED_FORMS = {
    "ease": EASERecommender(reg=3.0),
    "neighborhood": NeighborhoodRecommender(reg=3.0, length_exponent=0.0),
}


def random_csr(n, seed=0, n_items=N_ITEMS, weighted=False):
    """Rows of some 6 items; with 4 rows and more, the third is empty."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((n, n_items)) < 0.3).astype(np.float32)
    if n > 3:
        dense[2] = 0
    if weighted:
        dense *= rng.uniform(0.1, 1, dense.shape).astype(np.float32)
    return sp.csr_array(dense)


def to_rows(X):
    return SparseRows.from_csr(X, "cpu")


def normalized(X):
    """Dense rows of length 1; empty rows stay empty."""
    dense = X.toarray().astype(np.float64)
    return dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)


def tensor(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def closed_form_of(X, weight, name, half_life=None):
    """One of `CLOSED_FORMS` that is solved for rows of ones."""
    options = dict(values="binary", half_life=None, seed=0)
    return ClosedForm(*solved_form(X, weight, CLOSED_FORMS[name], **options)[:2], half_life)


def make_denoiser(latent_dim=LATENT, ranking_head=True, widths=(8, 8), half_life=None, seed=0):
    """A denoiser with random weights everywhere, the null token and the biases too."""
    denoiser = build_denoiser(
        random_csr(30, seed=99),
        np.ones(30),
        ranking_head=ranking_head,
        latent_dim=latent_dim,
        hidden_dims=widths,
        n_timesteps=T,
        dropout=0.5,
        seed=0,
        half_life=half_life,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    if ranking_head:
        denoiser.head.null_offset.normal_(0, 0.5, generator=generator)
        denoiser.head.popularity.normal_(0, 0.5, generator=generator)
    return denoiser.eval()


def make_model(
    latent_dim=LATENT,
    ranking_head=True,
    closed_form="ease",
    *,
    closed_form_scale=0.7,
    prediction_type="x0",
    values="binary",
    half_life=None,
    **of_denoiser,
):
    """A FittedModel around `make_denoiser`; a closed form joins where there is a ranking head."""
    if closed_form is not None and ranking_head:
        closed_form = closed_form_of(random_csr(30, seed=99), np.ones(30), closed_form, half_life)
    else:
        closed_form, closed_form_scale = None, 0.0
    return FittedModel(
        make_denoiser(latent_dim, ranking_head, half_life=half_life, **of_denoiser),
        Diffusion(ALPHA_BAR, prediction_type),
        values,
        half_life,
        seed=0,
        closed_form=closed_form,
        closed_form_scale=closed_form_scale,
    )


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
