"""One series as it is now, with a quarter of an hour of its past in bins for a sparkline.

`SeriesNow` is immutable. All readings that a batch has of a series go into the next one together: by the thousand they
cost a few comparisons each, and one new object for all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

import msgspec

BIN_MS: Final = 15_000
BINS: Final = 60
#: How far back the bins behind the newest one reach.
_KEPT_MS: Final = (BINS - 1) * BIN_MS
#: A bin's fields as they are packed, and the first of them.
_PACKED: Final = struct.Struct("<qddd")
_START: Final = struct.Struct("<q")


class Bin(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """15 seconds of a series: start in UTC ms, lowest, highest and last value in it.

    A page gets it as an array of these four: a painting has sixty of each series.
    """

    ts: int
    low: float
    high: float
    last: float


class SeriesNow(msgspec.Struct, frozen=True, gc=False):
    """One metric of one device. Times are UTC ms; `interval_ms`: usual distance of readings, None if unknown.

    The newest bin stands apart from those before it. They are packed: a fleet has a million, and as objects each
    would be touched whenever one more is added.
    """

    device: str
    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int
    interval_ms: int | None
    earlier: bytes
    newest: Bin
    version: int

    @property
    def bins(self) -> tuple[Bin, ...]:
        """All bins that hold readings, by time: at most 60, the last quarter of an hour before the newest."""
        return (*_unpacked(self.earlier), self.newest)


#: A series before its first reading. No reading has a time before 1970.
_NOTHING: Final = SeriesNow("", "", None, -1, 0.0, 0, None, b"", Bin(-BIN_MS, 0.0, 0.0, 0.0), 0)


#: What a device measured at one time, without its name: when (UTC ms), values, each of another metric, and when it
#: reached us (UTC ms).
Measured = tuple[int, tuple[tuple[str, float], ...], int]

#: A reading without its name: when it was taken (UTC ms), what was read, when it reached us (UTC ms).
Point = tuple[int, float, int]


def grown(
    device: str, metric: str, unit: str | None, known: SeriesNow | None, points: Iterable[Point], version: int
) -> SeriesNow:
    """The series with more readings, in order of arrival; at least one where nothing is `known` of it yet.

    A late one changes the history, never the value that is shown.
    """
    known = known or _NOTHING
    ts, value, received_at, interval_ms = known.ts, known.value, known.received_at, known.interval_ms
    earlier, newest = known.earlier, known.newest
    begin, low, high, last = newest.ts, newest.low, newest.high, newest.last
    for at, read, reached_us in points:  # the hot loop of the snapshot: names of the function alone
        start = at - at % BIN_MS
        if start == begin:
            if read < low:
                low = read
            elif read > high:
                high = read
            last = read
        elif start > begin:
            if begin >= 0:
                earlier = _closed(earlier, Bin(begin, low, high, last), start)
            begin, low, high, last = start, read, read, read
        elif start >= begin - _KEPT_MS:
            earlier = _widened(earlier, start, read)
        if at >= ts:
            if 0 <= ts < at:
                interval_ms = _interval(interval_ms, at - ts)
            ts, value, received_at = at, read, reached_us
    newest = Bin(begin, low, high, last)
    return SeriesNow(device, metric, unit, ts, value, received_at, interval_ms, earlier, newest, version)


def _closed(earlier: bytes, closed: Bin, start: int) -> bytes:
    """With one more bin behind the one that begins at `start`; those older than a quarter of an hour leave."""
    oldest, leaving = start - _KEPT_MS, 0
    if closed.ts < oldest:
        return b""
    while leaving < len(earlier) and _START.unpack_from(earlier, leaving)[0] < oldest:
        leaving += _PACKED.size
    return earlier[leaving:] + _PACKED.pack(closed.ts, closed.low, closed.high, closed.last)


def _widened(earlier: bytes, start: int, value: float) -> bytes:
    """With a late reading: its bin is widened or put where it belongs."""
    bins = {one.ts: one for one in _unpacked(earlier)}
    known = bins.get(start)
    if known is None:
        bins[start] = Bin(start, value, value, value)
    else:
        bins[start] = Bin(start, min(known.low, value), max(known.high, value), known.last)
    return b"".join([_PACKED.pack(one.ts, one.low, one.high, one.last) for _, one in sorted(bins.items())])


def _unpacked(earlier: bytes) -> list[Bin]:
    return [Bin(*fields) for fields in _PACKED.iter_unpack(earlier)]


def _interval(known: int | None, distance: int) -> int:
    """A running mean of the distances, slow enough that one gap does not hide the next."""
    if known is None:
        return distance
    if distance > 10 * known:  # a gap, not a new habit; a new habit convinces by repetition
        return round(known * 1.5)
    return (4 * known + distance + 2) // 5
