"""The snapshot as the database has it: at start, and where the worker runs elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from db import devices, readings
from db.engine import Connection
from ingest.snapshot import BIN_MS, BINS, ActuatorNow, DeviceNow, ReadingChange, SeriesNow, Snapshot, advance

#: Readings of the last quarter of an hour that are looked at for the sparklines: 200 devices of 2 metrics every second.
_HISTORY_ROWS: Final = 400_000


def snapshot(connection: Connection, previous: Snapshot, now: int) -> Snapshot:
    """All devices as stored, with what is left of their last 15 minutes, as the version after `previous`.

    `now` is UTC ms. Versions go on rising, so that a stream that knows an earlier one is told of everything.
    """
    version = previous.version + 1
    units: dict[str, dict[str, str]] = {}
    for series in devices.every_series(connection):
        if series.unit is not None:
            units.setdefault(series.device, {})[series.metric] = series.unit
    metrics = _metrics(connection, units, now, version)
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
        )
        for device in devices.every(connection)
    }
    return Snapshot(previous.started_at, version, found)


def online(status: bool | None, status_at: int | None, metrics: Iterable[SeriesNow]) -> bool | None:
    """Whether a device is online: as its status says, unless a reading came after an `offline`.

    Not by `last_seen`: what the broker retains of a device arrives with each of our starts.
    """
    if status is False and status_at is not None:
        return any(series.received_at > status_at for series in metrics)
    return status


def _metrics(
    connection: Connection, units: dict[str, dict[str, str]], now: int, version: int
) -> dict[str, dict[str, SeriesNow]]:
    found: dict[str, dict[str, SeriesNow]] = {}
    for device, metric, ts, value in readings.since(connection, now - BIN_MS * BINS, _HISTORY_ROWS):
        known = found.setdefault(device, {})
        change = ReadingChange(device, metric, ts, value, ts)
        known[metric] = advance(known.get(metric), change, version, units.get(device, {}).get(metric))
    for reading in readings.newest(connection):
        known = found.setdefault(reading.device, {})
        change = ReadingChange(reading.device, reading.metric, reading.ts, reading.value, reading.received_at)
        known[reading.metric] = advance(known.get(reading.metric), change, version, reading.unit)
    return found
