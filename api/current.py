"""What a handler asks for: the runtime, and the devices as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Path

from api.problems import away, unknown
from ingest.snapshot import DeviceNow
from runtime import Runtime, get_runtime


async def the_runtime() -> Runtime:
    """The process's runtime. Tests put their own in its place.

    Takes no time; what is no coroutine waits for a thread, and beside a busy worker that is milliseconds.
    """
    return get_runtime()


TheRuntime = Annotated[Runtime, Depends(the_runtime)]
#: A row's number in a path, as large as the database takes it.
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]


def devices_now(runtime: Runtime) -> Mapping[str, DeviceNow]:
    """All devices by name, from memory, so that they are known while the database is away.

    Raises ProblemError 503 before anything could be read from the database: to say "no devices" then might be wrong.
    """
    known = runtime.board.current.devices
    database = runtime.health().database
    if not known and database.state != "connected":
        raise away(database.problem or "it has not been reached yet")
    return known


def device_now(runtime: Runtime, name: str) -> DeviceNow:
    """One device. Raises ProblemError 404, or 503 as `devices_now`."""
    device = devices_now(runtime).get(name)
    if device is None:
        raise unknown(f"device {name!r}")
    return device
