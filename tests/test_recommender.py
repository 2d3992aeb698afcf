"""CFGDiffusionRecommender alone: guidance, sampling, training, learning, its parameters."""

import copy
import pickle

import numpy as np
import pytest
import torch
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, vstack
from scipy.stats import spearmanr
from sklearn.base import clone

from skdiffrec import CFGDiffusionRecommender, _chain, _fitting, base
from skdiffrec._parameters import check_dropout, check_hidden_dims, check_loss_items
from skdiffrec.baselines import EASERecommender, PopularityRecommender

N_USERS, N_ITEMS = 120, 50
properties = settings(max_examples=25, deadline=None)
scales_drawn = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, 3.0]) | st.floats(-5, 10)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU")
DRAWN = dict(temperature=1.0, eta=1.0, n_sampling_steps=3, n_samples=2)


@pytest.fixture(scope="module")
def cfg(interactions):
    """Shared: never change it."""
    return tiny_cfg().fit(interactions)


@pytest.fixture(scope="module")
def plain(interactions):
    """Trained without regard to how it will be sampled: no hidden items, no closed form."""
    return tiny_cfg(early_stopping=False, item_path=None).fit(interactions)


def changed(fitted, **parameters):
    """A copy with other parameters, not fitted again."""
    return copy.deepcopy(fitted).set_params(**parameters)


def assert_same_lists(one, other):
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a, b)


class TestGuidance:
    @given(scale=st.floats(-3, 8))
    @properties
    def test_scores_are_affine_in_the_scale(self, cfg, interactions, scale):
        """uncond + s·(cond − uncond), with the branches that 0 and 1 give."""
        at = {
            s: changed(cfg, guidance_scale=s).decision_function(interactions)
            for s in (0.0, 1.0, scale)
        }
        expected = at[0.0] + scale * (at[1.0].astype(float) - at[0.0])
        assert_allclose(at[scale], expected, rtol=1e-4, atol=1e-3)

    def test_one_is_the_conditional_branch_alone(self, cfg, interactions):
        """Whatever the unconditional branch says: here, nothing."""
        broken = copy.deepcopy(cfg)
        broken._model.denoiser.null.data.fill_(np.nan)
        full = np.diff(interactions.indptr) > 0
        assert_array_equal(
            broken.decision_function(interactions[full]), cfg.decision_function(interactions[full])
        )
        broken.set_params(guidance_scale=1.5)
        assert np.isnan(broken.decision_function(interactions[full])).all()

    def test_zero_is_the_unconditional_branch_alone(self, cfg, interactions):
        broken = copy.deepcopy(cfg).set_params(guidance_scale=0.0)
        broken._model.denoiser.read_history[0].data.fill_(np.nan)
        broken._model.denoiser.item_path.weights.fill_(1e6)
        cfg = changed(cfg, guidance_scale=0.0)
        assert_array_equal(
            broken.decision_function(interactions), cfg.decision_function(interactions)
        )

    @pytest.mark.parametrize("parameters", [{}, {"n_sampling_steps": 4, "eta": 0.5}])
    def test_zero_ranks_alike_for_everybody(self, cfg, interactions, parameters):
        cfg = changed(cfg, **parameters)
        ids, scores = cfg.recommend(k=N_ITEMS, guidance_scale=0, filter_seen=False)
        assert (ids == ids[0]).all() and (scores == scores[0]).all()

    @given(scale=st.floats(-1e3, 1e3))
    @properties
    def test_empty_rows_are_unconditional_at_any_scale(self, cfg, interactions, scale):
        expected = cfg.recommend(5, k=N_ITEMS, guidance_scale=0, filter_seen=False)
        assert_same_lists(expected, cfg.recommend(0, k=N_ITEMS, guidance_scale=scale))
        rows = vstack([interactions[[3]], csr_array((1, N_ITEMS)), interactions[[4]]])
        ids, scores = cfg.recommend(X=rows, k=N_ITEMS, guidance_scale=scale)
        assert_same_lists(expected, (ids[1], scores[1]))

    @given(asked=st.lists(st.tuples(st.integers(0, N_USERS - 1), scales_drawn), min_size=1))
    @properties
    def test_a_scale_per_user(self, cfg, interactions, asked):
        """As if every user had been asked for alone."""
        users, scales = [list(column) for column in zip(*asked, strict=True)]
        ids, scores = cfg.recommend(users, guidance_scale=scales)
        for row, (user, scale) in enumerate(asked):
            expected = cfg.recommend(user, guidance_scale=scale)
            assert_same_lists(expected, (ids[row], scores[row]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "_BLOCK_ELEMENTS", 3 * N_ITEMS)
            other = cfg.recommend(X=interactions[users], guidance_scale=np.array(scales))
        assert_same_lists((ids, scores), other)

    def test_forms_of_a_scale(self, cfg):
        expected = cfg.recommend([3, 4], guidance_scale=2.0)
        for scale in (2, np.float32(2), np.array(2.0), [2, 2], (2.0, 2.0), np.array([2, 2])):
            assert_same_lists(expected, cfg.recommend([3, 4], guidance_scale=scale))
        assert_same_lists(
            cfg.recommend(3, guidance_scale=[2.0]), cfg.recommend(3, guidance_scale=2.0)
        )

    def test_none_is_the_estimators(self, cfg):
        dialled = changed(cfg, guidance_scale=2.5)
        assert_same_lists(dialled.recommend(), cfg.recommend(guidance_scale=2.5))
        assert (dialled.recommend()[1] != cfg.recommend()[1]).any()

    @pytest.mark.parametrize("scale", [1e30, 1e39, -1e300])
    def test_a_huge_scale(self, cfg, scale):
        """Refused, or lists of items with finite scores; never NaN, nor gaps before items."""
        try:
            ids, scores = cfg.recommend([3, 4], guidance_scale=scale)
        except ValueError as error:
            assert "guidance_scale" in str(error)
        else:
            assert (ids >= 0).all() and np.isfinite(scores).all()

    def test_fitted_at_zero_and_turned_up(self, interactions):
        """The dial needs no refit: the closed form is there, as `item_path_weight_` says."""
        parameters = dict(guidance_scale=0.0, early_stopping=False)
        model = tiny_cfg(item_path_weight=1.0, **parameters).fit(interactions)
        alone = tiny_cfg(item_path=None, **parameters).fit(interactions)
        assert model.item_path_weight_ == 1.0
        for each in (model, alone):
            each.set_params(guidance_scale=1.0)
        difference = model.decision_function(interactions) - alone.decision_function(interactions)
        assert np.abs(difference).max() > 1e-3


class TestSettingsAfterFit:
    """Six parameters take effect without a refit, and are checked when they are used."""

    CHANGES = {
        "guidance_scale": {"guidance_scale": 3.0},
        "n_sampling_steps": {"n_sampling_steps": 5},
        "start_timestep": {"start_timestep": 30},
        "eta": {"eta": 1.0, "n_sampling_steps": 5},
        "temperature": {"temperature": 1.0},
        "n_samples": {"n_samples": 3, "temperature": 1.0},
    }

    @pytest.mark.parametrize("parameters", CHANGES.values(), ids=CHANGES)
    def test_takes_effect(self, plain, interactions, parameters):
        """As if it had been fitted so."""
        now = changed(plain, **parameters)
        refitted = clone(plain).set_params(**parameters).fit(interactions)
        assert_same_lists(refitted.recommend(), now.recommend())
        name = next(iter(parameters))
        before = changed(now, **{name: getattr(plain, name)})
        assert (before.recommend()[1] != now.recommend()[1]).any()
        assert_array_equal(
            refitted.decision_function(interactions), now.decision_function(interactions)
        )

    def test_and_back(self, plain):
        model = copy.deepcopy(plain)
        model.set_params(**DRAWN, guidance_scale=2.0).recommend()
        model.set_params(**{name: getattr(plain, name) for name in (*DRAWN, "guidance_scale")})
        assert_same_lists(plain.recommend(), model.recommend())

    BAD = {
        "scale nan": (
            {"guidance_scale": np.nan},
            "guidance_scale must lie between -1000 and 1000, got nan",
        ),
        "scale inf": (
            {"guidance_scale": -np.inf},
            "guidance_scale must lie between -1000 and 1000, got -inf",
        ),
        "scale text": ({"guidance_scale": "2"}, "'guidance_scale'.*Got '2'"),
        "scale none": ({"guidance_scale": None}, "guidance_scale.*(None|nan)"),
        "steps 0": ({"n_sampling_steps": 0}, r"'n_sampling_steps'.*\[1, inf\).*Got 0"),
        "steps 2.0": ({"n_sampling_steps": 2.0}, "'n_sampling_steps'.*int.*Got 2.0"),
        "steps > T": (
            {"n_sampling_steps": 101},
            "n_sampling_steps must be at most n_timesteps.*=101 and n_timesteps=100",
        ),
        "steps > start": (
            {"n_sampling_steps": 11, "start_timestep": 10},
            "n_sampling_steps must be at most start_timestep.*=11 and start_timestep=10",
        ),
        "start 0": ({"start_timestep": 0}, r"'start_timestep'.*\[1, inf\).*Got 0"),
        "start > T": (
            {"start_timestep": 101},
            "start_timestep must be at most n_timesteps.*=101 and n_timesteps=100",
        ),
        "eta": ({"eta": 1.5}, r"'eta'.*\[0.0, 1.0\].*Got 1.5"),
        "temperature": ({"temperature": -0.1}, r"'temperature'.*\[0.0, 100.0\].*Got -0.1"),
        "temperature nan": ({"temperature": np.nan}, "'temperature'.*Got nan"),
        "n_samples": ({"n_samples": 0}, r"'n_samples'.*\[1, inf\).*Got 0"),
    }

    @pytest.mark.parametrize(("parameters", "says"), BAD.values(), ids=BAD)
    def test_bad_values(self, cfg, interactions, parameters, says):
        model = changed(cfg, **parameters)
        for use in (
            model.recommend,
            lambda: model.decision_function(interactions),
            lambda: model.score(interactions),
            lambda: model.fit(interactions),
        ):
            with pytest.raises(ValueError, match=f"(?s){says}"):
                use()
        model.set_params(**{name: getattr(cfg, name) for name in parameters})
        assert_same_lists(cfg.recommend(), model.recommend())

    def test_the_fitted_schedule_counts(self, cfg):
        """`n_timesteps` belongs to training, so changing it afterwards changes nothing yet."""
        model = changed(cfg, n_timesteps=10, n_sampling_steps=60)
        expected = changed(cfg, n_sampling_steps=60).recommend()
        assert_same_lists(expected, model.recommend())

    @pytest.mark.parametrize(
        ("scale", "error", "says"),
        [
            (np.nan, ValueError, "guidance_scale must lie between -1000 and 1000, got nan"),
            ([1.0, np.inf], ValueError, "guidance_scale must lie between -1000 and 1000, got inf"),
            ([1.0, 2.0, 3.0], ValueError, r"guidance_scale has shape \(3,\), but 2 users"),
            ([1.0], ValueError, r"guidance_scale has shape \(1,\), but 2 users"),
            ([], ValueError, r"guidance_scale has shape \(0,\), but 2 users"),
            ([[1.0, 2.0]], ValueError, r"guidance_scale has shape \(1, 2\), but 2 users"),
            ("strong", TypeError, "guidance_scale must be a number.*'strong'"),
            ([1.0, None], (TypeError, ValueError), "guidance_scale"),
            (1j, TypeError, "guidance_scale must be a number"),
        ],
    )
    def test_bad_scale_of_a_call(self, cfg, interactions, scale, error, says):
        with pytest.raises(error, match=says):
            cfg.recommend([3, 4], guidance_scale=scale)
        with pytest.raises(error, match=says):
            cfg.recommend(X=interactions[:2], guidance_scale=scale)


@pytest.fixture(scope="module")
def drawing(plain):
    return changed(plain, **DRAWN, guidance_scale=1.5)


class TestDraws:
    """Random numbers belong to a row: they depend on `random_state` and its content alone."""

    def test_reproducible(self, drawing):
        expected = drawing.recommend()
        assert_same_lists(expected, drawing.recommend())
        assert_same_lists(expected, pickle.loads(pickle.dumps(drawing)).recommend())
        np.random.seed(5)
        torch.manual_seed(5)
        assert_same_lists(expected, drawing.recommend())

    @pytest.mark.parametrize("parameters", [DRAWN, {"temperature": 0.7, "start_timestep": 50}])
    def test_belong_to_the_row(self, plain, interactions, parameters):
        """Guidance 0 sees no history, so rows differ by what they draw (and where they start)."""
        drawing = changed(plain, guidance_scale=0.0, **parameters)
        scores = drawing.decision_function(interactions)
        assert len(np.unique(scores, axis=0)) == N_USERS  # each row of its own
        twice = drawing.decision_function(vstack([interactions, interactions[::-1]]))
        assert_array_equal(twice[:N_USERS], scores)
        assert_array_equal(twice[N_USERS:], scores[::-1])

    def test_values_that_say_nothing_draw_nothing(self, drawing, interactions):
        assert_array_equal(
            drawing.decision_function(interactions), drawing.decision_function(interactions > 0)
        )

    def test_random_state_matters(self, interactions):
        lists = [tiny_cfg(random_state=seed).fit(interactions).recommend()[1] for seed in (0, 1)]
        assert (lists[0] != lists[1]).any()

    def test_random_state_may_be_a_generator(self, interactions):
        lists = [
            tiny_cfg(random_state=np.random.RandomState(4)).fit(interactions).recommend()
            for _ in range(2)
        ]
        assert_same_lists(*lists)

    def test_n_samples_average(self, plain, interactions):
        """The error of a mean of n draws falls as 1/√n."""
        drawing = changed(plain, temperature=1.0, n_sampling_steps=2, eta=1.0)
        rows = interactions[3:40]
        at = {
            n: drawing.set_params(n_samples=n).decision_function(rows).astype(float)
            for n in (1, 2, 16, 512)
        }
        error = {n: np.sqrt(((at[n] - at[512]) ** 2).mean()) for n in (1, 2, 16)}
        assert error[1] / error[2] == pytest.approx(np.sqrt(2), rel=0.2)
        assert error[1] / error[16] == pytest.approx(4, rel=0.2)

    def test_mean_of_draws_without_temperature(self, plain):
        assert_allclose(
            changed(plain, n_samples=4).recommend()[1], plain.recommend()[1], rtol=1e-5, atol=1e-5
        )

    def test_every_number_is_drawn_once(self, drawing, interactions, monkeypatch):
        """No step and no sample sees the noise of another."""
        streams = []
        inner = _chain.row_normal

        def spy(keys, dim, stream):
            streams.append(stream)
            return inner(keys, dim, stream)

        monkeypatch.setattr(_chain, "row_normal", spy)
        drawing.decision_function(interactions[3:9])
        assert len(streams) == 6  # 2 samples of a start and, of 3 steps, the two before the last
        assert len(set(streams)) == 6

    def test_temperature_widens(self, plain, interactions):
        middle = plain.decision_function(interactions)
        away = [
            np.abs(changed(plain, temperature=t).decision_function(interactions) - middle).mean()
            for t in (0.1, 0.5, 1.0)
        ]
        assert 0 < away[0] < away[1] < away[2]


class TestSampling:
    @pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("n_steps", [2, 7, 100])
    def test_steps(self, plain, interactions, n_steps, eta):
        model = changed(plain, n_sampling_steps=n_steps, eta=eta)
        scores = model.decision_function(interactions)
        assert np.isfinite(scores).all()
        assert (scores != plain.decision_function(interactions)).any()

    def test_ddim_and_ddpm_differ(self, plain, interactions):
        ddim, ddpm = (
            changed(plain, n_sampling_steps=5, eta=eta).decision_function(interactions)
            for eta in (0.0, 1.0)
        )
        assert (ddim != ddpm).any()

    def test_a_single_step_knows_no_eta(self, plain):
        assert_same_lists(changed(plain, eta=1.0).recommend(), plain.recommend())

    def test_start_from_the_history(self, plain, interactions):
        """Even without condition the history shows through, the more the lower the level."""
        full = np.diff(interactions.indptr) > 0
        alike = changed(plain, guidance_scale=0.0).decision_function(interactions[full])
        assert (alike == alike[0]).all()
        spread = [
            changed(plain, guidance_scale=0.0, start_timestep=t)
            .decision_function(interactions[full])
            .std(axis=0)
            .mean()
            for t in (90, 50, 5)
        ]
        assert 0 < spread[0] < spread[1] < spread[2]

    def test_empty_rows_start_somewhere_too(self, plain):
        scores = changed(plain, start_timestep=40).decision_function(csr_array((2, N_ITEMS)))
        assert np.isfinite(scores).all() and (scores[0] == scores[1]).all()

    @pytest.mark.parametrize(
        ("parameters", "threads"),
        [
            ({}, 1),
            ({}, 2),
            ({"loss": "squared", "latent_dim": None, "start_timestep": 40}, 1),
            ({"item_path": "neighborhood", "hidden_dims": (70, 130)}, 1),
        ],
        ids=["default", "two threads", "item space", "odd widths"],
    )
    def test_wide_networks_are_batch_invariant(self, drift_data, parameters, threads):
        """Matrix products of other shapes may round differently: not here."""
        X = drift_data.train
        defaults = dict(hidden_dims=(600, 600), max_epochs=1, batch_size=500)
        wide = tiny_cfg(**{**defaults, **parameters})
        wide.fit(X).set_params(temperature=1.0, n_sampling_steps=2)
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(threads)
            scales = np.resize([0.0, 1.0, 1.7, 1.0, 3.0], X.shape[0])
            expected = wide.recommend(guidance_scale=scales)
            users = np.random.default_rng(0).permutation(X.shape[0])
            for size in (1, 5, 16, 37, 150):
                some = users[: 2 * size + 1]
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(base, "_BLOCK_ELEMENTS", size * X.shape[1])
                    lists = wide.recommend(some, guidance_scale=scales[some])
                assert_same_lists([part[some] for part in expected], lists)
        finally:
            torch.set_num_threads(before)


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


class TestConfigurations:
    @pytest.mark.parametrize("latent_dim", [None, 8])
    @pytest.mark.parametrize("loss", ["multinomial", "squared"])
    @pytest.mark.parametrize("noise_schedule", ["linear", "cosine", "linear_variance"])
    @pytest.mark.parametrize("prediction_type", ["x0", "epsilon", "v"])
    def test_every_combination(
        self, interactions, prediction_type, noise_schedule, loss, latent_dim
    ):
        model = tiny_cfg(
            prediction_type=prediction_type,
            noise_schedule=noise_schedule,
            loss=loss,
            latent_dim=latent_dim,
            max_epochs=1,
        ).fit(interactions)
        before = model.decision_function(interactions)
        assert np.isfinite(before).all() and np.isfinite(model.history_[0]["loss"])
        assert len(np.unique(before[3:], axis=0)) > 100  # personal
        for parameters in (
            {"n_sampling_steps": 4, "guidance_scale": 2.0},
            {"n_sampling_steps": 4, "eta": 1.0, "temperature": 1.0, "n_samples": 2},
            {"start_timestep": 25, "n_sampling_steps": 2},
        ):
            scores = changed(model, **parameters).decision_function(interactions)
            assert np.isfinite(scores).all() and (scores != before).any()

    @pytest.mark.parametrize(
        "parameters",
        [
            {"hidden_dims": [16]},
            {"hidden_dims": np.array([16, 16, 8])},
            {"latent_dim": 500},
            {"latent_dim": 1},
            {"time_dim": 1},
            {"time_dim": 7},
            {"batch_size": 1000},
            {"batch_size": 1},
            {"n_timesteps": 1},
            {"cond_drop_prob": 0.0},
            {"cond_drop_prob": 1.0},
            {"condition_dropout": 0.0},
            {"condition_dropout": 0.9},
            {"condition_dropout": (0.0, 0.5)},
            {"condition_dropout": [0.2, 0.2]},
            {"values": "time", "condition_dropout": 0.0},
            {"values": "time", "half_life": None},
            {"dropout": 0.0},
            {"ema_decay": 0.0},
            {"weight_decay": 0.1},
            {"item_path": "neighborhood", "latent_dim": None},
            {"device": torch.device("cpu")},
            {"random_state": None},
        ],
        ids=str,
    )
    def test_edges_of_parameters(self, interactions, parameters):
        model = tiny_cfg(**{"max_epochs": 1, **parameters}).fit(interactions[:40])
        assert np.isfinite(model.decision_function(interactions)).all()
        assert clone(model).get_params().keys() == model.get_params().keys()

    @pytest.mark.parametrize(
        "parameters",
        [
            {"cond_drop_prob": 0.6},
            {"condition_dropout": 0.5},
            {"n_timesteps": 50},
            {"noise_schedule": "linear"},
            {"prediction_type": "v"},
            {"loss": "squared"},
            {"latent_dim": 8},
            {"time_dim": 8},
            {"dropout": 0.1},
            {"batch_size": 50},
            {"learning_rate": 5e-3},
            {"weight_decay": 0.5},
            {"ema_decay": 0.5},
            {"hidden_dims": (32,)},
            {"random_state": 1},
        ],
        ids=str,
    )
    def test_training_parameters_matter(self, plain, interactions, parameters):
        other = clone(plain).set_params(**parameters).fit(interactions)
        differs = other.decision_function(interactions) != plain.decision_function(interactions)
        assert differs.mean() > 0.9

    @pytest.mark.parametrize("name", ["beta_start", "beta_end"])
    @pytest.mark.parametrize("noise_schedule", ["linear", "linear_variance", "cosine"])
    def test_betas_matter(self, interactions, noise_schedule, name):
        """But for the cosine schedule, which has no ends to set."""
        parameters = dict(noise_schedule=noise_schedule, max_epochs=1, early_stopping=False)
        scores = [
            tiny_cfg(**parameters, **{name: value})
            .fit(interactions)
            .decision_function(interactions)
            for value in (1e-3, 1e-2)
        ]
        assert (scores[0] == scores[1]).all() == (noise_schedule == "cosine")

    def test_null_token_is_learned_from_dropped_conditions(self, interactions):
        rows = interactions[3:]  # all long enough to show something
        for probability in (0.0, 0.3):
            model = tiny_cfg(cond_drop_prob=probability, early_stopping=False).fit(rows)
            assert bool(model._model.denoiser.null.any()) == (probability > 0)

    def test_the_papers(self, interactions):
        """arXiv 2409.10494, as the docstring of `paper` tells it."""
        paper = CFGDiffusionRecommender.paper()
        assert paper.noise_schedule == "linear" and paper.prediction_type == "epsilon"
        assert paper.cond_drop_prob == 0.2 and paper.condition_dropout == 0.0
        assert paper.latent_dim is None and paper.item_path is None
        assert paper.early_stopping is True
        model = CFGDiffusionRecommender.paper(
            hidden_dims=(32,), max_epochs=2, device="cpu", random_state=0, guidance_scale=2.0
        )
        assert model.guidance_scale == 2.0 and model.prediction_type == "epsilon"
        model.fit(interactions)
        assert model.best_validation_score_ is not None
        ids, scores = model.recommend(k=5)
        assert np.isfinite(scores[3:]).all() and (ids[3:] >= 0).all()

    def test_defaults_may_be_shared(self):
        """No default is mutable, and every parameter is keyword-only."""
        for value in CFGDiffusionRecommender().get_params().values():
            hash(value)
        with pytest.raises(TypeError):
            CFGDiffusionRecommender(1.5)


class TestBadParameters:
    BAD = {
        "beta_start > beta_end": (
            {"beta_start": 0.03, "beta_end": 0.02},
            "beta_start must be at most beta_end, got beta_start=0.03 and beta_end=0.02",
        ),
        "beta_start 0": ({"beta_start": 0.0}, "beta_start must lie.*between 0 and 1, got 0.0"),
        "beta_start < 0": ({"beta_start": -0.1}, "beta_start must lie.*0 and 1, got -0.1"),
        "beta_start nan": ({"beta_start": np.nan}, "beta_start must lie.*0 and 1, got nan"),
        "beta_end 1": ({"beta_end": 1.0}, "beta_end must lie.*between 0 and 1, got 1.0"),
        "beta_end > 1": ({"beta_end": 1.5}, "beta_end must lie.*between 0 and 1, got 1.5"),
        "steps > T": (
            {"n_timesteps": 5, "n_sampling_steps": 6},
            "n_sampling_steps must be at most n_timesteps.*=6 and n_timesteps=5",
        ),
        "start > T": (
            {"n_timesteps": 5, "start_timestep": 6},
            "start_timestep must be at most n_timesteps.*=6 and n_timesteps=5",
        ),
        "n_timesteps": ({"n_timesteps": 0}, "'n_timesteps'.*Got 0"),
        "noise_schedule": ({"noise_schedule": "sine"}, "'noise_schedule'.*'linear'.*Got 'sine'"),
        "prediction_type": ({"prediction_type": "x"}, "'prediction_type'.*'x0'.*Got 'x'"),
        "loss": ({"loss": "hinge"}, "'loss'.*'squared'.*Got 'hinge'"),
        "item_path": ({"item_path": "knn"}, "'item_path'.*'ease'.*Got 'knn'"),
        "item_path_reg": ({"item_path_reg": 0.0}, "'item_path_reg'.*Got 0.0"),
        "item_path_weight": ({"item_path_weight": -1.0}, "'item_path_weight'.*Got -1.0"),
        "latent_dim": ({"latent_dim": 0}, "'latent_dim'.*Got 0"),
        "half_life": ({"half_life": 0.0}, "'half_life'.*Got 0.0"),
        "cond_drop_prob": ({"cond_drop_prob": 1.5}, r"'cond_drop_prob'.*\[0.0, 1.0\].*Got 1.5"),
        "condition_dropout 1": ({"condition_dropout": 1.0}, "'condition_dropout'.*Got 1.0"),
        "condition_dropout < 0": ({"condition_dropout": -0.1}, "'condition_dropout'.*Got -0.1"),
        "condition_dropout text": ({"condition_dropout": "half"}, "'condition_dropout'.*'half'"),
        "condition_dropout order": (
            {"condition_dropout": (0.5, 0.3)},
            r"condition_dropout must be.*0 <= low <= high < 1, got \(0.5, 0.3\)",
        ),
        "condition_dropout high": (
            {"condition_dropout": (0.5, 1.0)},
            r"condition_dropout must be.*got \(0.5, 1.0\)",
        ),
        "condition_dropout nan": (
            {"condition_dropout": (0.1, np.nan)},
            r"condition_dropout must be.*got \(0.1, nan\)",
        ),
        "condition_dropout of 3": (
            {"condition_dropout": (0.1, 0.2, 0.3)},
            r"condition_dropout must be.*got \(0.1, 0.2, 0.3\)",
        ),
        "condition_dropout of 0": ({"condition_dropout": ()}, r"condition_dropout must.*got \(\)"),
        "condition_dropout of texts": (
            {"condition_dropout": ("low", "high")},
            r"condition_dropout must be.*got \('low', 'high'\)",
        ),
        "hidden_dims none": ({"hidden_dims": ()}, r"hidden_dims must be.*got \(\)"),
        "hidden_dims 0": ({"hidden_dims": (32, 0)}, r"hidden_dims must be.*got \(32, 0\)"),
        "hidden_dims < 0": ({"hidden_dims": (-8,)}, r"hidden_dims must be.*got \(-8,\)"),
        "hidden_dims float": ({"hidden_dims": (32.0,)}, r"hidden_dims must be.*got \(32.0,\)"),
        "hidden_dims bool": ({"hidden_dims": (True,)}, r"hidden_dims must be.*got \(True,\)"),
        "hidden_dims int": ({"hidden_dims": 32}, "'hidden_dims'.*array-like.*Got 32"),
        "hidden_dims text": ({"hidden_dims": "32"}, "'?hidden_dims'?.*32"),
        "hidden_dims 2-D": ({"hidden_dims": [[32], [32]]}, "hidden_dims must be"),
        "hidden_dims ragged": ({"hidden_dims": [[32], [32, 8]]}, "hidden_dims must be"),
        "time_dim": ({"time_dim": 0}, "'time_dim'.*Got 0"),
        "dropout": ({"dropout": 1.0}, r"'dropout'.*\[0.0, 1.0\).*Got 1.0"),
        "max_epochs": ({"max_epochs": 0}, "'max_epochs'.*Got 0"),
        "batch_size": ({"batch_size": 0}, "'batch_size'.*Got 0"),
        "learning_rate": ({"learning_rate": 0.0}, "'learning_rate'.*Got 0.0"),
        "weight_decay": ({"weight_decay": -1.0}, "'weight_decay'.*Got -1.0"),
        "ema_decay": ({"ema_decay": 1.0}, "'ema_decay'.*Got 1.0"),
        "early_stopping": ({"early_stopping": "yes"}, "'early_stopping'.*Got 'yes'"),
        "validation_fraction": ({"validation_fraction": 1.0}, "'validation_fraction'.*Got 1.0"),
        "n_iter_no_change": ({"n_iter_no_change": 0}, "'n_iter_no_change'.*Got 0"),
        "device name": ({"device": "gpu"}, "device='gpu' is not a device.*\"cpu\""),
        "device empty": ({"device": ""}, "device='' is not a device"),
        "device int": ({"device": 0}, "'device'.*Got 0"),
        "device meta": ({"device": "meta"}, "device='meta'"),
        "random_state": ({"random_state": "dice"}, "'random_state'.*Got 'dice'"),
    }

    @pytest.mark.parametrize(("parameters", "says"), BAD.values(), ids=BAD)
    def test_fit(self, cfg, interactions, parameters, says):
        """A fitted model keeps its lists through the failed refit."""
        model = changed(cfg, **parameters)
        with pytest.raises(ValueError, match=f"(?s){says}"):
            model.fit(interactions)
        model.set_params(**{name: getattr(cfg, name) for name in parameters})
        assert_same_lists(cfg.recommend(), model.recommend())

    def test_unknown_parameter(self):
        with pytest.raises(TypeError, match="guidance"):
            CFGDiffusionRecommender(guidance=2.0)
        with pytest.raises(ValueError, match="Invalid parameter 'guidance'"):
            CFGDiffusionRecommender().set_params(guidance=2.0)

    @pytest.mark.parametrize("temperature", [np.inf, 1e300])
    def test_endless_temperature(self, cfg, temperature):
        """Refused, or lists of items with finite scores."""
        model = changed(cfg, temperature=temperature)
        try:
            ids, scores = model.recommend([3, 4])
        except ValueError as error:
            assert "temperature" in str(error)
        else:
            assert (ids >= 0).all() and np.isfinite(scores).all()


def tensors_of(model):
    """Every tensor that a pickle of the model holds."""
    found = []

    class Pickler(pickle.Pickler):
        def reducer_override(self, value):
            if isinstance(value, torch.Tensor):
                found.append(value)
            return NotImplemented

    Pickler(open("/dev/null", "wb")).dump(model)
    return found


class TestDevice:
    def test_a_pickle_holds_arrays_alone(self, cfg):
        assert not tensors_of(cfg)  # nothing of torch: arrays, which any machine can read
        assert len(tensors_of(cfg._model.denoiser)) > 10

    @without_cuda
    def test_fitted_for_a_gpu_used_without(self, cfg):
        model = changed(cfg, device="cuda")
        with pytest.warns(UserWarning, match="device='cuda'.*no GPU.*auto"):
            lists = model.recommend()
        assert_same_lists(cfg.recommend(), lists)

    @without_cuda
    @pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda")], ids=str)
    def test_no_gpu_to_fit_on(self, cfg, interactions, device):
        model = changed(cfg, device=device)
        with pytest.raises(ValueError, match='device=\'cuda.*no GPU.*"cpu"'):
            model.fit(interactions)
        model.set_params(device="auto")
        assert_same_lists(cfg.recommend(), model.recommend())

    @needs_cuda
    @pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
    def test_gpu(self, interactions, device):
        model = tiny_cfg(device=device, guidance_scale=1.5).fit(interactions)
        assert model._model.denoiser.null.device.type == "cuda"
        scores = model.decision_function(interactions)
        loaded = pickle.loads(pickle.dumps(model))
        assert not tensors_of(model)
        assert model._model.denoiser.null.device.type == "cuda"  # pickling moved a copy
        loaded.set_params(device="cpu")
        assert_allclose(loaded.decision_function(interactions), scores, rtol=1e-3, atol=1e-3)

    @needs_cuda
    def test_a_model_of_the_cpu_moves_to_the_gpu(self, cfg, interactions):
        moved = changed(cfg, device="cuda")
        assert_allclose(
            moved.decision_function(interactions),
            cfg.decision_function(interactions),
            rtol=1e-3,
            atol=1e-3,
        )

    @needs_cuda
    def test_draws_are_the_same_on_any_device(self, plain, interactions):
        drawing = changed(plain, **DRAWN)
        expected = drawing.decision_function(interactions)
        drawing.set_params(device="cuda")
        assert_allclose(drawing.decision_function(interactions), expected, rtol=1e-3, atol=1e-3)

    @needs_cuda
    def test_invariance_on_the_gpu(self, interactions):
        model = tiny_cfg(device="cuda", guidance_scale=1.5).fit(interactions)
        expected = model.recommend()
        for users in ([5], [7, 5, 5], np.arange(N_USERS)[::-1]):
            assert_same_lists([part[users] for part in expected], model.recommend(users))


WELL_TRAINED = dict(hidden_dims=(128, 128), max_epochs=10, item_path_reg=100.0)


@pytest.fixture(scope="module")
def judge(drift_data):
    return lambda model: model.score(drift_data.train, drift_data.test)


@pytest.fixture(scope="module")
def popularity(drift_data, judge):
    return judge(PopularityRecommender().fit(drift_data.train))


@pytest.fixture(scope="module")
def ease(drift_data, judge):
    models = (EASERecommender(reg=reg).fit(drift_data.train) for reg in (50.0, 100.0, 200.0))
    return max(judge(model) for model in models)


@pytest.fixture(scope="module")
def binary(drift_data):
    return tiny_cfg(**WELL_TRAINED).fit(drift_data.train)


@pytest.fixture(scope="module")
def timed(drift_data):
    return tiny_cfg(**WELL_TRAINED, values="time").fit(drift_data.train)


class TestLearning:
    """On data whose users change their taste: 1,000 users, 300 items."""

    def test_strong_models_beat_popularity(self, binary, ease, popularity, judge):
        assert ease > 1.8 * popularity
        assert judge(binary) > 1.8 * popularity

    def test_as_good_as_ease(self, binary, ease, judge):
        assert judge(binary) > 0.95 * ease

    def test_the_network_alone_beats_popularity(self, drift_data, popularity, judge):
        parameters = {**WELL_TRAINED, "item_path": None}
        assert judge(tiny_cfg(**parameters).fit(drift_data.train)) > 1.6 * popularity

    def test_the_order_of_time_is_worth_something(self, timed, binary, judge):
        assert judge(timed) > 1.04 * judge(binary)

    def test_time_beats_its_own_items_in_another_order(self, timed, drift_data, judge):
        """What counts is the order: with all times turned round the same model is worse."""
        turned = drift_data.train.copy()
        turned.data = turned.data.max() + 1 - turned.data
        assert judge(timed) > 1.1 * timed.score(turned, drift_data.test)

    def test_training_looks_forward_in_time(self, drift_data, judge):
        """Without recency weights what is left is the order of training: measured .244, .205."""
        turned = drift_data.train.copy()
        turned.data = turned.data.max() + 1 - turned.data
        parameters = {**WELL_TRAINED, "values": "time", "half_life": None, "item_path": None}
        forward, backward = (
            tiny_cfg(**parameters, early_stopping=False).fit(X) for X in (drift_data.train, turned)
        )
        assert judge(forward) > 1.08 * judge(backward)

    def test_new_users_are_served_as_well(self, drift_data, judge, popularity):
        """Half the users were never in `fit`."""
        half = drift_data.train.shape[0] // 2
        model = tiny_cfg(**WELL_TRAINED).fit(drift_data.train[:half])
        unseen = model.score(drift_data.train[half:], drift_data.test[half:])
        assert unseen > 1.6 * popularity

    def test_unguided_is_popular(self, binary, drift_data):
        popularity = PopularityRecommender().fit(drift_data.train).popularity_
        unguided = copy.deepcopy(binary).set_params(guidance_scale=0.0)
        scores = unguided.decision_function(csr_array((1, 300)))[0]
        assert spearmanr(scores, popularity).statistic > 0.8

    def test_guidance_is_a_dial_from_popular_to_personal(self, binary, drift_data, judge):
        popularity = PopularityRecommender().fit(drift_data.train).popularity_
        popular, distinct, ndcg = [], [], []
        for scale in (0.0, 0.3, 1.0):
            ids, _ = binary.recommend(guidance_scale=scale)
            popular.append(popularity[ids].mean())
            distinct.append(len(np.unique(ids)))
            ndcg.append(judge(copy.deepcopy(binary).set_params(guidance_scale=scale)))
        assert popular[0] > popular[1] > popular[2]
        assert distinct[0] < distinct[1] < distinct[2]
        assert ndcg[0] < ndcg[1] < ndcg[2]
