"""`/led_control/`, `/led_controlT/`, `/led_status/`: ask a device for something, and what it says it does.

The names are those of the original's API; any actuator can be meant, not a LED alone.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictFloat, StrictInt, StrictStr

from api.auth import DEVICE, OPERATOR_JWT, OPERATOR_KEY, READER, Caller, who
from api.commands import CommandShown, orderer, shown
from api.current import TheRuntime, device_now, devices_now
from api.http_readings import refused, stored
from api.problems import AWAY, FieldError, ProblemError, unknown
from db.commands import BadState, TooMany, UnknownTarget
from db.rights import storable
from ingest.snapshot import ActuatorNow, DeviceNow
from runtime import Runtime

router = APIRouter(tags=["control"])

#: After how many seconds to ask again where too many commands wait.
_QUEUE_MOVES_S: Final = 5
_LONGEST_NAME: Final = 191
_ORDER_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    404: {"description": "No such device or actuator"},
    422: {"description": "A state or a number that this actuator can't take; field and range are named"},
    429: {"description": "Too many commands wait already"},
    **AWAY,
}


class Order(BaseModel):
    """What an actuator of a device shall do."""

    device: str | None = Field(default=None, max_length=200, description="Not needed with a device token: its own")
    led: str = Field(default="led", max_length=200, description="The actuator's name, be it a LED or not")
    state: StrictStr | StrictInt | StrictFloat = Field(
        description="`ON`, `OFF`, `TOGGLE`, or a number within the actuator's range", examples=["ON"]
    )


class Report(BaseModel):
    """What an actuator does, as its device says. `id`: of the command that caused it, if one did."""

    led: str = Field(default="led", max_length=200, description="The actuator's name")
    state: Any = Field(description="`ON`, `OFF` or a number")
    id: Any = Field(default=None, description="A text: the command's id")


class Reported(BaseModel):
    """A report that is stored."""

    device: str
    actuator: str


class ActuatorStatus(BaseModel):
    """What an actuator reported (null: nothing yet), and what is asked of it (null: nothing that has not ended).

    `since`: UTC ms of the report that brought this state. `online` null: not known.
    """

    device: str
    actuator: str
    reported: str | None
    asked: str | None
    online: bool | None
    since: int | None


@router.post(
    "/led_control/",
    summary="Ask for a state, by device token or API key",
    status_code=202,
    responses=_ORDER_ANSWERS | {403: {"description": "A device token of another device, or a viewer's key"}},
)
def order(runtime: TheRuntime, caller: Annotated[Caller, who(DEVICE, OPERATOR_KEY)], new: Order) -> CommandShown:
    """202 once it is queued; what becomes of it stands at `/commands/{id}/`. A device may ask itself alone."""
    return _ordered(runtime, caller, new)


@router.post("/led_controlT/", summary="Ask for a state, by an access token", status_code=202, responses=_ORDER_ANSWERS)
def order_as_user(runtime: TheRuntime, caller: Annotated[Caller, who(OPERATOR_JWT)], new: Order) -> CommandShown:
    """The same with a user who logged in behind it."""
    return _ordered(runtime, caller, new)


@router.get(
    "/led_status/",
    summary="What actuators do, and what is asked of them",
    dependencies=[who(READER)],
    responses={404: {"description": "No such device or actuator"}, 503: {"description": "Starting"}},
)
def status(
    runtime: TheRuntime,
    device: Annotated[str | None, Query(description="One device; all without")] = None,
    actuator: Annotated[str | None, Query(description="One actuator; a list of all without")] = None,
) -> ActuatorStatus | list[ActuatorStatus]:
    """From memory; answers while the database is away. One object if device and actuator are named, else a list."""
    commands = (one.command for one in runtime.board.current.commands.values())
    asked = {(one.device, one.actuator): one.state for one in commands if one.open}
    found = [device_now(runtime, device)] if device else [one for _, one in sorted(devices_now(runtime).items())]
    every = [
        _status(one, known, asked.get((one.name, known.name)))
        for one in found
        for _, known in sorted(one.actuators.items())
        if actuator in (None, "", known.name)
    ]
    if not (device and actuator):
        return every
    if not every:
        raise unknown(f"actuator {actuator!r} of device {device!r}")
    return every[0]


@router.post(
    "/led_status/",
    summary="A device reports what an actuator does",
    status_code=202,
    responses={
        422: {"description": "That is no state, or no name. A state that is none is kept as a dead letter"},
        503: {"description": "Not stored, or not known to be. Send the same again after Retry-After seconds"},
    },
)
async def report(runtime: TheRuntime, caller: Annotated[Caller, who(DEVICE)], told: Report) -> Reported:
    """For boards without MQTT: the same as `<actuator>/state`. 202 once it is stored.

    With the id of the command that caused it, that command ends by it; without one it counts all the same.
    """
    device = caller.device or ""
    payload = {"state": told.state} if told.id is None else {"id": told.id, "state": told.state}
    submit = partial(runtime.http_readings.submit_state, device, told.led, msgspec.json.encode(payload))
    verdict = await stored(submit)
    if verdict.outcome == "rejected":
        raise refused(verdict)
    return Reported(device=device, actuator=told.led)


def _ordered(runtime: Runtime, caller: Caller, new: Order) -> CommandShown:
    """Queue it. Raises ProblemError 403, 404, 422, 429, DatabaseAway."""
    device = new.device if new.device is not None else caller.device
    if device is None:
        raise _wrong("device", "device is required: the name of the one that shall obey.")
    if caller.device is not None and device != caller.device:
        raise ProblemError(403, f"This token is device {caller.device}'s, and orders nothing of another.")
    for name in (device, new.led):  # no database takes what is not storable, and none has it
        if storable(name, _LONGEST_NAME) != name:
            raise unknown(f"device {device!r:.200} with an actuator {new.led!r:.200}")
    try:
        return shown(runtime.order(orderer(caller), device, new.led, new.state))
    except UnknownTarget as error:
        field = "led" if error.field == "actuator" else error.field
        raise ProblemError(404, str(error), [FieldError(field=field, detail=str(error))]) from None
    except BadState as error:
        raise _wrong("state", str(error)) from None
    except TooMany as error:
        raise ProblemError(429, str(error), headers={"Retry-After": str(_QUEUE_MOVES_S)}) from None


def _status(device: DeviceNow, actuator: ActuatorNow, asked: str | None) -> ActuatorStatus:
    return ActuatorStatus(
        device=device.name,
        actuator=actuator.name,
        reported=actuator.state,
        asked=asked,
        online=device.online_now,
        since=actuator.since,
    )


def _wrong(field: str, detail: str) -> ProblemError:
    return ProblemError(422, detail, [FieldError(field=field, detail=detail)])
