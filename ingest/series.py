"""One series as it is now, with a quarter of an hour of its past in bins for a sparkline.

`SeriesNow` is immutable. A batch adds its readings to a `SeriesDraft`, which makes the next one: readings by the
thousand cost a few comparisons each, and one new object for all of them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import msgspec

BIN_MS: Final = 15_000
BINS: Final = 60


class Bin(msgspec.Struct, frozen=True, gc=False):
    """15 seconds of a series: start in UTC ms, lowest, highest and last value in it."""

    ts: int
    low: float
    high: float
    last: float


class SeriesNow(msgspec.Struct, frozen=True, gc=False):
    """One metric of one device. Times are UTC ms; `interval_ms`: usual distance of readings, None if unknown.

    The newest bin stands apart from those before it, which one state of the series shares with the next.
    """

    device: str
    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int
    interval_ms: int | None
    earlier: tuple[Bin, ...]
    newest: Bin
    version: int

    @property
    def bins(self) -> tuple[Bin, ...]:
        """All bins that hold readings, by time: at most 60, the last quarter of an hour before the newest."""
        return (*self.earlier, self.newest)


class SeriesDraft:
    """A series while readings are added to it, in order of arrival. One thread uses it."""

    __slots__ = (
        "_earlier", "_high", "_interval_ms", "_last", "_low", "_received_at", "_start", "_ts", "_value",
        "device", "metric", "unit",
    )  # fmt: skip

    def __init__(self, device: str, metric: str, unit: str | None, known: SeriesNow | None) -> None:
        """`known` is the series so far, None for one that has no reading yet; then `add` before `finished`."""
        self.device, self.metric, self.unit = device, metric, unit
        if known is None:  # no reading has a time before 1970
            self._ts, self._value, self._received_at, self._interval_ms = -1, 0.0, 0, None
            self._earlier: tuple[Bin, ...] = ()
            self._start, self._low, self._high, self._last = -BIN_MS, 0.0, 0.0, 0.0
        else:
            self._ts, self._value, self._received_at = known.ts, known.value, known.received_at
            self._interval_ms = known.interval_ms
            self._earlier, newest = known.earlier, known.newest
            self._start, self._low, self._high, self._last = newest.ts, newest.low, newest.high, newest.last

    def add(self, ts: int, value: float, received_at: int) -> None:
        """One more reading. A late one changes the history, never the value that is shown."""
        start = ts - ts % BIN_MS
        if start == self._start:
            if value < self._low:
                self._low = value
            elif value > self._high:
                self._high = value
            self._last = value
        elif start > self._start:
            self._begin(start, value)
        else:
            self._widen_earlier(start, value)
        if ts >= self._ts:
            if 0 <= self._ts < ts:
                self._interval_ms = _interval(self._interval_ms, ts - self._ts)
            self._ts, self._value, self._received_at = ts, value, received_at

    def finished(self, version: int) -> SeriesNow:
        """The series with all that was added."""
        return SeriesNow(
            self.device,
            self.metric,
            self.unit,
            self._ts,
            self._value,
            self._received_at,
            self._interval_ms,
            self._earlier,
            Bin(self._start, self._low, self._high, self._last),
            version,
        )

    def _begin(self, start: int, value: float) -> None:
        """The next bin; those that are older than a quarter of an hour now leave."""
        if self._start >= 0:
            oldest = start - (BINS - 1) * BIN_MS
            closed = (*self._earlier, Bin(self._start, self._low, self._high, self._last))
            self._earlier = closed if closed[0].ts >= oldest else tuple(one for one in closed if one.ts >= oldest)
        self._start, self._low, self._high, self._last = start, value, value, value

    def _widen_earlier(self, start: int, value: float) -> None:
        """A late reading: its bin is widened or put where it belongs; one older than what is kept is left out."""
        if start < self._start - (BINS - 1) * BIN_MS:
            return
        at = bisect_left(self._earlier, start, key=lambda one: one.ts)
        before, after = self._earlier[:at], self._earlier[at:]
        if after and after[0].ts == start:
            known = after[0]
            new, after = Bin(start, min(known.low, value), max(known.high, value), known.last), after[1:]
        else:
            new = Bin(start, value, value, value)
        self._earlier = (*before, new, *after)


def _interval(known: int | None, distance: int) -> int:
    """A running mean of the distances, slow enough that one gap does not hide the next."""
    if known is None:
        return distance
    if distance > 10 * known:  # a gap, not a new habit; a new habit convinces by repetition
        return round(known * 1.5)
    return round(known * 0.8 + distance * 0.2)
