"""A training step in shards: the mean of all rows, whatever runs it, and threads put back."""

import threading

import joblib
import pytest
import torch
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_info
from training_problems import small_problem

from skdiffrec._training import loop, shards
from skdiffrec._training.batches import Batch
from skdiffrec._training.shards import N_SHARDS, in_turn, shard_gradients, shard_threads
from skdiffrec.datasets import make_interactions


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


class Numbers:
    """Rows that are numbers, cut into batches of as many examples each as they say."""

    device = torch.device("cpu")

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def drawing_from(self, generator):
        return self

    def cut(self, rows):
        examples = rows.repeat_interleave(rows)
        return Batch(None, None, examples, torch.ones(len(examples)))


def test_gradients_are_those_of_the_mean_over_all_examples():
    weight = torch.nn.Parameter(torch.tensor([0.5, 2.0]))
    idle = torch.nn.Parameter(torch.zeros(1))

    def loss_of(batch, generator):
        return (weight[0] * batch.target + weight[1]).square().mean()

    some = torch.tensor([3, 1, 5, 2, 7])
    whole, (gradient,) = whole_loss(Numbers().cut(some), loss_of, weight)
    pieces = some.tensor_split(2)
    loss, parts = shard_gradients(Numbers(), pieces, [weight, idle], loss_of, in_turn)
    assert_allclose(float(loss), float(whole), rtol=1e-6)
    assert [own[1] for _, own in parts] == [None, None]
    assert_allclose(sum(share * own[0] for share, own in parts), gradient, rtol=1e-6)


def whole_loss(batch, loss_of, weight):
    loss = loss_of(batch, None)
    return loss.detach(), torch.autograd.grad(loss, [weight])


def test_shards_draw_apart_from_one_another_and_anew_in_every_step():
    _, _, rows = small_problem()
    drawn = []

    def loss_of(batch, generator):
        drawn.append(tuple(torch.rand(3, generator=generator).tolist()))
        return weight.sum()

    weight = torch.nn.Parameter(torch.ones(1))
    for _ in range(2):
        shard_gradients(rows, torch.arange(8).tensor_split(2), [weight], loss_of, in_turn)
    assert len(set(drawn)) == 4


def test_threads_run_every_work_and_are_put_back(four_threads):
    before, inside = blas_threads(), []
    n_threads = N_SHARDS if joblib.cpu_count() > 1 else 1
    together = threading.Barrier(n_threads)

    def work(i):
        assert torch.is_grad_enabled()
        together.wait(60)
        inside.append((torch.get_num_threads(), threading.get_ident()))
        return i

    with pytest.raises(KeyError), shard_threads(torch.device("cpu")) as run:
        assert run(work, N_SHARDS) == list(range(N_SHARDS))
        assert len({thread for _, thread in inside}) == n_threads
        assert {n for n, _ in inside} == {max(1, min(4, joblib.cpu_count()) // (2 * n_threads))}
        raise KeyError
    assert torch.get_num_threads() == 4
    assert blas_threads() == before


def test_an_error_in_any_shard_is_the_callers(four_threads):
    def work(i):
        if i in failing:
            raise KeyError(i)

    failing = set()
    for i in range(N_SHARDS):
        failing = {i}
        with shard_threads(torch.device("cpu")) as run, pytest.raises(KeyError):
            run(work, N_SHARDS)


def test_a_fit_does_not_depend_on_who_runs_its_shards(monkeypatch, four_threads):
    monkeypatch.setattr(shards, "_LEAST_SCORES", 1)
    X = make_interactions(90, 50, n_interactions_per_user=9, random_state=0).train
    side_by_side = tiny_cfg(max_epochs=2).fit(X).decision_function(X)
    torch.set_num_threads(1)
    assert_array_equal(tiny_cfg(max_epochs=2).fit(X).decision_function(X), side_by_side)
    monkeypatch.setattr(loop, "shards_of_step", lambda *_: 1)
    assert (tiny_cfg(max_epochs=2).fit(X).decision_function(X) != side_by_side).any()
