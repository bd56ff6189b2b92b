"""What the dispatcher asks and notes: which commands are to go out, and that one may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Update, bindparam, func, insert, select, update

from db.devices import THERE
from db.polls import FORGOTTEN_AFTER_MS, Poll
from db.schema import actuators, command_steps, commands, device_polls, devices, latest, series
from db.statements import in_chunks


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued command, and what is known of its device. Times are UTC ms.

    `sent_at`: it may have gone out before, and may go again with the same id. `gone`: why there is nobody to send it
    to. `silent_since`: when the device said `offline`, and no reading came since. `poll`: it asks by HTTP.
    """

    id: str
    device: str
    actuator: str
    state: str
    deadline_at: int
    sent_at: int | None
    gone: str | None
    silent_since: int | None
    poll: Poll | None


def waiting(connection: Connection, now: int, limit: int = 10_000) -> list[Waiting]:
    """Queued commands that are not past their deadline, oldest first."""
    newest = (
        select(func.max(latest.c.received_at))
        .join(series, series.c.id == latest.c.series_id)
        .where(series.c.device_id == devices.c.id)
        .correlate(devices)
        .scalar_subquery()
    )
    query = (
        select(
            commands.c.id,
            commands.c.device,
            commands.c.actuator,
            commands.c.state,
            commands.c.deadline_at,
            commands.c.sent_at,
            devices.c.id.label("device_id"),
            devices.c.online,
            devices.c.status_at,
            actuators.c.id.label("actuator_id"),
            device_polls.c.polled_at,
            device_polls.c.until,
            device_polls.c.interval_ms,
            newest.label("read_at"),
        )
        .join(devices, (devices.c.name == commands.c.device) & THERE, isouter=True)
        .join(
            actuators,
            (actuators.c.device_id == devices.c.id) & (actuators.c.name == commands.c.actuator),
            isouter=True,
        )
        .join(device_polls, device_polls.c.device_id == devices.c.id, isouter=True)
        .where(commands.c.settled == 0, commands.c.status == "queued", commands.c.deadline_at > now)
        .order_by(commands.c.number)
        .limit(limit)
    )
    return [_waiting(row, now) for row in connection.execute(query)]


def _waiting(row: Any, now: int) -> Waiting:
    gone = None
    if row.device_id is None:
        gone = f"There is no device {row.device} any more."
    elif row.actuator_id is None:
        gone = f"{row.device} has no {row.actuator} any more."
    offline = row.online == 0 and row.status_at is not None and (row.read_at or 0) <= row.status_at
    poll = None
    if row.polled_at is not None and row.polled_at > max(now - FORGOTTEN_AFTER_MS, row.status_at or 0):
        poll = Poll(row.device, row.polled_at, row.until, row.interval_ms)
    return Waiting(
        row.id,
        row.device,
        row.actuator,
        row.state,
        row.deadline_at,
        row.sent_at,
        gone,
        row.status_at if offline else None,
        poll,
    )


def note_published(connection: Connection, evidence: Mapping[str, str], at: int) -> list[str]:
    """Bring those of these ids that are still queued to `published`, each with its evidence; which these were.

    One that somebody else is changing at this moment is left to them: it is about to end, or goes out once more.
    """
    rows = _queued(connection, sorted(evidence))
    if rows:
        connection.execute(_here(update(commands)).values(status="published"), [{"of": row.number} for row in rows])
        steps = [{"command": row.number, "status": "published", "at": at, "evidence": evidence[row.id]} for row in rows]
        connection.execute(insert(command_steps), steps)
    return [row.id for row in rows]


def note_sending(connection: Connection, ids: Sequence[str], at: int) -> list[str]:
    """Note that these are about to go out, before they do; those of them that are still queued, and so may.

    One that somebody else is changing at this moment may not, and is found again if it still waits then.
    """
    rows = _queued(connection, ids)
    if rows:
        sent = func.coalesce(commands.c.sent_at, at)
        connection.execute(_here(update(commands)).values(sent_at=sent), [{"of": row.number} for row in rows])
    return [row.id for row in rows]


def _queued(connection: Connection, ids: Sequence[str]) -> list[Any]:
    """Those that are queued, locked. Who waited for locked ones would meet a writer, who locks in another order."""
    found: list[Any] = []
    for some in in_chunks(ids, 500):
        mine = (commands.c.id.in_(some), commands.c.status == "queued")
        query = select(commands.c.number, commands.c.id).where(*mine).with_for_update(skip_locked=True)
        found += connection.execute(query)
    return sorted(found, key=attrgetter("number"))


def _here(statement: Update) -> Update:
    return statement.where(commands.c.number == bindparam("of"))
