"""What the host has set in torch changes no number, and is as before afterwards."""

import copy
import pickle
import threading
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from conftest import MODELS, tiny_als
from numpy.testing import assert_array_equal
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from skdiffrec._utils import host_state
from skdiffrec._utils.host_state import in_own_state, torch_threads
from skdiffrec._utils.threads import blas_limit

# what differs in arithmetic: draws and a space without a head, ages and a sparse closed form
NAMES = [pytest.param("cfg-guided", marks=pytest.mark.slow), "cfg-item-space", "cfg-time"]


@contextmanager
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        assert torch.get_default_dtype() == torch.float64
        torch.set_default_dtype(before)


@contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        assert torch.get_default_device().type == "meta"
        torch.set_default_device(None)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def autocast():
    with torch.autocast("cpu", torch.bfloat16):
        yield
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16


HOSTS = {
    "float64": float64,
    "default_device": default_device,
    "device_context": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "deterministic": deterministic,
    "autocast": autocast,
}


ALIKE = ("no_grad", "deterministic")  # inference_mode and float64 ask for more
CASES = [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in HOSTS]


@pytest.fixture(params=CASES)
def host(request):
    return HOSTS[request.param]


def answers(model, X, folder):
    """Every kind of question to a model, to copies of it, and to what is read from its file."""
    model.save(folder / "model.safetensors")
    copies = (
        type(model).load(folder / "model.safetensors", device="cpu"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    )
    explained = model.explain(4)
    return [
        *model.recommend(k=10),
        *model.recommend(5, k=7, filter_items=[1, 2]),
        model.decision_function(X),
        model.sample(X[:9], 2),
        *model.sample_summary(X[:9], 5, 2),
        *(getattr(explained, name) for name in ("item_ids", "score", "base", "closed_form")),
        *model.score_parts([3, 4, 5]),
        *model.recommend_scales([0.0, 1.0, 2.0], k=5),
        *model.staged_decision_function(X[:9]),
        *model.similar_items([3, 4], k=5),
        *(part for other in copies for part in other.recommend(k=10)),
        *(other.explain(4).score for other in copies),
    ]


@pytest.fixture(scope="module", params=NAMES)
def plain(request, interactions, tmp_path_factory):
    """(not fitted, fitted, answers) of a model without any setting."""
    model = clone(MODELS[request.param])
    fitted = clone(model).fit(interactions)
    return model, fitted, answers(fitted, interactions, tmp_path_factory.mktemp("plain"))


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


@pytest.mark.slow
class TestNumbers:
    def test_fit_and_ask_inside(self, plain, host, interactions, tmp_path):
        model, fitted, expected = plain
        with host():
            inside = clone(model).fit(interactions)
            found = answers(inside, interactions, tmp_path)
        assert_same(found, expected)
        assert inside.history_ == fitted.history_
        outside = answers(inside, interactions, tmp_path)
        assert_same(outside, expected)

    def test_ask_inside_a_model_that_was_never_asked(self, plain, host, interactions, tmp_path):
        _, fitted, expected = plain
        fresh = copy.deepcopy(fitted)  # without what the first question makes
        with host():
            found = answers(fresh, interactions, tmp_path)
        assert_same(found, expected)
        assert_same(answers(fresh, interactions, tmp_path), expected)

    def test_made_inside_asked_outside(self, plain, host, interactions):
        _, fitted, expected = plain
        with host():
            made = copy.deepcopy(fitted)
            made.recommend(0)
        assert_same(made.recommend(k=10), expected[:2])


def test_a_generator_is_alone_at_every_step():
    seen = []

    @in_own_state()
    def steps():
        for _ in range(2):
            seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            yield

    for mode in (torch.enable_grad, torch.inference_mode):
        iterator = steps()
        for _ in range(2):
            with mode():
                next(iterator)
                assert torch.is_grad_enabled() == (mode is torch.enable_grad)
    assert seen == [(False, False)] * 4


def test_fit_takes_no_default_dtype_from_other_threads(plain, interactions):
    """It is the whole process's, and may change at any moment: here another thread turns it."""
    model, fitted, _ = plain
    done = threading.Event()

    def turn():
        while not done.wait(0.001):
            torch.set_default_dtype(torch.float64)
            done.wait(0.001)
            torch.set_default_dtype(torch.float32)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        found = clone(model).fit(interactions)
    finally:
        done.set()
        thread.join()
        torch.set_default_dtype(torch.float32)
    assert found.history_ == fitted.history_
    assert_same(found.recommend(), fitted.recommend())


def in_new_thread(call):
    """What a call in a new thread gives."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    """Two threads of torch's and of BLAS."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpool_limits(2, "blas"):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def guided(interactions):
    return clone(MODELS["cfg-guided"]).fit(interactions)


@pytest.mark.usefixtures("two_threads")
class TestThreads:
    @pytest.mark.parametrize("limits", [nullcontext, lambda: threadpool_limits(1)])
    @pytest.mark.parametrize("users", [[0], None])
    def test_after_a_list(self, guided, limits, users):
        with limits():
            inside = torch.get_num_threads()
            guided.recommend(users)
            assert torch.get_num_threads() == inside
            assert in_new_thread(torch.get_num_threads) == 2
        assert torch.get_num_threads() == 2
        assert in_new_thread(torch.get_num_threads) == 2

    def test_from_a_new_thread(self, guided):
        def ask():
            guided.recommend([0])
            return torch.get_num_threads()

        assert in_new_thread(ask) == 2
        assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 2

    def test_a_limit_is_the_calling_threads_alone(self):
        with torch_threads(1):
            assert torch.get_num_threads() == 1
            assert in_new_thread(torch.get_num_threads) == 2
        assert torch.get_num_threads() == 2

    def test_without_calls_of_openmp(self, monkeypatch):
        """Torch's own call sets the process: it is left alone where nothing changes."""
        monkeypatch.setattr(host_state, "set_openmp", torch.set_num_threads)
        monkeypatch.setattr(host_state, "set_mkl", int)
        with torch_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with threadpool_limits(1), torch_threads(1):
            pass
        assert in_new_thread(torch.get_num_threads) == 2

    def test_fits_and_lists_side_by_side(self, interactions):
        """Lists of two kinds of model from eight threads, beside two fits."""
        als, cfg = tiny_als().fit(interactions), clone(MODELS["cfg-guided"]).fit(interactions)
        expected = cfg.recommend(), als.recommend()
        begin, wrong, numbers = threading.Barrier(10), [], []

        def work(i):
            begin.wait()
            if i < 2:
                fitted = clone(cfg if i else als).fit(interactions)
                wrong.append((fitted.recommend()[0] != expected[1 - i][0]).sum())
            for _ in range(4):
                for model, lists in zip((cfg, als), expected, strict=True):
                    wrong.extend(
                        (a != b).sum() for a, b in zip(model.recommend(), lists, strict=True)
                    )
            numbers.append(torch.get_num_threads())

        threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not any(wrong)
        assert numbers == [2] * 10
        assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 2
        assert blas_threads() == [2] * len(blas_threads())

    def test_limits_of_blas_that_overlap(self):
        first, second = blas_limit(1), blas_limit(2)
        first.__enter__()
        second.__enter__()
        assert set(blas_threads()) == {1}
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {2}
        second.__exit__(None, None, None)
        assert set(blas_threads()) == {2}
        with threadpool_limits(1, "blas"), blas_limit(2):
            assert set(blas_threads()) == {1}  # never more than the host allows


def test_scores_are_float32_whatever_the_default(interactions):
    with float64():
        assert clone(MODELS["cfg"]).fit(interactions).recommend(0)[1].dtype == np.float32
