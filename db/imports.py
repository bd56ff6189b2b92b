"""Readings of a file, stored: compared with what is there as a whole, then written day by day.

Days of which nothing is stored so far, and that would be sealed anyway, are written as chunks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, bindparam, update

from db import account, devices, history, readings, sealing
from db.chunks import MONTH_MS, SLOW, DamagedChunk
from db.engine import DatabaseAway, RefusedRows, is_deadlock, snapshot, writing
from db.incoming import DAY_MS, Incoming, Problem
from db.packing import Points
from db.schema import series as series_table

T = TypeVar("T")

#: Told how many readings more are done.
Progress = Callable[[int], None]

#: The name under which the account counts them.
WORKER: Final = "import"
#: Readings that go in one transaction, and a span of a series that is compared at once.
_AT_ONCE: Final = 50_000
_SPAN_MS: Final = 31 * DAY_MS
#: Times a piece is tried of which the database ended one, because another transaction waited for it.
_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do: readings to store, those that are there already, and in `fresh.problems` the rest."""

    fresh: Incoming
    known: int


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Whole days [start, until) (UTC ms) of a series, and where their readings stand."""

    series_id: int
    start: int
    until: int
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Step:
    """Readings that an import has gone through, how many of them it stored, and for how long others had to wait."""

    readings: int
    stored: int
    held_s: float


def plan(engine: Engine, incoming: Incoming, progress: Progress) -> Plan:
    """Compare a file with what is stored, in one snapshot, without a write. Raises DatabaseAway.

    A reading that is stored with the same value is known; one with another value, or in another unit, is a problem.
    """
    keep = np.ones(len(incoming), bool)
    known = 0
    with snapshot(engine) as connection:
        stored = {(one.device, one.metric): one for one in devices.every_series(connection, deleted=True)}
        for place, rows in _by_series(incoming):
            one = stored.get(incoming.names[place])
            if one is not None and len(rows):
                wanted = incoming.units[place]
                if wanted is not None and one.unit is not None and wanted != one.unit:
                    reason = f"{one.device} {one.metric} is kept in {one.unit!r}, and is in {wanted!r} in this file"
                    first = int(incoming.line[rows].min())
                    incoming.problems.add(Problem(first, "unit", reason), len(rows))
                    keep[rows] = False
                else:
                    known += _compare(connection, one, incoming, rows, keep)
            progress(len(rows))
    return Plan(incoming.where(keep), known)


def _by_series(incoming: Incoming) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each series' place in `names`, and where its readings stand, by time."""
    order = np.argsort(incoming.series, kind="stable")
    ends = np.searchsorted(incoming.series[order], np.arange(len(incoming.names) + 1))
    for place in range(len(incoming.names)):
        yield place, order[ends[place] : ends[place + 1]]


def _compare(
    connection: Connection, one: devices.Series, incoming: Incoming, rows: NDArray[np.int64], keep: NDArray[np.bool_]
) -> int:
    """Take out of `keep` what is stored; how many of these have the same value."""
    extent = history.extent(connection, one.id)
    if extent is None:
        return 0
    known = 0
    ts = incoming.ts[rows]
    rows = rows[(ts >= extent[0]) & (ts <= extent[1])]
    while len(rows):
        start = int(incoming.ts[rows[0]])
        within = rows[incoming.ts[rows] < start + _SPAN_MS]
        try:
            there = history.raw(connection, one.id, start, int(incoming.ts[within[-1]]) + 1)
        except history.DamagedChunk as error:
            reason = f"it can't be compared with what is stored: {error}; python -m db verify tells of all such"
            incoming.problems.add(Problem(int(incoming.line[within].min()), None, reason), len(within))
            keep[within] = False
            rows = rows[len(within) :]
            continue
        if len(there.ts):
            at = np.minimum(np.searchsorted(there.ts, incoming.ts[within]), len(there.ts) - 1)
            found = there.ts[at] == incoming.ts[within]
            keep[within[found]] = False
            same = found & (there.value[at] == incoming.value[within])
            known += int(np.count_nonzero(same))
            for row, value in zip(within[found & ~same], there.value[at][found & ~same], strict=True):
                _note_conflict(incoming, int(row), float(value))
        rows = rows[len(within) :]
    return known


def _note_conflict(incoming: Incoming, row: int, stored: float) -> None:
    reason = f"{float(incoming.value[row])!r} at a time at which {stored!r} is stored: the stored one stays"
    incoming.problems.add(Problem(int(incoming.line[row]), "value", reason))


def store(engine: Engine, fresh: Incoming, now: int, seal_before: int = 0) -> Iterator[Step]:
    """Write readings day by day, a transaction each time it is asked to go on. `now` is UTC ms.

    Days that end by `seal_before` (UTC ms, a day's begin) are sealed at once, where nothing of them is stored.

    One that was broken off is completed by another: what is stored is known then. What others stored since it was
    compared is passed over.

    Raises:
        DatabaseAway: If the database goes away. What was written until then stands.
    """
    if not len(fresh):
        return
    with writing(engine) as connection:
        ids = _ensure(connection, fresh, now)
    left = np.ones(len(fresh), bool)
    yield from _in_turn(engine, _sealed(engine, fresh, ids, now, seal_before, left))
    yield from _in_turn(engine, _as_rows(engine, fresh, ids, now, np.flatnonzero(left)))


def _in_turn(engine: Engine, steps: Iterator[Step]) -> Iterator[Step]:
    """Each step, and after it as much time for others: SQLite has one lock, and who waits for it looks now and then."""
    for step in steps:
        yield step
        if engine.dialect.name == "sqlite":
            time.sleep(step.held_s)


def _as_rows(
    engine: Engine, fresh: Incoming, ids: NDArray[np.int64], now: int, places: NDArray[np.int64]
) -> Iterator[Step]:
    for start, end in _pieces(fresh.ts[places] // DAY_MS):
        some = places[start:end]
        columns = (ids[fresh.series[some]], fresh.ts[some], fresh.value[some])
        stored, held_s = _store_piece(engine, list(zip(*(column.tolist() for column in columns), strict=True)), now)
        yield Step(len(some), stored, held_s)


def _sealed(
    engine: Engine, fresh: Incoming, ids: NDArray[np.int64], now: int, before: int, left: NDArray[np.bool_]
) -> Iterator[Step]:
    """Write whole days, and take their readings out of `left`."""
    if not before:
        return
    with snapshot(engine) as connection:
        stretches = [
            one
            for place, rows in _by_series(fresh)
            if len(rows)
            for one in _free_stretches(connection, int(ids[place]), fresh, rows[fresh.ts[rows] < before])
        ]
        most = sealing.largest_chunk(connection)
    stretches.sort(key=lambda one: one.start)
    for some in _together(stretches):
        held_s = _seal(engine, fresh, some, most, now)
        if held_s is not None:
            places = np.concatenate([one.rows for one in some])
            left[places] = False
            yield Step(len(places), len(places), held_s)


def _free_stretches(
    connection: Connection, series_id: int, fresh: Incoming, rows: NDArray[np.int64]
) -> Iterator[_Stretch]:
    """Days of a series, of a slow one several, of which nothing is stored."""
    extent = history.extent(connection, series_id)
    for stretch in _stretches(series_id, fresh.ts[rows], rows):
        apart = extent is None or stretch.until <= extent[0] or stretch.start > extent[1]
        if apart or not history.holds(connection, series_id, stretch.start, stretch.until):
            yield stretch


def _stretches(series_id: int, ts: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[_Stretch]:
    begin = 0
    while begin < len(ts):
        start = int(ts[begin]) // DAY_MS * DAY_MS
        end = int(np.searchsorted(ts, start + DAY_MS))
        while end < len(ts) and end - begin < SLOW:
            until = int(ts[end]) // DAY_MS * DAY_MS + DAY_MS
            if until - start > MONTH_MS:
                break
            end = int(np.searchsorted(ts, until))
        yield _Stretch(series_id, start, int(ts[end - 1]) // DAY_MS * DAY_MS + DAY_MS, rows[begin:end])
        begin = end


def _together(stretches: Sequence[_Stretch]) -> Iterator[Sequence[_Stretch]]:
    """As many as go in one transaction."""
    some: list[_Stretch] = []
    count = 0
    for one in stretches:
        if some and count + len(one.rows) > _AT_ONCE:
            yield some
            some, count = [], 0
        some.append(one)
        count += len(one.rows)
    if some:
        yield some


def _seal(engine: Engine, fresh: Incoming, some: Sequence[_Stretch], most: int, now: int) -> float | None:
    """Store them, and for how long others had to wait; None if others stored something of these days meanwhile."""
    try:
        packed = [
            sealing.pack_days(
                one.series_id, one.start, one.until, Points(fresh.ts[one.rows], fresh.value[one.rows]), most
            )
            for one in some
        ]
    except DamagedChunk:
        return None
    newest: dict[int, readings.LatestRow] = {}
    for one in some:
        ts = int(fresh.ts[one.rows[-1]])
        if one.series_id not in newest or newest[one.series_id][1] < ts:
            newest[one.series_id] = (one.series_id, ts, float(fresh.value[one.rows[-1]]), ts)

    def put(connection: Connection) -> None:
        for days in packed:
            sealing.put_days(connection, days)
        account.count_imported(connection, WORKER, sum(len(one.rows) for one in some), now)
        readings.store_latest(connection, list(newest.values()))

    try:
        return _tried(engine, put)[1]
    except (sealing.Disturbed, RefusedRows):
        return None


def _store_piece(engine: Engine, rows: Sequence[readings.Row], now: int) -> tuple[int, float]:
    """How many of these were new, and for how long others had to wait."""
    # Its time is that of the reading: nothing of it has come in just now.
    newest = {series_id: (series_id, ts, value, ts) for series_id, ts, value in rows}

    def put(connection: Connection) -> int:
        stored = readings.insert_new(connection, rows)
        account.count_imported(connection, WORKER, stored, now)
        readings.store_latest(connection, list(newest.values()))
        return stored

    return _tried(engine, put)


def _tried(engine: Engine, put: Callable[[Connection], T]) -> tuple[T, float]:
    """Do it in a transaction, again where the database ends it because another waits for it too; how long it took."""
    for _ in range(_TRIES):
        try:
            with writing(engine) as connection:
                begun = time.monotonic()
                done = put(connection)
            return done, time.monotonic() - begun
        except DatabaseAway as error:  # a worker writes to the same tables
            if not is_deadlock(error):
                raise
    raise DatabaseAway("someone else goes on writing to the same series; try again")


def _pieces(days: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(start, end) of days, of which one with very many readings is several pieces."""
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for first, last in pairwise(edges):
        for start in range(first, last, _AT_ONCE):
            yield start, min(last, start + _AT_ONCE)


def _ensure(connection: Connection, fresh: Incoming, now: int) -> NDArray[np.int64]:
    """The numbers of the series, by their place; those that are new are made, with their devices."""
    newest = np.zeros(len(fresh.names), np.int64)
    np.maximum.at(newest, fresh.series, fresh.ts)
    used = [place for place in range(len(fresh.names)) if newest[place]]
    last_seen: dict[str, int] = {}
    for place in used:
        device = fresh.names[place][0]
        last_seen[device] = max(last_seen.get(device, 0), min(now, int(newest[place])))
    device_ids = devices.ids(connection, list(last_seen))
    for device in last_seen.keys() - device_ids.keys():
        device_ids |= devices.ensure(connection, [device], last_seen[device])
    devices.bring_back(connection, list(device_ids.values()))
    wanted = {place: (device_ids[fresh.names[place][0]], fresh.names[place][1]) for place in used}
    series_ids = devices.ensure_series(connection, wanted.values(), now)
    units = [{"of": series_ids[wanted[place]], "to": fresh.units[place]} for place in used if fresh.units[place]]
    if units:
        statement = update(series_table).where(series_table.c.id == bindparam("of"), series_table.c.unit.is_(None))
        connection.execute(statement.values(unit=bindparam("to")), units)
    ids = np.zeros(len(fresh.names), np.int64)
    for place in used:
        ids[place] = series_ids[wanted[place]]
    return ids
