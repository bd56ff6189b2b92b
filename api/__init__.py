"""The REST side, mounted at `/api`: one router a resource, errors as problem+json, documentation at `/docs`."""

from __future__ import annotations

from api import audit, devices, docs, health, keys, live, metrics, problems, readings, sessions, tokens, users

#: The application that app.py mounts.
api = docs.Api()
problems.install(api)
for _room in (readings, devices, health, metrics, live, tokens, sessions, keys, users, audit):
    api.include_router(_room.router)
