"""Threads: blocks side by side, and every setting put back."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from conftest import blas_threads, tiny_cfg
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_limits

from skdiffrec._inference.device import run_blocks
from skdiffrec._utils import threads, topk


@pytest.mark.parametrize("n_blocks", [0, 1, 3, 40])
def test_every_block_runs_once_and_threads_are_put_back(four_threads, n_blocks):
    seen, idents = [], set()

    def run(block):
        seen.append(block)
        idents.add(threading.get_ident())
        assert torch.get_num_threads() == max(1, 4 // max(1, min(4, n_blocks))) or n_blocks == 1

    run_blocks(run, list(range(n_blocks)))
    assert sorted(seen) == list(range(n_blocks))
    assert len(idents) <= 4
    assert torch.get_num_threads() == 4


def test_no_more_at_once_than_stated(four_threads):
    at_once, most, lock = [0], [0], threading.Lock()
    gate = threading.Barrier(2, timeout=10)

    def run(block):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        gate.wait()
        with lock:
            at_once[0] -= 1

    run_blocks(run, list(range(8)), most=2)
    assert most == [2]


def test_an_error_in_a_block_is_the_callers(four_threads):
    def run(block):
        if block == 3:
            raise ValueError("block 3")

    with pytest.raises(ValueError, match="block 3"):
        run_blocks(run, list(range(8)))
    assert torch.get_num_threads() == 4


def test_what_has_not_begun_ends_with_an_error(four_threads):
    begun, gate = [], threading.Event()

    def run(block):
        begun.append(block)
        if block == 0:
            gate.set()
            raise KeyError
        gate.wait(10)
        time.sleep(0.2)

    with pytest.raises(KeyError):
        run_blocks(run, list(range(100)))
    assert len(begun) < 20


def test_helpers_stay_and_are_few():
    threads.side_by_side(lambda block: time.sleep(0.01), range(4), 4)
    before = threading.active_count()
    for _ in range(30):
        threads.side_by_side(lambda block: None, range(8), 64)
    assert threading.active_count() <= max(before, 1 + threads._MOST_HELPERS)


def test_blocks_within_blocks_end():
    """Who calls works too, so that nobody waits for helpers that are waiting themselves."""
    done = []

    def outer(i):
        threads.side_by_side(lambda j: done.append((i, j)), range(5), 3)

    callers = [
        threading.Thread(target=threads.side_by_side, args=(outer, range(4 * c, 4 * c + 4), 3))
        for c in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert sorted(done) == [(i, j) for i in range(24) for j in range(5)]


@pytest.mark.slow
def test_threads_that_outlive_the_main_one_work_alone():
    script = """
import threading
from skdiffrec._utils.threads import side_by_side

def work():
    threading.main_thread().join()
    done = []
    side_by_side(done.append, list(range(5)), 2)
    print(done)

threading.Thread(target=work).start()
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "[0, 1, 2, 3, 4]", found.stderr


def test_threads_beside_products_are_as_many_as_theirs():
    assert threads.blas_threads() == max(blas_threads(), default=1)
    with threadpool_limits(1, "blas"):
        assert threads.blas_threads() == 1


@pytest.mark.parametrize("guidance_scale", [1.0, 1.7])
def test_lists_do_not_depend_on_threads(drift_data, guidance_scale, monkeypatch):
    model = tiny_cfg(guidance_scale=guidance_scale, max_epochs=1).fit(drift_data.train)
    expected = model.recommend(k=10)
    scores = model.decision_function(drift_data.train)
    monkeypatch.setattr(topk, "_BLOCK_ELEMENTS", 40 * drift_data.train.shape[1])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for found, wanted in zip(model.recommend(k=10), expected, strict=True):
            assert_array_equal(found, wanted)
        assert_array_equal(model.decision_function(drift_data.train), scores)
    finally:
        torch.set_num_threads(before)
    assert np.isfinite(scores).all()
