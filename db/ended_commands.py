"""Commands that have ended: their end is written to the audit log, and much later they leave the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, select, update

from db import audit, commands
from db.audit import Entry
from db.commands import Command
from db.schema import command_steps
from db.schema import commands as table
from db.statements import in_chunks

#: Ends that are no trouble.
_GOOD: Final = ("confirmed", "cancelled")


def settle(connection: Connection, key: bytes, now: int, limit: int = 100) -> int:
    """Write the ends of at most `limit` commands to the audit log; how many. The last statements of a transaction.

    `key`: of the audit log. `now`: UTC ms. Few statements, however many ends: who asks for something else meanwhile
    waits for them. Ends that another settles at this moment are left to that one.
    """
    ended = (table.c.settled == 0, table.c.ended_at.is_not(None))
    query = select(table.c.number).where(*ended).order_by(table.c.ended_at, table.c.number).limit(limit)
    found = connection.scalars(query).all()
    mine = _locked(connection, found)
    if mine:
        connection.execute(update(table).where(table.c.number.in_(mine)).values(settled=1))
        audit.record_all(connection, key, [_end(one, now) for one in commands.by_numbers(connection, mine)])
    return len(mine)


def prune(connection: Connection, before: int, limit: int = 2_000) -> int:
    """Remove at most `limit` commands that ended before `before` (UTC ms) and stand in the audit log; how many."""
    query = select(table.c.number).where(table.c.settled == 1, table.c.ended_at < before).limit(limit)
    numbers = list(connection.scalars(query))
    for some in in_chunks(numbers, 500):
        connection.execute(delete(command_steps).where(command_steps.c.command.in_(some)))
        connection.execute(delete(table).where(table.c.number.in_(some)))
    return len(numbers)


def _locked(connection: Connection, numbers: Sequence[int]) -> list[int]:
    """Those of them that are still to be settled, and that nobody else settles before this transaction ends."""
    if not numbers:
        return []
    mine = (table.c.number.in_(numbers), table.c.settled == 0)
    query = select(table.c.number).where(*mine).order_by(table.c.number).with_for_update(skip_locked=True)
    return list(connection.scalars(query))


def _end(command: Command, now: int) -> Entry:
    result: audit.Result = "ok" if command.status in _GOOD else "failed"
    detail = f"{command.state}, command {command.id}: {command.steps[-1].evidence}"
    return commands.entry(command, f"command.{command.status}", now, result, detail)
