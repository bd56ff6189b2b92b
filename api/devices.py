"""`/devices/` and `/series/`: what there is, and what it says now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.auth import READER, who
from api.current import TheRuntime, device_now, devices_now
from db import devices
from db.engine import reading
from ingest.snapshot import DeviceNow

router = APIRouter(tags=["devices"])


class MetricNow(BaseModel):
    """A metric's newest reading. `ts` is the device's time, `received_at` ours, both UTC ms."""

    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int


class ActuatorState(BaseModel):
    """What an actuator reported last: `ON`, `OFF` or a number as text; null where it never did. `since` is UTC ms."""

    name: str
    state: str | None
    since: int | None
    unit: str | None


class Device(BaseModel):
    """A device. `online` is null where it never told; `last_seen` is UTC ms of its last message of any kind."""

    device: str
    name: str
    online: bool | None
    last_seen: int
    model: str | None
    firmware: str | None
    metrics: list[MetricNow]
    actuators: list[ActuatorState]


class Series(BaseModel):
    """A metric of a device. `name` is what people call it, null where nobody named it."""

    device: str
    metric: str
    unit: str | None
    name: str | None


@router.get(
    "/devices/",
    summary="All devices with their latest values",
    dependencies=[who(READER)],
    responses={503: {"description": "Starting"}},
)
def list_devices(runtime: TheRuntime) -> list[Device]:
    """From memory, by name; answers while the database is away."""
    return [_device(device) for _, device in sorted(devices_now(runtime).items())]


@router.get(
    "/devices/{device:path}/",
    summary="One device with its latest values",
    dependencies=[who(READER)],
    responses={404: {"description": "No such device"}, 503: {"description": "Starting"}},
)
def show_device(runtime: TheRuntime, device: str) -> Device:
    """From memory; answers while the database is away. A name may hold a slash, such as `site1/kitchen`."""
    return _device(device_now(runtime, device))


@router.get(
    "/series/",
    summary="Which metrics there are",
    dependencies=[who(READER)],
    responses={404: {"description": "No such device"}, 503: {"description": "The database is away"}},
)
def list_series(
    runtime: TheRuntime, device: Annotated[str | None, Query(description="Only this device's")] = None
) -> list[Series]:
    """By device and metric."""
    with reading(runtime.engine) as connection:
        found = devices.every_series(connection, device or None)
    if device and not found:
        device_now(runtime, device)  # a device without a metric is known all the same
    return [Series(device=one.device, metric=one.metric, unit=one.unit, name=one.name) for one in found]


def _device(device: DeviceNow) -> Device:
    return Device(
        device=device.name,
        name=device.name,
        online=device.online,
        last_seen=device.last_seen,
        model=device.model,
        firmware=device.firmware,
        metrics=[
            MetricNow(metric=name, unit=now.unit, ts=now.ts, value=now.value, received_at=now.received_at)
            for name, now in sorted(device.metrics.items())
        ],
        actuators=[
            ActuatorState(name=name, state=now.state, since=now.since, unit=now.unit)
            for name, now in sorted(device.actuators.items())
        ],
    )
