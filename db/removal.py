"""Deleting a device with its data: asked for once, done in the background, counted, gone on with after a restart.

At once it is in no list, its token is worth nothing and its open commands have failed. Its readings and all that was
derived of them go a few thousand at a time, each counted in the transaction that removes it. Its row and those of its
series stay, without what was in them: workers remember their ids, so that what the device may send later is stored
rightly. A device that is heard of after its deletion is there again, with what it has sent since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from db import account, audit, commands, device_tokens, resends
from db import devices as device_rows
from db.audit import Entry
from db.engine import Engine, reading
from db.rights import Actor, storable
from db.schema import chunks, device_polls, devices, hours, latest, readings, receipts, removals, seen, series
from db.targets import UnknownTarget

#: Rows, and sealed chunks, that go in one transaction.
_ROWS_AT_ONCE: Final = 5_000
_CHUNKS_AT_ONCE: Final = 200

Transaction = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class Removal:
    """A deletion that is under way: asked for at `asked_at` (UTC ms) `by` somebody; readings removed so far."""

    device_id: int
    device: str
    asked_at: int
    by: str
    address: str
    readings: int


def ask(connection: Connection, key: bytes, device: str, *, by: Actor, at: int) -> None:
    """Delete a device, and record it: the last statement of a transaction. The caller knows that `by` may.

    `key`: of the audit log, `doors.key("audit")`. `at`: UTC ms. Raises UnknownTarget.
    """
    device_id = connection.scalar(select(devices.c.id).where(devices.c.name == device, device_rows.THERE))
    if device_id is None:
        raise UnknownTarget("device", f"There is no device {storable(device, 191)}.")
    emptied = dict.fromkeys(("model", "firmware", "online", "status_at", "label", "site", "area", "notes"))
    connection.execute(update(devices).where(devices.c.id == device_id).values(removed_at=at, hidden=0, **emptied))
    device_tokens.remove(connection, device_id)
    connection.execute(delete(device_polls).where(device_polls.c.device_id == device_id))
    device_rows.forget_actuators(connection, device_id)
    commands.fail_open(connection, device, f"{device} was deleted.", at)
    connection.execute(delete(removals).where(removals.c.device_id == device_id))
    row = {
        "device_id": device_id,
        "asked_at": at,
        "made_by": storable(by.name, 64),
        "address": storable(by.origin.address, 64),
        "readings": 0,
    }
    connection.execute(insert(removals).values(row))
    audit.record(connection, key, Entry(at, by.name, by.origin.address, "device.delete", device, "ok", ""))


def under_way(connection: Connection) -> list[Removal]:
    """Those that are not finished, by device."""
    query = (
        select(removals, devices.c.name).join(devices, devices.c.id == removals.c.device_id).order_by(devices.c.name)
    )
    return [
        Removal(row.device_id, row.name, row.asked_at, row.made_by, row.address, row.readings)
        for row in connection.execute(query)
    ]


def removed(connection: Connection) -> dict[str, int]:
    """Devices that were deleted and not heard of since, with the UTC ms of that."""
    query = select(devices.c.name, devices.c.removed_at).where(~device_rows.THERE)
    return {row.name: row.removed_at for row in connection.execute(query)}


def work(engine: Engine, transaction: Transaction, worker: str, now: int) -> Iterator[int]:
    """Go on with all that are under way, some each time it is asked to go on; readings removed by that.

    `transaction` begins one to write in, `worker` is whose account counts them, `now` is UTC ms. What it was given up
    in the middle of, it finds again. Raises DatabaseAway, and what `transaction` raises.
    """
    with reading(engine) as connection:
        asked = under_way(connection)
    for removal in asked:
        with reading(engine) as connection:
            ids = list(connection.scalars(select(series.c.id).where(series.c.device_id == removal.device_id)))
        for series_id in ids:
            yield from _empty(transaction, removal, series_id, worker, now)
        with transaction() as connection:
            _finish(connection, removal)
        yield 0


def _empty(transaction: Transaction, removal: Removal, series_id: int, worker: str, now: int) -> Iterator[int]:
    """What a series had when it was asked for."""
    for remove in (_some_rows, _some_chunks):
        count = 1
        while count:
            with transaction() as connection:
                count, gone = remove(connection, series_id, removal.asked_at)
                if gone:
                    account.count_removed(connection, worker, gone, now)
                    more = update(removals).where(removals.c.device_id == removal.device_id)
                    connection.execute(more.values(readings=removals.c.readings + gone))
            if gone:
                yield gone
    with transaction() as connection:
        old = (hours.c.series_id == series_id, hours.c.ts <= removal.asked_at)
        connection.execute(delete(hours).where(*old))
        connection.execute(delete(latest).where(latest.c.series_id == series_id, latest.c.ts <= removal.asked_at))
        connection.execute(update(series).where(series.c.id == series_id).values(name=None))


def _some_rows(connection: Connection, series_id: int, until: int) -> tuple[int, int]:
    """Remove the oldest rows up to `until`; how many went, and how many readings that is."""
    old = (readings.c.series_id == series_id, readings.c.ts <= until)
    query = select(readings.c.ts).where(*old).order_by(readings.c.ts).limit(1).offset(_ROWS_AT_ONCE - 1)
    last = connection.scalar(query)
    gone = connection.execute(delete(readings).where(*old, readings.c.ts <= (until if last is None else last))).rowcount
    return (gone if last is not None else 0), gone


def _some_chunks(connection: Connection, series_id: int, until: int) -> tuple[int, int]:
    """The same of sealed ones. Those whose bytes were past their time count no more readings: they are counted."""
    old = (chunks.c.series_id == series_id, chunks.c.last <= until)
    query = select(chunks.c.start, chunks.c.n, chunks.c.raw_crc).where(*old).limit(_CHUNKS_AT_ONCE).with_for_update()
    rows = connection.execute(query).all()
    starts = [row.start for row in rows]
    connection.execute(delete(chunks).where(chunks.c.series_id == series_id, chunks.c.start.in_(starts)))
    return len(rows), sum(row.n for row in rows if row.raw_crc is not None)


def _finish(connection: Connection, removal: Removal) -> None:
    """What hangs on the device itself. Not its boots: a worker may be counting on them."""
    old = removal.asked_at
    mine = receipts.c.device_id == removal.device_id
    connection.execute(delete(receipts).where(mine, receipts.c.received_at <= old))
    connection.execute(delete(seen).where(seen.c.device_id == removal.device_id, seen.c.last_at <= old))
    resends.forget(connection, removal.device_id)
    here = connection.scalar(select(func.count()).where(devices.c.id == removal.device_id, device_rows.THERE))
    if not here:  # a retained message, which is no sign of life, may have brought one back
        device_rows.forget_actuators(connection, removal.device_id)
    connection.execute(delete(removals).where(removals.c.device_id == removal.device_id))
