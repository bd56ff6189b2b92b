"""Verifying: every chunk against its own sums, its minutes and `hours`, and later hours against their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import Connection, func, select

from db import chunks as sealed
from db import hours, late
from db.chunks import Chunk, DamagedChunk, sums
from db.engine import Engine, snapshot
from db.folded_rows import folded
from db.packing import DAY_MS, HOUR_MS, MINUTE_MS, Buckets, Points, fold, joined_points, without
from db.schema import chunks
from db.schema import hours as hours_table
from db.terminal import clock

#: Sums agree within so much of the sum of all sizes.
_CLOSE: Final = 1e-9
#: Of hours that are not sealed yet.
_OPEN_MS: Final = 31 * DAY_MS
#: Stretches that one snapshot is read for.
_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a stretch (UTC ms) of a series: so many chunks and readings, and what is wrong, a line each."""

    series_id: int
    until: int
    chunks: int
    readings: int
    problems: Sequence[str] = ()


def checks(engine: Engine, series_ids: Sequence[int]) -> Iterator[Checked]:
    """Check all chunks of these series, some each time it is asked to go on. Raises DatabaseAway."""
    for series_id in series_ids:
        after: int | None = 0
        while after is not None:
            with snapshot(engine) as connection:
                found = list(_some(connection, series_id, after))
            yield from found
            after = found[-1].until if found else None
        with snapshot(engine) as connection:
            yield from _surplus(connection, series_id)
        yield from _open_hours(engine, series_id)


def count(connection: Connection, series_ids: Sequence[int] | None = None) -> int:
    """How many chunks there are."""
    query = select(func.count()).select_from(chunks)
    if series_ids is not None:
        query = query.where(chunks.c.series_id.in_(series_ids))
    return connection.scalar(query) or 0


def _some(connection: Connection, series_id: int, after: int) -> Iterator[Checked]:
    for _ in range(_AT_ONCE):
        start = sealed.next_start(connection, series_id, after - 1)
        if start is None:
            return
        there = sealed.neighbours(connection, sealed.at(connection, series_id, [start])[0])
        after = there[-1].until
        problems = list(_problems(connection, there))
        yield Checked(series_id, after, len(there), sum(chunk.n for chunk in there), problems)


def _problems(connection: Connection, there: Sequence[Chunk]) -> Iterator[str]:
    if any(chunk.gone for chunk in there):
        return
    parts: list[Points] = []
    for chunk in there:
        if parts and chunk.first <= int(parts[-1].ts[-1]):
            yield f"{chunk}: it begins before the one before it ends"
        try:
            points = chunk.points()
        except DamagedChunk as error:
            yield str(error)
            return
        yield from _own_problems(chunk, points)
        parts.append(points)
    points = joined_points(parts)
    start, until = there[0].start, there[-1].until
    stored = hours.between(connection, there[0].series_id, start, until)
    if not _agree(fold(points.ts, points.value, HOUR_MS), stored, points):
        yield f"{there[0]}: its hours in the table hours are not what its readings give"


def _own_problems(chunk: Chunk, points: Points) -> Iterator[str]:
    if len(points) != chunk.n or not len(points):
        yield f"{chunk}: it holds {len(points)} readings and says {chunk.n}"
        return
    ascending = bool((np.diff(points.ts) > 0).all())
    if not ascending or points.ts[0] < chunk.start or points.ts[-1] >= chunk.until:
        yield f"{chunk}: its times are not in order, or not its own"
        return
    *exact, total = sums(points)
    told = [chunk.first, chunk.last, chunk.last_value, chunk.n, chunk.lo, chunk.hi]
    if exact != told or abs(total - chunk.total) > _CLOSE * _size(points):
        yield f"{chunk}: its sums are not those of its readings"
    if chunk.minutes is not None:
        try:
            minutes = chunk.folded()
        except DamagedChunk as error:
            yield str(error)
        else:
            if not _agree(fold(points.ts, points.value, MINUTE_MS), minutes, points):
                yield f"{chunk}: its minutes are not those of its readings"


def _agree(one: Buckets, other: Buckets, points: Points) -> bool:
    if not all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("ts", "n", "lo", "hi")):
        return False
    return bool((np.abs(one.total - other.total) <= _CLOSE * _size(points)).all())


def _size(points: Points) -> float:
    """The sum of all sizes, no more than a float holds."""
    with np.errstate(over="ignore"):
        return float(min(np.abs(points.value).sum(), np.finfo(np.float64).max))


def _surplus(connection: Connection, series_id: int) -> Iterator[Checked]:
    """Hours of which no chunk tells."""
    told = connection.scalar(select(func.sum(chunks.c.n)).where(chunks.c.series_id == series_id)) or 0
    mine = hours_table.c.series_id == series_id, hours_table.c.ts < sealed.sealed_until(connection, series_id)
    held = connection.scalar(select(func.sum(hours_table.c.n)).where(*mine)) or 0
    if held > told:
        problem = f"series {series_id}: the table hours counts {held} readings, its chunks hold {told}"
        yield Checked(series_id, 0, 0, 0, [problem])


def _open_hours(engine: Engine, series_id: int) -> Iterator[Checked]:
    """Hours from the last chunk's end on against their rows, but for those that are to be folded again."""
    start = 0
    while True:
        with snapshot(engine) as connection:
            border = -(-sealed.sealed_until(connection, series_id) // HOUR_MS) * HOUR_MS
            first = hours.first(connection, series_id, max(start, border))
            if first is None:
                return
            last = hours.last(connection, series_id, first + _OPEN_MS) or first
            # Also where there are readings and no hour: up to the last hour, all are folded.
            begin, end = max(start, border), last + HOUR_MS
            stored, rows = (
                hours.between(connection, series_id, begin, end),
                folded(connection, series_id, begin, end, HOUR_MS),
            )
            for from_, to in late.between(connection, series_id, begin, end):
                stored, rows = without(stored, from_, to), without(rows, from_, to)
        if not _same(stored, rows):
            begin = max(begin, min([first, *rows.ts[:1].tolist()]))
            text = f"series {series_id}: its hours from {clock(begin)} to {clock(end)} are not what its rows give"
            yield Checked(series_id, end, 0, 0, [text])
        start = end


def _same(stored: Buckets, rows: Buckets) -> bool:
    if not all(np.array_equal(getattr(stored, name), getattr(rows, name)) for name in ("ts", "n", "lo", "hi")):
        return False
    with np.errstate(over="ignore"):
        size = np.maximum(np.abs(rows.lo), np.abs(rows.hi)) * rows.n
        return bool((np.abs(stored.total - rows.total) <= _CLOSE * size).all())
