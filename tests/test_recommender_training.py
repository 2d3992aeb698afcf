"""CFGDiffusionRecommender: training, early stopping, its closed form."""

import copy
import dataclasses
import itertools
import pickle

import numpy as np
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from recommender_models import assert_same_lists, cfg_fixture, changed, plain_fixture  # noqa: F401
from scipy.sparse import csr_array
from sklearn.base import clone

from skdiffrec._parameters import (
    resolve_dropout,
    resolve_hidden_dims,
    resolve_learning_rate,
    resolve_loss_items,
)
from skdiffrec._training import fit as training
from skdiffrec._training import loop
from skdiffrec.baselines import EASERecommender, ItemKNNRecommender, NeighborhoodRecommender


@pytest.fixture(scope="module")
def overtrained(drift_data, one_rate):
    """Small data and a high learning rate: the best epoch is not the last one."""
    model = tiny_cfg(
        max_epochs=14,
        n_iter_no_change=14,
        learning_rate=0.03,
        dropout=0.0,
        validation_fraction=0.3,
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
        assert shorter.closed_form_weight_ == overtrained.closed_form_weight_
        longer = clone(overtrained).set_params(early_stopping=False).fit(drift_data.train[:200])
        assert (longer.recommend()[0] != overtrained.recommend()[0]).any()

    @pytest.mark.parametrize("patience", [1, 3])
    def test_patience(self, overtrained, drift_data, patience):
        """With one weight of the closed form; of several, a rise of their mean counts too."""
        model = clone(overtrained).set_params(closed_form_weight=1.0)
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

    def test_known_users_keep_their_held_out_items(self, cfg, interactions):
        """Items held out for early stopping belong to the history all the same."""
        assert_same_lists(cfg.recommend(), cfg.recommend(X=interactions))

    @pytest.mark.parametrize(
        ("parameters", "weight"),
        [
            ({"closed_form": None}, 0.0),
            ({"closed_form_weight": 0.7}, 0.7),
            ({"closed_form_weight": 0.0}, 0.0),
            ({"closed_form_weight": 0.7, "early_stopping": False}, 0.7),
            ({"early_stopping": False}, 0.5),
            ({"ranking_head": False}, 0.0),
        ],
    )
    def test_closed_form_weight(self, interactions, parameters, weight):
        assert tiny_cfg(**parameters).fit(interactions).closed_form_weight_ == weight

    def test_shallow_where_rows_are_sparse(self):
        def shape(n_users, n_items, n):
            items = np.arange(n_users * n) % n_items
            rows = np.repeat(range(n_users), n)
            return csr_array((np.ones(n_users * n), (rows, items)), shape=(n_users, n_items))

        dense, sparse = shape(50, 100, 10), shape(50, 1_000, 10)
        assert resolve_hidden_dims("auto", dense) == (240, 240)
        assert resolve_hidden_dims("auto", sparse) == (240,)
        for values, of_sparse in (("binary", 0.3), ("weight", 0.3), ("rating", 0.3), ("time", 0.5)):
            found = [resolve_dropout("auto", X, values) for X in (dense, sparse)]
            assert found == [0.3, of_sparse], values
        assert resolve_dropout(0.1, dense, "binary") == 0.1
        assert [resolve_loss_items("auto", n, None) for n in (8_192, 8_193)] == [None, 2_048]
        assert [resolve_loss_items("auto", n, 1) for n in (2_048, 2_049)] == [None, 1_024]
        assert resolve_loss_items(77, 100, None) == 77

    def test_the_learning_rate_grows_with_the_users_of_a_step(self):
        dense, sparse = csr_array(np.ones((9, 9))), csr_array((9, 9_000))

        def rates(X, values, horizon=None):
            sizes = 16, 64, 96, 128, 1024
            return [resolve_learning_rate("auto", X, values, horizon, n) for n in sizes]

        assert_allclose(rates(sparse, "binary"), [3e-3, 3e-3, 4.5e-3, 5e-3, 5e-3])
        for X, values in ((dense, "binary"), (dense, "time"), (sparse, "time")):
            assert_allclose(rates(X, values), 3e-3)
            assert_allclose(rates(X, "time", 1), 6e-3)
        assert resolve_learning_rate(0.1, sparse, "binary", None, 64) == 0.1

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

    def test_the_scale_is_chosen_on_the_held_out_items_of_early_stopping(self, interactions):
        model = tiny_cfg(guidance_scale="auto", closed_form=None).fit(interactions)
        assert model.best_guidance_scale_ in (0.1, 0.25, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0)
        summary = model._model.training._replace(best_scale=1.6)
        model._model = dataclasses.replace(model._model, training=summary)
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
        model = tiny_cfg(closed_form=None, early_stopping=False).fit(interactions)
        scores = model.decision_function(empty)[0]
        assert (np.diff(counts[np.argsort(-scores, kind="stable")]) <= 0).all()

    def test_closed_forms_differ(self, interactions):
        forms = (
            "auto",
            EASERecommender(reg="auto"),
            NeighborhoodRecommender(),
            ItemKNNRecommender(),
            None,
        )
        models = [
            tiny_cfg(closed_form=form, closed_form_weight=1.0, early_stopping=False)
            for form in forms
        ]
        scores = [model.fit(interactions).decision_function(interactions) for model in models]
        for one, other in itertools.combinations(scores, 2):
            assert (one != other).mean() > 0.9

    def test_a_closed_form_is_left_as_it_was(self, interactions):
        """It is cloned: a search may hand the same object to several fits."""
        form = EASERecommender(reg=20.0)
        model = tiny_cfg(closed_form=form, max_epochs=1).fit(interactions)
        assert model.closed_form is form and not hasattr(form, "item_weights_")

    def test_parameters_of_a_closed_form(self, interactions):
        model = tiny_cfg(closed_form=EASERecommender(reg=1.0), closed_form_weight=1.0)
        near = model.fit(interactions).decision_function(interactions)
        far = clone(model).set_params(closed_form__reg=500.0).fit(interactions)
        assert far.closed_form.reg == 500.0 and model.closed_form.reg == 1.0
        assert (far.decision_function(interactions) != near).any()

    def test_a_heavy_closed_form_ranks_as_ease(self, interactions):
        model = tiny_cfg(
            closed_form=EASERecommender(reg=20.0), closed_form_weight=1e4, validation_fraction=0.1
        )
        ids, _ = model.fit(interactions).recommend(items=range(25))
        # `fit` holds out some items of a tenth of the users from the closed form too
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

        monkeypatch.setattr(training, "train", interrupted)
        with pytest.raises(error):
            model.fit(interactions[:60, :40])
        assert_same_lists(cfg.recommend(), model.recommend())


def best_epoch(model):
    """The last one of those that rank held-out items best."""
    scores = [record["validation_ndcg"] for record in model.history_]
    return 1 + int(np.flatnonzero(np.equal(scores, max(scores)))[-1])


def pickle_round_trip(model):
    return pickle.loads(pickle.dumps(model))


@pytest.fixture
def interrupted_step(monkeypatch):
    """A function that lets Ctrl-C come in training step n, counted from now."""
    batch_loss = loop.batch_loss

    def interrupt_at(n):
        steps = itertools.count(1)

        def interrupted(*args, **options):
            if next(steps) == n:
                raise KeyboardInterrupt
            return batch_loss(*args, **options)

        monkeypatch.setattr(loop, "batch_loss", interrupted)

    return interrupt_at


@pytest.mark.usefixtures("one_rate")
class TestInterruptedClone:
    """What searches and cross-validation fit are clones: Ctrl-C has to end these too."""

    X = slice(0, 64)  # two steps an epoch

    @pytest.mark.parametrize(
        "travel", [lambda model: model, pickle_round_trip], ids=["here", "pickled"]
    )
    def test_ends_what_it_is_fitted_in_and_is_fitted(self, interactions, interrupted_step, travel):
        X = interactions[self.X]
        expected = tiny_cfg(max_epochs=2).fit(X)
        copied = travel(clone(tiny_cfg(max_epochs=30)))
        interrupted_step(2 * 2 + 2)
        with pytest.warns(UserWarning, match="Interrupted after 2 whole epochs.*best weights"):
            with pytest.raises(KeyboardInterrupt):
                copied.fit(X)
        assert copied.n_iter_ == len(copied.history_) == 2
        assert copied.best_validation_score_ == max(
            record["validation_ndcg"] for record in copied.history_
        )
        assert_same_lists(copied.recommend(), expected.recommend())

    def test_an_estimator_itself_goes_on(self, interactions, interrupted_step):
        interrupted_step(2 * 2 + 2)
        with pytest.warns(UserWarning, match="Interrupted after 2 whole epochs"):
            model = tiny_cfg(max_epochs=30).fit(interactions[self.X])
        assert model.n_iter_ == 2

    def test_in_the_first_epoch_it_stays_as_it_was(self, interactions, interrupted_step):
        X = interactions[self.X]
        copied = clone(tiny_cfg())
        interrupted_step(2)
        with pytest.raises(KeyboardInterrupt):
            copied.fit(X)
        assert not hasattr(copied, "n_iter_")
        copied.fit(X)
        expected = copied.recommend()
        interrupted_step(1)
        with pytest.raises(KeyboardInterrupt):
            copied.fit(interactions)
        assert_same_lists(copied.recommend(), expected)

    def test_nothing_is_kept_in_memory(self, interactions, interrupted_step, tmp_path):
        X = interactions[self.X]
        copied = clone(tiny_cfg(memory=tmp_path, max_epochs=3))
        interrupted_step(2 * 2 + 1)
        with pytest.warns(UserWarning, match="Interrupted"), pytest.raises(KeyboardInterrupt):
            copied.fit(X)
        assert copied.n_iter_ == 2 and copied.fit(X).n_iter_ == 3

    def test_a_clone_of_a_clone(self, interactions, interrupted_step):
        interrupted_step(2 * 2 + 1)
        with pytest.warns(UserWarning, match="Interrupted"), pytest.raises(KeyboardInterrupt):
            clone(clone(tiny_cfg())).fit(interactions[self.X])
