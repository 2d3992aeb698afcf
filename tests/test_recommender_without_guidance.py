"""CFGDiffusionRecommender without guidance: of which branches its scores are made."""

import copy

import numpy as np
import pytest
import torch
from conftest import tiny_cfg
from numpy.testing import assert_array_equal

from skdiffrec.baselines import PopularityRecommender

FILLED = slice(3, None)  # users with enough history to be read


def with_other(model, *names):
    """A copy of a fitted model that has other numbers in place of some of its tensors."""
    model = copy.deepcopy(model)
    tensors = dict(model._model.denoiser.named_parameters())
    tensors |= dict(model._model.denoiser.named_buffers())
    if model._model.closed_form is not None:
        tensors |= {"closed form unknown": model._model.closed_form.unknown}
    with torch.no_grad():
        for tensor in map(tensors.get, names):
            tensor.copy_(torch.linspace(-99, 99, tensor.numel()).view_as(tensor))
    return model


@pytest.mark.parametrize("start_timestep", [None, 50])
@pytest.mark.parametrize("cond_drop_prob", [0.0, 0.2, 0.7])
def test_scale_1_is_the_conditional_branch_to_the_bit(interactions, cond_drop_prob, start_timestep):
    """Of what the unconditional branch is made of nothing enters, not even by rounding."""
    model = tiny_cfg(cond_drop_prob=cond_drop_prob, max_epochs=2).fit(interactions)
    model.set_params(start_timestep=start_timestep)
    rows = interactions[FILLED]
    of_one_branch = with_other(model, "null", "head.null_offset", "closed form unknown")
    expected = model.decision_function(rows, guidance_scale=1)
    assert np.isfinite(expected).all()
    assert_array_equal(of_one_branch.decision_function(rows, guidance_scale=1), expected)
    for scale in (0.0, 0.9, 1.1):
        scores = [m.decision_function(rows, guidance_scale=scale) for m in (model, of_one_branch)]
        assert (scores[0] != scores[1]).mean() > 0.9


def test_scale_0_counts_items_where_nothing_is_trained_without_a_condition(interactions):
    """With cond_drop_prob=0 it ranks by popularity, so that 0 is not 1."""
    model = tiny_cfg(cond_drop_prob=0.0, early_stopping=False, closed_form=None, max_epochs=3)
    model.fit(interactions)
    users, counts = np.arange(3, 60), np.asarray((interactions != 0).sum(axis=0))
    found = model.recommend(users, guidance_scale=0.0)[0]
    popular = PopularityRecommender().fit(interactions).recommend(users)[0]
    assert_array_equal(counts[found], counts[popular])  # equals may change places
    assert (counts[model.recommend(users, guidance_scale=1.0)[0]] != counts[popular]).any(1).all()


@pytest.fixture(name="pseudo", scope="module")
def pseudo_fixture(interactions):
    """Shared: never change it."""
    model = tiny_cfg(cond_drop_prob=1.0, early_stopping=False, closed_form=None)
    return model.set_params(guidance_scale=0.0).fit(interactions)


class TestPseudoGuidance:
    """DiffRec's inference: the partly noised history is denoised, without a condition."""

    def test_reads_the_row_that_is_denoised_and_no_condition(self, pseudo, interactions):
        rows = interactions[FILLED]
        started = copy.deepcopy(pseudo).set_params(start_timestep=50)
        scores = started.decision_function(rows)
        assert len(np.unique(scores, axis=0)) == len(np.unique(rows.toarray(), axis=0))
        unread = with_other(started, "read_history.tables.0")
        assert_array_equal(unread.decision_function(rows), scores)

    def test_without_a_start_all_lists_are_one(self, pseudo, interactions):
        scores = pseudo.decision_function(interactions[FILLED])
        assert_array_equal(scores, np.broadcast_to(scores[0], scores.shape))

    def test_early_stopping_is_refused(self, interactions):
        message = "cond_drop_prob=1 .*early_stopping=True.*Use early_stopping=False"
        with pytest.raises(ValueError, match=message):
            tiny_cfg(cond_drop_prob=1).fit(interactions)
