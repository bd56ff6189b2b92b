"""Both boards' firmware on MicroPython, from a sensor's pulses to MQTT and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.conftest import Listener
from tests.firmware.time_server import TimeServer
from tests.parts.boards import DEVICE, Boards
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto

Start = Callable[..., Boards]


@pytest.fixture
def boards(part_directory: Path, topic_root: str) -> Iterator[Start]:
    """Starts boards under this test's root; they end with the test."""
    running: list[Boards] = []

    def start(broker: Mosquitto, **settings: Any) -> Boards:
        directory = part_directory / f"pair{len(running)}"
        directory.mkdir()
        running.append(Boards(directory, broker.url, topic_root, **settings))
        running[-1].__enter__()
        return running[-1]

    yield start
    for each in running:
        each.__exit__()


def readings(listener: Listener, count: int) -> list[dict[str, Any]]:
    """The next `count` readings: one by one, out of backlogs as well; not the boards' own figures."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        told = listener.next("telemetry").json
        found += [one for one in (told if isinstance(told, list) else [told]) if "seq" in one]
    return found[:count]


def figures(listener: Listener) -> dict[str, int]:
    """The next figures of the board itself."""
    while True:
        told = listener.next("telemetry").json
        if isinstance(told, dict) and "vitals" in told:
            vitals: dict[str, int] = told["vitals"]
            return vitals


def test_what_the_sensor_measures_is_published(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto)
    pair.measure(-7.9, 99.9)
    assert listener.next("status").text == "online"
    about = listener.next("about").json
    assert about["model"] == "esp8266-dht22"
    assert about["actuators"] == ["led"]
    assert about["units"]["temperature"] == "°C"
    assert listener.next("led/state").json == {"state": "OFF"}
    found = readings(listener, 5)
    assert [one["seq"] for one in found] == [0, 1, 2, 3, 4]
    assert len({one["boot"] for one in found}) == 1
    assert {(one["temperature"], one["humidity"]) for one in found} == {(-7.9, 99.9)}
    assert all(0 <= one["age"] < 5_000 for one in found), "it knows no time, so it tells the age"
    pair.measure(23.4, 56.1)
    eventually(lambda: readings(listener, 1)[0]["temperature"] == 23.4, what="the new value")


def test_a_board_that_names_no_pins_itself_finds_them(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto, stm32={"led_pin": "PC13"})
    stm32 = pair.directory / "stm32"
    eventually((stm32 / "pid").exists, what="the STM32's first start")
    (stm32 / "unknown_pins").write_text("PA8 PC13")
    pair.cut_power("stm32")
    pair.measure(3, 50, sensor="A8")
    assert readings(listener, 1)[0]["temperature"] == 3


def test_a_second_sensor_needs_configuration_alone(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    names = ["", "cellar"]
    pair = boards(mosquitto, stm32={"sensors": ["PA8", "PB4"]}, esp8266={"sensor_names": names})
    pair.measure(20, 50)
    pair.measure(11.5, 80, sensor="PB4")
    found = readings(listener, 8)
    assert [one["seq"] for one in found] == list(range(8))
    assert any(one.get("temperature") == 20 for one in found)
    assert any((one.get("cellar.temperature"), one.get("cellar.humidity")) == (11.5, 80) for one in found)


def test_with_a_time_server_readings_carry_the_time(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    with TimeServer() as server:
        pair = boards(mosquitto, esp8266={"time_host": "127.0.0.1", "time_port": server.port})
        pair.measure(20, 50)
        now_ms = time.time_ns() // 1_000_000
        found = readings(listener, 5)
    assert all(abs(one["ts"] - now_ms) < 10_000 for one in found)
    assert len({one["ts"] for one in found}) == 5
    assert all("age" not in one for one in found)


def test_without_an_answer_from_the_time_server_it_goes_on_without_time(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    with TimeServer(right=False) as server:
        pair = boards(mosquitto, esp8266={"time_host": "127.0.0.1", "time_port": server.port})
        pair.measure(20, 50)
        assert all("age" in one and "ts" not in one for one in readings(listener, 3))
        assert server.asked >= 1


def test_a_command_is_obeyed_once_and_answered_with_its_id(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto)
    assert listener.next("led/state").json == {"state": "OFF"}
    listener.command(DEVICE, "led/set", {"id": "one", "state": "ON", "expires": 4_000_000_000_000})
    assert listener.next("led/state").json == {"id": "one", "state": "ON"}
    eventually(lambda: pair.led == "on", what="the LED")
    listener.command(DEVICE, "led/set", {"id": "two", "state": "OFF"})
    assert listener.next("led/state").json == {"id": "two", "state": "OFF"}
    listener.command(DEVICE, "led/set", {"id": "one", "state": "ON"})
    assert listener.next("led/state").json == {"id": "one", "state": "OFF"}, "answered, and not applied again"
    listener.command(DEVICE, "led/set", "ON")
    assert listener.next("led/state").json == {"state": "ON"}
    eventually(lambda: pair.led == "on", what="the LED")


def test_a_command_may_be_large_and_one_that_is_too_large_costs_only_itself(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    boards(mosquitto, esp8266={"health_ms": 200})
    listener.next("led/state")
    for number, size in enumerate((1_400, 3_000, 20_000, 1_400)):
        listener.command(DEVICE, "led/set", {"id": f"c{number}", "state": "ON", "more": "x" * size})
    assert [listener.next("led/state").json["id"] for _ in range(2)] == ["c0", "c3"]
    eventually(lambda: figures(listener)["refused"] == 2, what="the count of those that were too large")


@pytest.mark.parametrize(
    "order",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '{"state": "BLUE"}',
        '{"state": 1}',
        '{"state": "ON", "id": 7}',
        '{"state": "ON", "id": "a\\"b"}',
        "on",
    ],
)
def test_what_is_no_command_changes_nothing(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener], order: str
) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto)
    listener.next("led/state")
    listener.command(DEVICE, "led/set", order)
    listener.command(DEVICE, "led/set", {"id": "after", "state": "OFF"})
    assert listener.next("led/state").json == {"id": "after", "state": "OFF"}
    assert pair.led == "off"


def test_a_command_that_came_too_late_is_left(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    with TimeServer() as server:
        pair = boards(mosquitto, esp8266={"time_host": "127.0.0.1", "time_port": server.port})
        pair.measure(20, 50)
        assert "ts" in readings(listener, 1)[0], "it knows the time"
    listener.command(DEVICE, "led/set", {"id": "late", "state": "ON", "expires": 1_764_000_000_000})
    listener.command(DEVICE, "led/set", {"id": "after", "state": "OFF"})
    assert listener.next("led/state").json == {"id": "after", "state": "OFF"}


def test_the_button_toggles_and_reports(mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto)
    assert listener.next("led/state").json == {"state": "OFF"}
    pair.press()
    assert listener.next("led/state").json == {"state": "ON"}
    listener.command(DEVICE, "led/set", {"id": "one", "state": "OFF"})
    assert listener.next("led/state").json == {"id": "one", "state": "OFF"}, "held down it is one press"


def test_over_a_broker_that_was_away_nothing_is_lost_or_doubled(
    own_mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    pair = boards(own_mosquitto)
    pair.measure(20, 50)
    first = listen(own_mosquitto.url)
    before = [one["seq"] for one in readings(first, 3)]
    first.close()
    own_mosquitto.stop()
    time.sleep(1)  # an outage is time that passes
    own_mosquitto.start()
    # Connects before the boards do or soon after: what came between has a number all the same.
    after = [one["seq"] for one in readings(listen(own_mosquitto.url, "second"), 30)]
    assert after == list(range(after[0], after[0] + 30))
    assert before == list(range(before[0], before[0] + 3))
    eventually(lambda: pair.connections() >= 2)


def test_what_the_ring_cannot_keep_is_counted_as_lost(
    own_mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    pair = boards(own_mosquitto, esp8266={"readings_kept": 16, "health_ms": 300})
    pair.measure(20, 50)
    first = listen(own_mosquitto.url, persistent=True)
    seen = {one["seq"] for one in readings(first, 2)}
    own_mosquitto.stop()
    time.sleep(2)  # some 40 readings
    own_mosquitto.start()
    second = listen(own_mosquitto.url, "second")
    assert figures(second)["lost"] > 5
    later = {one["seq"] for one in readings(second, 20)}
    assert max(later) - min(later) == len(later) - 1, "without gaps since"
    assert min(later) > max(seen)


def test_it_sends_again_what_it_is_asked_for(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto, esp8266={"readings_kept": 16})
    pair.measure(20, 50)
    first = {one["seq"]: one for one in readings(listener, 30)}
    boot = first[0]["boot"]
    listener.command(DEVICE, "resend/set", {"boot": boot, "from": 5, "to": 28})
    gone: set[int] = set()
    again: dict[int, dict[str, Any]] = {}

    def answered() -> bool:
        told = listener.next("telemetry").json
        for one in told if isinstance(told, list) else [told]:
            if "gone" in one:
                gone.update(range(one["gone"][0], one["gone"][1] + 1))
            elif one.get("seq", 29) < 29:  # newer ones come for the first time
                again[one["seq"]] = one
        return gone | set(again) == set(range(5, 29))

    eventually(answered, what="an answer about each number")
    assert 5 in gone, "the ring holds 16"
    assert again
    assert not gone & set(again)
    for seq, one in again.items():
        assert (one["boot"], one["temperature"]) == (boot, first[seq]["temperature"])
    listener.command(DEVICE, "resend/set", {"boot": "another", "from": 3, "to": 4})

    def of_another_boot() -> bool:
        return bool(listener.next("telemetry").json == {"boot": "another", "gone": [3, 4]})

    eventually(of_another_boot, what="that another boot's readings are gone")


def test_without_power_the_broker_tells_and_afterwards_a_new_boot_begins(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto)
    pair.measure(20, 50)
    assert listener.next("status").text == "online"
    before = readings(listener, 2)[0]["boot"]
    pair.cut_power()
    assert listener.next("status").text == "offline"
    assert listener.next("status").text == "online"
    (after,) = readings(listener, 1)
    assert after["boot"] != before
    assert after["seq"] == 0


@pytest.mark.parametrize(("after_reset", "state"), [("off", "OFF"), ("last", "OFF")])
def test_after_a_power_cut_the_led_is_off(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener], after_reset: str, state: str
) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto, esp8266={"led_after_reset": after_reset})
    listener.next("led/state")
    listener.command(DEVICE, "led/set", {"id": "one", "state": "ON"})
    assert listener.next("led/state").json["state"] == "ON"
    pair.cut_power()
    assert listener.next("led/state").json == {"state": state}
    eventually(lambda: pair.led == state.lower(), what="the LED")


def test_it_tells_how_it_is(mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto, esp8266={"health_ms": 200})
    pair.measure(20, 50)
    told = figures(listener)
    assert told["rssi"] == -61
    assert told["reconnects"] == 0
    assert told["lost"] == told["bad_frames"] == 0
    assert told["free_heap"] > 0
    pair.pulses([])
    eventually(lambda: figures(listener)["sensor_faults"] > 3, what="faults of the missing sensor")
    pair.measure(20, 50)
    pair.pull_plug()
    time.sleep(0.5)  # frames that nobody hears
    pair.plug_in()
    eventually(lambda: figures(listener)["missed_frames"] > 3, what="the frames that were missed")
    listener.command(DEVICE, "led/set", "nonsense")
    eventually(lambda: figures(listener)["refused"] == 1, what="the refused command")


def test_without_wifi_it_waits_and_comes_back(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    pair = boards(mosquitto)
    pair.measure(20, 50)
    readings(listener, 2)
    pair.wifi(on=False)
    eventually(lambda: "broker: the WiFi is gone" in pair.process.output(), what="that it noticed")
    pair.wifi(on=True)
    eventually(lambda: pair.connections() == 2, what="the WiFi again")
    readings(listener, 2)


def test_a_board_with_its_own_sensor_needs_no_other(
    mosquitto: Mosquitto, boards: Start, listen: Callable[..., Listener]
) -> None:
    listener = listen(mosquitto.url)
    quick = {"source": "dht22", "period_ms": 50, "sensor_rest_ms": 0}
    pair = boards(mosquitto, esp8266=quick)
    pair.measure(-40, 100)
    found = readings(listener, 3)
    assert [(one["seq"], one["temperature"], one["humidity"]) for one in found] == [(n, -40, 100) for n in range(3)]
    assert not (pair.directory / "stm32").exists()
