"""What a range of a series was like: its mean and extremes, time above and below a threshold, its week, its values.

Times are UTC ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final, Literal

import numpy as np
import pandas as pd

from db import devices, history, zones
from db.engine import Connection
from db.gaps import Gap, between_buckets, between_points, long_distances
from db.packing import DAY_MS, HOUR_MS, MINUTE_MS, Buckets, Floats, Ints, Points, fold, joined_buckets, no_points

#: So many readings are looked at one by one.
MOST_READINGS: Final = 600_000
#: Longer ranges are looked at by hours, shorter ones by minutes.
_MINUTES_MS: Final = 400 * DAY_MS
_PIECE_MS: Final = 100 * DAY_MS
_BINS: Final = 30

Source = Callable[[Connection, int, int, int], Buckets]


@dataclass(frozen=True, slots=True)
class Statistics:
    """A series in a range. What needs a reading is None where there is none.

    Attributes:
        n: Readings.
        mean: Of all readings.
        min_at: When the lowest was first reached, UTC ms; `max_at` likewise.
        sd: Standard deviation as pandas has it (n - 1); of the means of `resolution` where that is not raw.
        above_ms: Time above the threshold, each reading counted until the next one, and gaps not at all.
        below_ms: Time at or below it.
        gaps: Silences.
        resolution: What all but n, mean, min and max was found from. Raw is exact. Of a minute or hour that reached
            over the threshold that part is taken to be above which its range has above.
        week: Columns weekday int64 (0 is Monday), hour int64, both by the zone's clocks, n int64, mean float64; only
            hours that hold readings.
        distribution: Columns low, high float64 (not included, but for the last), n int64.
    """

    n: int
    mean: float | None
    min: float | None
    min_at: int | None
    max: float | None
    max_at: int | None
    sd: float | None
    above_ms: int | None
    below_ms: int | None
    gaps: tuple[Gap, ...]
    resolution: Literal["raw", "minutes", "hours"]
    week: pd.DataFrame
    distribution: pd.DataFrame


def statistics(
    connection: Connection,
    series: devices.Series,
    start: int,
    end: int,
    threshold: float | None = None,
    zone: tzinfo = UTC,
) -> Statistics:
    """What is known of a series in [start, end) (UTC ms), in one snapshot."""
    extent = history.extent(connection, series.id)
    if extent is None or extent[1] < start or extent[0] >= end:
        return _of_points(no_points(), threshold, zone)
    start, end = max(start, extent[0]), min(end, extent[1] + 1)
    first, last = start // HOUR_MS * HOUR_MS, -(-end // HOUR_MS) * HOUR_MS
    count = int(history.hours(connection, series.id, first, last).n.sum())
    by_minutes = end - start <= _MINUTES_MS or not zones.is_even(zone, start, end, HOUR_MS)
    if count <= MOST_READINGS:
        points = history.raw(connection, series.id, first, last)
        if len(points) == count:
            inside = slice(*np.searchsorted(points.ts, (start, end)))
            return _of_points(Points(points.ts[inside], points.value[inside]), threshold, zone)
        by_minutes = False  # retention has left the hours alone
    unit, source = (MINUTE_MS, history.minutes) if by_minutes else (HOUR_MS, history.hours)
    span = _Span(connection, series.id, start, end, unit, source)
    return _of_buckets(span, joined_buckets(list(span.pieces())), threshold, zone)


@dataclass(frozen=True, slots=True)
class _Span:
    """A range that is read by buckets."""

    connection: Connection
    series_id: int
    start: int
    end: int
    unit: int
    source: Source

    def pieces(self) -> Iterator[Buckets]:
        """Whole buckets, and at both ends the part of one that lies inside."""
        first, last = -(-self.start // self.unit) * self.unit, self.end // self.unit * self.unit
        if first > last:
            yield self._part(self.start, self.end)
            return
        yield self._part(self.start, first)
        for at in range(first, last, _PIECE_MS):
            yield self.source(self.connection, self.series_id, at, min(at + _PIECE_MS, last))
        yield self._part(last, self.end)

    def at(self, bucket_ts: int, value: float) -> int:
        """When a bucket first had this value; its start where its readings are no longer kept."""
        first, last = max(bucket_ts, self.start), min(bucket_ts + self.unit, self.end)
        points = history.raw(self.connection, self.series_id, first, last)
        found = points.ts[points.value == value]
        return int(found[0]) if len(found) else bucket_ts

    def _part(self, start: int, end: int) -> Buckets:
        points = history.raw(self.connection, self.series_id, start, end)
        return fold(points.ts, points.value, self.unit)


def _of_points(points: Points, threshold: float | None, zone: tzinfo) -> Statistics:
    ts, value = points.ts, points.value
    one = np.ones(len(ts), np.int64)
    if not len(ts):
        none = None if threshold is None else 0
        empty = _week(ts, one, value, zone), _distribution(value, one)
        return Statistics(0, None, None, None, None, None, None, none, none, (), "raw", *empty)
    above = below = None
    if threshold is not None:
        held = np.where(long_distances(ts), 0, np.diff(ts))
        over = value[:-1] > threshold
        above, below = int(held[over].sum()), int(held[~over].sum())
    lowest, highest = int(value.argmin()), int(value.argmax())
    return Statistics(
        len(ts),
        _mean(value, one),
        float(value[lowest]),
        int(ts[lowest]),
        float(value[highest]),
        int(ts[highest]),
        _deviation(value, one),
        above,
        below,
        between_points(ts),
        "raw",
        _week(ts, one, value, zone),
        _distribution(value, one),
    )


def _of_buckets(span: _Span, buckets: Buckets, threshold: float | None, zone: tzinfo) -> Statistics:
    means = np.clip(buckets.total / buckets.n, buckets.lo, buckets.hi)
    above = below = None
    if threshold is not None:
        held = _held(buckets, span.unit)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            part = np.clip((buckets.hi - threshold) / (buckets.hi - buckets.lo), 0, 1)
        part = np.where(buckets.lo > threshold, 1.0, np.where(buckets.hi <= threshold, 0.0, np.nan_to_num(part)))
        above = round(float((held * part).sum()))
        below = int(held.sum()) - above
    lowest, highest = int(buckets.lo.argmin()), int(buckets.hi.argmax())
    low, high = float(buckets.lo[lowest]), float(buckets.hi[highest])
    return Statistics(
        int(buckets.n.sum()),
        _mean(means, buckets.n),
        low,
        span.at(int(buckets.ts[lowest]), low),
        high,
        span.at(int(buckets.ts[highest]), high),
        _deviation(means, buckets.n),
        above,
        below,
        between_buckets(buckets, span.unit),
        "minutes" if span.unit == MINUTE_MS else "hours",
        _week(buckets.ts, buckets.n, means, zone),
        _distribution(means, buckets.n),
    )


def _held(buckets: Buckets, unit: int) -> Ints:
    """For how long each bucket's values stand: until the next bucket, or a bucket's width where a gap follows."""
    distances = np.append(np.diff(buckets.ts), unit)
    gaps = np.array([gap.start - unit for gap in between_buckets(buckets, unit)], np.int64)
    held: Ints = np.where(np.isin(buckets.ts, gaps), unit, distances)
    return held


def _mean(value: Floats, n: Ints) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float((value * n).sum() / n.sum())
        if not np.isfinite(mean):
            mean = float((value * (n / n.sum())).sum())
    return min(max(mean, float(value.min())), float(value.max()))


def _deviation(value: Floats, n: Ints) -> float | None:
    """None of a single reading, and where it is beyond a float64."""
    count = int(n.sum())
    if count < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        found = float(np.sqrt((n * (value - _mean(value, n)) ** 2).sum() / (count - 1)))
    return found if np.isfinite(found) else None


def _week(ts: Ints, n: Ints, mean: Floats, zone: tzinfo) -> pd.DataFrame:
    hour = zones.to_local(zone, ts) // HOUR_MS
    cell = (hour // 24 + 3) % 7 * 24 + hour % 24  # the first of January 1970 was a Thursday
    count = np.bincount(cell, n, 7 * 24).astype(np.int64)
    filled = np.flatnonzero(count)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.bincount(cell, mean * (n / np.maximum(count, 1)[cell]), 7 * 24)
    return pd.DataFrame({"weekday": filled // 24, "hour": filled % 24, "n": count[filled], "mean": total[filled]})


def _distribution(value: Floats, n: Ints) -> pd.DataFrame:
    if not len(value):
        edges = np.empty(1, np.float64)
    else:
        # Divided and multiplied by four, because the distance between two float64 may be none.
        edges = np.linspace(value.min() / 4, value.max() / 4, _BINS + 1) * 4
        if not (np.diff(edges) > 0).all():
            edges = np.array([value.min(), value.max()])
    bins = len(edges) - 1
    place = np.clip(np.searchsorted(edges, value, side="right") - 1, 0, max(bins - 1, 0))
    counts = np.bincount(place, n, bins).astype(np.int64)[:bins]
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": counts})
