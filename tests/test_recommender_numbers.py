"""Numbers out of all bounds: an error that names the parameter, a warning, or a sane model."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_als, tiny_cfg

from skdiffrec._training import loop
from skdiffrec.datasets import make_interactions

X = make_interactions(60, 40, n_interactions_per_user=7, random_state=0).train


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": False}, {"ranking_head": False}])
def test_training_without_any_good_weights_is_an_error(parameters):
    model = tiny_cfg(learning_rate=1e30, max_epochs=1, **parameters)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="learning_rate=1e\\+30"):
        warnings.simplefilter("error", RuntimeWarning)
        model.fit(X)
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("what", ["loss", "weights"])
def test_the_last_good_weights_are_kept(monkeypatch, early_stopping, what):
    """The third of five epochs is broken."""
    monkeypatch.setattr(loop, "one_cycle", lambda share: 1.0)  # else it depends on max_epochs
    options = dict(early_stopping=early_stopping, max_epochs=5)
    good = tiny_cfg(**options | {"max_epochs": 2}).fit(X)
    step, n_steps = loop.AdamW.step, [0]

    def break_later(self, *gradients):
        step(self, *gradients)
        n_steps[0] += 1
        if n_steps[0] == 5:  # of two an epoch
            self.parameters[0].data.fill_(np.nan if what == "loss" else 1e38)
            if what == "weights":
                for parameter in self.parameters[1:]:
                    parameter.data.fill_(0.0)
                self.parameters[-1].data.fill_(np.inf)

    monkeypatch.setattr(loop.AdamW, "step", break_later)
    kept = "best" if early_stopping else "last good"
    with pytest.warns(UserWarning, match=f"diverged: .*fit keeps the {kept} weights"):
        model = tiny_cfg(**options).fit(X)
    assert model.n_iter_ == 2
    np.testing.assert_array_equal(model.decision_function(X), good.decision_function(X))


@pytest.mark.parametrize("learning_rate", [10.0, 100.0])
def test_a_loss_that_grows_is_told(learning_rate):
    with pytest.warns(UserWarning, match=f"loss grew from .*learning_rate={learning_rate}"):
        model = tiny_cfg(learning_rate=learning_rate).fit(X)
    assert np.isfinite(model.decision_function(X)).all()


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"closed_form_weight": 1e38}, {}),
        ({"half_life": 1e-300, "values": "time"}, {}),
        ({}, {"sample_weight": np.full(60, 1e-40)}),
        ({}, {"sample_weight": np.full(60, 1e300)}),
        ({}, {"sample_weight": np.r_[1e-30, np.ones(59)]}),
    ],
    ids=lambda value: next(iter(value), "nothing"),
)
def test_errors_name_the_parameter(parameters, options):
    name = next(iter({**parameters, **options}))
    with warnings.catch_warnings(), pytest.raises(ValueError, match=name):
        warnings.simplefilter("ignore", UserWarning)
        tiny_cfg(**parameters).fit(X, **options)


@pytest.mark.parametrize("weight", [1e-12, 1e-6, 1e6, 1e12])
def test_weights_within_bounds_are_computed_with(weight):
    model = tiny_cfg().fit(X, sample_weight=np.full(60, weight))
    assert np.isfinite(model.decision_function(X)).all()


@pytest.mark.parametrize("parameters", [{"alpha": 1e300}, {"regularization": 1e300}], ids=str)
def test_als_names_its_parameters(parameters):
    with pytest.raises(ValueError, match=f"no finite factors.*{next(iter(parameters))}=1e\\+300"):
        tiny_als(**parameters).fit(X)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"early_stopping": False}, {"values": "time"}, {"closed_form": None}],
    ids=str,
)
def test_identical_users(parameters):
    """Fifty of them: their rows span one direction, in which they do not differ."""
    same = sp.csr_array(np.tile(X[[0]].toarray(), (50, 1)).astype(float))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = tiny_cfg(**parameters).fit(same)
    assert all(entry["loss"] < 100 for entry in model.history_)


@pytest.mark.parametrize("scale", [None, [None, 1.0], [1.0, None]])
def test_a_scale_that_is_none_is_told(scale):
    model = tiny_cfg(max_epochs=1).fit(X)
    with pytest.raises(TypeError, match=r"guidance_scale\['history'\] must be a number.*None"):
        model.recommend([0, 1], guidance_scale={"history": scale})


def test_one_item_for_everybody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids, _ = tiny_cfg(max_epochs=1).fit(np.ones((2, 1))).recommend(k=1)
    assert ids.tolist() == [[-1], [-1]]
