from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from db import audit, places, removal
from db.engine import reading
from ingest.snapshot import AboutChange, ReadingChange, StateChange, StatusChange
from tests.api.actuators import furnish, kept, queued
from tests.api.people import People
from tests.api.server import Place, fields
from tests.parts.eventually import eventually

NOON = 1_764_000_000_000

KITCHEN = {
    "device": "site1/kitchen",
    "name": "site1/kitchen",
    "presence": "online",
    "online": True,
    "last_seen": NOON + 30,
    "model": "esp8266-dht22",
    "firmware": "1.0.0",
    "site": None,
    "area": None,
    "notes": None,
    "hidden": False,
    "readings_per_minute": None,
    "metrics": [
        {"metric": "temperature", "unit": "°C", "ts": NOON + 10, "value": 21.5, "received_at": NOON + 20},
    ],
    "actuators": [
        {"name": "fan", "state": None, "since": None, "unit": "%"},
        {"name": "led", "state": "ON", "since": NOON + 30, "unit": None},
    ],
}
ATTIC = {
    "device": "attic",
    "name": "attic",
    "presence": "online",
    "online": None,
    "last_seen": NOON,
    "model": None,
    "firmware": None,
    "site": None,
    "area": None,
    "notes": None,
    "hidden": False,
    "readings_per_minute": None,
    "metrics": [{"metric": "x", "unit": None, "ts": NOON, "value": 1.0, "received_at": NOON}],
    "actuators": [],
}


def fill(here: Place) -> None:
    units = {"temperature": "°C"}
    here.change(
        AboutChange("site1/kitchen", "esp8266-dht22", "1.0.0", units, {"led": None, "fan": "%"}, NOON),
        StatusChange("site1/kitchen", True, NOON),
        ReadingChange("site1/kitchen", "temperature", NOON + 10, 21.5, NOON + 20),
        StateChange("site1/kitchen", "led", "ON", NOON + 30),
        ReadingChange("attic", "x", NOON, 1.0, NOON),
    )


def test_all_devices_and_one_whose_name_holds_a_slash(here: Place, client: TestClient) -> None:
    fill(here)
    assert client.get("/api/devices/").json() == [ATTIC, KITCHEN]
    assert client.get("/api/devices/site1/kitchen/").json() == KITCHEN
    assert client.get("/api/devices/attic/").json() == ATTIC


def test_an_unknown_device_is_404_and_named(here: Place, client: TestClient) -> None:
    fill(here)
    for name in ("Attic", "site1", "site1/kitchen/led", "kitchen"):
        answer = client.get(f"/api/devices/{name}/")
        assert answer.status_code == 404
        assert repr(name) in answer.json()["detail"]


def test_series_of_all_and_of_one(anywhere: Place, client: TestClient) -> None:
    anywhere.store("b", "temperature", [(NOON, 1.0)], "°C")
    anywhere.store("a", "x", [(NOON, 1.0)])
    anywhere.restore()
    anywhere.change(StatusChange("bare", True, NOON))
    b = {"device": "b", "metric": "temperature", "unit": "°C", "name": None}
    a = {"device": "a", "metric": "x", "unit": None, "name": None}
    assert client.get("/api/series/").json() == [a, b]
    assert client.get("/api/series/?device=b").json() == [b]
    assert client.get("/api/series/?device=bare").json() == []
    assert client.get("/api/series/?device=z").status_code == 404


def test_the_form_without_the_slash_leads_to_the_same(here: Place, client: TestClient) -> None:
    fill(here)
    for path in ("/api/devices", "/api/devices/site1/kitchen", "/api/dht22_db?device=attic", "/api/health"):
        bare = client.get(path, follow_redirects=False)
        assert bare.status_code == 307
        name, _, query = path.partition("?")
        assert bare.headers["location"] == f"{name}/" + (f"?{query}" if query else "")
    assert client.get("/api/devices/site1/kitchen").json() == KITCHEN


def known(place: Place) -> dict[str, places.Place]:
    with reading(place.runtime.engine) as connection:
        return places.every(connection)


def actions(place: Place, subject: str) -> list[str]:
    with reading(place.runtime.engine) as connection:
        return sorted(
            one.entry.action for one in audit.search(connection, text=subject) if one.entry.subject == subject
        )


NEW = {
    "device": "shed",
    "name": "The shed",
    "site": "Farm",
    "area": "North",
    "notes": "Behind the barn.\nKey under the mat.",
    "actuators": [{"name": "pump"}, {"name": "valve", "min": 0, "max": 90, "step": 5, "unit": "°"}],
}


def test_an_admin_makes_a_device_and_is_shown_its_token_once(anywhere: Place, client: TestClient) -> None:
    people = People(anywhere.runtime.doors)
    admin = people.headers("key admin")
    answer = client.post("/api/devices/", json=NEW, headers=admin)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    told = answer.json()
    token, hint, mqtt = told.pop("token"), told.pop("hint"), told.pop("mqtt")
    assert mqtt is None, "this server makes no logins"
    assert token.startswith(hint)
    assert {name: told[name] for name in ("device", "name", "site", "area", "notes", "presence", "metrics")} == {
        "device": "shed",
        "name": "The shed",
        "site": "Farm",
        "area": "North",
        "notes": "Behind the barn.\nKey under the mat.",
        "presence": "unknown",
        "metrics": [],
    }
    assert [(one["name"], one["unit"]) for one in told["actuators"]] == [("pump", None), ("valve", "°")]
    assert client.get("/api/devices/shed/").json() == told
    board = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/led_control/", headers=board).json() == []
    again = client.post("/api/devices/", json=NEW, headers=admin)
    assert again.status_code == 409
    assert "shed" in again.json()["detail"]
    assert client.get("/api/led_control/", headers=board).status_code == 200, "it kept its token"
    order = {"device": "shed", "led": "valve", "state": 45}
    assert client.post("/api/led_control/", json=order, headers=admin).status_code == 202
    order["state"] = 91
    assert "from 0 to 90 °" in client.post("/api/led_control/", json=order, headers=admin).json()["detail"]
    assert actions(anywhere, "shed") == ["device.change", "device.make", "device_token.create"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"device": "a b"}, "device"),
        ({"device": ""}, "device"),
        ({"device": "site1/shed"}, "device"),
        ({"device": "x" * 65}, "device"),
        ({}, "device"),
        ({"device": "shed", "name": "x" * 129}, "name"),
        ({"device": "shed", "name": "a\u0007b"}, "name"),
        ({"device": "shed", "notes": "x" * 1001}, "notes"),
        ({"device": "shed", "area": "x" * 65}, "area"),
        ({"device": "shed", "actuators": [{"name": "resend"}]}, "actuators"),
        ({"device": "shed", "actuators": [{"name": "a/b"}]}, "actuators"),
        ({"device": "shed", "actuators": [{"name": "fan", "min": 5, "max": 1}]}, "min"),
        ({"device": "shed", "actuators": [{"name": "fan", "step": 0}]}, "actuators.0.step"),
        ({"device": "shed", "actuators": [{"name": "fan", "unit": "x" * 33}]}, "unit"),
    ],
)
def test_what_no_device_can_be(
    here: Place, client: TestClient, people: People, body: dict[str, Any], field: str
) -> None:
    answer = client.post("/api/devices/", json=body, headers=people.headers("key admin"))
    assert (answer.status_code, fields(answer.json())) == (422, {field})
    assert known(here) == {}, "nothing of it"


def test_an_admin_describes_a_device(anywhere: Place, client: TestClient) -> None:
    anywhere.store("kitchen", "temperature", [(NOON, 21.0)], "C")
    furnish(anywhere, state="ON")
    admin = People(anywhere.runtime.doors).headers("jwt admin")
    change = {
        "name": "Kitchen",
        "hidden": True,
        "units": {"temperature": "°C"},
        "actuators": [{"name": "led", "unit": "lx"}],
        "remove_actuators": ["fan"],
    }
    told = client.patch("/api/devices/kitchen/", json=change, headers=admin)
    assert told.status_code == 200
    shown = told.json()
    assert (shown["name"], shown["hidden"]) == ("Kitchen", True)
    assert [(one["metric"], one["unit"]) for one in shown["metrics"]] == [("temperature", "°C")]
    assert [(one["name"], one["state"], one["unit"]) for one in shown["actuators"]] == [("led", "ON", "lx")]
    assert client.get("/api/devices/kitchen/").json() == shown
    anywhere.restore()
    assert client.get("/api/devices/kitchen/").json() == shown, "as it is stored"
    second = client.patch("/api/devices/kitchen/", json={"name": "", "units": {"temperature": ""}}, headers=admin)
    assert (second.json()["name"], second.json()["hidden"], second.json()["metrics"][0]["unit"]) == (
        "kitchen",
        True,
        None,
    )
    assert "device.change" in actions(anywhere, "kitchen")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "x" * 129}, 422, "name"),
        ({"units": {"wetness": "%"}}, 422, "units"),
        ({"actuators": [{"name": "resend"}]}, 422, "actuators"),
        ({"name": "Kitchen", "remove_actuators": ["lamp"]}, 404, "actuator"),
    ],
)
def test_a_description_that_can_not_be_changes_nothing(
    here: Place, client: TestClient, people: People, body: dict[str, Any], status: int, field: str
) -> None:
    furnish(here)
    answer = client.patch("/api/devices/kitchen/", json=body, headers=people.headers("key admin"))
    assert (answer.status_code, fields(answer.json())) == (status, {field})
    assert known(here)["kitchen"] == places.Place("kitchen")


def test_a_device_that_is_deleted_is_gone_at_once(anywhere: Place, client: TestClient) -> None:
    people = People(anywhere.runtime.doors)
    admin, board = people.headers("key admin"), people.device("kitchen")
    furnish(anywhere)
    command = queued(anywhere)
    answer = client.delete("/api/devices/kitchen/", headers=admin)
    assert (answer.status_code, answer.json()) == (202, {"device": "kitchen"})
    assert client.get("/api/devices/kitchen/").status_code == 404
    assert client.get("/api/devices/").json() == []
    assert client.get("/api/led_status/?device=kitchen&actuator=led").status_code == 404
    assert kept(anywhere, command.id).status == "failed"
    order = {"device": "kitchen", "led": "led", "state": "ON"}
    assert client.post("/api/led_control/", json=order, headers=admin).status_code == 404
    assert client.delete("/api/devices/kitchen/", headers=admin).status_code == 404
    assert client.patch("/api/devices/kitchen/", json={"name": "x"}, headers=admin).status_code == 404
    eventually(lambda: client.get("/api/led_control/", headers=board).status_code == 401, what="the token's end")
    with reading(anywhere.runtime.engine) as connection:
        assert [one.device for one in removal.under_way(connection)] == ["kitchen"]
    made = client.post("/api/devices/", json={"device": "kitchen"}, headers=admin)
    assert made.status_code == 201, "there can be another of that name"
    assert made.json()["actuators"] == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("name", ["cellar", "%00", "%ED%A0%80", "a b", "x" * 190, "'"])
def test_a_device_that_is_none(here: Place, client: TestClient, people: People, method: str, name: str) -> None:
    furnish(here)
    answer = client.request(method, f"/api/devices/{name}/", json={}, headers=people.headers("key admin"))
    assert answer.status_code == 404
