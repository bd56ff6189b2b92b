"""The REST side, mounted at `/api`: one router a resource, errors as problem+json, documentation at `/docs`."""

from __future__ import annotations

from api import devices, docs, health, live, metrics, problems, readings

#: The application that app.py mounts.
api = docs.Api()
problems.install(api)
for _room in (readings, devices, health, metrics, live):
    api.include_router(_room.router)
