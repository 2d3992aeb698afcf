"""split_table: what is new, what a splitter counts, the encoder that comes of it, refusals."""

import pytest
import scipy.sparse as sp
from event_tables import EVENTS, ROLES, cells, frame_of
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.metrics import ndcg_at_k, ranking_report
from skdiffrec.model_selection import (
    LastFraction,
    LastN,
    LeaveOneOut,
    SampleFraction,
    SampleN,
    TimeCut,
    UnseenUsers,
    split_table,
)
from skdiffrec.preprocessing import InteractionEncoder, recommend_batches


def test_repeats_new_users_and_new_items():
    encoder = InteractionEncoder(timestamp="when")
    history, holdout = split_table(frame_of(EVENTS), TimeCut(5), encoder)
    assert encoder.users_.tolist() == ["ann", "bob"]
    assert encoder.items_.tolist() == ["jam", "oat", "tea"]
    assert_array_equal(history.toarray(), [[2, 0, 1], [3, 4, 0]])
    assert_array_equal(holdout.toarray(), [[0, 7, 0], [0, 0, 0]])
    with_repeats = split_table(frame_of(EVENTS), TimeCut(5), encoder, repeats=True)
    assert_array_equal(with_repeats[0].toarray(), history.toarray())
    assert_array_equal(with_repeats[1].toarray(), [[0, 7, 5], [0, 0, 0]])


def test_last_times_of_the_history_are_before_the_cut():
    encoder = InteractionEncoder(timestamp="when", duplicates="last")
    history, holdout = split_table(frame_of(EVENTS), TimeCut(8), encoder)
    assert cells(history, encoder)["ann", "tea"] == 5  # not 9
    assert holdout.nnz == 0


def test_what_a_splitter_counts():
    """New items, or events; what comes after the first that is held out is in no history."""
    encoder = InteractionEncoder(timestamp="when", values="binary")
    events = frame_of(EVENTS)
    history, holdout = split_table(events, LastN(1), encoder)
    assert cells(holdout, encoder) == {("ann", "oat"): 1.0}  # rye is in no history
    assert {i for u, i in cells(history, encoder) if u == "ann"} == {"tea", "jam"}
    history, holdout = split_table(events, LastN(1), encoder, repeats=True)
    assert cells(holdout, encoder) == {("ann", "tea"): 1.0}
    assert ("ann", "oat") in cells(history, encoder)


def test_an_item_twice_in_an_order_is_one_event():
    events = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("u", "c", 3), ("v", "c", 1)]
    encoder = InteractionEncoder(timestamp="when")
    _, holdout = split_table(events, LastN(2), encoder, repeats=True)
    assert cells(holdout, encoder) == {("u", "c"): 3}  # and b, which is in no history


def test_orders_whose_events_have_one_time():
    """The repeat of an order stays out of the history if an item of the order is held out."""
    events = [("u", "a", 1), ("u", "a", 5), ("u", "b", 5), ("v", "b", 1)]
    for duplicates, expected in (("last", 1), ("first", 1)):
        encoder = InteractionEncoder(timestamp="when", duplicates=duplicates)
        history, holdout = split_table(events, LastN(1), encoder)
        assert cells(holdout, encoder) == {("u", "b"): 5}
        assert cells(history, encoder)["u", "a"] == expected


def test_weights_of_a_table_with_times():
    encoder = InteractionEncoder(**ROLES, values="weight")
    history, holdout = split_table(frame_of(EVENTS), TimeCut(6), encoder, repeats=True)
    assert cells(history, encoder)["ann", "tea"] == 4
    assert cells(holdout, encoder) == {("ann", "tea"): 5, ("ann", "oat"): 1}


def test_low_ratings_are_no_events():
    events = [
        ("u", "a", 1, 1),
        ("u", "b", 5, 2),
        ("u", "a", 5, 8),
        ("v", "a", 5, 3),
        (None, 0, 1, -1),
    ]
    encoder = InteractionEncoder(**ROLES, values="binary", min_weight=4)
    history, holdout = split_table(events, TimeCut(5), encoder)
    assert cells(history, encoder) == {("u", "b"): 1, ("v", "a"): 1}
    assert cells(holdout, encoder) == {("u", "a"): 1}


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"timestamp": "when"},
        {**ROLES, "values": "rating"},  # of which an encoder keeps the last in time
        {**ROLES, "values": "rating", "duplicates": "first"},
        {**ROLES, "values": "weight", "duplicates": "last"},
    ],
)
def test_the_order_of_the_rows(names):
    """Of a table without times, or whatever its times are."""
    events = frame_of(EVENTS).assign(when=range(9, 0, -1))
    for splitter in (LastN(1, by="order"), LastFraction(0.1, by="order"), LeaveOneOut(by="order")):
        encoder = InteractionEncoder(**names)
        history, holdout = split_table(events, splitter, encoder)
        assert set(cells(history, encoder)) == {
            *(("ann", item) for item in ("tea", "jam")),
            *(("bob", item) for item in ("jam", "oat")),
            ("zoe", "tea"),
        }
        assert set(cells(holdout, encoder)) == {("ann", "oat")}
        assert splitter.by == "order"


# Use


def test_the_encoder_is_that_of_the_earlier_events():
    events = frame_of(EVENTS)
    encoder = InteractionEncoder(timestamp="when").fit(events)  # again
    history, holdout = split_table(events, TimeCut(5), encoder)
    before = clone(encoder)
    assert_array_equal(before.fit_transform(events[:4]).toarray(), history.toarray())
    assert encoder.users_.tolist() == before.users_.tolist()
    assert_array_equal(encoder.transform(events[:4]).toarray(), history.toarray())
    model = PopularityRecommender().fit(history)
    assert 0 < model.score(history, holdout) <= 1
    lists = next(recommend_batches(model, encoder, k=1))
    assert lists["user"].tolist() == ["ann", "bob"] and lists["item"].tolist() == ["oat", "tea"]
    later, users = encoder.set_params(unknown_items="ignore").transform(
        events[4:], return_users=True
    )
    assert users.tolist() == ["ann", "bob", "zoe"] and later.shape == (3, 3)


def test_lists_of_all_items_are_evaluated_on_repeats():
    history, holdout = split_table(
        frame_of(EVENTS), TimeCut(5), InteractionEncoder(timestamp="when"), repeats=True
    )
    model = EASERecommender(reg=1.0).fit(history)
    ids, _ = model.recommend(k=3, filter_seen=False)
    assert ndcg_at_k(ids, holdout, k=3) > 0
    assert ranking_report(ids, holdout, k=3, train=history)["recall@3"] == 1
    with pytest.raises(ValueError, match="X and y overlap in 1 interactions"):
        model.score(history, holdout)


def test_the_default_of_the_encoder_holds_out_no_repeat():
    events = [("u", "a", 1), ("u", "b", 2), ("u", "a", 9)]
    X = InteractionEncoder(timestamp="t").fit_transform(events)
    history, holdout = TimeCut(5).hide(X)
    assert history.toarray().tolist() == [[1, 2]] and holdout.nnz == 0
    last = InteractionEncoder(timestamp="t", duplicates="last").fit_transform(events)
    assert last.toarray().tolist() == [[9, 2]]


# Refusals

REFUSED = [
    (SampleN(1), ValueError, "SampleN, which does not split in time"),
    (SampleFraction(0.2), ValueError, "SampleFraction, which does not"),
    (LeaveOneOut(), ValueError, 'LeaveOneOut\\(by="random"\\), which does not'),
    (UnseenUsers(3), ValueError, "UnseenUsers, which does not .* matrix"),
    (TimeCut, TypeError, "splitter must be TimeCut, .* got <class"),
    (0.2, TypeError, "splitter must be .* got 0.2"),
    (None, TypeError, "splitter must be .* got None"),
    (TimeCut(3, fraction=0.2), ValueError, "both given"),
    (LastN(0), ValueError, "'n' parameter"),
    (TimeCut(1), ValueError, "keeps none of 9 events, which are from 1 to 9"),
]


@pytest.mark.parametrize(("splitter", "error", "says"), REFUSED, ids=lambda v: str(v)[:20])
def test_splitters(splitter, error, says):
    encoder = InteractionEncoder(timestamp="when")
    with pytest.raises(error, match=says):
        split_table(frame_of(EVENTS), splitter, encoder)
    assert not hasattr(encoder, "users_")


@pytest.mark.parametrize(
    ("encoder", "change", "error", "says"),
    [
        ({}, {}, ValueError, "names no column of times"),
        (dict(weight="weight"), {}, ValueError, "names no column of times"),
        (dict(timestamp="when", values="times"), {}, ValueError, "'values' parameter"),
        (dict(timestamp="when", duplicates="mean"), {}, ValueError, "of times means nothing"),
        (dict(timestamp="when", duplicates="error"), {}, ValueError, "2 repeated pairs"),
        (dict(timestamp="time"), {}, ValueError, "no column 'time'"),
        (dict(timestamp="when", min_user_interactions=9), {}, ValueError, "nothing is left"),
        (dict(timestamp="when"), {"when": -1.0}, ValueError, "-1"),
        (dict(timestamp="when"), {"user": None}, ValueError, "id missing"),
        (dict(ROLES, values="weight"), {"weight": -1.0}, ValueError, "-1"),
    ],
)
def test_a_refused_table_leaves_the_encoder_as_it_was(encoder, change, error, says):
    """Also if only the last event, which is held out, is wrong."""
    events = frame_of(EVENTS)
    for name, value in change.items():
        events.loc[8, name] = value
    encoder = InteractionEncoder(**encoder)
    with pytest.raises(error, match=says):
        split_table(events, TimeCut(5), encoder)
    assert not hasattr(encoder, "users_")


def test_arguments_of_the_wrong_kind():
    events = frame_of(EVENTS)
    for encoder in (InteractionEncoder, PopularityRecommender(), None):
        with pytest.raises(TypeError, match="encoder must be an InteractionEncoder"):
            split_table(events, TimeCut(5), encoder)
    encoder = InteractionEncoder(timestamp="when")
    with pytest.raises(TypeError, match="repeats must be True or False, got 'keep'"):
        split_table(events, TimeCut(5), encoder, repeats="keep")
    with pytest.raises(TypeError, match="is the path"):
        split_table("events.csv", TimeCut(5), encoder)
    with pytest.raises(TypeError, match="read only once"):
        split_table(iter(EVENTS), TimeCut(5), encoder)
    with pytest.raises(ValueError, match="keeps none of 0 events in the history"):
        split_table(events[:0], TimeCut(5), encoder)
    assert sp.issparse(split_table(events, TimeCut(50), encoder)[1])  # nothing is later


def test_an_order_has_no_ties_to_keep_together():
    splitter = LastN(1, by="order", ties="together")
    with pytest.raises(ValueError, match='ties="together" needs times'):
        split_table([("ann", "tea"), ("ann", "jam")], splitter, InteractionEncoder(order=True))
