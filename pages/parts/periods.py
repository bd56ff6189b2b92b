"""Stretches of time to look at: the ready-made ones, the one before, the one after. Pure; days are those of a zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from pages.parts.format import at, moment

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

#: A margin of some days within the years 1 to 9999, so that a time may be told in any zone.
EARLIEST: Final = -62_135_000_000_000
LATEST: Final = 253_402_000_000_000

TODAY: Final = "today"
EVERYTHING: Final = "all"
#: Ready-made periods that end now, by the name that stands in the address.
LENGTHS: Final[Mapping[str, int]] = {
    "15m": 15 * MINUTE_MS,
    "1h": HOUR_MS,
    "6h": 6 * HOUR_MS,
    "24h": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
    "1y": 365 * DAY_MS,
}
#: What is offered, in this order, with the words on its button.
PRESETS: Final[Mapping[str, str]] = {
    "15m": "15 min",
    "1h": "1 h",
    "6h": "6 h",
    TODAY: "Today",
    "24h": "24 h",
    "7d": "7 days",
    "30d": "30 days",
    "1y": "1 year",
    EVERYTHING: "Everything",
}
#: What a period that ends now is called where it is shown, since its ends move.
MOVING: Final[Mapping[str, str]] = {
    "15m": "Last 15 minutes",
    "1h": "Last hour",
    "6h": "Last 6 hours",
    TODAY: "Today",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "1y": "Last year",
    EVERYTHING: "Everything",
}
#: A period that ends now moves on in steps of this part of its length, so that what was read is good for a while.
_GRAINS: Final = 1_000
#: Who looks sees no more, and a database need not be asked more often; and new readings are to be seen before long.
_QUICKEST_S: Final = 5.0
_SLOWEST_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` to `end`, UTC ms, the end excluded."""

    start: int
    end: int

    @property
    def span(self) -> int:
        """Its length in ms."""
        return self.end - self.start


def preset(name: str, now: int, extent: Period | None, zone: tzinfo) -> Period:
    """The ready-made period of that name as it is at `now` (UTC ms).

    `extent`: from the first to the last reading there is, None if there is none. Raises KeyError for another name.
    """
    if name == TODAY:
        day = at(now, zone).date()
        return Period(_midnight(datetime.combine(day, time()), zone), _midnight(_next_day(now, 1, zone), zone))
    if name == EVERYTHING:
        return extent or preset("24h", now, None, zone)
    length = LENGTHS[name]
    grain = max(SECOND_MS, length // _GRAINS)
    end = -(-now // grain) * grain
    return Period(end - length, end)


def fitting(age_ms: int) -> str | None:
    """The name of the shortest period that ends now and holds all of the last `age_ms`; None if a day does not."""
    return next((name for name, length in LENGTHS.items() if age_ms <= length <= DAY_MS), None)


def pace_s(period: Period) -> float:
    """After how many seconds a period that ends now has moved by what can be seen: about a pixel of a chart."""
    return min(max(_QUICKEST_S, period.span / _GRAINS / 1_000), _SLOWEST_S)


def moved(period: Period, steps: int, zone: tzinfo) -> Period:
    """The period so many times its own length later; earlier, if negative.

    Whole days stay whole days of the zone, of 23 or 25 hours where the clocks change.
    """
    days = whole_days(period, zone)
    if days:
        start = _midnight(_next_day(period.start, steps * days, zone), zone)
        return within_limits(Period(start, _midnight(_next_day(period.end, steps * days, zone), zone)))
    return within_limits(Period(period.start + steps * period.span, period.end + steps * period.span))


def whole_days(period: Period, zone: tzinfo) -> int:
    """How many days of the zone it is, 0 if it begins or ends within one."""
    first, last = at(period.start, zone), at(period.end, zone)
    if first.time() != time() or last.time() != time():
        return 0
    return (last.date() - first.date()).days


def widened(period: Period) -> Period:
    """Twice as long, about the same middle."""
    return within_limits(Period(period.start - period.span // 2, period.end + period.span // 2))


def within_limits(period: Period) -> Period:
    """The part of it that a calendar knows."""
    start = min(max(period.start, EARLIEST), LATEST - 1)
    return Period(start, max(min(period.end, LATEST), start + 1))


def period_words(period: Period, now: int, zone: tzinfo) -> str:
    """In words: "24 Nov, 10:00 to 25 Nov, 10:00", whole days by their dates alone, a short one with its seconds."""
    days = whole_days(period, zone)
    if days:
        first, last = at(period.start, zone), at(period.end, zone) - timedelta(hours=12)
        return _date(first) if days == 1 else f"{_date(first)} to {_date(last)}"
    if period.span < 10 * MINUTE_MS:
        first = at(period.start, zone)
        return f"{_date(first)}, {_clock(period.start, zone)} to {_clock(period.end, zone)}"
    if at(period.start, zone).date() == at(period.end, zone).date():
        return f"{moment(period.start, now, zone)} to {at(period.end, zone):%H:%M}"
    return f"{_dated(period.start, now, zone)} to {_dated(period.end, now, zone)}"


def iso(ts: int) -> str:
    """UTC ms as it stands in an address: 2026-11-23T10:00:00Z."""
    then = at(ts, UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (f".{ts % 1000:03d}Z" if ts % 1000 else "Z")


def wall(moment_there: datetime, zone: tzinfo) -> int:
    """UTC ms of a clock's time in the zone; where it is there twice, the first."""
    return round(moment_there.replace(tzinfo=zone, fold=0).timestamp() * 1000)


def _date(then: datetime) -> str:
    return f"{then.day} {then:%b %Y}"


def _dated(ts: int, now: int, zone: tzinfo) -> str:
    """The same as `moment`, also with its date if it is today's."""
    then = at(ts, zone)
    words = moment(ts, now, zone)
    return words if "," in words else f"{then.day} {then:%b}, {words}"


def _clock(ts: int, zone: tzinfo) -> str:
    then = at(ts, zone)
    return f"{then:%H:%M:%S}" + (f".{ts % 1000:03d}" if ts % 1000 else "")


def _next_day(ts: int, days: int, zone: tzinfo) -> datetime:
    """Midnight of the day so many after that of `ts`, without a zone; the calendar's first or last if it has none."""
    try:
        return datetime.combine(at(ts, zone).date() + timedelta(days=days), time())
    except OverflowError:
        return datetime.combine(at(LATEST if days > 0 else EARLIEST, UTC).date(), time())


def _midnight(day: datetime, zone: tzinfo) -> int:
    return wall(day, zone)
