"""Leases: which one of several workers may do what only one may do. All times are by the database's own clock.

The holder renews its lease; one that was not renewed for a while is free. What the holder writes it guards by `fence`
in the same transaction, so that a holder that was frozen, and does not know that another took over, writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, or_, select, update

from db.engine import DatabaseError
from db.schema import leases
from db.statements import insert_ignore
from db.workers import now_ms

#: The lease on presence, states and upkeep.
KEEPER: Final = "keeper"


class LeaseLost(DatabaseError):
    """Another start holds the lease, or nobody. Nothing was written, and what was to be written is the holder's."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, and the ms since it was renewed."""

    worker: str
    token: str
    age_ms: int


def take(connection: Connection, name: str, worker: str, token: str, free_after_ms: int, *, inherit: bool) -> bool:
    """Take a lease if it is free, or ours; whether we hold it now.

    It is free if nobody has it, or if it was not renewed for `free_after_ms`; with `inherit` also if another start of
    this worker has it. One renewed that long in the future is free too: the database's clock was set back.
    """
    now = now_ms(connection)
    ours = [leases.c.token == token, *([leases.c.worker == worker] if inherit else [])]
    free = (leases.c.renewed_at <= now - free_after_ms, leases.c.renewed_at > now + free_after_ms)
    row = {"worker": worker, "token": token, "renewed_at": now}
    # Before INSERT: that locks a row that is there, and two workers that then want to change it would be a deadlock.
    changed = connection.execute(update(leases).where(leases.c.name == name, or_(*ours, *free)).values(row))
    if changed.rowcount == 1:
        return True
    if holder(connection, name) is not None:
        return False
    return connection.execute(insert_ignore(leases), [{"name": name, **row}]).rowcount == 1


def renew(connection: Connection, name: str, token: str) -> bool:
    """Renew a lease; False if this start does not hold it any more."""
    mine = (leases.c.name == name, leases.c.token == token)
    return connection.execute(update(leases).where(*mine).values(renewed_at=now_ms(connection))).rowcount == 1


def release(connection: Connection, name: str, token: str) -> None:
    """Give a lease back, so that another may take it at once. Harmless if this start does not hold it."""
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.token == token))


def fence(connection: Connection, name: str, token: str) -> None:
    """Make sure that this start holds the lease, and goes on holding it until the transaction ends.

    Raises:
        LeaseLost: If it does not.
    """
    query = select(leases.c.token).where(leases.c.name == name).with_for_update(read=True)
    if connection.scalar(query) != token:
        raise LeaseLost(f"another worker has become the {name}")


def holder(connection: Connection, name: str) -> Holder | None:
    """Who holds a lease, be it fresh or long not renewed; None if nobody does."""
    query = select(leases.c.worker, leases.c.token, leases.c.renewed_at).where(leases.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else Holder(row.worker, row.token, max(0, now_ms(connection) - row.renewed_at))
