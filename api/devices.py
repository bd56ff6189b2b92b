"""`/devices/` and `/series/`: what there is, and what it says now. Admins make, describe and delete devices."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.auth import READER, Admin, Caller, who
from api.broker_logins import BrokerLogin, end_login, new_login
from api.current import TheRuntime, device_now, devices_now
from api.problems import AWAY, FieldError, ProblemError
from db import devices, places, removal
from db.devices import ActuatorAbout
from db.engine import Connection, reading, write
from db.places import Place, PlaceChange
from db.rights import BadField
from db.targets import UnknownTarget
from ingest import placing
from ingest.dialects import topics
from ingest.presence import Presence
from ingest.snapshot import DeviceNow, Snapshot
from ingest.vitals import now_ms
from runtime import Runtime

router = APIRouter(tags=["devices"])

_NO_SUCH: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "No such device"}}
_MOST_AT_ONCE: Final = 500

Name = Annotated[str, Path(max_length=200, description="Its name; with a site it holds a slash: `site1/kitchen`")]
Text = Annotated[str | None, Field(max_length=1000)]


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
    """A device. `name` is how people call it, `device` without such a name.

    `presence`: `online`, `late` (silent for three times as long as usual), `offline`, or `unknown`. `online` is what it
    said or its readings prove, null where it never told. `last_seen` is UTC ms of its last message of any kind, 0
    before the first.
    """

    device: str
    name: str
    presence: Presence
    online: bool | None
    last_seen: int
    model: str | None
    firmware: str | None
    site: str | None
    area: str | None
    notes: str | None
    hidden: bool
    readings_per_minute: float | None
    metrics: list[MetricNow]
    actuators: list[ActuatorState]


class Said(BaseModel):
    """What people say of a device. What is left out, or null, stays as it is; an empty text takes it away."""

    name: Text = Field(default=None, description="How pages call it")
    site: Text = None
    area: Text = None
    notes: Text = None
    hidden: bool | None = Field(default=None, description="Pages leave it out")


class Actuator(BaseModel):
    """An actuator that the device does not tell of itself, or another range. With a range, step or unit: of numbers."""

    name: str = Field(max_length=200)
    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)
    step: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    unit: str | None = Field(default=None, max_length=200)


class NewDevice(Said):
    """A device that has not sent anything yet."""

    device: str = Field(max_length=200, description="What it calls itself in its topics; with a site: `site1/kitchen`")
    login: bool = Field(
        default=True, description="Make its login at the broker too, where this server makes logins; not for HTTP alone"
    )
    actuators: list[Actuator] = Field(default=[], max_length=_MOST_AT_ONCE)


class MadeDevice(Device):
    """A new device, the token by which it may report by HTTP, and its login at the broker; both are shown this once.

    `mqtt` is null where this server makes no logins, or none was asked for.
    """

    token: str
    hint: str
    mqtt: BrokerLogin | None


class Change(Said):
    """What shall be different."""

    units: dict[str, str] = Field(
        default={}, max_length=_MOST_AT_ONCE, description="By metric; an empty text takes it away"
    )
    actuators: list[Actuator] = Field(default=[], max_length=_MOST_AT_ONCE)
    remove_actuators: list[str] = Field(
        default=[], max_length=_MOST_AT_ONCE, description="By name. One that its device tells of comes back"
    )


class Deleting(BaseModel):
    """A device that is gone. Its readings go in the background, and are counted."""

    device: str


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
    known = devices_now(runtime)
    snapshot = runtime.board.current
    return [Device(**_shown(snapshot, device)) for _, device in sorted(known.items())]


@router.get(
    "/devices/{device:path}/",
    summary="One device with its latest values",
    dependencies=[who(READER)],
    responses=_NO_SUCH | {503: {"description": "Starting"}},
)
def show_device(runtime: TheRuntime, device: str) -> Device:
    """From memory; answers while the database is away. A name may hold a slash, such as `site1/kitchen`."""
    return Device(**_shown(runtime.board.current, device_now(runtime, device)))


@router.post(
    "/devices/",
    summary="Make a device",
    status_code=201,
    responses={
        409: {"description": "There is one of that name, or a login"},
        503: {"description": "The database or the broker is away; nothing was made"},
    },
)
def make_device(runtime: TheRuntime, caller: Admin, response: Response, new: NewDevice) -> MadeDevice:
    """Before it has sent anything. Its token and its login at the broker are shown in this answer alone.

    A device by MQTT needs no token, one by HTTP no login (`"login": false`). If the login can't be made, nothing is.
    """
    _check(new.device, new.actuators, runtime)
    with new_login(runtime, caller, new.device) if new.login else nullcontext() as login:
        _found(lambda: write(runtime.engine, _maker(runtime, caller, new)))
        made, token = runtime.doors.create_device_token(caller.actor(), new.device)
        shown = _stored(runtime, new.device)
    response.headers["Cache-Control"] = "no-store"
    return MadeDevice(**shown, token=token, hint=made.hint, mqtt=login)


def _maker(runtime: Runtime, caller: Caller, new: NewDevice) -> Callable[[Connection], None]:
    key, actor, now = runtime.doors.key("audit"), caller.actor(), now_ms()

    def make(connection: Connection) -> None:
        places.make(connection, key, new.device, _changes(new), by=actor, at=now)
        for actuator in new.actuators:
            places.add_actuator(connection, key, new.device, _about(actuator), by=actor, at=now)

    return make


@router.patch("/devices/{device:path}/", summary="Describe a device", responses=_NO_SUCH | AWAY)
def change_device(runtime: TheRuntime, caller: Admin, device: Name, change: Change) -> Device:
    """All of it or nothing. It stands in the audit log."""
    _check(None, change.actuators, runtime)
    key, actor, now = runtime.doors.key("audit"), caller.actor(), now_ms()

    def describe(connection: Connection) -> None:
        places.change(connection, key, device, _changes(change), by=actor, at=now)
        if change.units:
            places.set_units(connection, key, device, change.units, by=actor, at=now)
        for actuator in change.actuators:
            places.add_actuator(connection, key, device, _about(actuator), by=actor, at=now)
        for name in change.remove_actuators:
            places.remove_actuator(connection, key, device, name, by=actor, at=now)

    _found(lambda: write(runtime.engine, describe))
    return Device(**_stored(runtime, device))


@router.delete(
    "/devices/{device:path}/",
    summary="Delete a device with its data",
    status_code=202,
    responses=_NO_SUCH | {503: {"description": "The database or the broker is away"}},
)
def delete_device(runtime: TheRuntime, caller: Admin, device: Name) -> Deleting:
    """It is gone at once, with its token; its open commands fail. Its readings go in the background, and are counted.

    Its login at the broker ends first: if that can't be done now, nothing is deleted (503). A device that goes on
    sending all the same is there again, with what it sends from then on.
    """
    end_login(runtime, caller, device)
    key, actor, now = runtime.doors.key("audit"), caller.actor(), now_ms()

    def remove(connection: Connection) -> None:
        removal.ask(connection, key, device, by=actor, at=now)

    _found(lambda: write(runtime.engine, remove))
    placing.show(runtime.engine, runtime.board, device)
    runtime.nudge_commands()
    return Deleting(device=device)


@router.get(
    "/series/",
    summary="Which metrics there are",
    dependencies=[who(READER)],
    responses=_NO_SUCH | AWAY,
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


def _check(device: str | None, actuators: list[Actuator], runtime: Runtime) -> None:
    """Raise ProblemError 422 for names that can't stand in a topic."""
    field = "device"
    try:
        if device is not None:
            topics.telemetry(device, runtime.settings.topic_root)
        field = "actuators"
        for actuator in actuators:
            topics.checked_actuator(actuator.name)
    except topics.UnknownTopic as error:
        raise ProblemError(422, f"{error}.", [FieldError(field=field, detail=str(error))]) from None


def _found(what: Callable[[], None]) -> None:
    """Raises ProblemError 404 where there is no such device, or actuator; 422 for a text that can't be."""
    try:
        what()
    except UnknownTarget as error:
        raise ProblemError(404, str(error), [FieldError(field=error.field, detail=str(error))]) from None
    except BadField as error:
        field = "name" if error.field == "label" else error.field
        raise ProblemError(422, str(error), [FieldError(field=field, detail=str(error))]) from None


def _changes(said: Said) -> PlaceChange:
    return PlaceChange(said.name, said.site, said.area, said.notes, said.hidden)


def _about(actuator: Actuator) -> ActuatorAbout:
    return ActuatorAbout(actuator.name, actuator.min, actuator.max, actuator.step, actuator.unit)


def _stored(runtime: Runtime, device: str) -> dict[str, Any]:
    """A device as it is stored from now on, which all see."""
    placing.show(runtime.engine, runtime.board, device)
    return _shown(runtime.board.current, device_now(runtime, device))


def _shown(snapshot: Snapshot, device: DeviceNow) -> dict[str, Any]:
    """The fields of `Device`."""
    place = snapshot.places.get(device.name, Place(device.name))
    return {
        "device": device.name,
        "name": place.shown_name,
        "presence": device.presence,
        "online": device.online_now,
        "last_seen": device.last_seen,
        "model": device.model,
        "firmware": device.firmware,
        "site": place.site,
        "area": place.area,
        "notes": place.notes,
        "hidden": place.hidden,
        "readings_per_minute": device.rate.per_minute,
        "metrics": [
            MetricNow(metric=name, unit=now.unit, ts=now.ts, value=now.value, received_at=now.received_at)
            for name, now in sorted(device.metrics.items())
        ],
        "actuators": [
            ActuatorState(name=name, state=now.state, since=now.since, unit=now.unit)
            for name, now in sorted(device.actuators.items())
        ],
    }
