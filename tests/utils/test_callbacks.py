"""scikit-learn's callbacks, the history of a fit, and Ctrl-C."""

import numpy as np
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_array_equal
from profiled_models import data_of
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffrec._training import loop
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer

try:
    from sklearn.callback import ProgressBar, ScoringMonitor
except ImportError:
    ProgressBar = ScoringMonitor = None
needs_callbacks = pytest.mark.skipif(
    ScoringMonitor is None, reason="scikit-learn has callbacks from 1.9 on"
)

RATED = {"values": "rating", "liked_from": 3.0}  # own means change with what is held out


def ndcg_monitor():
    return ScoringMonitor(scoring={"ndcg": RankingScorer("ndcg")})


def logged(monitor):
    """The scores of epochs, in order."""
    return [row["ndcg"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]


class Recorder:
    """A callback that notes what it is given, and does something at an epoch."""

    def __init__(self, epoch=None, act=lambda: None):
        self.epoch, self.act, self.begun, self.models, self.ended = epoch, act, 0, [], 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.ended += 1

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch":
            self.begun += 1
            if self.begun == self.epoch:
                self.act()

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        if context.task_name == "epoch":
            self.models.append(fitted_estimator)
            self.data = X, y


@needs_callbacks
class TestCallbacks:
    def test_monitor_logs_held_out_items_after_every_epoch(self, interactions):
        monitor = ndcg_monitor()
        model = tiny_cfg(closed_form=None).set_callbacks(monitor, ProgressBar()).fit(interactions)
        expected = [entry["validation_ndcg"] for entry in model.history_]
        np.testing.assert_allclose(logged(monitor), expected, rtol=1e-6)

    @pytest.mark.parametrize("early_stopping", [True, False])
    def test_callbacks_leave_the_fit_as_it_is(self, interactions, early_stopping):
        model = tiny_cfg(early_stopping=early_stopping)
        expected = model.fit(interactions).decision_function(interactions)
        recorder = Recorder()
        model.set_callbacks(recorder).fit(interactions)
        assert_array_equal(model.decision_function(interactions), expected)
        assert recorder.ended == 1 and recorder.begun == len(recorder.models) == model.n_iter_

    def test_the_model_of_an_epoch_is_that_of_a_fit_which_ends_there(self, interactions, one_rate):
        recorder = Recorder()
        tiny_cfg(early_stopping=False).set_callbacks(recorder).fit(interactions)
        for n, model in enumerate(recorder.models, 1):
            expected = tiny_cfg(early_stopping=False, max_epochs=n).fit(interactions)
            assert_array_equal(
                model.decision_function(interactions), expected.decision_function(interactions)
            )
            assert model.n_iter_ == n and model.history_ == expected.history_
        assert recorder.data[0].shape == interactions.shape and recorder.data[1] is None

    def test_a_holdout_given_as_y_is_scored_without_early_stopping(self, interactions, holdout):
        X, y = interactions, holdout
        monitor = ndcg_monitor()
        model = tiny_cfg(early_stopping=False).set_callbacks(monitor).fit(X, y)
        assert logged(monitor)[-1] == model.score(X, y)

    @pytest.mark.parametrize("kind", [{}, {"values": "time", "horizon": 2}, RATED], ids=str)
    def test_a_monitor_is_given_what_is_known_of_the_users(self, kind, recwarn):
        data = data_of(values=kind.get("values", "binary"))
        monitor, given = ndcg_monitor(), data.user_features * 5  # a model scales them itself
        model = tiny_cfg(closed_form=None, **kind).set_callbacks(monitor)
        model.fit(data.train, user_features=given)
        expected = [entry["validation_ndcg"] for entry in model.history_]
        np.testing.assert_allclose(logged(monitor), expected, rtol=1e-6)
        assert not recwarn.list
        model.set_callbacks(monitor).fit(data.train)
        assert np.abs(np.subtract(logged(monitor), expected)).max() > 1e-3  # they say something

    def test_a_monitor_of_ratings(self):
        data = data_of(values="rating")
        monitor = ndcg_monitor()
        model = tiny_cfg(closed_form=None, **RATED).set_callbacks(monitor).fit(data.train)
        expected = [entry["validation_ndcg"] for entry in model.history_]
        np.testing.assert_allclose(logged(monitor), expected, rtol=1e-6)

    @pytest.mark.parametrize("routing", [True, False])
    def test_features_of_all_users_without_early_stopping(self, routing, recwarn):
        data = data_of()
        X, y, U = data.train, data.test, data.user_features
        with config_context(enable_metadata_routing=routing):
            scorer = RankingScorer("ndcg").set_score_request(user_features=True)
            monitor = ScoringMonitor(scoring={"ndcg": scorer})
            model = tiny_cfg(early_stopping=False).set_callbacks(monitor)
            model.fit(X, y, user_features=U)
        assert logged(monitor)[-1] == model.score(X, y, user_features=U)
        assert not recwarn.list

    def test_a_callback_may_end_training(self, interactions, tmp_path):
        class Stopper(Recorder):
            def on_fit_task_end(self, estimator, context):
                return context.task_name == "epoch" and context.task_id == 1

        model = tiny_cfg(max_epochs=5, memory=tmp_path).set_callbacks(Stopper())
        assert model.fit(interactions).n_iter_ == 2
        assert model.set_callbacks().fit(interactions).n_iter_ > 2  # it was not kept in memory

    def test_a_callback_that_fails_leaves_the_model(self, interactions):
        def fail():
            raise RuntimeError("from a callback")

        model = tiny_cfg().fit(interactions)
        expected = model.decision_function(interactions)
        recorder = Recorder(2, fail)
        with pytest.raises(RuntimeError, match="from a callback"):
            model.set_callbacks(recorder).fit(interactions[:40])
        assert recorder.ended == 1
        assert_array_equal(model.decision_function(interactions), expected)
        assert not hasattr(model, "_callback_fit_ctx")

    @pytest.mark.slow
    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_monitor_and_bar_in_a_grid_search(self, interactions, n_jobs):
        monitor = ndcg_monitor()
        model = tiny_cfg(max_epochs=2).set_callbacks(monitor)
        search = GridSearchCV(model, {"dropout": [0.1, 0.5]}, cv=2, n_jobs=n_jobs)
        search.set_callbacks(ProgressBar()).fit(interactions)
        assert len(logged(monitor)) == 2 * (2 * 2 + 1)
        assert all(0 < score < 1 for score in logged(monitor))


class TestHistory:
    def test_one_record_an_epoch(self, interactions):
        pandas = pytest.importorskip("pandas")
        model = tiny_cfg().fit(interactions)
        frame = model.history_.to_frame()
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame) == ["epoch", "loss", "validation_ndcg"]
        assert list(frame["epoch"]) == list(range(1, model.n_iter_ + 1))
        assert frame.to_dict("records") == model.history_


@pytest.fixture
def interrupt(monkeypatch):
    """A function that lets Ctrl-C come after n training steps."""
    batch_loss = loop.batch_loss

    def after(n):
        steps = []

        def interrupted(*args, **kwargs):
            steps.append(1)
            if len(steps) > n:
                monkeypatch.setattr(loop, "batch_loss", batch_loss)
                raise KeyboardInterrupt
            return batch_loss(*args, **kwargs)

        monkeypatch.setattr(loop, "batch_loss", interrupted)

    return after


def steps_of_an_epoch(interactions):
    return -(-int((np.diff(interactions.indptr) > 0).sum()) // 32)


class TestInterrupt:
    def test_after_an_epoch_the_best_weights_stay(
        self, interactions, interrupt, tmp_path, one_rate
    ):
        n = steps_of_an_epoch(interactions)
        settings = dict(early_stopping=False, closed_form=None)
        expected = tiny_cfg(max_epochs=2, **settings).fit(interactions)
        interrupt(2 * n + 1)
        model = tiny_cfg(max_epochs=9, memory=tmp_path, **settings)
        with pytest.warns(UserWarning, match="after 2 whole epochs: fit keeps the weights"):
            model.fit(interactions)
        assert model.n_iter_ == 2
        assert model.history_ == expected.history_
        ids, _ = model.recommend()
        assert ids.shape == (interactions.shape[0], 10)
        assert model.fit(interactions).n_iter_ == 9  # it was not kept in memory

    def test_before_the_end_of_the_first_it_is_as_if_nothing_was(self, interactions, interrupt):
        interrupt(1)
        model = tiny_cfg()
        with pytest.raises(KeyboardInterrupt):
            model.fit(interactions)
        with pytest.raises(NotFittedError):
            model.recommend()

    @pytest.mark.parametrize(
        "search",
        [
            lambda model, X: GridSearchCV(model, {"dropout": [0.1, 0.5]}, cv=2).fit(X),
            lambda model, X: GuidanceScaleCV(model, scales=[1.0, 1.5], cv=2).fit(X),
            lambda model, X: cross_validate(model, X, cv=2),
        ],
    )
    def test_it_ends_a_search(self, interactions, interrupt, search):
        interrupt(2 * steps_of_an_epoch(interactions))
        with pytest.warns(UserWarning, match="Interrupted"), pytest.raises(KeyboardInterrupt):
            search(tiny_cfg(max_epochs=9), interactions)

    def test_a_clone_keeps_the_best_weights_and_raises_again(self, interactions, interrupt):
        n, model = steps_of_an_epoch(interactions), tiny_cfg(max_epochs=9, early_stopping=False)
        interrupt(n + 1)
        with pytest.warns(UserWarning, match="after 1 whole epochs"):
            model.fit(interactions)
        copied = clone(model)
        interrupt(n + 1)
        with pytest.warns(UserWarning, match="Interrupted"), pytest.raises(KeyboardInterrupt):
            copied.fit(interactions)
        assert copied.n_iter_ == 1
        assert_array_equal(copied.recommend()[0], model.recommend()[0])

    def test_a_pipeline_is_no_search(self, interactions, interrupt):
        interrupt(2 * steps_of_an_epoch(interactions))
        pipeline = make_pipeline(FunctionTransformer(), tiny_cfg(max_epochs=9))
        with pytest.warns(UserWarning, match="Interrupted"):
            pipeline.fit(interactions)
        assert pipeline[-1].n_iter_ < 9
