"""Simulated devices against a real Mosquitto."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from firmware.link import Patience
from tests.firmware.conftest import Listener, RunningFleet
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto

Fleet = Callable[..., RunningFleet]
Listen = Callable[..., Listener]


def test_a_device_introduces_itself_and_what_it_says_is_retained(
    mosquitto: Mosquitto, fleet: Fleet, listen: Listen
) -> None:
    early = listen(mosquitto.url)
    fleet(mosquitto.url)
    said = {message.topic: message for message in (early.next() for _ in range(3))}
    assert said["status"].text == "online"
    assert said["about"].json["actuators"] == ["led"]
    assert said["led/state"].json == {"state": "OFF"}
    late = listen(mosquitto.url, "late")
    assert {message.topic for message in (late.next() for _ in range(3)) if message.retained} == set(said)


def test_seq_counts_from_0_and_a_restart_is_a_new_boot(mosquitto: Mosquitto, fleet: Fleet, listen: Listen) -> None:
    listener = listen(mosquitto.url)
    first = fleet(mosquitto.url, messages=5)
    samples = listener.samples(5)
    first.finish()
    fleet(mosquitto.url, messages=2)
    again = listener.samples(2)
    assert [sample["seq"] for sample in samples + again] == [0, 1, 2, 3, 4, 0, 1]
    assert len({sample["boot"] for sample in samples}) == 1
    assert samples[0]["boot"] != again[0]["boot"]


def test_each_device_has_its_name_its_clock_and_its_climate(mosquitto: Mosquitto, fleet: Fleet, listen: Listen) -> None:
    listener = listen(mosquitto.url)
    before_ms = time.time_ns() // 1_000_000
    fleet(mosquitto.url, count=4, period_s=0.05)
    latest: dict[str, dict[str, float]] = {}
    while len(latest) < 4:
        message = listener.next("telemetry")
        latest[message.device] = message.json
    assert set(latest) == {"greenhouse", "cold-store", "workshop", "device-004"}
    assert latest["cold-store"]["temperature"] < 10 < latest["greenhouse"]["temperature"]
    after_ms = time.time_ns() // 1_000_000
    wrong_ms = 5_000  # more than a board's clock is, however long the test took
    assert all(before_ms - wrong_ms <= sample["ts"] <= after_ms + wrong_ms for sample in latest.values())


def test_readings_of_one_device_never_share_a_millisecond(mosquitto: Mosquitto, fleet: Fleet, listen: Listen) -> None:
    listener = listen(mosquitto.url)
    fleet(mosquitto.url, period_s=0.0001, messages=200)
    times = [sample["ts"] for sample in listener.samples(200)]
    assert all(later > earlier for earlier, later in pairwise(times))


def test_the_led_obeys_and_echoes_the_id(mosquitto: Mosquitto, fleet: Fleet, listen: Listen) -> None:
    listener = listen(mosquitto.url)
    fleet(mosquitto.url)
    assert listener.next("led/state").json == {"state": "OFF"}
    later_ms = time.time_ns() // 1_000_000 + 60_000
    listener.command("greenhouse", "led/set", {"id": "one", "state": "ON", "expires": later_ms})
    assert listener.next("led/state").json == {"id": "one", "state": "ON"}
    listener.command("greenhouse", "led/set", "OFF")
    assert listener.next("led/state").json == {"state": "OFF"}


def test_nonsense_and_late_commands_change_nothing(
    mosquitto: Mosquitto, fleet: Fleet, listen: Listen, topic_root: str
) -> None:
    listener = listen(mosquitto.url)
    mosquitto.publish(f"{topic_root}/greenhouse/led/set", "ON", retain=True)
    fleet(mosquitto.url)
    assert listener.next("led/state").json == {"state": "OFF"}
    listener.command("greenhouse", "led/set", "blink")
    listener.command("greenhouse", "resend/set", "[]")
    listener.command("greenhouse", "led/set", {"id": "late", "state": "ON", "expires": 1_764_000_000_000})
    listener.command("greenhouse", "led/set", {"id": "good", "state": "OFF"})
    assert listener.next("led/state").json == {"id": "good", "state": "OFF"}


def test_a_resend_request_is_answered_from_the_ring(mosquitto: Mosquitto, fleet: Fleet, listen: Listen) -> None:
    listener = listen(mosquitto.url)
    fleet(mosquitto.url, ring_capacity=10)
    samples = listener.samples(20)
    boot = samples[0]["boot"]
    listener.command("greenhouse", "resend/set", {"boot": boot, "from": 2, "to": 19})
    gone: list[int] = []
    again: list[dict[str, object]] = []
    while not again:
        answer = listener.next("telemetry").json
        if isinstance(answer, list):
            again = answer
        elif "gone" in answer:
            gone = answer["gone"]
    # It went on measuring meanwhile: where the ring began when it was asked, the answer says.
    assert gone[0] == 2
    assert gone[1] >= 9
    assert again == samples[gone[1] + 1 :]


def test_a_resend_request_for_another_boot_is_answered_with_gone(
    mosquitto: Mosquitto, fleet: Fleet, listen: Listen
) -> None:
    listener = listen(mosquitto.url)
    fleet(mosquitto.url, period_s=10)
    listener.samples(1)
    listener.command("greenhouse", "resend/set", {"boot": "before", "from": 3, "to": 9})
    assert listener.next("telemetry").json == {"boot": "before", "gone": [3, 9]}


def test_a_stop_says_offline_and_leaves_nothing_unacknowledged(
    mosquitto: Mosquitto, fleet: Fleet, listen: Listen
) -> None:
    listener = listen(mosquitto.url)
    running = fleet(mosquitto.url, count=3)
    listener.samples(9)
    tally = running.stop()
    assert tally.sent == tally.acknowledged >= 9
    offline: set[str] = set()
    while len(offline) < 3:
        message = listener.next("status")
        if message.text == "offline":
            offline.add(message.device)
    assert offline == {"greenhouse", "cold-store", "workshop"}
    late = listen(mosquitto.url, "late")
    assert {late.next("status").text for _ in range(3)} == {"offline"}


def test_readings_outlive_a_broker_that_is_killed_and_restarted(
    own_mosquitto: Mosquitto, fleet: Fleet, listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="simulator")
    first = listen(own_mosquitto.url)
    running = fleet(own_mosquitto.url, count=2)
    before = {(sample["boot"], sample["seq"]) for sample in first.samples(10)}
    own_mosquitto.kill()
    own_mosquitto.start()
    second = listen(own_mosquitto.url, "second")
    after: set[tuple[str, int]] = set()
    boots = {boot for boot, _ in before}
    while len(boots) < 2 or any(max(seq for b, seq in after | before if b == boot) < 60 for boot in boots):
        sample = second.next("telemetry").json
        after.add((sample["boot"], sample["seq"]))
        boots.add(sample["boot"])
    tally = running.stop()
    assert tally.sent == tally.acknowledged
    assert tally.lost == 0
    assert [record.message.split(" (")[0].split(" is ")[1] for record in caplog.records] == ["away", "back"]


def test_a_broker_that_comes_up_late_gets_all_readings_in_order(
    own_mosquitto: Mosquitto, fleet: Fleet, listen: Listen
) -> None:
    listen(own_mosquitto.url, persistent=True).close()
    own_mosquitto.stop()
    running = fleet(own_mosquitto.url, period_s=0.01, messages=60)
    own_mosquitto.start()
    listener = listen(own_mosquitto.url, persistent=True)
    assert [sample["seq"] for sample in listener.samples(60)] == list(range(60))
    tally = running.finish()
    assert (tally.sent, tally.acknowledged, tally.lost) == (60, 60, 0)


def test_a_stop_does_not_wait_for_a_frozen_broker(own_mosquitto: Mosquitto, fleet: Fleet, listen: Listen) -> None:
    listener = listen(own_mosquitto.url)
    running = fleet(own_mosquitto.url, count=3)
    listener.samples(3)
    own_mosquitto.process.freeze()
    running.stop()
    own_mosquitto.process.thaw()
    while listener.next("status").text != "offline":  # said by the device, or by its will
        pass


def test_what_does_not_fit_the_ring_is_counted_as_lost(
    own_mosquitto: Mosquitto, fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    own_mosquitto.stop()
    # It tries again after half a second or more, in which it takes far more readings than its ring holds.
    running = fleet(own_mosquitto.url, period_s=0.0005, messages=200, ring_capacity=10, patience=Patience(first_s=1.0))
    eventually(lambda: "is away" in caplog.text)
    with own_mosquitto:
        tally = running.finish()
    assert tally.lost > 0
    assert tally.acknowledged == tally.sent
    assert tally.acknowledged + tally.lost == 200


def test_a_broker_that_refuses_is_named_once_and_tried_again(
    part_directory: Path, fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="simulator")
    with Mosquitto(part_directory, users={"board": "right"}) as broker:
        running = fleet(broker.url.replace("right", "wrong"), count=3)
        broker.process.wait_until(lambda: broker.process.output().count("not authorised") >= 6, seconds=5)
        running.stop()
    (record,) = caplog.records
    assert "Not authorized" in record.message
    assert "wrong" not in record.message


def test_fifty_devices_connect_a_few_at_a_time(
    mosquitto: Mosquitto, fleet: Fleet, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.link.CONNECTING_AT_ONCE", 3)
    listener = listen(mosquitto.url)
    running = fleet(mosquitto.url, count=50, period_s=0.5)
    devices: set[str] = set()
    while len(devices) < 50:
        devices.add(listener.next("telemetry").device)
    tally = running.stop()
    assert tally.sent == tally.acknowledged >= 50
