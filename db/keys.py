"""API keys, with which a user's scripts come in, in the user's role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, or_, select, update

from db import users
from db.schema import LARGEST_ID, api_keys
from db.schema import users as users_table
from db.users import User


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key and its user. Times are UTC ms; `hint` is its first characters."""

    id: int
    user: User
    name: str
    hint: str
    created_at: int
    used_at: int | None


_QUERY: Select[Any] = select(
    api_keys.c.id, api_keys.c.name, api_keys.c.hint, api_keys.c.created_at, api_keys.c.used_at, *users.COLUMNS
).join(users_table, users_table.c.id == api_keys.c.user_id)


def _of_row(row: Any) -> ApiKey:
    return ApiKey(row.id, users.of_row(row), row.name, row.hint, row.created_at, row.used_at)


def add(connection: Connection, key: ApiKey, digest: str) -> int:
    """Store one; `key.id` does not count. Returns its id."""
    row = {
        "digest": digest,
        "user_id": key.user.id,
        "name": key.name,
        "hint": key.hint,
        "created_at": key.created_at,
        "used_at": key.used_at,
    }
    made = connection.execute(insert(api_keys).values(row)).inserted_primary_key
    return int(made[0]) if made is not None else 0


def by_digest(connection: Connection, digest: str) -> ApiKey | None:
    """The key of this token, be its user disabled or not."""
    row = connection.execute(_QUERY.where(api_keys.c.digest == digest)).one_or_none()
    return None if row is None else _of_row(row)


def by_id(connection: Connection, key_id: int) -> ApiKey | None:
    """The key with this id."""
    if not 0 < key_id < LARGEST_ID:
        return None
    row = connection.execute(_QUERY.where(api_keys.c.id == key_id)).one_or_none()
    return None if row is None else _of_row(row)


def of_user(connection: Connection, user_id: int) -> list[ApiKey]:
    """A user's keys, oldest first."""
    return [_of_row(row) for row in connection.execute(_QUERY.where(users_table.c.id == user_id).order_by("id"))]


def touch(connection: Connection, key_id: int, used_at: int) -> None:
    """Remember when it was used; never moves back."""
    older = or_(api_keys.c.used_at.is_(None), api_keys.c.used_at < used_at)
    connection.execute(update(api_keys).where(api_keys.c.id == key_id, older).values(used_at=used_at))


def remove(connection: Connection, key_id: int) -> bool:
    """Delete one; whether it was there."""
    return connection.execute(delete(api_keys).where(api_keys.c.id == key_id)).rowcount == 1
