"""`GET /led_control/`: a board without MQTT fetches what is asked of it, by a long poll, and so shows that it is there.

A command that was handed over may have been lost with the answer, so as long as the board has not reported, it comes
again, with the same id and not at once. A board that remembers ids applies it once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api.auth import DEVICE, Caller, who
from api.command_watch import WATCHES, client_of, first_of
from api.current import TheRuntime
from api.problems import AWAY
from db import commands, polls
from db.commands import Command
from db.engine import reading, writing
from ingest.vitals import now_ms
from runtime import Runtime

router = APIRouter(tags=["control"])

#: How long a board may wait in one request, in seconds: some proxies cut what is silent for 30.
LONGEST_POLL_S: Final = 25.0
#: A command that was handed over and not reported on comes again after this, in ms.
AGAIN_AFTER_MS: Final = 5_000
_FETCHED_AGAIN: Final = "Handed to the device once more: it asked again and had not reported."


class Waiting(BaseModel):
    """A command for the device that asks. `state`: `ON`, `OFF` or a number.

    `expires` is UTC ms: after that it is not to be obeyed any more.
    """

    id: str
    led: str
    state: str | float
    expires: int


@router.get("/led_control/", summary="A device fetches its commands", responses=AWAY)
async def fetch(
    runtime: TheRuntime,
    request: Request,
    caller: Annotated[Caller, who(DEVICE)],
    wait: Annotated[float, Query(ge=0, le=LONGEST_POLL_S, description="Seconds to wait for one")] = 0.0,
) -> list[Waiting]:
    """The oldest first. With `wait` it is answered as soon as there is one, or with none when the time is over.

    Obey each id once, then report by `POST /led_status/` with that id: else it comes again.
    """
    device = caller.device or ""
    clock = asyncio.get_running_loop().time
    until = clock() + wait
    with WATCHES.of(runtime).of_device(device) as changed:
        began = now_ms()
        look = await run_in_threadpool(_begin, runtime, device, began, round(wait * 1000))
        async with client_of(request) as gone:
            while not look.found and clock() < until and not runtime.stopping.is_set():
                if not await first_of(changed, gone, min(until - clock(), look.again_s)):
                    await run_in_threadpool(_note, runtime, device, began, now_ms())
                    return []  # nothing is handed over to one who has gone
                changed.clear()
                look = await run_in_threadpool(_look, runtime, device, began)
    return [_shown(command) for command in look.found]


@dataclass(frozen=True, slots=True)
class _Look:
    """What is handed over, and in how many seconds something that was already is to be once more."""

    found: Sequence[Command]
    again_s: float


def _begin(runtime: Runtime, device: str, began: int, wait_ms: int) -> _Look:
    """Note that the board polls for so long, and look. Raises DatabaseAway."""
    _note(runtime, device, began, began + wait_ms)
    return _look(runtime, device, began)


def _note(runtime: Runtime, device: str, began: int, until: int) -> None:
    with writing(runtime.engine) as connection:
        polls.note(connection, device, began, until)


def _look(runtime: Runtime, device: str, began: int) -> _Look:
    """Raises DatabaseAway."""
    now = now_ms()
    with reading(runtime.engine) as connection:
        waiting = commands.waiting_for(connection, device, now)
    given = [one.steps[-1].at for one in waiting if one.status == "published"]
    due = [one for one in waiting if one.status == "queued" or one.steps[-1].at <= now - AGAIN_AFTER_MS]
    again_s = max(0, min(given) + AGAIN_AFTER_MS - now) / 1000 if given else math.inf
    return _Look(_handed_over(runtime, device, due, began, now) if due else [], again_s)


def _handed_over(runtime: Runtime, device: str, due: Sequence[Command], began: int, now: int) -> list[Command]:
    """Those of them that still go on, with the end of the poll that they are the answer to. Raises DatabaseAway."""
    with writing(runtime.engine) as connection:
        found = commands.hand_over(connection, [one for one in due if one.status == "queued"], now)
        for one in due:
            if one.status == "published":
                again = commands.move(connection, one.id, "published", _FETCHED_AGAIN, now, expected="published")
                found += [one] if again else []
        if found:
            polls.note(connection, device, began, now)
    runtime.nudge_commands()
    return sorted(found, key=attrgetter("made_at"))


def _shown(command: Command) -> Waiting:
    state = command.state if command.state in ("ON", "OFF") else float(command.state)
    return Waiting(id=command.id, led=command.actuator, state=state, expires=command.deadline_at)
