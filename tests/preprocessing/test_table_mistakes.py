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


def test_features_of_ids_of_another_type():
    """Numbers in the events, text in the profiles, as from two files."""
    events = EVENTS.assign(user=EVENTS["user"].str[1:].astype(int))
    people = pd.DataFrame({"user": range(30), "age": [20.0 + i for i in range(30)]})
    model = TableRecommender(tiny_cfg(max_epochs=1)).fit(events, user_features=people)
    as_text = people.assign(user=people["user"].astype(str))
    for ask in (
        lambda: model.recommend([1, 2], k=2, user_features=as_text),
        lambda: model.score(events, user_features=as_text),
        lambda: next(model.recommend_batches(k=2, user_features=as_text)),
        lambda: model.encoder_.align(as_text, on="user"),
    ):
        with pytest.warns(UserWarning, match="holds such as '0'"):
            ask()


def test_features_of_items_do_not_outlive_the_items(tmp_path):
    """Loaded, and fitted to other items as many: the columns are not those of the features."""
    names = sorted(EVENTS["item"].unique())
    shelf = pd.DataFrame({"item": names, "even": [int(name[1:]) % 2 == 0 for name in names]})
    model = TableRecommender(tiny_cfg(max_epochs=1)).fit(EVENTS, item_features=shelf * 1)
    model.save(tmp_path / "model")
    later = EVENTS.replace({"item": {"i0": "new"}})
    for again in (
        TableRecommender.load(tmp_path / "model"),
        TableRecommender.from_fitted(model.recommender_, model.encoder_),
    ):
        assert len(again.recommend(["u1"], k=2, wanted={"even": 1})) == 2
        with pytest.raises(ValueError, match="fitted without item_features"):
            again.fit(later).recommend(["u1"], wanted={0: 1})
        again.fit(later[later["item"] != "new"])


def test_a_search_that_takes_times_for_ones():
    """Also of a search the values that it takes are those of its estimator."""
    events = EVENTS.assign(when=range(1, len(EVENTS) + 1))
    search = GuidanceScaleCV(tiny_cfg(max_epochs=1), scales=[0.0, 1.0], cv=2)
    with pytest.warns(UserWarning, match="holds times .* takes them for"):
        TableRecommender(search, InteractionEncoder(timestamp="when")).fit(events)
