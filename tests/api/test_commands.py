"""What became of a command, for who asked for it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from db import commands
from db.engine import writing
from ingest.vitals import now_ms
from tests.api.actuators import furnish, queued
from tests.api.people import People
from tests.api.server import Place, Served, fields
from tests.parts.eventually import eventually

COMMANDS = "/api/commands/"
ORDER = "/api/led_control/"


def end(place: Place, command_id: str, status: commands.CommandStatus = "confirmed") -> None:
    with writing(place.runtime.engine) as connection:
        assert commands.move(connection, command_id, status, "The device said so.", now_ms())
    place.show_commands()


def ask(client: TestClient, headers: dict[str, str], device: str = "kitchen") -> str:
    body = {"device": device, "led": "led", "state": "ON"}
    found: str = client.post(ORDER, json=body, headers=headers).json()["id"]
    return found


def test_each_step_with_its_time_and_evidence(anywhere: Place, client: TestClient) -> None:
    furnish(anywhere)
    headers = People(anywhere.runtime.doors).headers("key operator")
    command_id = ask(client, headers)
    end(anywhere, command_id, "failed")
    told = client.get(f"{COMMANDS}{command_id}/", headers=headers).json()
    assert (told["status"], [step["status"] for step in told["steps"]]) == ("failed", ["queued", "failed"])
    assert told["steps"][-1]["evidence"] == "The device said so."
    assert told["steps"][0]["at"] <= told["steps"][1]["at"]
    assert client.get(f"{COMMANDS}{command_id}/?wait=5", headers=headers).json() == told, "at its end nobody waits"


def test_somebody_elses_is_404_as_one_that_is_not_there(here: Place, client: TestClient, people: People) -> None:
    furnish(here)
    mine = ask(client, people.headers("key operator"))
    boards = ask(client, people.headers("device"))
    for caller in ("key viewer", "jwt viewer", "session viewer", "device"):
        answer = client.get(f"{COMMANDS}{mine}/", headers=people.headers(caller))
        absent = client.get(f"{COMMANDS}{'0' * 36}/", headers=people.headers(caller))
        assert (answer.status_code, absent.status_code) == (404, 404)
        assert answer.json()["detail"] == absent.json()["detail"].replace("0" * 36, mine)
        assert client.get(COMMANDS, headers=people.headers(caller)).json() == (
            [] if caller != "device" else one(client, people, boards)
        )
    for caller in ("key operator", "jwt operator", "session operator", "key admin"):
        assert client.get(f"{COMMANDS}{mine}/", headers=people.headers(caller)).json()["id"] == mine
    assert client.get(f"{COMMANDS}{boards}/", headers=people.headers("key operator")).status_code == 404
    assert client.get(f"{COMMANDS}{boards}/", headers=people.headers("device")).json()["by"] == "device kitchen"
    assert client.get(f"{COMMANDS}{mine}/").status_code == 401


def one(client: TestClient, people: People, command_id: str) -> list[dict[str, Any]]:
    return [client.get(f"{COMMANDS}{command_id}/", headers=people.headers("device")).json()]


def test_devices_with_long_names_do_not_see_each_others(here: Place, client: TestClient, people: People) -> None:
    """More than is kept of who asked."""
    first, second = (f"{'x' * 63}{number}" for number in range(2))
    furnish(here, first)
    furnish(here, second)
    command_id = ask(client, people.device(first), first)
    other = people.device(second)
    assert client.get(f"{COMMANDS}{command_id}/", headers=other).status_code == 404
    assert client.get(COMMANDS, headers=other).json() == []
    assert client.get(f"{COMMANDS}?device={first}", headers=other).json() == []


@pytest.mark.parametrize("name", ["x", "%00", "%ED%A0%80", "0" * 200, "'", "..%2F"])
def test_an_id_that_is_none(here: Place, client: TestClient, people: People, name: str) -> None:
    furnish(here)
    assert client.get(f"{COMMANDS}{name}/", headers=people.headers("key admin")).status_code == 404


def test_the_last_ones_newest_first_and_further_back(here: Place, client: TestClient, people: People) -> None:
    for device in ("kitchen", "cellar"):
        furnish(here, device)
    admin = people.headers("key admin")
    made = [ask(client, people.headers("key operator"), ("kitchen", "cellar")[number % 2]) for number in range(5)]
    made.append(ask(client, admin))
    newest = list(reversed(made))
    assert ids(client, "", admin) == newest
    assert ids(client, "?limit=2", admin) == newest[:2]
    assert ids(client, f"?limit=2&before={newest[1]}", admin) == newest[2:4]
    assert ids(client, "?device=cellar", admin) == [made[3], made[1]]
    assert ids(client, "", people.headers("jwt operator")) == newest[1:]
    assert ids(client, "?before=nobody", admin) == []
    for limit in ("0", "1001", "x"):
        assert client.get(f"{COMMANDS}?limit={limit}", headers=admin).status_code == 422


def ids(client: TestClient, query: str, headers: dict[str, str]) -> list[str]:
    return [command["id"] for command in client.get(f"{COMMANDS}{query}", headers=headers).json()]


def test_the_end_is_waited_for_and_told_at_once(
    here: Place, served: Served, people: People, client: TestClient
) -> None:
    furnish(here)
    headers = people.headers("key operator")
    command_id = ask(client, headers)
    address = f"{served.url}{COMMANDS}{command_id}/?wait=25"
    with ThreadPoolExecutor(1) as someone:
        waiting = someone.submit(httpx.get, address, headers=headers, timeout=60, trust_env=False)
        eventually(lambda: here.board.listeners > 0, what="somebody who waits")
        end(here, command_id, "published")
        end(here, command_id, "confirmed")
        ended = time.monotonic()
        told = waiting.result(60).json()
    assert told["status"] == "confirmed"
    assert time.monotonic() - ended < 15, "not only when its time was over"


def test_what_does_not_end_is_told_as_it_is_when_the_time_is_over(
    here: Place, client: TestClient, people: People
) -> None:
    furnish(here)
    headers = people.headers("key operator")
    command_id = ask(client, headers)
    assert client.get(f"{COMMANDS}{command_id}/?wait=0.1", headers=headers).json()["status"] == "queued"
    for wait in ("-1", "26", "x", "nan"):
        answer = client.get(f"{COMMANDS}{command_id}/?wait={wait}", headers=headers)
        assert (answer.status_code, fields(answer.json())) == (422, {"wait"})


def test_the_end_of_the_server_ends_the_wait(here: Place, served: Served, people: People) -> None:
    furnish(here)
    command = queued(here)
    headers = people.headers("key admin")
    address = f"{served.url}{COMMANDS}{command.id}/?wait=20"
    with ThreadPoolExecutor(1) as someone:
        waiting = someone.submit(httpx.get, address, headers=headers, timeout=30, trust_env=False)
        eventually(lambda: here.board.listeners > 0, what="somebody who waits")
        here.runtime.announce_stop()
        answer = waiting.result(10)
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
