"""Ids as callers hold them: in iterators, of any type, at places that NumPy found."""

import datetime
import decimal
import os
import stat
import uuid

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.model_selection import TimeCut, split_table
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender, recommend_batches

EVENTS = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "z"), ("c", "y")]


@pytest.fixture(name="model", scope="module")
def model_fixture():
    return TableRecommender(EASERecommender()).fit(pd.DataFrame(EVENTS, columns=["user", "item"]))


class TestIterators:
    """Read to their end, wherever a list may be."""

    forms = pytest.mark.parametrize(
        "form", [iter, lambda ids: map(str, ids), lambda ids: (i for i in ids), set]
    )

    @forms
    @pytest.mark.parametrize("name", ["items", "filter_items"])
    def test_items(self, form, name, model):
        found = model.recommend("a", 3, unknown_names="ignore", **{name: form(["z", "gone"])})
        assert found["item"].tolist() == (["z"] if name == "items" else [])

    def test_a_dict(self, model):
        with pytest.raises(TypeError, match="filter_items must be a list of ids, or one, got dict"):
            model.recommend("a", 3, filter_items={"item": ["z"]}, unknown_names="ignore")

    def test_users(self, model):
        expected = model.recommend(["a", "b"], k=1)
        pd.testing.assert_frame_equal(model.recommend(iter(["a", "b"]), k=1), expected)
        found = model.recommend(map(str, ["a", "zoe"]), k=1, unknown_users="popular")
        assert found["user"].tolist() == ["a", "zoe"]
        later = pd.DataFrame([("zoe", "x")], columns=["user", "item"])
        assert model.recommend(map(str, ["zoe"]), k=1, X=later)["user"].tolist() == ["zoe"]

    def test_look_ups(self, model):
        encoder = model.encoder_
        assert encoder.user_index(iter(["b", "a"])).tolist() == [1, 0]
        assert encoder.item_index(iter(["z"])).tolist() == [2]
        assert encoder.user_index("b") == 1 and encoder.user_index(("b", "a")).tolist() == [1, 0]


def test_numbers_of_rows_are_no_names(model):
    for call in (
        dict(users=["a"], user_ids=[1]),
        dict(user_ids=[1]),
        dict(users=["a", "b"], user_ids=1),
    ):
        with pytest.raises(TypeError, match="Name users by users="):
            model.recommend(k=1, **call)


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8])
def test_positions(kind):
    table = np.array([["x", "a"], ["y", "b"]])
    encoder = InteractionEncoder(user=kind(1), item=kind(0)).fit(table)
    assert encoder.users_.tolist() == ["a", "b"] and encoder.items_.tolist() == ["x", "y"]
    encoder.fit(table.tolist())
    assert encoder.users_.tolist() == ["a", "b"]
    encoder.fit(pd.DataFrame(table, columns=["thing", "who"]))
    assert encoder.users_.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "table",
    [
        [("ann", "tea")],
        np.array([["ann", "tea"]]),
        [{"user": "ann", "item": "tea"}],
        np.array([("ann", "tea")], [("user", "U3"), ("item", "U3")]),
        pd.DataFrame({"user": ["ann"], "item": ["tea"]}),
    ],
)
@pytest.mark.parametrize("places", [("user", 0), (0, -2), (0, 0)])
def test_one_column_for_two(table, places):
    with pytest.raises(ValueError, match="user and item are both column"):
        InteractionEncoder(user=places[0], item=places[1]).fit(table)


@pytest.mark.parametrize("role", ["user", "item"])
@pytest.mark.parametrize("name", ["rank", "score"])
def test_names_of_the_columns_of_lists(role, name):
    table = pd.DataFrame({"user": ["a"], "item": ["x"]}).rename(columns={role: name})
    with pytest.raises(ValueError, match=f"{role}='{name}'.*Rename"):
        InteractionEncoder(**{role: name}).fit(table)


OTHER_TYPES = {
    "uuid": (uuid.UUID(int=1), uuid.UUID(int=2)),
    "date": (datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)),
    "decimal": (decimal.Decimal(1), decimal.Decimal(2)),
    "number": (1, 2),
    "bytes": (b"1", b"2"),
    "bool": (True, False),
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_text_where_ids_are_of_another_type(kind):
    """What is blocked by names that nobody can have would be listed."""
    first, second = OTHER_TYPES[kind]
    events = [(first, "x"), (second, "y")]
    model = TableRecommender(PopularityRecommender()).fit(events)
    with pytest.raises(ValueError, match="blocked: of users, it holds text, but the ids of fit"):
        model.recommend([first], blocked=[(str(first), "y")], unknown_names="ignore")
    with pytest.warns(UserWarning, match="holds text, but the ids of fit are"):
        model.encoder_.transform([(str(second), "x")])
    model = TableRecommender(PopularityRecommender()).fit([(item, user) for user, item in events])
    with pytest.raises(ValueError, match="filter_items: of items, it holds text"):
        model.recommend(["x"], filter_items=[str(second)], unknown_names="ignore")
    assert model.recommend(["x"], filter_items=[second])["item"].tolist() == []


def test_ids_of_several_types_are_not_told_apart(recwarn):
    encoder = InteractionEncoder().fit([(1, "x"), ("a", "y")])
    encoder.transform([("b", "x")])
    InteractionEncoder().fit([(decimal.Decimal(1), "x")]).transform([(1, "x")])
    assert not [w for w in recwarn if "ids of fit" in str(w.message)]


def test_items_that_are_tuples():
    events = [(1, ("x", 1)), (2, ("y", 1)), (3, ("z", 1))]
    model = TableRecommender(PopularityRecommender()).fit(events)
    found = model.recommend([1], k=3, filter_items=[("y", 1)])["item"].tolist()
    assert found == [("z", 1)]
    plain = TableRecommender(PopularityRecommender()).fit(EVENTS)
    with pytest.raises(TypeError, match="blocked=table"):
        plain.recommend(["a"], filter_items=[("a", "z")], unknown_names="ignore")


class TestTablesOfArrow:
    def table(self):
        pa = pytest.importorskip("pyarrow", "18")  # before, it could not convert views
        ids = {"user": ["a", "b", "a"], "item": ["x", "y", "z"]}
        numbers = {"w": [1.0, 2.0, 3.0], "t": [1, 2, 3]}
        return pa.table({k: pa.array(v, pa.string_view()) for k, v in ids.items()} | numbers)

    def test_views_of_text(self):
        table = self.table()
        found = InteractionEncoder(weight="w", min_weight=2).fit_transform(table)
        assert_array_equal(found.toarray(), [[0, 3], [2, 0]])
        parts = split_table(table, TimeCut(3), InteractionEncoder(timestamp="t"))
        expected = split_table(table.to_pandas(), TimeCut(3), InteractionEncoder(timestamp="t"))
        for part, other in zip(parts, expected, strict=True):
            assert_array_equal(part.toarray(), other.toarray())

    def test_a_record_batch_and_a_tensor(self):
        torch = pytest.importorskip("torch")
        table, encoder = self.table(), InteractionEncoder(timestamp="t")
        expected = [part.toarray() for part in split_table(table.to_pandas(), TimeCut(3), encoder)]
        parts = split_table(table.to_batches()[0], TimeCut(3), encoder)
        assert_array_equal([part.toarray() for part in parts], expected)
        numbers = torch.tensor([[0, 0, 1], [1, 1, 2], [0, 2, 3]])
        parts = split_table(numbers, TimeCut(3), InteractionEncoder(timestamp="t"))
        assert_array_equal([part.toarray() for part in parts], expected)


def test_a_search_stands_for_its_best_estimator():
    encoder = InteractionEncoder()
    events = [(user, item) for user in range(12) for item in range(12) if (user + item) % 3]
    X = encoder.fit_transform(events)
    search = GridSearchCV(EASERecommender(), {"reg": [1.0, 2.0]}, cv=2, scoring=lambda *_: 1.0)
    (table,) = recommend_batches(search.fit(X), encoder, k=2)
    (expected,) = recommend_batches(search.best_estimator_, encoder, k=2)
    for name in expected:
        assert_array_equal(table[name], expected[name])


def test_another_recommender_with_parameters_of_its_own(model):
    other = TableRecommender(PopularityRecommender()).fit(EVENTS)
    other.set_params(recommender=EASERecommender(), recommender__reg=5.0)
    assert other.recommender.reg == 5.0 and type(other.recommender_) is PopularityRecommender


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_a_private_file_stays_private(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    public = stat.S_IMODE(path.stat().st_mode)
    path.chmod(0o600)
    model.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    model.save(os.fsencode(path))
    assert stat.S_IMODE(path.stat().st_mode) == public


def test_weights_too_large_to_be_added_up():
    events = {"user": ["a", "a"], "item": ["x", "x"], "w": [1e308, 1e308]}
    for duplicates in ("sum", "mean"):
        with pytest.raises(ValueError, match="too large to be added up"):
            InteractionEncoder(weight="w", duplicates=duplicates).fit_transform(events)
    with pytest.raises(ValueError, match="0 events count .those of weight 0"):
        InteractionEncoder(weight="w").fit_transform(events | {"w": [0, 0]})


def test_times_that_are_text_are_called_nothing_else(recwarn):
    encoder = InteractionEncoder(timestamp="t")
    encoder.fit(pd.DataFrame({"user": ["a"], "item": ["x"], "t": pd.to_datetime(["2024-01-01"])}))
    with pytest.raises(TypeError, match="must hold numbers, dates or durations"):
        encoder.transform(pd.DataFrame({"user": ["a"], "item": ["x"], "t": ["2024-01-02"]}))
    assert not recwarn
