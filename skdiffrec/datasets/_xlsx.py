"""Read the first sheet of an .xlsx workbook row by row, with Python's standard library.

A workbook is a zip archive of XML files. XML with a document type declaration, which workbooks do
not have, is rejected; this excludes attacks by entity expansion.
"""

import re
import zipfile
from collections.abc import Iterator
from typing import IO
from xml.parsers import expat

from ._archive import open_member, open_zip
from ._download import DamagedFile

__all__ = ["read_sheet"]

_CHUNK = 2**20


def read_sheet(file: IO[bytes]) -> Iterator[list[str]]:
    """Rows of the first sheet: cells as text, "" for empty cells.

    Parameters
    ----------
    file : seekable binary stream
        The workbook.

    Yields
    ------
    row : list of str
    """
    with open_zip(file) as workbook:
        names = {info.filename.rpartition("/")[2] for info in workbook.infolist()}
        shared = list(_Texts(workbook, "sharedStrings.xml")) if "sharedStrings.xml" in names else []
        yield from _Rows(workbook, "sheet1.xml", shared)


class _Reader:
    """Iterate over the objects that an XML member is parsed into.

    Subclasses define `start` and `end`, called for each element, which append to `found`.
    """

    def __init__(self, workbook: zipfile.ZipFile, member: str):
        self._workbook, self._member = workbook, member
        self.found: list = []
        self.text: list[str] | None = None

    def start(self, name: str, values: dict[str, str]) -> None:
        """Called at the start tag of an element, with its attributes."""
        raise NotImplementedError

    def end(self, name: str) -> None:
        """Called at the end tag of an element."""
        raise NotImplementedError

    def __iter__(self):
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._reject_doctype
        parser.StartElementHandler = lambda name, values: self.start(name.split(" ")[-1], values)
        parser.EndElementHandler = lambda name: self.end(name.split(" ")[-1])
        parser.CharacterDataHandler = self._add_text
        try:
            with open_member(self._workbook, self._member) as stream:
                while chunk := stream.read(_CHUNK):
                    parser.Parse(chunk)
                    yield from self.found
                    self.found.clear()
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise DamagedFile(f"{self._member} in it is not valid XML ({error})") from error
        yield from self.found

    def _reject_doctype(self, *_):
        raise DamagedFile(f"{self._member} in it declares a document type, as no workbook does")

    def _add_text(self, text):
        if self.text is not None:
            self.text.append(text)

    def take_text(self):
        """The text collected since `self.text` was set to a list; stops collecting."""
        text, self.text = "".join(self.text or ()), None
        return text


class _Texts(_Reader):
    """The shared strings: elements ``si`` with pieces ``t``."""

    def __init__(self, workbook: zipfile.ZipFile, member: str):
        super().__init__(workbook, member)
        self._pieces: list[str] = []

    def start(self, name: str, values: dict[str, str]) -> None:
        if name == "si":
            self._pieces = []
        elif name == "t":
            self.text = []

    def end(self, name: str) -> None:
        if name == "t":
            self._pieces.append(self.take_text())
        elif name == "si":
            self.found.append("".join(self._pieces))


class _Rows(_Reader):
    """The rows: cells ``c`` with a value ``v`` or a text ``t``."""

    def __init__(self, workbook: zipfile.ZipFile, member: str, shared: list[str]):
        super().__init__(workbook, member)
        self._shared = shared
        self._row: list[str] = []

    def start(self, name: str, values: dict[str, str]) -> None:
        if name == "row":
            self._row = []
        elif name == "c":
            self._type, self._value = values.get("t"), ""
            address = values.get("r")
            self._column = _column_index(address) if address else len(self._row)
        elif name in ("v", "t"):
            self.text = []

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._value += self.take_text()
        elif name == "c":
            missing = self._column - len(self._row)
            self._row += [""] * missing + [self._cell()]
        elif name == "row":
            self.found.append(self._row)

    def _cell(self):
        if self._type != "s":
            return self._value
        try:
            return self._shared[int(self._value)]
        except (ValueError, IndexError) as error:
            raise DamagedFile(f"a cell refers to the missing text {self._value!r}") from error


def _column_index(address: str) -> int:
    """Column, from 0, of a cell address such as "AB12"."""
    number = 0
    for letter in re.findall("[A-Z]", address)[:3]:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1
