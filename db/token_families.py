"""Logins at the API: a row for all the tokens that came of one, with the id of the refresh token that is valid now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from db import users
from db.schema import token_families
from db.schema import users as users_table
from db.users import User


@dataclass(frozen=True, slots=True)
class Family:
    """A login at the API. Times are UTC ms; `jti` is the id of the refresh token that is valid now."""

    id: str = field(repr=False)
    user: User
    jti: str = field(repr=False)
    created_at: int
    expires_at: int
    address: str


def add(connection: Connection, family: Family) -> None:
    """Store a new one."""
    row = {
        "id": family.id,
        "user_id": family.user.id,
        "jti": family.jti,
        "created_at": family.created_at,
        "expires_at": family.expires_at,
        "address": family.address,
    }
    connection.execute(insert(token_families).values(row))


def lock(connection: Connection, family_id: str) -> None:
    """Keep others from changing it until the transaction ends."""
    connection.execute(select(token_families.c.id).where(token_families.c.id == family_id).with_for_update())


def find(connection: Connection, family_id: str) -> Family | None:
    """The one with this id, be it expired or its user disabled."""
    columns = token_families.c
    query = (
        select(columns.id, columns.jti, columns.created_at, columns.expires_at, columns.address, *users.COLUMNS)
        .join(users_table, users_table.c.id == columns.user_id)
        .where(columns.id == family_id)
    )
    row: Any = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Family(row.id, users.of_row(row), row.jti, row.created_at, row.expires_at, row.address)


def renew(connection: Connection, family_id: str, jti: str, expires_at: int) -> None:
    """Let another refresh token be the valid one."""
    here = token_families.c.id == family_id
    connection.execute(update(token_families).where(here).values(jti=jti, expires_at=expires_at))


def remove(connection: Connection, family_id: str) -> bool:
    """End one; whether it was there."""
    return connection.execute(delete(token_families).where(token_families.c.id == family_id)).rowcount == 1


def remove_of_user(connection: Connection, user_id: int) -> int:
    """End a user's. Returns how many."""
    return connection.execute(delete(token_families).where(token_families.c.user_id == user_id)).rowcount


def prune(connection: Connection, now_ms: int) -> None:
    """Delete those that have expired."""
    connection.execute(delete(token_families).where(token_families.c.expires_at <= now_ms))
