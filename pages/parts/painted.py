"""Devices as a component is painted from them, in the words of /api/live/'s events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from db.devices import Actuator
from ingest.presence import Presence
from ingest.series import Bin, SeriesNow
from ingest.snapshot import ActuatorNow, DeviceNow
from pages.parts.places import Named

#: What the database knows of actuators, by device and name: their ranges.
Ranges = Mapping[tuple[str, str], Actuator]


@dataclass(frozen=True, slots=True)
class PaintedActuator:
    """What it reported last, since when (UTC ms), and what it takes as far as that is known."""

    actuator: str
    state: str | None
    since: int | None
    unit: str | None
    minimum: float | None
    maximum: float | None
    step: float | None


@dataclass(frozen=True, slots=True)
class PaintedMetric:
    """Its newest value. Times are UTC ms. `bins`: 15 minutes of it, none where no curve is drawn."""

    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int
    interval_ms: int | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class PaintedDevice:
    """A device. `title`: what people call it, None by its name. `last_seen`: UTC ms."""

    device: str
    title: str | None
    area: str | None
    presence: Presence
    online: bool | None
    last_seen: int
    model: str | None
    firmware: str | None
    readings_per_minute: float | None
    metrics: list[PaintedMetric]
    actuators: list[PaintedActuator]


def painted(device: DeviceNow, named: Named, *, bins: bool, ranges: Ranges | None = None) -> PaintedDevice:
    """The device as it is now. `bins`: with 15 minutes of each metric."""
    known = ranges or {}
    return PaintedDevice(
        device.name,
        named.title,
        named.area,
        device.presence,
        device.online_now,
        device.last_seen,
        device.model,
        device.firmware,
        device.rate.per_minute,
        [_metric(one, one.bins if bins else ()) for one in device.metrics.values()],
        [_actuator(one, known.get((device.name, one.name))) for one in device.actuators.values()],
    )


def _metric(now: SeriesNow, bins: tuple[Bin, ...]) -> PaintedMetric:
    return PaintedMetric(now.metric, now.unit, now.ts, now.value, now.received_at, now.interval_ms, bins)


def _actuator(now: ActuatorNow, known: Actuator | None) -> PaintedActuator:
    minimum, maximum, step = (known.minimum, known.maximum, known.step) if known is not None else (None, None, None)
    return PaintedActuator(now.name, now.state, now.since, now.unit, minimum, maximum, step)
