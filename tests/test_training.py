"""Training: how rows are cut, the losses, the running average, the monitor, and the loop."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chisquare
from test_losses import slow_loss
from torch import nn

from skdiffrec._denoiser import Denoiser
from skdiffrec._diffusion import PREDICTION_TYPES, Diffusion
from skdiffrec._early_stopping import (
    Monitor,
    fixed_path_weight,
    split_validation,
    spread_ratio,
)
from skdiffrec._ema import EMA
from skdiffrec._optimizer import AdamW
from skdiffrec._schedules import cumulative_alphas
from skdiffrec._spaces import Bags, ItemSpace
from skdiffrec._training import (
    EpochRecord,
    _draw_timesteps,
    batch_loss,
    epochs,
    train,
)
from skdiffrec._training_rows import Batch, TrainingRows
from skdiffrec._validation import VALUES
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.preprocessing import recency_weights

N_ITEMS = 15
properties = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**31 - 2)
# few different values, so that many are tied
filled_rows = st.lists(
    st.dictionaries(st.integers(0, N_ITEMS - 1), st.sampled_from([1.0, 2.0, 4.0, 7.0]), min_size=1),
    min_size=1,
    max_size=6,
)
ranges = st.tuples(st.floats(0, 0.9), st.floats(0.05, 0.95)).map(sorted).map(tuple)
all_values = pytest.mark.parametrize("values", VALUES)


def to_csr(rows, n_items=N_ITEMS):
    """A canonical CSR from one dict item -> value per row."""
    ordered = [sorted(row.items()) for row in rows]
    indptr = np.cumsum([0, *(len(row) for row in ordered)]).astype(np.int32)
    indices = np.array([item for row in ordered for item, _ in row], np.int32)
    data = np.array([value for row in ordered for _, value in row], np.float64)
    return sp.csr_array((data, indices, indptr), shape=(len(rows), n_items))


def to_rows(X):
    """One dict item -> value per row of a CSR."""
    return bag_rows(Bags.from_csr(X, "cpu"))


def bag_rows(bags):
    """One dict item -> weight per row of Bags."""
    items, weights, offsets = (part.tolist() for part in bags)
    assert offsets[0] == 0 and offsets[-1] == len(items) == len(weights)
    return [
        dict(zip(items[start:stop], weights[start:stop], strict=True))
        for start, stop in zip(offsets[:-1], offsets[1:], strict=True)
    ]


def to_bags(rows):
    return Bags.from_csr(to_csr(rows), "cpu")


def marked_rows(n, n_items, length, seed=0):
    """Rows of `length` items at distinct times; item i is in row i alone."""
    rng = np.random.default_rng(seed)
    others = (n + rng.choice(n_items - n, length - 1, replace=False) for _ in range(n))
    return [
        dict(zip([i, *items.tolist()], (rng.permutation(length) + 1.0).tolist(), strict=True))
        for i, items in enumerate(others)
    ]


def training_rows(X, values="binary", seed=0, **changed):
    parameters = dict(dropped=(0.3, 0.7), drop_condition=0.2, half_life=5.0) | changed
    return TrainingRows(X, values, generator=torch.Generator().manual_seed(seed), **parameters)


def cut(rows, values="binary", seed=0, repeats=1, **changed):
    """(condition, known, target) of all rows, as lists; each row `repeats` times."""
    cutter = training_rows(to_csr(rows), values, seed, **changed)
    condition, known, target, _ = cutter.cut(torch.arange(len(rows)).repeat(repeats))
    assert known.dtype == torch.bool
    return bag_rows(condition), known.tolist(), bag_rows(target)


# Cutting rows


@all_values
@properties
@given(rows=filled_rows, dropped=ranges, seed=seeds)
def test_condition_and_target_share_out_the_row(values, rows, dropped, seed):
    for row, shown, known, target in zip(
        rows, *cut(rows, values, seed, dropped=dropped, drop_condition=0.4), strict=True
    ):
        assert not shown.keys() & target.keys()
        assert shown.keys() | target.keys() == row.keys()
        assert target  # there is always something to learn
        assert known == bool(shown)


@all_values
@properties
@given(rows=filled_rows, dropped=ranges, seed=seeds)
def test_the_share_shown_lies_in_the_range(values, rows, dropped, seed):
    low, high = dropped
    shown, _, _ = cut(rows, values, seed, dropped=dropped, drop_condition=0.0)
    for row, condition in zip(rows, shown, strict=True):
        length = len(row)
        assert len(condition) >= math.floor((1 - high) * length - 1e-4)
        assert len(condition) <= min(length - 1, math.floor((1 - low) * length + 1e-4))


@all_values
def test_however_small_the_share_something_is_left_to_learn(values):
    rows = [{item: 1.0 + item for item in range(length)} for length in (2, 5, 14)]
    _, _, target = cut(rows, values, dropped=(0.0, 1e-9), drop_condition=0.0)
    assert [len(goal) for goal in target] == [1, 1, 1]


def test_every_row_draws_its_own_share_from_the_range():
    rows = [{item: 1.0 for item in range(10)}]
    shown, _, _ = cut(rows, repeats=1_000, dropped=(0.25, 0.75), drop_condition=0.0)
    sizes = [len(condition) for condition in shown]
    # floor of 2.5 … 7.5: half a share for 2 and 7, one for each size between
    expected = np.array([0.5, 1, 1, 1, 1, 0.5]) * 200
    assert set(sizes) == set(range(2, 8))
    assert chisquare(np.bincount(sizes)[2:], expected).pvalue > 1e-3


def test_a_fixed_share_is_the_same_for_every_row():
    rows = [{item: 1.0 for item in range(10)}]
    shown, _, _ = cut(rows, repeats=50, dropped=(0.4, 0.4), drop_condition=0.0)
    assert {len(condition) for condition in shown} == {6}


@all_values
def test_the_papers_condition_is_the_whole_row_which_is_the_target_too(values):
    rows = marked_rows(40, 60, 6)
    shown, known, target = cut(rows, values, dropped=(0.0, 0.0), half_life=None)
    assert 0 < sum(known) < 40
    for row, condition, is_known, goal in zip(rows, shown, known, target, strict=True):
        assert goal.keys() == row.keys()
        assert condition == (goal if is_known else {})


@all_values
@pytest.mark.parametrize("dropped", [(0.3, 0.7), (0.0, 0.0)])
def test_unknown_rows_have_an_empty_condition_and_the_whole_row_as_target(values, dropped):
    rows = marked_rows(10, 60, 6)
    shown, known, target = cut(rows, values, dropped=dropped, drop_condition=1.0)
    assert not any(known) and not any(shown)
    assert [goal.keys() for goal in target] == [row.keys() for row in rows]


@pytest.mark.parametrize("dropped", [(0.3, 0.7), (0.0, 0.0)])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.7])
def test_the_condition_is_dropped_as_often_as_asked(dropped, rate):
    n = 5_000
    row = {0: 1.0, 1: 1.0, 4: 1.0, 5: 1.0}
    _, known, _ = cut([row], repeats=n, dropped=dropped, drop_condition=rate)
    assert abs(n - sum(known) - rate * n) <= 4 * math.sqrt(rate * (1 - rate) * n)


@pytest.mark.parametrize("values", ["binary", "weight"])
def test_every_item_is_shown_equally_often(values):
    row = {item: 1.0 + item for item in range(8)}
    shown, _, _ = cut([row], values, repeats=4_000, dropped=(0.5, 0.5), drop_condition=0.0)
    counts = np.bincount([item for condition in shown for item in condition], minlength=8)
    assert chisquare(counts).pvalue > 1e-3
    # and so is every pair: one item does not bring its neighbour along
    together = np.sum([0 in condition and 1 in condition for condition in shown])
    assert abs(together / 4_000 - 3 / 14) < 4 * math.sqrt(3 / 14 * 11 / 14 / 4_000)


@properties
@given(filled_rows, ranges, seeds)
def test_the_target_is_never_earlier_than_the_condition(rows, dropped, seed):
    shown, _, target = cut(rows, "time", seed, dropped=dropped, drop_condition=0.2)
    for row, condition, goal in zip(rows, shown, target, strict=True):
        if condition:
            assert max(row[item] for item in condition) <= min(row[item] for item in goal)


@properties
@given(filled_rows, ranges | st.just((0.0, 0.0)), seeds, st.floats(0.3, 8))
@example([dict.fromkeys(range(13), 1.0) | {2: 2.0}], (0.5, 0.5), 1, 0.375)  # long past the floor
def test_the_condition_has_its_own_ages_and_near_targets_weigh_more(rows, dropped, seed, half_life):
    shown, _, target = cut(rows, "time", seed, dropped=dropped, half_life=half_life)
    for row, condition, goal in zip(rows, shown, target, strict=True):
        times = np.zeros((1, N_ITEMS))
        times[0, list(condition)] = [row[item] for item in condition]
        expected = recency_weights(times, half_life).toarray()[0]
        ages = Bags(torch.tensor([0]), torch.tensor(list(condition.values())), torch.tensor([0]))
        assert_allclose(ages.aged(half_life, 0.1).weights, expected[list(condition)], rtol=1e-5)
        weights = (
            0.5 ** (np.arange(len(goal)) / (2 * half_life)) if condition else np.ones(len(goal))
        )
        if dropped[1] > 0:
            assert_allclose(sorted(goal.values())[::-1], np.maximum(weights, 0.02), rtol=1e-5)
        # beyond the floor of the weights all are level
        nearest_first = sorted(goal, key=lambda item: (-goal[item], row[item]))
        if condition and dropped[1] > 0:
            assert sorted(row[item] for item in goal) == [row[item] for item in nearest_first]


@properties
@given(filled_rows, ranges, seeds)
def test_without_a_half_life_all_items_weigh_alike(rows, dropped, seed):
    shown, _, target = cut(rows, "time", seed, dropped=dropped, half_life=None)
    for bag in (*shown, *target):
        assert set(bag.values()) <= {1.0}


def test_items_of_one_moment_fall_on_either_side_by_chance():
    # not by item id, or the model would learn that late items have high ids
    row = {item: 1.0 for item in range(6)}
    shown = [
        cut([row], "time", seed, dropped=(0.5, 0.5), drop_condition=0.0)[0][0] for seed in range(60)
    ]
    assert len({tuple(condition) for condition in shown}) > 10
    assert all(set(condition.values()) == {1.0} for condition in shown)


def test_weights_are_shares_of_the_whole_row():
    rows = [{0: 2.0, 3: 8.0, 4: 4.0, 7: 1.0}]
    shown, _, target = cut(rows, "weight", repeats=30, half_life=2.0)
    for condition, goal in zip(shown, target, strict=True):
        assert condition | goal == {0: 0.25, 3: 1.0, 4: 0.5, 7: 0.125}


@all_values
def test_a_row_of_one_item_teaches_the_unconditional_branch(values):
    shown, known, target = cut([{3: 2.0}], values, drop_condition=0.0, dropped=(0.0, 0.5))
    assert (shown, known, target) == ([{}], [False], [{3: 1.0}])


def test_cuts_differ_from_time_to_time_but_not_from_run_to_run():
    X = to_csr(marked_rows(10, 60, 8), 60)
    runs = []
    for _ in range(2):
        cutter = training_rows(X)
        runs.append([bag_rows(cutter.cut(torch.arange(10))[0]) for _ in range(2)])
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]


def test_the_unit_of_the_times_does_not_change_a_cut():
    rows = [{item: 1.0 + item // 3 for item in range(12)}]  # three items at a time
    later = [{item: 5.0 + 86_400 * time for item, time in rows[0].items()}]
    assert cut(rows, "time", repeats=20) == cut(later, "time", repeats=20)


def test_rows_may_be_cut_in_any_selection():
    rows = marked_rows(10, 60, 6)
    cutter = training_rows(to_csr(rows, 60), drop_condition=0.0)
    chosen = [7, 2, 2, 9]
    condition, _, target, _ = cutter.cut(torch.tensor(chosen))
    for i, shown, goal in zip(chosen, bag_rows(condition), bag_rows(target), strict=True):
        assert shown.keys() | goal.keys() == rows[i].keys()


def test_batches_go_once_through_the_filled_rows_in_a_fresh_order():
    rows = marked_rows(23, 60, 4)
    rows[5] = rows[22] = {}
    cutter = training_rows(to_csr(rows, 60))
    orders = []
    for _ in range(2):
        sizes, order = [], []
        for condition, known, target, _ in cutter.batches(8):
            sizes.append(len(known))
            for shown, goal in zip(bag_rows(condition), bag_rows(target), strict=True):
                order.append(min(shown.keys() | goal.keys()))  # its mark
        assert sizes == [8, 8, 5]
        assert sorted(order) == [i for i in range(23) if rows[i]]
        orders.append(order)
    assert orders[0] != orders[1] != sorted(orders[1])


# Losses


def test_timesteps_are_uniform_but_for_a_share_at_the_last():
    generator = torch.Generator().manual_seed(0)
    n = 20_000
    for last_share, expected in ((0.0, [0.25] * 4), (0.5, [0.125] * 3 + [0.625])):
        t = _draw_timesteps(n, 4, last_share, generator, torch.device("cpu"))
        assert t.dtype == torch.int64 and t.shape == (n,)
        counts = np.bincount(t, minlength=5)
        assert counts[0] == 0
        assert chisquare(counts[1:], np.array(expected) * n).pvalue > 1e-3


class FixedDenoiser:
    """A denoiser with one timestep's answer, whatever it is shown; it notes what that was."""

    def __init__(self, raw, scores=None):
        self.raw = raw
        self.scores, self.n_items, self.write_items = scores, N_ITEMS, None
        if scores is not None:  # its table leaves them as they are
            self.write_items = SimpleNamespace(weight=torch.eye(N_ITEMS), bias=torch.zeros(N_ITEMS))
        self.space = ItemSpace(N_ITEMS)

    def condition(self, bags, known):
        self.known = known
        return bags

    def __call__(self, x_t, t, alpha, u, generator):
        self.x_t, self.t, self.alpha, self.u = x_t, t, alpha, u
        return self.raw, self.scores


ONE_STEP = [1.0, 0.3]  # t is always 1, so the noise level is known


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("ranking", [False, True])
def test_batch_loss_is_the_squared_error_and_that_of_the_ranking_head(prediction_type, ranking):
    rows, row_weight = marked_rows(5, N_ITEMS, 6), [1.0, 2.0, 0.5, 0.0, 1.5]
    cutter = training_rows(to_csr(rows), drop_condition=0.4)
    condition, known, target, _ = cutter.cut(torch.arange(5))
    raw, scores = torch.randn(2, 5, N_ITEMS, generator=torch.Generator().manual_seed(1))
    denoiser = FixedDenoiser(raw, scores if ranking else None)
    loss = batch_loss(
        denoiser,
        Diffusion(ONE_STEP, prediction_type),
        Batch(condition, known, target, torch.tensor(row_weight)),
        masked=True,
        generator=torch.Generator().manual_seed(2),
    )
    assert denoiser.u is condition and denoiser.known is known
    assert_allclose(denoiser.alpha, math.sqrt(0.3) if prediction_type == "x0" else 1, rtol=1e-6)
    # what was shown is x_0 with noise, from which the noise follows
    x_0 = np.zeros((5, N_ITEMS))
    for row, goal in enumerate(bag_rows(target)):
        x_0[row, list(goal)] = list(goal.values())
    noise = (denoiser.x_t.numpy() - math.sqrt(0.3) * x_0) / math.sqrt(0.7)
    assert abs(noise.mean()) < 0.5 and 0.7 < noise.std() < 1.3
    goal = {
        "x0": x_0,
        "epsilon": noise,
        "v": math.sqrt(0.3) * noise - math.sqrt(0.7) * x_0,
    }[prediction_type]
    expected = (((raw.numpy() - goal) ** 2).mean(1) * row_weight).mean()
    if ranking:
        # the ranking term counts by the share of noise, 1 − ᾱ
        expected += slow_loss(
            scores.tolist(),
            bag_rows(condition),
            bag_rows(target),
            True,
            [0.7 * w for w in row_weight],
        )
    assert_allclose(float(loss), expected, rtol=1e-4)


@pytest.mark.parametrize(("ranking", "at_last"), [(False, 0.25), (True, 0.625)])
def test_the_ranking_head_learns_where_sampling_starts(ranking, at_last):
    n = 4_000
    cutter = training_rows(to_csr(marked_rows(1, N_ITEMS, 6)))
    denoiser = FixedDenoiser(torch.zeros(n, N_ITEMS), torch.zeros(n, N_ITEMS) if ranking else None)
    batch = cutter.cut(torch.zeros(n, dtype=torch.int64))
    diffusion = Diffusion(cumulative_alphas("linear", 4, 0.1, 0.2), "x0")
    batch_loss(denoiser, diffusion, batch, masked=True, generator=cutter.generator)
    share = float((denoiser.t == 4).float().mean())
    assert abs(share - at_last) < 4 * math.sqrt(at_last * (1 - at_last) / n)


def test_training_on_drawn_items_learns():
    problem = small_problem()
    X = to_csr(marked_rows(8, N_ITEMS, 5))
    before = loss_at_rest(*problem[:2], X)
    train(*problem, None, [], ema_decay=0.9, max_epochs=40, **LOOP | {"n_loss_items": 8})
    assert loss_at_rest(*problem[:2], X) < 0.8 * before


# The running average


def test_ema_is_the_weighted_sum_of_its_past():
    module = nn.Linear(2, 1, bias=False)
    past = [torch.full((1, 2), float(value)) for value in (5, 1, -2, 3, 8, 13)]
    module.weight.data = past[0].clone()
    ema = EMA(module, 0.3)
    for weights in past[1:]:
        module.weight.data = weights.clone()
        ema.update()
    # decay of step n: min(0.3, n / (n + 9)) = 0.1, 2/11, 0.25, 0.3, 0.3
    decays = [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]
    shares = [(1 - (decays[i - 1] if i else 0)) * math.prod(decays[i:]) for i in range(len(past))]
    assert_allclose(sum(shares), 1)
    expected = sum(share * float(w[0, 0]) for share, w in zip(shares, past, strict=True))
    assert_allclose(ema.average[0], [[expected] * 2], rtol=1e-5)
    assert_array_equal(module.weight.detach(), past[-1])


def test_ema_without_decay_is_the_module_itself():
    module = nn.Linear(3, 2)
    ema = EMA(module, 0.0)
    nn.init.ones_(module.weight)
    ema.update()
    for average, parameter in zip(ema.average, module.parameters(), strict=True):
        assert_array_equal(average, parameter.detach())


def averaged(seed=0):
    """A module in training mode whose average differs from it, and the two sets of weights."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).train()
    ema = EMA(module, 0.9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    ema.update()
    return module, ema, [p.detach().clone() for p in module.parameters()]


def assert_weights(module, weights):
    for parameter, value in zip(module.parameters(), weights, strict=True):
        assert_array_equal(parameter.detach(), value)


@pytest.mark.parametrize("fails", [False, True])
def test_applied_weights_are_given_back_even_after_an_error(fails):
    module, ema, trained = averaged()
    average = ema.snapshot()
    try:
        with ema.applied() as inside:
            assert inside is module and not module.training
            assert_weights(module, average)
            assert not np.allclose(average[0], trained[0])
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert_weights(module, trained)
    assert_weights_are(ema.average, average)


def assert_weights_are(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)


def test_parameters_stay_the_optimizers_own():
    module, ema, _ = averaged()
    before = list(module.parameters())
    with ema.applied():
        pass
    ema.load()
    assert all(a is b for a, b in zip(before, module.parameters(), strict=True))


def test_buffers_are_shared():
    module, ema, _ = averaged()
    module[1].running_mean.fill_(7.0)
    with ema.applied():
        assert_array_equal(module[1].running_mean, [7, 7])
        module[1].running_mean.fill_(8.0)
    assert_array_equal(module[1].running_mean, [8, 8])


def test_a_snapshot_does_not_move_on():
    module, ema, _ = averaged()
    snapshot = ema.snapshot()
    kept = [w.clone() for w in snapshot]
    ema.update()
    assert_weights_are(snapshot, kept)
    assert not np.allclose(ema.average[0], kept[0])


def test_load_gives_the_module_the_average_or_older_weights_for_good():
    module, ema, _ = averaged()
    snapshot = ema.snapshot()
    ema.update()
    ema.load()
    assert_weights(module, ema.average)
    assert not module.training
    ema.load(snapshot)
    assert_weights(module, snapshot)
    with torch.no_grad():
        module[0].weight.zero_()
    assert snapshot[0].abs().min() > 0  # a copy: what was loaded does not follow


# Hidden items


@all_values
@properties
@given(rows=filled_rows, fraction=st.floats(0.01, 0.99), seed=seeds)
def test_split_validation_loses_nothing(values, rows, fraction, seed):
    X = to_csr(rows)
    train_X, history, hidden, users = split_validation(X, values, fraction, seed)
    n_candidates = sum(len(row) > 1 for row in rows)
    if not n_candidates:
        assert train_X is X and history is None and hidden is None and users is None
        return
    n_chosen = max(1, round(fraction * n_candidates))
    assert history.shape == hidden.shape == (n_chosen, N_ITEMS)
    chosen = []
    for user, (row, kept) in enumerate(zip(to_rows(X), to_rows(train_X), strict=True)):
        assert kept.items() <= row.items() and kept
        assert (kept != row) == (user in users)
        if kept != row:
            chosen.append((kept, {item: row[item] for item in row.keys() - kept.keys()}))
    assert chosen == list(zip(to_rows(history), to_rows(hidden), strict=True))
    for stays, goes in chosen:
        length = len(stays) + len(goes)
        assert len(goes) == min(max(round(0.2 * length), 1), length - 1)
        if values == "time":
            assert max(stays.values()) <= min(goes.values())


def test_at_most_a_thousand_users_are_asked():
    X = to_csr([{0: 1.0, i % 10 + 1: 1.0} for i in range(2_100)])
    train_X, history, hidden, _ = split_validation(X, "binary", 0.9, 0)
    assert history.shape[0] == hidden.shape[0] == hidden.nnz == 1_000
    assert train_X.nnz == X.nnz - 1_000


def test_no_share_asks_nobody():
    X = to_csr(marked_rows(5, N_ITEMS, 4))
    assert split_validation(X, "binary", 0.0, 0)[0] is X
    assert split_validation(X, "binary", 0.0, 0)[1:] == (None, None, None)


def test_the_seed_chooses_the_users():
    X = to_csr(marked_rows(40, 60, 5), 60)
    first, again, other = (split_validation(X, "time", 0.5, seed)[0] for seed in (1, 1, 2))
    assert to_rows(first) == to_rows(again) != to_rows(other)


# The monitor


def test_spread_ratio_is_that_of_the_mean_deviations():
    rng = np.random.default_rng(0)
    network, path = rng.normal(0, 3, (4, 9)), rng.normal(5, 1, (4, 9))
    deviations = [
        np.mean([math.sqrt(np.mean((row - row.mean()) ** 2)) for row in scores])
        for scores in (network, path)
    ]
    assert_allclose(spread_ratio(network, path), deviations[0] / deviations[1])
    assert spread_ratio(network, None) == 0
    assert spread_ratio(network, np.ones((4, 9))) == 0


def test_fixed_path_weight():
    assert fixed_path_weight("auto") == 0.5
    assert fixed_path_weight(2) == 2.0


class Stage:
    """Histories, hidden items, and scores that can be set: what a Monitor watches."""

    def __init__(self, seed=0, n=30, n_items=40):
        rng = np.random.default_rng(seed)
        rows = marked_rows(n, n + n_items, 5, seed)
        split = [sorted(row, key=row.get) for row in rows]
        shape = (n, n + n_items)
        self.history = to_csr([{i: 1.0 for i in items[:3]} for items in split], shape[1])
        self.hidden = to_csr([{i: 1.0 for i in items[3:]} for items in split], shape[1])
        self.noise = rng.normal(size=shape).astype(np.float32)
        self.truth = self.hidden.toarray().astype(np.float32)
        self.network, self.path = self.noise, self.truth
        self.marks = {tuple(row): i for i, row in enumerate(self.history.toarray())}

    def rows_of(self, X):
        return [self.marks[tuple(row)] for row in X.toarray()]

    def monitor(self, *, with_path=True, path_weight="auto", patience=3, blocks=(slice(None),)):
        return Monitor(
            self.history,
            self.hidden,
            lambda X: self.network[self.rows_of(X)],
            (lambda X: self.path[self.rows_of(X)]) if with_path else None,
            blocks=list(blocks),
            path_weight=path_weight,
            patience=patience,
        )

    def ndcg(self, scores):
        """By sorting all items but those of the history."""
        scores = np.where(self.history.toarray() > 0, -np.inf, scores)
        return ndcg_at_k(np.argsort(-scores, axis=1, kind="stable")[:, :10], self.hidden, k=10)


def test_monitor_without_a_path_measures_the_network():
    stage = Stage()
    for share in (0.0, 0.5, 1.0):
        stage.network = stage.noise + np.float32(4 * share) * stage.truth
        ndcg, improved = stage.monitor(with_path=False).evaluate()
        assert_allclose(ndcg, stage.ndcg(stage.network))
        assert improved
    monitor = stage.monitor(with_path=False)
    monitor.evaluate()
    assert (monitor.best_path_weight, monitor.best_path_scale) == (0, 0)


def test_monitor_leaves_out_the_history():
    stage = Stage()
    stage.network = 10 * stage.history.toarray().astype(np.float32) + stage.truth
    assert stage.monitor(with_path=False).evaluate()[0] == 1


@pytest.mark.parametrize("seed", range(4))
def test_monitor_picks_the_best_path_weight(seed):
    stage = Stage(seed)
    rng = np.random.default_rng(seed)
    # each knows something the other does not, so that the best weight is neither end
    half = (rng.random((len(stage.truth), 1)) < 0.5).astype(np.float32)
    other_noise = rng.normal(size=stage.noise.shape).astype(np.float32)
    stage.network = stage.noise + 2 * stage.truth * half
    stage.path = 3 * (other_noise + 3 * stage.truth * (1 - half))
    ratio = stage.network.std(1).mean() / stage.path.std(1).mean()
    weights = [0.25, 0.5, 1.0, 2.0, 4.0, 16.0, 64.0]
    by_weight = [stage.ndcg(stage.network + w * ratio * stage.path) for w in weights]
    around = np.lib.stride_tricks.sliding_window_view(np.pad(by_weight, 1, "edge"), 3)
    best = int(around.mean(axis=1).argmax())
    monitor = stage.monitor()
    ndcg, improved = monitor.evaluate()
    assert improved and 1 < best < 6
    assert_allclose(ndcg, by_weight[best])
    assert_allclose(monitor.best, by_weight[best])
    assert monitor.best_path_weight == weights[best]
    assert_allclose(monitor.best_path_scale, monitor.best_path_weight * ratio, rtol=1e-5)


def test_a_weight_must_not_win_by_luck(monkeypatch):
    monitor = Stage().monitor()
    by_weight = [0.6, 0.5, 0.1, 0.1, 0.1, 0.4, 0.45]
    values = iter(by_weight)
    monkeypatch.setattr(monitor, "_ndcg", lambda ids: next(values))
    assert monitor.evaluate() == (0.45, True)
    assert monitor.best == 0.45 and monitor.best_path_weight == 64.0


def test_monitor_gives_a_useless_path_its_least_weight():
    stage = Stage()
    stage.network, stage.path = stage.truth, stage.noise
    monitor = stage.monitor()
    assert monitor.evaluate()[0] == 1
    assert monitor.best_path_weight == 0.5


def test_monitor_with_a_given_weight_tries_no_other():
    stage = Stage()
    monitor = stage.monitor(path_weight=0.25)
    ndcg, _ = monitor.evaluate()
    ratio = stage.network.std(1).mean() / stage.path.std(1).mean()
    assert_allclose(ndcg, stage.ndcg(stage.network + 0.25 * ratio * stage.path))
    assert ndcg < stage.monitor().evaluate()[0]
    assert monitor.best_path_weight == 0.25
    assert_allclose(monitor.best_path_scale, 0.25 * ratio, rtol=1e-5)


def test_monitor_goes_through_the_rows_in_blocks():
    stage = Stage()
    stage.network = stage.noise + 2 * stage.truth
    whole = stage.monitor(with_path=False).evaluate()
    parts = stage.monitor(with_path=False, blocks=(slice(0, 7), slice(7, 30))).evaluate()
    assert whole == parts


def test_monitor_leaves_the_scores_alone():
    stage = Stage()
    network, path = stage.noise.copy(), stage.truth.copy()
    monitor = stage.monitor()
    monitor.score_network, monitor.score_path = lambda X: network, lambda X: path
    monitor.evaluate()
    assert_array_equal(network, stage.noise)
    assert_array_equal(path, stage.truth)


def test_monitor_stops_after_its_patience():
    stage = Stage()
    qualities = [0, 2, 1, 2, 6, 3, 3, 3]
    monitor = stage.monitor(with_path=False, patience=3)
    improvements, stops = [], []
    for quality in qualities:
        stage.network = stage.noise + np.float32(quality) * stage.truth
        improvements.append(bool(monitor.evaluate()[1]))
        stops.append(monitor.should_stop)
    # as good as the best is no improvement
    assert improvements == [True, True, False, False, True, False, False, False]
    assert stops == [False] * 7 + [True]
    assert_allclose(monitor.best, stage.ndcg(stage.noise + 6 * stage.truth))


def test_monitor_waits_for_a_network_that_still_learns_in_the_shade_of_its_path():
    """Its lists are the path's at first, and no better for a while, but it is not done."""
    stage = Stage()
    stage.path = stage.noise + 20 * stage.truth  # as good as can be, so that nothing beats it
    other = np.random.default_rng(9).normal(size=stage.noise.shape).astype(np.float32)
    monitor = stage.monitor(patience=3)
    for epoch in range(8):
        stage.network = other + np.float32(0.4 * epoch) * stage.truth
        assert monitor.evaluate()[1] == (epoch == 0)
        assert not monitor.should_stop
    for _ in range(3):
        monitor.evaluate()
    assert monitor.should_stop


def test_a_worse_epoch_does_not_touch_the_best_path():
    stage = Stage()
    monitor = stage.monitor()
    monitor.evaluate()
    best = monitor.best_path_weight, monitor.best_path_scale
    stage.path = -stage.truth
    assert not monitor.evaluate()[1]
    assert (monitor.best_path_weight, monitor.best_path_scale) == best
    assert best[0] > 0


# The loop


def small_problem(ranking=True, prediction_type="x0", **changed):
    """A denoiser, its diffusion and rows small enough to learn by heart."""
    rows = training_rows(to_csr(marked_rows(8, N_ITEMS, 5)), **changed)
    denoiser = Denoiser(
        N_ITEMS,
        ItemSpace(N_ITEMS),
        (32, 32),
        time_dim=8,
        n_timesteps=10,
        dropout=0.0,
        ranking_head=ranking,
    )
    denoiser.initialize(torch.Generator().manual_seed(0), np.ones(N_ITEMS), 8)
    diffusion = Diffusion(cumulative_alphas("cosine", 10, 0.1, 0.2), prediction_type)
    return denoiser, diffusion, rows


def loss_at_rest(denoiser, diffusion, X):
    """The loss of fixed cuts with fixed noise."""
    rows = training_rows(X, seed=77)
    losses = [
        float(
            batch_loss(
                denoiser,
                diffusion,
                rows.cut(torch.arange(8)),
                masked=True,
                generator=rows.generator,
            ).detach()
        )
        for _ in range(20)
    ]
    return float(np.mean(losses))


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("ranking", [False, True])
def test_a_small_problem_is_learned(ranking, prediction_type):
    denoiser, diffusion, rows = small_problem(ranking, prediction_type)
    X = to_csr(marked_rows(8, N_ITEMS, 5))
    before = loss_at_rest(denoiser, diffusion, X)
    optimizer = AdamW(denoiser.parameters(), learning_rate=5e-3, weight_decay=0.01)
    records = list(
        epochs(
            denoiser,
            diffusion,
            rows,
            optimizer,
            EMA(denoiser, 0.9),
            max_epochs=120,
            batch_size=8,
        )
    )
    after = loss_at_rest(denoiser, diffusion, X)
    assert after < 0.7 * before
    assert records[-1].loss < 0.8 * records[0].loss


def test_epochs_yield_records_and_update_the_average_every_step():
    denoiser, diffusion, rows = small_problem()
    optimizer = torch.optim.SGD(denoiser.parameters(), lr=0.0)
    ema = EMA(denoiser, 0.9)
    # with no step the parameters stay, and the loss of an epoch is the mean of its batches'
    twin = small_problem()
    expected = [
        np.mean(
            [
                float(
                    batch_loss(
                        denoiser, diffusion, batch, masked=True, generator=twin[2].generator
                    ).detach()
                )
                for batch in twin[2].batches(3)
            ]
        )
        for _ in range(2)
    ]
    records = list(epochs(denoiser, diffusion, rows, optimizer, ema, max_epochs=2, batch_size=3))
    assert [record.epoch for record in records] == [1, 2]
    assert isinstance(records[0], EpochRecord)
    assert_allclose([record.loss for record in records], expected, rtol=1e-5)
    assert ema.n_updates == 6


@pytest.mark.parametrize("dropped", [(0.0, 0.0), (0.3, 0.7)])
def test_all_parameters_learn(dropped):
    denoiser, diffusion, rows = small_problem(dropped=dropped, drop_condition=0.5)
    before = {name: p.detach().clone() for name, p in denoiser.named_parameters()}
    optimizer = AdamW(denoiser.parameters(), learning_rate=1e-2)
    for record in epochs(
        denoiser, diffusion, rows, optimizer, EMA(denoiser, 0.9), max_epochs=2, batch_size=8
    ):
        assert math.isfinite(record.loss)
    unchanged = [n for n, p in denoiser.named_parameters() if torch.equal(p, before[n])]
    assert unchanged == []


@pytest.mark.parametrize("drop_condition", [0.0, 1.0])
def test_the_null_token_learns_from_unknown_rows_only(drop_condition):
    denoiser, diffusion, rows = small_problem(drop_condition=drop_condition)
    before = denoiser.null.detach().clone()
    history = denoiser.read_history[0].detach().clone()
    optimizer = AdamW(denoiser.parameters(), learning_rate=1e-2)
    list(
        epochs(denoiser, diffusion, rows, optimizer, EMA(denoiser, 0.9), max_epochs=1, batch_size=8)
    )
    assert torch.equal(denoiser.null, before) == (drop_condition == 0)
    assert torch.equal(denoiser.read_history[0], history) == (drop_condition == 1)


class ScriptedMonitor:
    """Improves at given epochs and stops at one; it keeps the weights it was shown."""

    def __init__(self, denoiser, improves, stops):
        self.denoiser, self.improves, self.stops = denoiser, improves, stops
        self.seen = []

    def evaluate(self):
        assert not self.denoiser.training
        self.seen.append([p.detach().clone() for p in self.denoiser.parameters()])
        return float(len(self.seen)), len(self.seen) in self.improves

    @property
    def should_stop(self):
        return len(self.seen) == self.stops


LOOP = dict(learning_rate=1e-2, weight_decay=0.0, batch_size=4, n_loss_items=None, verbose=0)


def test_train_keeps_the_averaged_weights_of_the_best_epoch():
    problem = small_problem()
    monitor = ScriptedMonitor(problem[0], improves=(1, 3), stops=5)
    history = []
    assert train(*problem, monitor, history, ema_decay=0.9, max_epochs=20, **LOOP)
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5]
    assert [entry["validation_ndcg"] for entry in history] == [1, 2, 3, 4, 5]
    assert_weights(problem[0], monitor.seen[2])
    assert not np.allclose(monitor.seen[2][0], monitor.seen[4][0])
    assert not problem[0].training


def test_train_without_a_monitor_keeps_the_last_average():
    problem = small_problem()
    history = []
    assert train(*problem, None, history, ema_decay=0.9, max_epochs=3, **LOOP)
    assert [set(entry) for entry in history] == [{"epoch", "loss"}] * 3
    # the same again, by hand
    denoiser, diffusion, rows = small_problem()
    ema = EMA(denoiser, 0.9)
    optimizer = AdamW(denoiser.parameters(), learning_rate=1e-2)
    records = list(epochs(denoiser, diffusion, rows, optimizer, ema, max_epochs=3, batch_size=4))
    assert_allclose([entry["loss"] for entry in history], [r.loss for r in records], rtol=1e-5)
    for parameter, average in zip(problem[0].parameters(), ema.average, strict=True):
        assert_allclose(parameter.detach(), average, atol=1e-4)
    assert not np.allclose(ema.average[0], next(denoiser.parameters()).detach(), atol=1e-3)


@pytest.mark.parametrize("by", ["callback", "interrupt"])
def test_training_that_is_ended_keeps_the_best_epoch_so_far(by):
    problem, history, begun = small_problem(), [], []
    monitor = ScriptedMonitor(problem[0], improves=(1, 2), stops=20)

    def before_epoch():
        begun.append(len(history))
        if by == "interrupt" and len(history) == 4:
            raise KeyboardInterrupt

    def after_epoch(ema):
        assert isinstance(ema, EMA)
        return by == "callback" and len(history) == 4

    def run():
        hooks = dict(before_epoch=before_epoch, after_epoch=after_epoch)
        return train(*problem, monitor, history, ema_decay=0.9, max_epochs=9, **hooks, **LOOP)

    if by == "interrupt":
        with pytest.warns(UserWarning, match="after 4 whole epochs: fit keeps the best"):
            assert not run()
    else:
        assert not run()
    assert begun == [0, 1, 2, 3, 4][: 5 if by == "interrupt" else 4] and len(history) == 4
    assert_weights(problem[0], monitor.seen[1])
    assert not problem[0].training


def test_every_epoch_trains_in_training_mode():
    # the monitor leaves the network in evaluation mode, without dropout
    problem = small_problem()
    modes = []
    problem[0].register_forward_hook(lambda module, args, output: modes.append(module.training))
    train(*problem, ScriptedMonitor(problem[0], (1,), 3), [], ema_decay=0.9, max_epochs=5, **LOOP)
    assert modes == [True] * 6


def test_train_draws_nothing_from_the_global_generators():
    torch.manual_seed(0)
    np.random.seed(0)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    train(*small_problem(), None, [], ema_decay=0.9, max_epochs=1, **LOOP)
    # a new torch module fills its parameters before `initialize` draws them anew
    after_train = torch.get_rng_state()
    torch.set_rng_state(torch_state)
    small_problem()
    assert torch.equal(after_train, torch.get_rng_state())
    assert_array_equal(np.random.get_state()[1], numpy_state)
