"""Commands over the embedded broker, as they go after `make run` on a bare machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from settings import parse_mqtt_url
from tests.pages.visitors import settle
from tests.parts.board import Board
from tests.parts.boards import DEVICE, Boards
from tests.parts.doors import actor
from tests.parts.eventually import eventually
from tests.parts.server import Server


def test_a_command_reaches_a_board_that_speaks_mqtt_3_1_1(part_directory: Path) -> None:
    with Server(part_directory) as server:
        doors = settle(server)
        operator = doors.user("the-operator")
        assert operator is not None
        _, key = doors.create_key(actor(operator), "test")
        address = parse_mqtt_url((server.data_dir / "mqtt_url").read_text(encoding="utf-8").strip())
        with (
            Board(address.port, "iot") as board,
            httpx2.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client,
        ):
            led = {"device": "kitchen", "actuator": "led"}
            eventually(lambda: client.get("/api/led_status/", params=led).status_code == 200, what="a known actuator")

            asked = client.post("/api/led_control/", json={"device": "kitchen", "led": "led", "state": "ON"})
            assert asked.status_code == 202

            def ended() -> dict[str, Any] | None:
                command: dict[str, Any] = client.get(f"/api/commands/{asked.json()['id']}/", params={"wait": 1}).json()
                return command if command["status"] not in ("queued", "published") else None

            command = eventually(ended, what="the command's end")
            assert command is not None
            assert command["status"] == "confirmed"
            assert board.taken == [command["id"]]


def test_the_boards_find_the_embedded_broker_and_obey_over_it(part_directory: Path) -> None:
    (part_directory / "boards").mkdir()
    with Server(part_directory) as server:
        doors = settle(server)
        operator = doors.user("the-operator")
        assert operator is not None
        _, key = doors.create_key(actor(operator), "test")
        with (
            Boards(part_directory / "boards", None, "iot", data_dir=server.data_dir) as boards,
            httpx2.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client,
        ):
            boards.measure(21.5, 40)
            eventually(
                lambda: client.get("/api/dht22_db/", params={"device": DEVICE}).json().get("temperature") == 21.5,
                what="the reading",
            )
            asked = client.post("/api/led_control/", json={"device": DEVICE, "led": "led", "state": "ON"})
            assert asked.status_code == 202, asked.text

            def ended() -> str | None:
                command = client.get(f"/api/commands/{asked.json()['id']}/", params={"wait": 1}).json()
                return command["status"] if command["status"] not in ("queued", "published") else None

            assert eventually(ended, what="the command's end") == "confirmed"
            eventually(lambda: boards.led == "on", what="the pin")
