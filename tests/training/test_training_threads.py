"""What runs on two threads in training: the same whatever runs it, and threads put back."""

import threading

import joblib
import pytest
import torch
from conftest import blas_threads, tiny_cfg
from numpy.testing import assert_array_equal

from skdiffrec._training import losses, threads
from skdiffrec._training.ema import EMA
from skdiffrec._training.threads import N_PARTS, in_parts, training_threads
from skdiffrec.datasets import make_interactions

CPU = torch.device("cpu")


def test_every_work_runs_once_and_threads_are_put_back(four_threads):
    before, inside = blas_threads(), []
    n_threads = N_PARTS if joblib.cpu_count() > 1 else 1
    together = threading.Barrier(n_threads)

    def work(i):
        together.wait(60)
        inside.append((torch.get_num_threads(), threading.get_ident()))
        return i

    with pytest.raises(KeyError), training_threads(CPU) as run:
        assert run(work, N_PARTS) == list(range(N_PARTS))
        assert len({thread for _, thread in inside}) == n_threads
        assert {n for n, _ in inside} == {max(1, min(4, joblib.cpu_count()) // (2 * n_threads))}
        raise KeyError
    assert torch.get_num_threads() == 4
    assert blas_threads() == before


@pytest.mark.parametrize("failing", range(N_PARTS))
def test_an_error_in_any_work_is_the_callers(four_threads, failing):
    def work(i):
        if i == failing:
            raise KeyError(i)

    with training_threads(CPU) as run, pytest.raises(KeyError):
        run(work, N_PARTS)


def test_parts_are_views_that_are_all_together(monkeypatch):
    monkeypatch.setattr(threads, "_LARGE", 10)
    large, small = torch.arange(12.0).view(3, 4), torch.arange(4.0)
    first, second = in_parts([large, small])
    assert_array_equal(torch.cat([first[0], second[0]]), large)
    assert_array_equal(first[1], small)
    assert len(second) == 1
    second[0].zero_()
    assert large[2].abs().sum() == 0


def test_the_average_of_parts_is_that_of_the_whole(monkeypatch):
    averages = []
    for size in (1, 10**9):
        monkeypatch.setattr(threads, "_LARGE", size)
        module = torch.nn.Linear(5, 4)
        with torch.no_grad():
            module.weight.copy_(torch.arange(20.0).view(4, 5))
            module.bias.fill_(1.0)
        ema = EMA(module, 0.9)
        with torch.no_grad():
            module.weight.mul_(2.0)
        ema.update()
        averages.append(ema.average)
    for part, whole in zip(*averages, strict=True):
        assert_array_equal(part, whole)


@pytest.mark.parametrize("n_loss_items", [None, 30])
def test_a_fit_does_not_depend_on_who_runs_it(monkeypatch, four_threads, n_loss_items):
    monkeypatch.setattr(losses, "_LEAST_SCORES", 1)
    monkeypatch.setattr(threads, "_LARGE", 100)
    X = make_interactions(90, 50, n_interactions_per_user=9, random_state=0).train
    options = {"max_epochs": 2, "n_loss_items": n_loss_items}
    side_by_side = tiny_cfg(**options).fit(X).decision_function(X)
    torch.set_num_threads(1)
    assert_array_equal(tiny_cfg(**options).fit(X).decision_function(X), side_by_side)
