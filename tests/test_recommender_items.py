"""Features of items: what is wanted of a list, and items that nobody has met."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from profiled_models import same
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._utils.recency import history_weights
from skdiffrec.baselines import EASERecommender, NeighborhoodRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.model_selection import RankingScorer
from skdiffrec.preprocessing import InteractionEncoder, recommend_batches

N_USERS, N_ITEMS = 120, 60
QUICK = ("default",)
KINDS = {
    "default": dict(closed_form=EASERecommender()),
    "sparse form": dict(closed_form=NeighborhoodRecommender()),
    "time": dict(values="time"),
    "horizon": dict(values="time", horizon=2),
    "rating": dict(values="rating", n_sampling_steps=3),
    "no closed form": dict(closed_form=None),
    "no head": dict(ranking_head=False, n_sampling_steps=2),
    "drawn": dict(n_sampling_steps=2, temperature=1.0, eta=1.0),
}
PARAMS = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


def data_of(**parameters):
    return make_interactions(
        N_USERS, N_ITEMS, n_interactions_per_user=12, n_tastes=4, random_state=5, **parameters
    )


def table(data):
    return pd.DataFrame(data.item_features.toarray(), columns=data.item_feature_names)


@pytest.fixture(name="fitted", scope="module", params=PARAMS)
def fitted_fixture(request):
    """(model, data); of some a number of user features too."""
    parameters = KINDS[request.param]
    data = data_of(values=parameters.get("values", "binary"))
    model = tiny_cfg(item_features=table(data), **parameters)
    options = {"user_features": data.user_features} if request.param == "time" else {}
    return model.fit(data.train, **options), data


def wants(data, place=1):
    return {str(data.item_feature_names[place]): 1.0}


class TestWanted:
    def test_scores_rise_by_the_features_alone(self, fitted):
        model, data = fitted
        plain = model.decision_function(data.train)
        for scale in (1.0, 2.5, -1.0):
            found = model.decision_function(
                data.train, wanted=wants(data), guidance_scale={"wanted": scale}
            )
            unit = 0.5 * model._model.score_spread
            expected = scale * unit * data.item_features[:, [1]].toarray().ravel()
            atol = 1e-4 * np.abs(plain).max()
            assert_allclose(found - plain, np.tile(expected, (N_USERS, 1)), atol=atol)

    def test_forms_of_what_is_wanted(self, fitted):
        model, data = fitted
        by_name = model.recommend([3, 5], 6, wanted=wants(data))
        same(by_name, model.recommend([3, 5], 6, wanted={1: 1}))
        rows = np.zeros((2, data.item_features.shape[1]))
        rows[:, 1] = 1
        for matrix in (rows, sp.csr_array(rows), pd.DataFrame(rows, columns=table(data).columns)):
            same(by_name, model.recommend([3, 5], 6, wanted=matrix))
        rows[1] = 0  # wants nothing
        alone = model.recommend([5], 6)
        same([part[1:] for part in model.recommend([3, 5], 6, wanted=rows)], alone)
        scales = {"wanted": [0.0, 7.0]}
        same(
            [part[1:] for part in model.recommend([3, 5], 6, wanted=rows, guidance_scale=scales)],
            alone,
        )
        same(model.recommend([3, 5], 6), model.recommend([3, 5], 6, wanted={}))

    def test_parts_grids_and_explanations(self, fitted):
        model, data = fitted
        scale = {"wanted": 2.0, "history": 1.5}
        ids, scores = model.recommend([0, 1, 2], 5, wanted=wants(data), guidance_scale=scale)
        parts = model.score_parts([0, 1, 2], ids, wanted=wants(data), guidance_scale=scale)
        assert list(parts.lifts)[-1] == "wanted"
        assert_allclose(parts.score, scores, atol=1e-4 * np.abs(scores).max())
        has = data.item_features[:, [1]].toarray().ravel()[ids]
        assert_allclose(parts.lifts["wanted"], 0.5 * model._model.score_spread * has, atol=1e-3)
        grid = {"wanted": [0.0, 2.0], "history": [1.5]}
        lists, _ = model.recommend_scales(grid, [0, 1, 2], 5, wanted=wants(data))
        assert (lists[1, 0] == ids).mean() > 0.9
        why = model.explain(0, ids[0], wanted=wants(data), guidance_scale=scale)
        assert_allclose(why.conditions["wanted"], 2.0 * parts.lifts["wanted"][0], atol=1e-3)

    def test_draws(self, fitted):
        model, data = fitted
        plain, wanting = (
            model.sample(data.train[:2], 3, wanted=wanted) for wanted in (None, wants(data))
        )
        added = 0.5 * model._model.score_spread * data.item_features[:, [1]].toarray().ravel()
        atol = 1e-4 * np.abs(plain).max()
        assert_allclose(wanting - plain, np.broadcast_to(added, plain.shape), atol=atol)

    def test_who_is_not_known_gets_what_is_popular_and_wanted(self, fitted):
        model, data = fitted
        if not model.ranking_head or model.temperature:
            return
        nobody = sp.csr_array((1, N_ITEMS))
        scale = {"wanted": 100.0}
        ids, _ = model.recommend(X=nobody, k=N_ITEMS, wanted=wants(data), guidance_scale=scale)
        has = data.item_features[:, [1]].toarray().ravel()[ids[0]]
        n = int(has.sum())
        assert has[:n].all()
        popular = data.train.astype(bool).sum(0)[ids[0][:n]]
        if model.values != "rating":
            assert np.corrcoef(popular, -np.arange(n))[0, 1] > 0.8

    def test_training_does_not_depend_on_them(self):
        data = data_of()
        one, other = tiny_cfg(item_features=table(data)), tiny_cfg()
        for model in (one, other):
            model.set_params(random_state=0).fit(data.train)
        assert_array_equal(*(m.decision_function(data.train) for m in (one, other)))
        assert clone(one).fit(data.train).recommend(0, 3, wanted=wants(data))[0].shape == (3,)

    @pytest.mark.parametrize(
        ("wanted", "message"),
        [
            ({"mood=blue": 1}, "names the feature 'mood=blue', which item_features has not"),
            ({99: 1}, "has the key 99; .* from 0 to 8"),
            ({1: -2.0}, "holds -2; weights must be >= 0"),
            ({1: np.nan}, "wanted.'1'. must be a finite number"),
            (np.ones((1, 3)), "3 columns, but 9 in fit"),
            (np.ones((4, 9)), "4 rows, but 1 users"),
            (np.full((1, 9), np.nan), "wanted holds nan in column 0"),
            ({1: 1e38}, "at most 1e.06"),
            ([{1: 1}], "a dict of weights by feature"),
            ("taste=cozy mystery", "a dict of weights by feature"),
            ({True: 1.0}, "has the key True"),
            ({1: 1.0, np.int64(1): 2.0, "taste=cozy mystery": 1.0}, "names column 1 .*twice"),
        ],
    )
    def test_bad_input(self, fitted, wanted, message):
        with pytest.raises((ValueError, TypeError), match=message):
            fitted[0].recommend([0], wanted=wanted)

    def test_a_name_of_two_columns(self):
        data = data_of()
        things = pd.DataFrame(data.item_features.toarray()[:, :3], columns=["new", "old", "new"])
        model = tiny_cfg(item_features=things, max_epochs=1).fit(data.train)
        with pytest.raises(ValueError, match="'new', which 2 columns .*such as .0: 1."):
            model.recommend(0, wanted={"new": 1})
        assert model.recommend(0, 3, wanted={"old": 1, 2: 1})[0].shape == (3,)

    def test_without_features(self):
        data = data_of()
        model = tiny_cfg(max_epochs=1).fit(data.train)
        with pytest.raises(ValueError, match="fitted without item_features"):
            model.recommend(0, wanted={1: 1})
        with pytest.raises(ValueError, match="'wanted'"):
            model.recommend(0, guidance_scale={"wanted": 2.0})
        with pytest.raises(ValueError, match="fitted without.*Fit with item_features="):
            model.add_items(data.item_features[:2])
        for features in (data.item_features[:5], data.item_features * 0):
            with pytest.raises(ValueError, match="one row for each column of X"):
                tiny_cfg(item_features=features).fit(data.train)


def said_of_like(model, X, known, new):
    """(factor of new items, what a history's items say of new ones like them (n_users, n_new)).

    The ridge of who has which item, twice as loud as a column of the closed form is long; the
    factor keeps the length of the new columns.
    """
    form = model._model.closed_form
    if form is None:
        return 1.0, 0.0
    D, ridge = form.weights.numpy(), Ridge(3.0, fit_intercept=False)
    size = 2 * np.linalg.norm(D) / np.sqrt(N_ITEMS)
    weights = ridge.fit(known, np.eye(N_ITEMS)).predict(new)
    factor = np.linalg.norm(weights @ D.T) / np.linalg.norm(weights @ D.T + size * weights)
    history = history_weights(X, model.values, form.half_life)
    said = size * (history @ weights.T)
    return factor, factor * model._model.tables(False).scores.scale * said


class TestNewItems:
    def grown(self, fitted):
        model, data = copy.deepcopy(fitted[0]), fitted[1]
        new = data.item_features[[3, 20, 41]]
        return model.add_items(new), sp.csr_array(new)

    def test_known_items_are_scored_as_before(self, fitted):
        model, data = fitted
        grown, _ = self.grown(fitted)
        assert grown.n_features_in_ == N_ITEMS + 3
        wide = widened(data.train, 3)
        before = model.decision_function(data.train)
        after = grown.decision_function(wide)[:, :N_ITEMS]
        assert_allclose(after, before, atol=1e-5 * np.abs(before).max())
        same(grown.recommend([1, 2], 5, items=np.arange(N_ITEMS)), model.recommend([1, 2], 5))

    def test_new_ones_are_a_regression_of_the_known(self, fitted):
        """scikit-learn's ridge of every user's scores on the items' features."""
        model, data = fitted
        form = model._model.closed_form
        if not model.ranking_head or model.values == "rating" or (form and form.sparse):
            return  # of a sparse closed form the largest entries are kept
        grown, new = self.grown(fitted)
        wide = widened(data.train, 3)
        for scale in (1.0, 2.0):
            scores = grown.decision_function(wide, guidance_scale=scale)
            F, G = _read(data.item_features), _read(data.item_features, new)
            known = scores[:, :N_ITEMS].astype(float)
            mean = known.mean(1)[:, None]
            ridge = Ridge(3.0, fit_intercept=False).fit(F, (known - mean).T)
            factor, said = said_of_like(model, data.train, F, G)
            expected = mean + factor * ridge.predict(G).T + scale * said
            assert_allclose(scores[:, N_ITEMS:], expected, atol=2e-3 * np.abs(scores).max())

    def test_they_are_for_those_who_have_their_like(self):
        """The more a known item is like a new one, the more it says of it, and the other way."""
        data = data_of()
        model = tiny_cfg(item_features=data.item_features, closed_form=EASERecommender())
        model.fit(data.train).add_items(data.item_features[[5]])
        D = model._model.closed_form.weights.numpy()
        features = _read(data.item_features)
        alike = features @ features[5]
        for said in (D[:N_ITEMS, N_ITEMS], D[N_ITEMS, :N_ITEMS]):
            assert np.corrcoef(alike, said)[0, 1] > 0.6
        assert D[N_ITEMS, N_ITEMS] == 0

    def test_like_items_are_scored_alike(self, fitted):
        model, data = fitted
        grown, _ = self.grown(fitted)
        if model.temperature:
            return
        wide = widened(data.train, 3)
        scores = grown.decision_function(wide)
        scores = scores - scores.mean(1, keepdims=True)
        taste = data.item_features[:, :4].toarray().argmax(1)
        own = np.corrcoef(scores[:, N_ITEMS], scores[:, :N_ITEMS][:, taste == taste[3]].mean(1))
        other = np.corrcoef(scores[:, N_ITEMS], scores[:, :N_ITEMS][:, taste != taste[3]].mean(1))
        assert own[0, 1] > other[0, 1]

    def test_in_histories_lists_and_files(self, fitted, tmp_path):
        model, data = fitted
        grown, _ = self.grown(fitted)
        row = np.zeros((1, N_ITEMS + 3))
        row[0, [2, N_ITEMS, N_ITEMS + 1]] = [1.0, 2.0, 3.0]
        ids, _ = grown.recommend(X=row, k=N_ITEMS + 3)
        assert sorted(ids[0][ids[0] >= 0]) == [*range(2), *range(3, N_ITEMS), N_ITEMS + 2]
        assert N_ITEMS in grown.recommend(0, 60, items=[1, N_ITEMS, N_ITEMS + 2])[0]
        similar, _ = grown.similar_items([N_ITEMS, 3], 4)
        assert (similar[0] != N_ITEMS).all() and similar.max() < N_ITEMS + 3
        name = {str(data.item_feature_names[1]): 1.0}
        expected = grown.recommend([0, 1], 9, wanted=name)
        grown.save(tmp_path / "model")
        for other in (
            CFGDiffusionRecommender.load(tmp_path / "model"),
            pickle.loads(pickle.dumps(grown)),
        ):
            same(other.recommend([0, 1], 9, wanted=name), expected)
            assert other.add_items(data.item_features[[0]]).n_features_in_ == N_ITEMS + 4
        loaded = CFGDiffusionRecommender.load(tmp_path / "model")
        again = clone(loaded).set_params(max_epochs=1).fit(widened(data.train, 3))
        assert again.recommend(0, 2, wanted={1: 1})[0].shape == (2,)
        assert isinstance(RankingScorer("recall@20")(grown, sp.csr_array(grown._fit_X)), float)

    def test_of_whom_nothing_is_known_is_an_average_item(self):
        data = data_of()
        model = tiny_cfg(item_features=data.item_features, closed_form=EASERecommender())
        model.fit(data.train).add_items(np.zeros((1, data.item_features.shape[1])))
        wide = widened(data.train, 1)
        scores = model.decision_function(wide)
        assert_allclose(scores[:, -1], scores[:, :-1].mean(1), atol=1e-3 * np.abs(scores).max())

    def test_refusals_leave_the_model_as_it_was(self, fitted):
        model, data = fitted
        before = model._model
        bad = data.item_features[:2].toarray()
        bad[0, 1] = np.nan
        for features, message in (
            (bad, r"item_features holds nan in column 1"),
            (data.item_features[:2, :3], "3 columns, but 9 in fit"),
            (data.item_features[:0], "no row"),
            (table(data).iloc[:2, ::-1], "The columns of item_features are"),
        ):
            with pytest.raises(ValueError, match=message):
                model.add_items(features)
        assert model._model is before and model.n_features_in_ == N_ITEMS
        flat = tiny_cfg(item_features=data.item_features, latent_dim=None, max_epochs=1)
        with pytest.raises(ValueError, match="latent_dim=None. Fit with latent_dim=128"):
            flat.fit(data_of().train).add_items(data.item_features[:1])

    def test_names_by_the_encoder(self):
        data = data_of()
        rows, columns = data.train.nonzero()
        events = pd.DataFrame({"user": rows, "item": [f"i{c:03}" for c in columns]})
        encoder = InteractionEncoder().fit(events)
        F = table(data)[: encoder.n_items_]
        model = tiny_cfg(item_features=F, max_epochs=2).fit(encoder.transform(events))
        model.add_items(F.iloc[[4, 5]])
        assert encoder.add_items(["a new one", "another"]) is encoder
        assert encoder.n_items_ == model.n_features_in_
        n = encoder.n_items_ - 2
        assert_array_equal(encoder.item_index(["another", "i000", "a new one"]), [n + 1, 0, n])
        ids, scores = model.recommend([0], 3, items=encoder.item_index(["a new one", "another"]))
        lists = encoder.inverse_transform(ids, scores, users=[0])
        assert set(lists["item"].dropna()) == {"a new one", "another"}
        later = pd.DataFrame({"user": [0, 0], "item": ["a new one", "i001"]})
        assert encoder.transform(later).shape == (1, n + 2)
        again = pickle.loads(pickle.dumps(encoder))
        assert_array_equal(again.item_index(["another"]), [n + 1])
        with pytest.raises(ValueError, match="'i000', which is no new item"):
            encoder.add_items(["i000"])
        with pytest.raises(ValueError, match="'x', which is no new item"):
            encoder.add_items(["x", "x"])


def widened(X, n):
    """X with columns of new items."""
    return sp.csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], X.shape[1] + n))


def _read(known, new=None):
    """Features as the documentation says that they are regressed on, of zeros and ones."""
    counts = known.toarray().astype(bool).sum(0)
    weight = np.log1p(known.shape[0] / np.maximum(counts, 1))
    scaled = (known if new is None else new).toarray() * weight
    return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)


def test_nothing_wanted_explains_nothing(fitted):
    model, _ = fitted
    why = model.explain(3, [1, 2])
    assert_array_equal(why.conditions["wanted"], 0.0)


def test_the_size_of_a_column_does_not_matter():
    data = data_of()
    lists = [
        tiny_cfg(item_features=data.item_features * size, max_epochs=1, random_state=0)
        .fit(data.train)
        .recommend(k=5, wanted={1: 1})[0]
        for size in (1.0, 1e-30, 1e30)
    ]
    assert_array_equal(lists[1], lists[0])
    assert_array_equal(lists[2], lists[0])


@pytest.mark.parametrize("form", [sp.coo_array, sp.csr_array, np.asarray, pd.DataFrame])
def test_batches_of_a_table(form):
    data = data_of()
    rows, columns = data.train.nonzero()
    events = pd.DataFrame({"user": rows, "item": [f"i{column:02}" for column in columns]})
    encoder = InteractionEncoder()
    X = encoder.fit_transform(events)
    names = np.array([int(name[1:]) for name in encoder.items_])
    model = tiny_cfg(item_features=data.item_features[names], max_epochs=1).fit(X)
    wanted = np.eye(9)[np.arange(7) % 9]
    options = {"users": list(range(7)), "k": 4, "batch_size": 3}
    tables = recommend_batches(model, encoder, wanted=form(wanted), **options)
    found = pd.concat(tables)["item"].to_numpy().reshape(7, 4)
    assert (found == encoder.item_names(model.recommend(range(7), 4, wanted=wanted)[0])).all()
    with pytest.raises(ValueError, match="wanted has 5 values for 7 users. Give one row for each"):
        recommend_batches(model, encoder, wanted=form(wanted[:5]), **options)
