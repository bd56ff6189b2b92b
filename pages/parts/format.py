"""Numbers, ages, times and sizes in words. Pure; the same rules as live_cards/format.js, tested by the same cases."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

MINUS: Final = "\N{MINUS SIGN}"
#: A value axis' label, in Vega's words: without the zeros that it writes where all readings are the same, 612.000000.
TICK_LABEL: Final = r"replace(datum.label, regexp('\\.0{4,}$'), '')"
_HOUR_MS: Final = 3_600_000
_SUPERSCRIPT: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, decimals: int) -> str:
    """A number with so many decimals, thousands grouped, a real minus sign; powers of ten where that would not fit."""
    size = abs(value)
    if size >= 1e9 or 0 < size < 0.001:
        digits, exponent = f"{size:.2e}".split("e")
        raised = str(int(exponent)).translate(_SUPERSCRIPT)
        return f"{MINUS if value < 0 else ''}{digits} \N{MULTIPLICATION SIGN} 10{raised}"
    text = f"{size:,.{decimals}f}"
    return f"{MINUS}{text}" if value < 0 and re.search("[1-9]", text) else text


def decimals_for(values: Sequence[float]) -> int:
    """How many decimals the sensor deserves: as many as it sends, at most three, fewer where the values are large."""
    if not values:
        return 1
    for decimals in range(4):
        if all(math.isclose(round(value, decimals), value, rel_tol=1e-9, abs_tol=1e-9) for value in values):
            return decimals
    size = max(abs(value) for value in values)
    if size >= 1000:
        return 0
    if size >= 100:
        return 1
    return 2 if size >= 1 else 3


def count(value: int) -> str:
    """A whole number, thousands grouped: 41,902."""
    return number(value, 0) if abs(value) < 10**9 else f"{value:,}"


def things(value: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun: "1 message", "1,204 messages"."""
    return f"{count(value)} {singular if value == 1 else plural or singular + 's'}"


def span(ms: float) -> str:
    """A length of time in its largest fitting unit: "2 ms", "5 s", "3 min", "2 h", "4 days"."""
    seconds = max(0.0, ms) / 1000
    if seconds < 1:
        return f"{int(seconds * 1000)} ms"
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h" if seconds < 172_800 else f"{int(seconds // 86_400)} days"


def age(ts: int, now: int, zone: tzinfo) -> str:
    """How long ago, up to an hour in words, then the clock, then the date. Times are UTC ms."""
    if now - ts < 1000:
        return "just now"
    return f"{span(now - ts)} ago" if now - ts < _HOUR_MS else f"at {moment(ts, now, zone)}"


def moment(ts: int, now: int, zone: tzinfo) -> str:
    """Clock and date as needed: "14:02" today, "22 Nov, 14:02" this year, "22 Nov 2025, 14:02" before."""
    then, today = at(ts, zone), at(now, zone)
    clock = f"{then:%H:%M}"
    if then.year != today.year:
        return f"{then.day} {then:%b %Y}, {clock}"
    return clock if then.date() == today.date() else f"{then.day} {then:%b}, {clock}"


def exact(ts: int, zone: tzinfo) -> str:
    """The whole time with its zone, to show on hover: "23 Nov 2026, 14:02:11 (Europe/Berlin)"."""
    then = at(ts, zone)
    return f"{then.day} {then:%b %Y, %H:%M:%S} ({zone})"


def at(ts: int, zone: tzinfo) -> datetime:
    """UTC ms as a time in that zone."""
    return datetime.fromtimestamp(ts / 1000, UTC).astimezone(zone)


def size(count_of_bytes: int) -> str:
    """A size in bytes, decimal units: "512 B", "1.2 kB", "3.4 MB"."""
    if count_of_bytes < 1000:
        return f"{count_of_bytes} B"
    for unit, scale in (("kB", 1e3), ("MB", 1e6)):
        if count_of_bytes < scale * 999.95:
            return f"{count_of_bytes / scale:.1f} {unit}"
    return f"{count_of_bytes / 1e9:.1f} GB"
