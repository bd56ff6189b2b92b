"""What is so right now, in memory: latest values, a quarter of an hour of history, who is online.

Immutable. A batch makes the next `Snapshot`, in which only what changed is new, and swaps it in whole; readers take no
lock and touch no database. A version number rises with every change, and each part carries the version it changed at,
so that a stream can ask for what is newer than what it has sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from msgspec import structs

from db.commands import Command
from db.places import Place
from ingest.presence import Presence
from ingest.rate import Rate, ended
from ingest.series import Measured, Point, SeriesNow, grown


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
class CommandNow:
    """A command that goes on, or that ended within the last minute, and the version at which it came to be so."""

    command: Command
    version: int


class DeviceNow(msgspec.Struct, frozen=True, gc=False):
    """One device. `online`: True or False as its status or its traffic says, None where it never told.

    `presence` is the word for it, which silence changes too (`standing.refreshed`).
    """

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
    units: Mapping[str, str] = {}
    rate: Rate = Rate()
    #: Readings since `rate`'s open window began.
    counted: int = 0
    #: Its last status, whatever its traffic says.
    status: bool | None = None
    presence: Presence = "unknown"

    @property
    def online_now(self) -> bool | None:
        """`online` for who reads that alone: None also while its status is old news, because its bridge is away."""
        return None if self.presence == "unknown" else self.online


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All devices by name, at one version. `started_at` (UTC ms) names the process whose versions these are.

    `commands`: by id, those that go on and those of the last minute. `removed`: devices that were deleted and not heard
    of since, with the UTC ms of that. `left_version`: at which a device left `devices` last: who knows an older one
    begins anew. `control_version`: at which a command or the state of an actuator changed last.
    """

    started_at: int
    version: int
    devices: Mapping[str, DeviceNow]
    commands: Mapping[str, CommandNow] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)
    left_version: int = 0
    control_version: int = 0
    #: What people say of devices, by name: of each that was known to the database a moment ago.
    places: Mapping[str, Place] = field(default_factory=dict)

    def commands_since(self, version: int) -> list[Command]:
        """Commands with a step newer than `version`, oldest first; all of them for 0."""
        return [now.command for now in self.commands.values() if now.version > version]

    def changed_since(self, version: int) -> list[DeviceNow]:
        """Devices with anything newer than `version`; all of them for 0."""
        return [device for device in self.devices.values() if device.version > version]


class ReadingsChange(msgspec.Struct, frozen=True, gc=False):
    """What is stored of one device, at least one reading, in order of arrival."""

    device: str
    measured: Sequence[Measured]

    @property
    def received_at(self) -> int:
        """When the last of them reached us, UTC ms."""
        return self.measured[-1][2]


class ReadingChange(msgspec.Struct, frozen=True, gc=False):
    """One stored reading."""

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


Read = ReadingsChange | ReadingChange
Change = Read | StatusChange | AboutChange | StateChange


def apply(snapshot: Snapshot, changes: Iterable[Change], *, every_reading: bool = True) -> Snapshot:
    """The next snapshot. Pure; the given one stays as it is. The same one if there is nothing to change.

    Readings are gathered by series and then taken together, after the batch's other changes: which of the two was
    first is told by their times. With `every_reading` False these are the newest of several, and no rate is known.
    """
    version = snapshot.version + 1
    known, removed = snapshot.devices, snapshot.removed
    if removed:
        changes = list(changes)
        removed = _still_removed(removed, changes)
        changes = [change for change in changes if change.device not in removed]
    read: dict[str, Sequence[Measured]] = {}
    drafts: dict[str, _Draft] = {}
    for change in changes:
        if isinstance(change, ReadingsChange):
            earlier = read.get(change.device)
            read[change.device] = change.measured if earlier is None else (*earlier, *change.measured)
        elif isinstance(change, ReadingChange):
            measured = (change.ts, ((change.metric, change.value),), change.received_at)
            read[change.device] = (*read.get(change.device, ()), measured)
        else:
            draft = drafts.get(change.device)
            if draft is None:
                draft = drafts[change.device] = _Draft.of(known.get(change.device), change.device, version)
            draft.take(change, version)
    if not read and not drafts:
        return snapshot
    # All of it anew, a few nanoseconds a device: a map that shares its parts costs more for each device that changed.
    devices = dict(known)
    for name, draft in drafts.items():
        devices[name] = draft.finished(version)
    for name, of_device in read.items():
        devices[name] = _read(devices.get(name) or _new(name, version), of_device, version, count=every_reading)
    control = version if any(draft.acted for draft in drafts.values()) else snapshot.control_version
    return replace(snapshot, version=version, devices=devices, removed=removed, control_version=control)


def _still_removed(removed: Mapping[str, int], changes: Iterable[Change]) -> Mapping[str, int]:
    """Without those that have given a sign of life since: not what the broker had kept, and no farewell."""
    back = {
        change.device
        for change in changes
        if change.device in removed
        and (change.received_at if isinstance(change, Read) else change.at) > removed[change.device]
        and (isinstance(change, Read) or not change.retained)
        and not (isinstance(change, StatusChange) and not change.online)
    }
    return {name: at for name, at in removed.items() if name not in back} if back else removed


def _new(name: str, version: int) -> DeviceNow:
    return DeviceNow(name, None, None, None, None, 0, version, version, {}, {})


def _read(device: DeviceNow, read: Sequence[Measured], version: int, *, count: bool) -> DeviceNow:
    """The device with what was read of it since, at least one reading."""
    name, units, metrics, counted = device.name, device.units, dict(device.metrics), device.counted
    received_at = max([at for _, _, at in read])
    for metric, points in _by_metric(read).items():
        metrics[metric] = grown(name, metric, units.get(metric), metrics.get(metric), points, version)
        counted += len(points)
    online, rate, presence_version = device.online, device.rate, device.presence_version
    presence = device.presence
    if online is False and received_at > (device.status_at or 0):  # traffic after `offline` proves the status wrong
        online, presence_version = True, version
    if presence != "online" and online is not False and received_at > device.last_seen:
        presence, presence_version = "online", version
    if count and not rate.since <= received_at < rate.until:
        rate, counted = ended(rate, counted, received_at), 0
        if rate.per_minute != device.rate.per_minute:
            presence_version = version
    return DeviceNow(
        name,
        device.model,
        device.firmware,
        online,
        device.status_at,
        max(device.last_seen, received_at),
        version,
        presence_version,
        metrics,
        device.actuators,
        units,
        rate,
        counted,
        device.status,
        presence,
    )


def _by_metric(read: Sequence[Measured]) -> Mapping[str, Sequence[Point]]:
    points: dict[str, list[Point]] = {}
    for ts, values, received_at in read:
        for metric, value in values:
            known = points.get(metric)
            if known is None:
                points[metric] = [(ts, value, received_at)]
            else:
                known.append((ts, value, received_at))
    return points


@dataclass(slots=True)
class _Draft:
    """A device while the reports of one batch are being applied to it."""

    device: DeviceNow
    metrics: dict[str, SeriesNow]
    actuators: dict[str, ActuatorNow]
    #: Whether one of its actuators changed.
    acted: bool = False

    @classmethod
    def of(cls, device: DeviceNow | None, name: str, version: int) -> _Draft:
        device = device or _new(name, version)
        return cls(device, dict(device.metrics), dict(device.actuators))

    def finished(self, version: int) -> DeviceNow:
        return structs.replace(self.device, version=version, metrics=self.metrics, actuators=self.actuators)

    def take(self, change: StatusChange | AboutChange | StateChange, version: int) -> None:
        match change:
            case StatusChange():
                self._status(change, version)
            case AboutChange():
                self._about(change, version)
            case StateChange():
                self._state(change, version)

    def _status(self, change: StatusChange, version: int) -> None:
        known = self.device.status_at is not None and self.device.status is change.online
        if change.retained and known:  # the same old one: what the device has done since says more
            return
        self.device = structs.replace(self.device, status=change.online, status_at=change.at)
        self._presence(change.online, version)
        self._seen(change.at, version, retained=change.retained)

    def _state(self, change: StateChange, version: int) -> None:
        known = self.actuators.get(change.actuator)
        if known is None or known.state != change.state:  # the same state again changes neither it nor its `since`
            unit = known.unit if known else None
            self.actuators[change.actuator] = ActuatorNow(
                change.device, change.actuator, change.state, change.at, version, unit
            )
            self.acted = True
        self._seen(change.at, version, retained=change.retained)

    def _presence(self, online: bool, version: int) -> None:
        word: Presence = "online" if online else "offline"
        if online is not self.device.online or word != self.device.presence:
            self.device = structs.replace(self.device, online=online, presence=word, presence_version=version)

    def _about(self, change: AboutChange, version: int) -> None:
        self.device = structs.replace(
            self.device,
            model=change.model if change.model is not None else self.device.model,
            firmware=change.firmware if change.firmware is not None else self.device.firmware,
            units={**self.device.units, **change.units},
            presence_version=version,
        )
        for metric, unit in change.units.items():
            known = self.metrics.get(metric)
            if known is not None and known.unit != unit:
                self.metrics[metric] = structs.replace(known, unit=unit, version=version)
        for name, unit_of_actuator in change.actuators.items():
            actuator = self.actuators.get(name) or ActuatorNow(change.device, name, None, None, version)
            self.actuators[name] = replace(actuator, unit=unit_of_actuator, version=version)
            self.acted = True
        self._seen(change.at, version, retained=change.retained)

    def _seen(self, at: int, version: int, *, retained: bool = False) -> None:
        if at > self.device.last_seen and not retained:
            self.device = structs.replace(self.device, last_seen=at)
            if self.device.presence != "online" and self.device.online is not False:
                self.device = structs.replace(self.device, presence="online", presence_version=version)


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
