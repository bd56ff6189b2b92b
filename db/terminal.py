"""How times are typed at a terminal, and how times and other people's words are shown there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_BACK: Final = re.compile(r"-(\d{1,6})([smhdw])")
_MILLISECONDS: Final = re.compile(r"\d{1,16}")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, now: int) -> int:
    """UTC ms of an ISO 8601 time (UTC where it names no zone), of UTC ms, or of one back from `now` such as `-7d`.

    Raises:
        ValueError: With what is allowed.
    """
    if back := _BACK.fullmatch(text):
        return now - timedelta(**{_UNITS[back[2]]: int(back[1])}) // timedelta(milliseconds=1)
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time; allowed: 2026-11-23T10:00:00Z, UTC milliseconds, or back from now such as -7d"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def shown(text: str, limit: int = 200) -> str:
    """The text with what a terminal might act upon written as its code."""
    cut = "\N{HORIZONTAL ELLIPSIS}" if len(text) > limit else ""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text[:limit]) + cut


def clock(ms: int) -> str:
    """UTC ms as ISO 8601 to the second; a year that Python can't show as the bare number."""
    try:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
