"""Workers: who is storing, with a sign of life each. `heartbeat_at` and ages are by the database's own clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, or_, select, text, update

from db.schema import workers
from db.statements import upsert

#: A worker that stopped, or fell silent, this long ago is no longer shown.
FORGOTTEN_AFTER_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's sign of life. `waiting` and `waiting_readings`: what it has received and not yet stored.

    `lag_ms`: how far behind it is, None if unknown.
    """

    name: str
    token: str
    started_at: int
    waiting: int
    waiting_readings: int
    broker_state: str
    lag_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker and the age of its last sign of life in ms."""

    heartbeat: Heartbeat
    age_ms: int
    stopped: bool


def now_ms(connection: Connection) -> int:
    """The database's clock, UTC ms. SQLite's is this machine's."""
    if connection.dialect.name == "sqlite":
        query = "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    else:
        query = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"
    return int(connection.scalar(text(query)) or 0)


def beat(connection: Connection, heartbeat: Heartbeat) -> None:
    """Write a sign of life."""
    row = {
        "name": heartbeat.name,
        "token": heartbeat.token,
        "started_at": heartbeat.started_at,
        "heartbeat_at": now_ms(connection),
        "stopped_at": None,
        "waiting": heartbeat.waiting,
        "waiting_readings": heartbeat.waiting_readings,
        "broker_state": heartbeat.broker_state,
        "lag_ms": heartbeat.lag_ms,
    }
    upsert(connection, workers, [row], [name for name in row if name != "name"])


def stop(connection: Connection, name: str, token: str) -> None:
    """Write that this start of the worker ended; what it held unstored is back with the broker."""
    connection.execute(
        update(workers)
        .where(workers.c.name == name, workers.c.token == token)
        .values(stopped_at=now_ms(connection), waiting=0, waiting_readings=0, lag_ms=None, broker_state="stopped")
    )


def every(connection: Connection) -> list[Worker]:
    """All workers of the last day, by name."""
    now = now_ms(connection)
    columns = workers.c
    query = (
        select(
            columns.name,
            columns.token,
            columns.started_at,
            columns.waiting,
            columns.waiting_readings,
            columns.broker_state,
            columns.lag_ms,
            columns.heartbeat_at,
            columns.stopped_at,
        )
        .where(columns.heartbeat_at > now - FORGOTTEN_AFTER_MS)
        .order_by(columns.name)
    )
    return [
        Worker(Heartbeat(*row[:7]), max(0, now - row.heartbeat_at), row.stopped_at is not None)
        for row in connection.execute(query)
    ]


def silent(connection: Connection, for_ms: int) -> list[str]:
    """Names of workers that stopped, or gave no sign of life for so long, by name."""
    columns = workers.c
    gone = or_(columns.stopped_at.is_not(None), columns.heartbeat_at <= now_ms(connection) - for_ms)
    return list(connection.scalars(select(columns.name).where(gone).order_by(columns.name)))
