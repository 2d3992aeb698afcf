"""Tables of text: columns of numbers, and titles."""

import io
import warnings
from typing import IO, Any

import numpy as np

from ._download import DamagedFile

__all__ = ["read_columns", "read_lines"]


def read_columns(
    stream: IO[bytes], fields: Any, *, delimiter: str, columns: Any, header: bool = False
) -> np.ndarray:
    """Columns of a table as a structured array of shape (n_rows,).

    Parameters
    ----------
    stream : binary stream
        One row a line.
    fields : list of (name, dtype)
        What the columns become.
    delimiter : str
        One character.
    columns : tuple of int
        The columns to read.
    header : bool
        Whether the first line holds names.
    """
    try:
        with (
            io.TextIOWrapper(stream, encoding="latin-1") as text,  # numbers alone are read
            warnings.catch_warnings(action="error", category=UserWarning),  # of an empty table
        ):
            return np.atleast_1d(
                np.loadtxt(
                    text,
                    dtype=fields,
                    delimiter=delimiter,
                    usecols=columns,
                    skiprows=int(header),
                    comments=None,
                )
            )
    except DamagedFile:
        raise
    except (ValueError, UserWarning) as error:
        raise DamagedFile(f"its table is not as expected ({error})") from error


def read_lines(stream: IO[bytes], encoding: str) -> list[str]:
    """Lines of a text, without their ends and without empty ones."""
    with io.TextIOWrapper(stream, encoding=encoding) as text:
        return [line.rstrip("\n") for line in text if line.strip()]
