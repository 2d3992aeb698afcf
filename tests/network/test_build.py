"""The denoiser is assembled as asked for, and its first weights are seeded."""

import math

import numpy as np
import pytest
import torch
from denoiser_problems import LATENT, N_ITEMS, T, make_denoiser, random_csr
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._network.denoiser import BagReader, Denoiser
from skdiffrec._network.heads import EstimateHead, RankingHead
from skdiffrec._network.order_reader import OrderReader
from skdiffrec._network.spaces import ItemSpace, LatentSpace
from skdiffrec._network.sparse_rows import AgedRows


@pytest.mark.parametrize("latent_dim", [None, LATENT, 500])
@pytest.mark.parametrize("ranking_head", [True, False])
def test_build_denoiser_assembles_what_was_asked_for(latent_dim, ranking_head):
    X = random_csr(30, seed=99)
    denoiser = make_denoiser(latent_dim, ranking_head, widths=(8, 6))
    if latent_dim is None:
        assert isinstance(denoiser.space, ItemSpace)
        assert denoiser.space.dim == N_ITEMS
    else:
        assert isinstance(denoiser.space, LatentSpace)
        assert denoiser.space.dim == min(latent_dim, N_ITEMS)
        V = np.linalg.svd(X.toarray())[2][: denoiser.space.dim]
        assert_allclose(denoiser.space.V @ denoiser.space.V.T, V.T @ V, atol=2e-3)
    assert isinstance(denoiser.head, RankingHead if ranking_head else EstimateHead)
    assert denoiser.head.ranks == ranking_head
    if ranking_head:
        assert denoiser.head.write.weight.shape == (N_ITEMS, 6)
    else:
        assert not list(denoiser.head.parameters())


def fresh_denoiser(seed=0):
    denoiser = Denoiser(
        50,
        BagReader(50, 30, None),
        ItemSpace(50),
        (30, 30),
        time_dim=8,
        n_timesteps=T,
        dropout=0.0,
        head=RankingHead(30, 50),
    )
    counts = np.arange(50)
    denoiser.initialize(torch.Generator().manual_seed(seed), counts, 100)
    return denoiser


def test_the_ranking_head_starts_from_popularity():
    head = fresh_denoiser().head.write
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
        if a.ndim == 2 and name != "head.write.weight":
            assert_allclose(a.detach().std(), math.sqrt(2 / sum(a.shape)), rtol=0.2)
    assert_array_equal(first.null.detach(), np.zeros(30))
    assert_array_equal(first.read_time.bias.detach(), np.zeros(30))


def test_building_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    make_denoiser()
    assert torch.equal(torch.get_rng_state(), state)


def test_items_that_the_same_users_have_start_alike():
    X = random_csr(30, seed=3).toarray()
    X[:, 1], X[:, 2] = X[:, 0], 0  # the same users, and nobody
    space = LatentSpace(np.linalg.svd(X)[2][:LATENT].T, np.zeros(LATENT), np.ones(LATENT))
    reader, head = BagReader(N_ITEMS, 10, None), RankingHead(10, N_ITEMS)
    options = {"n_timesteps": T, "dropout": 0.0, "head": head}
    denoiser = Denoiser(N_ITEMS, reader, space, (10, 10), **options)
    denoiser.initialize(torch.Generator().manual_seed(0), X.sum(0), 30)
    for table in (reader.tables[0].detach(), head.write.weight.detach()):
        start, drawn = table[:, :LATENT], table[:, LATENT:]
        assert_allclose(start[0], start[1], rtol=1e-4)
        assert not torch.equal(drawn[0], drawn[1])
        assert start[2].abs().max() < 1e-3 < drawn[2].abs().max()
        lengths = start.norm(dim=1)
        assert_allclose(lengths[[0, 1, *range(3, N_ITEMS)]], float(lengths[0]), rtol=1e-5)
        assert 1.5 < start.std() / drawn.std() < 2.5


def test_vectors_of_items_that_the_same_users_have_start_alike():
    X = random_csr(30, seed=3).toarray()
    X[:, 1] = X[:, 0]
    space = LatentSpace(np.linalg.svd(X)[2][:LATENT].T, np.zeros(LATENT), np.ones(LATENT))
    for head in (RankingHead(10, N_ITEMS, LATENT + 3), EstimateHead(N_ITEMS, LATENT + 3)):
        reader = OrderReader(10, LATENT + 3, 3.0, 0.0)
        options = {"n_timesteps": T, "dropout": 0.0, "head": head}
        denoiser = Denoiser(N_ITEMS, reader, space, (10,), **options)
        denoiser.initialize(torch.Generator().manual_seed(0), X.sum(0), 30)
        start, drawn = denoiser.head.items.detach().split([LATENT, 3], dim=1)
        assert_allclose(start[0], start[1], rtol=1e-4)
        assert not torch.equal(drawn[0], drawn[1])
        assert 0.4 < start.std() / drawn.std() < 1.0


def test_untrained_a_reader_of_order_looks_for_items_like_those_of_the_history():
    X = np.kron(
        np.eye(2), np.ones((30, N_ITEMS // 2))
    )  # two kinds of users, with half of the items
    space = LatentSpace(np.linalg.svd(X)[2][:2].T, np.zeros(2), np.ones(2))
    reader, head = OrderReader(40, 2, 3.0, 0.0), RankingHead(40, N_ITEMS, 2)
    denoiser = Denoiser(N_ITEMS, reader, space, (40,), n_timesteps=T, dropout=0.0, head=head)
    denoiser.initialize(torch.Generator().manual_seed(0), X.sum(0), len(X))
    half = N_ITEMS // 2
    latest, offsets = torch.tensor([0, 1, half, half + 1]), torch.tensor([0, 2, 4])
    history = AgedRows(latest, torch.tensor([2.0, 1.0, 2.0, 1.0]), offsets)
    with torch.no_grad():
        h = denoiser.hidden(denoiser.condition(history))
        scores = head.write(head.narrow(h))
    own, other = scores[0, :half] - scores[1, :half], scores[1, half:] - scores[0, half:]
    assert own.mean() > 0 < other.mean()
