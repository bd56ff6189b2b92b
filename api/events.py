"""What a live stream says: a snapshot, or what changed since an earlier one, as server-sent events. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from db import commands
from db.commands import CommandStatus
from ingest.presence import Presence as Word
from ingest.snapshot import DeviceNow, Snapshot

#: Devices that are encoded in one go: a millisecond or two of the interpreter, at two metrics each. Fewer would be
#: slower beside a busy worker, who takes a millisecond or more at each turn that it is given.
SLICE: Final = 500

#: Why a stream ends.
Reason = Literal["stopping", "login"]

_ID: Final = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")
_ENCODER: Final = msgspec.json.Encoder()


class Presence(msgspec.Struct, frozen=True, gc=False):
    """What a device is, whether it is there, and how much it sends: None if not known. Times are UTC ms.

    `presence` is the word for it: `online`, `late`, `offline`, `unknown`. `online`: what it said or its readings prove.
    """

    device: str
    presence: Word
    online: bool | None
    last_seen: int
    model: str | None
    firmware: str | None
    readings_per_minute: float | None


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A series' newest reading. Times are UTC ms; `interval_ms` is the usual distance, None if unknown."""

    device: str
    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int
    interval_ms: int | None


class State(msgspec.Struct, frozen=True, gc=False):
    """What an actuator reported. `since` is UTC ms."""

    device: str
    actuator: str
    state: str | None
    since: int | None
    unit: str | None


class Step(msgspec.Struct, frozen=True, gc=False):
    """A step of a command: when (UTC ms), and by what it is known, which names nobody."""

    status: CommandStatus
    at: int
    evidence: str


class Command(msgspec.Struct, frozen=True, gc=False):
    """What is asked of an actuator, and all its steps so far. Who asked is not told: a reader may be anybody."""

    id: str
    device: str
    actuator: str
    state: str
    status: CommandStatus
    made_at: int
    deadline_at: int
    steps: list[Step]


class End(msgspec.Struct, frozen=True):
    """The server ends this stream: it is stopping, or the login that the stream was opened with has ended."""

    reason: Reason = "stopping"


def flush(snapshot: Snapshot, since: int | None) -> Iterator[bytes]:
    """What a client has to hear that knows version `since`, or nothing if that is None, as it goes over the wire.

    A slice of devices at a time, and commands last, so that whoever takes them can let others have a turn in between.
    The last event alone carries the new id, so a client that was cut off in between resumes from before it. The whole
    state begins with an id whose version is 0: what the client had before counts no more. A device that was deleted is
    told of so.
    """
    if since is not None and since < snapshot.left_version:
        since = None
    held, told = b"", 0  # one part is held back: the last one that says something has to carry the id
    for number, (text, count) in enumerate(_parts(snapshot, since)):
        part = _id(snapshot, 0) + text if since is None and number == 0 else text
        if held and part:
            yield held
        held, told = part or held, told + count
    if since is not None or told > 1:
        if held:
            yield held[:-1] + _id(snapshot) + b"\n"
    elif told == 1:  # it would need two ids
        yield held + _id(snapshot) + b"\n"
    else:
        yield _id(snapshot, 0) + b"\n"


def end(reason: Reason = "stopping") -> bytes:
    """The last event of a stream."""
    return _events("end", [End(reason)])


def resume_from(last_event_id: str | None, snapshot: Snapshot) -> int | None:
    """The version a client knows, None if it has to begin anew: no id, another process's, or none we gave."""
    match = _ID.fullmatch(last_event_id or "")
    if match is None or int(match[1]) != snapshot.started_at:
        return None
    version = int(match[2])
    return version if 0 < version <= snapshot.version else None


def _parts(snapshot: Snapshot, since: int | None) -> Iterator[tuple[bytes, int]]:
    """Some events after the other, and how many: slices of devices, then commands."""
    devices = _by_name(snapshot) if since is None else snapshot.changed_since(since)
    version = -1 if since is None else since
    for first in range(0, len(devices), SLICE):
        yield _encoded(devices[first : first + SLICE], version)
    if snapshot.control_version > version:
        changed = [_command(one.command) for one in snapshot.commands.values() if one.version > version]
        yield _events("command", changed), len(changed)


def _command(command: commands.Command) -> Command:
    return Command(
        command.id,
        command.device,
        command.actuator,
        command.state,
        command.status,
        command.made_at,
        command.deadline_at,
        [Step(one.status, one.at, one.evidence) for one in command.steps],
    )


def _by_name(snapshot: Snapshot) -> list[DeviceNow]:
    return [device for _, device in sorted(snapshot.devices.items())]


def _id(snapshot: Snapshot, version: int | None = None) -> bytes:
    """The line with `<process start>-<version>`, of the snapshot's own version unless another is given."""
    return b"id: %d-%d\n" % (snapshot.started_at, snapshot.version if version is None else version)


def _encoded(devices: Iterable[DeviceNow], since: int) -> tuple[bytes, int]:
    """What is newer in these devices, and how many events that is: first who is there, then what they say."""
    presences = [
        Presence(
            device.name,
            device.presence,
            device.online_now,
            device.last_seen,
            device.model,
            device.firmware,
            device.rate.per_minute,
        )
        for device in devices
        if device.presence_version > since
    ]
    readings = [
        Reading(one.device, one.metric, one.unit, one.ts, one.value, one.received_at, one.interval_ms)
        for device in devices
        for one in device.metrics.values()
        if one.version > since
    ]
    states = [
        State(one.device, one.name, one.state, one.since, one.unit)
        for device in devices
        for one in device.actuators.values()
        if one.version > since
    ]
    text = _events("presence", presences) + _events("reading", readings) + _events("state", states)
    return text, len(presences) + len(readings) + len(states)


def _events(name: str, data: Sequence[msgspec.Struct]) -> bytes:
    """One event each, with the empty line that ends it. All are encoded at once: a tenth of what one by one takes."""
    if not data:
        return b""
    head = b"event: %s\ndata: " % name.encode()
    lines = _ENCODER.encode_lines(data)  # JSON escapes line breaks, so a line is one event's data
    return head + lines[:-1].replace(b"\n", b"\n\n" + head) + b"\n\n"
