"""What goes wrong with tables is said, and nothing is lost."""

import warnings

import pandas as pd
import pytest
from conftest import tiny_cfg

from skdiffrec.baselines import EASERecommender
from skdiffrec.model_selection import GuidanceScaleCV
from skdiffrec.persistence import PersistenceError
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender

EVENTS = pd.DataFrame(
    [(f"u{i}", f"i{(i * j) % 11}") for i in range(30) for j in range(1, 6)],
    columns=["user", "item"],
).drop_duplicates()


def fitted(**encoder):
    return TableRecommender(tiny_cfg(max_epochs=1), InteractionEncoder(**encoder)).fit(EVENTS)


def test_a_model_that_could_not_be_loaded_is_not_saved(tmp_path):
    path, model = tmp_path / "model.safetensors", fitted()
    model.save(path)
    before = path.read_bytes()
    model.recommender_.partial_fit(model.encoder_.transform([("zoe", "i1")]))
    with pytest.raises(PersistenceError, match="31 rows, but encoder has 30 users"):
        model.save(path)
    assert path.read_bytes() == before
    assert len(TableRecommender.load(path).recommend(["u1"], k=2)) == 2


def test_users_without_a_list_are_named():
    """`fit` left kim out, and so are her events now."""
    table = pd.concat(
        [EVENTS, pd.DataFrame([("kim", "i1"), ("kim", "i2")], columns=["user", "item"])]
    )
    encoder = InteractionEncoder(min_user_interactions=3)
    model = TableRecommender(EASERecommender(), encoder).fit(table)
    kim = table[table.user == "kim"]
    for history in ("replace", "extend"):
        with pytest.warns(UserWarning, match="1 users of X get no list, such as 'kim'.*=3.*users"):
            assert not len(model.recommend(X=kim, history=history, k=2))
    assert len(model.recommend(["kim"], X=kim, history="replace", k=2)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encoder_.transform(table)  # the table of `fit` has the rows of `fit`


def test_a_scale_set_after_fit_acts_at_once():
    model = fitted()
    scale = {"guidance_scale": 2.5}
    expected = model.recommend(["u1"], k=4, **scale)
    model.set_params(recommender__guidance_scale=2.5)
    assert model.recommender_.guidance_scale == model.recommender.guidance_scale == 2.5
    pd.testing.assert_frame_equal(model.recommend(["u1"], k=4), expected)
    unfitted = TableRecommender(tiny_cfg()).set_params(recommender__guidance_scale=0.5)
    assert unfitted.recommender.guidance_scale == 0.5


def test_a_search_of_scales_says_what_to_give():
    with pytest.raises(ValueError, match="reads tables. Give Pipeline.*recommender__guidance"):
        GuidanceScaleCV(TableRecommender(tiny_cfg())).fit(EVENTS)


def test_what_is_wanted_is_no_text():
    with pytest.raises(TypeError, match="wanted must be a dict or hold one row.*'genre=crime'"):
        fitted().recommend(["u1"], wanted="genre=crime")
