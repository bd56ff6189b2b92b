"""Whether a device is there, in a word that can be believed. Pure.

`online` and `offline` are what a device says, or what its readings or its polls prove. Silence makes it `late`; it
makes it `offline` only where the device never sends a status, and so can't say it itself. Silence counts from when we
began to listen: a restart of ours, or of the broker, is no device's fault, and neither is that of the bridge between a
site and us. `unknown`: nothing says anything, or nothing can, because the bridge is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from db.bridges import Bridge
from db.polls import FORGOTTEN_AFTER_MS, Poll

Presence = Literal["online", "late", "offline", "unknown"]

#: So many usual intervals without a sign are late, and so many offline, where that may be said.
LATE_INTERVALS: Final = 3
OFFLINE_INTERVALS: Final = 10
#: Before this nothing is offline for its silence.
OFFLINE_AFTER_MS: Final = 300_000


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a device. Times are UTC ms.

    `online`: its last status, unless a reading that came later proved an `offline` wrong; None if it never told.
    `interval_ms`: the usual distance of its readings, None if unknown. `last_seen`: of its last message, 0 for none.
    `bridge`: that of its site, None where it has none.
    """

    online: bool | None
    status_at: int | None
    last_seen: int
    interval_ms: int | None
    poll: Poll | None = None
    bridge: Bridge | None = None


def judge(signs: Signs, now: int, listening_since: int | None, started_at: int = 0) -> Presence:
    """The word for it at `now`.

    `listening_since`: from when on what devices send reaches us, None while it does not. `started_at`: when this
    server began to answer polls.
    """
    poll = _poll(signs, now)
    if poll is not None and poll.alive(now, started_at):
        return "online"
    bridge = signs.bridge
    if bridge is not None and not bridge.up and signs.last_seen <= bridge.since:
        return "unknown"
    if signs.online is False or (poll is not None and signs.last_seen <= poll.until):
        return "offline"
    if listening_since is None:
        return _by_silence(signs, now, 0)
    silent_ms = now - max(signs.last_seen, listening_since, 0 if bridge is None else bridge.since)
    return _by_silence(signs, now, silent_ms)


def _by_silence(signs: Signs, now: int, silent_ms: int) -> Presence:
    if signs.interval_ms is None:
        fresh = signs.last_seen > 0 and now - signs.last_seen <= OFFLINE_AFTER_MS
        return "online" if signs.online or fresh else "unknown"
    if signs.online is None and silent_ms > max(OFFLINE_INTERVALS * signs.interval_ms, OFFLINE_AFTER_MS):
        return "offline"
    if silent_ms > LATE_INTERVALS * signs.interval_ms:
        return "late"
    if signs.online or now - signs.last_seen <= LATE_INTERVALS * signs.interval_ms:
        return "online"
    return "unknown"  # silent for longer than we have listened


def _poll(signs: Signs, now: int) -> Poll | None:
    """Its last poll, unless it has told its status since, by MQTT, or the poll is long past."""
    poll = signs.poll
    if poll is None or poll.polled_at <= max(signs.status_at or 0, now - FORGOTTEN_AFTER_MS):
        return None
    return poll
