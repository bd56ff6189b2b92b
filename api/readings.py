"""Readings: the latest, the last records, and a range of history."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.auth import READER, who
from api.current import TheRuntime, device_now, devices_now
from api.gaps import gaps
from api.problems import unknown, wrong_field
from api.times import ALLOWED, parse_time, parse_zone
from db import devices, readings, records
from db.engine import Connection, reading, snapshot
from db.records import Record
from ingest.snapshot import DeviceNow
from ingest.vitals import now_ms
from runtime import Runtime

router = APIRouter(tags=["readings"])

#: Raw readings in one answer, over all its series.
MOST_POINTS: Final = 100_000
MOST_DEVICES: Final = 100
_HOUR_MS: Final = 3_600_000
_DHT22: Final = ("temperature", "humidity")


class Latest(BaseModel):
    """A device's newest temperature and humidity, null where it has none; times of the newer one, UTC ms."""

    device: str
    temperature: float | None
    humidity: float | None
    ts: int
    received_at: int


class Point(BaseModel):
    """One reading, or a bucket of them: UTC ms, how many, and their mean, lowest and highest value."""

    ts: int
    n: int
    mean: float
    min: float
    max: float


class Gap(BaseModel):
    """A stretch of more than three usual intervals between two readings, whose UTC ms these are."""

    start: int = Field(serialization_alias="from")
    end: int = Field(serialization_alias="to")


class SeriesReadings(BaseModel):
    """A series in a range. `bucket_ms` is null for raw readings."""

    device: str
    metric: str
    unit: str | None
    resolution: Literal["raw"]
    bucket_ms: int | None
    points: list[Point]
    gaps: list[Gap]


@dataclass(frozen=True, slots=True)
class Range:
    """From `start` to before `end`, UTC ms."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Series to read, and whether that is one by name and so answered as one object."""

    series: Sequence[devices.Series]
    single: bool


class Asked(BaseModel):
    """What `/readings/` takes."""

    device: list[str] = Field(description="One or several, repeated or with commas between")
    metric: list[str] = Field(default=[], description="The same; all metrics of the devices without")
    start: str | None = Field(default=None, alias="from", description=f"{ALLOWED}; an hour before `to` without")
    end: str = Field(default="now", alias="to", description=f"Not included; {ALLOWED}")
    points: int = Field(default=1000, ge=1, le=MOST_POINTS, description="Without effect on raw readings")
    resolution: str = Field(default="auto", description="raw, or auto, which is raw for now")
    tz: str = Field(default="UTC", description="Zone of times that name none, such as Europe/Berlin")


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


@router.get(
    "/readings/",
    summary="A range of one series or several",
    dependencies=[who(READER)],
    responses={
        400: {"description": "A parameter can't be used"},
        404: {"description": "No such device or metric"},
        503: {"description": "The database is away"},
    },
)
def history(runtime: TheRuntime, asked: Annotated[Asked, Query()]) -> SeriesReadings | list[SeriesReadings]:
    """One object where one device and one metric are named, else a list. At most 100,000 readings in all."""
    if asked.resolution not in ("raw", "auto"):
        raise wrong_field("resolution", "is not available; allowed for now: raw, auto")
    span = _range(asked)
    with reading(runtime.engine) as connection:
        wanted = _wanted(runtime, connection, asked)
        found = _read(connection, wanted.series, span)
    return found[0] if wanted.single else found


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


def _range(asked: Asked) -> Range:
    now = now_ms()
    field = "tz"
    try:
        zone = parse_zone(asked.tz)
        field = "to"
        end = parse_time(asked.end or "now", now, zone)
        field = "from"
        start = parse_time(asked.start, now, zone) if asked.start else end - _HOUR_MS
    except ValueError as error:
        raise wrong_field(field, str(error)) from error
    if start >= end:
        raise wrong_field("from", "is not before to")
    return Range(start, end)


def _wanted(runtime: Runtime, connection: Connection, asked: Asked) -> Wanted:
    """The series that were asked for, in the order of their names there. Raises ProblemError 400, 404, 503."""
    names = _split(asked.device)
    if not 0 < len(names) <= MOST_DEVICES:
        raise wrong_field("device", f"names {len(names)} devices; allowed: 1 to {MOST_DEVICES}, with commas between")
    found: list[devices.Series] = []
    for name in names:
        own = devices.every_series(connection, name)
        if not own:
            device_now(runtime, name)  # a device without a metric is known all the same
        found += own
    known = {series.metric for series in found}
    metrics = _split(asked.metric, known)
    for metric in metrics:
        if metric not in known:
            raise unknown(f"metric {metric!r} of {', '.join(names)}")
    if metrics:
        found = [series for metric in metrics for series in found if series.metric == metric]
        found.sort(key=lambda series: names.index(series.device))
    return Wanted(found, len(names) == 1 and len(metrics) == 1)


def _split(given: Sequence[str], whole: Container[str] = ()) -> list[str]:
    """Names, each once, split at commas unless in `whole`: a metric's name may hold a comma, a device's can't."""
    parts = [part for one in given for part in ([one] if one in whole else one.split(","))]
    return list(dict.fromkeys(part for part in parts if part))


def _read(connection: Connection, wanted: Sequence[devices.Series], span: Range) -> list[SeriesReadings]:
    found: list[SeriesReadings] = []
    left = MOST_POINTS
    for series in wanted:
        frame = readings.frame(connection, series.id, span.start, span.end, left + 1)
        left -= len(frame)
        if left < 0:
            raise wrong_field("from", f"and to span more than {MOST_POINTS:,} readings; ask for a shorter range")
        times = frame["time"].astype("int64").tolist()
        values = frame["value"].tolist()
        found.append(
            SeriesReadings(
                device=series.device,
                metric=series.metric,
                unit=series.unit,
                resolution="raw",
                bucket_ms=None,
                points=[
                    Point(ts=ts, n=1, mean=value, min=value, max=value) for ts, value in zip(times, values, strict=True)
                ],
                gaps=[Gap(start=before, end=after) for before, after in gaps(times)],
            )
        )
    return found
