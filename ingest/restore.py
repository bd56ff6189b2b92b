"""The snapshot as the database has it: at start, and where the worker runs elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Final

from db import commands, devices, places, readings, removal
from db.engine import Connection
from ingest.series import BIN_MS, BINS, Point, SeriesNow, grown
from ingest.snapshot import ActuatorNow, CommandNow, DeviceNow, Snapshot

#: Readings of the last quarter of an hour that are looked at for the sparklines: 200 devices of 2 metrics every second.
_HISTORY_ROWS: Final = 400_000


def snapshot(connection: Connection, previous: Snapshot, now: int) -> Snapshot:
    """All devices as stored, with what is left of their last 15 minutes, as the version after `previous`.

    `now` is UTC ms. Versions go on rising, so that a stream that knows an earlier one is told of everything.
    """
    version = previous.version + 1
    units: dict[str, dict[str, str]] = {}
    every_series = devices.every_series(connection)
    for series in every_series:
        if series.unit is not None:
            units.setdefault(series.device, {})[series.metric] = series.unit
    metrics = _metrics(connection, every_series, units, now, version)
    actuators: dict[str, dict[str, ActuatorNow]] = {}
    for actuator in devices.every_actuator(connection):
        actuators.setdefault(actuator.device, {})[actuator.name] = ActuatorNow(
            actuator.device, actuator.name, actuator.state, actuator.state_at, version, actuator.unit
        )
    found = {
        device.name: DeviceNow(
            device.name,
            device.model,
            device.firmware,
            online(device.online, device.status_at, metrics.get(device.name, {}).values()),
            device.status_at,
            device.last_seen,
            version,
            version,
            metrics.get(device.name, {}),
            actuators.get(device.name, {}),
            units.get(device.name, {}),
            status=device.online,
            presence=known.presence if (known := previous.devices.get(device.name)) is not None else "unknown",
        )
        for device in devices.every(connection)
    }
    going_on = {command.id: CommandNow(command, version) for command in commands.open_commands(connection)}
    left = version if previous.devices.keys() - found.keys() else previous.left_version
    control = version if found or going_on else previous.control_version
    removed, said = removal.removed(connection), places.every(connection)
    return Snapshot(previous.started_at, version, found, going_on, removed, left, control, said)


def online(status: bool | None, status_at: int | None, metrics: Iterable[SeriesNow]) -> bool | None:
    """Whether a device is online: as its status says, unless a reading came after an `offline`.

    Not by `last_seen`: what the broker retains of a device arrives with each of our starts.
    """
    if status is False and status_at is not None:
        return any(series.received_at > status_at for series in metrics)
    return status


def _metrics(
    connection: Connection,
    every_series: Iterable[devices.Series],
    units: dict[str, dict[str, str]],
    now: int,
    version: int,
) -> dict[str, dict[str, SeriesNow]]:
    found: dict[str, dict[str, SeriesNow]] = {}

    def grow(device: str, metric: str, points: list[Point]) -> None:
        of_device = found.setdefault(device, {})
        unit = units.get(device, {}).get(metric)
        of_device[metric] = grown(device, metric, unit, of_device.get(metric), points, version)

    names = {one.id: (one.device, one.metric) for one in every_series}
    history = readings.since(connection, list(names), now - BIN_MS * BINS, _HISTORY_ROWS)
    for series_id, rows in groupby(history, key=itemgetter(0)):
        grow(*names[series_id], [(ts, value, ts) for _, ts, value in rows])
    for row in readings.newest(connection):
        grow(row.device, row.metric, [(row.ts, row.value, row.received_at)])
    return found
