"""What is wanted, of users of whom little or nothing is known."""

import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec.datasets import make_interactions

FORMS = {
    "head": ({}, "binary"),
    "no head": ({"ranking_head": False}, "binary"),
    "no closed form": ({"closed_form": None}, "binary"),
    "ratings": ({"values": "rating"}, "rating"),
    "next item": ({"values": "time", "horizon": 1}, "time"),
    "steps": ({"n_sampling_steps": 3}, "binary"),
}
SCALES = {"wanted": 4.0}
FEATURE = 3


@pytest.fixture(name="asked", scope="module", params=[(f, p) for f in FORMS for p in (0, 1)])
def asked_fixture(request):
    """(model, arguments of `recommend`) of users with and without history, features and both."""
    form, profiled = request.param
    parameters, values = FORMS[form]
    data = make_interactions(80, 40, n_interactions_per_user=10, values=values, random_state=0)
    model = tiny_cfg(item_features=data.item_features, **parameters)
    known = {"user_features": data.user_features} if profiled else {}
    model.fit(data.train, **known)
    nobody, own = sp.csr_array((2, 40)), data.train[:2]
    given = {"X": sp.vstack([nobody, own]).tocsr()}
    if profiled:  # of every second one
        features = sp.csr_array(data.user_features)[[0, 0, 1, 1]]
        given["user_features"] = (sp.diags_array([1.0, 0.0] * 2) @ features).tocsr()
    return model, given


def test_a_scale_of_0_is_the_list_without(asked):
    model, given = asked
    none = model.decision_function(**given, wanted={FEATURE: 1}, guidance_scale={"wanted": 0.0})
    assert_array_equal(none, model.decision_function(**given))


def test_parts_are_those_of_the_scores(asked):
    model, given = asked
    ask = given | {"wanted": {FEATURE: 1}, "guidance_scale": SCALES}
    parts, scores = model.score_parts(**ask), model.decision_function(**ask)
    assert_allclose(parts.score, scores, atol=1e-4)
    total = parts.unconditional.astype(float)
    for name, lift in parts.lifts.items():
        total = total + SCALES.get(name, 1.0) * lift
    assert_allclose(total, scores, atol=1e-4)


def test_only_items_with_the_feature_rise(asked):
    model, given = asked
    has = model.item_features.toarray()[:, FEATURE] > 0
    parts = model.score_parts(**given, wanted={FEATURE: 1})
    assert_array_equal(parts.lifts["wanted"][:, ~has], 0)
    rise = model.decision_function(**given, wanted={FEATURE: 1}, guidance_scale=SCALES)
    rise = rise - model.decision_function(**given)
    assert_allclose(rise[:, ~has], 0, atol=1e-5)
    assert (rise[:, has] > 0).all()
