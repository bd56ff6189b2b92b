"""What a publisher sent and its broker acknowledged, against what the tables hold. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

import msgspec

from db.account import Interval, Start

K = TypeVar("K")

_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ListError(ValueError):
    """A line of the list can't be used. The text names it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message, or one reading of it, that the broker acknowledged. `ts` is UTC ms; None is what was not told."""

    device: str
    seq: int
    boot: str | None = None
    metric: str | None = None
    value: float | None = None
    ts: int | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """It is not stored. `arrived`: its number did reach us, so that we have to answer for it."""

    sent: Sent
    arrived: bool


@dataclass(frozen=True, slots=True)
class Doubled:
    """It is stored `times` times more often than it was sent."""

    sent: Sent
    times: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of so many `lines`: what is lost and what is doubled."""

    lines: int
    lost: Sequence[Lost]
    doubled: Sequence[Doubled]

    @property
    def agrees(self) -> bool:
        """Whether each is stored once."""
        return not self.lost and not self.doubled


class Held(Protocol):
    """What is stored."""

    def at(self, places: Iterable[tuple[str, str | None, int]]) -> dict[tuple[str, str | None, int], list[float]]:
        """Values by (device, metric or None for any, ts)."""

    def count(self, device: str, metric: str | None, wanted: Iterable[float]) -> dict[float, int]:
        """How often each of these values stands in the metric, or in all metrics, of a device."""


class Numbers:
    """Sequence numbers that reached us."""

    def __init__(self, seen: Mapping[Start, Sequence[Interval]]) -> None:
        self._starts: dict[str, dict[str, Sequence[Interval]]] = {}
        for (device, boot), intervals in seen.items():
            self._starts.setdefault(device, {})[boot] = intervals

    def times(self, device: str, boot: str | None, seq: int) -> int:
        """In how many starts of the device the number came: of this `boot`, or of any where it is None."""
        starts = self._starts.get(device, {})
        chosen = starts.values() if boot is None else [starts[boot]] if boot in starts else []
        return sum(1 for intervals in chosen if _holds(intervals, seq))

    def have(self, sent: Sent) -> bool:
        """Whether its number came."""
        return self.times(sent.device, sent.boot, sent.seq) > 0


def _holds(intervals: Sequence[Interval], seq: int) -> bool:
    at = bisect_right(intervals, seq, key=lambda interval: interval[0]) - 1
    return at >= 0 and seq <= intervals[at][1]


def load(lines: Iterable[str]) -> list[Sent]:
    """The list from JSON lines: `{"device", "seq", "boot"?, "metric"?, "value"?, "ts"?}`; empty lines are passed over.

    Raises:
        ListError: With the number of the first line that can't be used, and why.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(_sent(msgspec.json.decode(line, type=_Line)))
        except (msgspec.MsgspecError, ValueError) as error:
            raise ListError(f"line {number}: {error}") from None
    return found


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    device: str
    seq: _Whole
    boot: str | int | float | None = None
    metric: str | None = None
    value: float | bool | None = None
    ts: _Whole | None = None


def _sent(line: _Line) -> Sent:
    value = None if line.value is None else float(line.value) + 0.0
    if value is not None and not math.isfinite(value):
        raise ValueError("value: expected a finite number")
    return Sent(line.device, line.seq, None if line.boot is None else str(line.boot), line.metric, value, line.ts)


def compare(sent: Sequence[Sent], numbers: Numbers, held: Held) -> Comparison:
    """Look for each line where it can be found best: at its time, else by its value, else by its number."""
    # With a time or a boot the same line twice is the same message; without, it may be that of another start.
    lines = [
        *dict.fromkeys(one for one in sent if one.ts is not None or one.boot is not None),
        *(one for one in sent if one.ts is None and one.boot is None),
    ]
    lost = _by_time([one for one in lines if one.ts is not None], held)
    doubled: list[Doubled] = []
    _by_value([one for one in lines if one.ts is None and one.value is not None], numbers, held, lost, doubled)
    _by_number([one for one in lines if one.ts is None and one.value is None], numbers, lost, doubled)
    return Comparison(len(sent), [Lost(one, numbers.have(one)) for one in lost], doubled)


def _by_time(sent: Sequence[Sent], held: Held) -> list[Sent]:
    """Those not stored at their time. What is, can't be stored there twice."""
    stored = held.at({(one.device, one.metric, one.ts) for one in sent if one.ts is not None})
    return [
        one
        for one in sent
        if one.ts is not None and not _matches(stored.get((one.device, one.metric, one.ts), []), one.value)
    ]


def _matches(stored: Sequence[float], value: float | None) -> bool:
    return bool(stored) if value is None else value in stored


def _by_value(sent: Sequence[Sent], numbers: Numbers, held: Held, lost: list[Sent], doubled: list[Doubled]) -> None:
    """Values that stand there less often, or more often, than they were sent."""
    for (device, metric), group in _grouped(sent, lambda one: (one.device, one.metric)).items():
        by_value = _grouped(group, lambda one: one.value)
        for value, times in held.count(device, metric, [value for value in by_value if value is not None]).items():
            # Of equal ones, those are missing whose number never came.
            same = sorted(by_value[value], key=numbers.have, reverse=True)
            lost += same[times:]
            if times > len(same):
                doubled.append(Doubled(same[-1], times - len(same)))


def _by_number(sent: Sequence[Sent], numbers: Numbers, lost: list[Sent], doubled: list[Doubled]) -> None:
    """Numbers that came in fewer starts, or in more, than they were sent in."""
    for (device, boot, seq), same in _grouped(sent, lambda one: (one.device, one.boot, one.seq)).items():
        times = numbers.times(device, boot, seq)
        of_metrics = _grouped(same, lambda one: one.metric).values()
        lost += [one for of_metric in of_metrics for one in of_metric[times:]]
        wanted = max(len(of_metric) for of_metric in of_metrics)
        if times > wanted:
            doubled.append(Doubled(same[-1], times - wanted))


def _grouped(sent: Iterable[Sent], key: Callable[[Sent], K]) -> dict[K, list[Sent]]:
    found: dict[K, list[Sent]] = {}
    for one in sent:
        found.setdefault(key(one), []).append(one)
    return found
