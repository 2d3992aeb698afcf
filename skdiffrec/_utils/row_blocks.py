"""Rows of more interactions than memory holds, in blocks that are read when they are needed."""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from .canonical import refuse_contradictions

__all__ = ["RowBlocks"]

_MANIFEST, _FORMAT = "rows.json", 1
_PARTS = ("indptr", "indices", "data")
_PART_ENTRIES = 2**22  # of a part on disk, into which smaller blocks are put together
_MAX_ITEMS = 2**31 - 1


class RowBlocks:
    """Users × items in blocks of rows, in memory or on disk, for `fit` of sets of any size.

    Parameters
    ----------
    blocks : str, path-like, or sequence of {sparse matrix, sparse array}
        A folder that :meth:`write` made, whose rows stay on disk until they are needed; or matrices
        that follow one another, all of shape (n, n_items), which may be memory-mapped.

    Attributes
    ----------
    shape : tuple of int
        (n_users, n_items) of all blocks together.
    nnz : int
        Number of stored entries.

    Raises
    ------
    ValueError
        If there is no block, widths differ, or a folder is not whole.
    TypeError
        If a block is no sparse matrix.

    Notes
    -----
    ``len`` is the number of blocks, iterating yields them as csr_arrays, and ``blocks[rows]``, a
    slice or an array of row numbers, is a csr_array of these rows.

    Examples
    --------
    >>> import os, tempfile
    >>> from skdiffrec import CFGDiffusionRecommender
    >>> from skdiffrec.datasets import RowBlocks, make_interactions
    >>> X = make_interactions(300, 200, random_state=0).train
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = os.path.join(home, "rows")
    ...     blocks = RowBlocks.write(folder, (X[i : i + 100] for i in range(0, 300, 100)))
    ...     model = CFGDiffusionRecommender(max_epochs=2, random_state=0).fit(blocks)
    >>> model.recommend(X=X[:2], k=5)[0].shape
    (2, 5)
    """

    def __init__(self, blocks: Any) -> None:
        self._folder = None
        if isinstance(blocks, (str, os.PathLike)):
            self._folder = Path(os.path.expanduser(blocks)).absolute()
            parts = _opened(self._folder)
        else:
            parts = [_checked(block, i) for i, block in enumerate(_listed(blocks))]
        if not parts:
            raise ValueError("There is no block of rows. Give one matrix of shape (n, n_items).")
        _check_widths(parts)
        self._parts = parts
        self._starts = np.cumsum([0, *(part.shape[0] for part in parts)])
        self.shape = int(self._starts[-1]), int(parts[0].shape[1])
        self.nnz = sum(int(part.nnz) for part in parts)

    @classmethod
    def write(cls, folder: str | os.PathLike[str], blocks: Any) -> Self:
        """Write blocks of rows to a folder, from which they are memory-mapped.

        Parameters
        ----------
        folder : str or path-like
            It must not be there yet, or be empty. It appears at once, when it is complete.
        blocks : iterable of {sparse matrix, sparse array}, or Dask array of sparse blocks
            Matrices of shape (n, n_items) that follow one another. They are read once, one at a
            time. A Dask array must have all items in one block.

        Returns
        -------
        blocks : RowBlocks

        Raises
        ------
        ValueError, TypeError
            As the class; then there is no folder.
        FileExistsError
            If there is something in the folder.
        """
        folder = Path(os.path.expanduser(folder)).absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(
                errno.EEXIST,
                f"{str(folder)!r} is there already, and not an empty folder. Give another path, or "
                "remove it.",
            )
        if not folder.parent.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, f"There is no folder {str(folder.parent)!r}; make it."
            )
        partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
        partial.mkdir()
        try:
            sizes = [_write_part(partial, i, part) for i, part in enumerate(_grouped(blocks))]
            if not sizes:
                raise ValueError("There is no block of rows to write. Give one at least.")
            manifest = {"format": _FORMAT, "n_items": sizes[0][1], "parts": sizes}
            (partial / _MANIFEST).write_text(json.dumps(manifest))
            if folder.exists():
                folder.rmdir()
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        # another process maps the same files
        return type(self), (self._parts if self._folder is None else self._folder,)

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[sp.csr_array]:
        return iter(self._parts)

    def __repr__(self) -> str:
        shape = f"{self.shape[0]:,} users x {self.shape[1]:,} items"
        return f"<RowBlocks of {shape}, {self.nnz:,} entries in {len(self)} blocks>"

    def __getitem__(self, rows: Any) -> sp.csr_array:
        if isinstance(rows, slice) and rows.step in (None, 1):
            return self._slice(*rows.indices(self.shape[0])[:2])
        if isinstance(rows, slice):
            rows = np.arange(self.shape[0])[rows]
        if isinstance(rows, tuple) or np.ndim(rows) != 1 or np.asarray(rows).dtype.kind not in "iu":
            raise TypeError(
                "Rows of RowBlocks are picked by a slice or a 1-D array of integers. Where a "
                "matrix is needed, as in a search over parameters, give rows: blocks[first:last]."
            )
        rows = np.asarray(rows)
        if rows.size and not (rows.min() >= 0 and rows.max() < self.shape[0]):
            raise IndexError(f"Rows lie between 0 and {self.shape[0] - 1}.")
        part = np.searchsorted(self._starts, rows, "right") - 1
        order = np.argsort(part, kind="stable")
        found = [
            self._parts[i][rows[part == i] - self._starts[i]] for i in np.unique(part).tolist()
        ]
        stacked = self._stacked(found)
        return stacked if (np.diff(order) == 1).all() else stacked[np.argsort(order)]

    def _slice(self, start, stop):
        first = int(np.searchsorted(self._starts, start, "right")) - 1
        found = []
        for part, at in zip(self._parts[first:], self._starts[first:].tolist(), strict=False):
            if at >= stop:
                break
            found.append(_rows_between(part, max(start - at, 0), min(stop - at, part.shape[0])))
        return self._stacked(found)

    def _stacked(self, found):
        if not found:
            return sp.csr_array((0, self.shape[1]), dtype=self._parts[0].dtype)
        for part in found:  # of a damaged file; what reads them would read outside of arrays
            refuse_contradictions("A block of rows", part)
        return found[0] if len(found) == 1 else sp.csr_array(sp.vstack(found, format="csr"))


def _rows_between(part, start, stop):
    """Rows of a block, with all that is stored of them: SciPy would drop what has no column."""
    stop = max(start, stop)
    indptr = part.indptr[start : stop + 1]
    stored = slice(int(indptr[0]), int(indptr[-1]))
    parts = part.data[stored], part.indices[stored], indptr - indptr[0]
    return sp.csr_array(tuple(map(np.array, parts)), shape=(stop - start, part.shape[1]))


def _listed(blocks):
    """Blocks, of which one matrix is one."""
    return [blocks] if sp.issparse(blocks) else blocks


def _checked(block, i):
    if not sp.issparse(block):
        raise TypeError(
            f"Block {i} is of type {type(block).__name__}; give sparse matrices of shape "
            "(n, n_items), such as scipy.sparse.csr_array."
        )
    refuse_contradictions(f"Block {i}", block)
    if block.shape[1] > _MAX_ITEMS:
        raise ValueError(f"Block {i} has {block.shape[1]} items; there may be {_MAX_ITEMS}.")
    return sp.csr_array(block)


def _check_widths(parts):
    for i, part in enumerate(parts):
        if part.shape[1] != parts[0].shape[1]:
            raise ValueError(
                f"Block {i} has {part.shape[1]} items, but block 0 has {parts[0].shape[1]}. All "
                "blocks are rows of one matrix: give them the same items as columns."
            )


def _of_dask(array: Any) -> Iterator[Any]:
    """The blocks of a Dask array, each computed when it is reached."""
    if array.ndim != 2 or array.numblocks[1] != 1:
        raise ValueError(
            f"The Dask array has blocks of {array.numblocks}: give all items in one block, "
            "array.rechunk({1: -1})."
        )
    return (block.compute() for block in array.to_delayed().ravel())


def _grouped(blocks: Iterable[Any]) -> Iterator[sp.csr_array]:
    """Blocks, small ones put together."""
    blocks = _of_dask(blocks) if hasattr(blocks, "to_delayed") else _listed(blocks)
    group: list[sp.csr_array] = []
    n_items = None
    for i, block in enumerate(blocks):
        block = _checked(block, i)
        n_items = block.shape[1] if n_items is None else n_items
        if block.shape[1] != n_items:
            raise ValueError(f"Block {i} has {block.shape[1]} items, but block 0 has {n_items}.")
        if group and sum(part.nnz for part in group) + block.nnz > _PART_ENTRIES:
            yield _joined(group)
            group = []
        group.append(block)
    if group:
        yield _joined(group)


def _joined(group):
    return group[0] if len(group) == 1 else sp.csr_array(sp.vstack(group, format="csr"))


def _write_part(folder, i, part):
    """Write a block; its (rows, items, entries)."""
    if part.nnz >= 2**31:
        raise ValueError(f"A block has {part.nnz} entries; give smaller blocks, below 2**31.")
    arrays = part.indptr.astype(np.int32), part.indices.astype(np.int32), part.data
    for name, array in zip(_PARTS, arrays, strict=True):
        np.save(folder / f"{name}-{i:05d}.npy", array)
    return (*part.shape, part.nnz)


def _opened(folder):
    """The memory-mapped parts of a folder."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        if manifest["format"] != _FORMAT:
            raise ValueError(f"It has format {manifest['format']}, and not {_FORMAT}.")
        return [_mapped(folder, i, *size) for i, size in enumerate(manifest["parts"])]
    except FileNotFoundError as error:
        raise ValueError(
            f"{str(folder)!r} is no whole folder of rows: there is no {Path(error.filename).name}. "
            "Write it again by RowBlocks.write."
        ) from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f"{str(folder)!r} is no whole folder of rows: {error} Write it again by "
            "RowBlocks.write."
        ) from error


def _mapped(folder, i, n_rows, n_items, n_entries):
    indptr, indices, data = (
        np.load(folder / f"{name}-{i:05d}.npy", mmap_mode="r", allow_pickle=False)
        for name in _PARTS
    )
    lengths = len(indptr) == n_rows + 1, len(indices) == n_entries, len(data) == n_entries
    whole = all(lengths) and indptr[0] == 0 and indptr[-1] == n_entries
    if not whole or (np.diff(indptr) < 0).any() or data.dtype.kind not in "biuf":
        raise ValueError(
            f"Part {i} does not have the {n_rows} rows and {n_entries} entries it had."
        )
    return sp.csr_array((data, indices, indptr), shape=(n_rows, n_items))
