"""What an export holds: which columns, and their rows a block at a time, so that any size takes little memory.

Times are UTC ms. Read in one snapshot (`db.engine.snapshot`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from db import devices, history
from db.engine import Connection
from db.packing import DAY_MS, HOUR_MS, MINUTE_MS, Buckets, Floats, Ints, joined_buckets, no_buckets
from db.ranges import BadRange, Resolution, check, means, pieces

Form = Literal["long", "wide"]
Format = Literal["csv", "parquet", "xlsx"]

#: Columns of a wide table: a spreadsheet has 16,384, and an analyst rarely wants more.
MOST_WIDE: Final = 500
#: Readings that are side by side in memory.
_READINGS_A_BLOCK: Final = 50_000
_YEAR_MS: Final = 366 * DAY_MS
#: Bytes that a reading takes at most, in a table that is not very wide. Text beside it is counted on its own.
_BYTES: Final[dict[Format, int]] = {"csv": 80, "parquet": 30, "xlsx": 80}
#: Of a range longer than three times this, only so much at its beginning, middle and end is counted.
_SAMPLE_MS: Final = 20 * DAY_MS

Column = str | Ints | Floats


@dataclass(frozen=True, slots=True)
class Plan:
    """Which series, in [start, end), how fine, by whose clocks, and how laid out.

    Raises BadRange for a range or a form that can't be.
    """

    series: Sequence[devices.Series]
    start: int
    end: int
    resolution: Resolution
    zone: tzinfo
    form: Form

    def __post_init__(self) -> None:
        check(self.start, self.end)
        if self.form == "wide" and len(self.series) > MOST_WIDE:
            raise BadRange("form", f"wide would have {len(self.series)} columns; allowed: {MOST_WIDE}")

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        if self.form == "wide":
            return ("time", "ts", *(wide_name(series) for series in self.series))
        values = ("value",) if self.resolution == "raw" else ("n", "mean", "min", "max")
        return ("time", "ts", "device", "metric", *values, "unit")


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows: their times, and the columns beside `time` and `ts`. A text is the same in all rows.

    A nan is an empty cell.
    """

    ts: Ints
    columns: tuple[Column, ...]


def wide_name(series: devices.Series) -> str:
    """A series' column in a wide table: device, metric, and unit where there is one."""
    return f"{series.device} {series.metric}" + (f" ({series.unit})" if series.unit else "")


def blocks(connection: Connection, plan: Plan) -> Generator[Block]:
    """All rows: long by series and then time, wide by time."""
    if plan.form == "wide":
        yield from _wide(connection, plan)
        return
    for series in plan.series:
        span = _span(connection, plan, series.id)
        if span is not None:
            for piece in pieces(connection, series.id, *span, plan.resolution, plan.zone):
                if len(piece):
                    yield Block(piece.ts, (series.device, series.metric, *_values(plan, piece), series.unit or ""))


def estimate(connection: Connection, plan: Plan, form: Format) -> int:
    """About how many bytes the file will have, and rather too many."""
    text = sum(len(series.device) + len(series.metric) + len(series.unit or "") for series in plan.series)
    beside = 0 if form == "parquet" else text / max(1, len(plan.series))
    total = 0.0
    for series in plan.series:
        span = _span(connection, plan, series.id)
        if span is not None:
            total += _count(connection, series.id, *span, plan.resolution) * (_BYTES[form] + beside)
    return round(total)


def _count(connection: Connection, series_id: int, start: int, end: int, resolution: Resolution) -> float:
    """About how many points there are."""
    length = end - start
    if resolution != "raw":
        return length / {"minutes": MINUTE_MS, "hours": HOUR_MS, "days": DAY_MS}[resolution] + 1
    starts = [start] if length <= 3 * _SAMPLE_MS else [start, start + (length - _SAMPLE_MS) // 2, end - _SAMPLE_MS]
    sample = min(length, _SAMPLE_MS) if len(starts) > 1 else length
    counted = 0
    for at in starts:
        first, last = at // HOUR_MS * HOUR_MS, -(-(at + sample) // HOUR_MS) * HOUR_MS
        counted += int(history.hours(connection, series_id, first, last).n.sum())
    return counted * length / (sample * len(starts))


def _span(connection: Connection, plan: Plan, series_id: int) -> tuple[int, int] | None:
    """The part of the range in which a series may have readings."""
    extent = history.extent(connection, series_id)
    if extent is None:
        return None
    start, end = max(plan.start, extent[0]), min(plan.end, extent[1] + 1)
    return (start, end) if start < end else None


def _values(plan: Plan, piece: Buckets) -> tuple[Column, ...]:
    return (piece.lo,) if plan.resolution == "raw" else (piece.n, means(piece), piece.lo, piece.hi)


def _wide(connection: Connection, plan: Plan) -> Iterator[Block]:
    """A row a time, a column a series, as many rows at once as hold some 50,000 readings."""
    spans = {series.id: _span(connection, plan, series.id) for series in plan.series}
    found = [span for span in spans.values() if span is not None]
    if not found:
        return
    start, end = min(span[0] for span in found), max(span[1] for span in found)
    for first, last in _windows(connection, plan, start, end):
        parts = [_in_window(connection, plan, spans[series.id], first, last, series.id) for series in plan.series]
        ts = np.unique(np.concatenate([part.ts for part in parts]))
        if len(ts):
            yield Block(ts, tuple(_beside(ts, part) for part in parts))


def _in_window(
    connection: Connection, plan: Plan, span: tuple[int, int] | None, start: int, end: int, series_id: int
) -> Buckets:
    if span is None or start >= span[1] or end <= span[0]:
        return no_buckets()
    start, end = max(start, span[0]), min(end, span[1])
    return joined_buckets(list(pieces(connection, series_id, start, end, plan.resolution, plan.zone)))


def _beside(ts: Ints, part: Buckets) -> Floats:
    column = np.full(len(ts), np.nan)
    column[np.searchsorted(ts, part.ts)] = means(part)
    return column


def _windows(connection: Connection, plan: Plan, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Parts of the range that hold some 50,000 readings each, or an hour's, if that is more."""
    if plan.resolution == "days":
        yield start, end
        return
    if plan.resolution != "raw":
        width = MINUTE_MS if plan.resolution == "minutes" else HOUR_MS
        step = max(1, _READINGS_A_BLOCK // len(plan.series)) * width
        start = start // width * width
        yield from ((first, min(first + step, end)) for first in range(start, end, step))
        return
    for first in range(start // HOUR_MS * HOUR_MS, end, _YEAR_MS):
        last = min(first + _YEAR_MS, -(-end // HOUR_MS) * HOUR_MS)
        counts = np.zeros((last - first) // HOUR_MS, np.int64)
        for series in plan.series:
            hours = history.hours(connection, series.id, first, last)
            counts[(hours.ts - first) // HOUR_MS] += hours.n
        edges = np.flatnonzero(np.diff(np.cumsum(counts) // _READINGS_A_BLOCK)) + 1
        bounds = [0, *edges.tolist(), len(counts)]
        for low, high in pairwise(bounds):
            yield max(first + low * HOUR_MS, start), min(first + high * HOUR_MS, end)
