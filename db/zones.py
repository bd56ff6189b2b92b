"""Days and hours as a time zone has them: some of 23 or 25 hours, some zones half an hour beside the others. Pure.

Times are UTC ms, in arrays of int64.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

import numpy as np

from db.packing import DAY_MS, Ints

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
#: The first moment of the year 1 and of the last day of 9999: no calendar here has others.
EARLIEST: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MS
LATEST: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MS
_FIRST_DATE: Final = date(1, 1, 2)  # the one before may begin before the year 1
_LAST_DATE: Final = date(9999, 12, 30)


def midnights(zone: tzinfo, start: int, end: int, days: int = 1) -> Ints:
    """Beginnings of every `days`-th day of the zone: one at or before `start`, then all up to one at or after `end`.

    Counted from a fixed day, so that ranges which overlap have the same ones. A day whose midnight the clocks leave out
    begins where they go on; a date that a zone left out altogether has no beginning.
    """
    first = _local_date(zone, start).toordinal() // days * days
    last = -(-(_local_date(zone, end).toordinal() + 1) // days) * days
    ordinals = range(max(first, _FIRST_DATE.toordinal()), min(last, _LAST_DATE.toordinal()) + 1, days)
    found = np.unique(np.array([_midnight(zone, ordinal) for ordinal in ordinals], np.int64))
    inside: Ints = found[max(0, int(np.searchsorted(found, start, side="right")) - 1) :]
    return inside[: int(np.searchsorted(inside, end, side="left")) + 1]


def to_local(zone: tzinfo, ts: Ints) -> Ints:
    """The same moments as the zone's clocks show them, as ms from their 1970 on."""
    if not len(ts):
        return ts
    steps, offsets = _offsets(zone, int(ts.min()), int(ts.max()))
    local: Ints = ts + offsets[np.searchsorted(steps, ts, side="right") - 1]
    return local


def offset(zone: tzinfo, ts: int) -> int:
    """How far the zone's clocks are ahead of UTC then, in ms."""
    moment = _EPOCH + min(max(ts, EARLIEST + DAY_MS), LATEST) * _MS
    return (moment.astimezone(zone).utcoffset() or timedelta()) // _MS


def is_even(zone: tzinfo, start: int, end: int, unit_ms: int) -> bool:
    """Whether all its clocks' offsets from `start` to `end` are multiples of `unit_ms`."""
    _, offsets = _offsets(zone, start, end)
    return not (offsets % unit_ms).any()


def _local_date(zone: tzinfo, ts: int) -> date:
    return (_EPOCH + min(max(ts, EARLIEST + DAY_MS), LATEST) * _MS).astimezone(zone).date()


def _midnight(zone: tzinfo, ordinal: int) -> int:
    day = date.fromordinal(ordinal)
    return (datetime(day.year, day.month, day.day, tzinfo=zone) - _EPOCH) // _MS


def _offsets(zone: tzinfo, start: int, end: int) -> tuple[Ints, Ints]:
    """From when on which offset holds: the first step is `start`."""
    steps, offsets = [start], [offset(zone, start)]
    before = end if zone is UTC or getattr(zone, "key", "") == "UTC" else start
    while before < end:
        after = min(before + DAY_MS, end)
        now = offset(zone, after)
        if now != offsets[-1]:
            steps.append(_change(zone, before, after))
            offsets.append(now)
        before = after
    return np.array(steps, np.int64), np.array(offsets, np.int64)


def _change(zone: tzinfo, before: int, after: int) -> int:
    """The first moment with another offset than at `before`."""
    old = offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after
