"""Device tokens, with which a board sends over HTTP, as itself alone. A device has one at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, or_, select, update

from db.schema import device_tokens, devices


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """A device's token. Times are UTC ms; `hint` is its first characters."""

    device: str
    hint: str
    created_at: int
    used_at: int | None
    created_by: str


_QUERY: Select[Any] = select(
    devices.c.name,
    device_tokens.c.hint,
    device_tokens.c.created_at,
    device_tokens.c.used_at,
    device_tokens.c.created_by,
).join(devices, devices.c.id == device_tokens.c.device_id)


def replace(connection: Connection, device_id: int, token: DeviceToken, digest: str) -> None:
    """Give a device this token instead of the one it may have."""
    remove(connection, device_id)
    row = {
        "device_id": device_id,
        "digest": digest,
        "hint": token.hint,
        "created_at": token.created_at,
        "used_at": token.used_at,
        "created_by": token.created_by,
    }
    connection.execute(insert(device_tokens).values(row))


def by_digest(connection: Connection, digest: str) -> DeviceToken | None:
    """Whose token this is."""
    row = connection.execute(_QUERY.where(device_tokens.c.digest == digest)).one_or_none()
    return None if row is None else DeviceToken(*row)


def every(connection: Connection) -> list[DeviceToken]:
    """All of them, by device."""
    return [DeviceToken(*row) for row in connection.execute(_QUERY.order_by(devices.c.name))]


def touch(connection: Connection, digest: str, used_at: int) -> None:
    """Remember when it was used; never moves back."""
    older = or_(device_tokens.c.used_at.is_(None), device_tokens.c.used_at < used_at)
    connection.execute(update(device_tokens).where(device_tokens.c.digest == digest, older).values(used_at=used_at))


def remove(connection: Connection, device_id: int) -> bool:
    """Delete a device's token; whether it had one."""
    return connection.execute(delete(device_tokens).where(device_tokens.c.device_id == device_id)).rowcount == 1
