"""closed_form= of CFGDiffusionRecommender: parameters of it that its model does not read."""

import re
import warnings

import pytest
from conftest import tiny_cfg
from recommender_models import OwnRecommender

from skdiffrec.baselines import EASERecommender


@pytest.mark.parametrize(
    ("model", "form", "told"),
    [
        ("time", dict(values="time"), None),
        ("time", dict(values="time", half_life=3.0), None),  # that of the model
        ("time", dict(half_life=1.0), "half_life=1.0 of closed_form.*half_life=3.0"),
        ("time", dict(half_life=None), "half_life=None of closed_form.*half_life=3.0"),
        ("binary", dict(half_life=1.0), None),  # nothing is read in an order
        ("time", dict(values="weight"), 'learns from values="weight", but values="time"'),
        ("weight", dict(values="time"), 'learns from values="time", but values="weight"'),
        ("binary", dict(values="weight"), 'learns from values="weight", but values="binary"'),
        ("weight", dict(values="weight"), None),
        ("weight", {}, None),
        ("rating", dict(values="weight"), None),
    ],
)
@pytest.mark.parametrize("kind", [EASERecommender, OwnRecommender])
def test_parameters_that_say_nothing_are_told_of(interactions, kind, model, form, told):
    model = tiny_cfg(
        closed_form=kind(**form),
        values=model,
        half_life=3.0,
        max_epochs=1,
        hidden_dims=(8,),
        early_stopping=False,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(interactions)
    found = [str(one.message) for one in caught if "closed_form=" in str(one.message)]
    assert len(found) == (told is not None)
    assert not found or re.search(told, found[0])
