"""A device's login at the broker through the API, at a Mosquitto as `python -m broker` makes it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from db import audit, places
from db.engine import reading
from runtime import device_logins
from settings import Settings
from tests.api.people import People
from tests.api.server import Place, fields
from tests.broker.device_client import Denied, DeviceClient
from tests.parts.ports import free_port
from tests.parts.production_broker import ProductionBroker


@pytest.fixture(scope="module")
def broker() -> Iterator[ProductionBroker]:
    """One for all tests here; each uses devices of its own."""
    path = Path(tempfile.mkdtemp(prefix="sm-"))
    with ProductionBroker(path) as broker:
        yield broker
    shutil.rmtree(path)


def joined(place: Place, broker: ProductionBroker, **settings: str) -> Place:
    """The place, with the settings that `init` writes for the server."""
    given: dict[str, Any] = {name.lower(): value for name, value in broker.settings.items()}
    place.runtime.logins = device_logins(Settings(**{**given, **settings}))
    return place


def closed(place: Place, broker: ProductionBroker) -> Place:
    """The same, and nobody listens where the broker should be."""
    joined(place, broker)
    logins = place.runtime.logins
    assert logins is not None
    nobody = replace(logins.administrator, port=free_port())
    place.runtime.logins = replace(logins, administrator=nobody)
    return place


def device(told: dict[str, Any], tmp_path: Path) -> DeviceClient:
    """Who comes in with what the API answered, and nothing else."""
    ca = tmp_path / "ca.crt"
    ca.write_text(told["ca"])
    assert told["tls"] is True
    return DeviceClient(told["port"], told["client_id"], told["username"], told["password"], ca=ca, host=told["host"])


def accounts(broker: ProductionBroker) -> dict[str, bool]:
    """Names, and whether they are revoked."""
    return {one["name"]: one["revoked"] for one in broker.command("device", "list", "--json").document}


def entries(place: Place, subject: str) -> list[tuple[str, str]]:
    """What the audit log has of it, oldest first: action and result."""
    with reading(place.runtime.engine) as connection:
        found = audit.search(connection, text=subject)
    return [(one.entry.action, one.entry.result) for one in reversed(found) if one.entry.subject == subject]


def known(place: Place) -> set[str]:
    with reading(place.runtime.engine) as connection:
        return set(places.every(connection))


def test_making_a_device_answers_once_with_a_login_that_works(
    anywhere: Place, client: TestClient, broker: ProductionBroker, tmp_path: Path
) -> None:
    name = "made-mysql" if anywhere.runtime.engine.dialect.name == "mysql" else "made-sqlite"
    admin = People(joined(anywhere, broker).runtime.doors).headers("key admin")
    answer = client.post("/api/devices/", json={"device": name, "area": "North"}, headers=admin)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    told = answer.json()
    assert told["token"].startswith("sm_d_")
    assert (told["mqtt"]["username"], told["mqtt"]["client_id"]) == (name, name)
    assert (told["mqtt"]["host"], told["mqtt"]["port"]) == ("127.0.0.1", broker.tls_port)
    with device(told["mqtt"], tmp_path) as kitchen:
        assert kitchen.publish(f"iot/{name}/telemetry") == "Success"
        assert kitchen.subscribe(f"iot/{name}/+/set") == "Granted QoS 1"
        assert kitchen.publish("iot/neighbour/telemetry") == "Not authorized"
    assert entries(anywhere, name) == [
        ("device_login.create", "asked"),
        ("device_login.create", "ok"),
        ("device.make", "ok"),
        ("device.change", "ok"),
        ("device_token.create", "ok"),
    ]
    shown = client.get(f"/api/devices/{name}/").json()
    assert told["mqtt"]["password"] not in str(shown) + client.get("/api/audit/", headers=admin).text
    again = client.post("/api/devices/", json={"device": name}, headers=admin)
    assert again.status_code == 409
    with device(told["mqtt"], tmp_path) as kitchen:
        assert kitchen.publish(f"iot/{name}/telemetry") == "Success", "its login is as it was"


def test_a_device_for_http_alone_gets_no_login(
    here: Place, client: TestClient, people: People, broker: ProductionBroker
) -> None:
    joined(here, broker)
    answer = client.post(
        "/api/devices/", json={"device": "poster", "login": False}, headers=people.headers("jwt admin")
    )
    assert (answer.status_code, answer.json()["mqtt"]) == (201, None)
    assert "poster" not in accounts(broker)


def test_where_no_administrator_is_set_it_says_what_to_type(client: TestClient, people: People) -> None:
    admin = people.headers("key admin")
    assert client.post("/api/devices/", json={"device": "plain"}, headers=admin).json()["mqtt"] is None
    for method in ("POST", "DELETE"):
        answer = client.request(method, "/api/devices/plain/login/", headers=admin)
        assert answer.status_code == 404
        assert "MQTT_ADMIN_USER" in answer.json()["detail"]
    assert client.delete("/api/devices/plain/", headers=admin).status_code == 202


def test_while_the_broker_is_away_nothing_is_half_made_or_half_deleted(
    here: Place, client: TestClient, people: People, broker: ProductionBroker
) -> None:
    admin = people.headers("key admin")
    closed(here, broker)
    made = client.post("/api/devices/", json={"device": "lost"}, headers=admin)
    assert (made.status_code, made.headers["retry-after"]) == (503, "5")
    assert "no broker answers" in made.json()["detail"]
    assert "Nothing was changed" in made.json()["detail"]
    assert known(here) == set()
    assert entries(here, "lost") == [("device_login.create", "asked"), ("device_login.create", "failed")]
    assert client.post("/api/devices/", json={"device": "lost", "login": False}, headers=admin).status_code == 201
    for method, path in (("POST", "lost/login"), ("DELETE", "lost/login"), ("DELETE", "lost")):
        assert client.request(method, f"/api/devices/{path}/", headers=admin).status_code == 503
    assert known(here) == {"lost"}
    assert [action for action, result in entries(here, "lost") if result == "failed"] == [
        "device_login.create",
        "device_login.replace",
        "device_login.revoke",
        "device_login.delete",
    ]


def test_what_fails_after_the_login_was_made_takes_it_back(
    here: Place, client: TestClient, people: People, broker: ProductionBroker
) -> None:
    joined(here, broker)
    body = {"device": "undone", "name": "x" * 129}
    answer = client.post("/api/devices/", json=body, headers=people.headers("key admin"))
    assert (answer.status_code, fields(answer.json())) == (422, {"name"})
    assert "undone" not in accounts(broker)
    assert [action for action, result in entries(here, "undone") if result == "ok"] == [
        "device_login.create",
        "device_login.delete",
    ]


def test_a_login_that_was_made_elsewhere_is_not_taken_over_unasked(
    here: Place, client: TestClient, people: People, broker: ProductionBroker, tmp_path: Path
) -> None:
    joined(here, broker)
    admin = people.headers("key admin")
    first = broker.add("elsewhere")
    answer = client.post("/api/devices/", json={"device": "elsewhere"}, headers=admin)
    assert answer.status_code == 409
    assert '"login": false' in answer.json()["detail"]
    assert known(here) == set()
    with DeviceClient(broker.tls_port, "elsewhere", "elsewhere", first["password"], broker.ca):
        pass
    client.post("/api/devices/", json={"device": "elsewhere", "login": False}, headers=admin)
    told = client.post("/api/devices/elsewhere/login/", headers=admin)
    assert (told.status_code, told.headers["cache-control"]) == (201, "no-store")
    with device(told.json(), tmp_path) as mine:
        assert mine.publish("iot/elsewhere/telemetry") == "Success"


def test_another_password_and_revoking_end_the_connection_at_once(
    here: Place, client: TestClient, people: People, broker: ProductionBroker, tmp_path: Path
) -> None:
    joined(here, broker)
    admin = people.headers("key admin")
    told = client.post("/api/devices/", json={"device": "shed"}, headers=admin).json()["mqtt"]
    with device(told, tmp_path) as first:
        second = client.post("/api/devices/shed/login/", headers=admin).json()
        assert first.gone.wait(5)
    with pytest.raises(Denied), device(told, tmp_path):
        pass
    with device(second, tmp_path) as now:
        assert client.delete("/api/devices/shed/login/", headers=admin).status_code == 204
        assert now.gone.wait(5)
    with pytest.raises(Denied), device(second, tmp_path):
        pass
    assert client.delete("/api/devices/shed/login/", headers=admin).status_code == 404
    with device(client.post("/api/devices/shed/login/", headers=admin).json(), tmp_path) as again:
        assert again.publish("iot/shed/telemetry") == "Success"
    assert entries(here, "shed").count(("device_login.revoke", "failed")) == 1
    assert [
        action for action, result in entries(here, "shed") if action.startswith("device_login") and result == "ok"
    ] == [
        "device_login.create",
        "device_login.replace",
        "device_login.revoke",
        "device_login.create",
    ]


def test_deleting_a_device_ends_its_login(
    here: Place, client: TestClient, people: People, broker: ProductionBroker, tmp_path: Path
) -> None:
    joined(here, broker)
    admin = people.headers("key admin")
    told = client.post("/api/devices/", json={"device": "barn"}, headers=admin).json()["mqtt"]
    with device(told, tmp_path) as barn:
        assert client.delete("/api/devices/barn/", headers=admin).status_code == 202
        assert barn.gone.wait(5)
    assert "barn" not in accounts(broker)
    assert client.delete("/api/devices/barn/", headers=admin).status_code == 404
    assert client.post("/api/devices/barn/login/", headers=admin).status_code == 404


def test_logins_that_are_no_device_s_are_left_alone(
    here: Place, client: TestClient, people: People, broker: ProductionBroker
) -> None:
    admin = people.headers("key admin")
    joined(here, broker)
    broker.add("plant", "--site")
    for name, status in (("plant", 409), ("smart-monitor", 422), ("smart-monitor-admin", 422)):
        assert client.post("/api/devices/", json={"device": name}, headers=admin).status_code == status, name
        assert client.post("/api/devices/", json={"device": name, "login": False}, headers=admin).status_code == 201
        assert client.post(f"/api/devices/{name}/login/", headers=admin).status_code == status, name
        assert client.delete(f"/api/devices/{name}/login/", headers=admin).status_code == 404, name
        assert client.delete(f"/api/devices/{name}/", headers=admin).status_code == 202, name
    assert accounts(broker)["plant"] is False


def test_a_wrong_administrator_is_told(
    here: Place, client: TestClient, people: People, broker: ProductionBroker
) -> None:
    joined(here, broker, mqtt_admin_password="not the one")
    answer = client.post("/api/devices/", json={"device": "nobody"}, headers=people.headers("key admin"))
    assert answer.status_code == 503
    assert "refuses the administrator's login" in answer.json()["detail"]
    assert "not the one" not in answer.text


def test_a_device_of_a_site_is_called_with_it(
    here: Place, client: TestClient, people: People, part_directory: Path, tmp_path: Path
) -> None:
    with ProductionBroker(part_directory, "--root", "+/iot") as broker:
        assert broker.settings["TOPIC_ROOT"] == "+/iot"
        joined(here, broker)
        here.runtime.settings = here.runtime.settings.model_copy(update={"topic_root": "+/iot"})
        admin = people.headers("key admin")
        told = client.post("/api/devices/", json={"device": "site1/kitchen"}, headers=admin).json()["mqtt"]
        with device(told, tmp_path) as kitchen:
            assert kitchen.publish("site1/iot/kitchen/telemetry") == "Success"
            assert kitchen.publish("site2/iot/kitchen/telemetry") == "Not authorized"
        with device(told, tmp_path) as kitchen:
            assert client.delete("/api/devices/site1/kitchen/login/", headers=admin).status_code == 204
            assert kitchen.gone.wait(5)
        assert client.post("/api/devices/site1/kitchen/login/", headers=admin).status_code == 201
        assert client.delete("/api/devices/site1/kitchen/", headers=admin).status_code == 202
        assert accounts(broker) == {}
