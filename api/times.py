"""Times as they come in: ISO 8601, UTC milliseconds, `now`, or back from now such as `-7d`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

ALLOWED: Final = (
    "allowed: ISO 8601 such as 2026-11-23T10:00:00Z, UTC milliseconds, now, or back from now such as -15m, -1h, -7d"
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_BACK: Final = re.compile(r"-([0-9]{1,12})([smhdw])")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,16}")
#: A "+" that nobody escaped arrives as a space: 2026-11-23T10:00:00 01:00.
_LOST_PLUS: Final = re.compile(r"(T[0-9:.,]+) ([0-9]{2}(?::?[0-9]{2})?)")
_EARLIEST: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MS
_LATEST: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MS


def parse_time(text: str, now: int, zone: tzinfo) -> int:
    """The time in UTC ms that `text` names.

    Args:
        text: As a person or a script writes it.
        now: UTC ms that `now` and `-1h` mean.
        zone: Of an ISO time that names none.

    Raises:
        ValueError: With what is allowed.
    """
    text = text.strip()
    if text == "now":
        return now
    if back := _BACK.fullmatch(text):
        ms = now - int(back[1]) * _UNIT_MS[back[2]]
    elif _MILLISECONDS.fullmatch(text):
        ms = int(text)
    else:
        ms = _from_iso(text, zone)
    if not _EARLIEST <= ms <= _LATEST:
        raise ValueError(f"is outside the years 1 to 9999; {ALLOWED}")
    return ms


def parse_zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises ValueError with what is allowed."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("is no time zone this machine knows; allowed: a name such as Europe/Berlin or UTC") from error


def _from_iso(text: str, zone: tzinfo) -> int:
    try:
        moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
    except ValueError as error:
        raise ValueError(f"is no time; {ALLOWED}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return (moment - _EPOCH) // _MS
