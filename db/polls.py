"""Polling devices: boards without MQTT, which ask for their commands by HTTP. While one asks, it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from db.schema import device_polls, devices
from db.statements import upsert

#: How long after its request a device may ask again and is still there: three of its usual pauses, within these.
_SHORTEST_GRACE_MS: Final = 10_000
_LONGEST_GRACE_MS: Final = 300_000
_PAUSES: Final = 3
#: A device whose last request is older than this is no polling device any more.
FORGOTTEN_AFTER_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Poll:
    """A device's last request for commands. UTC ms; `until`: when it is answered at the latest.

    `interval_ms`: between the end of the one before and this, None if it is the first.
    """

    device: str
    polled_at: int
    until: int
    interval_ms: int | None

    @property
    def grace_ms(self) -> int:
        """How long after a request the next may come."""
        return min(max(_PAUSES * (self.interval_ms or 0), _SHORTEST_GRACE_MS), _LONGEST_GRACE_MS)

    def alive(self, now: int, started_at: int = 0) -> bool:
        """Whether it is there at `now`. `started_at`: before that we answered no request. UTC ms."""
        return now <= max(self.until, started_at) + self.grace_ms


def note(connection: Connection, device: str, at: int, until: int) -> None:
    """A device asks for its commands at `at` and is answered by `until` (UTC ms): noted before it is, and once it is.

    Noted again with the same `at` and the end it had, if it was answered sooner.
    """
    row = connection.execute(
        select(devices.c.id, device_polls.c.polled_at, device_polls.c.until, device_polls.c.interval_ms)
        .join(device_polls, device_polls.c.device_id == devices.c.id, isouter=True)
        .where(devices.c.name == device)
    ).one_or_none()
    if row is None:
        return
    interval = row.interval_ms
    if row.polled_at is not None and at > row.polled_at:
        interval = max(0, at - row.until)
    new = {"device_id": row.id, "polled_at": at, "until": until, "interval_ms": interval}
    upsert(connection, device_polls, [new], ["polled_at", "until", "interval_ms"])


def every(connection: Connection) -> list[Poll]:
    """The last request of each polling device, by device."""
    columns = (devices.c.name, device_polls.c.polled_at, device_polls.c.until, device_polls.c.interval_ms)
    query = select(*columns).join(devices, devices.c.id == device_polls.c.device_id).order_by(devices.c.name)
    return [Poll(*row) for row in connection.execute(query)]
