"""`POST /dht22_db/`: a device without MQTT reports. `/devices/{device}/token/`: what it does so with."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from api.auth import DEVICE, Admin, Caller, who
from api.current import TheRuntime
from api.limits import Room, read_body
from api.problems import AWAY, FieldError, ProblemError
from ingest.dialects import topics
from ingest.http_readings import Busy
from ingest.placement import Verdict

router = APIRouter(tags=["devices"])

#: How long a device waits for its answer at most, in seconds.
_PATIENCE_S: Final = 10.0
#: For bodies that are just being read.
_ROOM: Final = Room(64_000_000)
#: A sentence of a dialect about one field, such as `[3].humidity: a text; expected a number`.
_ABOUT_A_FIELD: Final = re.compile(r"((?:\[\d+\]\.)?[^:]{1,128}): (.*)", re.DOTALL)
#: What those begin with that are about all of it.
_ABOUT_ALL: Final = ("the message ", "the database ", "it can't be ", "its ", "unknown topic")
_OF_AN_ITEM: Final = re.compile(r"(\[\d+\]) is ")
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}],
                    "description": "As a device's `telemetry` by MQTT: numbers by metric, with `ts` (UTC ms) or `age` "
                    "(ms), `seq` and `boot`, all four optional; an array is a backlog",
                },
                "examples": {
                    "one": {"value": {"ts": 1764000000123, "temperature": 23.4, "humidity": 56.1}},
                    "backlog": {
                        "value": [
                            {"boot": "a1", "seq": 17, "age": 60000, "temperature": 23.4},
                            {"boot": "a1", "seq": 18, "age": 0, "temperature": 23.5},
                        ]
                    },
                },
            }
        },
    }
}


class Received(BaseModel):
    """What became of the readings: stored now, known already, or rejected with a reason for each in `errors`."""

    stored: int
    duplicate: int
    rejected: int
    errors: list[FieldError] = []


class NewToken(BaseModel):
    """A device's token, which is shown this once. `created_at` is UTC ms."""

    device: str
    token: str
    hint: str
    created_at: int


@router.post(
    "/dht22_db/",
    summary="A device reports",
    status_code=202,
    openapi_extra=_BODY,
    responses={
        409: {"description": "All new readings contradict what is stored. They are kept as a dead letter"},
        413: {"description": "More than MAX_MESSAGE_BYTES. Send it in parts"},
        422: {"description": "No reading could be understood. It is kept as a dead letter"},
        503: {"description": "Not stored, or not known to be. Send the same again after Retry-After seconds"},
    },
)
async def receive(runtime: TheRuntime, request: Request, caller: Annotated[Caller, who(DEVICE)]) -> Received:
    """202 once what could be stored is stored, and the rest is kept as a dead letter.

    The device is the one that the token names. After 503 or no answer send the same again: with `ts`, or `boot` and
    `seq`, what was stored is recognised. After 409, 413 or 422 the same again is useless.
    """
    payload = await read_body(request, runtime.settings.max_message_bytes, _ROOM)
    return _received(await stored(lambda: runtime.http_readings.submit(caller.device or "", payload)))


async def stored(submit: Callable[[], Future[Verdict]]) -> Verdict:
    """What became of a message that `submit` hands over, once it is stored.

    Raises:
        ProblemError: 503 if it could not be, or that is not known; 422 if its device or actuator has no such name.
        DatabaseAway: If the database is away.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await asyncio.wrap_future(submit())
    except Busy as busy:
        raise ProblemError(503, f"Not stored: {busy}. Send it again.", headers={"Retry-After": "1"}) from None
    except TimeoutError:
        raise ProblemError(503, "The database is slow: whether this is stored is not known. Send it again.") from None
    except topics.UnknownTopic as error:
        field = "led" if str(error).startswith(("actuator name", "no actuator")) else "device"
        problem = f"{error}." if field == "led" else f"{error}. Its token was made for another TOPIC_ROOT."
        raise ProblemError(422, problem, [FieldError(field=field, detail=problem)]) from None


def refused(verdict: Verdict) -> ProblemError:
    """409 or 422, of a message of which nothing was of use."""
    errors = [_field_error(problem) for problem in verdict.problems]
    return ProblemError(409 if verdict.conflicts else 422, _sentence(verdict.problems), errors)


def _received(verdict: Verdict) -> Received:
    """The answer. Raises ProblemError 409 or 422 if nothing of the message was of use."""
    if verdict.outcome == "rejected":
        raise refused(verdict)
    errors = [_field_error(problem) for problem in verdict.problems]
    return Received(stored=verdict.stored, duplicate=verdict.duplicate, rejected=verdict.rejected, errors=errors)


def _sentence(problems: Iterable[str]) -> str:
    return f"{'; '.join(problems)}. It is kept as a dead letter."


def _field_error(problem: str) -> FieldError:
    """A dialect's sentence, with the field that it is about; `body` where it is about all of it."""
    item = _OF_AN_ITEM.match(problem)
    if item is not None:
        return FieldError(field=item[1], detail=problem)
    found = None if problem.startswith(_ABOUT_ALL) else _ABOUT_A_FIELD.fullmatch(problem)
    return FieldError(field="body", detail=problem) if found is None else FieldError(field=found[1], detail=found[2])


Device = Annotated[str, Path(max_length=200, description="Its name; with a site it holds a slash: `site1/kitchen`")]


@router.post("/devices/{device:path}/token/", summary="Give a device a token", status_code=201, responses=AWAY)
def create_token(runtime: TheRuntime, caller: Admin, device: Device, response: Response) -> NewToken:
    """For a device that reports by HTTP. It is shown this once; one that the device had is worth nothing from then on.

    The device need not have sent anything yet.
    """
    try:
        topics.telemetry(device, runtime.settings.topic_root)
    except topics.UnknownTopic as error:
        raise ProblemError(422, f"{error}.", [FieldError(field="device", detail=str(error))]) from None
    made, token = runtime.doors.create_device_token(caller.actor(), device)
    response.headers["Cache-Control"] = "no-store"
    return NewToken(device=made.device, token=token, hint=made.hint, created_at=made.created_at)


@router.delete(
    "/devices/{device:path}/token/",
    summary="Take a device's token back",
    status_code=204,
    responses={404: {"description": "It has none"}, **AWAY},
)
def revoke_token(runtime: TheRuntime, caller: Admin, device: Device) -> None:
    """The device can report by HTTP no more, within a second."""
    runtime.doors.revoke_device_token(caller.actor(), device)
