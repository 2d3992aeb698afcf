"""After training the closed form learns from the items that early stopping held out."""

import numpy as np
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.next_items import next_item_form
from skdiffrec._closed_form.selection import solved_form
from skdiffrec._training import fit
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions


def rows_of(values):
    data = make_interactions(300, 200, n_interactions_per_user=6, values=values, random_state=0)
    return data.train


def entries(form):
    everything = np.arange(200)
    return form.entries(everything, everything)


@pytest.mark.parametrize("horizon", [None, 1])
@pytest.mark.parametrize("values", ["binary", "time"])
def test_it_is_that_of_all_rows(values, horizon):
    if horizon and values == "binary":
        pytest.skip("a horizon needs times")
    X = rows_of(values)
    form = tiny_cfg(values=values, horizon=horizon).fit(X)._model.closed_form
    given = dict(half_life=form.half_life, seed=0, settings=form.settings)
    rows, weight = X.astype(np.float64), np.ones(300)
    if horizon:
        expected = next_item_form(rows, weight, horizon=1, **given).weights
    else:
        expected = solved_form(rows, weight, "auto", values=values, **given).weights
    expected = expected.toarray() if form.sparse else expected
    scale = np.abs(expected).max()
    own = form.csr.toarray() if form.sparse else form.weights.numpy()
    assert_allclose(own, expected, atol=1e-3 * scale)


def test_a_given_recommender_learns_from_all_rows_too():
    X = rows_of("binary")
    form = tiny_cfg(closed_form=EASERecommender(reg=20.0)).fit(X)._model.closed_form
    assert_allclose(form.weights, EASERecommender(reg=20.0).fit(X).item_weights_, atol=1e-5)


def test_few_held_out_items_are_left_out(monkeypatch):
    solved = []
    true = fit.closed_form_of
    monkeypatch.setattr(fit, "closed_form_of", lambda *a, **k: solved.append(1) or true(*a, **k))
    X = rows_of("binary")
    tiny_cfg().fit(X)
    assert len(solved) == 2
    tiny_cfg(early_stopping=False).fit(X)
    assert len(solved) == 3
    monkeypatch.setattr(fit, "_FEW_HELD_OUT", 0.5)
    tiny_cfg().fit(X)
    assert len(solved) == 4


def test_what_is_chosen_on_held_out_items_has_not_seen_them(monkeypatch):
    """Weights and epochs are as if the closed form were never solved again."""
    X = rows_of("binary")
    model = tiny_cfg(guidance_scale="auto").fit(X)
    monkeypatch.setattr(fit, "_FEW_HELD_OUT", 1.0)
    before = tiny_cfg(guidance_scale="auto").fit(X)
    for name in ("closed_form_weight_", "best_guidance_scale_", "best_validation_score_"):
        assert getattr(model, name) == getattr(before, name)
    assert model._model.closed_form_scale == before._model.closed_form_scale
    for found, expected in zip(
        model._model.denoiser.parameters(), before._model.denoiser.parameters(), strict=True
    ):
        assert_array_equal(found.detach(), expected.detach())
    assert np.abs(entries(model._model.closed_form) - entries(before._model.closed_form)).max() > 0
