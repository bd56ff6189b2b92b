"""`/devices/{device}/login/`: with what a device comes in at the broker. For admins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from api.auth import Admin, Caller
from api.current import TheRuntime
from api.problems import FieldError, ProblemError
from broker.logins import DeviceLogins, LoginExists
from broker.provisioning import Credentials
from db import places
from db.engine import reading
from db.rights import Conflict, storable
from runtime import Runtime

router = APIRouter(tags=["devices"])

_NONE_MADE: Final = (
    "This server makes no logins at a broker: set MQTT_URL, MQTT_ADMIN_USER and MQTT_ADMIN_PASSWORD, or type "
    "python -m broker device where the broker is."
)
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"description": "No such device or login, or this server makes none"},
    503: {"description": "The database or the broker is away"},
}

Name = Annotated[str, Path(max_length=200, description="Its name; with a site it holds a slash: `site1/kitchen`")]


class BrokerLogin(BaseModel):
    """With what a device logs in at the broker, and where that is. Shown this once."""

    username: str
    password: str
    client_id: str = Field(description="The broker lets it in under this one alone")
    host: str
    port: int
    tls: bool
    ca: str | None = Field(description="The certificate (PEM) by which to know the broker; null: none, or a public one")


@router.post("/devices/{device:path}/login/", summary="Give a device a login", status_code=201, responses=_ANSWERS)
def give_login(runtime: TheRuntime, caller: Admin, device: Name, response: Response) -> BrokerLogin:
    """At the broker, with a new password. One that it had stops working, and its connection ends."""
    logins = _logins(runtime)
    if not _is_there(runtime, device):
        raise _no_such(device)
    made = logins.give(device, partial(runtime.doors.note, caller.actor()))
    response.headers["Cache-Control"] = "no-store"
    return _shown(logins, made)


@router.delete("/devices/{device:path}/login/", summary="Revoke a device's login", status_code=204, responses=_ANSWERS)
def revoke_login(runtime: TheRuntime, caller: Admin, device: Name) -> None:
    """Its connection ends at once, and it is let in no more, with password or certificate."""
    _logins(runtime).revoke(device, partial(runtime.doors.note, caller.actor()))


@contextmanager
def new_login(runtime: Runtime, caller: Caller, device: str) -> Iterator[BrokerLogin | None]:
    """The login of a device that is made within, None where this server makes none. It goes again where that fails.

    Raises Conflict, and what DeviceLogins.add raises.
    """
    logins = runtime.logins
    if logins is None:
        yield None
        return
    if _is_there(runtime, device):
        raise Conflict(f"There is a device {device} already.")
    try:
        with logins.adding(device, partial(runtime.doors.note, caller.actor())) as made:
            yield _shown(logins, made)
    except LoginExists as error:
        raise LoginExists(
            f'{error} Or make the device without one ("login": false), and ask for /devices/{device}/login/: that '
            "gives the login another password."
        ) from error


def end_login(runtime: Runtime, caller: Caller, device: str) -> None:
    """Take the login of a device that shall go away. Raises ProblemError 404, and what DeviceLogins.forget raises."""
    if runtime.logins is None:
        return
    if not _is_there(runtime, device):
        raise _no_such(device)
    runtime.logins.forget(device, partial(runtime.doors.note, caller.actor()))


def _logins(runtime: Runtime) -> DeviceLogins:
    if runtime.logins is None:
        raise ProblemError(404, _NONE_MADE)
    return runtime.logins


def _is_there(runtime: Runtime, device: str) -> bool:
    if storable(device, len(device)) != device:  # no database takes it, and none has it
        return False
    with reading(runtime.engine) as connection:
        return places.of(connection, device) is not None


def _no_such(device: str) -> ProblemError:
    detail = f"There is no device {device[:191]!r}."
    return ProblemError(404, detail, [FieldError(field="device", detail=detail)])


def _shown(logins: DeviceLogins, made: Credentials) -> BrokerLogin:
    reach = logins.reach
    return BrokerLogin(
        username=made.username,
        password=made.password or "",
        client_id=made.client_id,
        host=reach.host,
        port=reach.port,
        tls=reach.tls,
        ca=logins.certificate(),
    )
