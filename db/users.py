"""Users: who may come in, and as what. Names are compared in lower case."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from db.rights import ROLES, Role
from db.schema import login_places, users

__all__ = ["COLUMNS", "NAME", "ROLES", "Credentials", "Role", "User"]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
NAME_RULE: Final = (
    "A user's name has 1 to 64 letters, digits and '.', '_', '@', '-', and begins with a letter or a digit."
)


@dataclass(frozen=True, slots=True)
class User:
    """A user. Times are UTC ms. `must_change`: the password was given to them and is to be replaced."""

    id: int
    name: str
    role: Role
    disabled: bool
    created_at: int
    password_at: int
    last_login_at: int | None
    must_change: bool


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user with what is stored of the password; `known_place`: they logged in rightly from there lately."""

    user: User
    stored: str
    known_place: bool

    def __repr__(self) -> str:
        return f"Credentials({self.user.name!r})"


#: What `of_row` reads, for joins.
COLUMNS: Final = (
    users.c.id.label("user_id"),
    users.c.name.label("user_name"),
    users.c.role,
    users.c.disabled,
    users.c.created_at.label("user_created_at"),
    users.c.password_at,
    users.c.last_login_at,
    users.c.must_change,
)


def of_row(row: Any) -> User:
    """The user in a row that has COLUMNS."""
    return User(
        row.user_id,
        row.user_name,
        row.role,
        bool(row.disabled),
        row.user_created_at,
        row.password_at,
        row.last_login_at,
        bool(row.must_change),
    )


def key_of(name: str) -> str:
    """A name as it is compared; one that breaks the rule is nobody's."""
    return name.lower() if NAME.fullmatch(name) else ""


def every(connection: Connection) -> list[User]:
    """All users, by name."""
    return [of_row(row) for row in connection.execute(select(*COLUMNS).order_by(users.c.name_key))]


def find(connection: Connection, name: str, *, lock: bool = False) -> User | None:
    """The user of this name, in any case; `lock` keeps others from changing them until the transaction ends."""
    query = select(*COLUMNS).where(users.c.name_key == key_of(name))
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else of_row(row)


def unchanged(connection: Connection, user: User) -> bool:
    """Whether they are still enabled and have the same password, and stay so until the transaction ends."""
    query = select(users.c.password_at, users.c.disabled).where(users.c.id == user.id)
    row = connection.execute(query.with_for_update(read=True)).one_or_none()
    return row is not None and not row.disabled and row.password_at == user.password_at


def credentials(connection: Connection, name: str, place: str, known_since: int) -> Credentials | None:
    """The user of this name for a login from `place`, with what the password is compared with."""
    here = (login_places.c.user_id == users.c.id) & (login_places.c.address == place)
    lately = login_places.c.last_at >= known_since
    query = (
        select(*COLUMNS, users.c.password, login_places.c.address)
        .select_from(users.outerjoin(login_places, here & lately))
        .where(users.c.name_key == key_of(name))
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Credentials(of_row(row), row.password, row.address is not None)


def stored_password(connection: Connection, user_id: int) -> str | None:
    """What is stored of a user's password."""
    return connection.scalar(select(users.c.password).where(users.c.id == user_id))


def add(connection: Connection, name: str, role: Role, stored: str, now_ms: int, *, must_change: bool) -> None:
    """Make a user. Raises RefusedRows if the name is taken."""
    row = {
        "name": name,
        "name_key": key_of(name),
        "role": role,
        "password": stored,
        "password_at": now_ms,
        "must_change": int(must_change),
        "disabled": 0,
        "created_at": now_ms,
    }
    connection.execute(insert(users).values(row))


def any_at_all(connection: Connection) -> bool:
    """Whether there is a user."""
    return connection.scalar(select(func.count()).select_from(users)) != 0


def enabled_admins(connection: Connection) -> list[int]:
    """Ids of the admins that are enabled; until the transaction ends nobody else changes them."""
    query = select(users.c.id).where(users.c.role == "admin", users.c.disabled == 0).order_by(users.c.id)
    return list(connection.scalars(query.with_for_update()))


def set_role(connection: Connection, user_id: int, role: Role) -> None:
    """Give a user a role."""
    connection.execute(update(users).where(users.c.id == user_id).values(role=role))


def set_disabled(connection: Connection, user_id: int, *, disabled: bool) -> None:
    """Disable or enable a user."""
    connection.execute(update(users).where(users.c.id == user_id).values(disabled=int(disabled)))


def set_password(connection: Connection, user: User, stored: str, now_ms: int, *, must_change: bool) -> None:
    """Give a user a password. Its time always rises: a login that was begun with the one before ends at that."""
    at = max(now_ms, user.password_at + 1)
    values = {"password": stored, "password_at": at, "must_change": int(must_change)}
    connection.execute(update(users).where(users.c.id == user.id).values(values))


def hash_anew(connection: Connection, user_id: int, before: str, stored: str) -> None:
    """Store the same password at another cost, unless it was changed meanwhile."""
    connection.execute(update(users).where(users.c.id == user_id, users.c.password == before).values(password=stored))


def note_login(connection: Connection, user_id: int, now_ms: int) -> None:
    """Remember when they logged in."""
    connection.execute(update(users).where(users.c.id == user_id).values(last_login_at=now_ms))
