"""What is so right now, in memory: latest values, a quarter of an hour of history, who is online.

Immutable. A batch makes the next `Snapshot`, in which only what changed is new, and swaps it in whole; readers take no
lock and touch no database. A version number rises with every change, and each part carries the version it changed at,
so that a stream can ask for what is newer than what it has sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

BIN_MS: Final = 15_000
BINS: Final = 60


@dataclass(frozen=True, slots=True)
class Bin:
    """15 seconds of a series: start in UTC ms, lowest, highest and last value in it."""

    ts: int
    low: float
    high: float
    last: float


@dataclass(frozen=True, slots=True)
class SeriesNow:
    """One metric of one device. Times are UTC ms; `interval_ms`: usual distance of readings, None if unknown."""

    device: str
    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int
    interval_ms: int | None
    bins: tuple[Bin, ...]
    version: int


@dataclass(frozen=True, slots=True)
class ActuatorNow:
    """What an actuator reported last: `ON`, `OFF` or a number as text; None where it never did."""

    device: str
    name: str
    state: str | None
    since: int | None
    version: int
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceNow:
    """One device. `online`: True or False as its status or its traffic says, None where it never told."""

    name: str
    model: str | None
    firmware: str | None
    online: bool | None
    status_at: int | None
    last_seen: int
    version: int
    presence_version: int
    metrics: Mapping[str, SeriesNow]
    actuators: Mapping[str, ActuatorNow]
    #: Units by metric, of metrics that have not reported yet too.
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All devices by name, at one version. `started_at` (UTC ms) names the process whose versions these are."""

    started_at: int
    version: int
    devices: Mapping[str, DeviceNow]

    def changed_since(self, version: int) -> Iterable[DeviceNow]:
        """Devices with anything newer than `version`; all of them for 0."""
        return (device for device in self.devices.values() if device.version > version)


@dataclass(frozen=True, slots=True)
class ReadingChange:
    """A stored reading of a series: the newest of a batch."""

    device: str
    metric: str
    ts: int
    value: float
    received_at: int


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A stored `online` or `offline`. One that was `retained` by the broker is old and no sign of life; so below."""

    device: str
    online: bool
    at: int
    retained: bool = False


@dataclass(frozen=True, slots=True)
class AboutChange:
    """What a device said of itself: None leaves a field as it was."""

    device: str
    model: str | None
    firmware: str | None
    units: Mapping[str, str]
    actuators: Mapping[str, str | None]
    at: int
    retained: bool = False


@dataclass(frozen=True, slots=True)
class StateChange:
    """A stored report of an actuator."""

    device: str
    actuator: str
    state: str
    at: int
    retained: bool = False


Change = ReadingChange | StatusChange | AboutChange | StateChange


def apply(snapshot: Snapshot, changes: Iterable[Change]) -> Snapshot:
    """The next snapshot. Pure; the given one stays as it is. The same one if there is nothing to change."""
    version = snapshot.version + 1
    touched: dict[str, _Draft] = {}
    for change in changes:
        draft = touched.get(change.device)
        if draft is None:
            draft = touched[change.device] = _Draft.of(snapshot.devices.get(change.device), change.device, version)
        draft.take(change, version)
    if not touched:
        return snapshot
    devices = dict(snapshot.devices)
    for name, draft in touched.items():
        devices[name] = draft.finished(version)
    return Snapshot(snapshot.started_at, version, devices)


@dataclass(slots=True)
class _Draft:
    """A device while one batch is being applied to it."""

    device: DeviceNow
    metrics: dict[str, SeriesNow]
    actuators: dict[str, ActuatorNow]

    @classmethod
    def of(cls, device: DeviceNow | None, name: str, version: int) -> _Draft:
        if device is None:
            device = DeviceNow(name, None, None, None, None, 0, version, version, {}, {})
        return cls(device, dict(device.metrics), dict(device.actuators))

    def finished(self, version: int) -> DeviceNow:
        return replace(self.device, version=version, metrics=self.metrics, actuators=self.actuators)

    def take(self, change: Change, version: int) -> None:
        match change:
            case ReadingChange():
                self._reading(change, version)
            case StatusChange():
                self._status(change, version)
            case AboutChange():
                self._about(change, version)
            case StateChange():
                self._state(change, version)

    def _status(self, change: StatusChange, version: int) -> None:
        known = self.device.status_at is not None and self.device.online is change.online
        if not (change.retained and known):
            self.device = replace(self.device, status_at=change.at)
        self._presence(change.online, version)
        self._seen(change.at, retained=change.retained)

    def _state(self, change: StateChange, version: int) -> None:
        known = self.actuators.get(change.actuator)
        if known is None or known.state != change.state:  # the same state again changes neither it nor its `since`
            unit = known.unit if known else None
            self.actuators[change.actuator] = ActuatorNow(
                change.device, change.actuator, change.state, change.at, version, unit
            )
        self._seen(change.at, retained=change.retained)

    def _reading(self, change: ReadingChange, version: int) -> None:
        known = self.metrics.get(change.metric)
        self.metrics[change.metric] = advance(known, change, version, self.device.units.get(change.metric))
        if self.device.online is False and change.received_at > (self.device.status_at or 0):
            self._presence(True, version)  # traffic after `offline` proves the status wrong
        self._seen(change.received_at)

    def _presence(self, online: bool, version: int) -> None:
        if online is not self.device.online:
            self.device = replace(self.device, online=online, presence_version=version)

    def _about(self, change: AboutChange, version: int) -> None:
        self.device = replace(
            self.device,
            model=change.model if change.model is not None else self.device.model,
            firmware=change.firmware if change.firmware is not None else self.device.firmware,
            units={**self.device.units, **change.units},
            presence_version=version,
        )
        for metric, unit in change.units.items():
            known = self.metrics.get(metric)
            if known is not None and known.unit != unit:
                self.metrics[metric] = replace(known, unit=unit, version=version)
        for name, unit_of_actuator in change.actuators.items():
            actuator = self.actuators.get(name) or ActuatorNow(change.device, name, None, None, version)
            self.actuators[name] = replace(actuator, unit=unit_of_actuator, version=version)
        self._seen(change.at, retained=change.retained)

    def _seen(self, at: int, *, retained: bool = False) -> None:
        if at > self.device.last_seen and not retained:
            self.device = replace(self.device, last_seen=at)


def advance(known: SeriesNow | None, change: ReadingChange, version: int, unit: str | None = None) -> SeriesNow:
    """The series after one more reading. A late one changes its history, never the value that is shown."""
    if known is None:
        return SeriesNow(
            change.device,
            change.metric,
            unit,
            change.ts,
            change.value,
            change.received_at,
            None,
            binned((), change.ts, change.value),
            version,
        )
    bins = binned(known.bins, change.ts, change.value)
    if change.ts < known.ts:
        return replace(known, bins=bins, version=version)
    return replace(
        known,
        ts=change.ts,
        value=change.value,
        received_at=change.received_at,
        interval_ms=_interval(known, change),
        bins=bins,
        version=version,
    )


def _interval(known: SeriesNow, change: ReadingChange) -> int | None:
    """A running mean of the distances, slow enough that one gap does not hide the next."""
    distance = change.ts - known.ts
    if distance <= 0:
        return known.interval_ms
    if known.interval_ms is None:
        return distance
    if distance > 10 * known.interval_ms:  # a gap, not a new habit; a new habit convinces by repetition
        return round(known.interval_ms * 1.5)
    return round(known.interval_ms * 0.8 + distance * 0.2)


def binned(bins: tuple[Bin, ...], ts: int, value: float) -> tuple[Bin, ...]:
    """The history with one reading more: at most 60 bins of 15 seconds, by time; an older reading is left out."""
    start = ts - ts % BIN_MS
    newest = bins[-1].ts if bins else start
    oldest = max(start, newest) - (BINS - 1) * BIN_MS
    if start < oldest:
        return bins
    if bins and start < newest:
        return _inserted(bins, start, value)
    if bins and start == newest:
        return (*bins[:-1], _widened(bins[-1], value, last=True))
    kept = bins if not bins or bins[0].ts >= oldest else tuple(b for b in bins if b.ts >= oldest)
    return (*kept, Bin(start, value, value, value))


def _widened(known: Bin, value: float, *, last: bool) -> Bin:
    return Bin(known.ts, min(known.low, value), max(known.high, value), value if last else known.last)


def _inserted(bins: tuple[Bin, ...], start: int, value: float) -> tuple[Bin, ...]:
    by_start = {b.ts: b for b in bins}
    known = by_start.get(start)
    by_start[start] = Bin(start, value, value, value) if known is None else _widened(known, value, last=False)
    return tuple(by_start[ts] for ts in sorted(by_start))[-BINS:]


@dataclass(slots=True)
class Board:
    """Where the current snapshot hangs: writers update it, anyone reads it, and who asked is told of each change."""

    _current: Snapshot
    _listeners: tuple[Callable[[], None], ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _updating: threading.Lock = field(default_factory=threading.Lock)

    @property
    def current(self) -> Snapshot:
        """The snapshot that holds now."""
        return self._current

    def swap(self, snapshot: Snapshot) -> None:
        """Hang up the next one and tell the listeners. Called where there is one writer alone."""
        self._current = snapshot
        self.notify()

    def update(self, change: Callable[[Snapshot], Snapshot]) -> None:
        """Hang up what `change` makes of the current one, one writer at a time: none works on what is outdated."""
        with self._updating:
            changed = change(self._current)
            if changed is not self._current:
                self.swap(changed)

    def notify(self) -> None:
        """Tell the listeners to look: at the next snapshot, or at the server's end."""
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each swap, from the writer's thread: it must be quick. Returns what ends it."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(known for known in self._listeners if known is not listener)

        return stop
