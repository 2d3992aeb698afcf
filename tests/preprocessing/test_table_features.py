"""Tables of features of users and items beside tables of events, told whose by their ids."""

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import sklearn
from conftest import tiny_cfg
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.fixes import parse_version

from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer
from skdiffrec.persistence import PersistenceError
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender, recommend_batches

N_USERS, N_ITEMS = 60, 30
LIBRARIES = pd.DataFrame, pl.DataFrame, pa.table
OLD = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.7"),
    reason="transformers of scikit-learn read tables of pyarrow from 1.7 on",
)
TRANSFORMED = pd.DataFrame, pl.DataFrame, pytest.param(pa.table, marks=OLD)
USERS = np.array([f"u{i:02}" for i in range(N_USERS)], object)
ITEMS = np.array([f"i{i:02}" for i in range(N_ITEMS)], object)
GENRES = ["genre=folk", "genre=noir"]
WANTED = {"wanted": {"genre=noir": 1}, "guidance_scale": {"wanted": 1e3}}


def encode():
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["town"]), (StandardScaler(), ["age"])
    )


@pytest.fixture(name="events", scope="module")
def events_fixture():
    """Of users u00 to u59 and items i00 to i29."""
    data = make_interactions(N_USERS, N_ITEMS, n_interactions_per_user=8, random_state=2)
    user, item = data.train.nonzero()
    assert len(set(user)) == N_USERS and len(set(item)) == N_ITEMS
    return {"customer": USERS[user].tolist(), "thing": ITEMS[item].tolist()}


@pytest.fixture(name="people", scope="module")
def people_fixture():
    """Features of most users and of one who has no events, in no order."""
    order = np.random.default_rng(0).permutation(N_USERS)[:50]
    names = ["stranger", *USERS[order].tolist()]
    town = ["ulm", *np.array(["ulm", "graz", "bern"], object)[order % 3].tolist()]
    return {
        "age": [99.0, *(20.0 + order).tolist()],
        "customer": names,
        "plan": [7, *(order % 2).tolist()],
        "town": town,
    }


@pytest.fixture(name="shelf", scope="module")
def shelf_fixture():
    """Features of all items but the last, in no order."""
    order = np.random.default_rng(1).permutation(N_ITEMS - 1)
    genres = {name: (order % 3 == i).tolist() for i, name in enumerate(GENRES)}
    return {"thing": ITEMS[order].tolist()} | genres


def numbers_of(people):
    return {name: people[name] for name in ("age", "customer", "plan")}


def by_user(people):
    """(age, plan) of each user of the matrix, zeros where nothing is known."""
    known = dict(
        zip(people["customer"], zip(people["age"], people["plan"], strict=True), strict=True)
    )
    return np.array([known.get(user, (0, 0)) for user in USERS])


def table_recommender(recommender=None, **options):
    encoder = InteractionEncoder(user="customer", item="thing", unknown_items="ignore")
    return TableRecommender(recommender or tiny_cfg(max_epochs=2), encoder, **options)


@pytest.fixture(name="fitted", scope="module")
def fitted_fixture(events, people, shelf):
    features = {"user_features": pd.DataFrame(people), "item_features": pd.DataFrame(shelf)}
    model = table_recommender(user_transformer=encode())
    return model.fit(pd.DataFrame(events), **features)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_fit_reads_them_in_the_order_of_users(library, events, people):
    model = table_recommender()
    model.fit(library(events), user_features=library(numbers_of(people)))
    X = model.encoder_.transform(library(events))
    expected = tiny_cfg(max_epochs=2).fit(X, user_features=by_user(people))
    found = model.recommender_
    assert_array_equal(found._fit_user_features.toarray(), by_user(people))
    assert_array_equal(found.recommend()[1], expected.recommend()[1])
    assert found.user_feature_names_in_.tolist() == ["age", "plan"]


@pytest.mark.parametrize("library", TRANSFORMED)
def test_a_transformer_makes_numbers_of_the_users_of_fit(library, events, people):
    model = table_recommender(user_transformer=encode())
    model.fit(library(events), user_features=library(people))
    known = pd.DataFrame(people).iloc[1:]  # not the stranger
    rows = encode().fit_transform(known)
    expected = np.zeros((N_USERS, 4))
    expected[[int(name[1:]) for name in known["customer"]]] = rows
    found = model.recommender_._fit_user_features.toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    one_hot = model.user_transformer_.named_transformers_["onehotencoder"]
    assert one_hot.categories_[0].tolist() == ["bern", "graz", "ulm"]
    assert not hasattr(model.user_transformer, "transformers_")


class TestLists:
    """Users in the order asked for, of whom the table knows some, or nobody."""

    asked = ["u07", "zoe", "u03", "u07"]

    def expected(self, fitted, U):
        rows = fitted.recommender_._fit_X
        X = sp.vstack([rows[[7]], 0 * rows[[0]], rows[[3]], rows[[7]]], format="csr")
        return fitted.recommender_.recommend(X=X, user_features=U, k=5)[1].ravel()

    @pytest.mark.parametrize("library", TRANSFORMED)
    @pytest.mark.parametrize("batch_size", [2, 10])
    def test_of_a_table(self, library, batch_size, fitted):
        given = pd.DataFrame({"town": ["graz", "oslo"], "customer": ["zoe", "u07"], "age": [30, 9]})
        rows = fitted.user_transformer_.transform(given)
        U = np.stack([rows[1], rows[0], np.zeros(4), rows[1]])
        options = {"users": self.asked, "k": 5, "batch_size": batch_size}
        table = library(given.to_dict("list"))
        parts = fitted.recommend_batches(user_features=table, unknown_users="popular", **options)
        scores = np.concatenate([part["score"] for part in parts])
        np.testing.assert_allclose(scores, self.expected(fitted, U), rtol=1e-4, atol=1e-4)

    def test_of_those_of_fit(self, fitted):
        known = fitted.recommender_._fit_user_features
        U = np.stack([known[[7]].toarray()[0], np.zeros(4), *known[[3, 7]].toarray()])
        for nothing in ({}, {"user_features": None}):
            table = fitted.recommend(self.asked, 5, unknown_users="popular", **nothing)
            np.testing.assert_allclose(table["score"], self.expected(fitted, U), atol=1e-4)

    @pytest.mark.parametrize("age", [30, np.nan])
    def test_of_a_table_that_knows_nobody(self, age, fitted):
        """What it holds of others is of no effect, but may be a mistake."""
        given = pd.DataFrame({"town": ["graz"], "customer": ["other"], "age": [age]})
        with pytest.warns(UserWarning, match="no row of anybody asked for.*'other'.*'u07'"):
            table = fitted.recommend(self.asked, 5, unknown_users="popular", user_features=given)
        expected = self.expected(fitted, np.zeros((4, 4)))
        np.testing.assert_allclose(table["score"], expected, atol=1e-4)

    def test_of_a_matrix_in_the_order_of_users(self, fitted):
        U = np.arange(16.0).reshape(4, 4)
        table = fitted.recommend(self.asked, 5, unknown_users="popular", user_features=U)
        np.testing.assert_allclose(table["score"], self.expected(fitted, U), rtol=1e-4, atol=1e-4)

    def test_of_an_encoder_and_a_model_that_stand_alone(self, events, people):
        encoder = InteractionEncoder(user="customer", item="thing")
        X = encoder.fit_transform(pd.DataFrame(events))
        model = tiny_cfg(max_epochs=2).fit(X, user_features=by_user(people))
        given = pd.DataFrame({"customer": ["u09", "u04"], "age": [60, 61], "plan": [0, 1]})
        options = {"users": ["u04", "u05", "u09"], "k": 3}
        (found,) = recommend_batches(model, encoder, user_features=given, **options)
        U = np.array([[61, 1], [0, 0], [60, 0]])
        (expected,) = recommend_batches(model, encoder, user_features=U, **options)
        pd.testing.assert_frame_equal(found, expected)
        in_order = pd.DataFrame(U, columns=["age", "plan"])
        (found,) = recommend_batches(model, encoder, user_features=in_order, **options)
        pd.testing.assert_frame_equal(found, expected)


def test_a_score_knows_them(fitted, events, people):
    X, users = fitted.encoder_.transform(pd.DataFrame(events), return_users=True)
    U = fitted.recommender_._fit_user_features
    assert_array_equal(users, USERS)
    found = fitted.score(pd.DataFrame(events), user_features=pd.DataFrame(people))
    assert found == fitted.recommender_.score(X, user_features=U)
    before = pd.DataFrame(events).iloc[::2]
    later = pd.DataFrame(events).iloc[1::2]
    found = fitted.score(before, later, user_features=pd.DataFrame(people))
    history, users = fitted.encoder_.transform(before, return_users=True)
    holdout = fitted.encoder_.transform(later, users=users)
    rows = U[[int(user[1:]) for user in users]]
    assert found == fitted.recommender_.score(history, holdout, user_features=rows)
    with pytest.warns(UserWarning, match="evaluated without"):
        assert found != fitted.score(before, later)


def test_a_scorer_reads_them_by_id(fitted, events, people):
    frame, given = pd.DataFrame(events), pd.DataFrame(people)
    X = fitted.encoder_.transform(frame)
    U = fitted.recommender_._fit_user_features
    scorer = RankingScorer(["recall@5", "ndcg"])
    for model in (fitted, FrozenEstimator(fitted)):
        found = scorer(model, frame, user_features=given)
        assert found == scorer(fitted.recommender_, X, user_features=U)
        assert found == scorer(model, frame, user_features=U)
    assert found["ndcg@10"] == fitted.score(frame, user_features=given)


class TestItems:
    @pytest.mark.parametrize("library", LIBRARIES)
    def test_wanted_names_their_columns(self, library, events, shelf):
        model = table_recommender(tiny_cfg(max_epochs=1))
        model.fit(library(events), item_features=library(shelf))
        noir = {item for item, has in zip(shelf["thing"], shelf[GENRES[1]], strict=True) if has}
        listed = model.recommend(["u03"], k=3, **WANTED)["thing"]
        assert set(map(str, listed)) <= noir
        features = model.recommender_._model.item_features.toarray()
        assert_array_equal(features[:, 1], [item in noir for item in ITEMS])
        assert model.recommender.item_features is None

    def test_wanted_by_user(self, fitted, shelf):
        wanted = pd.DataFrame({"customer": ["u03"], GENRES[0]: [0], GENRES[1]: [1]})
        options = {"guidance_scale": {"wanted": 1e3}, "k": 3}
        found = fitted.recommend(["u07", "u03"], wanted=wanted, **options)
        expected = fitted.recommend(["u03"], k=3, **WANTED)
        assert found["thing"].tolist()[3:] == expected["thing"].tolist()
        alone = fitted.recommend(["u07"], k=3)
        assert found["thing"].tolist()[:3] == alone["thing"].tolist()

    def test_a_search_and_its_model(self, events, people, shelf):
        search = GuidanceScaleCV(tiny_cfg(max_epochs=1), scales=[0.5, 1.0], cv=2)
        model = table_recommender(search)
        given = pd.DataFrame(numbers_of(people)), pd.DataFrame(shelf)
        model.fit(pd.DataFrame(events), user_features=given[0], item_features=given[1])
        best = model.recommender_.best_estimator_
        assert best.n_user_features_in_ == 2 and list(best.item_features) == GENRES
        assert len(model.recommend(["u03"], k=3, **WANTED)) == 3


def test_metadata_routing_passes_them_whole(events, people):
    frame, given = pd.DataFrame(events), pd.DataFrame(people)
    folds = list(GroupKFold(2).split(frame, groups=frame["customer"]))
    with config_context(enable_metadata_routing=True):
        model = table_recommender(user_transformer=encode())
        model.set_fit_request(user_features=True).set_score_request(user_features=True)
        params = {"user_features": given}
        found = cross_validate(model, frame, cv=folds, params=params, return_estimator=True)
        scorer = RankingScorer("ndcg").set_score_request(user_features=True)
        options = {"cv": folds, "params": params, "scoring": scorer}
        of_scorer = cross_validate(model, frame, **options)["test_score"]
    scores = found["test_score"]
    assert_array_equal(scores, of_scorer)
    for fitted, (_, test), score in zip(found["estimator"], folds, scores, strict=True):
        assert fitted.recommender_.n_user_features_in_ == 4
        assert score == fitted.score(frame.iloc[test], user_features=given)


class TestRefusals:
    """They leave a fitted model as it was."""

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda p: p.rename(columns={"customer": "user"}), "no column 'customer'.*'user'"),
            (lambda p: pd.concat([p, p[5:6]]), "'customer' of user_features holds.*more than once"),
            (lambda p: p[:0], "user_features has no row"),
            (lambda p: p[:1], "no row of anybody in X.*'stranger'.*'u00'"),
            (lambda p: p.assign(customer=None), "missing id"),
            (lambda p: p.assign(age=np.nan), "user_features holds nan in column 0 .'age'"),
            (lambda p: p.assign(plan="free"), "'free'.*user_transformer of a TableRecommender"),
            (lambda p: p.to_numpy(), "must be a DataFrame.*got ndarray"),
            (lambda p: p.to_dict("list"), "must be a DataFrame.*got dict"),
        ],
    )
    def test_tables(self, change, says, events, people):
        frame, given = pd.DataFrame(events), pd.DataFrame(numbers_of(people))
        model = table_recommender().fit(frame, user_features=given)
        before = vars(model).copy()
        with pytest.raises((TypeError, ValueError), match=says):
            model.fit(frame, user_features=change(given))
        assert vars(model) == before

    def test_of_recommenders_that_read_none(self, events, people, shelf):
        model = table_recommender(EASERecommender()).fit(pd.DataFrame(events))
        before = vars(model).copy()
        for name, table in (("user_features", people), ("item_features", shelf)):
            with pytest.raises(ValueError, match=f"{name} were given, but EASERecommender"):
                model.fit(pd.DataFrame(events), **{name: pd.DataFrame(table)})
        assert vars(model) == before

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda p: p.drop(columns="town"), "town"),
            (lambda p: p.drop(columns="customer"), "no column 'customer'"),
            (lambda p: p.assign(age="old"), "old"),
        ],
    )
    def test_later_tables(self, change, says, fitted, people):
        given = change(pd.DataFrame(people))
        with pytest.raises(ValueError, match=says):
            fitted.recommend(["u03"], user_features=given)

    def test_categories_that_are_not_known(self, events, people):
        model = table_recommender(user_transformer=OneHotEncoder())
        given = pd.DataFrame(people)[["customer", "town"]]
        model.fit(pd.DataFrame(events), user_features=given)
        with pytest.raises(ValueError, match="unknown categories.*oslo"):
            model.recommend(["u03"], user_features=given.assign(town="oslo"))
        model.recommend(["u03"], user_features=given)

    def test_columns_in_another_order(self, events, people):
        given = pd.DataFrame(numbers_of(people))
        model = table_recommender().fit(pd.DataFrame(events), user_features=given)
        with pytest.raises(ValueError, match="columns of user_features are.*'plan', 'age'"):
            model.recommend(["u03"], user_features=given[["plan", "age", "customer"]])

    def test_what_is_no_transformer(self, events):
        model = table_recommender(user_transformer=3)
        with pytest.raises(ValueError, match="'user_transformer' parameter"):
            model.fit(pd.DataFrame(events))


class TestFile:
    def test_numbers_are_saved(self, events, people, shelf, tmp_path):
        given = pd.DataFrame(numbers_of(people)), pd.DataFrame(shelf)
        model = table_recommender()
        model.fit(pd.DataFrame(events), user_features=given[0], item_features=given[1])
        model.save(tmp_path / "m")
        found = TableRecommender.load(tmp_path / "m", device="cpu")
        for options in ({}, {"user_features": given[0]}, WANTED):
            expected = model.recommend(k=3, **options)
            pd.testing.assert_frame_equal(found.recommend(k=3, **options), expected)

    def test_a_transformer_is_for_joblib(self, fitted, tmp_path):
        with pytest.raises(PersistenceError, match="user_transformer has no place.*joblib"):
            fitted.save(tmp_path / "m")
        joblib.dump(fitted, tmp_path / "j")
        found = joblib.load(tmp_path / "j").recommend(k=3)
        pd.testing.assert_frame_equal(found, fitted.recommend(k=3))
