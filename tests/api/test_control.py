"""Asking a device for something, and what its actuators do."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from db import audit, commands
from db.engine import reading
from tests.api.actuators import furnish, kept
from tests.api.people import People
from tests.api.server import Place, fields
from tests.parts.waiting import fill

ORDER = "/api/led_control/"
AS_USER = "/api/led_controlT/"
STATUS = "/api/led_status/"


def wish(**fields: Any) -> dict[str, Any]:
    return {"device": "kitchen", "led": "led", "state": "ON"} | fields


def test_an_order_is_queued_and_recorded(anywhere: Place, client: TestClient) -> None:
    people = People(anywhere.runtime.doors)
    furnish(anywhere)
    answer = client.post(AS_USER, json=wish(), headers=people.headers("jwt operator"))
    assert answer.status_code == 202
    told = answer.json()
    assert {name: told[name] for name in ("device", "actuator", "state", "status", "by")} == {
        "device": "kitchen",
        "actuator": "led",
        "state": "ON",
        "status": "queued",
        "by": "operator",
    }
    assert [step["status"] for step in told["steps"]] == ["queued"]
    assert told["deadline_at"] - told["made_at"] == 1_000 * anywhere.runtime.settings.command_deadline_s
    assert kept(anywhere, told["id"]).status == "queued"
    with reading(anywhere.runtime.engine) as connection:
        (entry,) = audit.search(connection, text=told["id"])
    assert (entry.entry.actor, entry.entry.subject) == ("operator", "kitchen/led")


@pytest.mark.parametrize(
    ("order", "state"),
    [("ON", "ON"), ("off", "OFF"), (" Toggle ", "ON"), ("TOGGLE", "ON")],
)
def test_the_words_of_a_switch(here: Place, client: TestClient, people: People, order: str, state: str) -> None:
    furnish(here, state="OFF")
    answer = client.post(ORDER, json=wish(state=order), headers=people.headers("key admin"))
    assert (answer.status_code, answer.json()["state"]) == (202, state)


def test_toggling_twice_is_the_opposite_of_what_was_asked(here: Place, client: TestClient, people: People) -> None:
    furnish(here, state="OFF")
    first, second = (
        client.post(ORDER, json=wish(state="TOGGLE"), headers=people.headers("key operator")).json() for _ in range(2)
    )
    assert (first["state"], second["state"]) == ("ON", "OFF")
    assert kept(here, first["id"]).status == "cancelled"


@pytest.mark.parametrize(("order", "state"), [(40, "40"), ("40", "40"), (0, "0"), (99.5, "99.5"), (100.0, "100")])
def test_a_number_within_the_range(here: Place, client: TestClient, people: People, order: Any, state: str) -> None:
    furnish(here)
    answer = client.post(ORDER, json=wish(led="fan", state=order), headers=people.headers("key operator"))
    assert (answer.status_code, answer.json()["state"]) == (202, state)


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        (wish(state="MAYBE"), "state", "ON, OFF or TOGGLE"),
        (wish(state=1), "state", "ON, OFF or TOGGLE"),
        (wish(state=True), "state", ""),
        (wish(state=None), "state", ""),
        (wish(state=[1]), "state", ""),
        (wish(led="fan", state="ON"), "state", "from 0 to 100 %"),
        (wish(led="fan", state=101), "state", "from 0 to 100 %"),
        (wish(led="fan", state=-0.5), "state", "from 0 to 100 %"),
        (wish(led="fan", state="1e400"), "state", "from 0 to 100 %"),
        (wish(led="fan", state=10**400), "state", "from 0 to 100 %"),
        ({"device": "kitchen", "led": "led"}, "state", "is required"),
        ({"led": "led", "state": "ON"}, "device", "is required"),
        (wish(device="x" * 201), "device", ""),
        (wish(device=7), "device", ""),
    ],
)
def test_what_can_not_be_asked_for_is_422_and_names_field_and_range(
    here: Place, client: TestClient, people: People, body: dict[str, Any], field: str, says: str
) -> None:
    furnish(here)
    answer = client.post(ORDER, json=body, headers=people.headers("key operator"))
    assert answer.status_code == 422
    assert any(name.startswith(field) for name in fields(answer.json()))
    assert says in answer.json()["detail"]


def test_a_number_that_is_none(here: Place, client: TestClient, people: People) -> None:
    furnish(here)
    headers = people.headers("key operator") | {"Content-Type": "application/json"}
    for number in ("NaN", "Infinity", "-Infinity"):
        body = b'{"device": "kitchen", "led": "fan", "state": %s}' % number.encode()
        assert client.post(ORDER, content=body, headers=headers).status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (wish(device="cellar"), "device"),
        (wish(device="Kitchen"), "device"),
        (wish(device=""), "device"),
        (wish(led="lamp"), "led"),
        (wish(led="LED"), "led"),
        (wish(led="resend"), "led"),
    ],
)
def test_an_unknown_device_or_actuator_is_404(
    here: Place, client: TestClient, people: People, body: dict[str, Any], field: str
) -> None:
    furnish(here)
    answer = client.post(ORDER, json=body, headers=people.headers("key operator"))
    assert answer.status_code == 404
    assert fields(answer.json()) == {field}


def test_names_that_no_database_takes(here: Place, client: TestClient, people: People) -> None:
    furnish(here)
    headers = people.headers("key operator") | {"Content-Type": "application/json"}
    for name in (b"\\ud800", b"a\\u0000b"):
        for body in (
            b'{"device": "%s", "led": "led", "state": "ON"}' % name,
            b'{"device": "kitchen", "led": "%s", "state": "ON"}' % name,
        ):
            assert client.post(ORDER, content=body, headers=headers).status_code in (404, 422)


def test_a_device_asks_itself_alone(here: Place, client: TestClient, people: People) -> None:
    furnish(here)
    furnish(here, "cellar")
    headers = people.device("kitchen")
    mine = client.post(ORDER, json={"led": "led", "state": "ON"}, headers=headers)
    assert mine.status_code == 202
    assert (mine.json()["device"], mine.json()["by"]) == ("kitchen", "device kitchen")
    assert client.post(ORDER, json=wish(), headers=headers).status_code == 202
    other = client.post(ORDER, json=wish(device="cellar"), headers=headers)
    assert other.status_code == 403
    assert "kitchen" in other.json()["detail"]
    with reading(here.runtime.engine) as connection:
        assert {command.device for command in commands.recent(connection)} == {"kitchen"}


def test_of_ten_thousand_that_wait_the_next_is_429(here: Place, client: TestClient, people: People) -> None:
    fill(here.runtime.engine, commands.MOST_OPEN)
    furnish(here)
    answer = client.post(ORDER, json=wish(), headers=people.headers("key operator"))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "10,000 commands wait already" in answer.json()["detail"]


def test_what_actuators_do(here: Place, client: TestClient) -> None:
    furnish(here, state="OFF")
    furnish(here, "cellar")
    told = client.get(f"{STATUS}?device=kitchen&actuator=led").json()
    assert {name: told[name] for name in ("device", "actuator", "reported", "asked")} == {
        "device": "kitchen",
        "actuator": "led",
        "reported": "OFF",
        "asked": None,
    }
    assert isinstance(told["since"], int)
    of_kitchen = client.get(f"{STATUS}?device=kitchen").json()
    assert [one["actuator"] for one in of_kitchen] == ["fan", "led"]
    assert of_kitchen[0]["reported"] is None
    every = client.get(STATUS).json()
    assert [(one["device"], one["actuator"]) for one in every] == [
        (device, actuator) for device in ("cellar", "kitchen") for actuator in ("fan", "led")
    ]
    assert [one["device"] for one in client.get(f"{STATUS}?actuator=led").json()] == ["cellar", "kitchen"]
    assert client.get(f"{STATUS}?device=attic").status_code == 404
    assert client.get(f"{STATUS}?device=kitchen&actuator=lamp").status_code == 404
