"""Files with readings, CSV or Parquet, long or wide, as this server exports them and as others write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from db.incoming import BadFile, Incoming, Judge, Problem, Unusable, moment, number, number_of

#: Told how many bytes more are read.
Progress = Callable[[int], None]

_LONG: Final = ("time", "ts", "device", "metric", "value", "unit")
_NEEDED: Final = ("device", "metric", "value")
_TIMES: Final = ("time", "ts")
#: A wide file's column: a device, its metric, and perhaps the unit.
_WIDE: Final = re.compile(r"(?P<device>\S+) (?P<metric>.+?)(?: \((?P<unit>[^()]+)\))?", re.DOTALL)
_LONGEST_LINE: Final = 1_000_000
_LINES_A_STEP: Final = 10_000
_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where things stand in a line; -1: there is no such column. `series`: a wide file's columns and their series."""

    ts: int
    time: int
    device: int
    metric: int
    value: int
    unit: int
    series: tuple[tuple[int, str, str, str], ...]


def read(opened: BinaryIO, size: int, now: int, oldest: int | None, progress: Progress) -> Incoming:
    """All that can be used of a file of `size` bytes, and what can't. `now` and `oldest` are UTC ms, as for Judge.

    Raises:
        BadFile: If nothing of it can be.
        OSError: If it can't be read.
    """
    judge = Judge(now, oldest)
    opened.seek(0)
    start = opened.read(4)
    opened.seek(0)
    if start == b"PAR1":
        _read_parquet(opened, size, judge, progress)
    else:
        _read_csv(opened, start, judge, progress)
    return judge.finish()


# CSV


def _read_csv(opened: BinaryIO, start: bytes, judge: Judge, progress: Progress) -> None:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadFile("line 1: the file is UTF-16; save it as CSV in UTF-8")
    lines = _Lines(opened, judge, progress)
    rows = csv.reader(lines, strict=True)
    columns = _header(rows, lines)
    width = len(lines.header)
    take = _long_taker(judge, columns) if columns.device >= 0 else _wide_taker(judge, columns)
    while True:
        before = rows.line_num
        try:
            fields = next(rows, None)
        except csv.Error as error:
            judge.problems.add(Problem(before + 1, None, f"this is no CSV: {error}"))
            continue
        if fields is None:
            return
        line = rows.line_num
        if len(fields) == width and line == before + 1:
            try:
                take(line, fields)
            except Unusable as error:
                judge.problems.add(Problem(line, error.name, str(error)))
        elif fields:
            judge.problems.add(Problem(before + 1, None, _misfit(fields, width, line - before)))


def _misfit(fields: Sequence[str], width: int, lines: int) -> str:
    if lines > 1:
        return f"a quotation mark is opened here and not closed on the same line (the field ends on line {lines} of it)"
    if len(fields) < width:
        return f"{len(fields)} fields in place of {width}: a part of the line is missing"
    return f"{len(fields)} fields in place of {width}; a decimal comma makes two of one number: write a point"


class _Lines:
    """The lines of a file as text, what is not UTF-8 kept as surrogates for whoever judges the field it stands in."""

    def __init__(self, opened: BinaryIO, judge: Judge, progress: Progress) -> None:
        self.header: list[str] = []
        self._read = iter(partial(opened.readline, _LONGEST_LINE), b"")
        self._opened, self._judge, self._progress = opened, judge, progress
        self._number = 0
        self._told = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = next(self._read, b"")
        self._number += 1
        if self._number % _LINES_A_STEP == 0 or not raw:
            at = self._opened.tell()
            self._progress(at - self._told)
            self._told = at
        if not raw:
            raise StopIteration
        if raw[-1] != 10:
            self._end_of_half_a_line(len(raw))
            return ""
        return raw.decode("utf-8-sig" if self._number == 1 else "utf-8", "surrogateescape")

    def _end_of_half_a_line(self, length: int) -> None:
        if length >= _LONGEST_LINE:
            raise BadFile(f"line {self._number}: it is longer than {_LONGEST_LINE:,} bytes; this is no CSV of readings")
        if self._number == 1:
            raise BadFile(
                "line 1: it does not end with a line feed, so there is nothing but (a part of) a header; lines end "
                "with LF or CRLF"
            )
        self._judge.problems.add(
            Problem(
                self._number,
                None,
                "the file ends in the middle of this line: it has no line feed at its end. If it is whole, add one",
            )
        )


def _header(rows: Any, lines: _Lines) -> _Columns:
    try:
        header: list[str] = next(rows, [])
    except csv.Error as error:
        raise BadFile(f"line 1: the header is no CSV: {error}; lines end with LF or CRLF") from None
    lines.header = header
    if not any(header):
        raise BadFile("line 1: the file is empty; expected a header such as ts,device,metric,value")
    if len(header) == 1 and (other := next((one for one in ";\t|" if one in header[0]), None)):
        raise BadFile(f"line 1: fields are separated by {other!r}; separate them by commas, and write decimal points")
    return columns_of(header, "line 1: the header")


def columns_of(header: Sequence[str], what: str) -> _Columns:
    """Where things stand. Raises BadFile, which names the column."""
    names = [_plain(name) for name in header]
    for number_, name in enumerate(names):
        if name in names[:number_]:
            raise BadFile(f"{what} names the column {name!r:.80} twice")
        if not name:
            raise BadFile(f"{what} has no name for column {number_ + 1}")
    if not set(names) & set(_TIMES):
        raise BadFile(f"{what} names neither ts (UTC milliseconds) nor time (ISO 8601 with its zone): {_shown(names)}")
    places = {name: names.index(name) if name in names else -1 for name in _LONG}
    if not set(names) & set(_NEEDED):
        return _Columns(series=_wide_columns(names, what), **places)
    if missing := [name for name in _NEEDED if name not in names]:
        raise BadFile(f"{what} lacks the column {missing[0]}: {_shown(names)}")
    if strange := [name for name in names if name not in _LONG]:
        raise BadFile(f"{what} has a column {strange[0]!r:.80}, which is none of {', '.join(_LONG)}")
    return _Columns(series=(), **places)


def _plain(name: str) -> str:
    name = name.strip()
    return name.lower() if name.lower() in _LONG else name


def _shown(names: Sequence[str]) -> str:
    return f"{', '.join(names)!r:.200}"


def _wide_columns(names: Sequence[str], what: str) -> tuple[tuple[int, str, str, str], ...]:
    found = []
    for place, name in enumerate(names):
        if name in _TIMES:
            continue
        match = _WIDE.fullmatch(name)
        if match is None:
            raise BadFile(
                f"{what} has a column {name!r:.80}; a wide file's are named by device and metric, with a unit or "
                "without: kitchen temperature (°C)"
            )
        found.append((place, match["device"], match["metric"], match["unit"] or ""))
    if not found:
        raise BadFile(f"{what} names no device, metric and value, nor a series by its name")
    return tuple(found)


def undefused(text: str) -> str:
    """A text without the quotation mark that exports put before what a spreadsheet would take for a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in tuple("=+-@\t\r\n") else text


Take = Callable[[int, Sequence[str]], None]


def _long_taker(judge: Judge, at: _Columns) -> Take:
    series, add, now_of = judge.series, judge.add, moment
    ts_at, time_at, device_at, metric_at, value_at, unit_at = at.ts, at.time, at.device, at.metric, at.value, at.unit

    def take(line: int, fields: Sequence[str]) -> None:
        unit = fields[unit_at] if unit_at >= 0 else ""
        place = series(fields[device_at], undefused(fields[metric_at]), undefused(unit))
        ts = now_of(fields[ts_at] if ts_at >= 0 else "", fields[time_at] if time_at >= 0 else "")
        add(line, place, ts, number(fields[value_at]))

    return take


def _wide_taker(judge: Judge, at: _Columns) -> Take:
    def take(line: int, fields: Sequence[str]) -> None:
        ts = moment(fields[at.ts] if at.ts >= 0 else "", fields[at.time] if at.time >= 0 else "")
        for place, device, metric, unit in at.series:
            if fields[place]:
                try:
                    judge.add(line, judge.series(device, metric, unit), ts, number(fields[place]))
                except Unusable as error:
                    name = f"{device} {metric}" if error.name == "value" else error.name
                    judge.problems.add(Problem(line, name, str(error)))

    return take


# Parquet


def _read_parquet(opened: BinaryIO, size: int, judge: Judge, progress: Progress) -> None:
    try:
        parquet = pq.ParquetFile(opened)
        at = columns_of(parquet.schema_arrow.names, "the file")
        _check_types(parquet.schema_arrow, at)
        line = 0
        for batch in parquet.iter_batches(_ROWS):
            columns = [_values(column) for column in batch.columns]
            _take_batch(judge, at, columns, line)
            line += batch.num_rows
            progress(size * batch.num_rows // max(1, parquet.metadata.num_rows))
    except (pa.ArrowException, OSError) as error:
        raise BadFile(f"this Parquet file can't be read: {str(error).splitlines()[0]:.200}") from None


def _check_types(schema: Any, at: _Columns) -> None:
    """Raises BadFile, which names the column."""
    for place in (at.device, at.metric, at.unit):
        if place >= 0 and not _is_text(schema.field(place).type):
            raise BadFile(f"the column {schema.field(place).name} is {schema.field(place).type}; expected text")
    if at.ts >= 0 and not pa.types.is_integer(schema.field(at.ts).type):
        raise BadFile(f"the column ts is {schema.field(at.ts).type}; expected int64, UTC milliseconds")
    if at.time >= 0 and not _is_moment(schema.field(at.time).type) and not _is_text(schema.field(at.time).type):
        raise BadFile(f"the column time is {schema.field(at.time).type}; expected a timestamp with its zone")
    for place in (at.value, *(one[0] for one in at.series)):
        if place >= 0 and not _is_number(schema.field(place).type):
            raise BadFile(f"the column {schema.field(place).name} is {schema.field(place).type}; expected numbers")


def _is_text(type_: Any) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _is_moment(type_: Any) -> bool:
    return bool(pa.types.is_timestamp(type_) and type_.tz is not None)


def _is_number(type_: Any) -> bool:
    return bool(pa.types.is_floating(type_) or pa.types.is_integer(type_))


def _values(column: Any) -> list[Any]:
    if _is_moment(column.type):  # as UTC ms
        column = column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return values


def _take_batch(judge: Judge, at: _Columns, columns: Sequence[Sequence[Any]], line: int) -> None:
    for number_, ts in enumerate(_moments(at, columns)):
        line += 1
        try:
            if isinstance(ts, Unusable):
                raise ts
            if at.device >= 0:
                unit = columns[at.unit][number_] or "" if at.unit >= 0 else ""
                place = judge.series(columns[at.device][number_] or "", columns[at.metric][number_] or "", unit)
                judge.add(line, place, ts, number_of(columns[at.value][number_]))
                continue
            for column, device, metric, unit in at.series:
                if columns[column][number_] is not None:
                    judge.add(line, judge.series(device, metric, unit), ts, number_of(columns[column][number_]))
        except Unusable as error:
            judge.problems.add(Problem(line, error.name, str(error)))


def _moments(at: _Columns, columns: Sequence[Sequence[Any]]) -> Iterator[int | Unusable]:
    """UTC ms of each row: of its `ts`, or of its `time` where there is no such column."""
    for value in columns[at.ts if at.ts >= 0 else at.time]:
        try:
            yield value if isinstance(value, int) else moment("", value or "")
        except Unusable as error:
            yield error
