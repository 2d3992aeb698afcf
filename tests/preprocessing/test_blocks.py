"""Events that are read some users at a time, against the same table at once."""

import numpy as np
import pytest

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import RowBlocks
from skdiffrec.preprocessing import InteractionEncoder

pl = pytest.importorskip("polars")

RNG = np.random.default_rng(0)
N = 3000
TABLE = pl.DataFrame(
    {
        "user": RNG.integers(0, 200, N) * 7 - 50,
        "item": RNG.choice([f"i{j}" for j in range(70)], N),
        "weight": RNG.integers(0, 6, N),
        "time": RNG.integers(1, 10**9, N),
    }
)
USERS = {
    "integers": TABLE,
    "text": TABLE.with_columns(user=pl.format("ü{}", pl.col("user"))),
    "floats": TABLE.with_columns(user=pl.col("user") / 2),
}
PARAMETERS = {
    "binary": {},
    "weight": {"weight": "weight"},
    "time": {"timestamp": "time"},
    "order": {"order": True},
    "high weights": {"weight": "weight", "min_weight": 5},
    "ratings": {"weight": "weight", "values": "rating"},
    "last": {"weight": "weight", "timestamp": "time", "duplicates": "last", "values": "weight"},
}


def in_files(table, path):
    """A folder of two Parquet files, whose users overlap."""
    path.mkdir()
    table[:1000].write_parquet(path / "a.parquet")
    table[1000:].write_parquet(path / "b.parquet")
    return path


@pytest.mark.parametrize("users", USERS)
@pytest.mark.parametrize("name", PARAMETERS)
def test_the_matrix_and_the_encoder_are_those_of_the_whole_table(users, name, tmp_path):
    table, given = USERS[users], PARAMETERS[name]
    whole, parts = InteractionEncoder(**given), InteractionEncoder(**given)
    expected = whole.fit_transform(table)
    found = parts.fit_transform_blocks(
        in_files(table, tmp_path / "files"), tmp_path / "rows", n_events=300
    )
    assert isinstance(found, RowBlocks) and found[:].dtype == expected.dtype
    assert found.shape == expected.shape and (found[:] != expected).nnz == 0
    for attribute, value in vars(whole).items():
        other = vars(parts)[attribute]
        assert np.array_equal(np.asarray(value), np.asarray(other)), attribute
        assert getattr(value, "dtype", None) == getattr(other, "dtype", None), attribute


@pytest.mark.parametrize("source", ["lazy", "frame", "list", "pattern", "pandas"])
def test_sources(source, tmp_path):
    files = in_files(TABLE, tmp_path / "files")
    X = {
        "lazy": TABLE.lazy(),
        "frame": TABLE,
        "list": [files / "a.parquet", str(files / "b.parquet")],
        "pattern": str(files / "*.parquet"),
        "pandas": TABLE.to_pandas(),
    }[source]
    found = InteractionEncoder().fit_transform_blocks(X, tmp_path / "rows")
    assert (found[:] != InteractionEncoder().fit_transform(TABLE)).nnz == 0


def test_a_relation_of_duckdb(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.from_arrow(TABLE.to_arrow())
    found = InteractionEncoder().fit_transform_blocks(relation, tmp_path / "rows", n_events=500)
    assert (found[:] != InteractionEncoder().fit_transform(TABLE)).nnz == 0


def test_a_model_of_blocks_serves_the_encoder(tmp_path):
    """From files to lists with names."""
    encoder = InteractionEncoder(timestamp="time")
    blocks = encoder.fit_transform_blocks(TABLE.lazy(), tmp_path / "rows", n_events=500)
    model = CFGDiffusionRecommender(
        values="time", max_epochs=2, hidden_dims=(16,), random_state=0, device="cpu"
    ).fit(blocks)
    some = blocks[:3]
    ids, scores = model.recommend(X=some, k=4)
    table = encoder.inverse_transform(ids, scores, users=encoder.users_[:3])
    assert table["item"].is_in(encoder.items_.tolist()).all() and len(table) == 12
    path = tmp_path / "encoder"
    encoder.save(path)
    assert (InteractionEncoder.load(path).transform(TABLE) != blocks[:]).nnz == 0


@pytest.mark.parametrize(
    ("change", "given", "kind", "message"),
    [
        ({"min_user_interactions": 2}, {}, ValueError, "must be 1 here"),
        ({"user": "name"}, {}, ValueError, "no column 'name'"),
        ({}, {"n_events": 0}, ValueError, "n_events must be at least 1"),
        ({}, {"X": 3}, TypeError, "path of a Parquet file"),
        ({}, {"X": []}, TypeError, "path of a Parquet file"),
        ({}, {"X": "nothing.parquet"}, FileNotFoundError, "no file"),
        ({}, {"X": TABLE[:0].lazy()}, ValueError, "no events"),
        ({"weight": "weight"}, {"X": TABLE.with_columns(weight=-1)}, ValueError, "users -50 to"),
        ({"weight": "weight"}, {"X": TABLE.with_columns(weight=0)}, ValueError, "nothing is left"),
        ({}, {"X": TABLE.with_columns(user=None)}, ValueError, "missing ids"),
    ],
)
def test_what_cannot_be_encoded(change, given, kind, message, tmp_path):
    encoder = InteractionEncoder(**change)
    with pytest.raises(kind, match=message):
        encoder.fit_transform_blocks(**{"X": TABLE, "folder": tmp_path / "rows"} | given)
    assert not list(tmp_path.iterdir()) and not hasattr(encoder, "n_users_")


@pytest.mark.parametrize("library", ["pandas", "dask"])
@pytest.mark.parametrize("ids", ["text", "integers", "floats"])
def test_categories_without_an_order(library, ids, tmp_path):
    frame = USERS[ids].to_pandas().astype({"user": "category", "item": "category"})
    expected = InteractionEncoder().fit(frame)
    X = frame
    if library == "dask":
        X = pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=2)
    encoder = InteractionEncoder()
    found = encoder.fit_transform_blocks(X, tmp_path / "rows", n_events=500)
    assert (found[:] != expected.transform(frame)).nnz == 0
    assert encoder.users_.tolist() == expected.users_.tolist()


def test_events_that_do_not_count_may_lack_a_user(tmp_path):
    events = pl.DataFrame(
        {"user": ["a", "a", None, "b"], "item": ["x", "y", "x", "x"], "weight": [1.0, 2, 0, 1]}
    )
    for i, given in enumerate(({}, {"returns": "net"}, {"min_weight": 1.0})):
        encoder = InteractionEncoder(weight="weight", **given)
        found = encoder.fit_transform_blocks(events, tmp_path / str(i))
        assert (found[:] != encoder.fit_transform(events)).nnz == 0


def test_a_folder_without_files(tmp_path):
    (tmp_path / "files").mkdir()
    with pytest.raises(FileNotFoundError, match="no Parquet file in the folder"):
        InteractionEncoder().fit_transform_blocks(tmp_path / "files", tmp_path / "rows")
