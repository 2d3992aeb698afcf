"""InteractionEncoder: new tables, the way back, conventions, pipelines."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from encoder_tables import FORMS, ROLES, as_dict, table
from encoder_tables import PAIRS as EVENTS
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.pipeline import Pipeline

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, recommend_batches


class TestTransform:
    def test_the_same_table_gives_the_same_matrix(self):
        for form in FORMS:
            encoder = InteractionEncoder(**ROLES)
            X = encoder.fit_transform(table(form))
            again, users = encoder.transform(table(form), return_users=True)
            assert_array_equal(X.toarray(), again.toarray())
            assert users.tolist() == encoder.users_.tolist()

    def test_new_users_have_rows_of_their_own(self):
        encoder = InteractionEncoder().fit(EVENTS)
        X, users = encoder.transform([("zoe", "tea"), ("ann", "rye")], return_users=True)
        assert users.tolist() == ["ann", "zoe"]
        assert X.toarray().tolist() == [[0, 1, 0], [0, 0, 1]]

    def test_rows_that_are_asked_for(self):
        encoder = InteractionEncoder().fit(EVENTS)
        new = [("zoe", "tea"), ("bob", "rye"), ("ann", "rye")]
        X = encoder.transform(new, users=["zoe", "nobody", "ann"])
        assert X.toarray().tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0]]
        aligned = encoder.transform(new, users=encoder.users_)
        assert aligned.toarray().tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
        with pytest.raises(ValueError, match="more than once"):
            encoder.transform(new, users=["zoe", "zoe"])

    def test_unknown_users(self):
        new = [("zoe", "tea"), ("ann", "rye")]
        encoder = InteractionEncoder(unknown_users="ignore").fit(EVENTS)
        X, users = encoder.transform(new, return_users=True)
        assert users.tolist() == ["ann"] and X.toarray().tolist() == [[0, 1, 0]]
        X, users = encoder.transform(new, users=["zoe", "eve", "ann"], return_users=True)
        assert users.tolist() == ["eve", "ann"]
        assert X.toarray().tolist() == [[0, 0, 0], [0, 1, 0]]
        encoder = InteractionEncoder(unknown_users="error").fit(EVENTS)
        with pytest.raises(ValueError, match="1 users that fit did not see or keep, such as 'zoe'"):
            encoder.transform(new)

    def test_unknown_items(self):
        new = [("ann", "ale"), ("ann", "rye"), ("zoe", "ale")]
        with pytest.raises(ValueError, match="1 items .* 'ale'.*unknown_items='ignore'"):
            InteractionEncoder().fit(EVENTS).transform(new)
        encoder = InteractionEncoder(unknown_items="ignore").fit(EVENTS)
        X, users = encoder.transform(new, return_users=True)
        assert users.tolist() == ["ann", "zoe"]
        assert X.toarray().tolist() == [[0, 1, 0], [0, 0, 0]]  # zoe is new, and has no history

    def test_items_that_fit_left_out_are_no_surprise(self):
        encoder = InteractionEncoder(min_item_interactions=2).fit(EVENTS)
        assert encoder.items_.tolist() == ["jam"]
        assert encoder.transform(EVENTS).sum() == 2
        with pytest.raises(ValueError, match="'ale'"):
            encoder.transform([("ann", "ale")])

    def test_look_ups(self):
        encoder = InteractionEncoder().fit(EVENTS)
        assert encoder.user_index("bob") == 1 and isinstance(encoder.user_index("bob"), int)
        assert_array_equal(encoder.item_index(["tea", "tea", "jam"]), [2, 2, 0])
        assert encoder.item_index([]).tolist() == []
        with pytest.raises(ValueError, match="1 items are unknown, such as 'ale'"):
            encoder.item_index(["ale", "tea"])
        with pytest.raises(ValueError, match='"error" or an int'):
            encoder.item_index(["ale"], unknown="ignore")
        numbers = InteractionEncoder().fit([(1, 10), (2, 20)])
        assert_array_equal(numbers.user_index([2.0, 1.5, "1"], unknown=-1), [1, -1, -1])

    def test_an_empty_table(self):
        empty = pd.DataFrame({"user": pd.Series([], dtype=str), "item": pd.Series([], dtype=str)})
        encoder = InteractionEncoder().fit(EVENTS)
        assert encoder.transform(empty).shape == (0, 3)
        assert encoder.transform(empty, users=["ann", "zoe"]).shape == (2, 3)
        assert encoder.transform([]).shape == (0, 3)


class TestInverse:
    encoder = InteractionEncoder().fit(EVENTS)

    def test_one_list(self):
        found = as_dict(self.encoder.inverse_transform(np.array([2, 1, -1]), users="zoe"))
        assert found == {"user": ["zoe"] * 2, "rank": [1, 2], "item": ["tea", "rye"]}
        tuples = InteractionEncoder().fit([(("a", 1), "x")])
        assert tuples.inverse_transform([0], users=("a", 1))["user"].tolist() == [("a", 1)]

    def test_all_users(self):
        found = as_dict(self.encoder.inverse_transform([[0], [-1], [1]]))
        assert found == {"user": ["ann", "eve"], "rank": [1, 1], "item": ["jam", "rye"]}

    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            (([[0]],), ValueError, "1 lists, but 3 users"),
            (([[0.5]] * 3,), ValueError, "must be integers"),
            (([[3]] * 3,), IndexError, "columns 0 to 2"),
            (([[0]] * 3, [[1.0]]), ValueError, r"scores has shape \(1, 1\)"),
        ],
    )
    def test_bad_lists(self, arguments, error, says):
        with pytest.raises(error, match=says):
            self.encoder.inverse_transform(*arguments)


class TestItemNames:
    encoder = InteractionEncoder().fit(EVENTS)

    def test_shape_is_kept_and_nothing_is_listed_for_minus_one(self):
        for ids in ([[2, 0], [1, -1]], np.int32([2, 0, -1]), np.zeros((2, 0, 3), int), [], [[-1]]):
            names = self.encoder.item_names(ids)
            assert names.dtype == object and names.shape == np.shape(ids)
            expected = [None if i < 0 else self.encoder.items_[i] for i in np.ravel(ids).tolist()]
            assert names.ravel().tolist() == expected
        assert self.encoder.item_names(2) == "tea" and self.encoder.item_names(-1) is None
        model = PopularityRecommender().fit(self.encoder.transform(EVENTS))
        ids, _ = model.recommend(k=3)
        assert self.encoder.item_names(ids)[0].tolist() == ["rye", None, None]

    @pytest.mark.parametrize("items", [[3, 1], [("a", 1), ("b", 2)], ["x", 4], [0.5, 2.0]])
    def test_names_are_the_ids_of_the_table(self, items):
        encoder = InteractionEncoder().fit([("u", item) for item in items])
        names = encoder.item_names([*encoder.item_index(items), -1])
        assert names.tolist() == [*items, None]
        assert [type(name) for name in names[:-1]] == [type(item) for item in items]

    def test_dates_keep_their_unit(self):
        days = np.array(["2020-01-02", "2020-01-03"], "M8[ns]")
        names = InteractionEncoder().fit({"user": [1, 1], "item": days}).item_names([1, 0, -1])
        assert names.tolist() == [days[1], days[0], None]

    def test_ids_that_are_no_columns(self):
        for ids in ([3], [[-2]]):
            with pytest.raises(IndexError, match="columns 0 to 2"):
                self.encoder.item_names(ids)
        for ids in ([0.5], ["tea"], [True], "tea"):
            with pytest.raises(TypeError, match="ids must be integers"):
                self.encoder.item_names(ids)


class TestConventions:
    def test_clone_repr_and_pickle(self):
        encoder = InteractionEncoder(user="who", min_item_interactions=2)
        assert clone(encoder).get_params() == encoder.get_params()
        assert repr(encoder) == "InteractionEncoder(min_item_interactions=2, user='who')"
        encoder = InteractionEncoder(**ROLES).fit(table("polars"))
        again = pickle.loads(pickle.dumps(encoder))
        assert_array_equal(
            again.transform(table("polars")).toarray(), encoder.transform(table("polars")).toarray()
        )
        assert isinstance(again.inverse_transform([[0]], users=["ann"]), pl.DataFrame)
        encoder._repr_html_()

    @pytest.mark.parametrize(
        "method", ["transform", "inverse_transform", "user_index", "item_names"]
    )
    def test_not_fitted(self, method):
        with pytest.raises(NotFittedError):
            getattr(InteractionEncoder(), method)([[0, 1]])

    def test_a_failing_fit_leaves_what_was(self):
        encoder = InteractionEncoder().fit(EVENTS)
        with pytest.raises(ValueError, match="id missing"):
            encoder.fit([(None, 1)])
        assert encoder.users_.tolist() == ["ann", "bob", "eve"]

    def test_input_is_left_as_it_was(self):
        frame = table("pandas")
        before = frame.copy()
        InteractionEncoder(**ROLES).fit_transform(frame)
        pd.testing.assert_frame_equal(frame, before)


@pytest.fixture(scope="module")
def shop():
    """Events of 200 users with two tastes, so that there is something to learn."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(200), 12)
    items = rng.integers(0, 30, len(users)) + 30 * (users % 2)
    return pd.DataFrame({"user": [f"u{u:03d}" for u in users], "item": [f"i{i}" for i in items]})


class TestPipeline:
    def pipeline(self, **parameters):
        steps = [("encode", InteractionEncoder(**parameters)), ("model", EASERecommender(reg=5.0))]
        return Pipeline(steps)

    def test_fit_and_score_are_those_of_the_parts(self, shop):
        pipeline = self.pipeline().fit(shop)
        X = InteractionEncoder().fit_transform(shop)
        model = EASERecommender(reg=5.0).fit(X)
        assert pipeline.score(shop) == model.score(X) > 0.1
        assert_array_equal(pipeline.decision_function(shop), model.decision_function(X))

    def test_cross_validation_over_users(self, shop):
        scores = cross_validate(
            self.pipeline(unknown_items="ignore"),
            shop,
            groups=shop["user"],
            cv=GroupKFold(3),
            error_score="raise",
        )["test_score"]
        assert (scores > 0.1).all()  # of users that fit has not seen

    @pytest.mark.parametrize("form", ["pandas", "polars", "pyarrow", "dict"])
    def test_batches_are_the_lists_of_recommend(self, shop, form):
        frame = FORMS[form](shop.to_dict("list"))
        encoder, model = self.pipeline().fit(frame)
        ids, scores = model.recommend(k=4)
        expected = as_dict(encoder.inverse_transform(ids, scores))
        batches = list(recommend_batches(model, encoder, k=4, batch_size=70))
        assert len(batches) == 3
        joined = {name: sum((as_dict(b)[name] for b in batches), []) for name in expected}
        assert joined == expected and len(joined["user"]) == 800

    def test_new_users_in_batches(self, shop):
        encoder, model = self.pipeline().fit(shop)
        new = pd.DataFrame({"user": ["new", "new", "u001"], "item": ["i1", "i2", "i31"]})
        (found,) = recommend_batches(model, encoder, new, k=3)
        assert found["user"].tolist() == ["new"] * 3 + ["u001"] * 3
        assert not {"i1", "i2"} & set(found["item"][:3])
        (only,) = recommend_batches(model, encoder, new, users=["u001"], k=3)
        assert only["item"].tolist() == found["item"][3:].tolist()

    def test_chosen_users_and_items(self, shop):
        encoder, model = self.pipeline().fit(shop)
        (found,) = recommend_batches(
            model,
            encoder,
            users=["u007", "u003"],
            items=["i1", "i2", "i31"],
            k=3,
            filter_seen=False,
            filter_items=["i2"],
        )
        assert found["user"].tolist() == ["u007"] * 2 + ["u003"] * 2
        assert set(found["item"]) == {"i1", "i31"}

    def test_one_value_per_user_is_split(self, shop):
        class Recorder(PopularityRecommender):
            seen = []

            def recommend(self, user_ids=None, k=10, *, X=None, dial=None):
                self.seen.append(dial)
                return super().recommend(user_ids, k, X=X)

        encoder = InteractionEncoder()
        model = Recorder().fit(encoder.fit_transform(shop))
        list(recommend_batches(model, encoder, batch_size=150, dial=list(range(200))))
        assert model.seen == [list(range(150)), list(range(150, 200))]

    def test_errors_come_at_the_call(self, shop):
        encoder, model = self.pipeline().fit(shop)
        with pytest.raises(ValueError, match="model has 2 items"):
            recommend_batches(PopularityRecommender().fit([[1, 1]]), encoder)
        with pytest.raises(ValueError, match="users are unknown, such as 'nobody'"):
            recommend_batches(model, encoder, users=["nobody"])
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            recommend_batches(model, encoder, batch_size=0)
