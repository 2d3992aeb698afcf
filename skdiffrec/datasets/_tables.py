"""Text tables: columns of numbers, and lines."""

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
        One row per line.
    fields : list of (name, dtype)
        Names and dtypes of the columns in the result.
    delimiter : str
        One character.
    columns : tuple of int
        Indices of the columns to read.
    header : bool
        Whether the first line holds column names.

    Raises
    ------
    DamagedFile
        If a column does not hold numbers or the table is empty.
    """
    try:
        with (
            io.TextIOWrapper(stream, encoding="latin-1") as text,  # only numbers are read
            warnings.catch_warnings(action="error", category=UserWarning),  # for an empty table
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
    """Non-empty lines of a text, without line ends."""
    with io.TextIOWrapper(stream, encoding=encoding) as text:
        return [line.rstrip("\n") for line in text if line.strip()]
