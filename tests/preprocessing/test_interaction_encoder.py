"""InteractionEncoder: tables of every library, ids of every kind, look-ups."""

import copy
import csv
import datetime as dt
import pickle
from collections import namedtuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from encoder_tables import BACK, EVENTS, FORMS, IDS, ROLES, as_dict, properties, table
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, _ids, _lookup, recommend_batches

Sale = namedtuple("Sale", ["sku", "customer"])


class TestTables:
    @pytest.mark.parametrize("form", FORMS)
    def test_every_form_gives_the_same_matrix(self, form):
        encoder = InteractionEncoder(**ROLES)
        X = encoder.fit_transform(table(form))
        assert encoder.users_.tolist() == ["ann", "bob", "eve"]
        assert encoder.items_.tolist() == ["jam", "rye", "tea"]
        assert_array_equal(X.toarray(), [[20, 0, 10], [10, 0, 0], [0, 50, 0]])
        assert X.format == "csr" and X.dtype == np.float64 and encoder.values_ == "time"
        assert encoder.users_.dtype == encoder.items_.dtype == object

    @pytest.mark.parametrize("form", FORMS)
    def test_lists_come_back_in_the_library_that_went_in(self, form):
        encoder = InteractionEncoder(**ROLES).fit(table(form))
        found = encoder.inverse_transform(
            [[2, 0], [1, -1]], np.float32([[9, 8], [7, -np.inf]]), users=["bob", "zoe"]
        )
        library = form.partition("-")[0]
        assert type(found).__module__.partition(".")[0] == (
            library if library in BACK else "builtins"
        )
        assert as_dict(found) == {
            "user": ["bob", "bob", "zoe"],
            "rank": [1, 2, 1],
            "item": ["tea", "jam", "rye"],
            "score": [9, 8, 7],
        }

    @pytest.mark.parametrize("form", FORMS)
    def test_the_matrix_goes_back_to_events(self, form):
        encoder = InteractionEncoder(**ROLES, values="weight", duplicates="max")
        found = as_dict(encoder.inverse_transform(encoder.fit_transform(table(form))))
        assert set(zip(*found.values(), strict=True)) == {
            ("ann", "tea", 4.0),
            ("ann", "jam", 2.0),
            ("bob", "jam", 5.0),
            ("eve", "rye", 3.0),
        }
        assert list(found) == ["user", "item", "weight"]

    def test_columns_by_other_names_and_by_position(self):
        frame = pd.DataFrame(EVENTS, columns=["who", "what", "stars", "when"])
        named = InteractionEncoder(user="who", item="what", weight="stars")
        placed = InteractionEncoder(user=0, item=1, weight=2)
        assert_array_equal(
            named.fit_transform(frame).toarray(), placed.fit_transform(EVENTS).toarray()
        )
        assert_array_equal(
            named.fit_transform(frame).toarray(), placed.fit_transform(frame).toarray()
        )
        assert list(named.inverse_transform([[0]], users=["ann"])) == ["who", "rank", "what"]
        swapped = InteractionEncoder(user=1, item=0).fit(EVENTS)
        assert swapped.users_.tolist() == ["jam", "rye", "tea"]

    def test_a_2d_array_of_numbers(self):
        encoder = InteractionEncoder(weight="weight")
        X = encoder.fit_transform(np.array([[7, 3, 2], [5, 3, 1]]))
        assert encoder.users_.tolist() == [5, 7] and X.toarray().tolist() == [[1], [2]]

    def test_rows_with_names(self):
        rows = list(csv.DictReader(["item,user,stars", "tea,ann,4", "jam,bob,5"]))
        encoder = InteractionEncoder().fit(rows)
        assert encoder.users_.tolist() == ["ann", "bob"] and encoder.items_.tolist() == [
            "jam",
            "tea",
        ]
        named = InteractionEncoder(user="customer", item="sku").fit([Sale("tea", "ann")])
        assert named.users_.tolist() == ["ann"] and named.items_.tolist() == ["tea"]
        placed = InteractionEncoder(user=1, item=0).fit([Sale("tea", "ann")])
        assert placed.users_.tolist() == ["ann"] and placed.items_.tolist() == ["tea"]
        shuffled = [{"user": "ann", "item": "tea"}, {"item": "jam", "user": "bob", "more": 1}]
        assert InteractionEncoder().fit(shuffled).users_.tolist() == ["ann", "bob"]
        with pytest.raises(TypeError, match="'stars' must hold numbers"):
            InteractionEncoder(weight="stars").fit(rows)

    def test_other_columns_do_not_matter(self):
        frame = pd.DataFrame({"x": [[1]] * 5, **table("dict")})
        assert InteractionEncoder().fit(frame).n_users_ == 3

    @pytest.mark.parametrize(
        ("X", "error", "says"),
        [
            (pd.DataFrame({"userId": [1], "item": [2]}), ValueError, "no column 'user'.*'userId'"),
            ([(1, 2), (1,)], TypeError, "same length"),
            ([(1,), (2,)], ValueError, "1 columns, but 2"),
            (np.arange(3), ValueError, "shape"),
            ({"user": [1, 2], "item": [1]}, ValueError, "differ in length"),
            (3, TypeError, "Give a pandas"),
            (["ann,tea", "bob,jam"], TypeError, "A row of X is str, 'ann,tea'"),
            ([{"ann", "tea"}], TypeError, "A row of X is set"),
            (iter([("ann", "tea")]), TypeError, r"read only once. Give a list .* list\(rows\)"),
            (csv.DictReader(["user,item", "a,x"]), TypeError, "X is DictReader, which can be read"),
            ([{"user": 1, "sku": 2}], ValueError, "no column 'item'.*'sku'"),
            ([{"user": 1, "item": 2}, {"user": 1}], ValueError, "Row 1 of X has no 'item'"),
            (
                [{"user": 1, "item": 2}, (3, 4)],
                TypeError,
                "Row 1 of X is tuple, but row 0 is a dict",
            ),
            ([Sale(1, 2)], ValueError, "no column 'user'.*'sku'"),
            ([], ValueError, "nothing is left"),
            (pd.DataFrame({"user": [], "item": []}), ValueError, "nothing is left"),
        ],
    )
    def test_bad_tables(self, X, error, says):
        with pytest.raises(error, match=says):
            InteractionEncoder().fit(X)


FRAMES = {
    "tuples": lambda users: [(u, "x") for u in users],
    "pandas": lambda users: pd.DataFrame({"user": pd.Series(users), "item": "x"}),
    "polars": lambda users: pl.DataFrame(
        {"user": pl.Series(users, dtype=pl.Object), "item": ["x"] * len(users)}
    ),
}


def as_kept(users):
    """A zone is not kept: date times are in UTC."""
    if isinstance(users[0], dt.datetime):
        return [np.datetime64(user.replace(tzinfo=None)) for user in users]
    return users


class TestLookUps:
    @settings(max_examples=25, deadline=None)
    @given(
        ids=st.sets(st.text(alphabet="abé ", max_size=45), min_size=1, max_size=30),
        length=st.sampled_from([0, 8, 40]),
        data=st.data(),
    )
    def test_any_part_of_texts_of_any_length(self, ids, length, data):
        """NumPy's own search goes wrong in text of over 15 bytes, but not where all is asked."""
        known = ["x" * length + text for text in sorted(ids)]
        asked = data.draw(st.lists(st.sampled_from([*known, "no", "y" * 50]), min_size=1))
        encoder = InteractionEncoder().fit(pd.DataFrame({"user": known, "item": known}))
        expected = [known.index(text) if text in known else -1 for text in asked]
        for form in (list, np.array, lambda a: np.array(a, np.dtypes.StringDType()), pd.Series):
            assert_array_equal(encoder.user_index(form(asked), unknown=-1), expected)
            assert_array_equal(encoder.item_index(form(asked), unknown=-1), expected)

    @pytest.mark.parametrize("text", [True, False])
    def test_look_ups_after_the_first_make_no_index(self, text, monkeypatch):
        users = [f"c{k}" if text else (k, "c") for k in range(50)]
        events = [(user, f"i{k % 9}") for k, user in enumerate(users)]
        encoder = InteractionEncoder(unknown_users="error")
        model = PopularityRecommender().fit(encoder.fit_transform(events))
        sizes, found = [], _lookup.id_index
        monkeypatch.setattr(_lookup, "id_index", lambda ids: sizes.append(len(ids)) or found(ids))
        for _ in range(3):
            assert encoder.user_index([users[7]]) == [encoder.users_.tolist().index(users[7])]
            assert encoder.item_index("i3") == 3
            next(recommend_batches(model, encoder, users=[users[7]], filter_items=["i3"], k=2))
            next(recommend_batches(model, encoder, [(users[7], "i3")], k=2))
        assert sorted(sizes) == [0, 0, 9, 50]  # those left out, items_ and users_

    def test_the_index_is_that_of_the_last_fit_and_is_not_stored(self):
        encoder = InteractionEncoder().fit([("a", "x"), ("b", "y")])
        before = pickle.dumps(encoder)
        assert encoder.user_index("b") == 1 and encoder.item_index("y") == 1
        assert pickle.dumps(encoder) == before
        for copy_of in (copy.copy, lambda encoder: pickle.loads(pickle.dumps(encoder))):
            other = copy_of(encoder).fit([("b", "y")])
            assert other.user_index("b") == 0 and other.user_index("a", unknown=-1) == -1
            assert encoder.user_index("b") == 1
        encoder.fit([("b", "y"), ("c", "x")])
        assert_array_equal(encoder.user_index(["a", "b", "c"], unknown=-1), [-1, 0, 1])
        assert_array_equal(encoder.item_index(["x", "y"]), [0, 1])

    @pytest.mark.parametrize("length", [4, 30])
    def test_parts_of_a_table_keep_their_events(self, length):
        rng = np.random.default_rng(0)
        users, items = (rng.integers(n, size=2_000) for n in (200, 90))
        events = pd.DataFrame(
            {"user": [f"{u:0{length}d}" for u in users], "item": [f"{i:0{length}d}" for i in items]}
        )
        encoder = InteractionEncoder(unknown_items="ignore").fit(events)
        part = events.sample(150, random_state=0)
        X = encoder.transform(part, users=encoder.users_)
        assert X.nnz == len(part.drop_duplicates())
        back = encoder.inverse_transform(X)
        assert set(zip(back["user"], back["item"], strict=True)) == set(
            part.itertuples(index=False, name=None)
        )


class TestIds:
    @pytest.mark.parametrize("kind", IDS)
    @pytest.mark.parametrize("form", FRAMES)
    def test_any_hashable_type(self, kind, form):
        if kind == "surrogate" and form != "tuples":
            pytest.skip("frames hold text that is UTF-8")
        users = IDS[kind]
        encoder = InteractionEncoder().fit(FRAMES[form](users))
        assert encoder.n_users_ == len(set(users))
        rows = encoder.user_index(users)
        assert [encoder.users_[row] for row in rows] == as_kept(users)
        assert_array_equal(encoder.user_index(["no one", ("no", 1)], unknown=-1), [-1, -1])
        back = encoder.inverse_transform([[0]] * len(users), users=users)["user"]
        assert list(back) == (as_kept(users) if form == "tuples" else list(back))
        assert len(back) == len(users)
        assert_array_equal(pickle.loads(pickle.dumps(encoder)).user_index(users), rows)

    @pytest.mark.parametrize("kind", sorted(set(IDS) - {"mixed", "frozensets", "bools"}))
    def test_ascending_so_that_the_order_of_rows_does_not_matter(self, kind):
        events = [(u, "x") for u in IDS[kind]]
        one = InteractionEncoder().fit(events).users_
        other = InteractionEncoder().fit(events[::-1]).users_
        assert one.tolist() == other.tolist() == sorted(one.tolist())

    def test_numbers_keep_their_type_and_text_is_compact(self):
        frame = pd.DataFrame({"user": np.int16([5, 3]), "item": np.float32([0.5, 0.25])})
        encoder = InteractionEncoder().fit(frame)
        assert encoder.users_.dtype == np.int16 and encoder.items_.dtype == np.float32
        names = [f"user-{n:09d}" for n in range(1000)]
        assert InteractionEncoder().fit([(n, 1) for n in names])._users.nbytes == 16_000

    def test_categories(self):
        for categories in (["b", "a", "unused"], [2, 1, 0], ["x", 1, 0.5]):
            column = pd.Series(pd.Categorical(categories[:2], categories=categories))
            encoder = InteractionEncoder().fit({"user": column, "item": [1, 1]})
            assert set(encoder.users_.tolist()) == set(categories[:2])
            assert encoder.user_index(categories[::-1], unknown=-1)[0] == -1

    def test_one_and_true_are_one_as_in_python(self):
        assert InteractionEncoder().fit([(1, "x"), (True, "x"), (1.0, "x")]).n_users_ == 1

    @pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
    @pytest.mark.parametrize("form", ["tuples", "pandas"])
    def test_missing_ids(self, missing, form):
        with pytest.raises(ValueError, match="'user': 1 id missing, in row 1"):
            InteractionEncoder().fit(FRAMES[form](["a", missing, "b"]))

    @pytest.mark.parametrize(
        "column",
        [
            pd.Series([1, np.nan]),
            pd.Series([1, None], dtype="Int64"),
            pd.Series(["a", None], dtype="category"),
            pl.Series([1, None]),
            pl.Series([1.0, float("nan")]),
            pl.Series(["a", None]),
            pa.chunked_array([["a"], [None]]),
            np.array(["2020-01-01", "NaT"], "M8[s]"),
        ],
    )
    def test_missing_ids_of_columns(self, column):
        with pytest.raises(ValueError, match="'item': 1 id missing, in row 1"):
            InteractionEncoder().fit({"user": [1, 2], "item": column})

    def test_ids_that_cannot_be_hashed(self):
        with pytest.raises(TypeError, match="'item' holds an id that cannot be hashed"):
            InteractionEncoder().fit([("a", [1]), ("b", [2])])

    @properties
    @given(
        st.lists(
            st.one_of(
                st.text(max_size=20),
                st.integers(-(2**70), 2**70),
                st.tuples(st.integers(0, 3), st.text(max_size=2)),
                st.booleans(),
            ),
            min_size=1,
            max_size=30,
        )
    )
    def test_round_trip_of_mixed_ids(self, ids):
        column = np.fromiter(ids, object)
        codes, distinct = _ids.factorize(column, "user")
        assert [distinct[c] for c in codes] == ids
        assert_array_equal(_ids.positions(distinct, column), codes)

    @properties
    @given(st.lists(st.text(max_size=20), min_size=1, max_size=30))
    def test_round_trip_of_text_in_every_library(self, ids):
        _, expected = np.unique(np.array(ids, object), return_inverse=True)
        for make in (pd.Series, pl.Series, pa.array, list):
            frame = {"user": make(ids), "item": ids}
            encoder = InteractionEncoder()
            X, users = encoder.fit(frame).transform(frame, return_users=True)
            assert_array_equal(encoder.user_index(ids), expected)
            assert users.tolist() == sorted(set(ids))

    @pytest.mark.parametrize("absent", ["pyarrow", "pandas", "both"])
    @pytest.mark.parametrize("form", ["pandas", "polars", "pandas-category", "dict-numpy"])
    def test_the_same_without_the_fast_way(self, form, absent, monkeypatch):
        expected = InteractionEncoder().fit_transform(table(form)).toarray()
        found = _ids._import
        monkeypatch.setattr(
            _ids, "_import", lambda name: None if absent in (name, "both") else found(name)
        )
        if absent == "both" and form.startswith("pandas"):
            pytest.skip("a pandas column comes with pandas")
        assert_array_equal(InteractionEncoder().fit_transform(table(form)).toarray(), expected)

    @properties
    @given(st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=20), st.data())
    def test_integers_far_apart_and_close(self, ids, data):
        kinds = [np.int8, np.int32, np.int64, np.uint8, np.uint64]
        info = np.iinfo(data.draw(st.sampled_from(kinds)))
        column = np.array([i % (info.max + 1) for i in ids], info.dtype)
        codes, distinct = _ids.factorize(column, "user")
        assert_array_equal(distinct, np.unique(column))
        assert distinct.dtype == column.dtype
        assert_array_equal(distinct[codes], column)
