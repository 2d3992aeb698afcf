"""CFGDiffusionRecommender: training, early stopping, its closed form."""

import copy

import numpy as np
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_array_equal
from recommender_models import assert_same_lists, cfg_fixture, changed, plain_fixture  # noqa: F401
from scipy.sparse import csr_array
from sklearn.base import clone

from skdiffrec import _fitting
from skdiffrec._parameters import check_dropout, check_hidden_dims, check_loss_items
from skdiffrec.baselines import EASERecommender


@pytest.fixture(scope="module")
def overtrained(drift_data):
    """Small data and a high learning rate: the best epoch is not the last one."""
    model = tiny_cfg(
        max_epochs=14,
        n_iter_no_change=14,
        learning_rate=0.03,
        dropout=0.0,
        validation_fraction=0.1,
    )
    model.fit(drift_data.train[:200])
    assert best_epoch(model) < model.n_iter_ == 14
    return model


class TestTraining:
    def test_history(self, overtrained):
        assert [record["epoch"] for record in overtrained.history_] == list(range(1, 15))
        for record in overtrained.history_:
            assert set(record) == {"epoch", "loss", "validation_ndcg"}
            assert np.isfinite(record["loss"]) and 0 <= record["validation_ndcg"] <= 1
        losses = [record["loss"] for record in overtrained.history_]
        assert losses[-1] < losses[0]

    def test_best_score(self, overtrained):
        values = [record["validation_ndcg"] for record in overtrained.history_]
        assert overtrained.best_validation_score_ == max(values)

    def test_best_epoch_is_kept(self, overtrained, drift_data):
        """The model is the one that training up to that epoch gives."""
        shorter = clone(overtrained).set_params(max_epochs=best_epoch(overtrained))
        shorter.fit(drift_data.train[:200])
        assert_same_lists(shorter.recommend(), overtrained.recommend())
        assert shorter.item_path_weight_ == overtrained.item_path_weight_
        longer = clone(overtrained).set_params(early_stopping=False).fit(drift_data.train[:200])
        assert (longer.recommend()[0] != overtrained.recommend()[0]).any()

    @pytest.mark.parametrize("patience", [1, 3])
    def test_patience(self, overtrained, drift_data, patience):
        """With one weight of the closed form; of several, a rise of their mean counts too."""
        model = clone(overtrained).set_params(item_path_weight=1.0)
        model.set_params(max_epochs=60, n_iter_no_change=patience).fit(drift_data.train[:200])
        assert model.n_iter_ == best_epoch(model) + patience < 60
        losses, longer = (
            [record["loss"] for record in fitted.history_] for fitted in (model, overtrained)
        )
        n_both = min(len(losses), len(longer))
        assert losses[:n_both] == longer[:n_both]

    @pytest.mark.parametrize("max_epochs", [1, 4])
    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_max_epochs(self, interactions, max_epochs, early_stopping):
        model = tiny_cfg(max_epochs=max_epochs, early_stopping=early_stopping).fit(interactions)
        assert model.n_iter_ == len(model.history_) == max_epochs

    def test_without_early_stopping(self, plain):
        assert plain.best_validation_score_ is None
        assert all(set(record) == {"epoch", "loss"} for record in plain.history_)

    def test_rows_too_short_to_hide_from(self):
        model = tiny_cfg().fit(np.eye(8))
        assert model.best_validation_score_ is None and model.n_iter_ == 3

    def test_known_users_keep_their_hidden_items(self, cfg, interactions):
        """Items hidden for early stopping belong to the history all the same."""
        assert_same_lists(cfg.recommend(), cfg.recommend(X=interactions))

    @pytest.mark.parametrize(
        ("parameters", "weight"),
        [
            ({"item_path": None}, 0.0),
            ({"item_path_weight": 0.7}, 0.7),
            ({"item_path_weight": 0.0}, 0.0),
            ({"item_path_weight": 0.7, "early_stopping": False}, 0.7),
            ({"early_stopping": False}, 0.5),
            ({"loss": "squared"}, 0.0),
        ],
    )
    def test_item_path_weight(self, interactions, parameters, weight):
        assert tiny_cfg(**parameters).fit(interactions).item_path_weight_ == weight

    def test_shallow_where_rows_are_sparse(self):
        def shape(n_users, n_items, n):
            items = np.arange(n_users * n) % n_items
            rows = np.repeat(range(n_users), n)
            return csr_array((np.ones(n_users * n), (rows, items)), shape=(n_users, n_items))

        dense, sparse = shape(50, 100, 10), shape(50, 1_000, 10)
        assert check_hidden_dims("auto", dense) == (240, 240)
        assert check_hidden_dims("auto", sparse) == (240,)
        assert [check_dropout("auto", X) for X in (dense, sparse)] == [0.3, 0.5]
        assert check_dropout(0.1, dense) == 0.1
        assert [check_loss_items("auto", n) for n in (8_192, 8_193)] == [None, 4_096]
        assert check_loss_items(77, 100) == 77

    def test_a_loss_on_some_items(self, interactions):
        some, all_items = (tiny_cfg(n_loss_items=n).fit(interactions) for n in (45, None))
        assert some.n_iter_ == 3
        assert not np.array_equal(
            some.decision_function(interactions), all_items.decision_function(interactions)
        )
        exact = tiny_cfg(n_loss_items=50).fit(interactions)
        assert_array_equal(
            exact.decision_function(interactions), all_items.decision_function(interactions)
        )

    def test_the_scale_is_chosen_on_the_hidden_items_of_early_stopping(self, interactions):
        model = tiny_cfg(guidance_scale="auto", item_path=None).fit(interactions)
        assert model.best_guidance_scale_ in (0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0)
        model._model.best_scale = 1.6
        fixed = changed(model, guidance_scale=1.6)
        assert_array_equal(model.recommend([1, 2])[1], fixed.recommend([1, 2])[1])
        assert_array_equal(model.recommend([1], guidance_scale="auto")[1], fixed.recommend([1])[1])
        *_, last = model.staged_decision_function(interactions[:3])
        assert_array_equal(last, fixed.decision_function(interactions[:3]))
        plain = tiny_cfg(guidance_scale="auto", early_stopping=False).fit(interactions)
        assert plain.best_guidance_scale_ == 1

    def test_an_empty_history_ranks_by_popularity(self, interactions):
        empty = csr_array((1, interactions.shape[1]))
        counts = np.asarray(interactions.astype(bool).sum(axis=0))
        model = tiny_cfg(item_path=None, early_stopping=False).fit(interactions)
        scores = model.decision_function(empty)[0]
        assert (np.diff(counts[np.argsort(-scores, kind="stable")]) <= 0).all()

    def test_item_paths_differ(self, interactions):
        scores = [
            tiny_cfg(item_path=path, item_path_weight=1.0, early_stopping=False)
            .fit(interactions)
            .decision_function(interactions)
            for path in ("auto", "ease", "neighborhood", None)
        ]
        # "auto" is one of the two forms with a ridge of its own
        assert (scores[1] != scores[2]).any() and (scores[1] != scores[3]).any()

    def test_a_heavy_path_ranks_as_ease(self, interactions):
        model = tiny_cfg(
            item_path="ease", item_path_reg=20.0, item_path_weight=1e4, validation_fraction=0.1
        )
        ids, _ = model.fit(interactions).recommend(items=range(25))
        # `fit` hides some items of a tenth of the users from the closed form too
        without = clone(model).set_params(early_stopping=False).fit(interactions)
        expected, _ = EASERecommender(reg=20.0).fit(interactions).recommend(items=range(25))
        filled = np.diff(interactions.indptr) > 0
        assert (without.recommend(items=range(25))[0] == expected)[filled].mean() > 0.98
        assert (ids == expected)[filled].mean() > 0.5

    def test_progress_bar_on_request(self, interactions, capfd):
        tiny_cfg(max_epochs=1).fit(interactions)
        assert capfd.readouterr() == ("", "")
        tiny_cfg(max_epochs=1, verbose=1).fit(interactions)
        printed = capfd.readouterr()
        assert "1/1" in printed.err and "loss" in printed.err and printed.out == ""
        assert "validation_ndcg" in printed.err

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_an_interrupted_refit_leaves_the_model(self, cfg, interactions, monkeypatch, error):
        model = copy.deepcopy(cfg)

        def interrupted(*args, **kwargs):
            raise error

        monkeypatch.setattr(_fitting, "train", interrupted)
        with pytest.raises(error):
            model.fit(interactions[:60, :40])
        assert_same_lists(cfg.recommend(), model.recommend())


def best_epoch(model):
    return 1 + int(np.argmax([record["validation_ndcg"] for record in model.history_]))
