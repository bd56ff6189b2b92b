"""A range of a series as a chart wants it: as many points as it is wide, no peak and no gap hidden, at once.

It is answered from the coarsest of raw, minutes, hours and days that loses nothing at that width. Every bucket that
touches the range is there as a whole, so that the same bucket always says the same. Times are UTC ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final, Literal

import numpy as np
import pandas as pd

from db import devices, history, zones
from db.days import days
from db.engine import Connection
from db.gaps import Gap, between_buckets, between_points, segments
from db.packing import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Buckets,
    Floats,
    Ints,
    Points,
    fold,
    joined_buckets,
    joined_points,
    no_buckets,
    refold,
    refold_evenly,
)
from db.statistics import Statistics, statistics

__all__ = [
    "MOST_ASKED",
    "MOST_POINTS",
    "BadRange",
    "Gap",
    "Range",
    "Resolution",
    "Statistics",
    "means",
    "pieces",
    "read",
    "statistics",
]

Resolution = Literal["raw", "minutes", "hours", "days"]

#: Points that may be asked for.
MOST_ASKED: Final = 20_000
#: Points in one answer where the resolution was asked for.
MOST_POINTS: Final = 100_000
#: Readings that are folded for one answer; where there are more, minutes have to do.
_MOST_FOLDED: Final = 2_000_000
#: Buckets are read a year at a time.
_PIECE_MS: Final = 366 * DAY_MS
#: Widths of a bucket below a day, so that each begins where a clock's face has a mark.
_WIDTHS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(seconds * 1_000 for seconds in (1, 2, 5, 10, 15, 20, 30)),
    *(minutes * MINUTE_MS for minutes in (1, 2, 3, 5, 10, 15, 20, 30)),
    *(hours * HOUR_MS for hours in (1, 2, 3, 4, 6, 8, 12)),
)

_UNITS: Final[dict[Resolution, int]] = {"minutes": MINUTE_MS, "hours": HOUR_MS, "days": DAY_MS}

Source = Callable[[Connection, int, int, int], Buckets]


class BadRange(ValueError):
    """This can't be read: `field` is what is wrong, the text says why and what is allowed."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


@dataclass(frozen=True, slots=True)
class Range:
    """A series in [start, end).

    Attributes:
        resolution: What it was read from.
        bucket_ms: Width of a point; None where each is a single reading. Days of the clocks' change are an hour
            shorter or longer.
        frame: Columns ts int64 (a bucket's start, UTC ms), n int64, mean, min, max float64, segment int64, which rises
            at each gap; by ts.
        gaps: As far as they can be seen in that resolution.
    """

    series: devices.Series
    resolution: Resolution
    bucket_ms: int | None
    start: int
    end: int
    frame: pd.DataFrame
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read, as points, and their gaps."""

    resolution: Resolution
    bucket_ms: int | None
    buckets: Buckets
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A series from where it has readings in the range to where it has no more."""

    connection: Connection
    series_id: int
    start: int
    end: int
    zone: tzinfo


def read(
    connection: Connection,
    series: devices.Series,
    start: int,
    end: int,
    points: int = 1000,
    resolution: Resolution | None = None,
    zone: tzinfo = UTC,
) -> Range:
    """A series in [start, end), in at most `points` parts of it, or in all that a given resolution has.

    Args:
        connection: In one snapshot (`db.engine.snapshot`).
        series: Which.
        start: UTC ms.
        end: UTC ms, not included.
        points: In how many parts, where no `resolution` is given; one more where the ends of the range lie within
            buckets. A range that has no more readings comes as single readings.
        resolution: One point for each reading, minute, hour or day.
        zone: Whose days they are.

    Raises:
        BadRange: With the field that is wrong: `from`, `to` or `points`.
    """
    check(start, end, points)
    extent = history.extent(connection, series.id)
    if extent is None or extent[1] < start or extent[0] >= end:
        found = _Found(resolution or "raw", _UNITS.get(resolution or "raw"), no_buckets(), ())
    else:
        asked = _Asked(connection, series.id, max(start, extent[0]), min(end, extent[1] + 1), zone)
        least_ms = -(-(end - start) // points)
        found = _best(asked, points, least_ms) if resolution is None else _all(asked, resolution)
    return Range(series, found.resolution, found.bucket_ms, start, end, _frame(found), found.gaps)


def check(start: int, end: int, points: int = 1) -> None:
    """Raise BadRange unless a range like this can be asked for."""
    if not 1 <= points <= MOST_ASKED:
        raise BadRange("points", f"is {points}; allowed: 1 to {MOST_ASKED:,}")
    for field, ts in (("from", start), ("to", end)):
        if not zones.EARLIEST <= ts <= zones.LATEST:
            raise BadRange(field, "is outside the years 1 to 9999")
    if start >= end:
        raise BadRange("from", "is not before to")


def _best(asked: _Asked, points: int, least_ms: int) -> _Found:
    """The coarsest source whose buckets are no wider than a point has to be; raw where there are few readings."""
    width = _width(least_ms)
    found = _from_raw(asked, points, width) if width < MINUTE_MS else None
    if found is None:
        found = _wide(asked, max(width, MINUTE_MS))
        if int(found.buckets.n.sum()) <= points:
            found = _single(history.raw(asked.connection, asked.series_id, asked.start, asked.end))
    if found.resolution in ("raw", "minutes") and _begins_gone(asked, found.buckets.ts):
        return _wide(asked, max(width, HOUR_MS))
    return found


def _begins_gone(asked: _Asked, ts: Ints) -> bool:
    """Whether there were readings before the first of these of which retention has left the hours alone."""
    first = int(ts[0]) if len(ts) else asked.end
    if len(ts) and first - asked.start < HOUR_MS:
        return False
    head = asked.connection, asked.series_id, asked.start // HOUR_MS * HOUR_MS, -(-first // HOUR_MS) * HOUR_MS
    return int(history.hours(*head).n.sum()) > len(history.raw(*head))


def _width(least_ms: int) -> int:
    """The narrowest width of a bucket that is at least this."""
    return next((width for width in _WIDTHS if width >= least_ms), -(-least_ms // DAY_MS) * DAY_MS)


def _from_raw(asked: _Asked, points: int, width: int) -> _Found | None:
    """Single readings, or buckets of less than a minute. None where there are too many readings to fold."""
    parts: list[Points] = []
    count = 0
    for part in history.raw_pieces(asked.connection, asked.series_id, asked.start, asked.end):
        count += len(part)
        if count > _MOST_FOLDED:
            return None
        parts.append(part)
    whole = joined_points(parts)
    if count <= points:
        return _single(whole)
    return _Found("raw", width, fold(whole.ts, whole.value, width), between_points(whole.ts))


def _single(points: Points) -> _Found:
    return _Found("raw", None, _as_buckets(points), between_points(points.ts))


def _as_buckets(points: Points) -> Buckets:
    return Buckets(points.ts, np.ones(len(points), np.int64), points.value, points.value, points.value)


def _wide(asked: _Asked, width: int) -> _Found:
    """Buckets of a minute and more."""
    if width < HOUR_MS:
        return _even(asked, "minutes", width)
    if width > DAY_MS:
        return _many_days(asked, width)
    if width == DAY_MS and zones.is_even(asked.zone, asked.start - width, asked.end + width, HOUR_MS):
        return _days(asked)
    return _even(asked, "hours", width)


def _many_days(asked: _Asked, width: int) -> _Found:
    """Buckets of several days, which are UTC's: at that width an hour or two is nothing, and ten years come at once."""
    first, last = asked.start // width * width, -(-asked.end // width) * width
    narrow = days(asked.connection, asked.series_id, first, last)
    return _Found("days", width, refold_evenly(narrow, width), between_buckets(narrow, DAY_MS))


def _even(asked: _Asked, resolution: Literal["minutes", "hours"], width: int) -> _Found:
    """Buckets of one width, which begin at the zone's midnight as it was at first, if that is on a whole unit."""
    unit, source = (MINUTE_MS, history.minutes) if resolution == "minutes" else (HOUR_MS, history.hours)
    shift = zones.offset(asked.zone, asked.start) // unit * unit
    first = (asked.start + shift) // width * width - shift
    last = -(-(asked.end + shift) // width) * width - shift
    narrow = source(asked.connection, asked.series_id, first, last)
    wide = refold(narrow, np.arange(first, last + 1, width, dtype=np.int64)) if width > unit else narrow
    return _Found(resolution, width, wide, between_buckets(narrow, unit))


def _days(asked: _Asked) -> _Found:
    """Days of the zone, from hours where they begin on whole ones."""
    edges = zones.midnights(asked.zone, asked.start, asked.end)
    unit, source = (MINUTE_MS, history.minutes) if (edges % HOUR_MS).any() else (HOUR_MS, history.hours)
    edges = edges // MINUTE_MS * MINUTE_MS  # clocks before 1900 were seconds off
    parts = list(_pieces(asked, source, int(edges[0]) // unit * unit, -(-int(edges[-1]) // unit) * unit))
    gaps = between_buckets(joined_buckets(parts), unit)
    return _Found("days", DAY_MS, refold(joined_buckets(parts), edges), gaps)


def pieces(
    connection: Connection, series_id: int, start: int, end: int, resolution: Resolution, zone: tzinfo
) -> Iterator[Buckets]:
    """All points of a resolution in [start, end), in pieces of bounded size, in order; single readings have an n of 1.

    The range must lie about where the series has readings: an empty century takes a hundred questions.
    """
    asked = _Asked(connection, series_id, start, end, zone)
    match resolution:
        case "raw":
            for points in history.raw_pieces(connection, series_id, start, end):
                yield _as_buckets(points)
        case "minutes":
            yield from _pieces(asked, history.minutes, start // MINUTE_MS * MINUTE_MS, -(-end // MINUTE_MS) * MINUTE_MS)
        case "hours":
            yield from _pieces(asked, history.hours, start // HOUR_MS * HOUR_MS, -(-end // HOUR_MS) * HOUR_MS)
        case "days":
            yield _days(asked).buckets


def _pieces(asked: _Asked, source: Source, start: int, end: int) -> Iterator[Buckets]:
    for first in range(start, end, _PIECE_MS):
        yield source(asked.connection, asked.series_id, first, min(first + _PIECE_MS, end))


def _all(asked: _Asked, resolution: Resolution) -> _Found:
    """All that the resolution has. Raises BadRange if that is more than MOST_POINTS."""
    if resolution == "days":
        found = _days(asked)
        _check_count(len(found.buckets))
        return found
    parts: list[Buckets] = []
    for part in pieces(asked.connection, asked.series_id, asked.start, asked.end, resolution, asked.zone):
        parts.append(part)
        _check_count(sum(map(len, parts)))
    whole = joined_buckets(parts)
    if resolution == "raw":
        return _Found(resolution, None, whole, between_points(whole.ts))
    return _Found(resolution, _UNITS[resolution], whole, between_buckets(whole, _UNITS[resolution]))


def _check_count(count: int) -> None:
    if count > MOST_POINTS:
        raise BadRange(
            "from", f"and to span more than {MOST_POINTS:,} points; ask for a shorter range or a coarser one"
        )


def means(buckets: Buckets) -> Floats:
    """The mean of each; within its lowest and highest value, although a sum is rounded."""
    mean: Floats = np.clip(buckets.total / buckets.n, buckets.lo, buckets.hi)
    return mean


def _frame(found: _Found) -> pd.DataFrame:
    buckets = found.buckets
    return pd.DataFrame(
        {
            "ts": buckets.ts,
            "n": buckets.n,
            "mean": means(buckets),
            "min": buckets.lo,
            "max": buckets.hi,
            "segment": segments(buckets.ts, found.gaps),
        }
    )
