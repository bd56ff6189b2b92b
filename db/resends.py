"""What is asked of devices to be sent again, and what became of it: ranges of numbers that never reached us.

The keeper's upkeep writes the ranges, as `ingest.resend_plan` has them; its dispatcher notes here that it asks. Whoever
receives a device's `gone` leaves it for the upkeep in a row of its own, so that storing waits for nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from sqlalchemy import Connection, Select, delete, insert, select, tuple_, update

from db.devices import THERE
from db.schema import devices, resend_gone, resends
from db.statements import in_chunks, upsert

#: `repaired`: it came. `gone`: the device has it no longer. `unanswered`: it was asked for long enough.
Outcome = Literal["repaired", "gone", "unanswered"]

#: Answers that are taken at once.
_GONE_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Gone:
    """What a device answers for numbers `first` to `last` of its start `boot` that it holds no longer."""

    device: str
    boot: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class GoneRange:
    """The same as it waits for the upkeep. `at`: UTC ms when it came."""

    id: int
    device_id: int
    boot: str
    first: int
    last: int
    at: int


@dataclass(frozen=True, slots=True)
class Resend:
    """Numbers `first` to `last` of a start of a device that never reached us, or came late. Times are UTC ms.

    `noticed_at`: of the batch that brought the number after them. `tries`: how often they were asked for, the last time
    at `asked_at`. `next_at`: from when on to ask, None where another range is in turn. `outcome` None: they are waited
    for.
    """

    device_id: int
    boot: str
    first: int
    last: int
    noticed_at: int
    tries: int = 0
    asked_at: int | None = None
    next_at: int | None = None
    outcome: Outcome | None = None
    ended_at: int | None = None

    @property
    def count(self) -> int:
        """How many numbers that is."""
        return self.last - self.first + 1

    @property
    def key(self) -> tuple[int, str, int]:
        """Its place in the table."""
        return self.device_id, self.boot, self.first


@dataclass(frozen=True, slots=True)
class Named:
    """A range and the name of its device."""

    device: str
    range: Resend


@dataclass(frozen=True, slots=True)
class ResendCounts:
    """Messages in the ranges that are kept, by what became of them."""

    waiting: int = 0
    repaired: int = 0
    gone: int = 0
    unanswered: int = 0


_COLUMNS: Final = tuple(resends.c[field.name] for field in fields(Resend))


def note_gone(connection: Connection, device_id: int, gone: Gone, at: int) -> None:
    """Leave what a device answered at `at` (UTC ms) for the upkeep."""
    row = {"device_id": device_id, "boot": gone.boot, "first": gone.first, "last": gone.last, "at": at}
    connection.execute(insert(resend_gone).values(row))


def gone(connection: Connection) -> list[GoneRange]:
    """The oldest answers that the upkeep has not taken yet."""
    query = select(*resend_gone.c).order_by(resend_gone.c.id).limit(_GONE_AT_ONCE)
    return [GoneRange(*row) for row in connection.execute(query)]


def every(connection: Connection, *, locked: bool = False) -> list[Resend]:
    """All ranges that are kept; `locked`: for a transaction that replaces them."""
    query = select(*_COLUMNS).order_by(*_COLUMNS[:3])
    return [Resend(*row) for row in connection.execute(query.with_for_update() if locked else query)]


def replace(
    connection: Connection, before: Collection[Resend], after: Collection[Resend], taken: Iterable[GoneRange]
) -> None:
    """Have the ranges `after` instead of those `before`, and forget answers that were taken. Writes what differs."""
    kept = {one.key for one in after}
    for keys in in_chunks(sorted(one.key for one in before if one.key not in kept), 500):
        connection.execute(delete(resends).where(tuple_(*_COLUMNS[:3]).in_(keys)))
    known = set(before)
    rows = [{name.name: getattr(one, name.name) for name in _COLUMNS} for one in after if one not in known]
    upsert(connection, resends, rows, [column.name for column in _COLUMNS[3:]])
    for ids in in_chunks([one.id for one in taken], 500):
        connection.execute(delete(resend_gone).where(resend_gone.c.id.in_(ids)))


def due(connection: Connection, now: int) -> list[Named]:
    """Ranges to be asked for at `now` (UTC ms), at most one a device, the longest due first."""
    query = _named().where(resends.c.next_at <= now).order_by(resends.c.next_at)
    return [_as_named(row) for row in connection.execute(query)]


def note_asked(connection: Connection, chosen: Sequence[tuple[Resend, int | None]], at: int) -> list[Resend]:
    """Note that these are about to be asked for at `at` (UTC ms), and when next; those that still may be.

    A range that somebody else is changing at this moment may not, and is found again if it is still due then.
    """
    keys = {one.key: one for one, _ in chosen}
    query = select(*_COLUMNS).where(tuple_(*_COLUMNS[:3]).in_(sorted(keys)))
    rows = connection.execute(query.with_for_update(skip_locked=True))
    may = {one for row in rows if (one := Resend(*row)) == keys[one.key]}
    for one, next_at in chosen:
        if one in may:
            mine = (resends.c.device_id == one.device_id, resends.c.boot == one.boot, resends.c.first == one.first)
            asked = {"tries": one.tries + 1, "asked_at": at, "next_at": next_at}
            connection.execute(update(resends).where(*mine).values(asked))
    return [one for one, _ in chosen if one in may]


def newest(connection: Connection, limit: int | None = None) -> list[Named]:
    """Ranges with the names of their devices, those noticed last first; all of them without `limit`."""
    query = _named().order_by(resends.c.noticed_at.desc(), devices.c.name, resends.c.first).limit(limit)
    return [_as_named(row) for row in connection.execute(query)]


def counts(connection: Connection) -> ResendCounts:
    """How many messages are waited for, were repaired, and are lost for good."""
    found = dict.fromkeys([field.name for field in fields(ResendCounts)], 0)
    # Added up here: no database need hold the sum of what a device may claim to have sent.
    for outcome, first, last in connection.execute(select(resends.c.outcome, resends.c.first, resends.c.last)):
        found[outcome or "waiting"] += last - first + 1
    return ResendCounts(**found)


def there(connection: Connection, device_ids: Iterable[int]) -> set[int]:
    """Those of these devices that were not deleted."""
    found: set[int] = set()
    for some in in_chunks(sorted(set(device_ids)), 500):
        found.update(connection.scalars(select(devices.c.id).where(devices.c.id.in_(some), THERE)))
    return found


def forget(connection: Connection, device_id: int) -> None:
    """A device was deleted: nothing is asked of it."""
    for table in (resends, resend_gone):
        connection.execute(delete(table).where(table.c.device_id == device_id))


def _named() -> Select[Any]:
    join = resends.join(devices, (devices.c.id == resends.c.device_id) & THERE)
    return select(devices.c.name, *_COLUMNS).select_from(join)


def _as_named(row: Any) -> Named:
    return Named(row[0], Resend(*row[1:]))
