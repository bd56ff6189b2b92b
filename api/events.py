"""What a live stream says: a snapshot, or what changed since an earlier one, as server-sent events. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from ingest.snapshot import DeviceNow, Snapshot

_ID: Final = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")


@dataclass(frozen=True, slots=True)
class Presence:
    """What a device is and whether it is there. Times are UTC ms."""

    device: str
    online: bool | None
    last_seen: int
    model: str | None
    firmware: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A series' newest reading. Times are UTC ms; `interval_ms` is the usual distance, None if unknown."""

    device: str
    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int
    interval_ms: int | None


@dataclass(frozen=True, slots=True)
class State:
    """What an actuator reported. `since` is UTC ms."""

    device: str
    actuator: str
    state: str | None
    since: int | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class End:
    """The server ends this stream."""

    reason: Literal["stopping"] = "stopping"


Data = Presence | Reading | State | End
_NAMES: Final[dict[type[Data], str]] = {Presence: "presence", Reading: "reading", State: "state", End: "end"}


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Without data it only moves the id from which a client resumes."""

    data: Data | None
    id: str | None = None

    @property
    def name(self) -> str | None:
        """`presence`, `reading`, `state` or `end`."""
        return None if self.data is None else _NAMES[type(self.data)]

    def encode(self) -> bytes:
        """As it goes over the wire, with the empty line that ends it."""
        lines = b"" if self.id is None else b"id: %s\n" % self.id.encode()
        if self.data is not None:
            # JSON escapes line breaks, so the data is always one line.
            lines += b"event: %s\ndata: %s\n" % (_NAMES[type(self.data)].encode(), msgspec.json.encode(self.data))
        return lines + b"\n"


def events(snapshot: Snapshot, since: int | None) -> list[Event]:
    """What a client has to hear that knows version `since`, or nothing if that is None.

    The last event alone carries the new id, so a client that was cut off in between resumes from before it. The whole
    state begins with an id whose version is 0: what the client had before counts no more.
    """
    if since is None:
        return _whole(snapshot)
    found = [Event(data) for device in snapshot.changed_since(since) for data in _newer(device, since)]
    if found:
        found[-1] = Event(found[-1].data, event_id(snapshot))
    return found


def resume_from(last_event_id: str | None, snapshot: Snapshot) -> int | None:
    """The version a client knows, None if it has to begin anew: no id, another process's, or none we gave."""
    match = _ID.fullmatch(last_event_id or "")
    if match is None or int(match[1]) != snapshot.started_at:
        return None
    version = int(match[2])
    return version if 0 < version <= snapshot.version else None


def event_id(snapshot: Snapshot, version: int | None = None) -> str:
    """`<process start>-<version>`, of the snapshot's own version unless another is given."""
    return f"{snapshot.started_at}-{snapshot.version if version is None else version}"


def encode(found: Iterable[Event]) -> bytes:
    """Several events as they go over the wire."""
    return b"".join([event.encode() for event in found])


def _whole(snapshot: Snapshot) -> list[Event]:
    everything = [data for _, device in sorted(snapshot.devices.items()) for data in _newer(device, -1)]
    begin, end = event_id(snapshot, 0), event_id(snapshot)
    if not everything:
        return [Event(None, begin)]
    if len(everything) == 1:  # it would need two ids
        return [Event(everything[0], begin), Event(None, end)]
    first, *between, last = everything
    return [Event(first, begin), *(Event(data) for data in between), Event(last, end)]


def _newer(device: DeviceNow, since: int) -> Iterator[Data]:
    if device.presence_version > since:
        yield Presence(device.name, device.online, device.last_seen, device.model, device.firmware)
    for series in device.metrics.values():
        if series.version > since:
            yield Reading(
                series.device,
                series.metric,
                series.unit,
                series.ts,
                series.value,
                series.received_at,
                series.interval_ms,
            )
    for actuator in device.actuators.values():
        if actuator.version > since:
            yield State(actuator.device, actuator.name, actuator.state, actuator.since, actuator.unit)
