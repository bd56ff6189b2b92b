"""Sealing: rows of days that are over become chunks and hours, and rows that come late are merged into them.

One stretch of a series at a time. It is read in a snapshot, without a lock that anybody waits for, packed, unpacked and
compared. Then one short transaction deletes its rows, writes chunks, hours and account, and is undone unless exactly as
many rows went as were packed: a reading that was committed meanwhile stays a row, and the stretch is packed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, select

from db import account, chunks, dead_letters, folding, hours
from db.chunks import MONTH_MS, MOST, SLOW, Chunk, DamagedChunk
from db.contradictions import Contradiction, letters
from db.engine import DatabaseAway, Engine, RefusedRows, is_deadlock, snapshot
from db.packing import DAY_MS, HOUR_MS, Floats, Points, fold, joined_points, no_points, overlaid
from db.readings import insert_new, points_between
from db.schema import readings, series
from db.statements import largest_statement

Transaction = Callable[[], AbstractContextManager[Connection]]

_BUSY: Final = "readings came again and again while it was packed; it is tried at the next pass"
#: Under this name, after the worker's, the account holds readings that merging moved and retention removed.
MOVES: Final = "-upkeep"
#: Times a stretch is packed again at once because readings came meanwhile; after that at the next pass.
_TRIES: Final = 3
_EVER: Final = 2**62
#: Bytes of a statement that a reading takes at most: sixteen of its own, as many of its minute's, each perhaps twice.
_READING_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Sealer:
    """For whom it is done. `account`: under which name in the account moves are counted. `topic_root`: TOPIC_ROOT."""

    account: str
    topic_root: str


@dataclass(frozen=True, slots=True)
class Step:
    """What was done with a stretch (UTC ms) of a series: rows that are gone, and what they were.

    `readings`: what was sealed, or made rows, that was not before. `held_s`: for how long others had to wait for the
    lock. `problem`: why nothing was done.
    """

    series_id: int
    start: int
    until: int
    rows: int = 0
    readings: int = 0
    duplicate: int = 0
    rejected: int = 0
    held_s: float = 0.0
    problem: str | None = None


class Disturbed(Exception):
    """Something changed while it was packed. Nothing may be written."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Rows of a series in [start, until), and the chunks that lie there, as one snapshot saw them.

    `past`: the readings of its chunks are gone, so these come too late.
    """

    series_id: int
    start: int
    until: int
    rows: Points
    chunks: Sequence[Chunk] = ()
    past: bool = False
    most: int = MOST


@dataclass(frozen=True, slots=True)
class _Merged:
    """The readings of a stretch, and which of its rows were known, contradict what was, or come too late."""

    points: Points = field(default_factory=no_points)
    duplicate: int = 0
    contradictions: Sequence[Contradiction] = ()


def sealed_before(now: int, after_days: int) -> int:
    """What SEAL_AFTER_DAYS says at `now` (UTC ms): days that ended by then are sealed, none if it is 0."""
    return (now // DAY_MS - after_days) * DAY_MS if after_days else 0


def steps(
    engine: Engine, transaction: Transaction, sealer: Sealer, cutoff: int, series_ids: Sequence[int] | None = None
) -> Iterator[Step]:
    """Seal all rows before `cutoff` (UTC ms, a day's begin), a stretch each time it is asked to go on.

    `transaction` begins one to write in; what it raises passes, and nothing of that stretch was done then.
    `series_ids`: those alone.

    Raises:
        DatabaseAway: If the database can't be asked.
    """
    for series_id, oldest in _with_rows(engine, cutoff, series_ids):
        since: int | None = oldest
        while since is not None:
            step = _step(engine, transaction, sealer, series_id, since, cutoff)
            if step is not None:
                yield step
            since = None if step is None else step.until


def _with_rows(engine: Engine, cutoff: int, series_ids: Sequence[int] | None) -> list[tuple[int, int]]:
    """(series, UTC ms of its oldest row) of all that have rows before `cutoff`. A seek each."""
    oldest = (
        select(readings.c.ts)
        .where(readings.c.series_id == series.c.id)
        .order_by(readings.c.ts)
        .limit(1)
        .correlate(series)
        .scalar_subquery()
    )
    wanted = None if series_ids is None else set(series_ids)
    with snapshot(engine) as connection:
        return [
            (series_id, ts)
            for series_id, ts in connection.execute(select(series.c.id, oldest).order_by(series.c.id))
            if ts is not None and ts < cutoff and (wanted is None or series_id in wanted)
        ]


def _step(
    engine: Engine, transaction: Transaction, sealer: Sealer, series_id: int, since: int, cutoff: int
) -> Step | None:
    """Seal the first stretch from `since` on that has rows; None if there is none."""
    stretch: _Stretch | None = None
    for _ in range(_TRIES):
        with snapshot(engine) as connection:
            stretch = _gather(connection, series_id, since, cutoff)
        if stretch is None:
            return None
        try:
            merged = _merge(stretch)
            step = _write(transaction, sealer, stretch, merged, _pack(stretch, merged.points))
        except Disturbed:
            continue
        except DamagedChunk as error:
            return Step(series_id, stretch.start, stretch.until, problem=str(error))
        else:
            return step
    return None if stretch is None else Step(series_id, stretch.start, stretch.until, problem=_BUSY)


# What is to be packed


def largest_chunk(connection: Connection) -> int:
    """Readings in a chunk, so that it fits into a statement there."""
    return max(SLOW, min(MOST, largest_statement(connection) // _READING_BYTES))


def _gather(connection: Connection, series_id: int, since: int, cutoff: int) -> _Stretch | None:
    query = select(func.min(readings.c.ts)).where(
        readings.c.series_id == series_id, readings.c.ts >= since, readings.c.ts < cutoff
    )
    first = connection.scalar(query)
    if first is None:
        return None
    most = largest_chunk(connection)
    before = chunks.before(connection, series_id, first)
    if before is None or first >= before.until:
        return _new(connection, series_id, first, cutoff, before, most)
    if before.gone:
        rows = points_between(connection, series_id, before.start, before.until)
        return _Stretch(series_id, before.start, before.until, rows, past=True)
    there = chunks.neighbours(connection, before)
    start, until = there[0].start, there[-1].until
    rows = points_between(connection, series_id, start, until)
    return _Stretch(series_id, start, until, rows, there, any(chunk.gone for chunk in there), most)


def _new(
    connection: Connection, series_id: int, first: int, cutoff: int, before: Chunk | None, most: int
) -> _Stretch | None:
    """The day of `first`; a part of it, if it is more than a chunk holds; more days, if it is little."""
    limit = min(cutoff, chunks.next_start(connection, series_id, first) or cutoff)
    start = max(first // DAY_MS * DAY_MS, before.until if before is not None else 0)
    until = min(start // DAY_MS * DAY_MS + DAY_MS, limit)
    rows = points_between(connection, series_id, start, until, most + 1)
    if len(rows) > most:
        until = _whole_hours(rows, most)
        return _Stretch(series_id, start, until, points_between(connection, series_id, start, until), most=most)
    if len(rows) >= SLOW:
        return _Stretch(series_id, start, until, rows, most=most)
    grows: list[Chunk] = []
    if before is not None and _grows(before, until):
        grows, start = [before], before.start
    wanted = SLOW - len(rows) - sum(chunk.n for chunk in grows)
    end = min(start // DAY_MS * DAY_MS + MONTH_MS, limit)
    if wanted > 0 and end > until:
        more = points_between(connection, series_id, until, end, wanted)
        if len(more):
            until = min(int(more.ts[-1]) // DAY_MS * DAY_MS + DAY_MS, end)
    return _Stretch(series_id, start, until, points_between(connection, series_id, start, until), grows, most=most)


def _grows(chunk: Chunk, until: int) -> bool:
    """Whether a chunk has room for what lies before `until`. One that shares an hour with others has not."""
    return not chunk.gone and chunk.n < SLOW and until - chunk.start <= MONTH_MS and chunk.start % HOUR_MS == 0


def _whole_hours(rows: Points, most: int) -> int:
    """Where to end so that at most `most` rows lie before: on a whole hour, the first one's end at least."""
    last = int(rows.ts[most]) // HOUR_MS * HOUR_MS
    return max(last, int(rows.ts[0]) // HOUR_MS * HOUR_MS + HOUR_MS)


# Packing


def _merge(stretch: _Stretch) -> _Merged:
    """Raises DamagedChunk."""
    rows = stretch.rows
    if stretch.past:
        too_late = [
            Contradiction(ts, value, None) for ts, value in zip(rows.ts.tolist(), rows.value.tolist(), strict=True)
        ]
        return _Merged(contradictions=too_late)
    there = joined_points([chunk.points() for chunk in stretch.chunks])
    known, same, kept = _compare(there, rows)
    contradictions = [
        Contradiction(int(rows.ts[at]), float(rows.value[at]), float(kept[at])) for at in np.flatnonzero(known & ~same)
    ]
    return _Merged(overlaid(there, rows), int(same.sum()), contradictions)


def _compare(there: Points, rows: Points) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats]:
    """Of each row whether its ts is there, whether it is with the same value, and that value."""
    if not len(there):
        nothing = np.zeros(len(rows), bool)
        return nothing, nothing, rows.value
    place = np.minimum(np.searchsorted(there.ts, rows.ts), len(there) - 1)
    known, kept = there.ts[place] == rows.ts, there.value[place]
    return known, known & (kept == rows.value), kept


def _pack(stretch: _Stretch, points: Points) -> list[Chunk]:
    """Raises DamagedChunk."""
    return [
        _checked(chunks.make(stretch.series_id, start, until, part), part)
        for start, until, part in chunks.split(points, stretch.start, stretch.until, stretch.most)
    ]


def _checked(chunk: Chunk, points: Points) -> Chunk:
    """The chunk, once it was unpacked and compared bit for bit. Raises DamagedChunk."""
    found = chunk.points()
    if found.ts.tobytes() != points.ts.tobytes() or found.value.tobytes() != points.value.tobytes():
        raise DamagedChunk(f"{chunk}: what was packed does not come back as it was; its rows stay")
    if chunk.minutes is not None and int(chunk.folded().n.sum()) != len(points):
        raise DamagedChunk(f"{chunk}: its minutes do not come back as they were; its rows stay")
    return chunk


# Writing


def _write(
    transaction: Transaction, sealer: Sealer, stretch: _Stretch, merged: _Merged, made: Sequence[Chunk] | None
) -> Step:
    """Put `made` in the place of the stretch, or, where that is None, its readings as rows. Raises Disturbed."""
    try:
        with transaction() as connection:
            began = time.monotonic()
            _put(connection, sealer, stretch, merged, made)
    except RefusedRows as error:  # another sealer's chunk lies there
        raise Disturbed from error
    except DatabaseAway as error:
        if is_deadlock(error):
            raise Disturbed from error
        raise
    held_s = time.monotonic() - began
    count, rejected = len(stretch.rows), len(merged.contradictions)
    moved = count - merged.duplicate - rejected if made is not None else sum(chunk.n for chunk in stretch.chunks)
    return Step(stretch.series_id, stretch.start, stretch.until, count, moved, merged.duplicate, rejected, held_s)


def _put(
    connection: Connection, sealer: Sealer, stretch: _Stretch, merged: _Merged, made: Sequence[Chunk] | None
) -> None:
    _put_stretch(connection, stretch, merged, made)
    rejected = len(merged.contradictions)
    if merged.duplicate or rejected:
        now = time.time_ns() // 1_000_000
        account.move_stored(connection, sealer.account, merged.duplicate, rejected, now)
        contradicted = letters(connection, sealer.topic_root, stretch.series_id, merged.contradictions, now)
        dead_letters.store(connection, contradicted)


def _put_stretch(connection: Connection, stretch: _Stretch, merged: _Merged, made: Sequence[Chunk] | None) -> None:
    series_id, start, until = stretch.series_id, stretch.start, stretch.until
    # One sealer at a time for a series; who stores readings has nothing to do with this lock.
    connection.execute(select(series.c.id).where(series.c.id == series_id).with_for_update())
    there = [chunk.start for chunk in chunks.between(connection, series_id, start, until, raw=False)]
    if not stretch.past and there != [chunk.start for chunk in stretch.chunks]:
        raise Disturbed
    inside = (readings.c.series_id == series_id, readings.c.ts >= start, readings.c.ts < until)
    if connection.execute(delete(readings).where(*inside)).rowcount != len(stretch.rows):
        raise Disturbed
    if stretch.past:
        return
    if not all(chunks.remove(connection, chunk) for chunk in stretch.chunks):
        raise Disturbed
    points = merged.points
    if made is None:
        rows = zip(repeat(series_id), points.ts.tolist(), points.value.tolist(), strict=False)
        if insert_new(connection, list(rows)) != len(points):
            raise Disturbed
    chunks.store(connection, made or ())
    _put_hours(connection, stretch, None if made is None else points)


def _put_hours(connection: Connection, stretch: _Stretch, points: Points | None) -> None:
    """Put the hours of sealed readings in the place of those folded from rows, also before it, up to the chunk there.

    Of what is made rows they go (None), and where no chunk comes after it, so do all later ones: folding goes on from
    the last chunk.
    """
    series_id = stretch.series_id
    before = chunks.end_before(connection, series_id, stretch.start)
    if points is not None:
        folding.forget(connection, series_id, before, stretch.until)
        hours.replace(connection, series_id, stretch.start, stretch.until, fold(points.ts, points.value, HOUR_MS))
        return
    is_last = chunks.next_start(connection, series_id, stretch.start) is None
    folding.forget(connection, series_id, before, _EVER if is_last else stretch.until)


# Days that come as a whole


@dataclass(frozen=True, slots=True)
class WholeDays:
    """Readings of days of a series of which nothing is stored so far, packed."""

    stretch: _Stretch
    merged: _Merged
    made: Sequence[Chunk]


def pack_days(series_id: int, start: int, until: int, points: Points, most: int) -> WholeDays:
    """Pack all readings of [start, until), whole days, for `put_days`. Raises DamagedChunk."""
    stretch = _Stretch(series_id, start, until, no_points(), most=most)
    return WholeDays(stretch, _Merged(points), _pack(stretch, points))


def put_days(connection: Connection, days: WholeDays) -> None:
    """Store them, sealed. Raises Disturbed if something of these days is stored; nothing may be committed then."""
    _put_stretch(connection, days.stretch, days.merged, days.made)


# Back


def unseal(
    engine: Engine, transaction: Transaction, sealer: Sealer, series_id: int, start: int, end: int
) -> Iterator[Step]:
    """Make rows again of all chunks that have a part in [start, end), a stretch each time it is asked to go on.

    Rows that came late are merged first: where both have a ts, the chunk's value becomes the row's.
    """
    while True:
        with snapshot(engine) as connection:
            found = chunks.between(connection, series_id, start, end, raw=False)
        sealed = next((chunk for chunk in found if not chunk.gone), None)
        if sealed is None:
            return
        step = _unseal(engine, transaction, sealer, sealed)
        yield step
        start = step.until


def _unseal(engine: Engine, transaction: Transaction, sealer: Sealer, sealed: Chunk) -> Step:
    series_id = sealed.series_id
    for _ in range(_TRIES):
        with snapshot(engine) as connection:
            there = chunks.neighbours(connection, sealed)
            if not there:
                break
            start, until = there[0].start, there[-1].until
            rows = points_between(connection, series_id, start, until)
            stretch = _Stretch(series_id, start, until, rows, there, any(chunk.gone for chunk in there))
        if stretch.past:
            return Step(series_id, start, until, problem=f"{sealed}: the readings beside it are gone; it stays")
        try:
            return _write(transaction, sealer, stretch, _merge(stretch), None)
        except Disturbed:
            continue
        except DamagedChunk as error:
            return Step(series_id, start, until, problem=str(error))
    return Step(series_id, sealed.start, sealed.until, problem=f"{sealed} changed again and again; try again")
