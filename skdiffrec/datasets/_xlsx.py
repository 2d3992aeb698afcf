"""Read the first sheet of an .xlsx workbook, row by row, with what Python brings along.

A workbook is a zip archive of XML files. A document type, which no workbook has, is refused, and
with it everything that entities could do.
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
    """The rows of the first sheet: cells as text, "" where one is empty.

    Parameters
    ----------
    file : seekable binary stream
        The workbook.
    """
    with open_zip(file) as workbook:
        names = {info.filename.rpartition("/")[2] for info in workbook.infolist()}
        shared = list(_Texts(workbook, "sharedStrings.xml")) if "sharedStrings.xml" in names else []
        yield from _Rows(workbook, "sheet1.xml", shared)


class _Reader:
    """Iterate over what `start` and `end` put into `found` while an XML member is parsed."""

    def __init__(self, workbook: zipfile.ZipFile, member: str):
        self._workbook, self._member = workbook, member
        self.found: list = []
        self.text: list[str] | None = None

    def __iter__(self):
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = lambda name, values: self.start(name.split(" ")[-1], values)
        parser.EndElementHandler = lambda name: self.end(name.split(" ")[-1])
        parser.CharacterDataHandler = self._add
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

    def _refuse(self, *_):
        raise DamagedFile(f"{self._member} in it declares a document type, as no workbook does")

    def _add(self, text):
        if self.text is not None:
            self.text.append(text)

    def take(self):
        """The text since `self.text` was made a list."""
        text, self.text = "".join(self.text or ()), None
        return text


class _Texts(_Reader):
    """The shared strings: pieces ``t`` of items ``si``."""

    def start(self, name, values):
        if name == "si":
            self._pieces = []
        elif name == "t":
            self.text = []

    def end(self, name):
        if name == "t":
            self._pieces.append(self.take())
        elif name == "si":
            self.found.append("".join(self._pieces))


class _Rows(_Reader):
    """The rows: cells ``c`` with a value ``v``, or text ``t`` of their own."""

    def __init__(self, workbook, member, shared):
        super().__init__(workbook, member)
        self._shared = shared

    def start(self, name, values):
        if name == "row":
            self._row = []
        elif name == "c":
            self._type, self._value = values.get("t"), ""
            place = values.get("r")
            self._column = _column(place) if place else len(self._row)
        elif name in ("v", "t"):
            self.text = []

    def end(self, name):
        if name in ("v", "t"):
            self._value += self.take()
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


def _column(place: str) -> int:
    """Number, from 0, of the column of a cell such as "AB12"."""
    number = 0
    for letter in re.findall("[A-Z]", place)[:3]:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1
