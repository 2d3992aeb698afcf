"""The network's linear ends, its spaces, the closed forms, and guided scores by a slow chain."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._chain import SamplingSettings
from skdiffrec._denoiser import Denoiser, Dropout, sinusoidal
from skdiffrec._diffusion import PREDICTION_TYPES, Diffusion
from skdiffrec._early_stopping import split_validation
from skdiffrec._hashing import row_keys
from skdiffrec._item_path import (
    PathSettings,
    PathSolver,
    ease_matrix,
    neighborhood_matrix,
    solve_path,
    truncated_svd,
)
from skdiffrec._model import build_denoiser, latent_space
from skdiffrec._path_choice import Judges, build_path, choose_path, path_kinds
from skdiffrec._random import row_normal
from skdiffrec._readout import HeadReadout
from skdiffrec._rows import hide_items
from skdiffrec._schedules import cumulative_alphas
from skdiffrec._scoring import guided_scores, path_scores
from skdiffrec._spaces import Bags, ItemPath, ItemSpace, LatentSpace
from skdiffrec._topk import masked_topk
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.preprocessing import history_weights

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


# Sparse rows


@properties
@given(seeds, st.integers(0, 6), st.booleans())
def test_bags_multiply_as_scipy_does(seed, n, weighted):
    X = random_csr(n, seed, weighted=weighted)
    matrix = tensor(seed, N_ITEMS, 3)
    assert_allclose(to_bags(X).multiply(matrix), X @ matrix.numpy(), atol=1e-5)


@properties
@given(seeds, st.floats(0.1, 9))
def test_normalized_bags_have_the_given_length(seed, length):
    X = random_csr(5, seed, weighted=True)
    bags = to_bags(X).normalized(length)
    found = bags.multiply(torch.eye(N_ITEMS))
    assert_allclose(found, length * normalized(X), rtol=1e-5, atol=1e-6)
    assert_array_equal(bags.items, X.indices)


def test_bags_know_the_rows_of_their_entries():
    X = random_csr(5)
    assert_array_equal(to_bags(X).rows, sp.coo_array(X).row)


def test_bags_without_entries():
    bags = to_bags(sp.csr_array((3, N_ITEMS), dtype=np.float32))
    assert_array_equal(bags.normalized(5.0).multiply(tensor(0, N_ITEMS, 2)), np.zeros((3, 2)))


# Spaces


def test_item_space_is_the_row_itself():
    X = random_csr(6, weighted=True)
    space = ItemSpace(N_ITEMS)
    x_0 = space.encode(to_bags(X))
    assert x_0.dtype == torch.float32
    assert_array_equal(x_0, X.toarray())
    assert_array_equal(space.decode(x_0), X.toarray())


def some_latent_space(X):
    V = np.linalg.svd(X.toarray(), full_matrices=False)[2][:LATENT].T
    return latent_space(X, V, np.ones(X.shape[0])), V


def test_latent_space_decodes_to_the_projection_of_the_row():
    X = random_csr(40)
    space, V = some_latent_space(X)
    new = random_csr(9, seed=5, weighted=True)
    found = space.decode(space.encode(to_bags(new)))
    assert_allclose(found, normalized(new) @ V @ V.T, atol=1e-5)
    # rows that lie in the span come back as they are
    again = sp.csr_array(found.numpy())
    assert_allclose(space.decode(space.encode(to_bags(again))), normalized(again), atol=1e-4)


@pytest.mark.parametrize("n", [30, 200])
def test_latent_coordinates_have_mean_0_and_variance_1_over_the_training_rows(n):
    X = random_csr(n)
    x_0 = some_latent_space(X)[0].encode(to_bags(X)).double()
    assert x_0.shape == (n, LATENT)
    assert_allclose(x_0.mean(0), np.zeros(LATENT), atol=1e-5)
    assert_allclose(x_0.var(0, unbiased=False), np.ones(LATENT), rtol=1e-4)


def test_latent_coordinates_ignore_the_length_of_a_history():
    X = random_csr(20)
    space, _ = some_latent_space(X)
    assert_allclose(space.encode(to_bags(X * 3)), space.encode(to_bags(X)), atol=1e-5)


def test_latent_space_of_rows_that_agree_is_finite():
    X = sp.csr_array(np.tile([1.0, 1, 0, 0], (3, 1)).astype(np.float32))
    space = latent_space(X, np.eye(4)[:, :2], np.ones(3))
    assert_allclose(space.encode(to_bags(X)), np.zeros((3, 2)), atol=1e-3)


@pytest.mark.parametrize("item_path", ["ease", "neighborhood"])
def test_a_row_of_weight_2_is_two_rows(item_path):
    """In the space and in the closed form, up to rounding and the signs of singular vectors."""
    X = random_csr(30)
    weight = np.arange(30) % 3 + 1
    options = dict(
        loss="multinomial",
        latent_dim=LATENT,
        hidden_dims=(8,),
        time_dim=6,
        n_timesteps=T,
        dropout=0.0,
        seed=0,
    )

    def build(X, weight):
        return build_denoiser(X, weight, path=path_of(X, weight, item_path), **options)

    weighted = build(X, weight.astype(float))
    repeated = build(X[np.repeat(np.arange(30), weight)], np.ones(weight.sum()))
    bags = to_bags(random_csr(9, seed=5))
    assert_allclose(weighted.item_path(bags), repeated.item_path(bags), atol=1e-3)
    assert_allclose(weighted.item_path.unknown, repeated.item_path.unknown, atol=1e-4)
    assert_allclose(weighted.space.encode(bags).abs(), repeated.space.encode(bags).abs(), atol=1e-2)
    unweighted = build(X, np.ones(30))
    assert (unweighted.item_path(bags) - weighted.item_path(bags)).abs().max() > 0.01


# Closed forms


@pytest.mark.parametrize("reg", [0.5, 20.0])
def test_ease_is_ridge_regression_on_the_other_items(reg):
    X = random_csr(50, weighted=True)
    B = ease_matrix(X, reg)
    assert B.dtype == np.float32
    assert_array_equal(np.diag(B), np.zeros(N_ITEMS))
    dense = X.toarray().astype(np.float64)
    for item in range(N_ITEMS):
        others = [i for i in range(N_ITEMS) if i != item]
        design = np.vstack([dense[:, others], math.sqrt(reg) * np.eye(N_ITEMS - 1)])
        goal = np.concatenate([dense[:, item], np.zeros(N_ITEMS - 1)])
        weights = np.linalg.lstsq(design, goal, rcond=None)[0]
        assert_allclose(B[others, item], weights, rtol=1e-4, atol=1e-6)


def test_ease_solves_its_normal_equations():
    X = random_csr(50)
    gram, reg = (X.T @ X).toarray().astype(np.float64), 3.0
    # ∂/∂B = 0 off the diagonal: XᵀX − (XᵀX + λI)·B is diagonal
    residual = gram - (gram + reg * np.eye(N_ITEMS)) @ ease_matrix(X, reg)
    off_diagonal = residual[~np.eye(N_ITEMS, dtype=bool)]
    assert_allclose(off_diagonal, np.zeros(len(off_diagonal)), atol=1e-4)


def test_ease_says_what_to_do_about_a_singular_matrix():
    X = sp.csr_array(np.array([[1.0, 0.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="reg=0; use a larger value"):
        ease_matrix(X, 0)


@pytest.mark.parametrize("reg", [0.5, 20.0])
def test_a_neighborhood_of_all_items_is_ease(reg):
    X = random_csr(300, weighted=True)  # so many that every pair of items is met
    B = neighborhood_matrix(X, reg)
    assert sp.issparse(B) and B.dtype == np.float32
    assert_allclose(B.toarray(), ease_matrix(X, reg), atol=1e-4)


@pytest.mark.parametrize("looked_up", [True, False])
def test_a_neighborhood_is_ridge_regression_on_the_nearest_items(looked_up, monkeypatch):
    """With the Gram matrix at hand, and with columns multiplied, as above 5,000 items."""
    if not looked_up:
        monkeypatch.setattr("skdiffrec._item_path.EASE_MAX_ITEMS", 0)
    X, reg = random_csr(50), 2.0
    B = neighborhood_matrix(X, reg, n_neighbors=4).toarray()
    dense = X.toarray().astype(np.float64)
    unit = dense / np.linalg.norm(dense, axis=0)
    for item in range(N_ITEMS):
        cosine = unit.T @ unit[:, item]
        cosine[item] = -1
        nearest = np.argsort(-cosine)[:4]
        assert set(np.flatnonzero(B[:, item])) == set(nearest)
        design = dense[:, nearest]
        weights = np.linalg.solve(design.T @ design + reg * np.eye(4), design.T @ dense[:, item])
        assert_allclose(B[nearest, item], weights, atol=1e-4)


def test_an_item_that_nobody_took_has_no_neighborhood():
    X = random_csr(50).toarray()
    X[:, 3] = 0
    B = neighborhood_matrix(sp.csr_array(X), 2.0).toarray()
    assert not B[3].any() and not B[:, 3].any() and np.isfinite(B).all()


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_long_rows_can_count_for_less(kind):
    """A user of n items counts as 1/√n users; λ is a multiple of a mean item's users."""
    X, row_weight = random_csr(300), np.arange(300) % 3 + 1.0
    length = np.maximum(np.diff(X.indptr), 1)
    factor = np.sqrt(row_weight / np.sqrt(length))
    scaled = sp.csr_array(X.toarray() * factor[:, None])
    reg = 4 * (scaled.toarray() ** 2).sum() / N_ITEMS
    B = solve_path(X, row_weight, PathSettings(kind, 4.0, 0.5))
    B = B.toarray() if sp.issparse(B) else B
    assert_allclose(B, ease_matrix(scaled, reg), atol=1e-4)
    fixed = solve_path(X, row_weight, PathSettings(kind, 9.9, 0.5, reg))
    assert_allclose(fixed.toarray() if sp.issparse(fixed) else fixed, B, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_chosen_form_finds_more_of_the_hidden_items(seed, monkeypatch):
    """By 3 %, where it is the one with less ridge."""
    X, tried = random_csr(200, n_items=40, seed=seed), {}
    true = PathSolver.solve

    def watched(self, candidates):
        for candidate, B in true(self, candidates):
            tried[candidate] = B
            yield candidate, B

    monkeypatch.setattr(PathSolver, "solve", watched)
    chosen = choose_path(X, np.ones(200), ("ease", "neighborhood"), "binary", None, 0)
    assert [settings.kind for settings in tried] == ["ease", "neighborhood"]
    assert chosen in tried
    history, hidden = hide_items(X[np.diff(X.indptr) > 1], "binary", 0.2, 0)
    quality = {
        settings: ndcg_at_k(
            masked_topk(
                np.asarray((history @ B).todense() if sp.issparse(B) else history @ B, np.float32),
                10,
                history,
            )[0],
            hidden,
            k=10,
        )
        for settings, B in tried.items()
    }
    ease, neighborhood = quality.values()
    assert chosen.kind == ("ease" if ease >= 0.97 * neighborhood else "neighborhood")


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_without_times_only_the_form_is_chosen(kind, monkeypatch):
    """Items hidden at random would choose too little ridge."""
    X = random_csr(200, n_items=40)
    monkeypatch.setattr(PathSolver, "solve", None)  # nothing needs solving
    chosen = choose_path(X, np.ones(200), (kind,), "binary", None, 0)
    assert chosen[:3] == {"ease": ("ease", 10, 0), "neighborhood": ("neighborhood", 3, 0.5)}[kind]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("values", ["binary", "weight"])
def test_hidden_items_that_there_are_judge_what_is_solved_for_good(seed, values, monkeypatch):
    """Both forms are solved once, on all rows."""
    monkeypatch.setattr("skdiffrec._path_choice.is_dense", lambda X: False)
    X = random_csr(300, n_items=40, seed=seed, weighted=values == "weight")
    row_weight = np.arange(300) % 3 + 1.0
    X, history, hidden, chosen = split_validation(X, values, 0.8, 0)
    judges = Judges(history, hidden, row_weight[chosen])
    assert len(chosen) > 200
    solved, true = [], PathSolver.solve

    def watched(self, candidates):
        candidates = list(candidates)
        solved.append((self.X.shape, [settings.kind for settings in candidates]))
        return true(self, candidates)

    monkeypatch.setattr(PathSolver, "solve", watched)
    options = dict(values=values, half_life=None, seed=0)
    path = build_path(X, row_weight, "auto", "auto", **options, judges=judges)
    assert solved == [(X.shape, ["ease", "neighborhood"])]
    forms = {
        kind: build_path(X, row_weight, kind, "auto", **options)
        for kind in ("ease", "neighborhood")
    }
    read = history_weights(history, values, None)
    quality = {}
    for kind, form in forms.items():
        lists = masked_topk(form(to_bags(read)).numpy(), 10, history)[0]
        ndcg = ndcg_at_k(lists, hidden, k=10, per_user=True)
        quality[kind] = np.average(ndcg, weights=judges.weight)
    better = "ease" if quality["ease"] >= 0.97 * quality["neighborhood"] else "neighborhood"
    assert path.sparse == (better == "neighborhood")
    assert_allclose(path(to_bags(read)), forms[better](to_bags(read)), atol=1e-5)


@pytest.mark.parametrize(("n_filled", "kind"), [(24, "ease"), (23, "either")])
@pytest.mark.parametrize("judged", [True, False])
def test_where_much_is_filled_nothing_is_judged(n_filled, kind, judged, monkeypatch):
    """At 1.5 % of the cells EASE it is."""
    cells = np.random.default_rng(0).permutation(1600)[:n_filled]
    X = sp.csr_array((np.ones(n_filled, np.float32), divmod(cells, 4)), (400, 4))
    chosen = []

    def choose(*args):
        chosen.append(args[2])
        return PathSettings("ease", 1.0, 0.0)

    def judge(X, *args):
        chosen.append(("ease", "neighborhood"))
        return ease_matrix(X, 1.0)

    monkeypatch.setattr("skdiffrec._path_choice.choose_path", choose)
    monkeypatch.setattr("skdiffrec._path_choice._better_form", judge)
    judges = Judges(X[:200], X[:200], np.ones(200)) if judged else None
    for item_path in ("auto", "neighborhood"):
        options = dict(values="binary", half_life=None, seed=0, judges=judges)
        build_path(X, np.ones(400), item_path, "auto", **options)
    both = ("ease", "neighborhood")
    assert chosen == [both[:1] if kind == "ease" else both, ("neighborhood",)]


def test_few_judges_are_not_asked(monkeypatch):
    X = random_csr(300, n_items=40)
    X, history, hidden, chosen = split_validation(X, "binary", 0.5, 0)
    assert len(chosen) < 200
    monkeypatch.setattr("skdiffrec._path_choice._better_form", None)
    monkeypatch.setattr("skdiffrec._path_choice.is_dense", lambda X: False)
    options = dict(values="binary", half_life=None, seed=0)
    judges = Judges(history, hidden, np.ones(len(chosen)))
    path = build_path(X, np.ones(300), "auto", "auto", **options, judges=judges)
    again = build_path(X, np.ones(300), "auto", "auto", **options)
    assert_array_equal(path(to_bags(X)), again(to_bags(X)))


def test_a_path_for_rows_that_cannot_be_divided():
    X = sp.csr_array(np.eye(4, dtype=np.float32))
    chosen = choose_path(X, np.ones(4), ("neighborhood",), "binary", None, 0)
    assert chosen.kind == "neighborhood"


def test_truncated_svd_finds_the_leading_vectors():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(40, 3)) @ rng.normal(size=(3, N_ITEMS))
    dense += 1e-3 * rng.normal(size=dense.shape)
    singular_values, V = truncated_svd(sp.csr_array(dense), 3, 0)
    _, expected, Vt = np.linalg.svd(dense)
    assert_allclose(singular_values, expected[:3], rtol=1e-5)
    assert_allclose(V @ V.T, Vt[:3].T @ Vt[:3], atol=1e-4)
    assert_array_equal(truncated_svd(sp.csr_array(dense), 3, 0)[1], V)


@pytest.mark.parametrize("sparse", [True, False])
def test_item_path_multiplies_by_a_matrix(sparse):
    X, D = random_csr(6, weighted=True), random_csr(N_ITEMS, seed=3, weighted=True)
    mean = np.random.default_rng(0).random(N_ITEMS)
    path = ItemPath(D if sparse else D.toarray(), mean)
    assert path.sparse == sparse
    assert_allclose(path(to_bags(X)), (X @ D).toarray(), atol=1e-5)
    assert_allclose(path.unknown, mean @ D.toarray(), atol=1e-5)
    assert path(to_bags(X[:0])).shape == (0, N_ITEMS)


def test_path_kinds():
    assert path_kinds("auto", 5_000) == ("ease", "neighborhood")
    assert path_kinds("auto", 5_001) == ("neighborhood",)
    for kind in ("ease", "neighborhood"):
        assert path_kinds(kind, 10_000) == (kind,)


@pytest.mark.parametrize("latent_dim", [None, LATENT, 500])
@pytest.mark.parametrize("item_path", ["ease", "neighborhood", None])
@pytest.mark.parametrize("loss", ["multinomial", "squared"])
def test_build_denoiser_assembles_what_was_asked_for(latent_dim, item_path, loss):
    X = random_csr(30, seed=99)
    denoiser = make_denoiser(latent_dim, loss, item_path, widths=(8, 6))
    if latent_dim is None:
        assert isinstance(denoiser.space, ItemSpace)
        assert denoiser.space.dim == N_ITEMS
    else:
        assert isinstance(denoiser.space, LatentSpace)
        assert denoiser.space.dim == min(latent_dim, N_ITEMS)
        V = np.linalg.svd(X.toarray())[2][: denoiser.space.dim]
        assert_allclose(denoiser.space.V @ denoiser.space.V.T, V.T @ V, atol=2e-3)
    if loss == "squared":
        assert denoiser.write_items is None
    if item_path is None or loss == "squared":
        assert denoiser.item_path is None
    else:
        B = ease_matrix(X, 3.0)
        B = B if item_path == "ease" else neighborhood_matrix(X, 3.0).toarray()
        assert_allclose(denoiser.item_path(to_bags(X)), X @ B, atol=1e-4)
        assert_allclose(denoiser.item_path.unknown, X.toarray().mean(0) @ B, atol=1e-4)


# The network


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 7, 16])
def test_sinusoidal_embedding(dim):
    share = torch.tensor([0, 0.01, 0.07, 1])
    embedding = sinusoidal(share, dim)
    assert embedding.shape == (4, dim)
    half = math.ceil(dim / 2)  # of an odd number one more is a cosine
    for row, turned in enumerate((4 * math.pi * share).tolist()):
        angles = [turned / 10_000 ** (place / half) for place in range(half)]
        expected = [*map(math.cos, angles), *map(math.sin, angles)]
        assert_allclose(embedding[row], expected[:dim], atol=1e-5)


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


@pytest.mark.parametrize("widths", [(8,), (8, 8), (8, 5), (8, 8, 5, 5)])
@pytest.mark.parametrize("latent_dim", [None, LATENT])
@torch.no_grad()
def test_forward_against_numpy(widths, latent_dim):
    denoiser = make_denoiser(latent_dim, widths=widths)
    x_t, u = tensor(0, 5, denoiser.space.dim), tensor(1, 5, widths[0])
    t = torch.tensor([1, 5, 12, 3, 9])
    alpha = torch.linspace(0.1, 0.9, 5)[:, None]
    expected = slow_forward(denoiser, x_t, t, alpha, u)
    for found, value in zip(denoiser(x_t, t, alpha, u), expected, strict=True):
        assert_allclose(found, value, atol=1e-5)


@torch.no_grad()
def test_the_state_is_read_linearly():
    # what the read-in maps to nothing changes nothing, however large it is
    denoiser = make_denoiser(None)
    kernel = np.linalg.svd(denoiser.read_state.weight.numpy())[2][8:]  # (12, 20)
    x_t, u, t, alpha = tensor(0, 5, N_ITEMS), tensor(1, 5, 8), torch.ones(5), torch.ones(5, 1)
    unseen = tensor(2, 5, 12) @ torch.from_numpy(kernel) * 3
    for found, value in zip(
        denoiser(x_t + unseen, t, alpha, u), denoiser(x_t, t, alpha, u), strict=True
    ):
        assert_allclose(found, value, atol=1e-4)
    # and √ᾱ = 0 reads as no state at all
    nothing = denoiser(torch.zeros_like(x_t), t, alpha, u)
    for found, value in zip(denoiser(x_t, t, 0 * alpha, u), nothing, strict=True):
        assert_array_equal(found, value)


def read_out(denoiser, h, bags, scale):
    """Scores of all items."""
    out = torch.empty(len(h), N_ITEMS)
    HeadReadout(denoiser).tiles((None, h), bags, scale)(0, N_ITEMS, out)
    return out


@properties
@given(seeds, st.floats(-2, 3))
@torch.no_grad()
def test_scores_and_raw_estimates_are_affine_in_the_last_hidden_layer(seed, share):
    denoiser = make_denoiser(seed=seed)
    bags = to_bags(random_csr(5, seed))
    a, b = tensor([seed, 0], 5, 8), tensor([seed, 1], 5, 8)
    mixed = share * a + (1 - share) * b
    for write in (denoiser.write_state, lambda h: read_out(denoiser, h, bags, 1.5 + 0 * h[:, :1])):
        assert_allclose(write(mixed), share * write(a) + (1 - share) * write(b), atol=1e-4)


@torch.no_grad()
def test_scores_are_the_head_and_the_weighted_path():
    denoiser = make_denoiser(path_scale=0.7)
    X, h = random_csr(5), tensor(0, 5, 8)
    weight = torch.tensor([[0.0], [1.0], [2.0], [-1.0], [0.5]])
    head = denoiser.write_items
    expected = h.numpy() @ head.weight.numpy().T + head.bias.numpy()
    rows = random_csr(30, seed=99)
    B = ease_matrix(rows, 3.0)
    s, offset = weight.numpy(), denoiser.null_offset.numpy()
    path = s * (X @ B) + (1 - s) * (rows.toarray().mean(0) @ B)
    expected = expected + (1 - s) * offset
    assert_allclose(read_out(denoiser, h, to_bags(X), weight), expected + 0.7 * path, atol=1e-4)
    denoiser.path_scale = 0.0
    assert_allclose(read_out(denoiser, h, to_bags(X), weight), expected, atol=1e-4)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@torch.no_grad()
def test_the_calibrated_unconditional_branch_ranks_by_popularity(prediction_type):
    denoiser = make_denoiser(item_path=None)
    diffusion = Diffusion(ALPHA_BAR, prediction_type)
    counts = np.arange(N_ITEMS) * 3.0
    denoiser.calibrate(counts, T, diffusion.input_scale(torch.tensor([T])))
    found = scores_of(denoiser, random_csr(6), 0.0, SINGLE._replace(temperature=0.0))
    share = np.log((counts + 0.5) / (counts + 0.5).sum())
    assert_allclose(found, np.tile(share, (6, 1)), atol=1e-4)


@properties
@given(seeds)
@torch.no_grad()
def test_the_condition_is_the_normalized_history_times_a_matrix(seed):
    denoiser = make_denoiser(seed=seed)
    X = random_csr(5, seed, weighted=True)
    u = denoiser.condition(to_bags(X))
    assert_allclose(u, 5 * normalized(X) @ denoiser.read_history[0].numpy(), atol=1e-4)
    assert_allclose(denoiser.condition(to_bags(X * 8)), u, atol=1e-4)


@torch.no_grad()
def test_an_empty_history_is_not_the_null_token():
    denoiser = make_denoiser()
    bags = to_bags(random_csr(5))  # the third row is empty
    u = denoiser.condition(bags)
    assert_array_equal(u[2], np.zeros(8))
    known = torch.tensor([True, False, True, False, True])
    masked = denoiser.condition(bags, known)
    assert_array_equal(masked[known], u[known])
    for row in (1, 3):
        assert_array_equal(masked[row], denoiser.null)
    assert denoiser.null.abs().min() > 0
    assert_array_equal(denoiser.unconditional(3), denoiser.null.expand(3, 8))


def fresh_denoiser(seed=0):
    denoiser = Denoiser(
        50, ItemSpace(50), (30, 30), time_dim=8, n_timesteps=T, dropout=0.0, ranking_head=True
    )
    counts = np.arange(50)
    denoiser.initialize(torch.Generator().manual_seed(seed), counts, 100)
    return denoiser


def test_the_ranking_head_starts_from_popularity():
    head = fresh_denoiser().write_items
    assert_allclose(
        head.bias.detach(), 0.5 * np.log(np.arange(50) / 100 + 1e-4), rtol=1e-5, atol=1e-6
    )
    xavier = math.sqrt(2 / (50 + 30))
    assert_allclose(head.weight.detach().std(), 0.3 * xavier, rtol=0.1)


def test_the_first_weights_come_from_the_generator_alone():
    torch.manual_seed(0)
    first = fresh_denoiser()
    torch.manual_seed(1)
    again, other = fresh_denoiser(), fresh_denoiser(seed=1)
    for (name, a), b, c in zip(
        first.named_parameters(), again.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(a, b)
        assert torch.equal(a, c) == (a.ndim == 1)
        if a.ndim == 2 and name != "write_items.weight":
            assert_allclose(a.detach().std(), math.sqrt(2 / sum(a.shape)), rtol=0.2)
    assert_array_equal(first.null.detach(), np.zeros(30))
    assert_array_equal(first.read_time.bias.detach(), np.zeros(30))


def test_building_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    make_denoiser()
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_draws_from_its_generator():
    dropout, x = Dropout(0.4), torch.ones(100, 100)
    state = torch.get_rng_state()
    first = dropout(x, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, dropout(x, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, dropout(x, torch.Generator().manual_seed(1)))
    assert_allclose(first.unique(), [0, 1 / 0.6], rtol=1e-6)
    assert abs((first > 0).float().mean() - 0.6) < 4 * math.sqrt(0.24 / 10_000)
    assert dropout.eval()(x, None) is x
    assert Dropout(0.0)(x, None) is x


# Guided scores

SINGLE = SamplingSettings(1, None, 0.0, 0.0, 1)
SETTINGS = {
    "one step": SINGLE,
    "DDIM": SamplingSettings(4, None, 0.0, 0.0, 1),
    "DDIM from a draw": SamplingSettings(4, None, 0.0, 1.0, 1),
    "ancestral": SamplingSettings(4, None, 1.0, 0.5, 1),
    "ancestral, no noise": SamplingSettings(4, None, 1.0, 0.0, 1),
    "mean of 3 draws": SamplingSettings(3, None, 0.6, 1.0, 3),
    "from the noised history": SamplingSettings(3, 7, 0.0, 0.0, 1),
    "from the noised history, random": SamplingSettings(2, 5, 1.0, 1.0, 2),
}
all_settings = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def scores_of(denoiser, X, scale, settings=SINGLE, prediction_type="x0", seed=3, keys=None):
    return guided_scores(
        denoiser,
        Diffusion(ALPHA_BAR, prediction_type),
        X,
        row_keys(X, seed) if keys is None else keys,
        np.broadcast_to(np.asarray(scale, float), X.shape[:1]),
        settings,
    )


@torch.no_grad()
def slow_scores(denoiser, X, scale, settings, prediction_type, seed=3):
    """One row after the other and one branch after the other, guided in item space at the end."""
    scores = np.zeros(X.shape)
    for row in range(X.shape[0]):
        key = torch.from_numpy(row_keys(X[[row]], seed).view(np.int64))
        for draw in range(settings.n_samples):
            scores[row] += slow_draw(
                denoiser, X[[row]], scale[row], settings, prediction_type, key, draw
            )
    return scores / settings.n_samples


def slow_draw(denoiser, X, scale, settings, prediction_type, key, draw):
    n_steps = settings.n_sampling_steps
    dim, bags = denoiser.space.dim, to_bags(X)
    path = unknown = 0
    if denoiser.write_items is not None:
        unknown = denoiser.null_offset.numpy()
    if denoiser.item_path is not None:
        path = denoiser.path_scale * path_scores(denoiser, X)[0]
        unknown = unknown + denoiser.path_scale * denoiser.item_path.unknown.numpy()
    scale = scale if X.nnz else 0.0

    def fresh(step):
        z = row_normal(key, dim, draw * (n_steps + 1) + step)[0]
        return settings.temperature * z.double().numpy()

    def branch(x, t, u):
        """x̂_0 and item scores of one branch."""
        bar = ALPHA_BAR[t]
        seen = math.sqrt(bar) if prediction_type == "x0" else 1.0  # noise to predict is not scaled
        raw, h = slow_forward(denoiser, x[None], [t], seen, u)
        x_0 = {
            "x0": lambda: raw,
            "epsilon": lambda: (x - math.sqrt(1 - bar) * raw) / math.sqrt(bar),
            "v": lambda: math.sqrt(bar) * x - math.sqrt(1 - bar) * raw,
        }[prediction_type]()
        if denoiser.write_items is None:
            ranked = denoiser.space.decode(torch.from_numpy(x_0).float()).double()
        else:
            ranked = denoiser.write_items(torch.from_numpy(h).float()).double()
        return x_0[0], ranked[0].numpy()

    start = settings.start_timestep
    first, x = (T, fresh(0)) if start is None else (start, None)
    if x is None:
        x_0 = denoiser.space.encode(bags)[0].double().numpy()
        x = math.sqrt(ALPHA_BAR[first]) * x_0 + math.sqrt(1 - ALPHA_BAR[first]) * fresh(0)
    times = [round(first * (n_steps - i) / n_steps) for i in range(n_steps + 1)]
    for step, (t, t_next) in enumerate(zip(times[:-1], times[1:], strict=True)):
        cond, cond_scores = branch(x, t, denoiser.condition(bags).double().numpy())
        uncond, uncond_scores = branch(x, t, denoiser.unconditional(1).double().numpy())
        x_0 = uncond + scale * (cond - uncond)
        bar, after = ALPHA_BAR[t], ALPHA_BAR[t_next]
        r = settings.eta * math.sqrt((1 - after) / (1 - bar) * (1 - bar / after))
        epsilon = (x - math.sqrt(bar) * x_0) / math.sqrt(1 - bar)
        x = math.sqrt(after) * x_0 + math.sqrt(1 - after - r**2) * epsilon + r * fresh(step + 1)
    uncond_scores = uncond_scores + unknown
    return uncond_scores + scale * (cond_scores + path - uncond_scores)


@all_settings
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize(
    ("latent_dim", "loss"), [(LATENT, "multinomial"), (None, "squared"), (LATENT, "squared")]
)
def test_guided_scores_against_a_slow_chain(settings, prediction_type, latent_dim, loss):
    denoiser = make_denoiser(latent_dim, loss)
    X = random_csr(6, seed=1, weighted=True)
    scale = np.array([0.0, 1.0, 2.5, 1.7, -0.5, 1.0])
    expected = slow_scores(denoiser, X, scale, settings, prediction_type)
    settings = settings._replace(sampler="item_space")  # the same noise, whatever the space
    found = scores_of(denoiser, X, scale, settings, prediction_type)
    assert found.dtype == np.float32
    assert_allclose(found, expected, rtol=1e-3, atol=2e-3)


@torch.no_grad()
def test_a_noised_history_of_ages_is_one_of_recency_weights():
    ages = sp.csr_array(np.array([[3.0, 0, 1, 2] + [0] * (N_ITEMS - 4)], np.float32))
    recency = ages.copy()
    recency.data = 0.5 ** ((ages.data - 1) / 2)
    denoiser = make_denoiser(path_scale=0.0)
    denoiser.half_lives, settings = [None], SETTINGS["from the noised history"]
    expected = scores_of(denoiser, recency, [0.0], settings)  # without a history as condition
    denoiser.path_half_life = 2.0
    assert_allclose(scores_of(denoiser, ages, [0.0], settings), expected, rtol=1e-5)


@pytest.mark.parametrize("settings", [SINGLE, SETTINGS["DDIM"]])
@torch.no_grad()
def test_a_latent_space_wider_than_the_network_is_ranked_by_its_own_scores(settings):
    denoiser = make_denoiser(10, "squared", widths=(4, 4))
    X, scale = random_csr(6, seed=1), [0.0, 1.0, 2.5, 1.7, -0.5, 1.0]
    expected = scores_of(denoiser, X, scale, settings._replace(sampler="item_space"))
    assert_allclose(scores_of(denoiser, X, scale, settings), expected, rtol=1e-3, atol=1e-4)


SPACES = pytest.mark.parametrize(
    ("latent_dim", "loss"), [(None, "squared"), (None, "multinomial"), (LATENT, "multinomial")]
)


@SPACES
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("settings", [s for s in SETTINGS.values() if not s.temperature])
def test_the_hidden_chain_is_the_chain_in_item_space(settings, prediction_type, latent_dim, loss):
    denoiser = make_denoiser(latent_dim, loss)
    X = random_csr(6, seed=1, weighted=True)
    scale = np.array([0.0, 1.0, 2.5, 1.7, -0.5, 1.0])
    hidden, items = (
        scores_of(denoiser, X, scale, settings._replace(sampler=sampler), prediction_type)
        for sampler in ("hidden_space", "item_space")
    )
    assert_allclose(hidden, items, rtol=1e-3, atol=2e-3)


@SPACES
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("settings", [s for s in SETTINGS.values() if s.temperature])
def test_noise_of_the_hidden_chain_has_the_moments_of_that_in_item_space(
    settings, prediction_type, latent_dim, loss
):
    """Mean and covariance of the scores, over draws for one user."""
    denoiser, n = make_denoiser(latent_dim, loss), 20_000
    X = random_csr(6, seed=1, weighted=True)[np.zeros(n, int)]
    keys = np.random.default_rng(0).integers(2**63, size=(2, n)).astype(np.uint64)
    hidden, items = (
        scores_of(denoiser, X, 1.5, settings._replace(sampler=sampler), prediction_type, keys=own)
        for own, sampler in zip(keys, ("hidden_space", "item_space"), strict=True)
    )
    spread = items.std(axis=0)
    assert spread.min() > 1e-3
    assert_allclose((hidden.mean(0) - items.mean(0)) / spread, 0, atol=6 * (2 / n) ** 0.5)
    hidden, items = ((scores - scores.mean(0)) / spread for scores in (hidden, items))
    covariances = [scores.T @ scores / n for scores in (hidden, items)]
    of_products = (items**2).T @ items**2 / n - covariances[
        1
    ] ** 2  # variance of one draw's product
    errors = (covariances[0] - covariances[1]) / (2 * of_products / n) ** 0.5
    assert np.abs(errors).max() < 6


@pytest.mark.parametrize("item_path", ["ease", "neighborhood", None])
@properties
@given(scale=st.floats(-3, 6), seed=seeds)
def test_guidance_moves_along_the_line_of_the_two_branches(item_path, scale, seed):
    denoiser = make_denoiser(item_path=item_path, seed=seed)
    X = random_csr(6, seed)
    settings = SINGLE._replace(temperature=1.0)
    cond, uncond, guided = (scores_of(denoiser, X, s, settings) for s in (1.0, 0.0, scale))
    assert_allclose(guided, uncond + scale * (cond - uncond), rtol=1e-4, atol=1e-4)


def test_the_unconditional_branch_does_not_know_the_history():
    denoiser = make_denoiser()
    a, b = scores_of(denoiser, random_csr(6, 1), 0.0), scores_of(denoiser, random_csr(6, 2), 0.0)
    assert_allclose(a, b, atol=1e-5)
    assert not np.allclose(
        scores_of(denoiser, random_csr(6, 1), 1.0), scores_of(denoiser, random_csr(6, 2), 1.0)
    )


@all_settings
def test_a_user_without_history_is_unconditional_whatever_the_scale(settings):
    denoiser = make_denoiser()
    X = random_csr(6)  # the third row is empty
    unconditional = scores_of(denoiser, X, 0.0, settings)[2]
    for scale in (1.0, 4.0):
        assert_allclose(scores_of(denoiser, X, scale, settings)[2], unconditional, atol=1e-5)


@all_settings
def test_scores_do_not_depend_on_the_company(settings):
    denoiser = make_denoiser()
    X = random_csr(20, seed=1)
    scale = np.random.default_rng(0).choice([0.0, 1.0, 1.5, 3.0], 20)
    together = scores_of(denoiser, X, scale, settings)
    order = np.random.default_rng(1).permutation(20)[:7]
    apart = scores_of(denoiser, X[order], scale[order], settings)
    assert_allclose(apart, together[order], rtol=1e-5, atol=1e-5)


def test_scores_are_bit_equal_in_any_company_of_one_kind():
    # widths in multiples of 4: with others the product itself rounds odd and even rows differently
    denoiser = make_denoiser(widths=(16, 16), time_dim=8)
    X = random_csr(40, seed=1)
    rng = np.random.default_rng(0)
    for scale in (0.0, 1.0, 2.0):
        together = scores_of(denoiser, X, scale)
        for n in (1, 2, 3, 7, 17, 40):
            rows = rng.permutation(40)[:n]
            assert_array_equal(scores_of(denoiser, X[rows], scale), together[rows])


def test_draws_depend_on_the_key():
    denoiser = make_denoiser()
    X = random_csr(6)
    settings = SINGLE._replace(temperature=1.0)
    first = scores_of(denoiser, X, 1.0, settings)
    assert_array_equal(first, scores_of(denoiser, X, 1.0, settings))
    assert np.abs(first - scores_of(denoiser, X, 1.0, settings, seed=4)).max(axis=1).min() > 1e-3


def network_calls(denoiser):
    """Collects the number of rows of every call."""
    sizes = []
    denoiser.body[0].register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    return sizes


@pytest.mark.parametrize(("n", "padded"), [(5, 16), (16, 16), (17, 32)])
@pytest.mark.parametrize(("n_steps", "n_samples"), [(1, 1), (4, 1), (3, 2)])
def test_denoiser_calls_and_their_sizes(n, padded, n_steps, n_samples):
    denoiser = make_denoiser()
    sizes = network_calls(denoiser)
    X = sp.csr_array(np.ones((n, N_ITEMS), np.float32))
    settings = SINGLE._replace(n_sampling_steps=n_steps, n_samples=n_samples)
    for scale, expected in ((0.0, padded), (1.0, padded), (2.0, 2 * padded), (-1.0, 2 * padded)):
        sizes.clear()
        scores_of(denoiser, X, scale, settings)
        assert sizes == [expected] * (n_steps * n_samples)


def test_rows_that_need_one_branch_do_not_pay_for_two():
    denoiser = make_denoiser()
    sizes = network_calls(denoiser)
    dense = np.ones((40, N_ITEMS), np.float32)
    dense[:3] = 0  # unconditional, whatever their scale
    scores_of(denoiser, sp.csr_array(dense), np.repeat([2.0, 1.0, 0.0], [20, 18, 2]))
    assert sorted(sizes) == [16, 32, 64]  # 5 rows, 18 rows, twice 17 rows, padded


def test_no_rows_no_scores():
    scores = scores_of(make_denoiser(), sp.csr_array((0, N_ITEMS), dtype=np.float32), 1.0)
    assert scores.shape == (0, N_ITEMS)


def test_path_scores_are_without_scale():
    denoiser = make_denoiser(path_scale=0.7)
    X = random_csr(6, weighted=True)
    assert_allclose(
        path_scores(denoiser, X), X @ ease_matrix(random_csr(30, seed=99), 3.0), atol=1e-5
    )


def test_scoring_leaves_no_gradient_and_no_global_draws():
    denoiser = make_denoiser()
    state = torch.get_rng_state()
    scores_of(denoiser, random_csr(6), 2.0, SETTINGS["mean of 3 draws"])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in denoiser.parameters())
