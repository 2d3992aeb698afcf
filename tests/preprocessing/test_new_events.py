"""Events since fit: added to what a model knows of its users, or in place of it."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender, recommend_batches
from skdiffrec.preprocessing._histories import extended_rows

EVENTS = [
    ("ann", "tea", 2.0),
    ("ann", "jam", 1.0),
    ("bob", "tea", 3.0),
    ("bob", "rye", 4.0),
    ("eve", "jam", 5.0),
    ("eve", "oat", 6.0),
]
ROLES = {"binary": {}, "weight": {"weight": "w"}, "time": {"timestamp": "t"}}


PAIRS = [event[:2] for event in EVENTS]


def for_values(values, events):
    """Events with the columns that an encoder of these values reads."""
    return [event[:2] for event in events] if values == "binary" else list(events)


def fitted(values="binary", events=None, model=None, **parameters):
    encoder = InteractionEncoder(**ROLES[values], **parameters)
    events = for_values(values, EVENTS) if events is None else events
    model = model or EASERecommender(values=values)
    return encoder, model.fit(encoder.fit_transform(events))


class Recorder(EASERecommender):
    """Keeps the histories that it recommends from."""

    def recommend(self, user_ids=None, k=10, *, X=None, **options):
        self.X = self._fit_X[user_ids] if X is None else X
        return super().recommend(user_ids, k, X=X, **options)


def histories(values, duplicates, later, **options):
    """{(user, item): value} that a model reads after later events."""
    encoder, model = fitted(values, model=Recorder(values=values), duplicates=duplicates)
    (table,) = recommend_batches(model, encoder, for_values(values, later), **options)
    coo = model.X.tocoo()
    users = options.get("users") or sorted({user for user, *_ in later})
    pairs = {
        (users[row], str(encoder.items_[column])): value
        for row, column, value in zip(coo.row, coo.col, coo.data.tolist(), strict=True)
    }
    return pairs, table


def merged(values, duplicates, later):
    """The same by a dict, event by event."""
    users, found = {user for user, *_ in later}, {}
    for user, item, value in [*EVENTS, *later]:
        if user in users:
            found.setdefault((user, item), []).append(value)
    if values == "binary":
        return dict.fromkeys(found, 1.0)
    name = {"last": "max", "first": "min"}.get(duplicates) if values == "time" else None
    name = name or duplicates
    merge = {"sum": sum, "max": max, "min": min, "first": lambda v: v[0], "last": lambda v: v[-1]}
    return {pair: merge[name](each) for pair, each in found.items()}


CASES = [
    *(("binary", duplicates) for duplicates in ("auto", "last", "mean")),
    *(("weight", d) for d in ("sum", "first", "last", "max", "min")),
    *(("time", d) for d in ("first", "last", "max", "min")),
]


class TestExtend:
    @pytest.mark.parametrize(("values", "duplicates"), CASES)
    def test_as_a_dict_does_it(self, values, duplicates):
        @settings(max_examples=10, deadline=None)
        @given(
            st.lists(
                st.tuples(
                    st.sampled_from(["ann", "bob", "zoe"]),
                    st.sampled_from(["tea", "jam", "rye"]),
                    st.integers(1, 9).map(float),
                ),
                min_size=1,
                max_size=6,
            )
        )
        def check(later):
            pairs, table = histories(values, duplicates, later)
            assert pairs == merged(values, duplicates, later)
            assert not set(zip(table["user"], table["item"], strict=True)) & set(pairs)

        check()

    @pytest.mark.parametrize("values", ROLES)
    def test_as_a_fit_to_all_events(self, values):
        later = [("bob", "tea", 8.0), ("ann", "rye", 7.0), ("bob", "tea", 9.0)]
        pairs, _ = histories(values, "auto", later)
        encoder, users = fitted(values)[0], ["ann", "bob"]
        coo = encoder.transform(for_values(values, [*EVENTS, *later]), users=users).tocoo()
        cells = zip(coo.row, coo.col, coo.data, strict=True)
        assert pairs == {(users[row], str(encoder.items_[column])): v for row, column, v in cells}

    def test_returns_cannot_be_set_off(self):
        encoder, model = fitted("weight")
        encoder.returns = "net"
        with pytest.raises(ValueError, match='returns of 1 users.*ann.*history="replace"'):
            recommend_batches(model, encoder, [("ann", "tea", -2.0)])
        assert next(recommend_batches(model, encoder, EVENTS[:1]))
        assert next(recommend_batches(model, encoder, [("zoe", "tea", 1.0)]))
        assert next(recommend_batches(model, encoder, users=["zoe"], unknown_users="popular"))

    def test_users_without_new_events_have_their_history(self):
        encoder, model = fitted()
        (table,) = recommend_batches(
            model, encoder, [("zoe", "tea")], users=["eve", "new", "zoe"], k=4
        )
        lists = {
            user: {i for u, i in zip(table["user"], table["item"], strict=True) if u == user}
            for user in ("eve", "new", "zoe")
        }
        assert lists == {
            "eve": {"tea", "rye"},
            "new": {"tea", "jam", "rye", "oat"},
            "zoe": {"jam", "rye", "oat"},
        }

    def test_nothing_new_gives_the_lists_of_fit(self):
        encoder, model = fitted("time")
        users = encoder.users_.tolist()
        (expected,) = recommend_batches(model, encoder, k=4)
        (same,) = recommend_batches(model, encoder, EVENTS[:1], users=users, k=4)
        for name, column in expected.items():
            assert column.tolist() == same[name].tolist()

    def test_batches_equal_one_call(self):
        rng = np.random.default_rng(0)
        events = pd.DataFrame(
            {"user": rng.integers(0, 300, 3000), "item": rng.integers(0, 40, 3000)}
        )
        later = pd.DataFrame({"user": rng.integers(0, 400, 900), "item": rng.integers(0, 40, 900)})
        encoder, model = fitted(events=events)
        (whole,) = recommend_batches(model, encoder, later, k=3)
        parts = pd.concat(recommend_batches(model, encoder, later, k=3, batch_size=37))
        pd.testing.assert_frame_equal(whole, parts.reset_index(drop=True))
        both = pd.concat([events, later])
        own = both[both["user"].isin(later["user"])]
        assert not whole.merge(own, on=["user", "item"]).size

    def test_replace(self):
        pairs, table = histories("weight", "auto", [("ann", "rye", 9.0)], history="replace")
        assert pairs == {("ann", "rye"): 9.0}
        assert set(table["item"]) == {"tea", "jam", "oat"}

    def test_places_in_an_order_continue(self):
        encoder = InteractionEncoder(timestamp="t", duplicates="last").fit(EVENTS)
        encoder.set_params(timestamp=None)
        rows = sp.csr_array([[1.0, 2, 0], [0, 0, 5]])
        new = sp.csr_array([[1.0, 0, 2], [1, 0, 0]])
        found = extended_rows(encoder, rows, np.array([0, -1]), new, "time")
        assert found.toarray().tolist() == [[3, 2, 4], [1, 0, 0]]


class TestRefused:
    @pytest.mark.parametrize(("values", "duplicates"), [("weight", "mean"), ("time", "error")])
    def test_pairs_that_cannot_be_merged(self, values, duplicates):
        encoder, model = fitted(values, duplicates=duplicates)
        (table,) = recommend_batches(model, encoder, [("ann", "rye", 2.0)], k=2)
        assert table["item"].tolist() == ["oat"]
        with pytest.raises(ValueError, match="repeats user 'ann' and item 'jam'.*replace"):
            recommend_batches(model, encoder, [("ann", "jam", 2.0)])
        assert next(recommend_batches(model, encoder, [("ann", "jam", 2.0)], history="replace"))

    def test_the_mean_of_what_the_model_does_not_read(self):
        encoder = InteractionEncoder(weight="w", duplicates="mean")
        model = PopularityRecommender().fit(encoder.fit_transform(EVENTS))
        (table,) = recommend_batches(model, encoder, [("ann", "jam", 2.0)])
        assert set(table["item"]) == {"rye", "oat"}

    def test_a_model_without_rows(self):
        encoder, model = fitted()
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder, "model"), include_data=False)
            model = EASERecommender.load(Path(folder, "model"))
        for call in (dict(X=PAIRS[:1]), dict(users=["zoe", "ann"], unknown_users="popular")):
            with pytest.raises(ValueError, match='it holds none.*history="replace"'):
                recommend_batches(model, encoder, **call)
        assert next(recommend_batches(model, encoder, PAIRS, history="replace"))
        assert next(recommend_batches(model, encoder, users=["zoe"], unknown_users="popular"))
        assert next(recommend_batches(model, encoder, [("zoe", "tea")]))["user"].tolist()

    @pytest.mark.parametrize("name", ["history", "unknown_users", "unknown_names"])
    def test_words(self, name):
        encoder, model = fitted()
        with pytest.raises(ValueError, match=f"{name} must be.*, got 'other'"):
            recommend_batches(model, encoder, **{name: "other"})


class TestUnknownUsers:
    def test_popular(self):
        encoder, model = fitted(model=PopularityRecommender())
        (table,) = recommend_batches(
            model, encoder, users=["zoe", "ann", "zoe"], unknown_users="popular", k=2
        )
        assert table["user"].tolist() == ["zoe", "zoe", "ann", "ann", "zoe", "zoe"]
        assert table["item"].tolist() == ["jam", "tea", "oat", "rye", "jam", "tea"]
        with pytest.raises(ValueError, match="1 users are unknown, such as 'zoe'"):
            recommend_batches(model, encoder, users=["zoe", "ann"])

    def test_one_name(self):
        encoder, model = fitted()
        for unknown_users in ("error", "popular"):
            (table,) = recommend_batches(model, encoder, users="ann", unknown_users=unknown_users)
            assert set(table["user"]) == {"ann"} and set(table["item"]) == {"rye", "oat"}


class TestWhoHasWhat:
    """Nobody is listed what they have, without a word."""

    EVENTS = [("a", "x"), ("a", "y"), ("b", "x"), ("c", "y"), ("c", "z")]

    def fitted(self, events=EVENTS, **parameters):
        return TableRecommender(PopularityRecommender(), InteractionEncoder(**parameters)).fit(
            events
        )

    def test_replaced_by_nothing(self):
        model = self.fitted()
        new = [("b", "z")]
        assert model.recommend(["b"], X=new, history="replace")["item"].tolist() == ["x", "y"]
        with pytest.raises(ValueError, match="all events of everybody.*none of 1 users.*'a'"):
            model.recommend(["a", "b"], X=new, history="replace")
        found = model.recommend(["a", "b"], k=1, X=new, history="replace", unknown_users="popular")
        assert found["item"].tolist() == ["x", "x"]
        assert model.recommend(["a", "b"], X=new)["item"].tolist() == ["z", "y"]

    def test_users_whom_fit_left_out(self):
        model = self.fitted([*self.EVENTS, ("a", "z")], min_user_interactions=2)
        for ask in (
            lambda: model.recommend("b", X=[("b", "z")]),
            lambda: model.recommend("b", unknown_users="popular"),
        ):
            with pytest.warns(UserWarning, match="1 users were left out by fit.*'b'.*replace"):
                ask()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            whole = [("b", "z"), ("b", "x")]
            found = model.recommend("b", X=whole, history="replace")
            assert found["item"].tolist() == ["y"]

    def test_net_quantities_without_returns_are_added(self):
        events = [("a", "x", 2), ("a", "y", 1), ("a", "y", -1), ("b", "y", 1), ("b", "z", 1)]
        model = self.fitted(events, weight=2, user=0, item=1, returns="net")
        assert model.recommend("a", X=[("a", "z", 1)])["item"].tolist() == ["y"]
        assert model.recommend("a", X=[])["item"].tolist() == ["y", "z"]
        with pytest.raises(ValueError, match="X has returns of 1 users.*'a'.*replace"):
            model.recommend("a", X=[("a", "x", -1), ("a", "z", 2)])

    @pytest.mark.parametrize("unknown_names", ["error", "ignore"])
    def test_rules_of_another_type(self, unknown_names):
        model = self.fitted([("01", "10"), ("01", "11"), ("02", "12")])
        for rules in (
            dict(filter_items=[12, 11]),
            dict(items=[12]),
            dict(blocked=pd.DataFrame({"user": [1], "item": ["12"]})),
            dict(allowed=pd.DataFrame({"user": ["01"], "item": [12]})),
        ):
            with pytest.raises(ValueError, match="holds numbers, but the ids of fit are text"):
                model.recommend(unknown_names=unknown_names, **rules)


def test_times_of_another_kind():
    zoned = pd.DataFrame(
        {"user": ["a"], "item": ["x"], "when": pd.to_datetime(["2024-07-01 10:00"])}
    )
    zoned["when"] = zoned["when"].dt.tz_localize("Europe/Berlin")
    naive = zoned.assign(when=zoned["when"].dt.tz_localize(None))
    seconds = zoned.assign(when=[1.7e9])
    objects = naive.assign(when=[naive["when"][0].to_pydatetime()]).astype({"when": object})
    tables = {"with": zoned, "without": naive, "numbers": seconds, "objects": objects}
    alike = {("without", "objects"), ("objects", "without")}
    for known, table in tables.items():
        encoder = InteractionEncoder(timestamp="when").fit(table)
        for found, other in tables.items():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                encoder.transform(other)
            expected = known != found and (known, found) not in alike
            assert [str(w.message)[:20] for w in caught] == ["Column 'when' holds "] * expected
