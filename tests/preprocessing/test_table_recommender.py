"""TableRecommender: names in, names out, one file."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate

from skdiffrec import CFGDiffusionRecommender, persistence
from skdiffrec._utils import tensor_file
from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer
from skdiffrec.persistence import PersistenceError
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender, recommend_batches

EVENTS = [("ann", "tea"), ("ann", "jam"), ("bob", "jam"), ("bob", "oat"), ("eve", "rye")]


@pytest.fixture(name="events", scope="module")
def events_fixture():
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 40, 600), (rng.random(600) ** 2 * 30).astype(int)
    names = {"user": [f"u{u:02d}" for u in user], "item": [f"i{i:02d}" for i in item]}
    return pd.DataFrame(names | {"when": rng.permutation(600) + 1.0})


@pytest.fixture(name="model", scope="module")
def model_fixture(events):
    encoder = InteractionEncoder(timestamp="when")
    return TableRecommender(EASERecommender(reg=5.0, values="time"), encoder).fit(events)


def lists(table):
    pairs = {}
    for user, item in zip(table["user"], table["item"], strict=True):
        pairs.setdefault(user, []).append(item)
    return pairs


class TestRecommend:
    def test_equals_its_parts(self, model, events):
        encoder = InteractionEncoder(timestamp="when")
        X = encoder.fit_transform(events)
        alone = EASERecommender(reg=5.0, values="time").fit(X)
        (expected,) = recommend_batches(alone, encoder, k=4)
        pd.testing.assert_frame_equal(model.recommend(k=4), expected)
        batches = pd.concat(model.recommend_batches(k=4, batch_size=7), ignore_index=True)
        pd.testing.assert_frame_equal(batches, expected)
        assert model.score(events) == alone.score(X)

    def test_users(self, model):
        some = model.recommend(["u07", "u03"], k=2)
        assert some["user"].tolist() == ["u07"] * 2 + ["u03"] * 2
        pd.testing.assert_frame_equal(model.recommend("u07", k=2), some[:2])
        with pytest.raises(TypeError, match="users must be a list of ids.*X=events"):
            model.recommend(pd.DataFrame({"user": ["u07"], "item": ["i01"]}))
        with pytest.raises(ValueError, match="'zoe'.*unknown_users=.popular"):
            model.recommend(["zoe"])
        assert len(model.recommend(["zoe"], k=3, unknown_users="popular")) == 3

    def test_nobody(self, model):
        for empty in (model.recommend([]), model.recommend([], X=None, k=2)):
            assert list(empty) == ["user", "rank", "item", "score"] and not len(empty)
            assert empty.dtypes.equals(model.recommend("u01").dtypes)

    def test_events_since_fit(self, model, events):
        later = pd.DataFrame({"user": ["u01", "zoe"], "item": ["i05", "i06"], "when": 1e3})
        found = lists(model.recommend(X=later, k=30))
        own = set(events["item"][events["user"] == "u01"]) | {"i05"}
        assert set(found) == {"u01", "zoe"} and not own & set(found["u01"])
        assert "i06" not in found["zoe"]
        assert "i05" in lists(model.recommend("zoe", X=later, k=30))["zoe"]
        replaced = lists(model.recommend("u01", X=later, k=30, history="replace"))["u01"]
        assert set(replaced) == set(events["item"]) - {"i05"}

    def test_rules_by_name(self, model):
        free = lists(model.recommend(["u01", "u02"], k=1))
        blocked = pd.DataFrame({"user": ["u01"], "item": free["u01"]})
        found = lists(model.recommend(["u01", "u02"], k=30, blocked=blocked))
        assert free["u01"][0] not in found["u01"] and free["u02"][0] in found["u02"]
        gone = {"items": [*free["u02"], "gone"], "unknown_names": "ignore"}
        assert lists(model.recommend("u02", **gone)) == {"u02": free["u02"]}


class TestEstimator:
    def test_default_encoder(self):
        model = TableRecommender(PopularityRecommender()).fit(EVENTS)
        assert model.recommend("eve", k=1)["item"].tolist() == ["jam"]
        assert model.encoder is None and not hasattr(model.recommender, "n_features_in_")

    def test_copies(self, model):
        expected = model.recommend(k=3)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            pd.testing.assert_frame_equal(other.recommend(k=3), expected)
        with pytest.raises(NotFittedError):
            clone(model).recommend()

    def test_searches(self, events):
        encoder = InteractionEncoder(unknown_items="ignore")
        model = TableRecommender(EASERecommender(), encoder)
        options = {"groups": events["user"], "cv": GroupKFold(3)}
        found = cross_validate(model, events, **options)["test_score"]
        assert np.isfinite(found).all()
        grid = {"recommender__reg": [0.1, 1e4], "encoder__min_item_interactions": [1, 2]}
        search = GridSearchCV(model, grid, cv=GroupKFold(3))
        search.fit(events, groups=events["user"])
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert len(search.best_estimator_.recommend("u01", k=2)) == 2

    def test_a_scorer_evaluates_the_matrix(self, events):
        model = TableRecommender(EASERecommender(), InteractionEncoder(unknown_items="ignore"))
        folds = list(GroupKFold(3).split(events, groups=events["user"]))
        found = cross_validate(model, events, cv=folds, scoring=RankingScorer("ndcg"))["test_score"]
        for (train, test), score in zip(folds, found, strict=True):
            encoder = InteractionEncoder(unknown_items="ignore")
            fitted = EASERecommender().fit(encoder.fit_transform(events.iloc[train]))
            assert score == RankingScorer("ndcg")(fitted, encoder.transform(events.iloc[test]))

    def test_score_of_later_events(self, model, events):
        later, before = events[events["when"] > 500], events[events["when"] <= 500]
        fitted = clone(model).fit(before)
        found = fitted.score(before, later)
        X, users = fitted.encoder_.transform(before, return_users=True)
        y = fitted.encoder_.transform(later, users=users).toarray()
        y[X.toarray() > 0] = 0
        assert found == fitted.recommender_.score(X, y) and 0 < found < 1

    def test_a_failed_fit_changes_nothing(self, model):
        before = vars(model).copy()
        with pytest.raises(ValueError, match="no column"):
            model.fit(pd.DataFrame({"user": ["a"]}))
        assert vars(model) == before

    @pytest.mark.parametrize("part", ["recommender", "encoder"])
    def test_parts_of_another_kind(self, part):
        model = TableRecommender(EASERecommender()).set_params(**{part: 3})
        with pytest.raises(ValueError, match=f"'{part}' parameter"):
            model.fit(EVENTS)


class TestFromFitted:
    def test_together(self):
        encoder = InteractionEncoder()
        fitted = PopularityRecommender().fit(encoder.fit_transform(EVENTS))
        model = TableRecommender.from_fitted(fitted, encoder)
        assert model.recommender_ is fitted and model.encoder_ is encoder
        assert model.recommend("eve", k=1)["item"].tolist() == ["jam"]
        assert clone(model).fit(EVENTS).recommend("eve", k=1)["item"].tolist() == ["jam"]

    def test_not_together(self):
        encoder = InteractionEncoder()
        X = encoder.fit_transform(EVENTS)
        for rows, says in (
            (X[:2], "fitted to 2 rows, but encoder has 3"),
            (X[[1, 0, 2]], "in another order"),
            (X[:, :3], "model has 3 items, but encoder has 4"),
        ):
            with pytest.raises(ValueError, match=says):
                TableRecommender.from_fitted(PopularityRecommender().fit(rows), encoder)
        with pytest.raises(NotFittedError):
            TableRecommender.from_fitted(PopularityRecommender(), encoder)


class Own(PopularityRecommender):
    """A recommender that somebody wrote."""


class TestFile:
    def test_round_trip(self, model, events, tmp_path):
        path = tmp_path / "daily.safetensors"
        model.save(path)
        later = events[:9].assign(when=1e3)
        for load in (TableRecommender.load, persistence.load):
            found = load(path)
            assert isinstance(found, TableRecommender)
            assert found.encoder.get_params() == model.encoder_.get_params()
            assert found.recommender.get_params() == model.recommender_.get_params()
            pd.testing.assert_frame_equal(found.recommend(k=4), model.recommend(k=4))
            pd.testing.assert_frame_equal(found.recommend(X=later), model.recommend(X=later))
        assert [file.name for file in tmp_path.iterdir()] == ["daily.safetensors"]

    def test_a_network(self, tmp_path):
        recommender = CFGDiffusionRecommender(max_epochs=1, hidden_dims=(8,), random_state=0)
        model = TableRecommender(recommender).fit(
            pl.DataFrame(EVENTS, ["user", "item"], orient="row")
        )
        model.save(tmp_path / "m")
        found = persistence.load(tmp_path / "m", device="cpu")
        assert found.recommend(k=2, guidance_scale=2).equals(model.recommend(k=2, guidance_scale=2))

    def test_without_histories(self, model, tmp_path):
        model.save(tmp_path / "m", include_data=False)
        found = TableRecommender.load(tmp_path / "m")
        with pytest.raises(ValueError, match="include_data=False"):
            found.recommend("u01")
        later = pd.DataFrame({"user": ["u01"], "item": ["i05"], "when": 1e3})
        with pytest.raises(ValueError, match="it holds none"):
            found.recommend(X=later)
        assert len(found.recommend(X=later, history="replace", k=3)) == 3

    def test_a_search_saves_its_best(self, events, tmp_path):
        network = CFGDiffusionRecommender(max_epochs=1, hidden_dims=(8,), random_state=0)
        scales = GuidanceScaleCV(network, scales=[0.5, 2.0], cv=2)
        model = TableRecommender(scales).fit(events)
        model.save(tmp_path / "m")
        found = TableRecommender.load(tmp_path / "m", device="cpu")
        pd.testing.assert_frame_equal(found.recommend(k=3), model.recommend(k=3))

    def test_an_own_class(self, tmp_path):
        model = TableRecommender(Own()).fit(EVENTS)
        model.save(tmp_path / "m")
        with pytest.raises(PersistenceError, match="'Own', which is no class of this library"):
            TableRecommender.load(tmp_path / "m")
        found = TableRecommender.load(tmp_path / "m", recommender_class=Own)
        assert isinstance(found.recommender_, Own)
        assert found.recommend("eve", k=1)["item"].tolist() == ["jam"]

    def test_what_cannot_be_saved(self, tmp_path):
        class Foreign(PopularityRecommender):
            _get_state = None

        with pytest.raises(NotFittedError):
            TableRecommender(PopularityRecommender()).save(tmp_path / "m")
        model = TableRecommender(PopularityRecommender()).fit([(range(3), 1), ("x", 2)])
        with pytest.raises(PersistenceError, match="users holds range"):
            model.save(tmp_path / "m")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda r, t: r["recommender"].update({"class": "os"}), "no class of this library"),
            (lambda r, t: r.update(encoder=1), "impossible encoder"),
            (lambda r, t: r.pop("encoder"), "must have the entries"),
            (lambda r, t: t.update(other=t["encoder.row_hashes"]), "no use: 'other'"),
            (lambda r, t: t.update({"encoder.x": t["encoder.row_hashes"]}), "no use.*'x'"),
            (lambda r, t: t.pop("encoder.users.utf8"), "no tensor 'users.utf8'"),
            (
                lambda r, t: t.update({"encoder.row_hashes": t["encoder.row_hashes"][::-1].copy()}),
                "in another order",
            ),
        ],
    )
    def test_forged(self, change, says, model, tmp_path):
        model.save(tmp_path / "m")
        record, tensors = tensor_file.read(tmp_path / "m")
        change(record, tensors)
        record = {name: v for name, v in record.items() if not name.endswith("_version")}
        tensor_file.write(tmp_path / "m", record, tensors)
        for load in (TableRecommender.load, persistence.load):
            with pytest.raises(PersistenceError, match=f"/m'.*{says}"):
                load(tmp_path / "m")

    def test_of_another_class(self, model, tmp_path):
        model.recommender_.save(tmp_path / "m")
        with pytest.raises(PersistenceError, match="'EASERecommender', no TableRecommender"):
            TableRecommender.load(tmp_path / "m")
