"""A board without MQTT fetches its commands, and reports."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from api import command_poll
from db import dead_letters, devices, polls
from db.engine import reading
from tests.api.actuators import furnish, kept, queued
from tests.api.people import People
from tests.api.server import Place, Served, fields
from tests.parts.eventually import eventually

POLL = "/api/led_control/"
REPORT = "/api/led_status/"


@pytest.fixture
def taking(here: Place) -> Place:
    """A place that takes reports."""
    here.runtime.http_readings.start()
    eventually(lambda: any(thread.alive for thread in here.vitals.threads))
    return here


def report(client: TestClient, body: Any, headers: dict[str, str]) -> Any:
    """What a board does: after 503 the same again."""
    for _ in range(500):
        answer = client.post(REPORT, json=body, headers=headers)
        if answer.status_code != 503:
            return answer
        time.sleep(0.01)
    raise AssertionError("503 for ever")


def test_a_board_fetches_what_waits_for_it(anywhere: Place, client: TestClient) -> None:
    furnish(anywhere)
    furnish(anywhere, "cellar")
    headers = People(anywhere.runtime.doors).device("kitchen")
    assert client.get(POLL, headers=headers).json() == []
    led, fan = queued(anywhere), queued(anywhere, actuator="fan", order=40)
    queued(anywhere, "cellar")
    assert client.get(POLL, headers=headers).json() == [
        {"id": led.id, "led": "led", "state": "ON", "expires": led.deadline_at},
        {"id": fan.id, "led": "fan", "state": 40.0, "expires": fan.deadline_at},
    ]
    taken = kept(anywhere, led.id)
    assert [step.status for step in taken.steps] == ["queued", "published"]
    assert client.get(POLL, headers=headers).json() == [], "not again at once"


def test_what_was_not_reported_on_comes_again_with_the_same_id(
    here: Place, client: TestClient, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(here)
    command, headers = queued(here), people.device("kitchen")
    monkeypatch.setattr(command_poll, "AGAIN_AFTER_MS", 50)
    first = client.get(POLL, headers=headers).json()
    again = client.get(f"{POLL}?wait=5", headers=headers).json()
    assert [one["id"] for one in first + again] == [command.id] * 2
    steps = kept(here, command.id).steps
    assert [step.status for step in steps] == ["queued", "published", "published"]
    assert "once more" in steps[-1].evidence


def test_a_poll_is_noted(here: Place, client: TestClient, people: People) -> None:
    furnish(here)
    headers = people.device("kitchen")
    queued(here)
    before = time.time_ns() // 1_000_000
    client.get(f"{POLL}?wait=20", headers=headers)
    with reading(here.runtime.engine) as connection:
        (noted,) = polls.every(connection)
    assert before <= noted.polled_at <= noted.until <= time.time_ns() // 1_000_000, "it was answered at once"


@pytest.mark.parametrize("wait", ["-1", "26", "x", "nan"])
def test_a_wait_that_can_not_be(here: Place, client: TestClient, people: People, wait: str) -> None:
    furnish(here)
    answer = client.get(f"{POLL}?wait={wait}", headers=people.device("kitchen"))
    assert (answer.status_code, fields(answer.json())) == (422, {"wait"})


def poll(served: Served, headers: dict[str, str]) -> list[dict[str, Any]]:
    """What a board does: ask until there is something, on a busy machine more than once."""
    with httpx.Client(base_url=served.url, headers=headers, timeout=60, trust_env=False) as board:
        for _ in range(5):
            answer: list[dict[str, Any]] = board.get(f"{POLL}?wait=25").json()
            if answer:
                return answer
    return []


def test_a_new_command_ends_the_wait_at_once(here: Place, served: Served, people: People) -> None:
    furnish(here)
    headers = people.device("kitchen")
    with ThreadPoolExecutor(1) as board:
        waiting = board.submit(poll, served, headers)
        eventually(lambda: polling(here) == 1, what="the board's poll")
        command, asked = queued(here), time.monotonic()
        here.show_commands()
        told = waiting.result(60)
    assert [one["id"] for one in told] == [command.id]
    assert time.monotonic() - asked < 15, "not only when its time was over"


def test_many_boards_wait_without_a_thread_each(here: Place, served: Served, people: People) -> None:
    """More than the server has threads, and others are answered meanwhile."""
    names = [f"d{number}" for number in range(60)]
    for name in names:
        furnish(here, name)
    tokens = {name: people.device(name) for name in names}
    with ThreadPoolExecutor(len(names)) as boards:
        waiting = {name: boards.submit(poll, served, tokens[name]) for name in names}
        eventually(lambda: polling(here) == len(names), what="all polls")
        assert httpx.get(f"{served.url}/api/devices/", timeout=20, trust_env=False).status_code == 200
        made = {name: queued(here, name).id for name in names}
        here.show_commands()
        told = {name: [one["id"] for one in waiting[name].result(60)] for name in names}
    assert told == {name: [made[name]] for name in names}


def polling(place: Place) -> int:
    with reading(place.runtime.engine) as connection:
        return len(polls.every(connection))


def test_a_board_that_hangs_up_is_given_nothing(here: Place, served: Served, people: People) -> None:
    furnish(here)
    headers = people.device("kitchen")
    client = httpx.Client(base_url=served.url, headers=headers, timeout=0.5, trust_env=False)
    with pytest.raises(httpx.TimeoutException):
        client.get(f"{POLL}?wait=20")
    client.close()
    assert here.board.left.wait(10), "the server noticed"
    command = queued(here)
    here.show_commands()
    assert kept(here, command.id).status == "queued"


def test_the_end_of_the_server_ends_all_waiting(here: Place, served: Served, people: People) -> None:
    furnish(here)
    headers = people.device("kitchen")
    with ThreadPoolExecutor(1) as board:
        address = f"{served.url}{POLL}?wait=20"
        waiting = board.submit(httpx.get, address, headers=headers, timeout=30, trust_env=False)
        eventually(lambda: polling(here) == 1, what="the board's poll")
        here.runtime.announce_stop()
        answer = waiting.result(10)
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_report_confirms_the_command(taking: Place, client: TestClient, people: People) -> None:
    furnish(taking)
    command, headers = queued(taking), people.device("kitchen")
    client.get(POLL, headers=headers)
    answer = report(client, {"led": "led", "state": "ON", "id": command.id}, headers)
    assert (answer.status_code, answer.json()) == (202, {"device": "kitchen", "actuator": "led"})
    assert kept(taking, command.id).status == "confirmed"
    assert client.get("/api/led_status/?device=kitchen&actuator=led").json()["reported"] == "ON"
    with reading(taking.runtime.engine) as connection:
        found = {one.name: one.state for one in devices.every_actuator(connection)}
    assert found == {"fan": None, "led": "ON"}


@pytest.mark.usefixtures("taking")
def test_a_first_report_makes_the_actuator(client: TestClient, people: People) -> None:
    headers = people.device("shed")
    assert report(client, {"led": "pump", "state": 3}, headers).status_code == 202
    assert client.get("/api/led_status/?device=shed&actuator=pump").json()["reported"] == "3"


@pytest.mark.parametrize(
    "body",
    [
        {"led": "led", "state": "MAYBE"},
        {"led": "led", "state": None},
        {"led": "led", "state": True},
        {"led": "led", "state": ["ON"]},
        {"led": "led", "state": "ON", "id": 7},
        {"led": "led", "state": "ON", "id": "x" * 37},
    ],
)
def test_a_state_that_is_none_is_422_and_a_dead_letter(
    taking: Place, client: TestClient, people: People, body: dict[str, Any]
) -> None:
    furnish(taking)
    answer = report(client, body, people.device("kitchen"))
    assert (answer.status_code, fields(answer.json())) == (422, {"state"})
    with reading(taking.runtime.engine) as connection:
        (stored,) = dead_letters.newest(connection, 10)
    assert stored.letter.topic == "iot/kitchen/led/state"
    assert json.loads(stored.letter.payload)["state"] == body["state"]


@pytest.mark.parametrize("name", ["a b", "a/b", "", "x" * 65, "../x", "resend\n"])
def test_a_report_of_what_is_no_actuator(client: TestClient, people: People, name: str) -> None:
    answer = report(client, {"led": name, "state": "ON"}, people.device("kitchen"))
    assert (answer.status_code, fields(answer.json())) == (422, {"led"})


def test_a_report_with_the_id_of_another_boards_command(taking: Place, client: TestClient, people: People) -> None:
    furnish(taking)
    furnish(taking, "cellar")
    command = queued(taking)
    client.get(POLL, headers=people.device("kitchen"))
    answer = report(client, {"led": "led", "state": "ON", "id": command.id}, people.device("cellar"))
    assert answer.status_code == 202, "it is stored as a state of its own"
    assert kept(taking, command.id).status == "published"
