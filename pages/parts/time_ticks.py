"""Where a time axis has its marks and what stands at them, by the clocks and the calendar of a zone. Pure.

Vega knows UTC and the browser's zone and no other. So our axes count UTC ms, and are told where their marks are: an
hour is as long as any other, also where the clocks change, and a time under the pointer is what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

from pages.parts.format import at
from pages.parts.periods import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Period, wall

#: Marks on an axis at most; where they would lie on each other, Vega leaves some out.
MOST: Final = 9

_SHORT_STEPS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(SECOND_MS * seconds for seconds in (1, 2, 5, 10, 15, 30)),
    *(MINUTE_MS * minutes for minutes in (1, 2, 5, 10, 15, 30)),
)
_HOUR_STEPS: Final = (1, 2, 3, 6, 12)
_DAY_STEPS: Final = (1, 2, 7, 14)
_MONTH_STEPS: Final = (1, 2, 3, 6)
_YEAR_STEPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)
_MONTH_MS: Final = 30.4 * DAY_MS
_YEAR_MS: Final = 365.25 * DAY_MS


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark at `ts` (UTC ms)."""

    ts: int
    label: str


def ticks(period: Period, zone: tzinfo, most: int = MOST) -> list[Tick]:
    """Marks at round times of the zone within the period, `most` of them at most."""
    least = period.span / most
    for step in _SHORT_STEPS:
        if step >= least:
            return list(_short(period, zone, step))
    for hours in _HOUR_STEPS:
        if hours * HOUR_MS >= least:
            return list(_hours(period, zone, hours))
    for days in _DAY_STEPS:
        if days * DAY_MS >= least:
            return list(_days(period, zone, days))
    for months in _MONTH_STEPS:
        if months * _MONTH_MS >= least:
            return list(_months(period, zone, months))
    years = next((years for years in _YEAR_STEPS if years * _YEAR_MS >= least), _YEAR_STEPS[-1])
    return list(_years(period, zone, years))


def axis_zone(period: Period, zone: tzinfo) -> str:
    """What stands under a time axis: the zone, and the day if there is but one."""
    first, last = at(period.start, zone), at(period.end - 1, zone)
    return f"{first.day} {first:%b %Y}, {zone}" if first.date() == last.date() else str(zone)


def _short(period: Period, zone: tzinfo, step: int) -> Iterator[Tick]:
    offset = at(period.start, zone).utcoffset() or timedelta()
    shift = round(offset.total_seconds() * 1000)
    first = -(-(period.start + shift) // step) * step - shift
    for ts in range(first, period.end, step):
        then = at(ts, zone)
        if step < SECOND_MS:
            label = f"{then:%H:%M:%S}.{ts % 1000:03d}"
        else:
            label = f"{then:%H:%M:%S}" if step < MINUTE_MS else f"{then:%H:%M}"
        yield Tick(ts, _day(then) if step >= MINUTE_MS and then.time() == time() else label)


def _hours(period: Period, zone: tzinfo, hours: int) -> Iterator[Tick]:
    for day in _dates(period, zone, 1):
        for hour in range(0, 24, hours):
            then = datetime.combine(day, time(hour))
            ts = wall(then, zone)
            # An hour that the clocks leave out has no mark.
            if period.start <= ts < period.end and at(ts, zone).hour == hour:
                yield Tick(ts, f"{then:%H:%M}" if hour else _day(then))


def _days(period: Period, zone: tzinfo, days: int) -> Iterator[Tick]:
    several_years = at(period.start, zone).year != at(period.end - 1, zone).year
    for day in _dates(period, zone, days):
        yield from _at_midnight(period, zone, day, f"{_day(day)} {day.year}" if several_years else _day(day))


def _months(period: Period, zone: tzinfo, months: int) -> Iterator[Tick]:
    first, last = at(period.start, zone), at(period.end, zone)
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        if number % months == 0:
            day = date(number // 12, number % 12 + 1, 1)
            yield from _at_midnight(period, zone, day, f"{day:%b %Y}")


def _years(period: Period, zone: tzinfo, years: int) -> Iterator[Tick]:
    first, last = at(period.start, zone).year, at(period.end, zone).year
    for year in range(max(1, -(-first // years) * years), last + 1, years):
        yield from _at_midnight(period, zone, date(year, 1, 1), str(year))


def _at_midnight(period: Period, zone: tzinfo, day: date, label: str) -> Iterator[Tick]:
    ts = wall(datetime.combine(day, time()), zone)
    if period.start <= ts < period.end:
        yield Tick(ts, label)


def _dates(period: Period, zone: tzinfo, days: int) -> Iterator[date]:
    """Every so-manyth day, Mondays where they are weeks."""
    first, last = at(period.start, zone).date().toordinal(), at(period.end, zone).date().toordinal()
    for ordinal in range(-(-(first - 1) // days) * days + 1, last + 1, days):
        yield date.fromordinal(max(1, ordinal))


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"
