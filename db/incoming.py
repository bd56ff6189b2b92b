"""Readings that come in by a file: each line is judged here, before anything of the file is stored. Knows no SQL."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Problems that are kept with their words; those after them are counted.
PROBLEMS_KEPT: Final = 10_000
DAY_MS: Final = 86_400_000
#: UTC ms in 1973: seconds are below.
_EARLIEST: Final = 10**11
_LEVEL: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_DEVICE: Final = re.compile(f"{_LEVEL}(/{_LEVEL})?", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_WHOLE: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_METRIC_LENGTH: Final = 128
_UNIT_LENGTH: Final = 32


class BadFile(Exception):
    """Nothing of the file can be used. The text is a sentence that names line and field."""


class Unusable(ValueError):
    """A field can't be used. The text says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line, the first being 1, and with which field, None if with the whole line."""

    line: int
    field: str | None
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.field is None else f"line {self.line}, {self.field}"
        return f"{where}: {self.reason}"


@dataclass(slots=True)
class Problems:
    """What would be rejected. `count`: readings, or lines that could not be read."""

    kept: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, problem: Problem, readings: int = 1) -> None:
        """Note one, which may stand for several readings."""
        self.count += readings
        if len(self.kept) < PROBLEMS_KEPT:
            self.kept.append(problem)


@dataclass(frozen=True, slots=True)
class Incoming:
    """Readings of a file that can be used, each key once, by day, series and time.

    `names` are (device, metric), to which `series` points; `units` are theirs, None where the file tells none.
    `ts`: UTC ms. `line`: where each reading stands in the file. `repeated`: readings that stand there twice.
    """

    names: Sequence[tuple[str, str]]
    units: Sequence[str | None]
    series: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    line: NDArray[np.int64]
    repeated: int
    problems: Problems

    def __len__(self) -> int:
        return len(self.ts)

    def where(self, kept: NDArray[np.bool_]) -> Incoming:
        """Those of them alone."""
        return Incoming(
            self.names,
            self.units,
            self.series[kept],
            self.ts[kept],
            self.value[kept],
            self.line[kept],
            self.repeated,
            self.problems,
        )


class Judge:
    """Takes readings line by line, and keeps those that can be used.

    `now`: UTC ms. `oldest`: UTC ms before which readings are not kept here, None if all are.
    """

    def __init__(self, now: int, oldest: int | None) -> None:
        self.problems = Problems()
        self._latest, self._oldest = now + DAY_MS, oldest
        self._known: dict[tuple[str, str, str], int | Unusable] = {}
        self._series: dict[tuple[str, str], int] = {}
        self._units: list[str | None] = []
        self._place, self._ts, self._value, self._line = array("i"), array("q"), array("d"), array("q")

    def series(self, device: str, metric: str, unit: str) -> int:
        """The number of a series in this file. Raises Unusable."""
        key = (device, metric, unit)
        known = self._known.get(key)
        if known is None:
            try:
                known = self._new(device, metric, unit)
            except Unusable as error:
                known = error
            self._known[key] = known
        if isinstance(known, Unusable):
            raise known
        return known

    def _new(self, device: str, metric: str, unit: str) -> int:
        for name, text in (("device", device), ("metric", metric), ("unit", unit)):
            if any("\udc80" <= one <= "\udcff" for one in text):
                raise Unusable(name, f"{text!r} is not UTF-8; save the whole file as UTF-8")
        if not _DEVICE.fullmatch(device):
            raise Unusable(
                "device",
                f"{device!r:.80} is no device's name: letters, digits, '.', '_' and '-', the first a letter or digit, "
                "at most 64; its site may stand before it: site1/kitchen",
            )
        if not 1 <= len(metric) <= _METRIC_LENGTH or not metric.isprintable():
            raise Unusable("metric", f"{metric!r:.80} is no metric's name: 1 to {_METRIC_LENGTH} characters to be seen")
        if len(unit) > _UNIT_LENGTH or not unit.isprintable():
            raise Unusable("unit", f"{unit!r:.80} is no unit: at most {_UNIT_LENGTH} characters to be seen")
        place = self._series.setdefault((device, metric), len(self._units))
        if place == len(self._units):
            self._units.append(unit or None)
        elif unit and self._units[place] is None:
            self._units[place] = unit
        elif unit and self._units[place] != unit:
            raise Unusable("unit", f"{device} {metric} is in {unit!r} here, and in {self._units[place]!r} further up")
        return place

    def add(self, line: int, place: int, ts: int, value: float) -> None:
        """Keep a reading. Raises Unusable for a time at which none can be."""
        if ts > self._latest:
            raise Unusable("ts", f"{ts} lies more than 24 hours in the future")
        if ts < _EARLIEST:
            raise Unusable("ts", f"{ts} is before 1973; times are in milliseconds")
        if self._oldest is not None and ts < self._oldest:
            raise Unusable("ts", f"{ts} is older than what RETENTION_RAW_DAYS keeps")
        self._place.append(place)
        self._ts.append(ts)
        self._value.append(value)
        self._line.append(line)

    def finish(self) -> Incoming:
        """All that can be used, in order; of those that stand there with two values the first."""
        ts = np.frombuffer(self._ts, np.int64)
        series = np.frombuffer(self._place, np.int32)
        order = np.lexsort((ts, series, ts // DAY_MS))  # stable: of the same key, the one that stands first comes first
        found = Incoming(
            list(self._series),
            self._units,
            series[order],
            ts[order],
            np.frombuffer(self._value, np.float64)[order],
            np.frombuffer(self._line, np.int64)[order],
            0,
            self.problems,
        )
        return self._each_once(found)

    def _each_once(self, found: Incoming) -> Incoming:
        again = np.zeros(len(found), bool)
        again[1:] = (found.series[1:] == found.series[:-1]) & (found.ts[1:] == found.ts[:-1])
        first = np.maximum.accumulate(np.where(again, 0, np.arange(len(found))))
        conflict = again & (found.value != found.value[first])
        for place in np.flatnonzero(conflict):
            line, value = int(found.line[first[place]]), float(found.value[first[place]])
            self.problems.add(
                Problem(
                    int(found.line[place]),
                    "value",
                    f"{float(found.value[place])!r} at a time at which line {line} has {value!r}: the first one counts",
                )
            )
        kept = found.where(~again)
        repeated = int(np.count_nonzero(again & ~conflict))
        return Incoming(kept.names, kept.units, kept.series, kept.ts, kept.value, kept.line, repeated, self.problems)


def number(text: str, name: str = "value") -> float:
    """A finite number in a text field, -0.0 as 0.0. Raises Unusable."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text) + 0.0
        if value - value == 0:  # neither infinite nor NaN
            return value
        raise Unusable(name, f"{text:.80} is too large for a float64")
    if not text:
        raise Unusable(name, "is empty; expected a number")
    if _DECIMAL_COMMA.fullmatch(text):
        raise Unusable(name, f"{text:.80} has a decimal comma; write {text.replace(',', '.'):.80}")
    raise Unusable(name, f"{text!r:.80} is no number")


def moment(ts: str, time: str) -> int:
    """UTC ms of a line's `ts`, or where that is empty of its `time`. Raises Unusable."""
    if not ts and not time:
        raise Unusable("ts", "is empty; expected UTC milliseconds, or a time with its zone in the column time")
    told = None
    if ts:
        if not _WHOLE.fullmatch(ts):
            raise Unusable("ts", f"{ts!r:.80} is no whole number of milliseconds")
        told = int(ts)
    if not time:
        return told or 0
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        raise Unusable("time", f"{time!r:.80} is no ISO 8601 time, such as 2026-11-23T10:00:00+01:00") from None
    if at.tzinfo is None:
        raise Unusable("time", f"{time:.80} names no zone; write Z or an offset such as +01:00 after it")
    by_time = round(at.timestamp() * 1000)
    if told is not None and abs(told - by_time) >= 1000:
        raise Unusable("time", f"{time:.80} is another moment than ts {told}")
    return by_time if told is None else told


def number_of(value: Any, name: str = "value") -> float:
    """The same of a number that a typed file holds. Raises Unusable."""
    if value is None:
        raise Unusable(name, "is empty; expected a number")
    whole = float(value) + 0.0
    if whole - whole != 0:
        raise Unusable(name, f"{whole} is no finite number")
    return whole
