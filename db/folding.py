"""Folding: hours that are over, of days that are not sealed yet, become rows of `hours`, and their minutes.

It is done in one place, from rows, so that it can be done again: an hour for which a reading came late is. What holds
at every moment, for each series: from the end of its last chunk to the end of its last row of `hours`, every hour that
holds readings is there as its rows give it, or is named in `late`; and before the end of its last chunk there are the
hours of chunks alone. Times are UTC ms.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, ScalarSelect, Table, func, select

from db import hours, late, open_minutes
from db.chunks import sealed_until
from db.engine import DatabaseAway, Engine, is_deadlock, snapshot
from db.folded_rows import folded
from db.packing import DAY_MS, HOUR_MS, MINUTE_MS, refold_evenly
from db.schema import chunks, readings, series
from db.schema import hours as hours_table

Transaction = Callable[[], AbstractContextManager[Connection]]

T = TypeVar("T")

#: A transaction ends once it took so long; a day of one series at least fits into it.
_HELD_S: Final = 0.03
#: Rows of `late` that are seen to at once.
_NAMED_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Folded:
    """What was done in a transaction: so many stretches of series. `held_s`: for how long others had to wait."""

    stretches: int
    held_s: float


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Hours of a series that are to be folded again."""

    series_id: int
    start: int
    until: int


def steps(engine: Engine, transaction: Transaction, now: int) -> Iterator[Folded]:
    """Fold all hours that are over at `now`, and again those for which readings came late, some at each step.

    What `transaction` raises passes, and that step was not done then.

    Raises:
        DatabaseAway: If the database can't be asked.
    """
    closed = late.closed_before(now)
    yield from _in_turn(transaction, deque(_behind(engine, closed)), lambda c, one: _fold_next(c, one, closed))
    yield from _again(engine, transaction)


def _behind(engine: Engine, closed: int) -> list[int]:
    """Series with rows, sealed up to or folded up to before `closed`. Three seeks each."""

    def last(table: Table, by: str, column: str) -> ScalarSelect[Any]:
        query = select(table.c[column]).where(table.c.series_id == series.c.id).order_by(table.c[by].desc()).limit(1)
        return query.correlate(series).scalar_subquery()

    ends = last(chunks, "start", "until"), last(hours_table, "ts", "ts"), last(readings, "ts", "ts")
    query = select(series.c.id, *ends)
    with snapshot(engine) as connection:
        return [
            series_id
            for series_id, sealed, hour, newest in connection.execute(query.order_by(series.c.id))
            if newest is not None and _border(sealed or 0, hour) <= min(newest, closed - 1)
        ]


def _border(sealed: int, last_hour: int | None) -> int:
    """Up to where hours are folded, by the end of the last chunk and the begin of the last hour."""
    return max(-(-sealed // HOUR_MS) * HOUR_MS, 0 if last_hour is None else last_hour + HOUR_MS)


def _in_turn(transaction: Transaction, waiting: deque[T], what: Callable[[Connection, T], bool]) -> Iterator[Folded]:
    """Do `what` for one after the other, again while it returns that there is more, several in a transaction."""
    while waiting:
        done = 0
        taken: list[T] = []
        try:
            with transaction() as connection:
                began = time.monotonic()
                while waiting and (not done or time.monotonic() - began < _HELD_S):
                    if not what(connection, waiting[0]):
                        taken.append(waiting.popleft())
                    done += 1
        except DatabaseAway as error:
            if not is_deadlock(error):
                raise
            if waiting:
                waiting.popleft()  # at the next pass
            waiting.extendleft(reversed(taken))
        else:
            yield Folded(done, time.monotonic() - began)


def _fold_next(connection: Connection, series_id: int, closed: int) -> bool:
    """Fold the first day, or what is over of it, that was not folded yet; whether there may be more."""
    _lock(connection, series_id)
    border = _folded_to(connection, series_id)
    query = select(readings.c.ts).where(
        readings.c.series_id == series_id, readings.c.ts >= border, readings.c.ts < closed
    )
    first = connection.scalar(query.order_by(readings.c.ts).limit(1))
    if first is None:
        return False
    start = first // HOUR_MS * HOUR_MS
    until = min(start + DAY_MS, closed)
    _fold(connection, series_id, start, until)
    return bool(until < closed)


def _again(engine: Engine, transaction: Transaction) -> Iterator[Folded]:
    """Fold hours that are named, and then forget that they were: what was named since then stays."""
    while True:
        with snapshot(engine) as connection:
            ids, named = late.oldest(connection, _NAMED_AT_ONCE)
        if not ids:
            return
        waiting = deque(
            _Stretch(series_id, at, min(at + DAY_MS, until))
            for series_id, stretches in named.items()
            for start, until in stretches
            for at in range(start, until, DAY_MS)
        )
        count = len(waiting)
        for step in _in_turn(transaction, waiting, _fold_again):
            count -= step.stretches
            yield step
        if count:
            return  # two waited for each other; all of it at the next pass
        with transaction() as connection:
            late.remove(connection, ids)
        if len(ids) < _NAMED_AT_ONCE:
            return


def _fold_again(connection: Connection, stretch: _Stretch) -> bool:
    """Fold what lies between the last chunk and the last hour; the rest is sealed, or will be folded anyway."""
    series_id = stretch.series_id
    _lock(connection, series_id)
    start = max(stretch.start, _border(sealed_until(connection, series_id), None))
    until = min(stretch.until, _folded_to(connection, series_id))
    if start < until:
        _fold(connection, series_id, start, until)
    return False


def _fold(connection: Connection, series_id: int, start: int, until: int) -> None:
    minutes = folded(connection, series_id, start, until, MINUTE_MS, waits=True)
    hours.replace(connection, series_id, start, until, refold_evenly(minutes, HOUR_MS))
    open_minutes.replace(connection, series_id, start, until, minutes)


def forget(connection: Connection, series_id: int, start: int, until: int) -> None:
    """Take hours out that begin in [start, until), and their minutes: their rows are sealed, or no more those."""
    hours.remove(connection, series_id, start, until)
    open_minutes.remove(connection, series_id, start, until)


def _folded_to(connection: Connection, series_id: int) -> int:
    hour = connection.scalar(select(func.max(hours_table.c.ts)).where(hours_table.c.series_id == series_id))
    return _border(sealed_until(connection, series_id), hour)


def _lock(connection: Connection, series_id: int) -> None:
    """Nobody seals this series meanwhile; who stores readings has nothing to do with this lock."""
    connection.execute(select(series.c.id).where(series.c.id == series_id).with_for_update())
