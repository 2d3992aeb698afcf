"""Lists from an index of the output layer against those from all items."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from profiled_models import N_FEATURES
from rated_models import rated_data

from skdiffrec._inference import item_index, search, search_depth
from skdiffrec._inference import model as fitted_model
from skdiffrec._inference.item_index import ItemIndex
from skdiffrec.baselines import EASERecommender, NeighborhoodRecommender
from skdiffrec.datasets import make_interactions

APPROXIMATE = dict(search="approximate")
NEIGHBORHOOD = dict(closed_form=NeighborhoodRecommender())
KINDS = {
    "no closed form": dict(closed_form=None),
    "neighborhood": NEIGHBORHOOD,
    "some neighborhood": NEIGHBORHOOD | dict(closed_form_weight=0.1),
    "steps": NEIGHBORHOOD | dict(n_sampling_steps=3),
    "drawn": dict(closed_form=None, n_sampling_steps=2, temperature=1.0, eta=1.0, n_draws=2),
    "time": NEIGHBORHOOD | dict(values="time"),
    "horizon": dict(closed_form=None, values="time", horizon=2),
}


@pytest.fixture(scope="module")
def data():
    return make_interactions(400, 900, n_interactions_per_user=20, values="time", random_state=0)


@pytest.fixture(scope="module", params=KINDS)
def model(request, data):
    """A model of each kind; user 0 has no history and user 1 has all items but four."""
    X = data.train.toarray()
    X[0] = 0
    X[1] = np.arange(1.0, 901.0)
    X[1, [3, 50, 500, 800]] = 0
    return tiny_cfg(**KINDS[request.param]).fit(sp.csr_array(X))


@pytest.fixture(scope="module")
def plain(data):
    """A model whose index has more lists than are looked into."""
    return tiny_cfg(closed_form=None, max_epochs=8).fit(data.train)


@pytest.fixture
def every_list(monkeypatch):
    """An index that looks into all of its lists finds the best products."""
    monkeypatch.setattr(item_index, "_LEAST_LISTS", 10**6)


@pytest.fixture
def from_all_items(monkeypatch):
    """Numbers of users whose lists were made from all items."""
    numbers, run = [], search.guided_lists

    def counted(model, known, *args, **options):
        numbers.append(known.shape[0])
        return run(model, known, *args, **options)

    monkeypatch.setattr(search, "guided_lists", counted)
    return numbers


def without_index(model):
    return pickle.loads(pickle.dumps(model))


def assert_same_lists(found, expected):
    """Equal but for the order of items whose scores differ by rounding."""
    assert found[0].dtype == np.int64 and found[1].dtype == np.float32
    assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-4)
    rows, places = np.nonzero(found[0] != expected[0])
    finite = np.nan_to_num(expected[1])
    gaps = np.diff(finite, append=finite[:, -1:])  # none to what stands behind the list
    before, behind = gaps[rows, np.maximum(places - 1, 0)], gaps[rows, places]
    assert (np.maximum(before, behind) > -1e-4).all()
    assert len(rows) < 0.02 * found[0].size


# The index


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(1, 30), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_the_largest_products_of_all_lists(n_items, n_rows, n, seed):
    rng = np.random.default_rng(seed)
    n = min(n, n_items)
    table = rng.standard_normal((n_items, 16)).astype(np.float32)
    table[rng.random(n_items) < 0.2] = table[0]
    queries = rng.standard_normal((n_rows, 16)).astype(np.float32)
    blocked = sp.csr_array(rng.random((n_rows, n_items)) < rng.choice([0.0, 0.3, 1.0]))
    index = ItemIndex(torch.from_numpy(table))
    index.n_searched = len(index.sizes)
    items, products = index.nearest(torch.from_numpy(queries), n, blocked)
    expected = queries @ table.T
    expected[blocked.toarray()] = -np.inf
    assert_allclose(products, -np.sort(-expected, 1)[:, :n], rtol=1e-4, atol=1e-4)
    listed = items >= 0
    assert_array_equal(listed, products > -np.inf)
    of_items = np.take_along_axis(expected, items, 1)
    assert_allclose(of_items[listed], products[listed], rtol=1e-4, atol=1e-4)
    assert all(len(np.unique(row[row >= 0])) == (row >= 0).sum() for row in items)


def test_lists_hold_every_item_once_and_none_is_long():
    table = torch.randn(5000, 8, generator=torch.Generator().manual_seed(0))
    table[1000:] = table[0]  # as rows of a table that was never trained
    index = ItemIndex(table)
    assert_array_equal(np.sort(index.items), np.arange(5000))
    assert_array_equal(index.items[index.places], np.arange(5000))
    assert index.sizes.min() >= 1 and index.sizes.max() <= 4 * np.ceil(5000 / 141)
    assert_array_equal(index.vectors, table[index.items])


def test_an_index_does_not_depend_on_threads(four_threads):
    table = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0))
    several = ItemIndex(table)
    torch.set_num_threads(1)
    assert_array_equal(several.items, ItemIndex(table).items)


# Lists


def test_lists_are_the_exact_ones_where_the_index_finds_everything(
    model, every_list, from_all_items
):
    """At scales of each user's own; what is pruned could not have been listed."""
    model = without_index(model)
    scales = np.resize([1.0, 1.7, 0.0, 0.5, 1.0, -0.5, 3.0], 400)
    for k in (1, 10):
        for scale in (1.0, scales):
            options = dict(k=k, guidance_scale=scale)
            assert_same_lists(model.recommend(**options, **APPROXIMATE), model.recommend(**options))
    assert sum(from_all_items) < 400  # of 1,600


def test_filters_hold(model, every_list):
    model = without_index(model)
    rng = np.random.default_rng(0)
    rare = sp.csr_array(rng.random((400, 900)) < 0.01)
    often = sp.csr_array(rng.random((400, 900)) < 0.5)
    for filters in (
        dict(filter_seen=False),
        dict(filter_items=[3, 5, 500]),
        dict(items=np.arange(0, 900, 2)),
        dict(items=[1, 2, 3]),
        dict(filter_items=often),
        dict(items=often, filter_items=[4, 7]),
        dict(items=rare),
    ):
        assert_same_lists(model.recommend(**filters, **APPROXIMATE), model.recommend(**filters))


def test_what_an_index_misses_is_no_more_than_items(plain, data, from_all_items, monkeypatch):
    """Most of the items are found; what is listed has its exact score and is no filtered item."""
    index = plain._model.item_index
    assert index.n_searched < len(index.sizes) / 3
    often = sp.csr_array(np.random.default_rng(0).random((400, 900)) < 0.3)
    scores = plain.decision_function(data.train)
    for filters in ({}, dict(filter_items=often), dict(items=np.arange(100, 900))):
        expected = plain.recommend(k=20, **filters)[0]
        ids, top = plain.recommend(k=20, **filters, **APPROXIMATE)
        found = [np.intersect1d(*pair).size for pair in zip(ids, expected, strict=True)]
        assert np.sum(found) > 0.97 * 20 * 400
        assert ids.min() >= 0 and all(len(np.unique(row)) == 20 for row in ids)
        assert_allclose(top, np.take_along_axis(scores, ids, 1), rtol=1e-4, atol=1e-4)
        assert (np.diff(top) <= 0).all()
        assert not data.train.toarray()[np.arange(400)[:, None], ids].any()
        if "filter_items" in filters:
            assert not often.toarray()[np.arange(400)[:, None], ids].any()
    assert sum(from_all_items) < 100  # of 1,200
    monkeypatch.setattr(index, "n_searched", 1)  # else such a small model hides what is missed
    assert (plain.recommend(k=5, **APPROXIMATE)[0] != plain.recommend(k=5)[0]).any()


def test_lists_do_not_depend_on_other_users(model):
    users = [7, 1, 0, 350, 7]
    ids, scores = model.recommend(k=12, **APPROXIMATE)
    some = model.recommend(users, k=12, **APPROXIMATE)
    assert_array_equal(some, (ids[users], scores[users]))
    for user in users:
        one = model.recommend(user, k=12, **APPROXIMATE)
        assert_array_equal(one, (ids[user], scores[user]))


def test_small_blocks(model, monkeypatch):
    expected = model.recommend(k=5, **APPROXIMATE)
    monkeypatch.setattr(fitted_model, "_SEARCHED_ROWS", 7)
    assert_array_equal(model.recommend(k=5, **APPROXIMATE), expected)


def test_features_of_users_and_dislikes(every_list):
    data = rated_data(n_items=400)
    features = sp.csr_array(np.random.default_rng(0).random((150, N_FEATURES)) < 0.3)
    model = tiny_cfg(values="rating", **NEIGHBORHOOD).fit(data.train, user_features=features)
    scale = {"user_features": np.resize([0.5, 1.0, 2.0], 150), "history": 1.5, "disliked": 2.0}
    expected = model.recommend(guidance_scale=scale)
    assert_same_lists(model.recommend(guidance_scale=scale, **APPROXIMATE), expected)


def test_a_dense_closed_form_has_exact_lists(data):
    model = tiny_cfg(values="time", closed_form=EASERecommender()).fit(data.train)
    assert model._model.item_index is None
    assert_array_equal(model.recommend(**APPROXIMATE), model.recommend())


def test_a_model_makes_one_index_and_does_not_keep_it(plain, monkeypatch):
    model, made = without_index(plain), []
    size = len(pickle.dumps(model))

    def noted(table):
        made.append(ItemIndex(table))
        return made[-1]

    monkeypatch.setattr(search_depth, "ItemIndex", noted)
    model.recommend(0)
    assert not made
    with ThreadPoolExecutor(4) as pool:
        lists = list(pool.map(lambda _: model.recommend(k=5, **APPROXIMATE)[0], range(8)))
    assert len(made) == 1
    assert all((found == lists[0]).all() for found in lists)
    assert len(pickle.dumps(model)) == size


def test_an_index_that_finds_too_little_is_not_used(data, monkeypatch):
    """Deeper and deeper searches are tried, up to an eighth of the lists."""
    model = tiny_cfg(closed_form=None, max_epochs=1).fit(data.train)
    tried = []

    def nothing(*args, index, **options):
        tried.append(index.n_searched)
        return np.full((128, 20), -1), None

    monkeypatch.setattr(search_depth, "searched_lists", nothing)
    monkeypatch.setattr(item_index, "_LEAST_LISTS", 1)
    monkeypatch.setattr(search_depth, "_MOST_LISTS", 0.5)
    with pytest.warns(UserWarning, match="finds only 0%.*Lists are exact") as caught:
        found = model.recommend(**APPROXIMATE)
    assert caught[0].filename == __file__
    assert tried[:2] == [14, 21] and tried[2] in range(25, 32) and len(tried) == 3
    assert_array_equal(found, model.recommend())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.recommend(**APPROXIMATE)  # told once


# What is refused


def test_other_values_of_search(plain):
    for value in ("fast", None, True, ["exact", "approximate"], np.array(["exact", "exact"])):
        with pytest.raises(ValueError, match='search must be "exact" or "approximate", got'):
            plain.recommend(0, search=value)


def test_without_a_ranking_head(data):
    model = tiny_cfg(ranking_head=False, max_epochs=1).fit(data.train)
    with pytest.raises(ValueError, match='ranking_head=True, or use search="exact"'):
        model.recommend(0, **APPROXIMATE)


def test_with_what_is_wanted(data):
    model = tiny_cfg(item_features=data.item_features, max_epochs=1).fit(data.train)
    assert_array_equal(model.recommend(0, k=3, **APPROXIMATE)[0].shape, [3])
    with pytest.raises(ValueError, match='wanted.*Use search="exact"'):
        model.recommend(0, wanted={0: 1.0}, **APPROXIMATE)
