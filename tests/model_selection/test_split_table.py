"""split_table against loops over dicts."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from event_tables import EVENTS, NAMES, ROLES, cells, columns_of
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec.model_selection import (
    LastFraction,
    LastN,
    LeaveOneOut,
    TimeCut,
    split_table,
)
from skdiffrec.preprocessing import InteractionEncoder

properties = settings(max_examples=25, deadline=None)

# few users, items and times, so that pairs repeat and many times are tied
some_events = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "eve", "zoe"]),
        st.sampled_from(["jam", "oat", "rye", "tea", "soy"]),
        st.sampled_from([0.0, 1.0, 2.0, 5.0]),
        st.integers(1, 8),
    ),
    min_size=1,
    max_size=30,
)
encoders = st.fixed_dictionaries(
    {
        "values": st.sampled_from(["time", "weight", "binary"]),
        "duplicates": st.sampled_from(["first", "last", "max"]),
        "min_weight": st.sampled_from([None, 2]),
        "min_user_interactions": st.integers(1, 2),
        "min_item_interactions": st.integers(1, 2),
    }
)


def encoded(events, encoder):
    """{(user, item): value} of events by the rule of an encoder."""
    groups = {}
    for user, item, weight, when in sorted(events, key=lambda event: event[3]):
        value = {"time": when, "weight": weight, "binary": 1.0}[encoder.values]
        groups.setdefault((user, item), []).append(value)
    merge = {"first": lambda v: v[0], "last": lambda v: v[-1], "max": max}[encoder.duplicates]
    return {pair: merge(values) for pair, values in groups.items()}


def core(pairs, min_user, min_item):
    while True:
        users, items = ([pair[place] for pair in pairs] for place in (0, 1))
        kept = {
            (u, i) for u, i in pairs if users.count(u) >= min_user and items.count(i) >= min_item
        }
        if kept == pairs:
            return pairs
        pairs = kept


def held_out_from(events, splitter, repeats):
    """{user: time from which on events are later}, of events at different times."""
    if isinstance(splitter, TimeCut):
        return {user: splitter.time for user, *_ in events}
    units = {}
    for user, item, _, when in sorted(events, key=lambda event: event[3]):
        units.setdefault(user, {}).setdefault((item, when if repeats else None), when)
    found = {}
    for user, times in units.items():
        times = list(times.values())
        fraction = getattr(splitter, "fraction", None)
        n = splitter.n if fraction is None else max(round(fraction * len(times)), 1)
        if fraction is not None:
            n = min(n, len(times) - splitter.min_history)
        if n > 0 and len(times) >= n + splitter.min_history:
            found[user] = times[-n]
    return found


def reference(events, splitter, encoder, repeats):
    """(history, holdout) as dicts."""
    counted = [event for event in events if 0 < event[2] >= (encoder.min_weight or 0)]
    start = held_out_from(counted, splitter, repeats)
    later = [event for event in counted if event[3] >= start.get(event[0], np.inf)]
    history = encoded([event for event in counted if event not in later], encoder)
    kept = core(set(history), encoder.min_user_interactions, encoder.min_item_interactions)
    users, items = {u for u, _ in kept}, {i for _, i in kept}
    holdout = {
        (u, i): value
        for (u, i), value in encoded(later, encoder).items()
        if u in users and i in items and (repeats or (u, i) not in kept)
    }
    return {pair: history[pair] for pair in kept}, holdout


def check(events, splitter, settings, repeats):
    encoder = InteractionEncoder(**ROLES, **settings)
    expected = reference(events, splitter, encoder, repeats)
    if not expected[0]:
        with pytest.raises(ValueError, match="nothing is left|keeps none of"):
            split_table(columns_of(events), splitter, encoder, repeats=repeats)
        assert not hasattr(encoder, "users_")
        return
    parts = split_table(columns_of(events), splitter, encoder, repeats=repeats)
    assert tuple(cells(part, encoder) for part in parts) == expected
    assert all(part.format == "csr" and part.has_canonical_format for part in parts)


@properties
@given(some_events, st.integers(1, 9), encoders, st.booleans())
def test_a_cut_in_time_is_that_of_loops(events, cut, settings, repeats):
    check(events, TimeCut(cut), settings, repeats)


@properties
@given(
    some_events,
    st.builds(LastN, st.integers(1, 3), min_history=st.integers(0, 2))
    | st.builds(LastFraction, st.sampled_from([0.2, 0.5, 0.8])),
    encoders,
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_the_latest_events_of_every_user_are_those_of_loops(
    events, splitter, settings, repeats, random
):
    times = random.sample(range(1, 100), len(events))  # none is tied
    events = [(*event[:3], when) for event, when in zip(events, times, strict=True)]
    check(events, splitter, settings, repeats)


@properties
@given(
    some_events,
    st.sampled_from([LastN(2), LastFraction(0.4), TimeCut(fraction=0.4), LeaveOneOut(by="value")]),
)
def test_new_items_are_those_that_hide_finds_in_the_first_times(events, splitter):
    """Ties included; but `hide` has rows and columns of users and items after the split too."""
    events = columns_of(events)
    whole = InteractionEncoder(timestamp="when")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all times may be the same
        history, holdout = splitter.hide(whole.fit_transform(events))
        encoder = InteractionEncoder(timestamp="when")
        found = split_table(events, splitter, encoder)
    assert cells(found[0], encoder) == cells(history, whole)
    assert cells(found[1], encoder) == {
        (user, item): time
        for (user, item), time in cells(holdout, whole).items()
        if user in encoder.users_.tolist() and item in encoder.items_.tolist()
    }


@properties
@given(some_events, st.booleans(), st.randoms(use_true_random=False))
def test_parts_do_not_depend_on_the_order_of_the_table(events, repeats, random):
    shuffled = random.sample(events, len(events))
    for splitter in (LastN(2), LastFraction(0.4)):
        encoder, other = (InteractionEncoder(timestamp="when") for _ in range(2))
        parts = split_table(columns_of(events), splitter, encoder, repeats=repeats)
        again = split_table(columns_of(shuffled), splitter, other, repeats=repeats)
        for one, two in zip(parts, again, strict=True):
            assert cells(one, encoder) == cells(two, other)


FORMS = {
    "pandas": lambda c: pd.DataFrame(c, index=[7] * len(c["user"])),
    "pandas-arrow": lambda c: pd.DataFrame(c).convert_dtypes(dtype_backend="pyarrow"),
    "pandas-category": lambda c: pd.DataFrame(c).astype({"user": "category", "item": "category"}),
    "polars": pl.DataFrame,
    "polars-lazy": pl.LazyFrame,
    "pyarrow": pa.table,
    "dict": lambda c: c | {"of another length": [1]},
    "dict-series": lambda c: {name: pd.Series(v, index=range(9, 0, -1)) for name, v in c.items()},
    "structured": lambda c: pd.DataFrame(c).to_records(index=False),
    "dicts": lambda c: pl.DataFrame(c).to_dicts(),
    "named-tuples": lambda c: list(pd.DataFrame(c).itertuples()),
    "tuples": lambda c: tuple(zip(*c.values(), strict=True)),
    "objects": lambda c: np.array(list(zip(*c.values(), strict=True)), object),
}


@pytest.mark.parametrize("dates", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_table(form, dates):
    columns = dict(zip(NAMES, map(list, zip(*EVENTS, strict=True)), strict=True))
    if dates and form != "structured":
        columns["when"] = [dt.datetime(1970, 1, 1, 0, 0, t) for t in columns["when"]]
    table = FORMS[form](columns)
    encoder = InteractionEncoder(**ROLES, values="time", duplicates="last")
    history, holdout = split_table(table, TimeCut(6), encoder, repeats=True)
    expected = reference(EVENTS, TimeCut(6), encoder, True)
    assert (cells(history, encoder), cells(holdout, encoder)) == expected
    lists = encoder.inverse_transform([[0]], users=["ann"])
    library = form.partition("-")[0]
    library = library if library in ("pandas", "polars", "pyarrow") else "builtins"
    assert type(lists).__module__.partition(".")[0] == library


def test_columns_by_position():
    """Of a tuple, a frame and a lazy frame, in another order than usual."""
    rows = [(when, item, user) for user, item, _, when in EVENTS]
    frame = pl.DataFrame(rows, schema=["a", "b", "c"], orient="row")
    for table in (rows, frame, frame.lazy(), frame.to_dict()):
        encoder = InteractionEncoder(user=2, item=1, timestamp=0)
        history, holdout = split_table(table, TimeCut(5), encoder)
        assert cells(holdout, encoder) == {("ann", "oat"): 7} and history.nnz == 4
