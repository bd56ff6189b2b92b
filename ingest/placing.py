"""What an admin says of a device, or that it is deleted, on the board of this process at once.

Elsewhere it is seen when the board is filled from the database: names, places and deletions within a second, units and
actuators by the follower as soon, by a worker's own server at its next start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from db import devices, places, removal
from db.engine import Connection, Engine, reading
from db.places import Place
from ingest import standing
from ingest.snapshot import ActuatorNow, Board, DeviceNow, Snapshot


@dataclass(frozen=True, slots=True)
class Described:
    """What is stored of a device beside its readings. `last_seen` is UTC ms; units by metric, and by actuator."""

    place: Place
    last_seen: int
    units: Mapping[str, str]
    actuators: Mapping[str, str | None]


def show(engine: Engine, board: Board, device: str) -> None:
    """Read anew what is said of a device, and put it on the board, or take the device off. Raises DatabaseAway."""
    with reading(engine) as connection:
        described = _read(connection, device)
        removed = removal.removed(connection) if described is None else {}
    if described is None:
        board.update(lambda current: standing.without(current, {**current.removed, **removed}))
    else:
        found = described
        board.update(lambda current: with_description(current, found))


def _read(connection: Connection, device: str) -> Described | None:
    place = places.of(connection, device)
    if place is None:
        return None
    units = {one.metric: one.unit for one in devices.every_series(connection, device) if one.unit is not None}
    actuators = {one.name: one.unit for one in devices.every_actuator(connection) if one.device == device}
    return Described(place, devices.last_seen(connection, device) or 0, units, actuators)


def with_description(snapshot: Snapshot, described: Described) -> Snapshot:
    """The next snapshot, with the device as it is described. Pure.

    Streams are not told of an actuator that is gone, so those that knew it begin anew.
    """
    version, name = snapshot.version + 1, described.place.device
    device = snapshot.devices.get(name)
    if device is None:
        device = DeviceNow(name, None, None, None, None, described.last_seen, version, version, {}, {})
    units = described.units
    metrics = {
        metric: now if now.unit == units.get(metric) else structs.replace(now, unit=units.get(metric), version=version)
        for metric, now in device.metrics.items()
    }
    actuators = {actuator: _actuator(device, actuator, unit, version) for actuator, unit in described.actuators.items()}
    changed = structs.replace(
        device, units=units, metrics=metrics, actuators=actuators, version=version, presence_version=version
    )
    return replace(
        snapshot,
        version=version,
        devices={**snapshot.devices, name: changed},
        removed={removed: at for removed, at in snapshot.removed.items() if removed != name},
        places={**snapshot.places, name: described.place},
        left_version=version if device.actuators.keys() - actuators.keys() else snapshot.left_version,
        control_version=version if actuators != device.actuators else snapshot.control_version,
    )


def _actuator(device: DeviceNow, name: str, unit: str | None, version: int) -> ActuatorNow:
    known = device.actuators.get(name)
    if known is None:
        return ActuatorNow(device.name, name, None, None, version, unit)
    return known if known.unit == unit else replace(known, unit=unit, version=version)
