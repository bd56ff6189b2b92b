"""What changes the snapshot beside batches: commands, devices that are deleted, and the silence of others. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from msgspec import structs

from db.bridges import Bridge
from db.commands import Command
from db.places import Place
from db.polls import Poll
from ingest.presence import Signs, judge
from ingest.snapshot import CommandNow, DeviceNow, Snapshot


def with_commands(snapshot: Snapshot, commands: Iterable[Command], ended_before: int) -> Snapshot:
    """The next snapshot, with these commands as they are now, without those that ended before that (UTC ms). Pure."""
    version = snapshot.version + 1
    kept = {
        now.command.id: now
        for now in snapshot.commands.values()
        if (ended := now.command.ended_at) is None or ended >= ended_before
    }
    changed = len(kept) != len(snapshot.commands)
    for command in commands:
        known = kept.get(command.id)
        ended = command.ended_at
        if ended is not None and ended < ended_before:  # it may be shown as one that goes on
            changed = kept.pop(command.id, None) is not None or changed
        elif known is None or known.command != command:
            kept[command.id] = CommandNow(command, version)
            changed = True
    if not changed:
        return snapshot
    return replace(snapshot, version=version, commands=kept, control_version=version)


def with_commands_of(snapshot: Snapshot, ids: Container[str]) -> Snapshot:
    """The next snapshot, without commands that have other ids than these. Pure."""
    kept = {command_id: now for command_id, now in snapshot.commands.items() if command_id in ids}
    if len(kept) == len(snapshot.commands):
        return snapshot
    version = snapshot.version + 1
    return replace(snapshot, version=version, commands=kept, control_version=version)


def without(snapshot: Snapshot, removed: Mapping[str, int]) -> Snapshot:
    """The next snapshot, in which these devices, by name with the UTC ms of it, are the deleted ones. Pure.

    One that was heard of after that stays. Streams that know an older version than `left_version` begin anew.
    """
    gone = {
        name: at
        for name, at in removed.items()
        if (device := snapshot.devices.get(name)) is None or device.last_seen <= at
    }
    if gone == snapshot.removed:
        return snapshot
    version = snapshot.version + 1
    devices = {name: device for name, device in snapshot.devices.items() if name not in gone}
    left = version if len(devices) < len(snapshot.devices) else snapshot.left_version
    return replace(snapshot, version=version, devices=devices, removed=gone, left_version=left)


def with_places(snapshot: Snapshot, places: Mapping[str, Place]) -> Snapshot:
    """The next snapshot, with what people say of devices. Pure; the same one if that is known."""
    return snapshot if places == snapshot.places else replace(snapshot, version=snapshot.version + 1, places=places)


def refreshed(
    snapshot: Snapshot,
    polls: Mapping[str, Poll],
    now: int,
    listening_since: int | None,
    bridges: Mapping[str, Bridge] | None = None,
) -> Snapshot:
    """The next snapshot, with each device's presence as it is at `now` (UTC ms). Pure; the same one if none changed.

    `polls`: the last one of each polling device. `listening_since`: from when on what devices send reaches us, None
    while it does not. `bridges`: by site, where there are any.
    """
    changed: dict[str, DeviceNow] = {}
    version = snapshot.version + 1
    for device in snapshot.devices.values():
        bridge = bridges.get(device.name.partition("/")[0]) if bridges else None
        signs = _signs(device, polls.get(device.name), bridge)
        presence = judge(signs, now, listening_since, snapshot.started_at)
        if presence != device.presence:
            changed[device.name] = structs.replace(device, presence=presence, version=version, presence_version=version)
    if not changed:
        return snapshot
    return replace(snapshot, version=version, devices={**snapshot.devices, **changed})


def _signs(device: DeviceNow, poll: Poll | None, bridge: Bridge | None) -> Signs:
    intervals = [series.interval_ms for series in device.metrics.values() if series.interval_ms is not None]
    return Signs(device.online, device.status_at, device.last_seen, min(intervals, default=None), poll, bridge)
