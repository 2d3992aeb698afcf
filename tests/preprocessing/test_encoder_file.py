"""Encoders in files: equal after a round trip, and files that are damaged are refused."""

import copy
import datetime as dt
import fractions
import io
import pickle
import sys
import zoneinfo

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from encoder_tables import EVENTS, FORMS, IDS, ROLES, as_dict, table
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from skdiffrec import persistence
from skdiffrec._utils import tensor_file
from skdiffrec.baselines import PopularityRecommender
from skdiffrec.persistence import PersistenceError
from skdiffrec.preprocessing import InteractionEncoder, recommend_batches
from skdiffrec.preprocessing._stored_ids import stored_ids, take_ids

MORE_IDS = {
    "floats": [0.5, 2.25, -0.0],
    "float32": list(np.float32([0.5, 1.5, 2.5])),
    "numpy in tuples": [(np.int64(3), "a"), (np.int64(1), "b")],
    "times": [dt.time(8), dt.time(9, tzinfo=dt.UTC)],
    "durations": [dt.timedelta(1), dt.timedelta(microseconds=3)],
    "mixed": [1.5, "x", 2**80, b"\xff", True, dt.date(2024, 1, 2), fractions.Fraction(1, 3)],
    "moments": ["x", dt.datetime(2024, 3, 31, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))],
    "offsets": ["x", dt.datetime(2024, 3, 31, tzinfo=dt.timezone(dt.timedelta(hours=2)))],
    "nested": [("a", ("b", frozenset({1, 2.5}))), ("a", ())],
    "periods": list(pd.period_range("2024-01", periods=3, freq="M")),
    "intervals": [pd.Interval(0, 1), pd.Interval(1, 2)],
    "stamps": ["x", pd.Timestamp("2024-01-01 00:00:00.000000001", tz="UTC")],
}
ALL_IDS = {**IDS, **{f"more {name}": ids for name, ids in MORE_IDS.items()}}


def by_file(encoder, folder):
    encoder.save(folder / "encoder.safetensors")
    return InteractionEncoder.load(folder / "encoder.safetensors")


def by_joblib(encoder, folder):
    joblib.dump(encoder, folder / "encoder.joblib")
    return joblib.load(folder / "encoder.joblib")


def by_skops(encoder, folder):
    data = skops.io.dumps(encoder)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


WAYS = {
    "file": by_file,
    "joblib": by_joblib,
    "pickle": lambda encoder, _: pickle.loads(pickle.dumps(encoder)),
    "copy": lambda encoder, _: copy.copy(copy.deepcopy(encoder)),
}


def assert_same_array(found, expected):
    assert found.dtype == expected.dtype
    pairs = list(zip(found.tolist(), expected.tolist(), strict=True))
    assert [type(a) for a, _ in pairs] == [type(b) for _, b in pairs]
    assert [a for a, _ in pairs] == [b for _, b in pairs]


ROWS = ("_row_hashes", "_row_masks", "_row_levels")


def assert_same_encoder(found, expected):
    assert found.get_params() == expected.get_params()
    kept = {name for name in vars(expected) if name != "_cached"}
    assert {name for name in vars(found) if name != "_cached"} == kept
    for name in ("users_", "items_", "_left_out", "_left_out_users", *ROWS):
        assert_same_array(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ALL_IDS)
def test_ids_of_every_kind(way, kind, tmp_path):
    ids = list(dict.fromkeys(ALL_IDS[kind]))
    encoder = InteractionEncoder(min_user_interactions=2)
    events = [(user, item) for place, user in enumerate(ids) for item in ids[: len(ids) - place]]
    X = encoder.fit_transform(events)
    found = WAYS[way](encoder, tmp_path)
    assert_same_encoder(found, encoder)
    assert_array_equal(found.transform(events).toarray(), X.toarray())
    model = PopularityRecommender().fit(X)
    both = ([as_dict(t) for t in recommend_batches(model, each)] for each in (found, encoder))
    assert next(both) == next(both)


@pytest.mark.parametrize("kind", ["text", "ints", "mixed", "datetime64", "tuples"])
def test_skops(kind, tmp_path):
    ids = ALL_IDS[kind]
    encoder = InteractionEncoder().fit([(each, each) for each in ids])
    assert_same_encoder(by_skops(encoder, tmp_path), encoder)


@pytest.mark.parametrize("way", ["file", "joblib"])
@pytest.mark.parametrize("form", FORMS)
def test_tables_of_every_form(way, form, tmp_path):
    encoder = InteractionEncoder(**ROLES, values="weight", duplicates="max")
    X = encoder.fit_transform(table(form))
    found = WAYS[way](encoder, tmp_path)
    assert_array_equal(found.transform(table(form)).toarray(), X.toarray())
    tables = [each.inverse_transform(X) for each in (found, encoder)]
    assert type(tables[0]) is type(tables[1]) and as_dict(tables[0]) == as_dict(tables[1])
    for role in ("user", "item") if hasattr(tables[0], "dtypes") else ():
        assert tables[0][role].dtype == tables[1][role].dtype


def test_types_of_categories(tmp_path):
    events = pl.DataFrame({"user": ["b", "a"], "item": [2, 1]}).with_columns(
        pl.col("user").cast(pl.Enum(["a", "b", "c"]))
    )
    encoder = by_file(InteractionEncoder().fit(events), tmp_path)
    assert encoder.inverse_transform([[0], [1]])["user"].dtype == events["user"].dtype
    frame = events.to_pandas()
    frame["item"] = pd.Categorical(frame["item"], [3, 2, 1], ordered=True)
    encoder = by_file(InteractionEncoder().fit(frame), tmp_path)
    found = encoder.inverse_transform([[0], [1]])
    assert found["item"].dtype == frame["item"].dtype and found["item"].tolist() == [1, 2]


def test_arrays_of_ids_without_pickle():
    """The way that the docs name."""
    encoder = InteractionEncoder().fit([("ann", "tea"), ("bob", "jam" * 30)])
    file = io.BytesIO()
    np.savez(file, users=encoder.users_.tolist(), items=encoder.items_.tolist())
    file.seek(0)
    with np.load(file) as arrays:
        assert arrays["users"].tolist() == encoder.users_.tolist()
        assert arrays["items"].tolist() == encoder.items_.tolist()


def test_any_encoder_of_the_library(tmp_path):
    path = tmp_path / "encoder"
    persistence.save(InteractionEncoder(**ROLES).fit(EVENTS), path)
    assert isinstance(persistence.load(path), InteractionEncoder)
    with pytest.raises(PersistenceError, match="'InteractionEncoder', no PopularityRecommender"):
        PopularityRecommender.load(path)
    PopularityRecommender().fit([[1, 0], [1, 1]]).save(path)
    with pytest.raises(PersistenceError, match="encoder.*cannot be loaded"):
        InteractionEncoder.load(path)


def test_without_the_library_of_the_table(tmp_path, monkeypatch):
    """A frame's encoder is loaded and looks names up where that library is not installed."""
    InteractionEncoder().fit(pl.DataFrame({"user": ["ann"], "item": ["tea"]})).save(tmp_path / "e")
    monkeypatch.setitem(sys.modules, "polars", None)
    encoder = InteractionEncoder.load(tmp_path / "e")
    assert encoder.item_names([0, -1]).tolist() == ["tea", None]
    assert encoder.transform([("ann", "tea")]).nnz == 1


def test_numbers_that_are_not_finite():
    for ids in (np.array([-np.inf, 1.5, np.inf]), np.array([np.inf, "x"], object)):
        description, tensors = stored_ids("users", ids)
        assert_same_array(take_ids("users", description, tensors), ids)


class TestRefused:
    def test_before_fit(self, tmp_path):
        with pytest.raises(NotFittedError):
            InteractionEncoder().save(tmp_path / "e")

    def test_ids_that_have_no_place(self, tmp_path):
        class Own(str):
            pass

        for ids in ([Own("a"), "b"], [range(3), "x"], [type, int]):
            encoder = InteractionEncoder().fit([(each, 1) for each in ids])
            with pytest.raises(PersistenceError, match="users holds .* cannot be saved.*joblib"):
                encoder.save(tmp_path / "e")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("kind", "change"),
        [
            ("text", lambda r, t: t.update({"users.ends": t["users.ends"][::-1].copy()})),
            ("text", lambda r, t: t.update({"users.ends": t["users.ends"][:-1]})),
            ("text", lambda r, t: t.update({"users.utf8": t["users.utf8"] | 128})),
            ("text", lambda r, t: t.update(row_hashes=t["row_hashes"][:-1])),
            ("text", lambda r, t: t.update(row_masks=t["row_masks"][:-1])),
            ("text", lambda r, t: t.pop("row_masks")),
            ("text", lambda r, t: t.update(row_levels=t["row_levels"].astype(np.int64))),
            ("text", lambda r, t: t.update(more=t["row_hashes"])),
            ("text", lambda r, t: t.pop("items.utf8")),
            ("text", lambda r, t: r.update(values="other")),
            ("text", lambda r, t: r["ids"].update(users={"kind": "pickle"})),
            ("text", lambda r, t: r["ids"].update(users=3)),
            ("text", lambda r, t: r["form"].update(user=3)),
            ("text", lambda r, t: r["parameters"].update(duplicates="none")),
            ("text", lambda r, t: r.update({"class": "Other"})),
            ("ints", lambda r, t: t.update(users=t["users"][::-1].copy())),
            ("ints", lambda r, t: r["ids"]["users"].update(dtype="O")),
            ("ints", lambda r, t: r["ids"]["users"].update(dtype="<i2")),
            ("bools", lambda r, t: t.update(users=t["users"] * 2)),
            ("mixed", lambda r, t: t.update({"users.json": np.frombuffer(b'["a"', np.uint8)})),
            ("mixed", lambda r, t: t.update({"users.json": np.frombuffer(b'[{"a":1}]', np.uint8)})),
            ("mixed", lambda r, t: t.update({"users.json": np.frombuffer(b'[["os"]]', np.uint8)})),
            ("mixed", lambda r, t: t.update({"users.json": np.frombuffer(b"[[]]", np.uint8)})),
            ("mixed", lambda r, t: t.update({"users.json": np.frombuffer(b"[1,1]", np.uint8)})),
            ("mixed", lambda r, t: t.update({"users.json": np.frombuffer(b"[" * 9999, np.uint8)})),
        ],
    )
    def test_forged(self, kind, change, tmp_path):
        encoder = InteractionEncoder().fit([(each, each) for each in IDS[kind]])
        encoder.save(tmp_path / "e")
        record, tensors = tensor_file.read(tmp_path / "e")
        change(record, tensors)
        record = {name: v for name, v in record.items() if not name.endswith("_version")}
        tensor_file.write(tmp_path / "e", record, tensors)
        for load in (InteractionEncoder.load, persistence.load):
            with pytest.raises(PersistenceError, match="/e'"):
                load(tmp_path / "e")

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_damaged(self, data):
        import tempfile

        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            InteractionEncoder().fit(table("polars-category")).save(file.name)
            content = bytearray(open(file.name, "rb").read())
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] ^= data.draw(st.integers(1, 255))
            open(file.name, "wb").write(content[: data.draw(st.sampled_from([None, place]))])
            with pytest.raises(PersistenceError):
                InteractionEncoder.load(file.name)
