"""An XLSX file (ECMA-376) written row by row to where nobody can seek, so that it can be sent while it grows.

A sheet that is full says so in its last row, and the table goes on in the next. Numbers are written so that a program
reads the same ones back; what a spreadsheet shows and computes has 15 digits. Text is never a formula.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, Final, Self, cast
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from db.arrow_text import cells, lines, numbers
from db.packing import Floats, Ints

#: Rows of a sheet, with the head and the row that says where it goes on.
ROWS: Final = 1_048_576
#: Of a sheet: beyond two gigabytes a file in a ZIP is one that not every program reads.
_MOST_BYTES: Final = 1 << 30
_NAME: Final = "readings"
#: XML can't hold them.
_UNPRINTABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Places in cellXfs below.
_TIME, _TEXT, _HEAD = 1, 2, 3
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_STYLES: Final = (
    f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ '
    'hh:mm:ss.000"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/>'
    '<name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill>'
    '<patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/>'
    '<diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/>'
    '</cellStyleXfs><cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" quotePrefix="1"/>'
    '<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1" '
    'quotePrefix="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)


class Spreadsheet:
    """A workbook with one table, over as many sheets as that takes. Used in a `with`.

    What it has written is no workbook where an error ends it.
    """

    def __init__(self, out: IO[bytes], head: Sequence[str]) -> None:
        self._forward = _Forward(out)
        self._zip = ZipFile(cast("IO[bytes]", self._forward), "w", ZIP_DEFLATED, compresslevel=1)
        self._head = head
        self._letters = [_letters(place) for place in range(len(head))]
        self._sheets = 0
        self._row = 0
        self._bytes = 0
        self._sheet: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None:
            self._end()
            self._finish()
        else:
            self._forward.drop()
            if self._sheet is not None:
                self._sheet.close()
        self._zip.close()

    def write(self, times: Floats, ts: Ints, columns: Sequence[str | Ints | Floats]) -> None:
        """Rows: times as a spreadsheet counts them, UTC ms, and other columns, a text being the same in all rows.

        A nan is an empty cell.
        """
        done = 0
        while done < len(ts):
            if self._row == ROWS - 1 or self._bytes > _MOST_BYTES:
                self._go_on()
            part = slice(done, done + min(len(ts) - done, ROWS - 1 - self._row))
            rest = [column if isinstance(column, str) else column[part] for column in columns]
            self._rows(times[part], ts[part], rest)
            done = part.stop

    def _rows(self, times: Floats, ts: Ints, columns: Sequence[str | Ints | Floats]) -> None:
        rows = numbers(np.arange(self._row + 1, self._row + 1 + len(ts)))
        parts = ['<row r="', rows, '">', _number("A", rows, times, _TIME), _number("B", rows, ts)]
        for letters, column in zip(self._letters[2:], columns, strict=True):
            if isinstance(column, str):
                parts += [f'<c r="{letters}', rows, f'" s="{_TEXT}" {_inline(column)}'] if column else []
            else:
                parts.append(_number(letters, rows, column))
        self._bytes += self._out.write(lines(*parts, "</row>"))
        self._row += len(ts)

    @property
    def _out(self) -> IO[bytes]:
        assert self._sheet is not None  # noqa: S101 - it is open inside the `with`
        return self._sheet

    def _begin(self) -> None:
        self._sheets += 1
        self._sheet = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w")
        widths = "".join(
            f'<col min="{place}" max="{place}" width="{width}" customWidth="1"/>'
            for place, width in enumerate((24, 16, *(18 for _ in self._head[2:])), 1)
        )
        self._out.write(
            f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" '
            'topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
            f"<cols>{widths}</cols><sheetData>".encode()
        )
        self._row = self._bytes = 0
        self._texts(self._head, _HEAD)

    def _go_on(self) -> None:
        self._texts([f"This sheet is full: the table goes on in the sheet {_NAME} {self._sheets + 1}."], _TEXT)
        self._end()
        self._begin()

    def _texts(self, texts: Sequence[str], style: int) -> None:
        self._row += 1
        cells = [
            f'<c r="{letters}{self._row}" s="{style}" {_inline(text)}'
            for letters, text in zip(self._letters, texts, strict=False)
        ]
        self._out.write(f'<row r="{self._row}">{"".join(cells)}</row>'.encode())

    def _end(self) -> None:
        self._out.write(b"</sheetData></worksheet>")
        self._out.close()
        self._sheet = None

    def _finish(self) -> None:
        """What ties the sheets together."""
        numbers = range(1, self._sheets + 1)
        sheets = "".join(
            f'<sheet name={quoteattr(f"{_NAME} {number}")} sheetId="{number}" r:id="rId{number}"/>'
            for number in numbers
        )
        links = "".join(
            f'<Relationship Id="rId{number}" Type="{_DOCUMENT}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in numbers
        )
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
            for number in numbers
        )
        files = {
            "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}"><sheets>{sheets}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{links}<Relationship '
            f'Id="rId0" Type="{_DOCUMENT}/styles" Target="styles.xml"/></Relationships>',
            "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
            f'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"'
            f'/><Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>{parts}</Types>',
        }
        self._zip.writestr("xl/styles.xml", _STYLES)
        for name, text in files.items():
            self._zip.writestr(name, _XML + text)


class _Forward:
    """A file in which nobody can go back, whatever it could do itself."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out: IO[bytes] | None = out

    def write(self, data: bytes) -> int:
        """Pass it on."""
        return len(data) if self._out is None else self._out.write(data)

    def flush(self) -> None:
        """There is nothing that waits."""

    def drop(self) -> None:
        """From now on nothing is passed on."""
        self._out = None


def _number(letters: str, rows: Any, column: Ints | Floats, style: int = 0) -> Any:
    """A cell a row, null for nan."""
    look = f'" s="{style}"><v>' if style else '"><v>'
    return cells(f'<c r="{letters}', rows, look, numbers(column), "</v></c>")


def _inline(text: str) -> str:
    """A text cell from its type on."""
    return f't="inlineStr"><is><t xml:space="preserve">{escape(_UNPRINTABLE.sub("�", text))}</t></is></c>'


def _letters(place: int) -> str:
    """A column's name: A, B, … Z, AA."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
