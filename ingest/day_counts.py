"""Readings a device and UTC day: what two servers that hold the same devices, as a site and its cloud, can compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from db import days, devices
from db.engine import Connection
from db.packing import DAY_MS

#: How many whole days are counted, unless told otherwise.
DAYS: Final = 7


class CountsError(ValueError):
    """What should hold the counts of another server doesn't. The text says why."""


@dataclass(frozen=True, slots=True)
class DayCounts:
    """Of each device and day from `first` up to and without `end`, where there is any reading. Days are UTC dates."""

    first: date
    end: date
    counts: Mapping[tuple[str, date], int]


#: Nothing was counted.
NO_DAYS: Final = DayCounts(date(1970, 1, 1), date(1970, 1, 1), {})


@dataclass(frozen=True, slots=True)
class DayDifference:
    """A device's day of which `there` and `here` hold another number of readings."""

    device: str
    day: date
    there: int
    here: int


@dataclass(frozen=True, slots=True)
class DayComparison:
    """From `first` up to and without `end`, what both counted: so many device days, and those that differ."""

    first: date
    end: date
    compared: int
    differences: tuple[DayDifference, ...]

    @property
    def agrees(self) -> bool:
        """Whether both hold the same number of readings of each device on each day."""
        return not self.differences


class _Count(msgspec.Struct):
    device: str
    day: date
    readings: int


class _Days(msgspec.Struct):
    first: date
    end: date
    counts: list[_Count]


class _Document(msgspec.Struct):
    days: _Days


def read(connection: Connection, now: int, whole_days: int = DAYS) -> DayCounts:
    """The counts of the last whole days before `now` (UTC ms). Today is not over, so it is not among them.

    Ask with a connection in one snapshot. Raises DamagedChunk.
    """
    end = now // DAY_MS * DAY_MS
    first = max(0, end - whole_days * DAY_MS)
    counts: dict[tuple[str, date], int] = {}
    for series in devices.every_series(connection):
        found = days.days(connection, series.id, first, end)
        for ts, n in zip(found.ts.tolist(), found.n.tolist(), strict=True):
            key = series.device, _day(ts)
            counts[key] = counts.get(key, 0) + n
    return DayCounts(_day(first), _day(end), counts)


def _day(ts: int) -> date:
    return datetime.fromtimestamp(ts / 1000, UTC).date()


def document(counted: DayCounts) -> dict[str, object]:
    """As JSON holds it; `load` reads it."""
    rows = [
        {"device": device, "day": day.isoformat(), "readings": n} for (device, day), n in sorted(counted.counts.items())
    ]
    return {"first": counted.first.isoformat(), "end": counted.end.isoformat(), "counts": rows}


def load(text: str, site: str = "") -> DayCounts:
    """The counts in what `audit --json` printed. With `site` its devices are those of that site: `site1/kitchen`.

    Raises:
        CountsError: If there are none in it.
    """
    try:
        found = msgspec.json.decode(text, type=_Document).days
    except (msgspec.MsgspecError, ValueError) as error:
        raise CountsError(f"this is not what `audit --json` prints: {error}") from None
    prefix = f"{site}/" if site else ""
    return DayCounts(found.first, found.end, {(prefix + one.device, one.day): one.readings for one in found.counts})


def is_document(text: str) -> bool:
    """Whether this is meant to be what `audit --json` printed, and not a list with a message a line."""
    return text.lstrip().partition("\n")[0].startswith('{"ok":')


def compare(there: DayCounts, here: DayCounts, site: str = "") -> DayComparison:
    """What differs on the days that both counted: of all devices, or of those of a `site` alone."""
    first, end = max(there.first, here.first), min(there.end, here.end)
    prefix = f"{site}/" if site else ""
    keys = sorted(key for key in {*there.counts, *here.counts} if key[0].startswith(prefix) and first <= key[1] < end)
    return DayComparison(first, max(first, end), len(keys), tuple(_differing(keys, there, here)))


def _differing(keys: Iterable[tuple[str, date]], there: DayCounts, here: DayCounts) -> Iterable[DayDifference]:
    for key in keys:
        theirs, ours = there.counts.get(key, 0), here.counts.get(key, 0)
        if theirs != ours:
            yield DayDifference(*key, theirs, ours)


def last_day(counted: DayCounts | DayComparison) -> date:
    """The last of its days."""
    return counted.end - timedelta(days=1)
