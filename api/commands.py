"""`/commands/`: what was asked for, how far it has come, and by what evidence. Seen by who asked, and by admins."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api.auth import DEVICE, OWNER, Caller, who
from api.command_watch import WATCHES, client_of, first_of
from api.current import TheRuntime
from api.problems import AWAY, unknown
from db import commands
from db.commands import Command, CommandStatus
from db.engine import reading
from db.rights import Actor, storable
from runtime import Runtime

router = APIRouter(tags=["control"])

#: How long somebody may wait for a command's end in one request, in seconds: its deadline is longer by default, and
#: what is silent for 30 seconds some proxies cut.
LONGEST_WAIT_S: Final = 25.0
_LONGEST_ID: Final = 36
#: What stands before a device's name where it asked for something itself.
_DEVICE: Final = "device "
_MOST: Final = 1000
_NO_SUCH: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "No such command, or another's"}}

Asker = Annotated[Caller, who(OWNER, DEVICE)]


class StepShown(BaseModel):
    """A step of a command: when (UTC ms), and by what it is known."""

    status: CommandStatus
    at: int
    evidence: str


class CommandShown(BaseModel):
    """A command. `state` is `ON`, `OFF` or a number as text; times are UTC ms; `by`: a user, or `device <name>`.

    `status`: `queued` and `published` (the broker has it, or the board fetched it) are on the way; `confirmed` the
    device's own report says so; `failed`, `expired`, `contradicted` and `cancelled` are other ends.
    """

    id: str
    device: str
    actuator: str
    state: str
    status: CommandStatus
    steps: list[StepShown]
    by: str
    made_at: int
    deadline_at: int


@router.get("/commands/{command_id}/", summary="One command, if wished at its end", responses=AWAY | _NO_SUCH)
async def show_command(
    runtime: TheRuntime,
    request: Request,
    caller: Asker,
    command_id: Annotated[str, Path(max_length=200)],
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for its end")] = 0.0,
) -> CommandShown:
    """With `wait` it is answered when the command has ended, or as it is when the time is over."""
    clock = asyncio.get_running_loop().time
    until = clock() + wait
    watch = WATCHES.of(runtime)
    with watch.of_command(command_id) as changed:
        command = await run_in_threadpool(_theirs, runtime, caller, command_id)
        async with client_of(request) as gone:
            while command.open and clock() < until and not runtime.stopping.is_set():
                if not await first_of(changed, gone, until - clock()):
                    break
                changed.clear()
                command = await run_in_threadpool(_theirs, runtime, caller, command_id)
    return shown(command)


@router.get("/commands/", summary="The last commands", responses=AWAY)
def list_commands(
    runtime: TheRuntime,
    caller: Asker,
    device: Annotated[str | None, Query(max_length=200, description="To this device")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    before: Annotated[str | None, Query(max_length=200, description="An id: those made earlier, to read on")] = None,
) -> list[CommandShown]:
    """One's own, newest first; an admin sees everybody's."""
    by = None if caller.role == "admin" else orderer(caller).name
    if caller.device is not None:
        if device not in (None, "", caller.device):
            return []  # a device asks itself alone
        device = caller.device
    with reading(runtime.engine) as connection:
        found = commands.recent(connection, device=device or None, by=by, limit=limit, before=before or None)
    return [shown(command) for command in found]


def orderer(caller: Caller) -> Actor:
    """Who asks, for the audit log. No user's name holds a space, so a device is never taken for one."""
    if caller.device is not None:
        return Actor(f"{_DEVICE}{caller.device}", "operator", caller.origin)
    return caller.actor()


def shown(command: Command) -> CommandShown:
    """A command as it goes out."""
    return CommandShown(
        id=command.id,
        device=command.device,
        actuator=command.actuator,
        state=command.state,
        status=command.status,
        steps=[StepShown(status=step.status, at=step.at, evidence=step.evidence) for step in command.steps],
        by=command.by,
        made_at=command.made_at,
        deadline_at=command.deadline_at,
    )


def _theirs(runtime: Runtime, caller: Caller, command_id: str) -> Command:
    """Raises ProblemError 404 if there is none, or it is another's, without a difference; DatabaseAway."""
    with reading(runtime.engine) as connection:
        command = commands.find(connection, command_id)
    if command is None or not (caller.role == "admin" or _is_by(command, caller)):
        raise unknown(f"command {storable(command_id, _LONGEST_ID)!r}")
    return command


def _is_by(command: Command, caller: Caller) -> bool:
    """Whether the caller asked for it. Of a device's long name only the beginning is kept, so its own is looked at."""
    if caller.device is not None:
        return command.device == caller.device and command.by.startswith(_DEVICE)
    return command.by.lower() == caller.name.lower()
