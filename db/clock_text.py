"""Times as text, many at once: ISO 8601 with the zone's offset, and the days a spreadsheet counts. Pure."""

from __future__ import annotations

from datetime import tzinfo
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from db import zones
from db.packing import DAY_MS, MINUTE_MS, Floats, Ints

#: 2026-11-25T12:00:00.000+01:00
_ISO: Final = np.dtype([("day", "S11"), ("time", "S8"), ("ms", "S4"), ("offset", "S6")])
#: Days of a spreadsheet before the first of January 1970.
_SERIAL_1970: Final = 25_569


def iso(ts: Ints, zone: tzinfo) -> Any:
    """ISO 8601 with milliseconds and offset, by the clocks of the zone, as an Arrow array of text."""
    local = _local(ts, zone)
    day, in_day = np.divmod(local, DAY_MS)
    days, place = np.unique(day, return_inverse=True)
    offsets, which = np.unique((local - ts) // MINUTE_MS, return_inverse=True)
    seconds, millis = _tables()
    text = np.empty(len(ts), _ISO)
    text["day"] = np.char.add(np.datetime_as_string(days.astype("M8[D]")).astype("S10"), b"T")[place]
    text["time"] = seconds[in_day // 1_000]
    text["ms"] = millis[in_day % 1_000]
    text["offset"] = np.array([_offset(minutes) for minutes in offsets.tolist()], "S6")[which]
    ends = np.arange(len(ts) + 1, dtype=np.int32) * np.int32(_ISO.itemsize)
    return pa.StringArray.from_buffers(len(ts), pa.py_buffer(ends), pa.py_buffer(text.tobytes()))


def serials(ts: Ints, zone: tzinfo) -> Floats:
    """The zone's clocks as a spreadsheet counts: days since the end of 1899. Wrong before March 1900, as they are."""
    days: Floats = _local(ts, zone) / DAY_MS + _SERIAL_1970
    return days


def _local(ts: Ints, zone: tzinfo) -> Ints:
    """By clocks that differ from UTC in whole minutes: those before 1900 did not."""
    local: Ints = ts + (zones.to_local(zone, ts) - ts) // MINUTE_MS * MINUTE_MS
    return local


def _offset(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


@cache
def _tables() -> tuple[Any, Any]:
    """Every second of a day, every millisecond of a second."""
    seconds = [f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}" for second in range(86_400)]
    return np.array(seconds, "S8"), np.array([f".{ms:03}" for ms in range(1_000)], "S4")
