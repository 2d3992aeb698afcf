"""CFGDiffusionRecommender: CPUs and GPUs."""

import pickle

import numpy as np
import pytest
import torch
from conftest import tiny_cfg
from numpy.testing import assert_allclose
from recommender_models import (  # noqa: F401
    DRAWN,
    N_USERS,
    assert_same_lists,
    cfg_fixture,
    changed,
    drawing_fixture,
    plain_fixture,
)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU")


def tensors_of(model):
    """Every tensor that a pickle of the model holds."""
    found = []

    class Pickler(pickle.Pickler):
        def reducer_override(self, value):
            if isinstance(value, torch.Tensor):
                found.append(value)
            return NotImplemented

    Pickler(open("/dev/null", "wb")).dump(model)
    return found


class TestDevice:
    def test_a_pickle_holds_arrays_alone(self, cfg):
        assert not tensors_of(cfg)  # nothing of torch: arrays, which any machine can read
        assert len(tensors_of(cfg._model.denoiser)) > 10

    @without_cuda
    def test_fitted_for_a_gpu_used_without(self, cfg):
        model = changed(cfg, device="cuda")
        with pytest.warns(UserWarning, match="device='cuda'.*no GPU.*auto"):
            lists = model.recommend()
        assert_same_lists(cfg.recommend(), lists)

    @without_cuda
    @pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda")], ids=str)
    def test_no_gpu_to_fit_on(self, cfg, interactions, device):
        model = changed(cfg, device=device)
        with pytest.raises(ValueError, match='device=\'cuda.*no GPU.*"cpu"'):
            model.fit(interactions)
        model.set_params(device="auto")
        assert_same_lists(cfg.recommend(), model.recommend())

    @needs_cuda
    @pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
    def test_gpu(self, interactions, device):
        model = tiny_cfg(device=device, guidance_scale=1.5).fit(interactions)
        assert model._model.denoiser.null.device.type == "cuda"
        scores = model.decision_function(interactions)
        loaded = pickle.loads(pickle.dumps(model))
        assert not tensors_of(model)
        assert model._model.denoiser.null.device.type == "cuda"  # pickling moved a copy
        loaded.set_params(device="cpu")
        assert_allclose(loaded.decision_function(interactions), scores, rtol=1e-3, atol=1e-3)

    @needs_cuda
    def test_a_model_of_the_cpu_moves_to_the_gpu(self, cfg, interactions):
        moved = changed(cfg, device="cuda")
        assert_allclose(
            moved.decision_function(interactions),
            cfg.decision_function(interactions),
            rtol=1e-3,
            atol=1e-3,
        )

    @needs_cuda
    def test_draws_are_the_same_on_any_device(self, plain, interactions):
        drawing = changed(plain, **DRAWN)
        expected = drawing.decision_function(interactions)
        drawing.set_params(device="cuda")
        assert_allclose(drawing.decision_function(interactions), expected, rtol=1e-3, atol=1e-3)

    @needs_cuda
    def test_invariance_on_the_gpu(self, interactions):
        model = tiny_cfg(device="cuda", guidance_scale=1.5).fit(interactions)
        expected = model.recommend()
        for users in ([5], [7, 5, 5], np.arange(N_USERS)[::-1]):
            assert_same_lists([part[users] for part in expected], model.recommend(users))
