"""Retention: readings that are past their time go, chunk by chunk, and at last their hours.

What is left of a chunk is its row without bytes, so that it is known that nothing more is to be stored there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, func, select, tuple_, update

from db import account
from db.engine import Engine, reading
from db.packing import DAY_MS, HOUR_MS
from db.schema import chunks, hours, series
from db.sealing import Sealer, Step, Transaction, steps

#: Chunks, and rows of hours, that go in one transaction.
_AT_ONCE: Final = 500
_HOURS_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """From when on (UTC ms) readings with their minutes, and hours, are kept; None: all of them."""

    raw: int | None = None
    hours: int | None = None


def kept(now: int, raw_days: int | None, hour_days: int | None) -> Kept:
    """What RETENTION_RAW_DAYS and RETENTION_HOUR_DAYS say at `now` (UTC ms). Hours never go before their readings."""
    if raw_days is None:
        return Kept()
    raw = now - raw_days * DAY_MS
    return Kept(raw, None if hour_days is None else min(raw, now - hour_days * DAY_MS))


def removals(engine: Engine, transaction: Transaction, sealer: Sealer, limits: Kept) -> Iterator[Step]:
    """Remove what is past its time, some each time it is asked to go on. What `transaction` raises passes.

    Rows that were never sealed are so first, for their hours. Raises DatabaseAway.
    """
    if limits.raw is None:
        return
    yield from steps(engine, transaction, sealer, limits.raw // DAY_MS * DAY_MS)
    while some := _past(engine, limits.raw // HOUR_MS * HOUR_MS):
        yield _without_bytes(transaction, sealer, some)
    if limits.hours is not None:
        yield from _remove_hours(engine, transaction, limits.hours // HOUR_MS * HOUR_MS)


def _past(engine: Engine, before: int) -> list[Any]:
    query = select(chunks.c.series_id, chunks.c.start, chunks.c.until)
    with reading(engine) as connection:
        past = query.where(chunks.c.until <= before, chunks.c.raw_crc.is_not(None)).limit(_AT_ONCE)
        return list(connection.execute(past))


def _without_bytes(transaction: Transaction, sealer: Sealer, past: list[Any]) -> Step:
    there = and_(
        tuple_(chunks.c.series_id, chunks.c.start).in_([(row.series_id, row.start) for row in past]),
        chunks.c.raw_crc.is_not(None),
    )
    with transaction() as connection:
        began = time.monotonic()
        # Locked: one may be merged meanwhile, and what is counted is what goes.
        found = connection.execute(select(chunks.c.start, chunks.c.n).where(there).with_for_update()).all()
        connection.execute(update(chunks).where(there).values(raw=None, raw_crc=None, minutes=None, minutes_crc=None))
        removed = sum(row.n for row in found)
        account.count_removed(connection, sealer.account, removed, time.time_ns() // 1_000_000)
    return Step(past[0].series_id, past[0].start, past[-1].until, removed, removed, held_s=time.monotonic() - began)


def _remove_hours(engine: Engine, transaction: Transaction, before: int) -> Iterator[Step]:
    with reading(engine) as connection:
        series_ids = list(connection.scalars(select(series.c.id).order_by(series.c.id)))
    for series_id in series_ids:
        past = and_(hours.c.series_id == series_id, hours.c.ts < before)
        with reading(engine) as connection:
            until = _some_hours(connection, series_id, before)
        while until is not None:
            with transaction() as connection:
                began = time.monotonic()
                connection.execute(delete(hours).where(past, hours.c.ts < until))
                connection.execute(
                    delete(chunks).where(
                        chunks.c.series_id == series_id, chunks.c.until <= until, chunks.c.raw_crc.is_(None)
                    )
                )
                after = _some_hours(connection, series_id, before)
            yield Step(series_id, 0, until, held_s=time.monotonic() - began)
            until = after


def _some_hours(connection: Connection, series_id: int, before: int) -> int | None:
    """Up to where the oldest hours of a series go in one transaction; None if none is past its time."""
    oldest = connection.scalar(select(func.min(hours.c.ts)).where(hours.c.series_id == series_id))
    if oldest is None or oldest >= before:
        return None
    return min(before, int(oldest) + _HOURS_AT_ONCE * HOUR_MS)
