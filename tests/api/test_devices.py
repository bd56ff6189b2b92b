from __future__ import annotations

from starlette.testclient import TestClient

from ingest.snapshot import AboutChange, ReadingChange, StateChange, StatusChange
from tests.api.server import Place

NOON = 1_764_000_000_000

KITCHEN = {
    "device": "site1/kitchen",
    "name": "site1/kitchen",
    "online": True,
    "last_seen": NOON + 30,
    "model": "esp8266-dht22",
    "firmware": "1.0.0",
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
    "online": None,
    "last_seen": NOON,
    "model": None,
    "firmware": None,
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
