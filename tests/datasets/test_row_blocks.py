"""RowBlocks: rows in memory or on disk, block by block."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec._utils import row_blocks
from skdiffrec.datasets import RowBlocks

X = sp.csr_array(sp.random(60, 20, density=0.2, format="csr", random_state=0, dtype=np.float32))


def in_blocks(X, size=7):
    return (X[i : i + size] for i in range(0, X.shape[0], size))


def same(A, B):
    return A.shape == B.shape and (A != B).nnz == 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(row_blocks, "_PART_ENTRIES", 50)
    return tmp_path / "rows"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_are_those_of_the_blocks_together(data):
    sizes = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    whole, ends = X[: sum(sizes)], np.cumsum([0, *sizes])
    blocks = RowBlocks([X[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)])
    assert blocks.shape == whole.shape and blocks.nnz == whole.nnz and len(blocks) == len(sizes)
    assert same(sp.vstack(list(blocks), format="csr"), whole)
    first, last = data.draw(st.integers(-70, 70)), data.draw(st.integers(-70, 70))
    step = data.draw(st.sampled_from([None, 1, 2, -1]))
    assert same(blocks[first:last:step], whole[first:last:step])
    if whole.shape[0]:
        rows = data.draw(st.lists(st.integers(0, whole.shape[0] - 1), max_size=9))
        assert same(blocks[np.array(rows, np.int64)], whole[np.array(rows, np.int64)])


def test_a_folder_has_the_rows_that_were_written(folder):
    written = RowBlocks.write(folder, in_blocks(X))
    for blocks in (written, RowBlocks(folder), RowBlocks(str(folder))):
        assert same(blocks[:], X) and len(blocks) > 1
    assert "60 users x 20 items" in repr(written)
    copy = pickle.dumps(written)
    assert len(copy) < 1000 and same(pickle.loads(copy)[:], X)  # another process maps the files


def test_a_folder_that_is_empty_is_written_to(folder):
    folder.mkdir()
    assert same(RowBlocks.write(folder, [X])[:], X)
    with pytest.raises(FileExistsError, match="not an empty folder"):
        RowBlocks.write(folder, [X])
    assert same(RowBlocks(folder)[:], X)


def test_blocks_of_dask_are_computed_one_by_one(folder):
    array = pytest.importorskip("dask.array")
    dense = array.from_array(X.toarray(), chunks=(7, -1))
    assert same(RowBlocks.write(folder, dense.map_blocks(sp.csr_matrix))[:], X)
    dense = array.from_array(X.toarray(), chunks=(7, 10))
    with pytest.raises(ValueError, match="all items in one block"):
        RowBlocks.write(folder.with_name("other"), dense.map_blocks(sp.csr_matrix))


BAD = {
    "widths": ([X, X[:, :5]], ValueError, "Block 1 has 5 items, but block 0 has 20"),
    "none": ([], ValueError, "no block of rows"),
    "dense": ([X, X.toarray()], TypeError, "Block 1 is of type ndarray"),
    "contradiction": (
        [X, sp.csr_array((X.data, X.indices + 7, X.indptr), X.shape, copy=True)],
        ValueError,
        "Block 1 is a sparse matrix",
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("on_disk", [False, True])
def test_blocks_that_do_not_fit_are_refused(name, on_disk, folder):
    blocks, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        RowBlocks.write(folder, iter(blocks)) if on_disk else RowBlocks(blocks)
    assert not list(folder.parent.iterdir())


def test_a_source_that_fails_leaves_nothing(folder):
    def failing():
        yield from in_blocks(X[:30])
        raise RuntimeError("the source ended")

    with pytest.raises(RuntimeError, match="the source ended"):
        RowBlocks.write(folder, failing())
    assert not list(folder.parent.iterdir())


def test_a_folder_that_is_not_whole_is_refused(folder):
    RowBlocks.write(folder, in_blocks(X))
    with pytest.raises(FileNotFoundError, match="make it"):
        RowBlocks.write(folder / "no" / "rows", [X])
    whole = (folder / "data-00001.npy").read_bytes()
    (folder / "data-00001.npy").write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="no whole folder of rows"):
        RowBlocks(folder)
    (folder / "data-00001.npy").unlink()
    with pytest.raises(ValueError, match="there is no data-00001.npy"):
        RowBlocks(folder)
    (folder / "rows.json").unlink()
    with pytest.raises(ValueError, match=r"there is no rows\.json"):
        RowBlocks(folder)
    with pytest.raises(ValueError, match=r"there is no rows\.json"):
        RowBlocks(folder.parent / "nothing")


@pytest.mark.parametrize("rows", [[0.5], [[1]], [True]])
def test_rows_are_picked_by_integers(rows):
    with pytest.raises(TypeError, match="slice or a 1-D array"):
        RowBlocks([X])[np.array(rows)]
    for wrong in (60, -1):
        with pytest.raises(IndexError, match="between 0 and 59"):
            RowBlocks([X])[np.array([wrong])]


def test_one_matrix_is_one_block(folder):
    for form in (sp.csr_array, sp.csr_matrix, sp.coo_array):
        assert same(RowBlocks(form(X))[:], X)
    blocks = RowBlocks.write(folder, X)
    assert len(blocks) == 1 and same(blocks[:], X)


@pytest.mark.parametrize("place", [1, 30, -2])
def test_a_damaged_part_is_refused(folder, place):
    """Rows of it would be read outside of its arrays."""
    RowBlocks.write(folder, X)
    path = folder / "indptr-00000.npy"
    indptr = np.load(path)
    indptr[place] += 1_000_000
    np.save(path, indptr)
    with pytest.raises(ValueError, match="no whole folder of rows"):
        RowBlocks(folder)


def test_columns_out_of_range_are_refused(folder):
    RowBlocks.write(folder, X)
    path = folder / "indices-00000.npy"
    indices = np.load(path)
    indices[-1] = 1_000_000
    np.save(path, indices)
    blocks = RowBlocks(folder)
    assert same(blocks[:30], X[:30])
    for rows in (slice(50, 60), [59], slice(None)):
        with pytest.raises(ValueError, match="A block of rows"):
            blocks[rows]


@pytest.mark.parametrize("rows", [(0, 1), (slice(None), 2), [[0], [1]], "a", 1.5])
def test_what_picks_no_rows(rows):
    with pytest.raises(TypeError, match="by a slice or a 1-D array of integers"):
        RowBlocks([X])[rows]
