"""A device that reports by HTTP, and the token it does so with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from api import http_readings
from db import audit, dead_letters
from db.engine import reading
from tests.api.people import People, bearer
from tests.api.server import Place, Served, fields
from tests.parts.eventually import eventually
from tests.parts.locked import locked

TS = 1_764_000_000_000
ADDRESS = "/api/dht22_db/"


@pytest.fixture
def taking(here: Place) -> Iterator[Place]:
    """A place that takes readings."""
    yield from started(here)


@pytest.fixture
def taking_anywhere(anywhere: Place) -> Iterator[Place]:
    """The same on each kind of database in turn."""
    yield from started(anywhere)


def started(place: Place) -> Iterator[Place]:
    place.runtime.http_readings.start()
    eventually(lambda: any(thread.alive for thread in place.vitals.threads))
    yield place


def token(place: Place, device: str = "kitchen") -> dict[str, str]:
    return People(place.runtime.doors).device(device)


def post(client: Any, payload: Any, headers: dict[str, str], *, patiently: bool = True) -> Any:
    """What a device does: after 503 the same again."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    for _ in range(500):
        answer = client.post(ADDRESS, content=content, headers=headers)
        if answer.status_code != 503 or not patiently:
            return answer
        time.sleep(0.01)
    raise AssertionError("503 for ever")


def rows(place: Place) -> list[tuple[str, int, float]]:
    query = (
        "SELECT d.name, r.ts, r.value FROM readings r JOIN series s ON s.id = r.series_id "
        "JOIN devices d ON d.id = s.device_id ORDER BY d.name, r.ts"
    )
    with reading(place.runtime.engine) as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(text(query))]


def test_a_device_reports_and_is_shown_at_once(taking_anywhere: Place, client: TestClient) -> None:
    headers = token(taking_anywhere)
    answer = post(client, {"ts": TS, "temperature": 21.5}, headers)
    assert (answer.status_code, answer.json()) == (202, {"stored": 1, "duplicate": 0, "rejected": 0, "errors": []})
    shown = client.get("/api/dht22_db/?device=kitchen").json()
    assert (shown["temperature"], shown["ts"]) == (21.5, TS)
    assert client.get("/api/show_dht22_db/?device=kitchen").json()[0]["temperature"] == 21.5
    assert client.get("/api/health/").json()["ingest"]["stored"] == 1
    again = post(client, {"ts": TS, "temperature": 21.5}, headers)
    assert (again.status_code, again.json()) == (202, {"stored": 0, "duplicate": 1, "rejected": 0, "errors": []})


def test_an_array_is_stored_as_far_as_it_is_understood(taking: Place, client: TestClient) -> None:
    answer = post(client, [{"ts": TS, "v": 1}, {"ts": TS + 1, "v": "wet"}, "?", {"seq": -1, "v": 2}], token(taking))
    assert answer.status_code == 202
    told = answer.json()
    assert (told["stored"], told["duplicate"], told["rejected"]) == (2, 0, 1)
    assert [error["field"] for error in told["errors"]] == ["[1].v", "[2]", "[3].seq"]
    assert told["errors"][0]["detail"] == "a text ('wet'); expected a number"


def test_a_conflict_is_409_and_names_the_metric(taking: Place, client: TestClient) -> None:
    headers = token(taking)
    post(client, {"ts": TS, "temperature": 21.5}, headers)
    answer = post(client, {"ts": TS, "temperature": 22.5}, headers)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert fields(answer.json()) == {"temperature"}
    assert "which was stored first and stays. It is kept as a dead letter." in answer.json()["detail"]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b"", "body"),
        (b"no JSON", "body"),
        (b"\xff\xfe", "body"),
        (b"7", "body"),
        (b"{}", "body"),
        (b'["x"]', "[0]"),
        (b'{"temperature": "wet"}', "temperature"),
        (b'{"ts": 99999999999999, "temperature": 1}', "ts"),
        (b'{"air": {"temperature": [1]}}', "air.temperature"),
        (b'{"temperature": NaN}', "temperature"),
        (b'{"\\u001b[31m": 1}', "\\u001b[31m"),
        (b"[" * 100_000, "body"),
    ],
)
def test_what_can_not_be_understood_is_422_and_a_dead_letter(
    taking: Place, client: TestClient, payload: bytes, field: str
) -> None:
    answer = post(client, payload, token(taking))
    assert answer.status_code == 422
    assert fields(answer.json()) == {field}
    with reading(taking.runtime.engine) as connection:
        (stored,) = dead_letters.newest(connection, 10)
    assert stored.letter.payload == payload[:65_536]
    assert stored.letter.topic == "iot/kitchen/telemetry"


def test_a_device_can_only_report_as_itself(taking: Place, client: TestClient, people: People) -> None:
    headers = people.device("kitchen")
    payload = {"ts": TS, "v": 1, "device": "cellar"}
    assert post(client, payload, headers | {"X-Device": "cellar"}).status_code == 202
    assert client.post(f"{ADDRESS}?device=cellar", json={"ts": TS + 1, "v": 1}, headers=headers).status_code == 202
    assert {name for name, _, _ in rows(taking)} == {"kitchen"}
    for other in ({}, bearer("sm_d_wrong"), bearer("wrong")):
        assert client.post(ADDRESS, json=payload, headers=other).status_code == 401
    for caller in ("key admin", "jwt admin", "session admin"):
        assert client.post(ADDRESS, json=payload, headers=people.headers(caller)).status_code == 403
    assert len(rows(taking)) == 2


def test_a_token_of_a_site_under_another_root(taking: Place, client: TestClient) -> None:
    answer = post(client, {"v": 1}, token(taking, "site1/kitchen"))
    assert answer.status_code == 422
    assert fields(answer.json()) == {"device"}


def test_more_than_a_message_may_have_is_413_and_not_received(taking: Place, client: TestClient) -> None:
    largest = taking.runtime.settings.max_message_bytes
    headers = token(taking)
    payload = b'{"v": 1}'
    assert post(client, payload + b" " * (largest - len(payload)), headers).status_code == 202
    answer = post(client, payload + b" " * largest, headers)
    assert answer.status_code == 413
    assert f"larger than the {largest} bytes" in answer.json()["detail"]
    assert taking.runtime.http_readings.account.messages.received == 1


def test_while_the_database_is_away_it_says_so_and_counts_nothing(here: Place, client: TestClient) -> None:
    headers = token(here)
    answer = post(client, {"ts": TS, "v": 1}, headers, patiently=False)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get("/api/health/").json()["ingest"]["received"] == 0


def test_a_database_that_is_slow_is_not_waited_for_without_end(
    taking_anywhere: Place, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = token(taking_anywhere)
    assert post(client, {"ts": TS, "v": 0}, headers).status_code == 202
    monkeypatch.setattr(http_readings, "_PATIENCE_S", 0.2)
    with locked(url_of(taking_anywhere)):
        answer = post(client, {"ts": TS + 1, "v": 1}, headers, patiently=False)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert "whether this is stored is not known" in answer.json()["detail"]
        assert taking_anywhere.runtime.http_readings.account.messages.received == 1
    monkeypatch.undo()
    assert post(client, {"ts": TS + 1, "v": 1}, headers).status_code == 202
    assert [ts for _, ts, _ in rows(taking_anywhere)] == [TS, TS + 1]


def url_of(place: Place) -> str:
    return place.runtime.engine.url.render_as_string(hide_password=False)


def test_five_devices_at_once_over_real_connections(taking: Place, served: Served) -> None:
    tokens = {f"d{n}": token(taking, f"d{n}") for n in range(5)}

    def report(device: str) -> list[int]:
        with httpx.Client(base_url=served.url, timeout=10, trust_env=False) as client:
            return [
                post(client, {"seq": n, "boot": "a", "v": n}, tokens[device]).status_code
                for n in (*range(20), *range(5))
            ]

    with ThreadPoolExecutor(5) as devices:
        assert list(devices.map(report, tokens)) == [[202] * 25] * 5
    assert [value for _, _, value in rows(taking)] == [float(n) for n in range(20)] * 5
    counts = taking.runtime.http_readings.account.messages
    assert (counts.stored, counts.duplicate, counts.waiting) == (100, 25, 0)


def test_an_admin_gives_and_takes_tokens(taking: Place, client: TestClient, people: People) -> None:
    admin = people.headers("jwt admin")
    address = "/api/devices/kitchen/token/"
    made = client.post(address, headers=admin)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    told = made.json()
    assert told["device"] == "kitchen"
    assert told["token"].startswith("sm_d_")
    assert post(client, {"v": 1}, bearer(told["token"])).status_code == 202
    second = client.post(address, headers=admin).json()["token"]
    eventually(lambda: post(client, {"v": 1}, bearer(told["token"])).status_code == 401, what="the old token's end")
    assert post(client, {"v": 2}, bearer(second)).status_code == 202
    assert client.delete(address, headers=admin).status_code == 204
    eventually(lambda: post(client, {"v": 1}, bearer(second)).status_code == 401, what="the token's end")
    assert client.delete(address, headers=admin).status_code == 404
    with reading(taking.runtime.engine) as connection:
        actions = [one.entry.action for one in audit.search(connection, text="kitchen")]
    assert actions.count("device_token.create") == 2
    assert actions.count("device_token.revoke") == 1


@pytest.mark.parametrize("name", ["..%2Fx", "a b", "%23", "x" * 65, "a/b/c", "a%00b", "site1/kitchen"])
def test_a_token_for_what_is_no_device_here(here: Place, client: TestClient, people: People, name: str) -> None:
    answer = client.post(f"/api/devices/{name}/token/", headers=people.headers("key admin"))
    assert answer.status_code in (404, 422)
    assert here.runtime.doors.device_tokens() == []


@pytest.mark.parametrize("caller", ["nobody", "device", "key viewer", "session operator"])
def test_nobody_else_gives_tokens(here: Place, client: TestClient, people: People, caller: str) -> None:
    for method in ("POST", "DELETE"):
        answer = client.request(method, "/api/devices/kitchen/token/", headers=people.headers(caller))
        assert answer.status_code == (401 if caller == "nobody" else 403)
    assert here.runtime.doors.device_tokens() == [] or caller == "device"
