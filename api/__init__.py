"""The REST side, mounted at `/api`: one router a resource, errors as problem+json, documentation at `/docs`."""

from __future__ import annotations

from api import (
    audit,
    broker_logins,
    command_poll,
    commands,
    control,
    dead_letters,
    devices,
    docs,
    exports,
    health,
    history,
    http_readings,
    keys,
    limits,
    live,
    metrics,
    problems,
    readings,
    sessions,
    tokens,
    users,
)

#: The application that app.py mounts.
api = docs.Api()
problems.install(api)
api.add_middleware(limits.Limits)
for _room in (
    readings,
    history,
    exports,
    http_readings,
    broker_logins,
    devices,
    control,
    command_poll,
    commands,
    health,
    metrics,
    live,
    tokens,
    sessions,
    keys,
    users,
    audit,
    dead_letters,
):
    api.include_router(_room.router)
