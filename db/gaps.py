"""Where a series fell silent: for longer than three times its usual interval. Pure. Times are UTC ms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from db.packing import Buckets, Floats, Ints

#: A distance this many times the usual one is a gap.
GAP_INTERVALS: Final = 3
#: What is usual is the median of so many distances.
_DISTANCES: Final = 100


@dataclass(frozen=True, slots=True)
class Gap:
    """A silence, UTC ms.

    Between single readings: from the time of the one before to that of the one after. Between buckets: from the end of
    the last that holds a reading to the start of the next.
    """

    start: int
    end: int


def long_distances(ts: Ints) -> NDArray[np.bool_]:
    """Of each distance between two readings whether it is a gap. Below three readings nothing is usual, and so none."""
    distances = np.diff(ts)
    if len(distances) < 2:
        return np.zeros(len(distances), bool)
    return distances > GAP_INTERVALS * _usual(distances.astype(np.float64))


def between_points(ts: Ints) -> tuple[Gap, ...]:
    """Gaps between single readings whose times ascend."""
    places = np.flatnonzero(long_distances(ts))
    return tuple(Gap(int(start), int(end)) for start, end in zip(ts[places], ts[places + 1], strict=True))


def between_buckets(buckets: Buckets, width_ms: int) -> tuple[Gap, ...]:
    """Gaps between buckets that hold readings. What is silent inside one can't be seen from outside.

    How far apart a bucket's readings usually are follows from how far apart the buckets are, and how much is in one.
    """
    distances = np.diff(buckets.ts)
    if len(distances) < 2:
        return ()
    empty = distances - width_ms
    places = np.flatnonzero(empty > GAP_INTERVALS * _usual(distances / buckets.n[:-1]))
    starts, ends = buckets.ts[places] + width_ms, buckets.ts[places + 1]
    return tuple(Gap(int(start), int(end)) for start, end in zip(starts, ends, strict=True))


def segments(ts: Ints, gaps: Sequence[Gap]) -> Ints:
    """A number for each point at `ts`, a reading's time or a bucket's start, that rises where a gap lies before it."""
    rises = np.zeros(len(ts), np.int64)
    if gaps and len(ts):
        before = np.searchsorted(ts, np.array([gap.start for gap in gaps], np.int64), side="left") - 1
        after = np.searchsorted(ts, np.array([gap.end for gap in gaps], np.int64), side="right") - 1
        rises[after[after > before]] = 1  # a gap within one bucket parts nothing
    numbers: Ints = np.cumsum(rises, dtype=np.int64)
    return numbers


def _usual(distances: Floats) -> Floats:
    """What is usual at each distance: the median of the hundred it is one of, or of those beside it if that is more.

    So a device that begins to send more often, or less, had no gap when it did.
    """
    whole = len(distances) // _DISTANCES
    medians = np.median(distances[: whole * _DISTANCES].reshape(whole, _DISTANCES), axis=1)
    if whole * _DISTANCES < len(distances):
        medians = np.append(medians, np.median(distances[-_DISTANCES:]))
    around = np.pad(medians, 1, mode="edge")
    usual: Floats = np.repeat(np.max((around[:-2], medians, around[2:]), axis=0), _DISTANCES)[: len(distances)]
    return usual
