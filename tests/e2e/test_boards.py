"""The whole chain on the boards' own firmware: pulses to a row, a click to a pin, and what may break between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from firmware import build
from firmware.__main__ import app
from tests.e2e.board_soak import figure, latest, settle, soak, stored, wire_out_and_broker_away
from tests.e2e.test_control_api import House, house
from tests.e2e.test_http_device import PASSWORD
from tests.parts.boards import DEVICE, Boards
from tests.parts.chromium import Pages
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto

#: Readings in one message at most.
UNDER_WAY = 5
#: What the ring holds by default, and how large each is there.
READINGS_KEPT, READING_BYTES = 256, 10


def free_on_a_board(free_here: int, readings_kept: int) -> int:
    """Bytes that would be free there with a full-sized ring: this MicroPython's objects are twice as large."""
    return (free_here - (READINGS_KEPT - readings_kept) * READING_BYTES) // 2


@contextmanager
def pair(place: House, mosquitto: Mosquitto, root: str, **settings: Any) -> Iterator[Boards]:
    """Both boards, once the server knows the LED."""
    directory = place.directory / "boards"
    directory.mkdir()
    with Boards(directory, mosquitto.url, root, **settings) as boards:
        boards.measure(23.4, 56.1)
        eventually(lambda: place.reported(DEVICE) == "OFF", what="the LED's first report")
        yield boards


def test_pulses_become_a_row_and_a_card(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str, pages: Pages
) -> None:
    with (
        house(part_directory, mariadb_url, mosquitto, topic_root, "thread") as place,
        pair(place, mosquitto, topic_root) as boards,
    ):
        boards.measure(-12.3, 45.6)
        eventually(lambda: latest(place).get("temperature") == -12.3, what="the reading")
        assert latest(place)["humidity"] == 45.6
        eventually(lambda: -12.3 in stored(mariadb_url), what="its row")
        page = pages.open(place.server.url)
        page.get_by_text(DEVICE).first.wait_for()
        page.get_by_text("\N{MINUS SIGN}12.3").first.wait_for()


def test_what_is_asked_for_moves_the_pin_and_what_the_button_does_is_told(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str
) -> None:
    with (
        house(part_directory, mariadb_url, mosquitto, topic_root, "thread") as place,
        pair(place, mosquitto, topic_root) as boards,
    ):
        for order, state in (("ON", "on"), ("TOGGLE", "off")):
            told = place.outcome(place.order(order, DEVICE))
            assert (told["status"], told["state"]) == ("confirmed", state.upper())
            eventually(lambda state=state: boards.led == state, what="the pin")  # type: ignore[misc]
        boards.press()
        eventually(lambda: place.reported(DEVICE) == "ON" and boards.led == "on", what="the button's report")


def test_the_wire_pulled_out_and_the_broker_away_cost_what_the_boards_say_and_no_more(
    part_directory: Path, mariadb_url: str, own_mosquitto: Mosquitto, topic_root: str
) -> None:
    with (
        house(part_directory, mariadb_url, own_mosquitto, topic_root, "thread") as place,
        pair(place, own_mosquitto, topic_root, esp8266={"health_ms": 200}) as boards,
    ):
        found = wire_out_and_broker_away(place, boards, own_mosquitto, mariadb_url, wire_s=0.5, broker_s=1.5)
        assert (found.lost, found.rows) == (0, found.heard)
        assert set(stored(mariadb_url)) == {23.4}


def test_a_command_survives_the_board_it_is_for(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str
) -> None:
    with (
        house(part_directory, mariadb_url, mosquitto, topic_root, "thread") as place,
        pair(place, mosquitto, topic_root) as boards,
    ):
        asked = place.order("ON", DEVICE)
        boards.cut_power()
        told = place.outcome(asked)
        assert told["status"] == "confirmed", told
        eventually(lambda: place.reported(DEVICE) == "ON" and boards.led == "on", what="the LED's state")


def test_a_board_without_mqtt_reports_and_obeys_over_a_server_that_restarts(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str
) -> None:
    with house(part_directory, mariadb_url, mosquitto, topic_root, "thread") as place:
        path = part_directory / "config.json"
        given = ["--server", place.server.url, "--device", DEVICE, "--wifi", "w", "--password", "", "--out", str(path)]
        made = CliRunner().invoke(app, ["config", "esp8266", *given], env={"ADMIN_PASSWORD": PASSWORD})
        assert made.exit_code == 0, made.output
        settings = json.loads(path.read_text()) | {"poll_wait_s": 1, "health_ms": 200, "patience_ms": 2_000}
        with pair(place, mosquitto, topic_root, esp8266=settings) as boards:
            eventually(lambda: latest(place).get("temperature") == 23.4, what="the reading")
            told = place.outcome(place.order("ON", DEVICE))
            assert told["status"] == "confirmed"
            eventually(lambda: boards.led == "on", what="the pin")
            place.server.restart()
            eventually(lambda: figure(place, "frames") > 0, what="figures after the restart")
            found = settle(place, boards, mariadb_url)
            assert (found.lost, found.rows) == (0, found.heard)


def test_some_seconds_of_outages_leave_an_account_that_adds_up_and_the_heap_as_it_was(
    part_directory: Path, mariadb_url: str, own_mosquitto: Mosquitto, topic_root: str
) -> None:
    settings = {"health_ms": 100, "readings_kept": 32}
    with (
        house(part_directory, mariadb_url, own_mosquitto, topic_root, "thread") as place,
        pair(place, own_mosquitto, topic_root, stm32={"period_ms": 20}, esp8266=settings) as boards,
    ):
        found = soak(place, boards, own_mosquitto, mariadb_url, seconds=3, outage_s=0.7)
        assert found.rows <= found.heard <= found.rows + found.lost
        assert found.lost > 0, "the ring was too small for the outage"
        assert found.rows + found.lost - found.heard <= UNDER_WAY * 5, "only what was under way may be both"
        assert abs(found.heap_after - found.heap_before) < found.heap_before * 0.02
        assert free_on_a_board(found.heap_after, 32) >= build.budget("esp8266").free_after_soak_bytes
