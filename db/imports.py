"""Readings of a file, stored: compared with what is there as a whole, then written day by day."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, bindparam, update

from db import account, devices, history, readings
from db.engine import DatabaseAway, is_deadlock, snapshot, writing
from db.incoming import DAY_MS, Incoming, Problem
from db.schema import series as series_table

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
class Step:
    """Readings that an import has gone through, and how many of them it stored."""

    readings: int
    stored: int


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


def store(engine: Engine, fresh: Incoming, now: int) -> Iterator[Step]:
    """Write readings day by day, a transaction each time it is asked to go on. `now` is UTC ms.

    One that was broken off is completed by another: what is stored is known then. What others stored since it was
    compared is passed over.

    Raises:
        DatabaseAway: If the database goes away. What was written until then stands.
    """
    if not len(fresh):
        return
    with writing(engine) as connection:
        ids = _ensure(connection, fresh, now)
    for start, end in _pieces(fresh.ts // DAY_MS):
        begun = time.monotonic()
        columns = (ids[fresh.series[start:end]], fresh.ts[start:end], fresh.value[start:end])
        stored = _store_piece(engine, list(zip(*(column.tolist() for column in columns), strict=True)), now)
        held_s = time.monotonic() - begun
        yield Step(end - start, stored)
        if engine.dialect.name == "sqlite":  # it has one lock, and whoever waits for it looks only now and then
            time.sleep(held_s)


def _store_piece(engine: Engine, rows: Sequence[readings.Row], now: int) -> int:
    """How many of these were new."""
    # Its time is that of the reading: nothing of it has come in just now.
    newest = {series_id: (series_id, ts, value, ts) for series_id, ts, value in rows}
    for _ in range(_TRIES):
        try:
            with writing(engine) as connection:
                stored = readings.insert_new(connection, rows)
                account.count_imported(connection, WORKER, stored, now)
                readings.store_latest(connection, list(newest.values()))
        except DatabaseAway as error:  # a worker writes to the same tables
            if not is_deadlock(error):
                raise
        else:
            return stored
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
