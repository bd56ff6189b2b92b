"""A command from a script to a device and back, against whole servers: with a worker inside, and with one elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.test_http_device import PASSWORD, admin, token_of
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.process import Process
from tests.parts.server import Server
from tests.parts.worker import WorkerProcess

#: What the first simulated device is called.
DEVICE = "greenhouse"


@dataclass(frozen=True, slots=True)
class House:
    """A server, who asks it as an admin, and the database and broker behind it."""

    server: Server
    headers: dict[str, str]
    settings: Mapping[str, str]
    directory: Path

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx2.Response:
        by = self.headers if headers is None else headers
        return httpx2.request(method, f"{self.server.url}/api{path}", headers=by, timeout=60, trust_env=False, **more)

    def order(self, state: Any, device: str = DEVICE, led: str = "led") -> str:
        answer = self.ask("POST", "/led_controlT/", json={"device": device, "led": led, "state": state})
        assert answer.status_code == 202, answer.text
        found: str = answer.json()["id"]
        return found

    def outcome(self, command_id: str, wait: int = 25) -> dict[str, Any]:
        answer = self.ask("GET", f"/commands/{command_id}/?wait={wait}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def reported(self, device: str = DEVICE) -> str | None:
        told = self.ask("GET", f"/led_status/?device={device}&actuator=led")
        return told.json().get("reported") if told.status_code == 200 else None


@contextmanager
def house(
    directory: Path, database_url: str, mosquitto: Mosquitto, root: str, mode: str, **more: str
) -> Iterator[House]:
    settings = {
        "DATABASE_URL": database_url,
        "MQTT_URL": mosquitto.url,
        "MQTT_CLIENT_ID": root,
        "TOPIC_ROOT": root,
    } | more
    with ExitStack() as stack:
        if mode == "off":
            stack.enter_context(WorkerProcess(directory, settings | {"DATA_DIR": str(directory / "worker")}))
        server = stack.enter_context(Server(directory, settings | {"INGEST": mode, "ADMIN_PASSWORD": PASSWORD}))
        eventually(lambda: server.get("/api/health/").status_code == 200, what="a worker that has subscribed")
        yield House(server, admin(server), settings, directory)
        assert server.stop() == 0
        assert "Traceback" not in server.output()


@contextmanager
def simulated(place: House, root: str, mosquitto: Mosquitto) -> Iterator[Process]:
    """A device in software whose LED obeys at once."""
    command = [sys.executable, "-m", "firmware", "simulate", "--count", "1", "--led-delay", "0", "0"]
    device = Process([*command, "--root", root, "--broker", mosquitto.url], log=place.directory / "device.log")
    device.start()
    try:
        eventually(lambda: place.reported() == "OFF", what="the device's first report")
        yield device
    finally:
        if device.running:
            device.stop()


@pytest.mark.parametrize("mode", ["thread", "off"])
def test_a_script_asks_and_the_device_confirms(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str, mode: str
) -> None:
    with (
        house(part_directory, mariadb_url, mosquitto, topic_root, mode) as place,
        simulated(place, topic_root, mosquitto),
    ):
        for order, state in (("ON", "ON"), ("TOGGLE", "OFF")):
            told = place.outcome(place.order(order))
            assert (told["status"], told["state"], told["by"]) == ("confirmed", state, "admin")
            assert told["steps"][0]["status"] == "queued"
            eventually(lambda state=state: place.reported() == state, what="the state in memory")  # type: ignore[misc]
        listed = place.ask("GET", "/commands/?limit=2").json()
        assert [(one["state"], one["status"]) for one in listed] == [("OFF", "confirmed"), ("ON", "confirmed")]
        subject = f"{DEVICE}/led"

        def recorded() -> list[str]:
            found = place.ask("GET", f"/audit/?text={subject}").json()
            return sorted(one["action"] for one in found if one["subject"] == subject)

        eventually(lambda: recorded() == ["command.confirmed"] * 2 + ["command.request"] * 2, what="the audit entries")


def test_to_a_device_that_is_offline_it_waits_and_expires(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str
) -> None:
    with house(part_directory, mariadb_url, mosquitto, topic_root, "thread", COMMAND_DEADLINE_S="1") as place:
        with simulated(place, topic_root, mosquitto) as device:
            device.stop()  # it says goodbye
            eventually(
                lambda: place.ask("GET", f"/devices/{DEVICE}/").json()["online"] is False, what="the device's goodbye"
            )
            told = place.outcome(place.order("ON"))
        assert told["status"] == "expired"
        assert "published" not in [step["status"] for step in told["steps"]], "it never went out"


@pytest.mark.parametrize("mode", ["thread", "off"])
def test_a_board_that_polls_is_given_it_and_confirms(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str, mode: str
) -> None:
    with house(part_directory, mariadb_url, mosquitto, topic_root, mode) as place:
        board = token_of(place.server, "shed", place.headers)

        def first_report() -> bool:
            answer = place.ask("POST", "/led_status/", board, json={"led": "led", "state": "OFF"})
            assert answer.status_code in (202, 503), answer.text
            return answer.status_code == 202

        eventually(first_report, what="a report that is stored")
        assert place.ask("GET", "/led_control/", board).json() == [], "from here on it is known that it polls"
        command_id = place.order("ON", "shed")
        (given,) = eventually(lambda: place.ask("GET", "/led_control/?wait=5", board).json(), what="the command")
        assert (given["id"], given["led"], given["state"]) == (command_id, "led", "ON")
        report = {"led": "led", "state": "ON", "id": command_id}
        assert place.ask("POST", "/led_status/", board, json=report).status_code == 202
        told = place.outcome(command_id)
        assert list(dict.fromkeys(step["status"] for step in told["steps"])) == ["queued", "published", "confirmed"]
        assert place.reported("shed") == "ON"


def test_a_command_to_a_device_that_was_deleted(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str
) -> None:
    with house(part_directory, mariadb_url, mosquitto, topic_root, "thread") as place:
        mosquitto.publish(f"{topic_root}/{DEVICE}/led/state", "OFF")
        eventually(lambda: place.reported() == "OFF", what="the device")
        mosquitto.publish(f"{topic_root}/{DEVICE}/status", "offline")
        eventually(lambda: place.ask("GET", f"/devices/{DEVICE}/").json()["online"] is False, what="its goodbye")
        waiting = place.order("ON")
        assert place.ask("DELETE", f"/devices/{DEVICE}/").status_code == 202
        assert place.outcome(waiting)["status"] == "failed"
        answer = place.ask("POST", "/led_controlT/", json={"device": DEVICE, "led": "led", "state": "ON"})
        assert answer.status_code == 404
        eventually(lambda: place.ask("GET", f"/devices/{DEVICE}/").status_code == 404, what="its end in memory")
