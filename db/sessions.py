"""Logins at the pages: a row each, so that the server can end any of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from db import users
from db.schema import LARGEST_ID, sessions
from db.schema import users as users_table
from db.users import User


@dataclass(frozen=True, slots=True)
class Session:
    """A login. Times are UTC ms; `address` and `agent` are where it was opened, and by which browser."""

    id: int
    user: User
    created_at: int
    seen_at: int
    expires_at: int
    address: str
    agent: str


_QUERY: Select[Any] = select(
    sessions.c.id,
    sessions.c.created_at,
    sessions.c.seen_at,
    sessions.c.expires_at,
    sessions.c.address,
    sessions.c.agent,
    *users.COLUMNS,
).join(users_table, users_table.c.id == sessions.c.user_id)


def _of_row(row: Any) -> Session:
    return Session(row.id, users.of_row(row), row.created_at, row.seen_at, row.expires_at, row.address, row.agent)


def add(connection: Connection, session: Session, digest: str) -> int:
    """Open one; `session.id` does not count. Returns its id."""
    row = {
        "digest": digest,
        "user_id": session.user.id,
        "created_at": session.created_at,
        "seen_at": session.seen_at,
        "expires_at": session.expires_at,
        "address": session.address,
        "agent": session.agent,
    }
    key = connection.execute(insert(sessions).values(row)).inserted_primary_key
    return int(key[0]) if key is not None else 0


def by_digest(connection: Connection, digest: str) -> Session | None:
    """The one with this token, be it expired or its user disabled."""
    row = connection.execute(_QUERY.where(sessions.c.digest == digest)).one_or_none()
    return None if row is None else _of_row(row)


def by_id(connection: Connection, session_id: int) -> Session | None:
    """The one with this id, be it expired or its user disabled."""
    if not 0 < session_id < LARGEST_ID:
        return None
    row = connection.execute(_QUERY.where(sessions.c.id == session_id)).one_or_none()
    return None if row is None else _of_row(row)


def of_user(connection: Connection, user_id: int, now_ms: int) -> list[Session]:
    """A user's, without the expired ones, last used first."""
    mine = _QUERY.where(sessions.c.user_id == user_id, sessions.c.expires_at > now_ms)
    return [_of_row(row) for row in connection.execute(mine.order_by(sessions.c.seen_at.desc(), sessions.c.id.desc()))]


def touch(connection: Connection, session_id: int, seen_at: int) -> None:
    """Remember when it was used; never moves back."""
    here = (sessions.c.id == session_id, sessions.c.seen_at < seen_at)
    connection.execute(update(sessions).where(*here).values(seen_at=seen_at))


def remove(connection: Connection, session_id: int) -> bool:
    """End one; whether it was there."""
    return connection.execute(delete(sessions).where(sessions.c.id == session_id)).rowcount == 1


def remove_of_user(connection: Connection, user_id: int, keep: int | None = None) -> int:
    """End a user's, but for the one with the id `keep`. Returns how many."""
    statement = delete(sessions).where(sessions.c.user_id == user_id)
    return connection.execute(statement if keep is None else statement.where(sessions.c.id != keep)).rowcount


def prune(connection: Connection, now_ms: int) -> None:
    """Delete those that have expired."""
    connection.execute(delete(sessions).where(sessions.c.expires_at <= now_ms))
