"""Every route there is, called by everyone there is. A new route needs a statement, and a line here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import pytest
from starlette.testclient import TestClient

from api import api
from api.auth import statements
from tests.api.people import CALLERS, People
from tests.api.server import Place

#: Who may call what, as CONTRACT has it.
WHO: Final = {
    "GET /dht22_db/": "reader",
    "POST /dht22_db/": "device",
    "GET /show_dht22_db/": "reader",
    "GET /readings/": "reader",
    "GET /export.csv": "reader",
    "GET /export.parquet": "reader",
    "GET /export.xlsx": "reader",
    "GET /devices/": "reader",
    "GET /devices/{device:path}/": "reader",
    "POST /devices/": "admin",
    "PATCH /devices/{device:path}/": "admin",
    "DELETE /devices/{device:path}/": "admin",
    "POST /devices/{device:path}/token/": "admin",
    "DELETE /devices/{device:path}/token/": "admin",
    "POST /devices/{device:path}/login/": "admin",
    "DELETE /devices/{device:path}/login/": "admin",
    "GET /series/": "reader",
    "GET /led_status/": "reader",
    "POST /led_status/": "device",
    "GET /led_control/": "device",
    "POST /led_control/": "device or operator's key",
    "POST /led_controlT/": "operator's jwt",
    "GET /commands/": "user or device",
    "GET /commands/{command_id}/": "user or device",
    "GET /live/": "reader",
    "GET /health/": "open",
    "GET /metrics": "admin",
    "POST /token/": "open",
    "POST /token/refresh/": "open",
    "POST /token/revoke/": "open",
    "POST /session/": "open",
    "DELETE /session/": "open",
    "GET /sessions/": "user",
    "GET /sessions/{session_id}/": "user",
    "DELETE /sessions/{session_id}/": "user",
    "GET /keys/": "user",
    "POST /keys/": "login",
    "GET /keys/{key_id}/": "user",
    "DELETE /keys/{key_id}/": "user",
    "GET /users/": "admin",
    "POST /users/": "admin",
    "GET /users/{name}/": "admin",
    "PATCH /users/{name}/": "admin",
    "GET /audit/": "admin",
    "GET /audit/export.csv": "admin",
    "GET /audit/export.ndjson": "admin",
    "GET /dead_letters/": "admin",
    "DELETE /dead_letters/": "admin",
    "POST /dead_letters/replay/": "admin",
    "GET /docs": "open",
}

#: These say that nothing is stored here: a place has no worker.
NOT_STARTED: Final = ("GET /health/", "POST /dht22_db/", "POST /led_status/")

LETS_IN: Final[dict[str, Callable[[str], bool]]] = {
    "open": lambda _: True,
    "reader": lambda _: True,
    "reader, closed": lambda caller: caller not in ("nobody", "device"),
    "user": lambda caller: caller not in ("nobody", "device"),
    "login": lambda caller: caller.startswith(("session", "jwt")),
    "operator": lambda caller: caller.endswith(("operator", "admin")),
    "operator's jwt": lambda caller: caller in ("jwt operator", "jwt admin"),
    "device or operator's key": lambda caller: caller in ("device", "key operator", "key admin"),
    "user or device": lambda caller: caller != "nobody",
    "admin": lambda caller: caller.endswith("admin"),
    "device": lambda caller: caller == "device",
}


def routes() -> dict[str, bool]:
    """Each route, and whether it has a statement."""
    return {
        f"{method} {path}": statement is not None
        for path, methods, statement in statements(api.routes)
        for method in methods - {"HEAD"}
    }


def test_every_route_says_who_may_call_it() -> None:
    described = routes()
    assert described.pop("GET /openapi.json") is False, "it is FastAPI's own, and open"
    assert [route for route, stated in described.items() if not stated] == [], "write who(...) at these"
    assert set(described) == set(WHO), "add the new route here, and to docs/api.md"


@pytest.mark.parametrize("closed", [False, True], ids=["control", "all"])
def test_every_route_lets_in_whom_it_says_and_nobody_else(
    here: Place, people: People, client: TestClient, closed: bool
) -> None:
    if closed:
        here.close_reading()
    here.runtime.announce_stop()  # so that a live stream that lets somebody in ends at once
    wrong = []
    for route, who in WHO.items():
        method, path = route.split(" ")
        lets_in = LETS_IN["reader, closed" if who == "reader" and closed else who]
        address = "/api" + re.sub(r"{\w+(:path)?}", "999999999", path)
        for caller in CALLERS:
            client.cookies.clear()
            answer = client.request(method, address, headers=people.headers(caller), follow_redirects=False)
            kept_out = answer.status_code in (401, 403) and "page of this server" not in answer.text
            expected = 200 if lets_in(caller) else 401 if caller == "nobody" else 403
            if kept_out is lets_in(caller) or (kept_out and answer.status_code != expected):
                wrong.append(f"{route} by {caller}: {answer.status_code} instead of {expected}")
            if answer.status_code == 401 and not answer.headers["www-authenticate"].startswith("Bearer"):
                wrong.append(f"{route} by {caller}: 401 without WWW-Authenticate")
            if answer.status_code >= 500 and route not in NOT_STARTED:
                wrong.append(f"{route} by {caller}: {answer.status_code}")
    assert wrong == []


def test_the_openapi_document_says_the_same(client: TestClient) -> None:
    schema = client.get("/api/openapi.json").json()
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "cookie"}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            who = WHO.get(f"{method.upper()} {path}") or WHO[f"{method.upper()} {path.replace('}/', ':path}/')}"]
            expected: list[dict[str, list[str]]] | None = None if who == "open" else [{"bearer": []}, {"cookie": []}]
            if who == "reader" or path == "/metrics":
                expected = [*(expected or []), {}]
            elif who in ("device", "device or operator's key", "operator's jwt"):
                expected = [{"bearer": []}]
            assert operation.get("security") == expected, path
            if expected is not None:
                assert {"401", "403"} <= set(operation["responses"])
