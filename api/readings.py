"""Temperature and humidity as the first clients knew them: the latest, and the last records."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.auth import READER, who
from api.current import TheRuntime, device_now, devices_now
from api.problems import unknown
from db import records
from db.engine import snapshot
from db.records import Record
from ingest.snapshot import DeviceNow

router = APIRouter(tags=["readings"])

_DHT22: Final = ("temperature", "humidity")


class Latest(BaseModel):
    """A device's newest temperature and humidity, null where it has none; times of the newer one, UTC ms."""

    device: str
    temperature: float | None
    humidity: float | None
    ts: int
    received_at: int


@router.get(
    "/dht22_db/",
    summary="The latest temperature and humidity",
    dependencies=[who(READER)],
    responses={404: {"description": "No such device, or it measures neither"}, 503: {"description": "Starting"}},
)
def latest(
    runtime: TheRuntime, device: Annotated[str | None, Query(description="One device; a list of all without")] = None
) -> Latest | list[Latest]:
    """From memory; answers while the database is away. The list leaves out devices that measure neither."""
    if device:
        found = _latest(device_now(runtime, device))
        if found is None:
            raise unknown(f"temperature or humidity of device {device!r}")
        return found
    every = (_latest(one) for _, one in sorted(devices_now(runtime).items()))
    return [one for one in every if one is not None]


@router.get(
    "/show_dht22_db/",
    summary="The last records of temperature and humidity",
    dependencies=[who(READER)],
    responses={404: {"description": "No such device"}, 503: {"description": "The database is away"}},
)
def last_records(
    runtime: TheRuntime,
    device: Annotated[str | None, Query(description="One device; all without")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[Record]:
    """Newest first, one record a device and time."""
    with snapshot(runtime.engine) as connection:
        found = records.records(connection, device or None, limit)
    if device and not found:
        device_now(runtime, device)  # a device without records is known all the same
    return found


def _latest(device: DeviceNow) -> Latest | None:
    temperature, humidity = (device.metrics.get(metric) for metric in _DHT22)
    known = [one for one in (temperature, humidity) if one is not None]
    if not known:
        return None
    newest = max(known, key=lambda one: one.ts)
    return Latest(
        device=device.name,
        temperature=temperature.value if temperature else None,
        humidity=humidity.value if humidity else None,
        ts=newest.ts,
        received_at=newest.received_at,
    )
