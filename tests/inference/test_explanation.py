"""Similar items, score parts and explanations against closed forms and scores of changed rows."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from conftest import tiny_als, tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

from skdiffrec.baselines import EASERecommender, ItemKNNRecommender, NeighborhoodRecommender
from skdiffrec.preprocessing import recency_weights

properties = settings(max_examples=8, deadline=None)
N_ITEMS = 50
CONFIGURATIONS = {
    "binary": {},
    "neighborhood": dict(closed_form=NeighborhoodRecommender()),
    "weight": dict(values="weight"),
    "time": dict(values="time"),
    "no-half-life": dict(values="time", half_life=None),
    "steps": dict(n_sampling_steps=4),
    "draws": dict(n_sampling_steps=3, temperature=1.0, eta=1.0, n_draws=2),
    "no-closed-form": dict(closed_form=None),
    "no-head": dict(ranking_head=False, latent_dim=None, n_sampling_steps=2, temperature=0.5),
    "latent-no-head": dict(ranking_head=False),
}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def cfg(request, interactions):
    return tiny_cfg(guidance_scale=1.7, **CONFIGURATIONS[request.param]).fit(interactions)


@pytest.fixture(scope="module")
def plain(interactions):
    return tiny_cfg(guidance_scale=1.7).fit(interactions)


@pytest.fixture(scope="module")
def timed(interactions):
    return tiny_cfg(values="time", guidance_scale=1.7).fit(interactions)


def without(row, item):
    row = row.toarray()
    row[:, item] = 0
    return csr_array(row)


def without_closed_form(model):
    """The same fitted model, its closed form left out."""
    model = copy.copy(model)
    model._model = replace(model._model, closed_form_scale=0.0)
    return model


def close(found, expected):
    assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


class TestExplain:
    def test_score_is_the_decision_function(self, cfg, interactions):
        why = cfg.explain(5, [3, 40, 3])
        assert why.score.dtype == why.total.dtype == why.closed_form.dtype == np.float32
        assert_array_equal(why.score, cfg.decision_function(interactions[[5]])[0, [3, 40, 3]])
        assert_array_equal(why.history, interactions[[5]].indices)
        close(why.network, why.total - why.closed_form)

    @pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
    def test_the_closed_forms_part_adds_up(self, cfg, interactions, scale):
        items = np.arange(N_ITEMS)
        at = copy.copy(cfg).set_params(guidance_scale=scale)
        why = at.explain(5, items)
        row = interactions[[5]]
        part = at.decision_function(row) - without_closed_form(at).decision_function(row)
        close(why.closed_form_base + why.closed_form.sum(axis=1), part[0])

    @pytest.mark.parametrize("user", [2, 5, 9])
    def test_total_is_what_leaving_out_changes(self, plain, interactions, user):
        row = interactions[[user]]
        why = plain.explain(user, [0, 7, 30])
        score = plain.decision_function(row)[0, [0, 7, 30]]
        for place, item in enumerate(why.history):
            shorter = plain.decision_function(without(row, item))[0, [0, 7, 30]]
            close(why.total[:, place], score - shorter)

    def test_of_times_the_oldest_can_be_left_out_by_hand(self, timed, interactions):
        """Nothing is younger for it; of the latest, the others would move up."""
        row = interactions[[5]]
        oldest = row.indices[np.argmin(row.data)]
        why = timed.explain(5, np.arange(N_ITEMS))
        place = np.searchsorted(why.history, oldest)
        expected = timed.decision_function(row) - timed.decision_function(without(row, oldest))
        close(why.total[:, place], expected[0])

    def test_the_closed_form_weighs_by_recency(self, timed, interactions):
        row, model = interactions[[5]], timed._model
        D = model.closed_form.entries(np.arange(N_ITEMS))
        weights = recency_weights(row, half_life=timed.half_life).data
        expected = 1.7 * model.closed_form_scale * weights[:, None] * D[row.indices]
        close(timed.explain(5, np.arange(N_ITEMS)).closed_form, expected.T)

    def test_scale_zero_knows_no_history(self, plain):
        why = plain.explain(5, [1, 2], guidance_scale=0.0)
        assert_array_equal(why.total, 0)
        assert_array_equal(why.closed_form, 0)
        parts = plain.score_parts(5, [1, 2])
        close(why.score, parts.unconditional)

    def test_the_closed_form_is_linear_in_the_scale(self, plain):
        one, two = (plain.explain(5, [1, 2], guidance_scale=s) for s in (1.0, 2.0))
        close(two.closed_form, 2 * one.closed_form)
        assert np.abs(one.closed_form).max() > 1e-3

    def test_the_only_item_of_a_history(self, cfg):
        why = cfg.explain(1, [3, 4])
        assert_array_equal(why.history, [7])
        if not cfg.temperature:  # else the empty row has other noise in item space
            close(why.total[:, 0], why.score - why.base)

    def test_an_empty_history(self, cfg):
        why = cfg.explain(0, [3, 4])
        assert why.total.shape == why.closed_form.shape == (2, 0)
        assert_array_equal(why.score, why.base)
        form = cfg._model.closed_form
        drawn = bool(cfg.temperature) and form is not None  # else it has what is popular alone
        assert (np.abs(why.closed_form_base) > 0).any() == drawn

    def test_base_is_the_score_without_history(self, plain, interactions):
        nobody = csr_array((1, N_ITEMS))
        close(plain.explain(5, [3, 4]).base, plain.decision_function(nobody)[0, [3, 4]])

    @given(items=st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=6))
    @properties
    def test_items_do_not_see_each_other(self, timed, items):
        why = timed.explain(8, items)
        assert_array_equal(why.item_ids, items)
        for i, item in enumerate(items):
            one = timed.explain(8, item)
            assert one.score.ndim == 0 and one.total.shape == why.history.shape
            assert_array_equal(one.total, why.total[i])
            assert_array_equal(one.closed_form, why.closed_form[i])

    def test_a_new_row_and_blocks(self, cfg, interactions, monkeypatch):
        expected = cfg.explain(2, [3, 4])
        monkeypatch.setattr("skdiffrec._utils.topk._BLOCK_ELEMENTS", N_ITEMS * 16)
        found = cfg.explain(X=interactions[[2]], item_ids=[3, 4])
        assert_array_equal(found.total, expected.total)

    def test_the_list_by_default(self, plain):
        why = plain.explain(5)
        ids, scores = plain.recommend(5)
        assert_array_equal(why.item_ids, ids)
        close(why.score, scores)
        assert len(plain.explain(2).item_ids) == 4  # no more are unseen

    def test_to_frame(self, plain):
        names = np.array([f"item {i}" for i in range(N_ITEMS)])
        why = plain.explain(5, [9, 3])
        frame = why.to_frame(names)
        assert list(frame.columns) == ["item", "history", "total", "closed_form", "network"]
        n = len(why.history)
        assert frame.item.tolist() == ["item 9"] * n + ["item 3"] * n
        assert frame.total[:n].is_monotonic_decreasing and frame.total[n:].is_monotonic_decreasing
        best = why.history[why.total[0].argmax()]
        assert frame.history[0] == names[best]
        assert plain.explain(5, 9).to_frame().history[0] == best

    def test_refusals(self, plain, interactions):
        with pytest.raises(ValueError, match="One user is asked for, got 120"):
            plain.explain(item_ids=3)
        with pytest.raises(ValueError, match="One user is asked for, got 2"):
            plain.explain([1, 2], 3)
        with pytest.raises(IndexError, match="item_ids contains 50"):
            plain.explain(1, 50)
        with pytest.raises(NotFittedError):
            tiny_cfg().explain(1, 2)


class TestScoreParts:
    @pytest.mark.parametrize("scale", [0.0, 1.0, 1.7, [0.5, 1.0, 3.0]])
    def test_add_up(self, cfg, scale):
        users = [5, 0, 9]
        ids, scores = cfg.recommend(users, k=8, guidance_scale=scale)
        parts = cfg.score_parts(users, ids, guidance_scale=scale)
        assert all(part.dtype == np.float32 and part.shape == (3, 8) for part in parts)
        close(parts.score, scores)
        factor = np.broadcast_to(scale, 3)[:, None]
        close(parts.unconditional + factor * parts.lift, scores)
        close(parts.lift, parts.conditional - parts.unconditional)

    def test_are_the_scales_one_and_zero(self, plain, interactions):
        """In one step; at each of them exactly what the estimator gives there."""
        parts = plain.score_parts()
        for part, scale in ((parts.conditional, 1.0), (parts.unconditional, 0.0)):
            at = copy.copy(plain).set_params(guidance_scale=scale)
            close(part, at.decision_function(interactions))

    def test_nobody_has_no_lift(self, cfg):
        parts = cfg.score_parts(0)
        assert_array_equal(parts.lift, 0)
        assert_array_equal(parts.conditional, parts.unconditional)

    def test_shapes(self, plain):
        assert plain.score_parts(5, 3).score.shape == ()
        assert plain.score_parts([5], 3).score.shape == (1,)
        assert plain.score_parts(5, [3, 4]).score.shape == (2,)
        assert plain.score_parts([5, 6, 7], [3, 4]).score.shape == (3, 2)
        assert_array_equal(
            plain.score_parts([5, 6], [[3, 4], [4, 3]]).score[0], plain.score_parts(5, [3, 4]).score
        )

    def test_no_item(self, plain):
        ids, _ = plain.recommend(2, k=6)  # ends in -1
        parts = plain.score_parts(2, ids)
        for part in parts:
            assert_array_equal(np.isnan(part), ids == -1)

    def test_other_users_and_blocks_make_no_difference(self, cfg, monkeypatch):
        expected = cfg.score_parts([3, 4, 5])
        monkeypatch.setattr("skdiffrec._utils.topk._BLOCK_ELEMENTS", N_ITEMS * 16)
        found = cfg.score_parts([5, 0, 3, *range(60), 4])
        for part, whole in zip(expected, found, strict=True):
            assert_array_equal(whole[[2, -1, 0]], part)

    def test_refusals(self, plain):
        with pytest.raises(ValueError, match=r"shape \(2, 1\), but 3 users"):
            plain.score_parts([1, 2, 3], [[1], [2]])
        with pytest.raises(IndexError, match="item_ids contains -2"):
            plain.score_parts(1, [-2])
        with pytest.raises(TypeError, match="must be integers"):
            plain.score_parts(1, [0.5])


SIMILAR = {
    "closed-form": lambda X: (tiny_cfg().fit(X), {}),
    "sparse-closed-form": lambda X: (
        tiny_cfg(closed_form=NeighborhoodRecommender()).fit(X),
        {},
    ),
    "output": lambda X: (tiny_cfg().fit(X), {"by": "output_layer"}),
    "no-head": lambda X: (tiny_cfg(ranking_head=False).fit(X), {}),
    "item-space": lambda X: (tiny_cfg(ranking_head=False, latent_dim=None).fit(X), {}),
    "ease": lambda X: (EASERecommender(reg=20.0).fit(X), {}),
    "knn": lambda X: (ItemKNNRecommender(n_neighbors=5).fit(X), {}),
    "als": lambda X: (tiny_als().fit(X), {}),
}


@pytest.fixture(scope="module", params=SIMILAR)
def similar(request, interactions):
    """`similar_items` of a model."""
    model, options = SIMILAR[request.param](interactions)
    return lambda *args, **more: model.similar_items(*args, **options, **more)


class TestSimilarItems:
    def test_conventions(self, similar):
        ids, scores = similar([7, 3, 7], k=60)
        assert ids.dtype == np.int64 and scores.dtype == np.float32
        assert ids.shape == scores.shape == (3, 60)
        assert_array_equal(ids[0], ids[2])
        assert not (ids == np.array([[7], [3], [7]])).any()
        assert_array_equal(ids == -1, np.isneginf(scores))
        assert (ids[:, -11:] == -1).all()
        for row, of_row in zip(ids, scores, strict=True):
            listed = row[row >= 0]
            assert len(set(listed)) == len(listed)
            order = np.lexsort((listed, -of_row[row >= 0]))
            assert_array_equal(order, np.arange(len(listed)))
        one_ids, one_scores = similar(3, k=60)
        assert_array_equal(one_ids, ids[1])
        assert_array_equal(one_scores, scores[1])

    def test_blocks_make_no_difference(self, similar, monkeypatch):
        expected = similar(np.arange(N_ITEMS), k=7)
        monkeypatch.setattr("skdiffrec._utils.topk._BLOCK_ELEMENTS", 3 * N_ITEMS)
        found = similar(np.arange(N_ITEMS), k=7)
        assert_array_equal(found[0], expected[0])
        assert_array_equal(found[1], expected[1])

    def test_allowed_items(self, similar):
        assert set(similar(3, k=5, items=[3, 4, 5])[0]) <= {4, 5, -1}
        assert not set(similar(3, k=49, filter_items=[4, 5])[0]) & {3, 4, 5}

    def test_refusals(self, similar):
        with pytest.raises(IndexError, match="item_ids contains 50"):
            similar(50)
        with pytest.raises(TypeError, match="item_ids must be integers"):
            similar([0.5])
        with pytest.raises(ValueError, match="k must be at least 1"):
            similar(1, k=0)

    def test_values(self, interactions):
        """Rows of EASE's matrix and of the closed form; angles between columns for ItemKNN."""
        ease = EASERecommender(reg=20.0).fit(interactions)
        ids, scores = ease.similar_items(3, k=49)
        assert_array_equal(scores, ease.item_weights_[3, ids])
        model = tiny_cfg(closed_form=EASERecommender(reg=20.0)).fit(interactions)
        D = model._model.closed_form.weights.numpy()
        ids, scores = model.similar_items(3, k=49)
        assert_array_equal(scores, D[3, ids])
        binary = interactions.toarray() > 0
        ids, scores = ItemKNNRecommender(n_neighbors=49).fit(interactions).similar_items(3, k=5)
        together = (binary.T.astype(float) @ binary)[3, ids]
        norms = np.sqrt(binary.sum(axis=0))
        assert_allclose(scores, together / (norms[3] * norms[ids]), rtol=1e-6)

    def test_as_implicit(self, interactions):
        model = tiny_als().fit(interactions)
        ids, scores = model._als.similar_items(3, N=6)
        found = model.similar_items(3, k=5)
        assert_array_equal(found[0], ids[1:])  # there the item itself is the first
        assert_allclose(found[1], scores[1:], rtol=1e-5)

    def test_output_layer_is_free_of_what_is_common(self, interactions):
        """A vector added to all rows changes no list of users, nor of similar items."""
        model = tiny_cfg().fit(interactions)
        expected = model.similar_items(3, by="output_layer")
        weight = model._model.denoiser.head.write.weight
        weight.data += weight.data[7] * 5
        found = model.similar_items(3, by="output_layer")
        assert_array_equal(found[0], expected[0])
        assert_allclose(found[1], expected[1], atol=1e-4)

    def test_items_of_the_same_group(self):
        """Two groups of users and items that never meet: neighbours are of the same group."""
        rng = np.random.default_rng(0)
        X = np.zeros((200, 20))
        X[:100, :10], X[100:, 10:] = rng.random((2, 100, 10)) < 0.5
        model = tiny_cfg(
            max_epochs=8, closed_form=EASERecommender(reg="auto"), early_stopping=False
        )
        model.fit(csr_array(X))
        for by in ("closed_form", "output_layer"):
            ids, _ = model.similar_items(np.arange(20), k=5, by=by)
            assert (ids // 10 == np.arange(20)[:, None] // 10).mean() > 0.95

    def test_no_closed_form(self, interactions):
        model = tiny_cfg(closed_form=None).fit(interactions)
        assert_array_equal(model.similar_items(3), model.similar_items(3, by="output_layer"))
        with pytest.raises(ValueError, match='needs a closed form.*closed_form="auto"'):
            model.similar_items(3, by="closed_form")
        with pytest.raises(ValueError, match="by must be"):
            model.similar_items(3, by="popularity")
        with pytest.raises(NotFittedError):
            tiny_cfg().similar_items(3)
